//! Tells others what became of records: the outbox of events, published to a topic exchange.
//!
//! Owns the one publisher over all processes (by a lease in the store), its connection to the
//! broker and how an event is told ([`cloud`]). It decides nothing about records: what is told is
//! written by [`crate::store`] with the change itself. Each event is sent at least once, under one
//! id and one number; a broker that is away costs time, never events.

mod broker;
mod cloud;

use crate::backoff::Schedule;
use crate::catalogue::Catalogue;
use crate::clock::now_ms;
use crate::failpoint::{Point, reach};
use crate::store::{Event, Store, StoreError};
use broker::{Broker, Message};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many events are on their way unconfirmed.
const WINDOW: i64 = 512;
/// How many old events are removed at once.
const FORGET_MAX: i64 = 1_000;
/// How often old events are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(5);
/// How long a publisher that is told to end goes on with what waits; the rest waits in the store.
const ENDING_MAX: Duration = Duration::from_secs(3);
/// When a broker or a database that is away is tried again.
const RETRY: Schedule = Schedule {
    base: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(5),
};

/// How events are published.
#[derive(Clone)]
pub struct EventOptions {
    /// `amqp://…` or `amqps://…`; may hold a password.
    pub url: String,
    /// Certificates of a private authority, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The topic exchange.
    pub exchange: String,
    /// `source` of every event.
    pub source: String,
    /// How long the publisher is the only one without a sign of life.
    pub lease: Duration,
    /// How often the outbox is looked into when nothing waits.
    pub poll: Duration,
    /// How long sent events are kept.
    pub retention: Duration,
}

impl std::fmt::Debug for EventOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the address: it may hold a password.
        formatter
            .debug_struct("EventOptions")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why publishing stopped for the moment. Never contains an address or a password.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    #[error("the broker: {0}")]
    Broker(#[from] lapin::Error),
    #[error("events.url or queue.url does not look like amqps://user:password@host:port/vhost")]
    Address,
    #[error("events.ca_file: {0}")]
    Authority(#[from] std::io::Error),
    #[error("the broker did not {0} in time")]
    Slow(&'static str),
    #[error("the broker refused an event")]
    Refused,
}

/// The publisher of this process; only one of all processes works at a time.
#[derive(Debug)]
pub struct EventPublisher {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl EventPublisher {
    /// Starts publishing the events of `store`, as soon as no other process does and the broker
    /// answers.
    pub fn start(store: &Store, catalogue: &Arc<Catalogue>, options: EventOptions) -> Self {
        let shutdown = CancellationToken::new();
        let publishing = Publishing {
            store: store.clone(),
            catalogue: Arc::clone(catalogue),
            options,
            owner: uuid::Uuid::now_v7().to_string(),
            shutdown: shutdown.clone(),
            sent: 0,
            failures: 0,
            forget_at: Instant::now(),
        };
        Self {
            shutdown,
            task: tokio::spawn(publishing.run()),
        }
    }

    /// Publishes what waits, as long as that takes no more than seconds, and ends.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // It ends by itself; an error could only be a panic, which has been printed.
        let _ = self.task.await;
    }
}

struct Publishing {
    store: Store,
    catalogue: Arc<Catalogue>,
    options: EventOptions,
    /// This process in the lease row.
    owner: String,
    shutdown: CancellationToken,
    /// Everything up to this number is confirmed, as far as this process knows.
    sent: i64,
    /// How often in a row publishing came to nothing.
    failures: usize,
    forget_at: Instant,
}

impl Publishing {
    async fn run(mut self) {
        loop {
            match self.turn().await {
                Ok(()) => self.failures = 0,
                Err(error) if self.failures == 0 => {
                    self.failures = 1;
                    tracing::warn!(%error, "Events cannot be published for now; they wait in the store");
                }
                Err(error) => {
                    self.failures += 1;
                    tracing::debug!(%error, failures = self.failures, "Events still cannot be published");
                }
            }
            let pause = match self.failures {
                // Another process publishes, or the lease was lost to one.
                0 => self.options.lease / 3,
                failures => RETRY.step(failures - 1),
            };
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Publishes as long as this process is the one that does. An error gives the lease back, so
    /// that a process that reaches the broker can go on.
    async fn turn(&mut self) -> Result<(), PublishError> {
        let (now, until) = self.lease();
        if !self.store.take_event_lease(&self.owner, now, until).await? {
            return Ok(());
        }
        self.sent = 0;
        let published = self.connect_and_publish().await;
        let ended = self.store.end_event_lease(&self.owner, self.sent).await;
        published.and(ended.map_err(PublishError::from))
    }

    async fn connect_and_publish(&mut self) -> Result<(), PublishError> {
        let patience = self.options.lease / 2;
        let broker = Broker::connect(&self.options, patience).await?;
        tracing::info!("This process publishes the events");
        let published = self.publish(&broker).await;
        broker.close().await;
        published
    }

    async fn publish(&mut self, broker: &Broker) -> Result<(), PublishError> {
        let mut ending = None;
        loop {
            let (_, until) = self.lease();
            let taken = self
                .store
                .next_events(&self.owner, self.sent, until, WINDOW)
                .await?;
            let Some(events) = taken else {
                tracing::warn!("Another process has taken over publishing the events");
                return Ok(());
            };
            if self.shutdown.is_cancelled() {
                let ending = *ending.get_or_insert_with(Instant::now);
                if events.is_empty() || ending.elapsed() > ENDING_MAX {
                    return Ok(());
                }
            }
            if events.is_empty() {
                self.forget_old().await?;
                self.wait_for_more().await?;
                self.failures = 0;
                continue;
            }
            reach(Point::EventBegins);
            let (confirmed, result) = broker.publish(&self.messages(&events)).await;
            reach(Point::EventConfirmed);
            if let Some(last) = confirmed.checked_sub(1) {
                self.sent = events[last].sequence;
                metrics::counter!("synchub_events_total").increment(confirmed as u64);
            }
            result?;
            self.failures = 0;
            self.forget_old().await?;
        }
    }

    fn messages(&self, events: &[Event]) -> Vec<Message> {
        events
            .iter()
            .map(|event| cloud::message(event, &self.options.source, &self.catalogue))
            .collect()
    }

    /// Returns when something waits, when the lease wants to be renewed, or at the end.
    async fn wait_for_more(&self) -> Result<(), PublishError> {
        let renew_at = Instant::now() + self.options.lease / 3;
        while Instant::now() < renew_at {
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.options.poll) => {}
            }
            if self.store.event_waits().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes some old events, at times; at once again when there were many.
    async fn forget_old(&mut self) -> Result<(), PublishError> {
        if Instant::now() < self.forget_at {
            return Ok(());
        }
        let until = now_ms() - millis(self.options.retention);
        let forgotten = self.store.forget_events(until, FORGET_MAX).await?;
        if forgotten < FORGET_MAX as u64 {
            self.forget_at = Instant::now() + FORGET_EVERY;
        }
        Ok(())
    }

    /// Returns now and the end of a lease taken now.
    fn lease(&self) -> (i64, i64) {
        let now = now_ms();
        (now, now + millis(self.options.lease))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}
