//! The processes that send, which divide the limits of the platforms among themselves.
//!
//! Whether another process lives is told by its counter moving, never by comparing the clocks of
//! two machines.

use super::db::Db;
use super::outage::once;
use super::{Store, StoreError};
use std::time::Duration;

/// Rows of processes that ended without a word are kept this long, in milliseconds.
const FORGET_AFTER_MS: i64 = 3_600_000;

const BEAT: &str = "INSERT INTO senders (id, beats, seen_at, connectors) VALUES ($1, 1, $2, $3) \
     ON CONFLICT (id) DO UPDATE SET beats = senders.beats + 1, seen_at = excluded.seen_at, \
     connectors = excluded.connectors";
const SENDERS: &str = "SELECT id, beats FROM senders ORDER BY id";
const LEAVE: &str = "DELETE FROM senders WHERE id = $1 OR seen_at < $2";

const ALONE: &str = "DELETE FROM senders WHERE id <> $1";

#[cfg(test)]
pub(super) const SHARED: [&str; 4] = [BEAT, SENDERS, LEAVE, ALONE];

impl Store {
    /// Returns whether other processes may work on the same database: a SQLite file belongs to
    /// one process at a time.
    pub fn is_shared(&self) -> bool {
        matches!(self.pools().writer, Db::Postgres(_))
    }

    /// Says that the process `id` sends with `connectors` (JSON: platform → version), and that it
    /// is the only one; gives up after `wait`.
    pub async fn announce_alone(
        &self,
        id: &str,
        connectors: &str,
        now: i64,
        wait: Duration,
    ) -> Result<(), StoreError> {
        once!(self, wait, "forget earlier senders", |c| sqlx::query(ALONE)
            .bind(id)
            .execute(c)
            .await
            .map(drop))?;
        self.beat(id, connectors, now, wait).await.map(drop)
    }

    /// Counts the sending process `id` with its `connectors` up, then returns all of them with
    /// their counters, by id; gives up after `wait`.
    pub async fn beat(
        &self,
        id: &str,
        connectors: &str,
        now: i64,
        wait: Duration,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        once!(self, wait, "count a sender", |c| sqlx::query(BEAT)
            .bind(id)
            .bind(now)
            .bind(connectors)
            .execute(c)
            .await
            .map(drop))?;
        // Read after the beat is committed: whoever sees this beat knows that it was seen.
        once!(self, wait, "read the senders", |c| {
            sqlx::query_as(SENDERS).fetch_all(c).await
        })
    }

    /// Takes the sending process `id` off the list, and those that have been silent for long;
    /// gives up after `wait`.
    pub async fn leave(&self, id: &str, now: i64, wait: Duration) -> Result<(), StoreError> {
        once!(self, wait, "take a sender off the list", |c| {
            sqlx::query(LEAVE)
                .bind(id)
                .bind(now - FORGET_AFTER_MS)
                .execute(c)
                .await
                .map(drop)
        })
    }
}
