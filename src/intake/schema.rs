//! The door for native submissions: JSON that is what `schemas/submission.schema.json` says.
//!
//! Owns the way from bytes to a [`Submission`] and the Chinese sentences about what is wrong with
//! them. It never mends anything; that is [`crate::normalise`].

mod label;
mod strict;

use crate::record::{FieldError, Submission};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use label::label;
use serde_json::Value;
use std::sync::LazyLock;

/// JSON Schema of a native submission.
pub const SUBMISSION_SCHEMA: &str = include_str!("../../schemas/submission.schema.json");
/// JSON Schema of a record as it is stored and shown.
pub const RECORD_SCHEMA: &str = include_str!("../../schemas/record.schema.json");

/// How many errors of one submission are told; a clerk mends them in one go, a machine gone wrong
/// does not need ten thousand.
const ERRORS_MAX: usize = 100;

static SUBMISSION_VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value =
        serde_json::from_str(SUBMISSION_SCHEMA).expect("the schema is JSON that the tests parse");
    jsonschema::validator_for(&schema).expect("the schema is one that the tests compile")
});

/// Reads a native submission.
///
/// # Errors
/// One error for each wrong field; for a body that is no JSON one error with an empty pointer.
pub fn parse_submission(body: &[u8]) -> Result<Submission, Vec<FieldError>> {
    let value = strict::parse(body)?;
    if !SUBMISSION_VALIDATOR.is_valid(&value) {
        return Err(schema_errors(&value));
    }
    serde_json::from_value(value).map_err(|error| {
        // The schema is as strict as the type, so this only speaks when the two fall apart.
        let detail = format!("提交内容与接口规范不符：{error}。");
        vec![FieldError::new("", "type", detail)]
    })
}

fn schema_errors(value: &Value) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = Vec::new();
    for error in SUBMISSION_VALIDATOR.iter_errors(value) {
        for error in field_errors(&error) {
            let is_new = !errors.iter().any(|known| known.pointer == error.pointer);
            if is_new && errors.len() < ERRORS_MAX {
                errors.push(error);
            }
        }
    }
    errors
}

fn field_errors(error: &ValidationError<'_>) -> Vec<FieldError> {
    let pointer = error.instance_path().to_string();
    let name = label(&pointer);
    let one = |code: &str, detail: String| vec![FieldError::new(pointer.as_str(), code, detail)];
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let pointer = below(&pointer, property.as_str().unwrap_or_default());
            let detail = format!("缺少{}，请填写。", label(&pointer));
            vec![FieldError::new(pointer, "required", detail)]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|property| {
                let detail = format!(
                    "{name}中有接口规范以外的字段“{}”，请去掉。",
                    short(property)
                );
                FieldError::new(below(&pointer, property), "unknown_field", detail)
            })
            .collect(),
        ValidationErrorKind::Type { .. } => one(
            "type",
            format!("{name}的数据类型不对，{}。", expected(error)),
        ),
        ValidationErrorKind::MaxLength { limit } => {
            one("too_long", format!("{name}超过{limit}个字符，请缩短。"))
        }
        ValidationErrorKind::MinLength { .. } => {
            one("too_short", format!("{name}是空白，请填写。"))
        }
        ValidationErrorKind::MaxItems { limit } => {
            one("too_long", format!("{name}超过{limit}项，请减少。"))
        }
        ValidationErrorKind::MaxProperties { limit } => {
            one("too_long", format!("{name}超过{limit}项，请减少。"))
        }
        ValidationErrorKind::Enum { options } => {
            one("not_allowed", format!("{name}只能是{}。", listed(options)))
        }
        ValidationErrorKind::Pattern { .. } => {
            one("format", format!("{name}的格式不对{}。", hint(&pointer)))
        }
        ValidationErrorKind::Minimum { limit } => one("range", format!("{name}不能小于{limit}。")),
        ValidationErrorKind::Maximum { limit } => one("range", format!("{name}不能大于{limit}。")),
        _ => one("format", format!("{name}不符合接口规范。")),
    }
}

/// Returns the pointer of `property` below `pointer`.
fn below(pointer: &str, property: &str) -> String {
    let escaped = property.replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{escaped}")
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

fn listed(options: &Value) -> String {
    let words: Vec<String> = options
        .as_array()
        .into_iter()
        .flatten()
        .map(|option| match option.as_str() {
            Some(word) => format!("“{word}”"),
            None => option.to_string(),
        })
        .collect();
    words.join("或")
}

fn expected(error: &ValidationError<'_>) -> &'static str {
    let ValidationErrorKind::Type { kind } = error.kind() else {
        return "请对照接口规范检查";
    };
    let wanted = format!("{kind:?}").to_ascii_lowercase();
    [
        ("integer", "应为整数"),
        ("string", "应为文字"),
        ("array", "应为列表"),
        ("object", "应为对象"),
    ]
    .into_iter()
    .find(|(word, _)| wanted.contains(word))
    .map_or("请对照接口规范检查", |(_, sentence)| sentence)
}

fn hint(pointer: &str) -> &'static str {
    match pointer.rsplit('/').next() {
        Some("source_id") => "，只能由文字、数字和常用连接符组成，不能有空格",
        Some("sha256") => "，应为64位十六进制数",
        Some("group") => "，应为 P0–P11、L1–L3 或 M1–M4",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
