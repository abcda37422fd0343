//! `application/x-www-form-urlencoded`, in whatever charset it was escaped.

use super::{MEMBERS_MAX, check_text, enter, unknown_charset};
use crate::normalise::{Charset, unescaped};
use crate::record::FieldError;
use crate::schema::below;
use serde_json::{Map, Value};

/// Reads a form.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Vec<FieldError>> {
    let plain = unescaped(body);
    // One charset for all of it: a short name alone may look like anything.
    let charset = Charset::of(content_type, &plain);
    let decoded = |piece: &[u8]| {
        let plain = unescaped(piece);
        let text = charset.decode(&plain).map(|text| text.into_owned());
        text.ok_or_else(|| vec![unknown_charset(&plain)])
    };
    let mut members = Map::new();
    let pairs = body.split(|byte| *byte == b'&').filter(|it| !it.is_empty());
    for (place, pair) in pairs.enumerate() {
        if place == MEMBERS_MAX {
            let detail = format!("表单超过{MEMBERS_MAX}个字段，请检查。");
            return Err(vec![FieldError::new("", "too_many_fields", detail)]);
        }
        let split = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = match split {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[..0]),
        };
        let (name, value) = (decoded(name)?, decoded(value)?);
        check_text(String::new, &name)?;
        check_text(|| below("", &name), &value)?;
        enter(&mut members, name, Value::String(value));
    }
    if members.is_empty() {
        let detail = "表单没有任何字段，请检查提交内容。";
        return Err(vec![FieldError::new("", "form_invalid", detail)]);
    }
    Ok(members)
}
