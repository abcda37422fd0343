//! What is due, for the sweep that makes lost wake-ups harmless.

use super::outage::read;
use super::{Store, StoreError};

/// Up to here the due deliveries of a platform are counted; a sweep must not read a backlog.
const COUNTED_MAX: i64 = 1000;

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

#[cfg(test)]
pub(super) const SHARED: [&str; 2] = [DUE_PLATFORMS, NEXT_DUE_AT];

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
