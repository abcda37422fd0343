//! What a 200 and a 202 carry, and how records are shown: personal data masked.

use crate::connector::Connectors;
use crate::intake::{Accepted, Told, sentence};
use crate::screen::mask;
use crate::store::{DeliveryHead, RecordHead};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What became of a submission.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SubmissionAnswer {
    /// Whether there is a new version; false when the same was there already.
    pub changed: bool,
    /// Id of the record, made by the hub.
    pub record_id: String,
    /// The newest revision of the sender.
    pub revision: i64,
    /// The newest version of the hub.
    pub version: i64,
    /// `live`, `held` or `withdrawn`.
    pub state: &'static str,
    /// One Chinese sentence for the clerk.
    pub message: String,
    /// Why it does not go out: `{code, detail}`.
    #[schema(value_type = Vec<Object>)]
    pub holds: Vec<crate::record::Hold>,
    /// Where it stands on each platform.
    pub deliveries: Vec<DeliveryAnswer>,
    /// What should be mended before a platform complains: `{platform, pointer, code, detail}`.
    #[schema(value_type = Vec<Object>)]
    pub warnings: Vec<crate::record::Warning>,
}

/// Where a record stands on one platform.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct DeliveryAnswer {
    /// Id of the delivery.
    pub id: String,
    /// The platform.
    pub platform: String,
    /// The platform's name.
    pub platform_name: String,
    /// One of the states of a delivery.
    pub state: &'static str,
    /// The state in Chinese.
    pub state_text: &'static str,
    /// `shown` or `gone`.
    pub wanted: &'static str,
    /// The version it shall show.
    pub version: i64,
    /// The version it shows, as far as the hub knows.
    pub shown_version: Option<i64>,
    /// Where the public sees it.
    pub url: Option<String>,
}

impl SubmissionAnswer {
    /// Makes the answer to a submission that was taken in.
    pub(super) fn of(accepted: Accepted, connectors: &Connectors) -> Self {
        let message = sentence(accepted.changed, &accepted.head, connectors);
        Self::of_head(accepted.changed, accepted.head, message, connectors)
    }

    /// Returns what the shape of another sender may tell of it.
    pub(super) fn told(self, status: StatusCode) -> Told {
        Told {
            success: true,
            status: status.as_u16(),
            code: "ok".to_owned(),
            message: self.message,
            record_id: self.record_id,
            version: Some(self.version),
            revision: Some(self.revision),
            state: self.state.to_owned(),
        }
    }

    /// Makes the answer about a record as it stands.
    pub(super) fn of_head(
        changed: bool,
        head: RecordHead,
        message: String,
        connectors: &Connectors,
    ) -> Self {
        Self {
            changed,
            record_id: head.record_id.to_string(),
            revision: head.revision,
            version: head.version,
            state: head.state.as_str(),
            message,
            deliveries: head
                .deliveries
                .iter()
                .map(|it| DeliveryAnswer::of(it, connectors))
                .collect(),
            holds: head.holds,
            warnings: head.warnings,
        }
    }
}

impl DeliveryAnswer {
    fn of(delivery: &DeliveryHead, connectors: &Connectors) -> Self {
        let name = connectors
            .get(&delivery.platform)
            .map(|it| it.name().to_owned());
        Self {
            id: delivery.id.to_string(),
            platform_name: name.unwrap_or_else(|| delivery.platform.clone()),
            platform: delivery.platform.clone(),
            state: delivery.state.as_str(),
            state_text: delivery.state.chinese(),
            wanted: delivery.wanted.as_str(),
            version: delivery.version,
            shown_version: delivery.shown_version,
            url: delivery.remote_url.clone(),
        }
    }
}

/// Keys whose values are made by the hub or a platform and never hold personal data; an id that
/// looks like a number must not be blotted out.
const PLAIN_KEYS: [&str; 12] = [
    "id",
    "record_id",
    "delivery_id",
    "submission_id",
    "sha256",
    "content_sha256",
    "remote_id",
    "remote_url",
    "index_no",
    "code",
    "source_id",
    "lease_owner",
];

/// Returns `value` as it may be shown: identity cards, mobiles and bank cards masked in every text.
pub(crate) fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => match mask(&text) {
            std::borrow::Cow::Borrowed(_) => Value::String(text),
            std::borrow::Cow::Owned(masked) => Value::String(masked),
        },
        Value::Array(list) => Value::Array(list.into_iter().map(masked).collect()),
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| match PLAIN_KEYS.contains(&key.as_str()) {
                    true if value.is_string() => (key, value),
                    _ => (key, masked(value)),
                })
                .collect(),
        ),
        other => other,
    }
}
