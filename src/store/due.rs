//! What is due, for the sweep that makes lost wake-ups harmless.

use super::db::Db;
use super::outage::{once, read};
use super::{Store, StoreError};
use crate::record::DeliveryId;
use std::time::Duration;

/// Up to here the due deliveries of a platform are counted; a sweep must not read a backlog.
const COUNTED_MAX: i64 = 1000;
/// How long noting offers may take.
const OFFER_WAIT: Duration = Duration::from_secs(5);

/// Steps from platform to platform through the index instead of reading every due row.
macro_rules! platforms {
    () => {
        "WITH RECURSIVE named (platform) AS ( \
         SELECT MIN(platform) FROM deliveries WHERE due_at IS NOT NULL \
         UNION ALL \
         SELECT (SELECT MIN(d.platform) FROM deliveries d \
         WHERE d.platform > n.platform AND d.due_at IS NOT NULL) \
         FROM named n WHERE n.platform IS NOT NULL) "
    };
}

const DUE_PLATFORMS: &str = concat!(
    platforms!(),
    "SELECT n.platform, (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries d \
     WHERE d.platform = n.platform AND d.due_at <= $1 LIMIT $2) AS counted) AS count \
     FROM named n WHERE n.platform IS NOT NULL"
);
const NEXT_DUE_AT: &str = concat!(
    platforms!(),
    "SELECT MIN((SELECT MIN(d.due_at) FROM deliveries d \
     WHERE d.platform = n.platform AND d.due_at IS NOT NULL)) \
     FROM named n WHERE n.platform IS NOT NULL"
);

/// Became due since it was last offered, or was offered so long ago that the broker may have
/// forgotten it.
macro_rules! unoffered {
    () => {
        "(offered_at IS NULL OR offered_at < due_at OR offered_at < $3)"
    };
}
/// Of the longest due only: a sweep must not read a backlog.
macro_rules! oldest_unoffered {
    () => {
        concat!(
            "(SELECT o.id FROM (SELECT id, due_at, offered_at FROM deliveries \
             WHERE platform = $2 AND due_at <= $1 ORDER BY due_at LIMIT $4) AS o WHERE ",
            unoffered!(),
            ")"
        )
    };
}
const OFFER: &str = concat!(
    "UPDATE deliveries SET offered_at = $1 WHERE id IN ",
    oldest_unoffered!(),
    " RETURNING id"
);
/// Locked while selected, stepping over what others hold: two sweeps never offer the same row,
/// and never wait for a sender.
const OFFER_POSTGRES: &str = concat!(
    "UPDATE deliveries SET offered_at = $1 WHERE id = ANY (ARRAY (SELECT id FROM deliveries \
     WHERE id = ANY (ARRAY ",
    oldest_unoffered!(),
    ") AND due_at <= $1 AND ",
    unoffered!(),
    " FOR UPDATE SKIP LOCKED)) RETURNING id"
);

#[cfg(test)]
pub(super) const SHARED: [&str; 2] = [DUE_PLATFORMS, NEXT_DUE_AT];
#[cfg(test)]
pub(super) const SQLITE: [&str; 1] = [OFFER];
#[cfg(test)]
pub(super) const POSTGRES: [&str; 1] = [OFFER_POSTGRES];

impl Store {
    /// Returns the platforms that have something due and unclaimed, or claimed by a sender whose
    /// lease ran out, with how many; above 1,000 it stops counting.
    pub async fn due_platforms(&self, now: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let mut due: Vec<(String, i64)> =
            read!(self, "read what is due", |c| sqlx::query_as(DUE_PLATFORMS)
                .bind(now)
                .bind(COUNTED_MAX)
                .fetch_all(c)
                .await)?;
        due.retain(|(_, count)| *count > 0);
        Ok(due)
    }

    /// Returns which of the `limit` longest due deliveries of `platform` shall be offered now, in
    /// order, and notes that they are: those that became due since they were last offered, and
    /// those last offered before `offered_before`.
    pub async fn offer_due(
        &self,
        platform: &str,
        now: i64,
        offered_before: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let text = match &self.pools().writer {
            Db::Sqlite(_) => OFFER,
            Db::Postgres(_) => OFFER_POSTGRES,
        };
        let ids: Vec<(String,)> = once!(self, OFFER_WAIT, "note what is offered", |c| {
            sqlx::query_as(text)
                .bind(now)
                .bind(platform)
                .bind(offered_before)
                .bind(limit)
                .fetch_all(c)
                .await
        })?;
        let mut ids: Vec<DeliveryId> = ids.into_iter().map(|(id,)| id.into()).collect();
        // Ids sort by time, so older records go first.
        ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        Ok(ids)
    }

    /// Returns when the next delivery becomes due on any platform; in the past when one is due.
    pub async fn next_due_at(&self) -> Result<Option<i64>, StoreError> {
        let (next,): (Option<i64>,) = read!(self, "read what is due next", |c| sqlx::query_as(
            NEXT_DUE_AT
        )
        .fetch_one(c)
        .await)?;
        Ok(next)
    }
}
