//! The queue on RabbitMQ: ids of due deliveries in one durable quorum queue per platform.
//!
//! Owns every connection to the broker. Publishing and consuming have a connection each, because
//! a broker short of memory stops those that publish, and acknowledgements must go on. Whatever
//! breaks (connection, channel, queue) is made anew by the task that uses it; nothing here is
//! ever needed for correctness, since [`super::sweep`] offers again what got lost.

mod consumer;
mod link;
mod message;
mod offers;
mod parking;
mod publisher;
mod topology;

use super::{Appetite, Parked, Queue, QueueError, Work};
use crate::record::DeliveryId;
use consumer::Consumer;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use link::{Address, Link};
use offers::Offers;
use publisher::Depths;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::Topology;

/// Ids of one page of the sweep.
const PAGE: usize = 1_000;
/// With so many messages waiting for a platform, the sweep adds none.
const ENOUGH: u32 = 64;
/// How long ending may take: what was offered is handed over, connections are closed.
const CLOSING: Duration = Duration::from_secs(5);

/// How the broker is reached.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// `amqp://…` or `amqps://…`.
    pub url: String,
    /// Certificates of a private authority, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Messages fetched ahead per platform.
    pub prefetch: u16,
    /// First word of the names of queues.
    pub prefix: String,
    /// What the connections are called in the broker's lists.
    pub name: String,
}

/// The queue on a broker.
pub struct RabbitQueue {
    publishing: Arc<Link>,
    /// Made when something is first fetched: a process that only takes in needs none.
    consuming: OnceLock<Arc<Link>>,
    address: Address,
    topology: Topology,
    options: RabbitOptions,
    offers: Arc<Offers>,
    depths: Depths,
    consumers: Mutex<HashMap<String, Arc<Consumer>>>,
    users: Until,
    /// Ends after the users of the links: what they say last needs a connection.
    links: Until,
}

/// Tasks that run until they are told to end.
#[derive(Default)]
struct Until {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Until {
    async fn end(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSING, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("The broker does not let go; the sweep offers again what it keeps");
        }
    }
}

impl RabbitQueue {
    /// Begins to connect; does not wait for the broker.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn start(options: RabbitOptions) -> Result<Self, QueueError> {
        let address = Address::parse(&options.url, options.ca_file.clone())?;
        let topology = Topology::new(&options.prefix);
        let (users, links) = (Until::default(), Until::default());
        let publishing = Link::start(
            address.clone(),
            format!("{} publishing", options.name),
            links.shutdown.clone(),
            &links.tasks,
        );
        let offers = Arc::new(Offers::default());
        let (depths, asked) = Depths::new();
        users.tasks.spawn(publisher::run(
            Arc::clone(&publishing),
            topology.clone(),
            Arc::clone(&offers),
            asked,
            users.shutdown.clone(),
        ));
        Ok(Self {
            publishing,
            consuming: OnceLock::new(),
            address,
            topology,
            options,
            offers,
            depths,
            consumers: Mutex::default(),
            users,
            links,
        })
    }

    fn consumer(&self, platform: &str) -> Arc<Consumer> {
        let mut consumers = self
            .consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(consumer) = consumers.get(platform) {
            return Arc::clone(consumer);
        }
        let link = self.consuming.get_or_init(|| {
            Link::start(
                self.address.clone(),
                format!("{} consuming", self.options.name),
                self.links.shutdown.clone(),
                &self.links.tasks,
            )
        });
        let consumer = Consumer::start(
            Arc::clone(link),
            self.topology.clone(),
            platform,
            self.options.prefetch,
            self.users.shutdown.clone(),
            &self.users.tasks,
        );
        consumers.insert(platform.to_owned(), Arc::clone(&consumer));
        consumer
    }
}

impl Queue for RabbitQueue {
    fn offer(&self, platform: &str, ids: &[DeliveryId]) {
        // "Something is due" needs no message: the sweep finds it and names it.
        self.offers.add(platform, ids);
    }

    fn next<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Work> {
        async move { self.consumer(platform).next().await }.boxed()
    }

    fn rest(&self, platform: &str) {
        let consumers = self
            .consumers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(consumer) = consumers.get(platform) {
            consumer.rest();
        }
    }

    fn appetite<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Appetite> {
        async move {
            // A broker that does not answer gets nothing; the rows stay as they are.
            if self.publishing.problem().is_some() {
                return Appetite::Ids(0);
            }
            match self.depths.of(platform).await {
                Some(waiting) if waiting < ENOUGH => Appetite::Ids(PAGE),
                Some(_) | None => Appetite::Ids(0),
            }
        }
        .boxed()
    }

    fn problem(&self) -> Option<String> {
        let consuming = self.consuming.get().and_then(|link| link.problem());
        self.publishing.problem().or(consuming)
    }

    fn parked(&self) -> BoxFuture<'_, Result<Vec<Parked>, QueueError>> {
        parking::peek(&self.publishing, &self.topology).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.users.end().await;
            self.links.end().await;
        }
        .boxed()
    }
}

impl Drop for RabbitQueue {
    fn drop(&mut self) {
        self.users.shutdown.cancel();
        self.links.shutdown.cancel();
    }
}
