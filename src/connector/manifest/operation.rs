//! What can be done with a record on the platform: operations, their steps, the bodies of these.

use super::Classify;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What can be done with a record on the platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// Makes the object.
    pub publish: Steps,
    /// Replaces it; absent = `publish` does.
    #[serde(default)]
    pub update: Option<Steps>,
    /// Takes it down.
    #[serde(default)]
    pub withdraw: Option<Steps>,
    /// Finds it by our key: captures `remote_id` when it is there, and `remote_version` if told.
    #[serde(default)]
    pub look_up: Option<Steps>,
    /// Fetches what the public sees.
    #[serde(default)]
    pub read_back: Option<ReadBack>,
}

/// The steps of an operation, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// At least one.
    pub steps: Vec<Step>,
}

/// The read-back and what it must find.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadBack {
    /// At least one.
    pub steps: Vec<Step>,
    /// Expression over `captured`, `record` and `remote`: what is shown equals the record.
    pub confirmed: String,
    /// Expression: it is not there; absent = nothing was captured.
    #[serde(default)]
    pub missing: Option<String>,
    /// Expression: this version is kept and not public yet.
    #[serde(default)]
    pub under_review: Option<String>,
    /// Expression: an older version is shown, or a part of this one. What is none of these was
    /// altered on the platform.
    #[serde(default)]
    pub stale: Option<String>,
    /// Milliseconds from delivery to the first look, and between looks at first.
    #[serde(default = "recheck_ms_default")]
    pub recheck_ms: u64,
    /// So many looks, then the delivery stays `delivered`.
    #[serde(default = "looks_max_default")]
    pub looks_max: i64,
}

fn recheck_ms_default() -> u64 {
    2_000
}

fn looks_max_default() -> i64 {
    20
}

/// One request (or, with `for_each`, one request per item).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique in its operation; shown in attempts.
    pub name: String,
    /// HTTP method.
    #[serde(default = "post")]
    pub method: String,
    /// Template: path from the base address, or a whole address on an allowed host.
    pub path: String,
    /// Header → template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the body is.
    #[serde(default)]
    pub body: BodyKind,
    /// File under `templates/`, for json, xml and text bodies.
    #[serde(default)]
    pub template: Option<String>,
    /// Name of the charset the body is written in, for xml, text and form bodies.
    #[serde(default = "utf8")]
    pub charset: String,
    /// What becomes of a character the charset lacks.
    #[serde(default)]
    pub unmappable: Unmappable,
    /// `Content-Type`, if the usual one of the body kind does not do.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Field → template, for form bodies.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// Parts in order, for multipart bodies.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Expression that gives a list: one request per item, seen as `item`.
    #[serde(default)]
    pub for_each: Option<String>,
    /// Expression: the step is left out when false.
    #[serde(default)]
    pub when: Option<String>,
    /// Name → expression over the answer.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    /// Rules of this step, tried before those of the connector.
    #[serde(default)]
    pub classify: Classify,
}

fn post() -> String {
    "POST".to_owned()
}

fn utf8() -> String {
    "utf-8".to_owned()
}

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// None.
    #[default]
    None,
    /// RFC 8259; checked after rendering.
    Json,
    /// XML 1.0 in a declared charset; checked after rendering.
    Xml,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`, RFC 7578
    Multipart,
    /// Anything else.
    Text,
}

/// What becomes of a character the charset of a body lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmappable {
    /// The delivery fails and names the character.
    #[default]
    Refuse,
    /// A numeric character reference; right in XML text, garbage inside CDATA.
    Ncr,
    /// A question mark.
    QuestionMark,
}

/// One part of a multipart body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Form field name.
    pub name: String,
    /// Expression that gives a list: one part per item, seen as `item`.
    #[serde(default)]
    pub for_each: Option<String>,
    /// Template of the value; or `template`, or `file`.
    #[serde(default)]
    pub value: Option<String>,
    /// File under `templates/`.
    #[serde(default)]
    pub template: Option<String>,
    /// Template that gives the SHA-256 of an attachment: its bytes are the part.
    #[serde(default)]
    pub file: Option<String>,
    /// Template of the file name.
    #[serde(default)]
    pub filename: Option<String>,
    /// Template of the part's content type.
    #[serde(default)]
    pub media_type: Option<String>,
}
