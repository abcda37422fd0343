//! What templates know: the record, what is known of the object on the platform, what was captured.

use super::Connector;
use super::auth::Session;
use super::body::base64_or_mark;
use super::request::Files;
use crate::blob::Blob;
use crate::record::RecordId;
use minijinja::{Value, context};
use serde_json::Map;
use std::sync::Arc;

/// What templates know of the delivery at hand.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The canonical record, as JSON.
    pub record: Value,
    /// The same text for each try of this delivery: the idempotency key.
    pub key: String,
    /// The version to be shown.
    pub version: i64,
    /// The platform's id of the object, if known.
    pub remote_id: Option<String>,
    /// The platform's address of the object, if known.
    pub remote_url: Option<String>,
    /// Why it is withdrawn.
    pub reason: Option<String>,
    /// Values captured by the finished steps.
    pub captured: Map<String, serde_json::Value>,
    /// Contents of the attachments; only filled when [`Connector::uses_attachment_bytes`].
    pub files: Files,
}

impl Facts {
    /// Returns whether a request may have to read files from disk.
    pub fn has_large_files(&self) -> bool {
        let mut files = self.files.values();
        files.any(|content| matches!(content, Blob::Disk(_)))
    }

    /// Takes over what a finished step captured, for the steps after it.
    pub fn take_over(&mut self, captured: &Map<String, serde_json::Value>) {
        let text = |name: &str| match captured.get(name) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        self.remote_id = text("remote_id").or(self.remote_id.take());
        self.remote_url = text("remote_url").or(self.remote_url.take());
        self.captured.extend(captured.clone());
    }
}

impl Connector {
    /// Returns all names that templates and expressions over our own data may use.
    pub(super) fn context(&self, facts: &Facts, session: &Session) -> Value {
        context! {
            record => facts.record.clone(),
            delivery => context! { key => facts.key.as_str(), version => facts.version },
            remote => context! { id => facts.remote_id.clone(), url => facts.remote_url.clone() },
            reason => facts.reason.as_deref().unwrap_or("信息已撤回"),
            captured => Value::from(minijinja::value::Serde(&facts.captured)),
            session => Value::from(minijinja::value::Serde(&session.values)),
            secret => self.secrets.clone(),
            setting => self.settings.clone(),
            table => self.tables.clone(),
            unit_codes => self.unit_codes.clone(),
            files => Value::from_object(InlineFiles(facts.files.clone())),
        }
    }
}

/// `files[SHA256]` in templates: the bytes in Base64, encoded only when a template asks for them.
/// For a large file a stand-in, which the body replaces while it is sent.
#[derive(Debug)]
struct InlineFiles(Files);

impl minijinja::value::Object for InlineFiles {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let sha256 = key.as_str()?;
        let content = self.0.get(sha256)?;
        Some(Value::from(base64_or_mark(sha256, content)))
    }
}

/// The idempotency key of a record on any platform: the same for all tries and versions.
pub fn idempotency_key(record: &RecordId) -> String {
    record.to_string()
}
