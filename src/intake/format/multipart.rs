//! `multipart/form-data` (RFC 7578): texts in whatever charset, files as they are.
//!
//! The parts are all there already, so that nothing is streamed; a body without its last boundary
//! was cut and is refused. A file becomes Base64 in memory, a third more than came: over HTTP the
//! whole body is at most `http.body_bytes_max`, so that a larger file can only be given by address;
//! on the command line it is as large as the file that the operator names.

use super::{MEMBERS_MAX, check_text, enter, unknown_charset};
use crate::normalise::{Charset, unescaped};
use crate::record::FieldError;
use crate::schema::below;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// Longest boundary (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// Longest head of a part.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Returns the boundary of a body that has several parts; where the header forgot it, the first
/// line tells.
pub(super) fn boundary(content_type: &str, media_type: &str, body: &[u8]) -> Option<Vec<u8>> {
    let claimed = media_type.starts_with("multipart/");
    if !claimed && !media_type.is_empty() {
        return None;
    }
    let named = claimed.then(|| parameter(content_type.as_bytes(), "boundary"));
    if let Some(boundary) = named.flatten().filter(|it| !it.is_empty()) {
        return Some(boundary);
    }
    let line = body.split(|byte| *byte == b'\n').next()?;
    let boundary = line.trim_ascii_end().strip_prefix(b"--")?;
    let is_boundary = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary.iter().all(u8::is_ascii_graphic)
        && line.len() < body.len();
    is_boundary.then(|| boundary.to_vec())
}

/// The name of a file, as far as it is known before the charset of the body is.
enum FileName {
    Raw(Vec<u8>),
    Text(String),
}

struct Part<'a> {
    name: Vec<u8>,
    /// None for a text.
    file_name: Option<FileName>,
    media_type: Option<String>,
    is_base64: bool,
    content: &'a [u8],
}

/// Reads the parts of a body.
pub(super) fn read(
    content_type: &str,
    boundary: &[u8],
    body: &[u8],
) -> Result<Map<String, Value>, Vec<FieldError>> {
    let parts = parts(boundary, body).map_err(|error| vec![error])?;
    let mut texts = Vec::new();
    for part in &parts {
        texts.extend_from_slice(&part.name);
        match &part.file_name {
            Some(FileName::Raw(file_name)) => texts.extend_from_slice(file_name),
            Some(FileName::Text(_)) => {}
            None => texts.extend_from_slice(part.content),
        }
        texts.push(b'\n');
    }
    let charset = Charset::of(content_type, &texts);
    let decoded = |bytes: &[u8]| {
        let text = charset.decode(bytes).map(|text| text.into_owned());
        text.ok_or_else(|| vec![unknown_charset(bytes)])
    };
    let mut members = Map::new();
    for part in parts {
        let name = decoded(&part.name)?;
        check_text(String::new, &name)?;
        let value = match part.file_name {
            None => {
                let text = decoded(part.content)?;
                check_text(|| below("", &name), &text)?;
                Value::String(text)
            }
            Some(file_name) => {
                let file_name = match file_name {
                    FileName::Raw(bytes) => decoded(&bytes)?,
                    FileName::Text(text) => text,
                };
                // Browsers send a part for a file that was not chosen.
                if file_name.is_empty() && part.content.is_empty() {
                    continue;
                }
                check_text(|| below("", &name), &file_name)?;
                let content = match part.is_base64 {
                    true => decoded(part.content)?,
                    false => BASE64_STANDARD.encode(part.content),
                };
                json!({"name": file_name, "media_type": part.media_type, "content_base64": content})
            }
        };
        enter(&mut members, name, value);
    }
    Ok(members)
}

fn parts<'a>(boundary: &[u8], body: &'a [u8]) -> Result<Vec<Part<'a>>, FieldError> {
    if boundary.len() > BOUNDARY_BYTES_MAX {
        return Err(broken("boundary 过长"));
    }
    let delimiter = [b"--", boundary].concat();
    let finder = memchr::memmem::Finder::new(&delimiter);
    let mut parts = Vec::new();
    // Where the content of the part begins that was found last.
    let mut open: Option<usize> = None;
    let mut from = 0;
    while let Some(found) = finder.find(&body[from..]).map(|at| from + at) {
        from = found + delimiter.len();
        let at_line_start = found == 0 || body[found - 1] == b'\n';
        let rest = &body[from..];
        let is_last = rest.starts_with(b"--");
        let line_end = rest.iter().position(|byte| *byte == b'\n');
        let is_line = line_end.is_some_and(|end| rest[..end].trim_ascii().is_empty());
        if !at_line_start || !(is_last || is_line) {
            continue;
        }
        if let Some(start) = open {
            let content = &body[start..found.max(start)];
            let content = content.strip_suffix(b"\n").unwrap_or(content);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            parts.push(part(content)?);
            if parts.len() > MEMBERS_MAX {
                let detail = format!("表单超过{MEMBERS_MAX}个部分，请检查。");
                return Err(FieldError::new("", "too_many_fields", detail));
            }
        }
        if is_last {
            return match parts.is_empty() {
                true => Err(broken("没有任何部分")),
                false => Ok(parts),
            };
        }
        from += line_end.map_or(0, |end| end + 1);
        open = Some(from);
    }
    Err(broken(match open {
        Some(_) => "没有结束标记，可能在传输中被截断",
        None => "找不到声明的 boundary",
    }))
}

fn part(bytes: &[u8]) -> Result<Part<'_>, FieldError> {
    let (head, content) = split_head(bytes).ok_or_else(|| broken("某一部分没有正确的头"))?;
    let mut part = Part {
        name: Vec::new(),
        file_name: None,
        media_type: None,
        is_base64: false,
        content,
    };
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-disposition") {
            part.name = parameter(value, "name").unwrap_or_default();
            part.file_name = extended(value, "filename")
                .or_else(|| parameter(value, "filename").map(FileName::Raw));
        } else if name.eq_ignore_ascii_case(b"content-type") {
            part.media_type = Some(super::media_type(&String::from_utf8_lossy(value)));
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let encoding = value.to_ascii_lowercase();
            match encoding.as_slice() {
                b"binary" | b"8bit" | b"7bit" => {}
                b"base64" => part.is_base64 = true,
                _ => return Err(broken("某一部分的 Content-Transfer-Encoding 不支持")),
            }
        }
    }
    if part.name.is_empty() {
        return Err(broken("某一部分没有 name"));
    }
    if part.is_base64 && part.file_name.is_none() {
        return Err(broken("文字部分不能使用 base64 传输编码"));
    }
    Ok(part)
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = end;
        end += line.len();
        if line.trim_ascii().is_empty() && line.ends_with(b"\n") {
            return Some((&bytes[..start], &bytes[end..]));
        }
        if end > HEAD_BYTES_MAX {
            return None;
        }
    }
    // A part may end with its head.
    bytes.is_empty().then_some((bytes, bytes))
}

/// Returns a parameter of a header: `name="…"` or `name=…`.
fn parameter(header: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let mut rest = header;
    loop {
        let semicolon = outside_quotes(rest, b';')?;
        rest = rest[semicolon + 1..].trim_ascii_start();
        let end = outside_quotes(rest, b';').unwrap_or(rest.len());
        let Some(equals) = rest[..end].iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (
            rest[..equals].trim_ascii(),
            rest[equals + 1..end].trim_ascii(),
        );
        if name.eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(unquoted(value));
        }
    }
}

/// Returns where `wanted` stands outside quotation marks.
fn outside_quotes(bytes: &[u8], wanted: u8) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    bytes.iter().position(|&byte| {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
        byte == wanted && !quoted
    })
}

fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
    else {
        return value.to_vec();
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        // Only a quotation mark needs it: old browsers send whole Windows paths, and the second
        // byte of a GBK letter may be a backslash.
        match (byte, bytes.peek()) {
            (b'\\', Some(b'"')) => {}
            _ => plain.push(byte),
        }
    }
    plain
}

/// Returns a parameter in the extended notation, `filename*=UTF-8''…` (RFC 5987).
fn extended(header: &[u8], wanted: &str) -> Option<FileName> {
    let value = parameter(header, &format!("{wanted}*"))?;
    let mut pieces = value.splitn(3, |byte| *byte == b'\'');
    let charset = pieces.next()?;
    let escaped = pieces.nth(1)?;
    // A plus sign is one here.
    let escaped: Vec<u8> = escaped
        .iter()
        .flat_map(|byte| match byte {
            b'+' => b"%2B".as_slice(),
            other => std::slice::from_ref(other),
        })
        .copied()
        .collect();
    let claim = String::from_utf8_lossy(charset);
    let plain = unescaped(&escaped);
    let text = Charset::of(&format!("charset={claim}"), &plain).decode(&plain)?;
    Some(FileName::Text(text.into_owned()))
}

fn broken(why: &str) -> FieldError {
    let detail = format!("多部分表单无法读取：{why}。");
    FieldError::new("", "multipart_invalid", detail)
}
