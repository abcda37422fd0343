//! What became of the deliveries of a replay, and what failed beside it.

use super::super::bulk::bind_cells;
use super::super::condition::Condition;
use super::super::db::row;
use super::super::outage::read;
use super::super::submit::parse_json;
use super::super::{Store, StoreError};
use super::{Replay, ReplayRow, ReplaySelection, ReplayState};
use crate::record::{DeliveryId, RecordId, ReplayId};
use serde::Serialize;

/// How many groups of failures are read of one replay.
const GROUPS_MAX: usize = 100;
/// How many items one page may hold.
const ITEMS_MAX: i64 = 1_000;

/// What became of the deliveries of a replay: the sum is its count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayOutcomes {
    /// Not made due yet, or due and not tried yet.
    pub waiting: i64,
    /// With a sender now.
    pub sending: i64,
    /// Tried, to be tried again.
    pub retrying: i64,
    /// The platform said yes.
    pub delivered: i64,
    /// Read back and equal.
    pub confirmed: i64,
    /// Taken down.
    pub withdrawn: i64,
    /// Failed again.
    pub failed: i64,
    /// Not sent, because the record changed meanwhile.
    pub skipped: i64,
    /// Ended by an operator before it was tried.
    pub cancelled: i64,
}

/// Failures with one cause, in or beside a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayFailure {
    /// Name of the group.
    pub group: String,
    /// The platform.
    pub platform: String,
    /// One sentence, of one of them.
    pub cause: String,
    /// How many.
    pub count: i64,
    /// The record of that one.
    pub example_record: RecordId,
}

/// Deliveries that were not sent for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplaySkip {
    /// `superseded` (a newer version goes its own way), `held`, `no_need`, `changed`,
    /// `earlier_release`.
    pub reason: String,
    /// How many.
    pub count: i64,
}

/// The replay that a delivery is in, while it has no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveReplay {
    /// The replay.
    pub id: ReplayId,
    /// How far it is.
    pub state: ReplayState,
}

/// One delivery of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayItem {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its record.
    pub record_id: RecordId,
    /// Its platform.
    pub platform: String,
    /// A word of [`ReplayOutcomes`].
    pub outcome: String,
    /// Why it was skipped, or the group in which it failed again.
    pub detail: Option<String>,
}

row! {
    /// Failures of one group.
    struct FailureRow {
        failure_group: Option<String>,
        platform: String,
        cause: Option<String>,
        count: i64,
        record_id: String,
    }
}

row! {
    /// One delivery of a replay.
    struct ItemRow {
        delivery_id: String,
        record_id: String,
        platform: String,
        outcome: String,
        outcome_detail: Option<String>,
    }
}

/// An outcome stays as it is; only a yes of the platform may still become a sight of it.
macro_rules! outcome {
    () => {
        "CASE WHEN i.outcome = 'delivered' AND d.state = 'confirmed' \
         AND d.version = i.version_before THEN 'confirmed' \
         WHEN i.outcome IS NOT NULL THEN i.outcome \
         WHEN i.started_at IS NULL THEN 'waiting' WHEN d.state = 'sending' THEN 'sending' \
         WHEN d.claimed > i.claimed_before THEN 'retrying' ELSE 'waiting' END"
    };
}

const OUTCOMES: &str = concat!(
    "SELECT counted.outcome, counted.outcome_detail, COUNT(*) AS count FROM (SELECT ",
    outcome!(),
    " AS outcome, CASE WHEN i.outcome = 'skipped' THEN i.outcome_detail END AS outcome_detail \
     FROM replay_items i JOIN deliveries d ON d.id = i.delivery_id WHERE i.replay_id = $1) \
     AS counted GROUP BY counted.outcome, counted.outcome_detail \
     ORDER BY counted.outcome, counted.outcome_detail"
);
const FAILED_AGAIN: &str = "SELECT g.failure_group, d.platform, d.failure_text AS cause, \
     g.count, d.record_id FROM (SELECT outcome_detail AS failure_group, COUNT(*) AS count, \
     MIN(delivery_id) AS example FROM replay_items WHERE replay_id = $1 AND outcome = 'failed' \
     GROUP BY outcome_detail) AS g JOIN deliveries d ON d.id = g.example \
     ORDER BY g.count DESC, g.failure_group";
const ITEMS: &str = concat!(
    "SELECT i.delivery_id, d.record_id, d.platform, ",
    outcome!(),
    " AS outcome, i.outcome_detail FROM replay_items i \
     JOIN deliveries d ON d.id = i.delivery_id \
     WHERE i.replay_id = $1 AND i.delivery_id > $2 ORDER BY i.delivery_id LIMIT $3"
);
const LIVE_OF: &str = "SELECT r.id, r.phase FROM replay_items i \
     JOIN replays r ON r.id = i.replay_id WHERE i.delivery_id = $1 AND i.outcome IS NULL";

#[cfg(test)]
pub(super) const SHARED: [&str; 4] = [OUTCOMES, FAILED_AGAIN, ITEMS, LIVE_OF];

impl Store {
    /// Returns the replay that a delivery is in, if it has no outcome there yet.
    pub async fn replay_of(&self, delivery: &DeliveryId) -> Result<Option<LiveReplay>, StoreError> {
        let found: Option<(String, String)> =
            read!(self, "read the replay of a delivery", |c| sqlx::query_as(
                LIVE_OF
            )
            .bind(delivery.as_str())
            .fetch_optional(c)
            .await)?;
        found
            .map(|(id, phase)| {
                Ok(LiveReplay {
                    state: ReplayState::parse(&phase)
                        .ok_or_else(|| StoreError::corrupt("replays.phase", &id))?,
                    id: id.into(),
                })
            })
            .transpose()
    }

    /// Returns the deliveries of a replay in order of their ids, up to 1,000 after `after`.
    pub async fn replay_items(
        &self,
        id: &ReplayId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<ReplayItem>, StoreError> {
        let rows: Vec<ItemRow> = read!(self, "read the items of a replay", |c| sqlx::query_as(
            ITEMS
        )
        .bind(id.as_str())
        .bind(after.unwrap_or_default())
        .bind(limit.clamp(1, ITEMS_MAX))
        .fetch_all(c)
        .await)?;
        Ok(rows.into_iter().map(ItemRow::into_item).collect())
    }

    /// Adds to a row what became of its deliveries.
    pub(super) async fn with_progress(&self, row: ReplayRow) -> Result<Replay, StoreError> {
        let counts: Vec<(String, Option<String>, i64)> =
            read!(self, "read a replay", |c| sqlx::query_as(OUTCOMES)
                .bind(&row.id)
                .fetch_all(c)
                .await)?;
        let failed_again: Vec<FailureRow> =
            read!(self, "read a replay", |c| sqlx::query_as(FAILED_AGAIN)
                .bind(&row.id)
                .fetch_all(c)
                .await)?;
        let new_failures = self.new_failures(&row).await?;
        row.understand(&counts, failed_again, new_failures)
    }

    /// Returns what else has failed where the replay works, since its start.
    async fn new_failures(&self, row: &ReplayRow) -> Result<Vec<FailureRow>, StoreError> {
        // Replays of earlier releases have no name for what they froze, and another filter.
        if row.state()? == ReplayState::Cancelled || row.selection_hash.is_none() {
            return Ok(Vec::new());
        }
        let selection: ReplaySelection = parse_json(&row.filter, "replays.filter", &row.id)?;
        let platforms: Vec<String> = parse_json(&row.platforms, "replays.platforms", &row.id)?;
        let (text, condition) = new_failures_text(&selection, row.created_at, &row.id);
        let mut rows: Vec<FailureRow> = read!(self, "read new failures", |c| bind_cells!(
            sqlx::query_as(sqlx::AssertSqlSafe(text.as_str())),
            condition.cells()
        )
        .fetch_all(c)
        .await)?;
        rows.retain(|row| platforms.contains(&row.platform));
        Ok(rows)
    }
}

/// A new failure is none of the deliveries that were named; it may well have another cause, and
/// it is of a later time.
pub(super) fn new_failures_text<'a>(
    selection: &'a ReplaySelection,
    created_at: i64,
    replay_id: &'a str,
) -> (String, Condition<'a>) {
    let mut condition = Condition::default();
    condition.and(
        "d.state = 'failed' AND d.failure_group IS NOT NULL AND d.updated_at >= ? AND NOT EXISTS \
         (SELECT 1 FROM replay_items i WHERE i.replay_id = ? AND i.delivery_id = d.id)",
        [created_at.into(), replay_id.into()],
    );
    condition.and_if(
        "d.record_id = ?",
        selection.record_id.as_ref().map(RecordId::as_str),
    );
    condition.and_if("d.platform = ?", selection.platform.as_deref());
    condition.and_if("r.unit_code = ?", selection.unit.as_deref());
    condition.and_if("r.area = ?", selection.area.as_deref());
    let text = format!(
        "SELECT g.failure_group, e.platform, e.failure_text AS cause, g.count, e.record_id \
         FROM (SELECT d.failure_group, d.platform, COUNT(*) AS count, MIN(d.id) AS example \
         FROM deliveries d JOIN records r ON r.id = d.record_id{} \
         GROUP BY d.failure_group, d.platform) AS g JOIN deliveries e ON e.id = g.example \
         ORDER BY g.count DESC, g.failure_group LIMIT {GROUPS_MAX}",
        condition.text()
    );
    (text, condition)
}

impl ReplayRow {
    fn understand(
        self,
        counts: &[(String, Option<String>, i64)],
        failed_again: Vec<FailureRow>,
        new_failures: Vec<FailureRow>,
    ) -> Result<Replay, StoreError> {
        let mut outcomes = ReplayOutcomes::default();
        let mut skipped = Vec::new();
        for (word, detail, count) in counts {
            let place = outcomes
                .of(word)
                .ok_or_else(|| StoreError::corrupt("replay_items.outcome", &self.id))?;
            *place += count;
            skipped.extend(detail.iter().map(|reason| ReplaySkip {
                reason: reason.clone(),
                count: *count,
            }));
        }
        let result = self
            .result
            .as_deref()
            .map(|text| parse_json(text, "replays.result", &self.id))
            .transpose()?;
        Ok(Replay {
            state: self.state()?,
            way: self.way()?,
            ramp: self.ramp()?,
            selection: parse_json(&self.filter, "replays.filter", &self.id)?,
            result,
            id: self.id.into(),
            state_reason: self.phase_reason,
            state_by: self.phase_by,
            selection_hash: self.selection_hash,
            reason: self.reason,
            actor: self.actor,
            count: self.count,
            started: self.started,
            rate_per_s: self.rate_per_s,
            stop_percent: self.stop_percent,
            created_at: self.created_at,
            ended_at: self.ended_at,
            outcomes,
            failed_again: failed_again
                .into_iter()
                .take(GROUPS_MAX)
                .map(FailureRow::into_failure)
                .collect(),
            skipped,
            new_failures: new_failures
                .into_iter()
                .map(FailureRow::into_failure)
                .collect(),
        })
    }
}

impl ReplayOutcomes {
    fn of(&mut self, word: &str) -> Option<&mut i64> {
        Some(match word {
            "waiting" => &mut self.waiting,
            "sending" => &mut self.sending,
            "retrying" => &mut self.retrying,
            "delivered" => &mut self.delivered,
            "confirmed" => &mut self.confirmed,
            "withdrawn" => &mut self.withdrawn,
            "failed" => &mut self.failed,
            "skipped" => &mut self.skipped,
            "cancelled" => &mut self.cancelled,
            _ => return None,
        })
    }
}

impl FailureRow {
    fn into_failure(self) -> ReplayFailure {
        ReplayFailure {
            group: self.failure_group.unwrap_or_default(),
            platform: self.platform,
            cause: crate::screen::mask(&self.cause.unwrap_or_default()).into_owned(),
            count: self.count,
            example_record: self.record_id.into(),
        }
    }
}

impl ItemRow {
    fn into_item(self) -> ReplayItem {
        ReplayItem {
            delivery_id: self.delivery_id.into(),
            record_id: self.record_id.into(),
            platform: self.platform,
            outcome: self.outcome,
            detail: self.outcome_detail,
        }
    }
}
