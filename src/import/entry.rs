//! One row as a native submission.

use super::table::Column;
use crate::normalise::text::{narrow, narrow_without_blanks};
use crate::normalise::{date, date_of_number, doc_no};
use crate::record::FieldError;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// What divides keywords in one cell.
const DIVIDERS: [char; 8] = ['、', '，', ',', '；', ';', '|', '/', '\u{3000}'];
const WRITTEN_ON: &str = "/entry/written_on";

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Blank,
    Text(String),
    Number(f64),
    /// What a formula that failed shows, such as `#N/A`.
    Fault(String),
}

impl Cell {
    /// Returns the text of a cell as people see it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Blank => String::new(),
            Self::Text(text) | Self::Fault(text) => text.clone(),
            Self::Number(number) => number_text(*number),
        }
    }

    fn is_blank(&self) -> bool {
        match self {
            Self::Blank => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Number(_) | Self::Fault(_) => false,
        }
    }
}

/// A row as a native submission.
#[derive(Debug)]
pub(super) struct Entry {
    /// The submission, as JSON.
    pub(super) body: Vec<u8>,
    /// Whether the row names its own id.
    pub(super) has_source_id: bool,
    /// Whether the row names its own revision.
    pub(super) has_revision: bool,
}

/// Makes a submission of a row; none of a row without anything in it.
///
/// # Errors
/// What no submission can say; the rest is for intake to judge.
pub(super) fn entry<'a>(
    given: impl Iterator<Item = (&'a Column, Cell)>,
) -> Result<Option<Entry>, Vec<FieldError>> {
    let mut native = Map::new();
    let mut errors = Vec::new();
    for (column, cell) in given.filter(|(_, cell)| !cell.is_blank()) {
        match (column, &cell) {
            (Column::Guard { label, guard }, _) => {
                if !guard.lets_pass(&cell.text()) {
                    // What must not be sent is not looked at any further.
                    let detail = format!("“{label}”{}", guard.detail);
                    return Err(vec![FieldError::new("", guard.code.as_str(), detail)]);
                }
            }
            (Column::Field(field), Cell::Fault(shown)) => {
                let detail = format!("单元格是公式的错误值“{shown}”，请改正后重新导入。");
                errors.push(FieldError::new(&field.pointer, "cell_error", detail));
            }
            (Column::Field(field), _) if field.pointer == "/entry/attachments" => {
                let detail = "表格导入不能带附件；请清空附件一栏，或由 OA 报送这一条。";
                errors.push(FieldError::new(
                    &field.pointer,
                    "attachments_unsupported",
                    detail,
                ));
            }
            (Column::Field(field), _) => {
                let written = written(&field.pointer, &cell);
                put(
                    &mut native,
                    &field.pointer,
                    value(&field.pointer, field.meaning(&written)),
                );
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if native.is_empty() {
        return Ok(None);
    }
    Ok(Some(complete(native)))
}

fn written(pointer: &str, cell: &Cell) -> String {
    match cell {
        Cell::Number(number) if pointer == WRITTEN_ON => {
            date_of_number(*number).map_or_else(|| number_text(*number), |it| it.date)
        }
        _ => cell.text(),
    }
}

fn value(pointer: &str, text: &str) -> Value {
    match pointer {
        "/revision" => text
            .trim()
            .parse::<i64>()
            .map_or_else(|_| Value::from(text), Value::from),
        "/entry/keywords" => text
            .split(|letter: char| DIVIDERS.contains(&letter) || letter.is_whitespace())
            .filter(|word| !word.is_empty())
            .map(Value::from)
            .collect(),
        // A long text keeps its blanks; a name, a number or a code has none around it.
        "/entry/body/content" => Value::from(text),
        _ => Value::from(text.trim()),
    }
}

/// Puts a value where `pointer` says; every part of it is a key.
fn put(native: &mut Map<String, Value>, pointer: &str, value: Value) {
    let mut keys: Vec<&str> = pointer.split('/').skip(1).collect();
    let Some(last) = keys.pop() else { return };
    let mut place = native;
    for key in keys {
        let inner = place.entry(key).or_insert_with(|| json!({}));
        let Some(inner) = inner.as_object_mut() else {
            return;
        };
        place = inner;
    }
    place.insert(last.to_owned(), value);
}

/// Adds what a sheet leaves unsaid.
fn complete(mut native: Map<String, Value>) -> Entry {
    let has_source_id = native.contains_key("source_id");
    let has_revision = native.contains_key("revision");
    native.entry("action").or_insert_with(|| json!("publish"));
    native.entry("revision").or_insert_with(|| json!(1));
    let entry = native.entry("entry").or_insert_with(|| json!({}));
    if let Some(entry) = entry.as_object_mut() {
        let body = entry.entry("body").or_insert_with(|| json!({}));
        if let Some(body) = body.as_object_mut() {
            body.entry("format").or_insert_with(|| json!("text"));
            body.entry("content").or_insert_with(|| json!(""));
        }
        keep_if_named(entry, "project", ["code", "group"]);
        keep_if_named(entry, "credit", ["subject", "group"]);
        // A sheet of documents names the project by its code; what is shown of it is the title.
        let title = entry.get("title").cloned();
        if let (Some(project), Some(title)) = (entry.get_mut("project"), title)
            && let Some(project) = project.as_object_mut()
        {
            project.entry("name").or_insert(title);
        }
    }
    if !has_source_id {
        let id = made_id(&native["entry"]);
        native.insert("source_id".to_owned(), json!(id));
    }
    Entry {
        body: Value::Object(native).to_string().into_bytes(),
        has_source_id,
        has_revision,
    }
}

/// Leaves out a part of which nothing is there that makes it one.
fn keep_if_named(entry: &mut Map<String, Value>, part: &str, needed: [&str; 2]) {
    let is_named = entry
        .get(part)
        .is_some_and(|part| needed.iter().any(|key| part.get(key).is_some()));
    if !is_named {
        entry.remove(part);
    }
}

/// Makes an id of what tells documents apart: number, title, date and unit, in one spelling.
fn made_id(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let number = doc_no(text("doc_no")).map(|number| number.canonical);
    let title: String = narrow(text("title"))
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect();
    let day = date(text("written_on"));
    let parts = [
        number.unwrap_or_default(),
        title,
        day.unwrap_or_else(|| narrow_without_blanks(text("written_on"))),
        narrow_without_blanks(text("unit")),
    ];
    let digest = Sha256::digest(parts.join("\n"));
    format!("import-{}", hex::encode(&digest[..12]))
}

fn number_text(number: f64) -> String {
    /// Whole numbers below are exact.
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT_BELOW {
        format!("{number:.0}")
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::Labels;
    use std::path::Path;

    fn row(cells: &[(&str, Cell)]) -> Result<Option<Value>, Vec<FieldError>> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/oa");
        let labels = Labels::load(&dir).unwrap();
        let columns: Vec<Column> = cells
            .iter()
            .map(|(label, _)| Column::of(&labels, label).unwrap())
            .collect();
        let given = columns
            .iter()
            .zip(cells)
            .map(|(it, cell)| (it, cell.1.clone()));
        let made = entry(given)?;
        Ok(made.map(|made| serde_json::from_slice(&made.body).unwrap()))
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn cells_become_fields() {
        let made = row(&[
            ("标题", text(" 甲 ")),
            ("成文日期", Cell::Number(41_856.0)),
            ("主题词", text("三公经费 决算、公开")),
            ("版本", Cell::Number(2.0)),
            ("操作", text("撤回")),
            ("流水号", Cell::Number(1001.0)),
            ("项目编码", text("P-1")),
            ("信用代码", Cell::Blank),
        ][..7])
        .unwrap()
        .unwrap();
        assert_eq!(made["source_id"], "1001");
        assert_eq!(made["revision"], 2);
        assert_eq!(made["action"], "withdraw");
        assert_eq!(made["entry"]["title"], "甲");
        assert_eq!(made["entry"]["written_on"], "2014-08-05");
        assert_eq!(
            made["entry"]["keywords"],
            json!(["三公经费", "决算", "公开"])
        );
        assert_eq!(
            made["entry"]["project"],
            json!({"code": "P-1", "name": "甲"})
        );
        assert_eq!(
            made["entry"]["body"],
            json!({"format": "text", "content": ""})
        );
    }

    #[test]
    fn a_made_id_does_not_depend_on_spelling() {
        let id = |number: &str, day: &str, title: &str| {
            let cells = [
                ("标题", text(title)),
                ("文号", text(number)),
                ("成文日期", text(day)),
            ];
            row(&cells).unwrap().unwrap()["source_id"].clone()
        };
        let one = id("韶安监〔2014〕49号", "2014-07-15", "事故情况通报");
        assert_eq!(
            one,
            id(
                "韶安监（2014）049号",
                "二〇一四年七月十五日",
                " 事故 情况通报"
            )
        );
        assert_ne!(one, id("韶安监〔2014〕50号", "2014-07-15", "事故情况通报"));
        assert_ne!(one, id("韶安监〔2014〕49号", "2014-07-16", "事故情况通报"));
    }

    #[test]
    fn what_no_row_can_say_is_refused() {
        let code = |cells: &[(&str, Cell)]| row(cells).unwrap_err()[0].code.clone();
        assert_eq!(
            code(&[("标题", text("甲")), ("密级", text("秘密"))]),
            "secret"
        );
        assert_eq!(
            code(&[("附件", text("表.xlsx"))]),
            "attachments_unsupported"
        );
        assert_eq!(code(&[("标题", Cell::Fault("#N/A".into()))]), "cell_error");
        assert!(
            row(&[("标题", text(" \u{3000}")), ("密级", Cell::Blank)])
                .unwrap()
                .is_none()
        );
    }
}
