//! What the engineering-projects platform demands of an item, and how it reads one.
//!
//! Owns the multipart form, the checks and their messages: all mistakes are told at once, one
//! entry per field. Never stores anything; see [`super`].

use std::sync::LazyLock;

use axum::extract::Multipart;
use axum::extract::multipart::{MultipartError, MultipartRejection};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::sandbox::look::Look;
use crate::sandbox::shelf::{Attachment, Edition, is_file_name};

const TITLE_CHARS_MAX: usize = 200;
const FILES_MAX: usize = 100;
/// The group of calls for tenders and their results, where purchases belong.
const PURCHASES: &str = "P4";

/// What is wrong: field and message.
pub(super) type Mistake = (&'static str, String);

/// An item as received.
pub(super) struct Item {
    pub(super) external_id: String,
    pub(super) edition: Edition,
}

static PROJECT_CODE: LazyLock<Regex> = LazyLock::new(|| {
    let generations = r"^(\d{6}[0-9A-Z]{8}[0-9X]\d{4}\d{1,10}|\d{4}-\d{6}-\d{2}-\d{2}-\d{6})$";
    Regex::new(generations).expect("the pattern is a constant that a test compiles")
});

static DATE: LazyLock<Regex> = LazyLock::new(|| {
    let shape = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$";
    Regex::new(shape).expect("the pattern is a constant that a test compiles")
});

/// Reads the parts `item` and `file` and checks them.
pub(super) async fn read(
    parts: Result<Multipart, MultipartRejection>,
    look: &Look,
) -> Result<Item, Vec<Mistake>> {
    let parts = parts.map_err(|_| vec![("item", "应为 multipart/form-data".to_owned())])?;
    let (form, attachments) = receive(parts).await.map_err(|mistake| vec![mistake])?;
    let form = form.ok_or_else(|| vec![("item", "缺少 item 部分".to_owned())])?;
    let mistakes = mistakes_in(&form, look);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let text = |name: &str| text(&form, name).to_owned();
    Ok(Item {
        external_id: text("externalId"),
        edition: Edition {
            version: form["version"].as_i64().unwrap_or_default(),
            title: text("title"),
            doc_no: text("documentNo"),
            column: column_of(&form, look).unwrap_or_default().to_owned(),
            html: text("html"),
            facts: facts(&form),
            attachments,
            form: Value::Object(without_html(form)),
            saved_at_ms: crate::clock::now_ms(),
        },
    })
}

type Received = (Option<Map<String, Value>>, Vec<Attachment>);

async fn receive(mut parts: Multipart) -> Result<Received, Mistake> {
    let broken = |error: MultipartError| ("item", error.body_text());
    let mut form = None;
    let mut files: Vec<Attachment> = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let role = part.name().unwrap_or_default().to_owned();
        let name = part.file_name().unwrap_or_default().to_owned();
        let media_type = part.content_type().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(broken)?;
        match role.as_str() {
            "item" => {
                let parsed = serde_json::from_slice(&bytes)
                    .map_err(|error| ("item", format!("不是有效的 JSON 对象：{error}")))?;
                form = Some(parsed);
            }
            "file" => {
                let is_taken = files.iter().any(|other| other.name == name);
                if is_taken || !is_file_name(&name) || files.len() == FILES_MAX {
                    return Err(("file", format!("附件名称 {name} 重复或不可用，或附件过多")));
                }
                files.push(Attachment::new(name, media_type, bytes.to_vec()));
            }
            other => return Err(("item", format!("不认识的部分 {other}"))),
        }
    }
    Ok((form, files))
}

fn mistakes_in(form: &Map<String, Value>, look: &Look) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for name in ["publisher", "title", "externalId", "html"] {
        if text(form, name).trim().is_empty() {
            mistakes.push((name, "不能为空".to_owned()));
        }
    }
    if text(form, "title").chars().count() > TITLE_CHARS_MAX {
        mistakes.push(("title", format!("不得超过 {TITLE_CHARS_MAX} 字")));
    }
    if !DATE.is_match(text(form, "publishDate")) {
        mistakes.push(("publishDate", "应为 YYYY-MM-DD".to_owned()));
    }
    if !form.get("version").is_some_and(Value::is_i64) {
        mistakes.push(("version", "应为整数".to_owned()));
    }
    if !form
        .get("fields")
        .is_none_or(|fields| fields.is_object() || fields.is_null())
    {
        mistakes.push(("fields", "应为对象".to_owned()));
    }
    match text(form, "kind") {
        "project" => mistakes.extend(project_mistakes(form)),
        "credit" if text(form, "subject").trim().is_empty() => {
            mistakes.push(("subject", "不能为空".to_owned()));
        }
        // A purchase outside of any project: it has no code and no name of one.
        "credit" | "purchase" => {}
        _ => mistakes.push(("kind", "应为 project、purchase 或 credit".to_owned())),
    }
    if column_of(form, look).is_none() {
        mistakes.push(("group", "不是这类信息的分组".to_owned()));
    }
    mistakes
}

fn project_mistakes(form: &Map<String, Value>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    if text(form, "projectName").trim().is_empty() {
        mistakes.push(("projectName", "不能为空".to_owned()));
    }
    if !PROJECT_CODE.is_match(text(form, "projectCode")) {
        mistakes.push(("projectCode", "项目编码格式不正确".to_owned()));
    }
    mistakes
}

/// Returns the column for the item's group: project groups are columns themselves, a credit group
/// begins with the name of its column.
fn column_of(form: &Map<String, Value>, look: &Look) -> Option<&'static str> {
    let group = text(form, "group");
    let fits = |id: &str| match text(form, "kind") {
        "credit" => !id.is_ascii() && group.starts_with(id),
        "purchase" => id == PURCHASES && group == id,
        _ => id.is_ascii() && group == id,
    };
    let found = look.columns.iter().find(|column| fits(column.id));
    found.map(|column| column.id)
}

fn facts(form: &Map<String, Value>) -> Vec<(String, String)> {
    let labels = [
        ("项目编码", "projectCode"),
        ("项目名称", "projectName"),
        ("建设单位", "owner"),
        ("信用主体", "subject"),
        ("统一社会信用代码", "uscc"),
        ("分组", "group"),
        ("发布机构", "publisher"),
        ("发布日期", "publishDate"),
        ("文号", "documentNo"),
    ];
    let mut facts: Vec<(String, String)> = labels
        .into_iter()
        .filter(|(_, field)| !text(form, field).is_empty())
        .map(|(label, field)| (label.to_owned(), text(form, field).to_owned()))
        .collect();
    let fields = form.get("fields").and_then(Value::as_object);
    for (label, value) in fields.into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        facts.push((label.clone(), value));
    }
    facts
}

fn without_html(mut form: Map<String, Value>) -> Map<String, Value> {
    form.shift_remove("html");
    form
}

fn text<'a>(form: &'a Map<String, Value>, name: &str) -> &'a str {
    form.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the mistakes as the platform tells them.
pub(super) fn told(mistakes: &[Mistake]) -> Value {
    let fields: Vec<Value> = mistakes
        .iter()
        .map(|(field, message)| json!({"field": field, "message": message}))
        .collect();
    json!({"error": "invalid", "fields": fields})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_all_three_generations_are_known() {
        for (code, known) in [
            ("44020000699999920140001", true),
            ("44020000724047X20140001", true),
            ("2020-330327-48-01-167360", true),
            ("2409-440205-04-01-200027", true),
            ("2409-440205-04-01-20002", false),
            ("2409440205040120002", false),
            ("4402000069999992014", false),
            ("", false),
        ] {
            assert_eq!(PROJECT_CODE.is_match(code), known, "{code}");
        }
    }
}
