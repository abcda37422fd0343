//! The only home of SQL: submissions, records, versions, deliveries, attempts, replays.
//!
//! Owns every table and every transaction. It never decides what is shown where (that is
//! [`crate::route`] and [`crate::screen`]) and never talks to a platform; it makes sure that what
//! was accepted is kept ([`Store::submit`]), that one delivery has one sender at a time
//! ([`Store::claim`]), and that the newest version wins. [`crate::queue`] only wakes senders up;
//! the `deliveries` table is the queue of record.

mod account;
mod attachment;
mod breaker;
mod bulk;
mod catalogue;
mod claim;
mod condition;
mod db;
mod delivery;
mod due;
mod error;
mod event;
mod failure;
mod hand;
mod operate;
mod outage;
mod overriding;
mod pause;
mod platform;
mod record;
mod redirect;
mod replay;
mod retire;
mod same;
mod schema;
mod sender;
mod settle;
mod standby;
mod steer;
mod submission;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod trace;
mod verification;
mod writer;

pub use account::{Account, NewAccount};
pub use attachment::{Expected, KeptFile};
pub use breaker::{Outage, OutageKind, Standing};
pub use catalogue::CatalogueVersion;
pub use delivery::{Claim, Document, NewAttempt, Settled, Settlement};
pub use error::StoreError;
pub use event::{DeliveryPart, Event, EventKind};
pub use failure::FailureGroup;
pub use hand::{HandMark, HandOutcome, HandWork};
pub use operate::{ReleaseOutcome, WithdrawOutcome};
pub use overriding::{NewOverride, Override, patch};
pub use platform::{Act, Passage, PauseMode, PlatformSwitch, StateCount};
pub use record::{
    Lateness, PAGE_MAX, RecordFilter, RecordPage, RecordSummary, RecordView, VersionView,
};
pub use redirect::{Redirect, RedirectCount, RedirectStep};
pub use replay::{
    FreezeOutcome, LiveReplay, NewReplay, REPLAY_MAX, Replay, ReplayFailure, ReplayItem,
    ReplayOutcomes, ReplaySelection, ReplaySkip, ReplayState, ReplayStep, ReplaySwitch, ReplayWay,
    Selected, SelectedDelivery,
};
pub use retire::Remainder;
pub use same::{KnownDocuments, OwnRecord, SameDocument};
pub use schema::MigrationState;
pub use standby::{Hands, InHand, StandBy};
pub use submission::{
    DeliveryHead, NewSubmission, Reckoning, RecordHead, RecordState, SubmitOutcome,
};
pub use trace::{AttemptView, DeliveryView, FailureView};
pub use verification::{
    FINDINGS_MAX, Look, LookOutcome, NewVerification, ShownPage, Verification, VerificationCounts,
    VerificationFinding, VerificationState,
};

use db::{Pools, on};
use outage::{Health, Patience};
use standby::Standbys;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use writer::{Limits, Shared, Writer};

const PING: &str = "SELECT 1";
/// How long a ping may take before the database counts as away.
const PING_WAIT: Duration = Duration::from_secs(2);

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Arc<Pools>,
    writer: Writer,
    health: Arc<Health>,
    standbys: Arc<Standbys>,
    limits: Limits,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// How long a call waits for a database that does not answer.
    pub wait: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(20),
        }
    }
}

impl Store {
    /// Opens the database at `url`: `sqlite://path/to/file.db` (made when missing) or
    /// `postgres://…`. Call [`Store::migrate`] before anything else.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, StoreOptions::default()).await
    }

    /// As [`Store::open`], with options.
    pub async fn open_with(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let limits = Limits {
            wait: options.wait,
            closing: CancellationToken::new(),
        };
        let patience = Patience::new(limits.wait, &limits.closing);
        let pools = Arc::new(Pools::open(url, patience).await?);
        let health = Arc::new(Health::default());
        let standbys = Arc::new(Standbys::default());
        let shared = Shared {
            pools: Arc::clone(&pools),
            health: Arc::clone(&health),
            standbys: Arc::clone(&standbys),
        };
        let writer = Writer::start(&shared, limits.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                pools,
                writer,
                health,
                standbys,
                limits,
            }),
        })
    }

    /// Asks the database whether it answers and takes commits; an error within two seconds when
    /// not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if let Some(trouble) = self.inner.health.trouble() {
            return Err(trouble);
        }
        let asked = async {
            on!(&self.pools().reader, |c| sqlx::query(PING)
                .execute(c)
                .await
                .map(drop))
        };
        tokio::time::timeout(PING_WAIT, asked)
            .await
            .unwrap_or_else(|_| Err(outage::no_answer()))
            .map_err(StoreError::while_doing("answer a ping"))
    }

    /// Ends long waits for a database that does not answer, because the process is to end.
    pub fn hurry(&self) {
        self.inner.limits.closing.cancel();
    }

    /// Commits what was handed over, then closes the connections. Later calls get
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        self.hurry();
        self.inner.writer.close().await;
        self.pools().close().await;
    }

    fn pools(&self) -> &Pools {
        &self.inner.pools
    }

    fn patience(&self) -> Patience {
        Patience::new(self.inner.limits.wait, &self.inner.limits.closing)
    }

    fn standbys(&self) -> &Standbys {
        &self.inner.standbys
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
