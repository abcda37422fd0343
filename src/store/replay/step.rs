//! One step of a replay: notes what has ended, decides, makes the next deliveries due.
//!
//! The update of the row that begins it is the lock between processes, and keeps their steps
//! apart in time.

use super::super::db::{Tx, on, row};
use super::super::outage::read;
use super::super::platform::{Act, insert_act, new_act_id};
use super::super::{Store, StoreError};
use super::pace::{Plan, Progress, Step, step};
use super::transfer::transfer;
use super::{ReplayRow, ReplayState, ReplayWay, replay_columns};
use crate::failpoint::{Point, reach};
use crate::record::{DeliveryId, ReplayId};
use serde_json::json;
use std::collections::BTreeMap;

/// How many replays are driven at once; the others wait.
const LIVE_MAX: i64 = 20;
/// Who stops or ends a replay by itself.
const BY_ITSELF: &str = "synchub";

/// What one step made due, to be offered to the senders.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayStep {
    /// How far the replay is after it.
    pub state: ReplayState,
    /// What is due now, by platform.
    pub due: BTreeMap<String, Vec<DeliveryId>>,
}

row! {
    /// A delivery that was made due.
    struct DueRow { id: String, platform: String }
}

const LIVE: &str = "SELECT id FROM replays WHERE live ORDER BY id LIMIT $1";
/// A last step far in the future was taken before the clock was set back.
const BEGIN: &str = concat!(
    "UPDATE replays SET stepped_at = CAST($2 AS BIGINT) WHERE id = $1 AND live \
     AND (stepped_at <= CAST($3 AS BIGINT) OR stepped_at > CAST($2 AS BIGINT) + 60000) RETURNING ",
    replay_columns!()
);
/// What changed since it was frozen, so that there was nothing to send, has ended as well.
const END: &str = "UPDATE replay_items SET ended_at = $2, \
     outcome = CASE WHEN d.version <> version_before OR d.held THEN 'skipped' \
     WHEN d.state IN ('delivered', 'confirmed', 'withdrawn', 'failed') THEN d.state \
     ELSE 'skipped' END, \
     outcome_detail = CASE WHEN d.version <> version_before THEN 'superseded' \
     WHEN d.held THEN 'held' WHEN d.state = 'failed' THEN d.failure_group \
     WHEN d.state = 'skipped' THEN 'no_need' ELSE NULL END \
     FROM deliveries d WHERE replay_id = $1 AND replay_items.started_at IS NOT NULL \
     AND outcome IS NULL AND d.id = delivery_id \
     AND (d.version <> version_before OR d.held OR d.state IN ('delivered', 'confirmed', \
     'withdrawn', 'failed', 'skipped', 'held')) RETURNING outcome";
const MARK: &str = "UPDATE replay_items SET started_at = $2 WHERE replay_id = $1 \
     AND delivery_id IN (SELECT w.delivery_id FROM replay_items w WHERE w.replay_id = $1 \
     AND w.started_at IS NULL AND w.outcome IS NULL ORDER BY w.position LIMIT $3)";
/// A row that changed since it was frozen stays as it is. What is sent once more, although it is
/// shown, must not be read back instead, and is compared with what was sent; what the platform lost
/// has no id there, and whether it really has nothing is to be looked up first.
const START: &str = "UPDATE deliveries SET state = 'queued', due_at = CAST($2 AS BIGINT), \
     offered_at = CAST($2 AS BIGINT), tries = 0, first_tried_at = NULL, \
     shown_version = CASE WHEN $3 THEN NULL ELSE shown_version END, \
     progress = CASE WHEN $4 THEN NULL WHEN $3 THEN '{\"identical\":' || deliveries.version || '}' \
     ELSE progress END, \
     remote_id = CASE WHEN $4 THEN NULL ELSE remote_id END, \
     remote_url = CASE WHEN $4 THEN NULL ELSE remote_url END, \
     settled = CASE WHEN $4 AND settled >= claimed THEN claimed - 1 ELSE settled END, \
     updated_at = CAST($2 AS BIGINT) FROM replay_items i \
     WHERE i.replay_id = $1 AND i.started_at = CAST($2 AS BIGINT) AND i.outcome IS NULL \
     AND deliveries.id = i.delivery_id AND NOT deliveries.held \
     AND deliveries.claimed = i.claimed_before AND deliveries.version = i.version_before \
     AND deliveries.state = i.state_before RETURNING deliveries.id, deliveries.platform";
/// What was marked and had changed: it ends at the next step, or goes its own way.
const OPEN: &str = "SELECT COUNT(*) AS count FROM replay_items WHERE replay_id = $1 \
     AND started_at IS NOT NULL AND outcome IS NULL";
const FINISH: &str = "UPDATE replays SET phase = $2, live = $3, paced_at = $4, \
     started = started + $5, ended = ended + $6, failed = failed + $7, \
     phase_reason = COALESCE($8, phase_reason), phase_by = COALESCE($9, phase_by), \
     phase_at = COALESCE($10, phase_at), ended_at = COALESCE($11, ended_at) WHERE id = $1";
const RESULT: &str = "UPDATE replays SET result = $2 WHERE id = $1";
const COUNTS: &str = "SELECT outcome, COUNT(*) AS count FROM replay_items WHERE replay_id = $1 \
     AND outcome IS NOT NULL GROUP BY outcome ORDER BY outcome";

#[cfg(test)]
pub(super) const SHARED: [&str; 9] = [LIVE, BEGIN, END, MARK, START, OPEN, FINISH, RESULT, COUNTS];

impl Store {
    /// Returns the replays that are not at their end, the oldest first, up to 20.
    pub async fn live_replays(&self) -> Result<Vec<ReplayId>, StoreError> {
        let rows: Vec<(String,)> = read!(self, "read live replays", |c| sqlx::query_as(LIVE)
            .bind(LIVE_MAX)
            .fetch_all(c)
            .await)?;
        Ok(rows.into_iter().map(|(id,)| id.into()).collect())
    }

    /// Takes the next step of a replay at `now`. `None` when the last one is younger than
    /// `apart_ms`, or nothing is left to do. The caller offers what is due.
    pub async fn step_replay(
        &self,
        id: &ReplayId,
        now: i64,
        apart_ms: i64,
    ) -> Result<Option<ReplayStep>, StoreError> {
        let failed = StoreError::while_doing("step a replay");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let row: Option<ReplayRow> = on!(&mut tx, |c| sqlx::query_as(BEGIN)
            .bind(id.as_str())
            .bind(now)
            .bind(now - apart_ms)
            .fetch_optional(&mut **c)
            .await)
        .map_err(&failed)?;
        let Some(row) = row else { return Ok(None) };
        let (ended, failed_again) = end(&mut tx, id, now).await.map_err(&failed)?;
        let plan = row.plan()?;
        let before = row.progress()?;
        let decided = step(
            &plan,
            &Progress {
                ended: before.ended + ended,
                failed: before.failed + failed_again,
                ..before
            },
            now,
        );
        let mut due = Vec::new();
        let (mut started, mut skipped) = (0, 0);
        if decided.start > 0 {
            started = mark(&mut tx, id, now, decided.start)
                .await
                .map_err(&failed)?;
            (due, skipped) = begin(&mut tx, id, now, row.way()?).await?;
        }
        let counts = Counts {
            started,
            ended: ended + skipped,
            failed: failed_again,
        };
        finish(&mut tx, id, &row, decided, counts, now)
            .await
            .map_err(&failed)?;
        reach(Point::ReplayCommitting);
        tx.commit().await.map_err(&failed)?;
        reach(Point::ReplayCommitted);
        let mut by_platform: BTreeMap<String, Vec<DeliveryId>> = BTreeMap::new();
        for row in due {
            by_platform
                .entry(row.platform)
                .or_default()
                .push(row.id.into());
        }
        Ok(Some(ReplayStep {
            state: decided.state,
            due: by_platform,
        }))
    }
}

/// What one step adds.
struct Counts {
    started: i64,
    ended: i64,
    failed: i64,
}

/// Notes what has ended; returns how many, and how many of them failed again.
pub(super) async fn end(tx: &mut Tx, id: &ReplayId, now: i64) -> Result<(i64, i64), sqlx::Error> {
    let rows: Vec<(String,)> = on!(tx, |c| sqlx::query_as(END)
        .bind(id.as_str())
        .bind(now)
        .fetch_all(&mut **c)
        .await)?;
    let failed = rows.iter().filter(|(outcome,)| outcome == "failed").count();
    Ok((rows.len() as i64, failed as i64))
}

async fn mark(tx: &mut Tx, id: &ReplayId, now: i64, count: i64) -> Result<i64, sqlx::Error> {
    on!(tx, |c| sqlx::query(MARK)
        .bind(id.as_str())
        .bind(now)
        .bind(count)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected() as i64))
}

/// Makes due what was marked at `now`; returns that, and how many ended at once instead.
async fn begin(
    tx: &mut Tx,
    id: &ReplayId,
    now: i64,
    way: ReplayWay,
) -> Result<(Vec<DueRow>, i64), StoreError> {
    match way {
        ReplayWay::Move => transfer(tx, id, now).await,
        ReplayWay::Current | ReplayWay::Identical | ReplayWay::Refill => {
            let due = start(tx, id, now, way).await;
            let due = due.map_err(StoreError::while_doing("step a replay"))?;
            Ok((due, 0))
        }
    }
}

async fn start(
    tx: &mut Tx,
    id: &ReplayId,
    now: i64,
    way: ReplayWay,
) -> Result<Vec<DueRow>, sqlx::Error> {
    let (resends, refills) = match way {
        ReplayWay::Current | ReplayWay::Move => (false, false),
        ReplayWay::Identical => (true, false),
        ReplayWay::Refill => (true, true),
    };
    on!(tx, |c| sqlx::query_as(START)
        .bind(id.as_str())
        .bind(now)
        .bind(resends)
        .bind(refills)
        .fetch_all(&mut **c)
        .await)
}

/// Makes everything due that waits; returns how many.
#[cfg(test)]
pub(super) async fn start_all(
    tx: &mut Tx,
    id: &ReplayId,
    now: i64,
    way: ReplayWay,
) -> Result<usize, sqlx::Error> {
    mark(tx, id, now, super::REPLAY_MAX).await?;
    Ok(start(tx, id, now, way).await?.len())
}

async fn finish(
    tx: &mut Tx,
    id: &ReplayId,
    row: &ReplayRow,
    decided: Step,
    counts: Counts,
    now: i64,
) -> Result<(), sqlx::Error> {
    let (open,): (i64,) = on!(&mut *tx, |c| sqlx::query_as(OPEN)
        .bind(id.as_str())
        .fetch_one(&mut **c)
        .await)?;
    let changed = decided.state.as_str() != row.phase;
    let live = match decided.state {
        ReplayState::Done => false,
        ReplayState::Cancelled => open > 0,
        ReplayState::Running | ReplayState::Paused | ReplayState::Stopped => true,
    };
    let reason = (changed && decided.state == ReplayState::Stopped)
        .then(|| format!("重放后再次失败的超过 {}%，已自动停止", row.stop_percent));
    let ended_at = (changed && decided.state == ReplayState::Done).then_some(now);
    on!(&mut *tx, |c| sqlx::query(FINISH)
        .bind(id.as_str())
        .bind(decided.state.as_str())
        .bind(live)
        .bind(decided.paced_at)
        .bind(counts.started)
        .bind(counts.ended)
        .bind(counts.failed)
        .bind(&reason)
        .bind(changed.then_some(BY_ITSELF))
        .bind(changed.then_some(now))
        .bind(ended_at)
        .execute(&mut **c)
        .await
        .map(drop))?;
    if !live {
        write_result(tx, id).await?;
    }
    match changed {
        true => tell(tx, id, decided.state, reason, now).await,
        false => Ok(()),
    }
}

/// Keeps the outcomes as they are at the end.
pub(super) async fn write_result(tx: &mut Tx, id: &ReplayId) -> Result<(), sqlx::Error> {
    let counts: Vec<(String, i64)> = on!(&mut *tx, |c| sqlx::query_as(COUNTS)
        .bind(id.as_str())
        .fetch_all(&mut **c)
        .await)?;
    let counts: BTreeMap<String, i64> = counts.into_iter().collect();
    on!(tx, |c| sqlx::query(RESULT)
        .bind(id.as_str())
        .bind(json!(counts).to_string())
        .execute(&mut **c)
        .await
        .map(drop))
}

async fn tell(
    tx: &mut Tx,
    id: &ReplayId,
    state: ReplayState,
    reason: Option<String>,
    now: i64,
) -> Result<(), sqlx::Error> {
    let act = Act {
        id: new_act_id(),
        at: now,
        actor: BY_ITSELF.to_owned(),
        verb: format!("replay_{}", state.as_str()),
        target: id.to_string(),
        reason: reason.unwrap_or_else(|| "每条推送都有了结果".to_owned()),
        detail: json!({}),
    };
    insert_act(tx, &act).await
}

impl ReplayRow {
    fn plan(&self) -> Result<Plan, StoreError> {
        Ok(Plan {
            count: self.count,
            rate_per_s: self.rate_per_s,
            ramp: self.ramp()?,
            stop_percent: self.stop_percent,
        })
    }

    fn progress(&self) -> Result<Progress, StoreError> {
        Ok(Progress {
            state: self.state()?,
            started: self.started,
            ended: self.ended,
            failed: self.failed,
            ended_before: self.ended_before,
            failed_before: self.failed_before,
            paced_at: self.paced_at,
        })
    }
}
