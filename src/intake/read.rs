//! From the bytes of a request to a [`Submission`]: native, or through a source profile.

use super::format::{self, Document, Format, is_file};
use super::profile::{Profile, Profiles};
use super::schema::{self, strict};
use crate::record::{FieldError, Submission, Warning};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Members that only a native submission has at its top.
const NATIVE_MEMBERS: [&str; 2] = ["source_id", "entry"];
/// Member of a form that holds a whole native submission as JSON.
const WHOLE_MEMBER: &str = "submission";

/// What came in, before anything is known about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Incoming<'a> {
    /// The bytes.
    pub body: &'a [u8],
    /// What the header claims; may be empty.
    pub content_type: &'a str,
    /// The source profile that the sender chose.
    pub profile: Option<&'a Arc<Profile>>,
}

impl<'a> Incoming<'a> {
    /// Makes what is native JSON, as far as anybody knows.
    pub fn native(body: &'a [u8]) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }
}

/// A body that was read, as the JSON of a native submission.
#[derive(Debug)]
pub struct Translation {
    /// The profile that read it; none for the native shape.
    pub profile: Option<Arc<Profile>>,
    /// The native submission, not yet checked, and what the profile could not place; or everything
    /// that is wrong with the body.
    pub native: Result<(Value, Vec<Warning>), Vec<FieldError>>,
}

/// A body that was read and checked.
#[derive(Debug)]
pub struct Reading {
    /// The profile that read it; none for the native shape.
    pub profile: Option<Arc<Profile>>,
    /// What it says, and what the profile could not place; or everything that is wrong with it.
    pub submission: Result<(Submission, Vec<Warning>), Vec<FieldError>>,
}

impl Profiles {
    /// Reads what came in and checks it against the schema.
    pub fn read(&self, incoming: Incoming<'_>) -> Reading {
        let Translation { profile, native } = self.translate(incoming);
        let submission =
            native.and_then(|(value, warnings)| Ok((schema::submission(value)?, warnings)));
        Reading {
            profile,
            submission,
        }
    }

    /// Reads what came in. Without a chosen profile it is native; what is not is read by the one
    /// profile that recognises it.
    pub fn translate(&self, incoming: Incoming<'_>) -> Translation {
        let document = match format::read(incoming.content_type, incoming.body) {
            Ok(document) => document,
            Err(errors) => {
                return Translation {
                    profile: incoming.profile.cloned(),
                    native: Err(errors),
                };
            }
        };
        let profile = match incoming.profile {
            Some(profile) => Some(profile),
            None if is_native(&document) => None,
            None => self.recognise(&document),
        };
        let native = match profile {
            Some(profile) => self.fill(profile, document),
            None => self.native(document).map(|value| (value, Vec::new())),
        };
        Translation {
            profile: profile.cloned(),
            native,
        }
    }

    fn native(&self, document: Document) -> Result<Value, Vec<FieldError>> {
        match (document.format, document.tree) {
            (Format::Json, tree) => Ok(tree),
            (Format::Form | Format::Multipart, Value::Object(members))
                if has_native_member(&members) =>
            {
                of_form(members)
            }
            (format, _) => Err(self.unknown_shape(format)),
        }
    }

    fn unknown_shape(&self, format: Format) -> Vec<FieldError> {
        let detail = format!(
            "认不出这份{}是哪个系统的格式，请在地址后加 ?profile=来源方案；可用的有：{}。",
            format.chinese(),
            self.ids().join("、")
        );
        vec![FieldError::new("", "profile_needed", detail)]
    }
}

fn is_native(document: &Document) -> bool {
    match &document.tree {
        Value::Object(members) => document.format != Format::Xml && has_native_member(members),
        _ => false,
    }
}

fn has_native_member(members: &Map<String, Value>) -> bool {
    members.contains_key(WHOLE_MEMBER)
        || NATIVE_MEMBERS
            .iter()
            .any(|name| members.contains_key(*name))
}

/// Returns the native submission of a form: one member with all of it, or its members one by one;
/// `entry` is JSON. Files join its attachments.
fn of_form(mut members: Map<String, Value>) -> Result<Value, Vec<FieldError>> {
    let is_files = |value: &Value| match value {
        Value::Array(items) => items.iter().all(is_file),
        one => is_file(one),
    };
    let names: Vec<String> = members
        .iter()
        .filter(|(_, value)| is_files(value))
        .map(|(name, _)| name.clone())
        .collect();
    let mut files = Vec::new();
    for name in names {
        match members.shift_remove(&name) {
            Some(Value::Array(items)) => files.extend(items),
            Some(one) => files.push(one),
            None => {}
        }
    }
    let mut native = match members.shift_remove(WHOLE_MEMBER) {
        Some(Value::String(text)) => inside(WHOLE_MEMBER, &text)?,
        Some(other) => other,
        None => {
            if let Some(Value::String(text)) = members.get("entry") {
                let entry = inside("entry", text)?;
                members.insert("entry".to_owned(), entry);
            }
            if let Some(Value::String(text)) = members.get("revision")
                && let Ok(number) = text.trim().parse::<i64>()
            {
                members.insert("revision".to_owned(), Value::from(number));
            }
            Value::Object(members)
        }
    };
    if !files.is_empty()
        && let Some(entry) = native.get_mut("entry").and_then(Value::as_object_mut)
    {
        let known = entry.entry("attachments").or_insert_with(|| json!([]));
        if let Value::Array(known) = known {
            known.extend(files);
        }
    }
    Ok(native)
}

/// Reads the JSON in a member of a form.
fn inside(member: &str, text: &str) -> Result<Value, Vec<FieldError>> {
    strict::parse(text).map_err(|errors| {
        let told = |error: FieldError| match (member, error.pointer.is_empty()) {
            // Pointers lead into the submission, whatever member it came in.
            (WHOLE_MEMBER, false) => error,
            _ => FieldError {
                pointer: format!("/{member}{}", error.pointer),
                ..error
            },
        };
        errors.into_iter().map(told).collect()
    })
}

#[cfg(test)]
mod tests;
