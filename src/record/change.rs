//! What a correction changes, field by field.

use super::Content;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most changes that are kept of one correction.
const CHANGES_MAX: usize = 100;
/// Longest part of a text that is kept, in characters.
const PART_CHARS_MAX: usize = 120;
/// Characters of what is equal that are kept around a difference.
const AROUND_CHARS: usize = 8;
/// How deep fields are compared one by one.
const DEPTH_MAX: usize = 6;

/// Fields that follow from others or say how these were written.
const DERIVED: [&str; 3] = ["doc_no_raw", "written_on_raw", "area_name"];

/// One field that a correction changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// RFC 6901 JSON pointer into the canonical record, such as `/title`.
    pub pointer: String,
    /// What it said, of a long text the part that differs; none when there was nothing.
    pub before: Option<String>,
    /// What it says now.
    pub after: Option<String>,
}

/// Returns what differs between two contents, in the order of the fields.
pub fn changes(before: &Content, after: &Content) -> Vec<FieldChange> {
    let value = |content| serde_json::to_value(content).unwrap_or_default();
    let mut changes = Vec::new();
    compare("", &value(before), &value(after), 0, &mut changes);
    changes
}

fn compare(
    pointer: &str,
    before: &Value,
    after: &Value,
    depth: usize,
    changes: &mut Vec<FieldChange>,
) {
    if before == after || changes.len() >= CHANGES_MAX {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after)
        && depth < DEPTH_MAX
    {
        let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
        for (name, _) in old.iter().chain(added) {
            if depth == 0 && DERIVED.contains(&name.as_str()) {
                continue;
            }
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            compare(&pointer, &before[name], &after[name], depth + 1, changes);
        }
        return;
    }
    let (before, after) = differing(&shown(before), &shown(after));
    changes.push(FieldChange {
        pointer: pointer.to_owned(),
        before,
        after,
    });
}

/// Returns a value as a reader would be told it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // Files and units by their names.
        Value::Array(values) => {
            let names: Vec<String> = values
                .iter()
                .map(|value| value.get("name").map_or_else(|| shown(value), shown))
                .collect();
            names.join("、")
        }
        other => other.to_string(),
    }
}

/// Cuts two texts to where they differ; none for an empty one.
fn differing(before: &str, after: &str) -> (Option<String>, Option<String>) {
    let (old, new): (Vec<char>, Vec<char>) = (before.chars().collect(), after.chars().collect());
    let equal = |pairs: &mut dyn Iterator<Item = (&char, &char)>| {
        pairs.take_while(|(old, new)| old == new).count()
    };
    let start = equal(&mut old.iter().zip(&new));
    let left = old.len().min(new.len()) - start;
    let end = equal(&mut old.iter().rev().zip(new.iter().rev())).min(left);
    let part = |text: &[char]| {
        if text.is_empty() {
            return None;
        }
        if text.len() <= PART_CHARS_MAX {
            return Some(text.iter().collect());
        }
        let from = start.saturating_sub(AROUND_CHARS);
        let to = (text.len() - end + AROUND_CHARS).min(text.len());
        let kept: String = text[from..to].iter().take(PART_CHARS_MAX).collect();
        let head = if from > 0 { "…" } else { "" };
        let tail = if to < text.len() || to - from > PART_CHARS_MAX {
            "…"
        } else {
            ""
        };
        Some(format!("{head}{kept}{tail}"))
    };
    (part(&old), part(&new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn content(changes: Value) -> Content {
        let mut content = json!({
            "title": "甲", "doc_no": null, "doc_no_raw": null,
            "unit": {"code": "1", "name": "韶关市财政局", "division": "440200"},
            "written_on": "2014-09-18", "written_on_raw": "2014.9.18", "disclosure": "proactive",
            "area": null, "area_name": null, "column": null, "genre": null, "keywords": ["子"],
            "abstract": null, "index_no": null, "body": {"html": "<p>乙</p>"}, "attachments": [],
        });
        for (name, value) in changes.as_object().unwrap() {
            content[name] = value.clone();
        }
        serde_json::from_value(content).unwrap()
    }

    fn told(before: Value, after: Value) -> Vec<(String, Option<String>, Option<String>)> {
        changes(&content(before), &content(after))
            .into_iter()
            .map(|change| (change.pointer, change.before, change.after))
            .collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn each_field_that_differs_is_told_and_no_other() {
        let told = told(
            json!({"project": {"code": "1", "generation": null, "name": "桥", "owner": "", "group": "P4", "fields": {"金额": "1元", "a/b": 1}}}),
            json!({
                "title": "丙", "doc_no": "韶财〔2014〕1号", "doc_no_raw": "韶财[2014]1号", "keywords": ["子", "丑"],
                "attachments": [{"name": "表.xlsx", "media_type": "a/b", "bytes": 1, "sha256": "0"}],
                "project": {"code": "1", "generation": null, "name": "桥", "owner": "", "group": "P4", "fields": {"金额": "2元", "a/b": 2}},
            }),
        );
        assert_eq!(
            told,
            [
                ("/title".to_owned(), some("甲"), some("丙")),
                ("/doc_no".to_owned(), None, some("韶财〔2014〕1号")),
                ("/keywords".to_owned(), some("子"), some("子、丑")),
                ("/attachments".to_owned(), None, some("表.xlsx")),
                ("/project/fields/金额".to_owned(), some("1元"), some("2元")),
                ("/project/fields/a~1b".to_owned(), some("1"), some("2")),
            ]
        );
        assert_eq!(changes(&content(json!({})), &content(json!({}))), []);
    }

    #[test]
    fn of_a_long_text_the_part_that_differs_is_kept() {
        let text = |word: &str| json!({"body": {"html": format!("<p>{}合计{word}万元{}</p>", "前".repeat(500), "后".repeat(500))}});
        assert_eq!(
            told(text("12"), text("13.5")),
            [(
                "/body/html".to_owned(),
                some("…前前前前前合计12万元后后后后后后…"),
                some("…前前前前前合计13.5万元后后后后后后…"),
            )]
        );
    }

    proptest! {
        #[test]
        fn any_two_texts_can_be_compared(before in "\\PC{0,300}|a{0,400}", after in "\\PC{0,300}|a{0,400}") {
            let (before, after) = differing(&before, &after);
            for part in [before, after].into_iter().flatten() {
                prop_assert!(part.chars().count() <= PART_CHARS_MAX + 2);
            }
        }
    }
}
