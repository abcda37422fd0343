//! Reads an answer: what it means, what it carries, and when to come back.
//!
//! The rules are the connector's, in order, those over the body before those over the status
//! (`domain` failure 1: HTTP 200 with an error inside). What no rule recognises is
//! [`Verdict::Unknown`] and never counted as delivered.

use super::compiled::{CompiledRules, CompiledStep};
use super::response::Response;
use super::template::{TemplateId, Templates};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Done.
    Ok,
    /// The platform already has it.
    Duplicate,
    /// The platform has a newer version.
    Stale,
    /// Try again later.
    Retry,
    /// Try again later, slower; nothing was done.
    RateLimited,
    /// Who we are was not accepted; log in anew.
    Auth,
    /// Never going to work with this content.
    Reject,
    /// No rule recognises the answer.
    Unknown,
}

impl Verdict {
    /// Returns the word used in JSON, SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Retry => "retry",
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::Reject => "reject",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What it means.
    pub verdict: Verdict,
    /// The platform's own code.
    pub code: Option<String>,
    /// The platform's own words, cut to a readable length.
    pub message: Option<String>,
    /// What the step wanted to keep; only of `ok` and `duplicate`.
    pub captured: Map<String, Value>,
    /// Milliseconds the platform asks us to wait (RFC 9110 §10.2.3, seconds or date).
    pub retry_after_ms: Option<u64>,
}

const MESSAGE_CHARS_MAX: usize = 300;

/// Reads `response` by the rules of `step`, then by those of the connector.
pub(super) fn judge(
    templates: &Templates,
    step: &CompiledStep,
    common: &CompiledRules,
    response: &Response,
    now_ms: i64,
) -> Judgement {
    let view = response.view();
    let word = |id: &Option<TemplateId>| {
        id.as_ref().and_then(|id| {
            let value = templates.ask(id, &view);
            (!value.is_undefined() && !value.is_none())
                .then(|| value.to_string().chars().take(MESSAGE_CHARS_MAX).collect())
        })
    };
    let body_rule = [&step.rules, common]
        .into_iter()
        .flat_map(|rules| &rules.body)
        .find(|rule| templates.ask(&rule.when, &view).is_true());
    let (verdict, code, message) = match body_rule {
        Some(rule) => (rule.verdict, word(&rule.code), word(&rule.message)),
        None => {
            let status_rule = [&step.rules, common]
                .into_iter()
                .flat_map(|rules| &rules.status)
                .find(|rule| rule.status.matches(response.status));
            let verdict = status_rule.map_or(Verdict::Unknown, |rule| rule.verdict);
            (verdict, Some(format!("HTTP {}", response.status)), None)
        }
    };
    let mut captured = Map::new();
    if matches!(verdict, Verdict::Ok | Verdict::Duplicate) {
        for (name, question) in &step.capture {
            let value = templates.ask(question, &view);
            if !value.is_undefined() && !value.is_none() {
                let value = serde_json::to_value(&value).unwrap_or(Value::Null);
                captured.insert(name.clone(), value);
            }
        }
    }
    Judgement {
        verdict,
        code,
        message,
        captured,
        retry_after_ms: response.retry_after_ms(now_ms),
    }
}

/// Returns what is wrong with the rules and captures of `step` themselves.
pub(super) fn mistakes(
    templates: &Templates,
    step: &CompiledStep,
    common: &CompiledRules,
    response: &Response,
) -> Vec<String> {
    let view = response.view();
    let rules = step.rules.body.iter().chain(&common.body).flat_map(|rule| {
        let words = rule.code.iter().chain(&rule.message);
        std::iter::once(&rule.when).chain(words)
    });
    rules
        .chain(step.capture.iter().map(|(_, question)| question))
        .filter_map(|question| templates.mistake_in(question, &view))
        .collect()
}
