//! The end of a version that a platform had before: refused while anything would be lost by it.
//!
//! What was retired is let go of afterwards, in batches: nothing there concerns the hub any more.

use super::db::{on, row};
use super::outage::read;
use super::platform::insert_act;
use super::redirect::act;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::{DeliveryState, platform_of};
use serde::Serialize;
use serde_json::json;

/// How many deliveries of each state one transaction lets go of.
const BATCH: i64 = 2_000;

/// What keeps a version of a platform from being retired, in numbers of deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remainder {
    /// A take-down that has not succeeded.
    pub to_take_down: i64,
    /// On its way right now.
    pub sending: i64,
    /// Shown, waiting or failed there, and not shown by the version that the platform has now.
    pub only_there: i64,
    /// Shown by both.
    pub also_shown: i64,
}

impl Remainder {
    /// Returns whether nothing is lost when the version is retired.
    pub fn is_nothing(&self) -> bool {
        (self.to_take_down, self.sending, self.only_there) == (0, 0, 0)
    }
}

row! {
    /// How much of a version is left, in one respect.
    struct RemainderRow { to_take_down: i64, sending: i64, only_there: i64, also_shown: i64 }
}

const REMAINDER: &str = "SELECT \
     CAST(COALESCE(SUM(CASE WHEN wanted = 'gone' THEN 1 ELSE 0 END), 0) AS BIGINT) AS to_take_down, \
     CAST(COALESCE(SUM(CASE WHEN state = 'sending' THEN 1 ELSE 0 END), 0) AS BIGINT) AS sending, \
     CAST(COALESCE(SUM(CASE WHEN wanted = 'shown' AND NOT moved THEN 1 ELSE 0 END), 0) AS BIGINT) \
     AS only_there, \
     CAST(COALESCE(SUM(CASE WHEN wanted = 'shown' AND moved THEN 1 ELSE 0 END), 0) AS BIGINT) \
     AS also_shown FROM (SELECT d.state, d.wanted, EXISTS (SELECT 1 FROM deliveries n \
     WHERE n.record_id = d.record_id AND n.platform = $2 AND n.wanted = 'shown' \
     AND n.shown_version = d.version) AS moved \
     FROM deliveries d WHERE d.platform = $1 AND d.state IN ('held', 'queued', 'sending', \
     'retrying', 'delivered', 'confirmed', 'failed')) AS rest";
const NOTE_RETIRED: &str = "INSERT INTO platforms (id, paused, mode, changed_at, retired_at) \
     VALUES ($1, FALSE, 'hold', CAST($2 AS BIGINT), CAST($2 AS BIGINT)) \
     ON CONFLICT (id) DO UPDATE SET retired_at = excluded.retired_at";
/// Nothing there concerns the hub any more.
const LET_GO: &str = "UPDATE deliveries SET state = 'withdrawn', wanted = 'gone', held = FALSE, \
     due_at = NULL, settled = claimed, shown_version = NULL, remote_id = NULL, remote_url = NULL, \
     updated_at = $3 WHERE id IN (SELECT id FROM deliveries WHERE state = $2 AND platform = $1 \
     LIMIT $4)";

#[cfg(test)]
pub(super) const SHARED: [&str; 3] = [REMAINDER, NOTE_RETIRED, LET_GO];

impl Store {
    /// Returns what is left of `previous`, a version that a platform had before.
    pub async fn remainder(&self, previous: &str) -> Result<Remainder, StoreError> {
        let row: RemainderRow = read!(self, "count what is left", |c| sqlx::query_as(REMAINDER)
            .bind(previous)
            .bind(platform_of(previous))
            .fetch_one(c)
            .await)?;
        Ok(row.into())
    }

    /// Retires `previous` when nothing is lost by it, and leaves an act. Returns what was left, and
    /// whether it is retired now.
    pub async fn retire(
        &self,
        previous: &str,
        reason: &str,
        actor: &str,
    ) -> Result<(Remainder, bool), StoreError> {
        let failed = StoreError::while_doing("retire a version");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let row: RemainderRow = on!(&mut tx, |c| sqlx::query_as(REMAINDER)
            .bind(previous)
            .bind(platform_of(previous))
            .fetch_one(&mut **c)
            .await)
        .map_err(&failed)?;
        let left = Remainder::from(row);
        if !left.is_nothing() {
            return Ok((left, false));
        }
        let now = now_ms();
        on!(&mut tx, |c| sqlx::query(NOTE_RETIRED)
            .bind(previous)
            .bind(now)
            .execute(&mut **c)
            .await
            .map(drop))
        .map_err(&failed)?;
        let act = act("retire", previous, reason, actor, json!(left), now);
        insert_act(&mut tx, &act).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        Ok((left, true))
    }

    /// Lets go of some of what a retired version still has; returns how many. Nothing is sent.
    pub async fn let_go(&self, previous: &str) -> Result<u64, StoreError> {
        let failed = StoreError::while_doing("let go of a retired version");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let mut count = 0;
        for state in LEFT_STATES {
            count += on!(&mut tx, |c| sqlx::query(LET_GO)
                .bind(previous)
                .bind(state.as_str())
                .bind(now_ms())
                .bind(BATCH)
                .execute(&mut **c)
                .await
                .map(|done| done.rows_affected()))
            .map_err(&failed)?;
        }
        tx.commit().await.map_err(&failed)?;
        Ok(count)
    }
}

/// What a retired version may still have; what is over stays as it is.
const LEFT_STATES: [DeliveryState; 7] = [
    DeliveryState::Confirmed,
    DeliveryState::Delivered,
    DeliveryState::Failed,
    DeliveryState::Retrying,
    DeliveryState::Queued,
    DeliveryState::Held,
    DeliveryState::Skipped,
];

impl From<RemainderRow> for Remainder {
    fn from(row: RemainderRow) -> Self {
        Self {
            to_take_down: row.to_take_down,
            sending: row.sending,
            only_there: row.only_there,
            also_shown: row.also_shown,
        }
    }
}
