//! Wakes senders up when there may be work.
//!
//! Owns the [`Queue`] trait, its implementations and the [`sweep`]. It carries delivery ids at
//! most, never payloads, and may be wiped at any time: the `deliveries` table of [`crate::store`]
//! is the queue of record, and the sweep offers again what was due and unclaimed.

mod embedded;
mod events;

pub use embedded::EmbeddedQueue;
pub use events::{EventOptions, EventPublisher};

use crate::record::DeliveryId;
use crate::store::Store;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Wakes senders up, per platform. Losing every message must never lose work.
pub trait Queue: Send + Sync {
    /// Tells the senders of `platform` that `ids` are due; empty means "something is due".
    /// Called after the commit; cheap, never blocks for long.
    fn offer(&self, platform: &str, ids: &[DeliveryId]);

    /// Resolves when there may be work for `platform`.
    fn next<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Work>;
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
pub struct Receipt(Option<Box<dyn FnOnce() + Send>>);

impl Receipt {
    /// A receipt that needs no acknowledgement.
    pub fn none() -> Self {
        Self(None)
    }

    /// A receipt that runs `acknowledge` when the work is done.
    pub fn new(acknowledge: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(acknowledge)))
    }

    /// Tells the queue that the outcome is stored.
    pub fn acknowledge(mut self) {
        if let Some(acknowledge) = self.0.take() {
            acknowledge();
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

/// Offers every `interval` what is due and unclaimed, until `shutdown`.
///
/// This is what makes a lost wake-up, a wiped queue and a crashed sender harmless. A store that
/// does not answer is reported once per outage and asked again at the next turn.
pub async fn sweep(
    store: Store,
    queue: Arc<dyn Queue>,
    interval: Duration,
    shutdown: CancellationToken,
) {
    let mut failing = false;
    loop {
        match store.due_platforms(crate::clock::now_ms()).await {
            Ok(due) => {
                failing = false;
                for (platform, _) in due {
                    queue.offer(&platform, &[]);
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "The sweep cannot read what is due; it goes on trying");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::sample;

    #[tokio::test]
    async fn the_sweep_wakes_the_senders_of_what_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/hub.db", folder.path().display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        // The wake-up for this one is lost, as after a crash.
        store.submit(sample("a", 1)).await.unwrap();
        let queue = Arc::new(EmbeddedQueue::new());
        let shutdown = CancellationToken::new();
        let sweeping = tokio::spawn(sweep(
            store,
            Arc::clone(&queue) as Arc<dyn Queue>,
            Duration::from_secs(3600),
            shutdown.clone(),
        ));
        for platform in ["gazette", "portal"] {
            queue.next(platform).await.receipt.acknowledge();
        }
        shutdown.cancel();
        sweeping.await.unwrap();
    }
}
