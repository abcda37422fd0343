//! One field of a record in other words, for one platform: looked at first, then sent.

use crate::connector::Connectors;
use crate::queue::Queue;
use crate::record::{DeliveryId, FieldError, Record};
use crate::screen::{Rules, look, mask};
use crate::store::{NewOverride, Override, Store, StoreError, patch};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What may be said in other words. Disclosure, unit, text and files are the unit's alone.
const FIELDS: [&str; 11] = [
    "title",
    "doc_no",
    "written_on",
    "area",
    "area_name",
    "column",
    "genre",
    "keywords",
    "abstract",
    "project",
    "credit",
];
/// Longest value, as JSON.
const VALUE_BYTES_MAX: usize = 10_000;
/// Longest reason.
const REASON_CHARS_MAX: usize = 500;

/// A wish to say one field in other words.
#[derive(Debug, Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// JSON pointer into the record, such as `/title`.
    pub pointer: String,
    /// What the platform shall get instead; absent = the record's own words again.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
    /// Only show what would become of it.
    #[serde(default)]
    pub dry_run: bool,
    /// Why; stored and shown.
    #[serde(default)]
    pub reason: String,
}

/// What becomes of an override.
#[derive(Debug, Clone, Serialize)]
pub struct OverridePreview {
    /// The field.
    pub pointer: String,
    /// In which version; a newer one drops the override.
    pub version: i64,
    /// The record's own value; personal data masked.
    pub before: Value,
    /// What the platform gets.
    pub after: Value,
    /// What the platform's contract finds wrong now.
    pub errors_before: Vec<FieldError>,
    /// What it would find wrong then.
    pub errors_after: Vec<FieldError>,
    /// Whether it was carried out.
    pub applied: bool,
    /// All that is said in other words after it.
    pub overrides: Vec<Override>,
}

/// Why an override was refused; nothing happened.
#[derive(Debug, thiserror::Error)]
pub enum OverrideError {
    /// There is no such delivery.
    #[error("没有找到这条推送")]
    Unknown,
    /// The field is not one that may be overridden.
    #[error("“{0}”不能改写；可以改写的有：{1}")]
    Field(String, String),
    /// The record has nothing there.
    #[error("这条信息没有“{0}”这个字段")]
    Missing(String),
    /// The value is not of the field's kind.
    #[error("改写后的内容不符合字段格式：{0}")]
    Kind(String),
    /// The value may not be shown to the public.
    #[error("改写后的内容不能公开：{0}")]
    NotPublic(String),
    /// No reason, or too much of one.
    #[error("请填写原因（1 至 {REASON_CHARS_MAX} 字）")]
    Reason,
    /// It is being sent, held, to be gone, or has changed.
    #[error("这条推送正在推送、已被暂扣、要撤下或刚刚有了变化，没有执行，请稍后再看")]
    NotOpen,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an override needs of the hub.
pub struct Desk<'a> {
    /// Where it is kept.
    pub store: &'a Store,
    /// What wakes the sender.
    pub queue: &'a dyn Queue,
    /// Whose contracts are asked.
    pub connectors: &'a Connectors,
    /// What may not go out.
    pub rules: &'a Rules,
}

/// Shows, and unless it is a dry run carries out, what `request` asks of a delivery for `actor`.
///
/// # Errors
/// See [`OverrideError`].
pub async fn override_field(
    desk: &Desk<'_>,
    delivery: &DeliveryId,
    request: OverrideRequest,
    actor: &str,
) -> Result<OverridePreview, OverrideError> {
    let store = desk.store;
    let view = store
        .delivery(delivery)
        .await?
        .ok_or(OverrideError::Unknown)?;
    let document = store
        .document_of(delivery)
        .await?
        .ok_or(OverrideError::NotOpen)?;
    let before = own_value(&document, &request.pointer)?;
    let after = request.value.clone().unwrap_or_else(|| before.clone());
    check(desk.rules, &document, &request.pointer, &after)?;
    let now: Vec<(String, Value)> = store
        .overrides(delivery)
        .await?
        .into_iter()
        .map(|it| (it.pointer, it.value))
        .collect();
    let mut then = now.clone();
    then.retain(|(pointer, _)| *pointer != request.pointer);
    then.push((request.pointer.clone(), after.clone()));
    let errors = |patches: &[(String, Value)]| match desk.connectors.get(&view.platform) {
        Some(connector) => connector.contract_errors(&patched(&document, patches)),
        None => Vec::new(),
    };
    let mut preview = OverridePreview {
        errors_before: errors(&now),
        errors_after: errors(&then),
        version: view.version,
        before: masked(&before),
        after,
        applied: false,
        overrides: Vec::new(),
        pointer: request.pointer.clone(),
    };
    if !request.dry_run {
        let reason = request.reason.trim().to_owned();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            return Err(OverrideError::Reason);
        }
        let new = NewOverride {
            delivery: delivery.clone(),
            version: view.version,
            pointer: request.pointer,
            before: preview.before.clone(),
            value: request.value,
            reason,
            actor: actor.to_owned(),
        };
        if !store.override_field(&new).await? {
            return Err(OverrideError::NotOpen);
        }
        preview.applied = true;
        desk.queue
            .offer(&view.platform, std::slice::from_ref(delivery));
        tracing::info!(delivery.id = %delivery, actor, pointer = new.pointer, "{actor} overrides {} for {}", new.pointer, view.platform);
    }
    preview.overrides = store.overrides(delivery).await?;
    Ok(preview)
}

fn own_value(document: &Value, pointer: &str) -> Result<Value, OverrideError> {
    let first = pointer
        .strip_prefix('/')
        .and_then(|it| it.split('/').next());
    if !first.is_some_and(|field| FIELDS.contains(&field)) {
        return Err(OverrideError::Field(pointer.to_owned(), FIELDS.join("、")));
    }
    document
        .pointer(pointer)
        .cloned()
        .ok_or_else(|| OverrideError::Missing(pointer.to_owned()))
}

/// An override goes through the gates as the record itself did.
fn check(
    rules: &Rules,
    document: &Value,
    pointer: &str,
    after: &Value,
) -> Result<(), OverrideError> {
    if after.to_string().len() > VALUE_BYTES_MAX {
        return Err(OverrideError::Kind(format!("超过 {VALUE_BYTES_MAX} 字节")));
    }
    let patches = [(pointer.to_owned(), after.clone())];
    serde_json::from_value::<Record>(patched(document, &patches))
        .map_err(|error| OverrideError::Kind(error.to_string()))?;
    let mut texts = Vec::new();
    gather(after, &mut texts);
    match look(&texts.join("\n"), rules).first() {
        None => Ok(()),
        Some(found) => Err(OverrideError::NotPublic(format!(
            "{} {}",
            found.code.as_str(),
            found.shown
        ))),
    }
}

fn gather<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|it| gather(it, texts)),
        Value::Object(fields) => fields.values().for_each(|it| gather(it, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn patched(document: &Value, patches: &[(String, Value)]) -> Value {
    let mut record = document.clone();
    patch(&mut record, patches);
    record
}

fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(text).into_owned()),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), masked(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
