//! Reads deliveries with every attempt.

use super::db::row;
use super::outage::read;
use super::steer::{parse_state, parse_wanted};
use super::submit::parse_json;
use super::{Store, StoreError};
use crate::record::{AttemptId, DeliveryId, DeliveryState, RecordId, Wanted};
use serde::Serialize;
use serde_json::Value;

/// How many attempts are read of one delivery, the newest.
const ATTEMPTS_MAX: i64 = 200;

/// All that is known of one delivery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryView {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// Its record.
    pub record_id: RecordId,
    /// Its platform.
    pub platform: String,
    /// What the platform shall show.
    pub wanted: Wanted,
    /// The version it shall show, or the one that says it shall be gone.
    pub version: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// When the next act is due; while sending, when the lease ends; none when nothing is due.
    pub due_at: Option<i64>,
    /// How often it was claimed.
    pub claimed: i64,
    /// How many of those claims are accounted for.
    pub settled: i64,
    /// The sender that holds it.
    pub lease_owner: Option<String>,
    /// Tries of this version that did not succeed.
    pub tries: i64,
    /// When the first of them began.
    pub first_tried_at: Option<i64>,
    /// Finished steps and what they captured.
    pub progress: Option<Value>,
    /// The platform's id of the object.
    pub remote_id: Option<String>,
    /// Where the public sees it.
    pub remote_url: Option<String>,
    /// The version that the platform shows, as far as the hub knows.
    pub shown_version: Option<i64>,
    /// When the platform said yes to it.
    pub delivered_at: Option<i64>,
    /// When it was read back and equal.
    pub confirmed_at: Option<i64>,
    /// What went wrong last; none when all is well.
    pub failure: Option<FailureView>,
    /// When it was made.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
}

/// What went wrong with a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureView {
    /// The step or phase.
    pub stage: String,
    /// The class of the verdict.
    pub class: String,
    /// The platform's or the hub's code.
    pub code: String,
    /// One sentence.
    pub text: String,
    /// The group of failures with the same cause; none while tries go on.
    pub group: Option<String>,
}

/// One try as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptView {
    /// Id of the attempt.
    pub id: AttemptId,
    /// Its delivery.
    pub delivery_id: DeliveryId,
    /// Its record.
    pub record_id: RecordId,
    /// Its platform.
    pub platform: String,
    /// The version that was sent.
    pub version: i64,
    /// publish, update, withdraw, look_up, read_back …
    pub operation: String,
    /// When it began.
    pub started_at: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// The verdict's word.
    pub verdict: String,
    /// The step or phase that decided.
    pub stage: String,
    /// The platform's or the hub's code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Requests and responses.
    pub exchanges: Value,
}

row! {
    /// A row of `deliveries`.
    struct DeliveryRow {
        id: String,
        record_id: String,
        platform: String,
        wanted: String,
        version: i64,
        state: String,
        due_at: Option<i64>,
        claimed: i64,
        settled: i64,
        lease_owner: Option<String>,
        tries: i64,
        first_tried_at: Option<i64>,
        progress: Option<String>,
        remote_id: Option<String>,
        remote_url: Option<String>,
        shown_version: Option<i64>,
        delivered_at: Option<i64>,
        confirmed_at: Option<i64>,
        failure_stage: Option<String>,
        failure_class: Option<String>,
        failure_code: Option<String>,
        failure_text: Option<String>,
        failure_group: Option<String>,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// A row of `attempts`.
    struct AttemptRow {
        id: String,
        delivery_id: String,
        record_id: String,
        platform: String,
        version: i64,
        operation: String,
        started_at: i64,
        duration_ms: i64,
        verdict: String,
        stage: String,
        code: String,
        message: String,
        exchanges: String,
    }
}

macro_rules! delivery_columns {
    () => {
        "SELECT id, record_id, platform, wanted, version, state, due_at, claimed, settled, \
         lease_owner, tries, first_tried_at, progress, remote_id, remote_url, shown_version, \
         delivered_at, confirmed_at, failure_stage, failure_class, failure_code, failure_text, \
         failure_group, created_at, updated_at FROM deliveries "
    };
}

const DELIVERY: &str = concat!(delivery_columns!(), "WHERE id = $1");
const OF_RECORD: &str = concat!(
    delivery_columns!(),
    "WHERE record_id = $1 ORDER BY platform"
);
const ATTEMPTS: &str = "SELECT id, delivery_id, record_id, platform, version, operation, \
     started_at, duration_ms, verdict, stage, code, message, exchanges FROM attempts \
     WHERE delivery_id = $1 ORDER BY started_at DESC, id DESC LIMIT $2";

#[cfg(test)]
pub(super) const SHARED: [&str; 3] = [DELIVERY, OF_RECORD, ATTEMPTS];

impl Store {
    /// Returns one delivery, if there is one with this id.
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        let row: Option<DeliveryRow> =
            read!(self, "read a delivery", |c| sqlx::query_as(DELIVERY)
                .bind(id.as_str())
                .fetch_optional(c)
                .await)?;
        row.map(DeliveryRow::understand).transpose()
    }

    /// Returns the newest attempts of a delivery, up to 200, oldest first.
    pub async fn attempts(&self, delivery: &DeliveryId) -> Result<Vec<AttemptView>, StoreError> {
        let mut rows: Vec<AttemptRow> = read!(self, "read attempts", |c| sqlx::query_as(ATTEMPTS)
            .bind(delivery.as_str())
            .bind(ATTEMPTS_MAX)
            .fetch_all(c)
            .await)?;
        rows.reverse();
        rows.into_iter().map(AttemptRow::understand).collect()
    }

    /// Returns the deliveries of a record by platform.
    pub(super) async fn deliveries_of(
        &self,
        record_id: &str,
    ) -> Result<Vec<DeliveryView>, StoreError> {
        let rows: Vec<DeliveryRow> =
            read!(self, "read the deliveries of a record", |c| sqlx::query_as(
                OF_RECORD
            )
            .bind(record_id)
            .fetch_all(c)
            .await)?;
        rows.into_iter().map(DeliveryRow::understand).collect()
    }
}

impl DeliveryRow {
    fn understand(self) -> Result<DeliveryView, StoreError> {
        Ok(DeliveryView {
            wanted: parse_wanted(&self.wanted, &self.id)?,
            state: parse_state(&self.state, &self.id)?,
            progress: self
                .progress
                .as_deref()
                .map(|text| parse_json(text, "deliveries.progress", &self.id))
                .transpose()?,
            failure: self.failure_stage.map(|stage| FailureView {
                stage,
                class: self.failure_class.unwrap_or_default(),
                code: self.failure_code.unwrap_or_default(),
                text: self.failure_text.unwrap_or_default(),
                group: self.failure_group,
            }),
            id: self.id.into(),
            record_id: self.record_id.into(),
            platform: self.platform,
            version: self.version,
            due_at: self.due_at,
            claimed: self.claimed,
            settled: self.settled,
            lease_owner: self.lease_owner,
            tries: self.tries,
            first_tried_at: self.first_tried_at,
            remote_id: self.remote_id,
            remote_url: self.remote_url,
            shown_version: self.shown_version,
            delivered_at: self.delivered_at,
            confirmed_at: self.confirmed_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl AttemptRow {
    fn understand(self) -> Result<AttemptView, StoreError> {
        Ok(AttemptView {
            exchanges: parse_json(&self.exchanges, "attempts.exchanges", &self.id)?,
            id: self.id.into(),
            delivery_id: self.delivery_id.into(),
            record_id: self.record_id.into(),
            platform: self.platform,
            version: self.version,
            operation: self.operation,
            started_at: self.started_at,
            duration_ms: self.duration_ms,
            verdict: self.verdict,
            stage: self.stage,
            code: self.code,
            message: self.message,
        })
    }
}
