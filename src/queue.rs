//! Tells senders that there is work.
//!
//! Owns the [`Queue`] trait, its implementations and the [`sweep`]. It carries delivery ids at
//! most, never payloads, and may be wiped at any time: the `deliveries` table of [`crate::store`]
//! is the queue of record, and the sweep offers again what was due and unclaimed.

mod embedded;
mod events;
mod rabbit;
mod sweep;

pub use embedded::EmbeddedQueue;
pub use events::{EventOptions, EventPublisher};
pub use rabbit::{RabbitOptions, RabbitQueue};
pub use sweep::{SweepOptions, sweep};

use crate::record::DeliveryId;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

/// Wakes senders up, per platform. Losing every message must never lose work.
pub trait Queue: Send + Sync {
    /// Tells the senders of `platform` that `ids` are due; empty means "something is due".
    /// Called after the commit; cheap, never waits.
    fn offer(&self, platform: &str, ids: &[DeliveryId]);

    /// Returns whether the senders of this process may take new work straight from the commit that
    /// opened it. Not where messages say who works on what.
    fn lets_stand_by(&self) -> bool {
        false
    }

    /// Resolves when there may be work for `platform`. One caller per platform; dropping the
    /// future loses nothing.
    fn next<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Work>;

    /// Says that nobody will ask for work of `platform` for a while: what was fetched ahead goes
    /// back to where others can have it.
    fn rest(&self, _platform: &str) {}

    /// Returns what the sweep shall do about `platform`, which has something due.
    fn appetite<'a>(&'a self, _platform: &'a str) -> BoxFuture<'a, Appetite> {
        ready(Appetite::WakeUp).boxed()
    }

    /// Returns why the queue does not work right now; `None` when it does.
    fn problem(&self) -> Option<String> {
        None
    }

    /// Returns the messages that nobody could do anything with.
    fn parked(&self) -> BoxFuture<'_, Result<Vec<Parked>, QueueError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// Hands over what was offered and hands back what was fetched, then lets go. Bounded.
    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// A queue that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The address is wrong.
    #[error("the address of the queue does not work: {0}")]
    Address(String),
    /// The broker does not answer, or says no.
    #[error("the broker does not answer: {0}")]
    Away(String),
}

/// What a queue wants of the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appetite {
    /// A wake-up without ids.
    WakeUp,
    /// The ids of at most so many deliveries; 0 when enough of them wait.
    Ids(usize),
}

/// Messages that were put aside for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The queue they came from.
    pub queue: String,
    /// Why: `rejected` (not understood), `delivery_limit` (given back again and again).
    pub reason: String,
    /// How many.
    pub count: i64,
    /// When the first was put aside, in milliseconds since 1970.
    pub first_at: i64,
    /// When the last was put aside.
    pub last_at: i64,
    /// The beginning of one of them.
    pub example: String,
}

/// A hint that there may be work.
#[derive(Debug)]
pub struct Work {
    /// What is due; `None` for "whatever is due".
    pub ids: Option<Vec<DeliveryId>>,
    /// To be acknowledged after the outcome of all `ids` is stored.
    pub receipt: Receipt,
}

/// Proof of having received a [`Work`]. Dropping it without [`Receipt::acknowledge`] lets a
/// broker hand the work to another sender; the embedded queue has nothing to acknowledge.
#[must_use = "acknowledge after the outcome is stored"]
pub struct Receipt(Option<Box<dyn FnOnce(Handled) + Send + Sync>>);

/// What became of a [`Work`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The outcome of everything in it is stored.
    Stored,
    /// Somebody else shall have it.
    Returned,
}

impl Receipt {
    /// A receipt that needs no acknowledgement.
    pub fn none() -> Self {
        Self(None)
    }

    /// A receipt that runs `settle` once, at the latest when it is dropped.
    pub fn new(settle: impl FnOnce(Handled) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(settle)))
    }

    /// Tells the queue that the outcome is stored.
    pub fn acknowledge(mut self) {
        if let Some(settle) = self.0.take() {
            settle(Handled::Stored);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(settle) = self.0.take() {
            settle(Handled::Returned);
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Receipt")
            .field("needs_acknowledgement", &self.0.is_some())
            .finish()
    }
}
