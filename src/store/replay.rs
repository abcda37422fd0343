//! An operator's bulk act: deliveries are frozen into a list and made due again.
//!
//! The list never changes afterwards, so that progress counts outcomes of these deliveries and
//! nothing else. What was delivered already is read back, not created again: that is up to
//! [`super::Claim::was_delivered`]. What is held, waiting or being sent is never taken.

mod select;

use super::db::{Tx, on, row};
use super::outage::read;
use super::platform::{Act, StateCount, insert_act, new_act_id};
use super::steer::parse_state;
use super::submit::parse_json;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::{DeliveryId, DeliveryState, ReplayId};
pub use select::{ReplayFilter, ReplaySelection};
use serde::Serialize;
use serde_json::{Value, json};

/// How many deliveries one replay may take.
pub const REPLAY_MAX: i64 = 200_000;

/// A replay as it is asked for.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// What to send again.
    pub selection: ReplaySelection,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub actor: String,
    /// How many become due a second; `None` all at once.
    pub rate_per_s: Option<u32>,
}

/// A replay and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// Id made by the hub.
    pub id: ReplayId,
    /// How far it is.
    pub state: ReplayState,
    /// What was selected, as asked.
    pub selection: Value,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub actor: String,
    /// How many deliveries are in it.
    pub count: i64,
    /// When it was frozen.
    pub created_at: i64,
    /// When it was cancelled; `None` otherwise.
    pub ended_at: Option<i64>,
    /// What became of its deliveries so far.
    pub outcomes: ReplayOutcomes,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Something of it is still to come.
    Running,
    /// Each of its deliveries has an outcome.
    Done,
    /// An operator ended it.
    Cancelled,
}

/// What became of the deliveries of a replay: the sum is its count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayOutcomes {
    /// Due, or due later.
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
    /// Held or without need by now, because the record changed.
    pub dropped: i64,
    /// Given back before they were tried.
    pub cancelled: i64,
}

row! {
    /// A row of `replays`.
    struct ReplayRow {
        id: String,
        state: String,
        filter: String,
        reason: String,
        actor: String,
        count: i64,
        created_at: i64,
        ended_at: Option<i64>,
    }
}

macro_rules! replay_columns {
    () => {
        "SELECT id, state, filter, reason, actor, count, created_at, ended_at FROM replays "
    };
}

const REPLAY: &str = concat!(replay_columns!(), "WHERE id = $1");
const REPLAYS: &str = concat!(replay_columns!(), "ORDER BY id DESC LIMIT $1");
const INSERT: &str = "INSERT INTO replays (id, state, filter, reason, actor, count, created_at) \
     VALUES ($1, 'running', $2, $3, $4, 0, $5)";
const SET_COUNT: &str = "UPDATE replays SET count = $2 WHERE id = $1";
/// A row that changed since it was frozen stays as it is.
const START: &str = "UPDATE deliveries SET state = 'queued', \
     due_at = CAST($2 AS BIGINT) + i.position * CAST($3 AS BIGINT) / 1000, tries = 0, \
     first_tried_at = NULL, updated_at = CAST($2 AS BIGINT) FROM replay_items i \
     WHERE i.replay_id = $1 AND deliveries.id = i.delivery_id \
     AND deliveries.claimed = i.claimed_before AND deliveries.state = i.state_before";
const OUTCOMES: &str = "SELECT d.state, CASE WHEN d.claimed > i.claimed_before THEN 1 ELSE 0 END \
     AS tried, COUNT(*) AS count FROM replay_items i JOIN deliveries d ON d.id = i.delivery_id \
     WHERE i.replay_id = $1 \
     GROUP BY d.state, CASE WHEN d.claimed > i.claimed_before THEN 1 ELSE 0 END";
const CANCEL: &str =
    "UPDATE replays SET state = 'cancelled', ended_at = $2 WHERE id = $1 AND state = 'running'";
/// What was not tried yet goes back to what it was, unless the record changed meanwhile.
const GIVE_BACK: &str = "UPDATE deliveries SET state = i.state_before, due_at = i.due_before, \
     updated_at = $2 FROM replay_items i \
     WHERE i.replay_id = $1 AND deliveries.id = i.delivery_id \
     AND deliveries.claimed = i.claimed_before AND deliveries.version = i.version_before \
     AND deliveries.state = 'queued'";

#[cfg(test)]
pub(super) const SHARED: [&str; 8] = [
    REPLAY, REPLAYS, INSERT, SET_COUNT, START, OUTCOMES, CANCEL, GIVE_BACK,
];
#[cfg(test)]
pub(super) use select::{BULKS, filter_texts};

impl Store {
    /// Counts what a replay would take, per platform and state, and changes nothing.
    pub async fn preview_replay(
        &self,
        selection: &ReplaySelection,
    ) -> Result<Vec<StateCount>, StoreError> {
        let failed = StoreError::while_doing("preview a replay");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let counts = select::count(&mut tx, selection).await.map_err(&failed)?;
        understand_counts(counts)
    }

    /// Freezes what `new` selects and makes it due, at once or at its rate. Nothing happens when
    /// it selects more than [`REPLAY_MAX`].
    pub async fn freeze_replay(&self, new: &NewReplay) -> Result<Replay, StoreError> {
        let failed = StoreError::while_doing("freeze a replay");
        let id = ReplayId::generate();
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let found = select::count(&mut tx, &new.selection)
            .await
            .map_err(&failed)?
            .iter()
            .map(|(_, _, count)| count)
            .sum();
        if found > REPLAY_MAX {
            return Err(StoreError::TooMany {
                found,
                limit: REPLAY_MAX,
            });
        }
        freeze(&mut tx, &id, new, now).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        self.replay(&id)
            .await?
            .ok_or_else(|| StoreError::corrupt("replays", id.as_str()))
    }

    /// Returns a replay and how far it is, if there is one with this id.
    pub async fn replay(&self, id: &ReplayId) -> Result<Option<Replay>, StoreError> {
        let row: Option<ReplayRow> = read!(self, "read a replay", |c| sqlx::query_as(REPLAY)
            .bind(id.as_str())
            .fetch_optional(c)
            .await)?;
        let Some(row) = row else { return Ok(None) };
        let counts: Vec<(String, i32, i64)> =
            read!(self, "read a replay", |c| sqlx::query_as(OUTCOMES)
                .bind(id.as_str())
                .fetch_all(c)
                .await)?;
        row.understand(&counts).map(Some)
    }

    /// Returns the newest replays, newest first.
    pub async fn list_replays(&self, limit: i64) -> Result<Vec<Replay>, StoreError> {
        let rows: Vec<ReplayRow> = read!(self, "list replays", |c| sqlx::query_as(REPLAYS)
            .bind(limit.clamp(1, super::PAGE_MAX))
            .fetch_all(c)
            .await)?;
        let mut replays = Vec::with_capacity(rows.len());
        for row in rows {
            replays.extend(self.replay(&row.id.into()).await?);
        }
        Ok(replays)
    }

    /// Ends a replay: what was not tried yet goes back to what it was. Returns the replay as it
    /// is then, or `None` when there is none with this id.
    pub async fn cancel_replay(
        &self,
        id: &ReplayId,
        reason: &str,
        actor: &str,
    ) -> Result<Option<Replay>, StoreError> {
        let failed = StoreError::while_doing("cancel a replay");
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let cancelled = touch(&mut tx, CANCEL, id, now).await.map_err(&failed)?;
        if cancelled == 1 {
            let given_back = touch(&mut tx, GIVE_BACK, id, now).await.map_err(&failed)?;
            let act = Act {
                id: new_act_id(),
                at: now,
                actor: actor.to_owned(),
                verb: "cancel_replay".to_owned(),
                target: id.to_string(),
                reason: reason.to_owned(),
                detail: json!({ "given_back": given_back }),
            };
            insert_act(&mut tx, &act).await.map_err(&failed)?;
            tx.commit_act().await.map_err(&failed)?;
        } else {
            drop(tx);
        }
        self.replay(id).await
    }
}

async fn freeze(tx: &mut Tx, id: &ReplayId, new: &NewReplay, now: i64) -> Result<(), sqlx::Error> {
    let selection =
        serde_json::to_value(&new.selection).expect("our own types have text keys only");
    on!(&mut *tx, |c| sqlx::query(INSERT)
        .bind(id.as_str())
        .bind(selection.to_string())
        .bind(&new.reason)
        .bind(&new.actor)
        .bind(now)
        .execute(&mut **c)
        .await
        .map(drop))?;
    let count = select::freeze(tx, id, &new.selection).await?;
    let spacing_us = match new.rate_per_s {
        None | Some(0) => 0,
        Some(rate) => 1_000_000 / i64::from(rate),
    };
    on!(&mut *tx, |c| sqlx::query(START)
        .bind(id.as_str())
        .bind(now)
        .bind(spacing_us)
        .execute(&mut **c)
        .await
        .map(drop))?;
    touch(tx, SET_COUNT, id, count).await?;
    let act = Act {
        id: new_act_id(),
        at: now,
        actor: new.actor.clone(),
        verb: "replay".to_owned(),
        target: id.to_string(),
        reason: new.reason.clone(),
        detail: json!({ "count": count, "rate_per_s": new.rate_per_s, "selection": selection }),
    };
    insert_act(tx, &act).await
}

/// Runs a statement that takes the id of a replay and one number.
async fn touch(
    tx: &mut Tx,
    text: &'static str,
    id: &ReplayId,
    number: i64,
) -> Result<u64, sqlx::Error> {
    on!(tx, |c| sqlx::query(text)
        .bind(id.as_str())
        .bind(number)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected()))
}

fn understand_counts(counts: Vec<(String, String, i64)>) -> Result<Vec<StateCount>, StoreError> {
    counts
        .into_iter()
        .map(|(platform, state, count)| {
            Ok(StateCount {
                state: parse_state(&state, &platform)?,
                platform,
                count,
            })
        })
        .collect()
}

impl ReplayRow {
    fn understand(self, counts: &[(String, i32, i64)]) -> Result<Replay, StoreError> {
        let cancelled = self.state == "cancelled";
        let mut outcomes = ReplayOutcomes::default();
        for (state, tried, count) in counts {
            *if cancelled && *tried == 0 {
                &mut outcomes.cancelled
            } else {
                outcomes.of(parse_state(state, &self.id)?)
            } += count;
        }
        let open = outcomes.waiting + outcomes.sending + outcomes.retrying;
        Ok(Replay {
            state: match (cancelled, open) {
                (true, _) => ReplayState::Cancelled,
                (false, 0) => ReplayState::Done,
                (false, _) => ReplayState::Running,
            },
            selection: parse_json(&self.filter, "replays.filter", &self.id)?,
            id: self.id.into(),
            reason: self.reason,
            actor: self.actor,
            count: self.count,
            created_at: self.created_at,
            ended_at: self.ended_at,
            outcomes,
        })
    }
}

impl ReplayOutcomes {
    fn of(&mut self, state: DeliveryState) -> &mut i64 {
        match state {
            DeliveryState::Queued => &mut self.waiting,
            DeliveryState::Sending => &mut self.sending,
            DeliveryState::Retrying => &mut self.retrying,
            DeliveryState::Delivered => &mut self.delivered,
            DeliveryState::Confirmed => &mut self.confirmed,
            DeliveryState::Withdrawn => &mut self.withdrawn,
            DeliveryState::Failed => &mut self.failed,
            DeliveryState::Held | DeliveryState::Skipped => &mut self.dropped,
        }
    }
}

/// Returns the ids without those named before.
fn distinct(ids: &[DeliveryId]) -> Vec<&DeliveryId> {
    let mut seen = std::collections::HashSet::new();
    ids.iter().filter(|id| seen.insert(id.as_str())).collect()
}
