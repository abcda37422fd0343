//! The project part of an entry.

use super::text::{lines, narrow_without_blanks, one_line};
use super::{Findings, project_code};
use crate::record::{EntryProject, Project};
use serde_json::{Map, Value};

/// Normalises the project part; doubts about its code become warnings.
pub(super) fn project(written: &EntryProject, findings: &mut Findings) -> Project {
    const POINTER: &str = "/entry/project/code";
    let mended = project_code(&written.code);
    if mended.code.is_empty() {
        findings.error(POINTER, "required", "项目编码是空白，请填写。");
    } else if mended.generation.is_none() {
        let detail = "项目编码不符合已知的三种编码规则，已按原样保留，请核对。";
        findings.warning(POINTER, "project_code_unrecognised", detail);
    } else if !mended.check_digit_holds {
        let detail = "项目编码的校验码不对，可能有数字录错，请核对。";
        findings.warning(POINTER, "project_code_check_digit", detail);
    }
    let name = one_line(&written.name);
    if name.is_empty() {
        findings.error(
            "/entry/project/name",
            "required",
            "项目名称是空白，请填写。",
        );
    }
    Project {
        code: mended.code,
        generation: mended.generation,
        name,
        owner: one_line(written.owner.as_deref().unwrap_or_default()),
        group: narrow_without_blanks(&written.group).to_uppercase(),
        fields: fields(&written.fields),
    }
}

/// Returns the fields with every text in them mended; numbers and shapes stay.
pub(super) fn fields(written: &Map<String, Value>) -> Map<String, Value> {
    written
        .iter()
        .map(|(name, value)| (one_line(name), mended(value)))
        .collect()
}

/// The depth of values is bounded by the check at the door.
fn mended(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(lines(text)),
        Value::Array(values) => Value::Array(values.iter().map(mended).collect()),
        Value::Object(object) => Value::Object(fields(object)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
