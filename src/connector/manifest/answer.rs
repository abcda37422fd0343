//! How an answer is read: ordered rules over the body and the status.

use super::super::classify::Verdict;
use serde::Deserialize;

/// Ordered rules that read an answer: the body's first, then the status's; nothing matches = unknown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classify {
    /// Rules over the whole answer.
    pub body: Vec<BodyRule>,
    /// Rules over the status alone.
    pub status: Vec<StatusRule>,
}

/// One rule over the whole answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyRule {
    /// Expression over `status headers json xml text`.
    pub when: String,
    /// What the answer means.
    pub verdict: Verdict,
    /// Expression: the platform's own code.
    #[serde(default)]
    pub code: Option<String>,
    /// Expression: the platform's own words.
    #[serde(default)]
    pub message: Option<String>,
}

/// One rule over the status.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRule {
    /// `404`, `5xx` …
    pub status: StatusPattern,
    /// What the answer means.
    pub verdict: Verdict,
}

/// A status or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StatusPattern {
    /// Exactly this one.
    Exactly(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl StatusPattern {
    /// Returns whether `status` fits.
    pub fn matches(self, status: u16) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == status,
            Self::Class(first) => status / 100 == first,
        }
    }
}

impl TryFrom<String> for StatusPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let class = text.strip_suffix("xx").and_then(|first| first.parse().ok());
        if let Some(first @ 1..=5) = class {
            return Ok(Self::Class(first));
        }
        match text.parse() {
            Ok(exactly @ 100..=599) => Ok(Self::Exactly(exactly)),
            _ => Err(format!(
                "status `{text}` is neither like \"404\" nor like \"5xx\""
            )),
        }
    }
}
