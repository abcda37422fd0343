//! The only home of SQL: submissions, records, versions, deliveries, attempts, replays.
//!
//! Owns every table and every transaction. It never decides what is shown where (that is
//! [`crate::route`] and [`crate::screen`]) and never talks to a platform; it makes sure that what
//! was accepted is kept ([`Store::submit`]), that one delivery has one sender at a time
//! ([`Store::claim`]), and that the newest version wins. [`crate::queue`] only wakes senders up;
//! the `deliveries` table is the queue of record.

mod account;
mod bulk;
mod claim;
mod condition;
mod db;
mod delivery;
mod due;
mod error;
mod failure;
mod operate;
mod platform;
mod record;
mod replay;
mod schema;
mod sender;
mod settle;
mod steer;
mod submission;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod trace;
mod writer;

pub use account::{Account, NewAccount};
pub use delivery::{Claim, NewAttempt, Settled, Settlement};
pub use error::StoreError;
pub use failure::FailureGroup;
pub use operate::{ReleaseOutcome, WithdrawOutcome};
pub use platform::{Act, PlatformSwitch, StateCount};
pub use record::{PAGE_MAX, RecordFilter, RecordPage, RecordSummary, RecordView, VersionView};
pub use replay::{
    NewReplay, REPLAY_MAX, Replay, ReplayFilter, ReplayOutcomes, ReplaySelection, ReplayState,
};
pub use schema::MigrationState;
pub use submission::{DeliveryHead, NewSubmission, RecordHead, RecordState, SubmitOutcome};
pub use trace::{AttemptView, DeliveryView, FailureView};

use db::{Pools, on};
use std::sync::Arc;
use writer::Writer;

const PING: &str = "SELECT 1";

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Arc<Pools>,
    writer: Writer,
}

impl Store {
    /// Opens the database at `url`: `sqlite://path/to/file.db` (made when missing) or
    /// `postgres://…`. Call [`Store::migrate`] before anything else.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let pools = Arc::new(Pools::open(url).await?);
        let writer = Writer::start(Arc::clone(&pools));
        Ok(Self {
            inner: Arc::new(Inner { pools, writer }),
        })
    }

    /// Asks the database whether it answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        on!(&self.pools().reader, |c| sqlx::query(PING)
            .execute(c)
            .await
            .map(drop))
        .map_err(StoreError::while_doing("answer a ping"))
    }

    /// Commits what was handed over, then closes the connections. Later calls get
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        self.inner.writer.close().await;
        self.pools().close().await;
    }

    fn pools(&self) -> &Pools {
        &self.inner.pools
    }

    fn writer(&self) -> &Writer {
        &self.inner.writer
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the address: it may hold a password.
        let engine = match self.pools().writer {
            db::Db::Sqlite(_) => "sqlite",
            db::Db::Postgres(_) => "postgres",
        };
        formatter
            .debug_struct("Store")
            .field("engine", &engine)
            .finish()
    }
}
