//! An operator pauses, resumes or cancels a replay.

use super::super::db::{Tx, on};
use super::super::platform::{Act, insert_act, new_act_id};
use super::super::{Store, StoreError};
use super::{Replay, step};
use crate::clock::now_ms;
use crate::record::ReplayId;
use serde_json::json;

/// What an operator does to a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplaySwitch {
    /// Makes nothing more due; what was not tried yet goes back to what it was.
    Pause,
    /// Goes on, also after it stopped by itself; what failed before counts no more.
    Resume {
        /// A new rate; `None` keeps the one it has.
        rate_per_s: Option<u32>,
    },
    /// Ends it; what was not tried yet goes back to what it was.
    Cancel,
}

const PAUSE: &str = "UPDATE replays SET phase = 'paused', phase_reason = $2, phase_by = $3, \
     phase_at = $4 WHERE id = $1 AND phase = 'running'";
const RESUME: &str = "UPDATE replays SET phase = 'running', phase_reason = $2, phase_by = $3, \
     phase_at = CAST($4 AS BIGINT), paced_at = CAST($4 AS BIGINT), ended_before = ended, \
     failed_before = failed, rate_per_s = COALESCE($5, rate_per_s) \
     WHERE id = $1 AND phase IN ('paused', 'stopped')";
const CANCEL: &str = "UPDATE replays SET state = 'cancelled', phase = 'cancelled', \
     phase_reason = $2, phase_by = $3, phase_at = CAST($4 AS BIGINT), \
     ended_at = CAST($4 AS BIGINT) \
     WHERE id = $1 AND phase IN ('running', 'paused', 'stopped')";
/// What was not tried yet goes back to what it was, unless the record changed meanwhile. What a
/// replay has opened anew was nothing before, and is sent.
pub(in crate::store) const GIVE_BACK: &str = "UPDATE deliveries SET state = i.state_before, due_at = i.due_before, \
     settled = i.settled_before, tries = i.tries_before, first_tried_at = i.first_tried_before, \
     shown_version = i.shown_before, remote_id = i.remote_id_before, \
     remote_url = i.remote_url_before, updated_at = i.updated_before FROM replay_items i \
     WHERE i.replay_id = $1 AND i.started_at IS NOT NULL AND i.outcome IS NULL \
     AND deliveries.id = i.delivery_id AND deliveries.claimed = i.claimed_before \
     AND deliveries.version = i.version_before AND deliveries.state = 'queued' \
     AND NOT deliveries.held \
     AND NOT EXISTS (SELECT 1 FROM replays r WHERE r.id = i.replay_id AND r.moves)";
const UNMARK: &str = "UPDATE replay_items SET started_at = NULL WHERE replay_id = $1 \
     AND started_at IS NOT NULL AND outcome IS NULL AND EXISTS (SELECT 1 FROM deliveries d \
     WHERE d.id = delivery_id AND d.claimed = claimed_before AND d.version = version_before \
     AND d.state = state_before) \
     AND NOT EXISTS (SELECT 1 FROM replays r WHERE r.id = replay_id AND r.moves)";
const STARTED_LESS: &str = "UPDATE replays SET started = started - $2 WHERE id = $1";
const CANCEL_ITEMS: &str = "UPDATE replay_items SET outcome = 'cancelled', ended_at = $2 \
     WHERE replay_id = $1 AND started_at IS NULL AND outcome IS NULL";
const SETTLE_LIVE: &str = "UPDATE replays SET live = EXISTS (SELECT 1 FROM replay_items i \
     WHERE i.replay_id = $1 AND i.started_at IS NOT NULL AND i.outcome IS NULL) WHERE id = $1";

#[cfg(test)]
pub(super) const SHARED: [&str; 8] = [
    PAUSE,
    RESUME,
    CANCEL,
    GIVE_BACK,
    UNMARK,
    STARTED_LESS,
    CANCEL_ITEMS,
    SETTLE_LIVE,
];

impl Store {
    /// Pauses, resumes or cancels a replay. Returns the replay as it is then, and whether
    /// anything changed; `None` when there is none with this id.
    pub async fn switch_replay(
        &self,
        id: &ReplayId,
        switch: ReplaySwitch,
        reason: &str,
        actor: &str,
    ) -> Result<Option<(Replay, bool)>, StoreError> {
        let failed = StoreError::while_doing("switch a replay");
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let changed = turn(&mut tx, id, switch, (reason, actor), now)
            .await
            .map_err(&failed)?;
        if changed {
            let given_back = follow_up(&mut tx, id, switch, now).await.map_err(&failed)?;
            let act = Act {
                id: new_act_id(),
                at: now,
                actor: actor.to_owned(),
                verb: switch.verb().to_owned(),
                target: id.to_string(),
                reason: reason.to_owned(),
                detail: json!({ "given_back": given_back }),
            };
            insert_act(&mut tx, &act).await.map_err(&failed)?;
            tx.commit_act().await.map_err(&failed)?;
        } else {
            drop(tx);
        }
        Ok(self.replay(id).await?.map(|replay| (replay, changed)))
    }
}

async fn turn(
    tx: &mut Tx,
    id: &ReplayId,
    switch: ReplaySwitch,
    (reason, actor): (&str, &str),
    now: i64,
) -> Result<bool, sqlx::Error> {
    let (text, rate) = match switch {
        ReplaySwitch::Pause => (PAUSE, None),
        ReplaySwitch::Resume { rate_per_s } => (RESUME, Some(rate_per_s.map(i64::from))),
        ReplaySwitch::Cancel => (CANCEL, None),
    };
    let changed = on!(tx, |c| {
        let mut query = sqlx::query(text)
            .bind(id.as_str())
            .bind(reason)
            .bind(actor)
            .bind(now);
        if let Some(rate) = rate {
            query = query.bind(rate);
        }
        query.execute(&mut **c).await?.rows_affected()
    });
    Ok(changed == 1)
}

/// Takes back what was made due and not tried; returns how many.
async fn follow_up(
    tx: &mut Tx,
    id: &ReplayId,
    switch: ReplaySwitch,
    now: i64,
) -> Result<u64, sqlx::Error> {
    let cancels = match switch {
        ReplaySwitch::Resume { .. } => return Ok(0),
        ReplaySwitch::Pause => false,
        ReplaySwitch::Cancel => true,
    };
    run(tx, GIVE_BACK, id, None).await?;
    let given_back = run(tx, UNMARK, id, None).await?;
    run(tx, STARTED_LESS, id, Some(given_back as i64)).await?;
    if cancels {
        run(tx, CANCEL_ITEMS, id, Some(now)).await?;
        step::end(tx, id, now).await?;
        run(tx, SETTLE_LIVE, id, None).await?;
        step::write_result(tx, id).await?;
    }
    Ok(given_back)
}

async fn run(
    tx: &mut Tx,
    text: &'static str,
    id: &ReplayId,
    number: Option<i64>,
) -> Result<u64, sqlx::Error> {
    on!(tx, |c| {
        let mut query = sqlx::query(text).bind(id.as_str());
        if let Some(number) = number {
            query = query.bind(number);
        }
        query
            .execute(&mut **c)
            .await
            .map(|done| done.rows_affected())
    })
}

impl ReplaySwitch {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause_replay",
            Self::Resume { .. } => "resume_replay",
            Self::Cancel => "cancel_replay",
        }
    }
}
