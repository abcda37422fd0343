//! Brings records to platforms: claim, render, send, read the answer, settle.
//!
//! Owns the senders (one per platform), the sessions and the HTTP client. What a platform wants is
//! told by its [`crate::connector`]; what is due and what became of it lives in [`crate::store`].
//! It never takes submissions in; [`crate::intake`] does, and both meet in the store.
//!
//! Where a delivery goes with each outcome is told by [`crate::record::life`].

mod age;
mod attempt;
mod breaker;
mod evidence;
mod exchange;
mod identical;
mod likeness;
mod outcome;
mod pace;
mod plan;
mod sender;
mod session;
mod share;
mod sign;
mod too_many;
mod transport;
pub mod trial;

pub use likeness::{group_name, pattern};
pub use transport::{SendError, Transport};

use crate::attachment::Attachments;
use crate::connector::Connectors;
use crate::queue::{Queue, SweepOptions, sweep};
use crate::store::Store;
use sender::{Sender, Surroundings};
use share::{Share, announce, keep_share};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How delivering is tuned.
#[derive(Debug, Clone, Copy)]
pub struct DeliverOptions {
    /// How long a claim is valid without renewal; also the wait after a crash.
    pub lease: Duration,
    /// How what is due and unclaimed is offered again.
    pub sweep: SweepOptions,
    /// How often a process tells the others that it sends.
    pub beat: Duration,
    /// How often a sender asks whether somebody wants it to look at what is shown.
    pub look: Duration,
}

/// The senders at work.
pub struct Deliverer {
    shutdown: CancellationToken,
    senders: TaskTracker,
    /// Ends the sweep and the renewal, which live on until the last sender has settled.
    finished: CancellationToken,
    keepers: TaskTracker,
}

impl Deliverer {
    /// Starts one sender for each connector, the sweep and the renewal of leases.
    ///
    /// # Errors
    /// When an HTTP client cannot be set up.
    pub fn start(
        (store, attachments): (&Store, &Attachments),
        queue: &Arc<dyn Queue>,
        connectors: &Connectors,
        options: DeliverOptions,
    ) -> anyhow::Result<Self> {
        let shutdown = CancellationToken::new();
        let finished = CancellationToken::new();
        let (senders, keepers) = (TaskTracker::new(), TaskTracker::new());
        let owner = uuid::Uuid::now_v7().to_string();
        let (told, shares) = watch::channel(Share::ALL);
        let (announced, ready) = watch::channel(store.is_shared());
        let me = (owner.clone(), versions(connectors));
        if store.is_shared() {
            told.send_replace(Share::NONE);
            let end = finished.clone();
            keepers.spawn(keep_share(store.clone(), me, options.beat, told, end));
        } else {
            let end = finished.clone();
            keepers.spawn(announce(store.clone(), me, options.beat, announced, end));
        }
        let surroundings = Surroundings {
            store: store.clone(),
            attachments: attachments.clone(),
            queue: Arc::clone(queue),
            owner: owner.clone(),
            lease: options.lease,
            look: options.look,
            shares,
            shutdown: shutdown.clone(),
        };
        for connector in connectors.iter() {
            for problem in connector.unresolved() {
                tracing::error!(platform = %connector.id, problem, "Nothing is sent to {}: {problem}", connector.id);
            }
            let sender = Sender::new(surroundings.clone(), Arc::clone(connector))?;
            let (mut ready, shutdown) = (ready.clone(), shutdown.clone());
            senders.spawn(async move {
                let begins = tokio::select! {
                    () = shutdown.cancelled() => false,
                    known = ready.wait_for(|it| *it) => known.is_ok(),
                };
                if begins {
                    Arc::new(sender).run().await;
                }
            });
        }
        keepers.spawn(sweep(
            store.clone(),
            Arc::clone(queue),
            options.sweep,
            finished.clone(),
        ));
        keepers.spawn(renew_leases(
            store.clone(),
            owner,
            options.lease,
            finished.clone(),
        ));
        senders.close();
        keepers.close();
        Ok(Self {
            shutdown,
            senders,
            finished,
            keepers,
        })
    }

    /// Claims nothing more, finishes what is in flight, hands back the rest.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.senders.wait().await;
        self.finished.cancel();
        self.keepers.wait().await;
    }
}

/// Returns what a process with these connectors says of itself: platform → version, as JSON.
fn versions(connectors: &Connectors) -> String {
    let versions = connectors.iter().map(|it| (it.id.as_str(), it.version()));
    serde_json::json!(versions.collect::<BTreeMap<_, _>>()).to_string()
}

/// Keeps the leases of this process valid while it lives.
async fn renew_leases(store: Store, owner: String, lease: Duration, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(lease / 3) => {}
        }
        let until = crate::clock::now_ms() + lease.as_millis() as i64;
        if let Err(error) = store.renew(&owner, until).await {
            tracing::warn!(%error, "Cannot renew leases");
        }
    }
}
