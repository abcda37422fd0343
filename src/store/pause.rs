//! When operators paused platforms, and all in all when the hub itself would not send: that is no
//! part of a delivery's age.

use super::breaker::KEEP_MS;
use super::db::{Tx, on};
use super::outage::read;
use super::{Store, StoreError};

/// Most spans that are added up, the newest: an outage each half minute for three days.
const SPANS_MAX: i64 = 10_000;

/// A pause ends when somebody resumes, or pauses anew.
const BEGIN_PAUSE: &str = "INSERT INTO pauses (id, platform, began_at, ended_at) \
     VALUES ($1, $2, $3, $4)";
const END_PAUSE: &str = "UPDATE pauses SET ended_at = $1 \
     WHERE platform = $2 AND (ended_at IS NULL OR ended_at > $1)";
const FORGET_PAUSES: &str = "DELETE FROM pauses WHERE platform = $1 AND ended_at < $2";
const CLOSED_SPANS: &str = "SELECT began_at, COALESCE(ended_at, $3) FROM ( \
     SELECT began_at, ended_at FROM outages WHERE platform = $1 AND kind = 'out' \
     UNION ALL SELECT began_at, ended_at FROM pauses WHERE platform = $1) AS closed \
     WHERE began_at < $3 AND COALESCE(ended_at, $3) > $2 ORDER BY began_at DESC LIMIT $4";

#[cfg(test)]
pub(super) const SHARED: [&str; 4] = [BEGIN_PAUSE, END_PAUSE, FORGET_PAUSES, CLOSED_SPANS];

impl Store {
    /// Returns when the hub would not send to `platform` between `since` and `now`: it did not
    /// answer, or operators had paused it. Spans from beginning to end, the latest first; they may
    /// overlap and reach beyond both times.
    pub async fn closed_spans(
        &self,
        platform: &str,
        since: i64,
        now: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        read!(self, "read when nothing was sent", |c| sqlx::query_as(
            CLOSED_SPANS
        )
        .bind(platform)
        .bind(since)
        .bind(now)
        .bind(SPANS_MAX)
        .fetch_all(c)
        .await)
    }
}

/// Notes in the same transaction that an operator pauses `platform`, until `until` when given.
pub(super) async fn begin_pause_in(
    tx: &mut Tx,
    platform: &str,
    now: i64,
    until: Option<i64>,
) -> Result<(), sqlx::Error> {
    end_pause_in(tx, platform, now).await?;
    let id = uuid::Uuid::now_v7().to_string();
    on!(tx, |c| {
        sqlx::query(BEGIN_PAUSE)
            .bind(&id)
            .bind(platform)
            .bind(now)
            .bind(until)
            .execute(&mut **c)
            .await?;
        sqlx::query(FORGET_PAUSES)
            .bind(platform)
            .bind(now - KEEP_MS)
            .execute(&mut **c)
            .await
            .map(drop)
    })
}

/// Notes in the same transaction that no pause of `platform` lasts any more.
pub(super) async fn end_pause_in(tx: &mut Tx, platform: &str, now: i64) -> Result<(), sqlx::Error> {
    on!(tx, |c| sqlx::query(END_PAUSE)
        .bind(now)
        .bind(platform)
        .execute(&mut **c)
        .await
        .map(drop))
}
