//! Turns JSON Schema errors into one Chinese sentence per field for a clerk.
//!
//! The submission schema and the contracts of the platforms are told in the same words.

mod label;

use crate::record::FieldError;
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
pub(crate) use label::label;
use serde_json::Value;

/// Returns one error per field of a submission that `error` is about.
pub fn field_errors(error: &ValidationError<'_>) -> Vec<FieldError> {
    sentences(error, error.instance_path().to_string())
}

/// Returns the errors about a canonical record as errors about the entry it came from, so that a
/// clerk finds the field.
pub fn entry_errors(error: &ValidationError<'_>) -> Vec<FieldError> {
    let pointer = match error.instance_path().as_str() {
        "/body/html" => "/entry/body/content".to_owned(),
        path if path.starts_with("/unit") => "/entry/unit".to_owned(),
        path => format!("/entry{path}"),
    };
    // The hub writes an empty field as null; to the clerk it is missing.
    if matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance().is_null() {
        let detail = format!("缺少{}，请填写。", label(&pointer));
        return vec![FieldError::new(pointer, "required", detail)];
    }
    sentences(error, pointer)
}

fn sentences(error: &ValidationError<'_>, pointer: String) -> Vec<FieldError> {
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
pub(crate) fn below(pointer: &str, property: &str) -> String {
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
