//! A hub on a runtime of its own, with a second process that sends, if there is one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use synchub::attachment::Attachments;
use synchub::connector::Connectors;
use synchub::deliver::{DeliverOptions, Deliverer};
use synchub::queue::{EmbeddedQueue, Queue, SweepOptions};
use synchub::store::Store;
use tokio::runtime::Runtime;

pub(super) const LEASE: Duration = Duration::from_secs(20);
/// How often the hub looks for what became due.
pub(super) const SWEEP: Duration = Duration::from_millis(4);

/// A process: everything in it is gone when it is dropped.
pub(super) struct Hub {
    pub(super) runtime: Runtime,
    pub(super) store: Store,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) attachments: Attachments,
    pub(super) senders: Option<Deliverer>,
    /// The senders of a second process, with a queue of their own, on the same store.
    pub(super) others: Option<(Deliverer, Arc<dyn Queue>)>,
}

impl Hub {
    pub(super) fn start(folder: &Path, connectors: &Connectors) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let url = format!("sqlite://{}", folder.join("hub.db").display());
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::new());
        let store = runtime.block_on(Store::open(&url)).expect("a store");
        let attachments = Attachments::in_folder(&store, &folder.join("files"));
        let mut hub = Self {
            runtime,
            store,
            queue,
            attachments: attachments.expect("a folder"),
            senders: None,
            others: None,
        };
        hub.senders = Some(hub.senders_with(&hub.queue, connectors));
        hub
    }

    pub(super) fn senders_with(
        &self,
        queue: &Arc<dyn Queue>,
        connectors: &Connectors,
    ) -> Deliverer {
        let options = DeliverOptions {
            lease: LEASE,
            sweep: SweepOptions {
                interval: SWEEP,
                grace: Duration::from_secs(30),
            },
            beat: Duration::from_secs(1),
            look: SWEEP,
        };
        let places = (&self.store, &self.attachments);
        self.runtime
            .block_on(async { Deliverer::start(places, queue, connectors, options) })
            .expect("senders")
    }

    /// A second process begins to send.
    pub(super) fn join(&mut self, connectors: &Connectors) {
        if self.others.is_none() {
            let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::new());
            self.others = Some((self.senders_with(&queue, connectors), queue));
        }
    }

    /// The second process ends well.
    pub(super) fn part(&mut self) {
        if let Some((senders, _)) = self.others.take() {
            self.runtime.block_on(senders.stop());
        }
    }

    pub(super) fn wake(&self, platform: &str) {
        self.queue.offer(platform, &[]);
        if let Some((_, queue)) = &self.others {
            queue.offer(platform, &[]);
        }
    }
}
