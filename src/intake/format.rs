//! From the bytes of a request to a document: JSON, XML, a form, or a form of several parts.
//!
//! Owns charset and format at the door. The header only decides where the bytes leave a doubt. What
//! a document means is no business of this module: that is [`super::profile`].

mod form;
mod multipart;
mod xml;

use super::schema::strict;
use crate::normalise::Charset;
use crate::record::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Members of a form, and parts of a body: no form of an OA has so many.
const MEMBERS_MAX: usize = 1_000;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON value.
    Json,
    /// One XML element.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
}

impl Format {
    /// Returns the name that a clerk may read.
    pub(super) fn chinese(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Xml => "XML",
            Self::Form => "表单（x-www-form-urlencoded）",
            Self::Multipart => "多部分表单（multipart/form-data）",
        }
    }
}

/// A body that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// How it was written.
    pub(super) format: Format,
    /// What it says. XML: an element with neither attributes nor elements inside is its text, any
    /// other an object of its elements, its `@attributes` and its `#text`; elements of one name are
    /// a list. A file of several parts: see [`is_file`].
    pub(super) tree: Value,
}

/// Key of the content of a file that came as a part.
pub(super) const FILE_CONTENT: &str = "content_base64";

/// Whether a value is a file that came as a part: `{name, media_type, content_base64}`.
pub(super) fn is_file(value: &Value) -> bool {
    value[FILE_CONTENT].is_string()
}

/// Reads a body.
///
/// # Errors
/// Why it cannot be read; the pointer leads into the document, if to anything.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Document, Vec<FieldError>> {
    let media_type = media_type(content_type);
    if let Some(boundary) = multipart::boundary(content_type, &media_type, body) {
        return multipart::read(content_type, &boundary, body).map(|members| Document {
            format: Format::Multipart,
            tree: Value::Object(members),
        });
    }
    // Many a client calls everything a form that it was not told about.
    if media_type == "application/x-www-form-urlencoded" && !begins_like_a_document(body) {
        return form::read(content_type, body).map(|members| Document {
            format: Format::Form,
            tree: Value::Object(members),
        });
    }
    let text = text(content_type, body)?;
    match text.trim_start().starts_with('<') {
        true => xml::read(&text).map(|tree| Document {
            format: Format::Xml,
            tree,
        }),
        false => strict::parse(&text).map(|tree| Document {
            format: Format::Json,
            tree,
        }),
    }
}

/// Returns a whole body as text.
pub(super) fn text<'a>(
    content_type: &str,
    body: &'a [u8],
) -> Result<Cow<'a, str>, Vec<FieldError>> {
    Charset::of(content_type, body)
        .decode(body)
        .ok_or_else(|| vec![unknown_charset(body)])
}

fn media_type(content_type: &str) -> String {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

fn begins_like_a_document(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'<'))
}

fn unknown_charset(body: &[u8]) -> FieldError {
    let detail = match std::str::from_utf8(body) {
        Err(error) => format!(
            "提交内容第{}个字节处既不是正确的 UTF-8，也不是 GBK 或 GB18030，请检查字符集设置。",
            error.valid_up_to() + 1
        ),
        Ok(_) => "提交内容的字符集与声明的不符，请检查字符集设置。".to_owned(),
    };
    FieldError::new("", "encoding", detail)
}

/// Enters a member; members of one name become a list.
fn enter(members: &mut Map<String, Value>, name: String, value: Value) {
    match members.get_mut(&name) {
        None => drop(members.insert(name, value)),
        Some(Value::Array(known)) => known.push(value),
        Some(known) => {
            let first = known.take();
            *known = Value::Array(vec![first, value]);
        }
    }
}

/// Says that a text holds what no text may hold.
fn check_text(pointer: impl FnOnce() -> String, text: &str) -> Result<(), Vec<FieldError>> {
    let Some(character) = crate::normalise::text::forbidden_character(text) else {
        return Ok(());
    };
    let detail = format!(
        "提交内容含有不可见的控制字符（U+{:04X}），请删除后重新提交。",
        u32::from(character)
    );
    Err(vec![FieldError::new(
        pointer(),
        "control_character",
        detail,
    )])
}

#[cfg(test)]
mod tests;
