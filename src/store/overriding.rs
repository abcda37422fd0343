//! One field of a record in other words, for one platform and one version.
//!
//! What a sender or a verification reads of a record is patched here, so that nobody else needs to
//! know. A newer version drops it: the unit's last word wins.

use super::bulk::{Bulk, Kind, cells};
use super::db::{Tx, on, row};
use super::event::{Decision, tell_decision};
use super::outage::read;
use super::platform::{Act, insert_act, new_act_id};
use super::submit::parse_json;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::DeliveryId;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// One field in other words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Override {
    /// JSON pointer into the record.
    pub pointer: String,
    /// What the platform gets instead.
    pub value: Value,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub actor: String,
    /// When.
    pub at: i64,
}

/// A wish to say one field in other words, or, without a value, in the record's own again.
#[derive(Debug, Clone)]
pub struct NewOverride {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The version it was looked at in; another one by now is refused.
    pub version: i64,
    /// JSON pointer into the record.
    pub pointer: String,
    /// The record's own value there.
    pub before: Value,
    /// What the platform shall get instead.
    pub value: Option<Value>,
    /// Why.
    pub reason: String,
    /// Who decides.
    pub actor: String,
}

row! {
    /// An override of one delivery.
    struct OverrideRow { pointer: String, value: String, reason: String, actor: String, at: i64 }
}

row! {
    /// An override of one of several deliveries.
    struct PatchRow { id: String, pointer: String, value: String }
}

const OVERRIDES: &str = "SELECT o.pointer, o.value, o.reason, o.actor, o.at FROM overrides o \
     JOIN deliveries d ON d.id = o.delivery_id WHERE o.delivery_id = $1 \
     AND o.version = d.version ORDER BY o.pointer";
/// The document of what a delivery shows or shall show.
const DOCUMENT: &str = "SELECT v.document FROM deliveries d JOIN versions v \
     ON v.record_id = d.record_id AND v.version = d.version \
     WHERE d.id = $1 AND d.wanted = 'shown'";
const SET: &str = "INSERT INTO overrides (delivery_id, pointer, version, value, reason, actor, at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (delivery_id, pointer) DO UPDATE SET \
     version = excluded.version, value = excluded.value, reason = excluded.reason, \
     actor = excluded.actor, at = excluded.at";
const CLEAR: &str = "DELETE FROM overrides WHERE delivery_id = $1 AND pointer = $2";
/// Sent at once, also when the platform shows the version already; without a known id there, it
/// is looked up first.
const SEND: &str = "UPDATE deliveries SET overridden = TRUE, state = 'queued', \
     due_at = CAST($3 AS BIGINT), tries = 0, first_tried_at = NULL, progress = NULL, \
     settled = CASE WHEN remote_id IS NULL AND claimed > 0 AND settled >= claimed \
     THEN claimed - 1 ELSE settled END, shown_version = NULL, \
     updated_at = CAST($3 AS BIGINT) WHERE id = $1 AND version = $2 AND wanted = 'shown' \
     AND NOT held AND state <> 'sending'";
static PATCHES: Bulk = Bulk::new(
    &[("id", Kind::Text), ("version", Kind::Int)],
    "SELECT given.id, o.pointer, o.value FROM given JOIN overrides o \
     ON o.delivery_id = given.id AND o.version = given.version",
);

#[cfg(test)]
pub(super) const SHARED: [&str; 5] = [OVERRIDES, DOCUMENT, SET, CLEAR, SEND];
#[cfg(test)]
pub(super) static BULKS: [&Bulk; 1] = [&PATCHES];

impl Store {
    /// Returns what of a delivery is said in other words, in its present version.
    pub async fn overrides(&self, delivery: &DeliveryId) -> Result<Vec<Override>, StoreError> {
        let rows: Vec<OverrideRow> = read!(self, "read overrides", |c| sqlx::query_as(OVERRIDES)
            .bind(delivery.as_str())
            .fetch_all(c)
            .await)?;
        rows.into_iter()
            .map(|row| {
                Ok(Override {
                    value: parse_json(&row.value, "overrides.value", delivery.as_str())?,
                    pointer: row.pointer,
                    reason: row.reason,
                    actor: row.actor,
                    at: row.at,
                })
            })
            .collect()
    }

    /// Returns the record of what a delivery shows or shall show, in its own words; `None` when it
    /// shall be gone.
    pub async fn document_of(&self, delivery: &DeliveryId) -> Result<Option<Value>, StoreError> {
        let found: Option<(Option<String>,)> =
            read!(self, "read what a delivery says", |c| sqlx::query_as(
                DOCUMENT
            )
            .bind(delivery.as_str())
            .fetch_optional(c)
            .await)?;
        found
            .and_then(|(document,)| document)
            .map(|text| parse_json(&text, "versions.document", delivery.as_str()))
            .transpose()
    }

    /// Says one field in other words, or in the record's own again, and sends the delivery.
    /// Returns whether that was possible: not while it is sent, held, to be gone, or of another
    /// version by now.
    pub async fn override_field(&self, new: &NewOverride) -> Result<bool, StoreError> {
        let failed = StoreError::while_doing("override a field");
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let sent = send(&mut tx, new.delivery.as_str(), new.version, now)
            .await
            .map_err(&failed)?;
        if !sent {
            return Ok(false);
        }
        write(&mut tx, new, now).await.map_err(&failed)?;
        if self.pools().writes_events() {
            tell_decision(&mut tx, &new.delivery, Decision::Overridden, now)
                .await
                .map_err(&failed)?;
        }
        let act = Act {
            id: new_act_id(),
            at: now,
            actor: new.actor.clone(),
            verb: "override".to_owned(),
            target: new.delivery.to_string(),
            reason: new.reason.clone(),
            detail: json!({
                "pointer": new.pointer, "version": new.version, "before": new.before,
                "after": new.value,
            }),
        };
        insert_act(&mut tx, &act).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        Ok(true)
    }

    /// Returns `document` of a delivery as its platform gets it.
    pub(super) async fn in_other_words(
        &self,
        delivery: &str,
        document: String,
    ) -> Result<String, StoreError> {
        let overrides = self.overrides(&delivery.to_owned().into()).await?;
        let patches: Vec<(String, Value)> = overrides
            .into_iter()
            .map(|it| (it.pointer, it.value))
            .collect();
        patched(document, &patches, delivery)
    }
}

/// Makes a delivery due; returns whether that was possible.
pub(super) async fn send(
    tx: &mut Tx,
    id: &str,
    version: i64,
    now: i64,
) -> Result<bool, sqlx::Error> {
    on!(tx, |c| sqlx::query(SEND)
        .bind(id)
        .bind(version)
        .bind(now)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected() == 1))
}

async fn write(tx: &mut Tx, new: &NewOverride, now: i64) -> Result<(), sqlx::Error> {
    let delivery = new.delivery.as_str();
    match &new.value {
        Some(value) => on!(tx, |c| sqlx::query(SET)
            .bind(delivery)
            .bind(&new.pointer)
            .bind(new.version)
            .bind(value.to_string())
            .bind(&new.reason)
            .bind(&new.actor)
            .bind(now)
            .execute(&mut **c)
            .await
            .map(drop)),
        None => on!(tx, |c| sqlx::query(CLEAR)
            .bind(delivery)
            .bind(&new.pointer)
            .execute(&mut **c)
            .await
            .map(drop)),
    }
}

/// Reads what is said in other words of deliveries in certain versions.
pub(super) async fn patches(
    tx: &mut Tx,
    deliveries: &[(&str, i64)],
) -> Result<HashMap<String, Vec<(String, Value)>>, StoreError> {
    let given: Vec<_> = deliveries
        .iter()
        .map(|(id, version)| cells![*id, *version])
        .collect();
    let rows: Vec<PatchRow> = PATCHES
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("read overrides"))?;
    let mut patches: HashMap<String, Vec<(String, Value)>> = HashMap::new();
    for row in rows {
        let value = parse_json(&row.value, "overrides.value", &row.id)?;
        patches
            .entry(row.id)
            .or_default()
            .push((row.pointer, value));
    }
    Ok(patches)
}

/// Returns `document` with all `patches`.
pub(super) fn patched(
    document: String,
    patches: &[(String, Value)],
    id: &str,
) -> Result<String, StoreError> {
    if patches.is_empty() {
        return Ok(document);
    }
    let mut record: Value = parse_json(&document, "versions.document", id)?;
    patch(&mut record, patches);
    Ok(record.to_string())
}

/// Puts values where their pointers say, as far as there is such a place.
pub fn patch(record: &mut Value, patches: &[(String, Value)]) {
    for (pointer, value) in patches {
        if let Some(place) = record.pointer_mut(pointer) {
            *place = value.clone();
        }
    }
}
