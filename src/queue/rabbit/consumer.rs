//! Fetches the messages of one platform while somebody asks for them.

use super::link::{Link, let_go};
use super::message;
use super::topology::Topology;
use crate::failpoint::{Point, reach};
use crate::queue::{Handled, Receipt, Work};
use futures_util::{FutureExt, StreamExt};
use lapin::Acker;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The wait after a channel broke.
const PAUSE: Duration = Duration::from_millis(500);

/// The fetched messages of one platform.
pub(super) struct Consumer {
    fetched: Mutex<mpsc::Receiver<Work>>,
    wanted: watch::Sender<bool>,
}

impl Consumer {
    /// Begins to fetch as soon as somebody asks.
    pub(super) fn start(
        link: Arc<Link>,
        topology: Topology,
        platform: &str,
        prefetch: u16,
        shutdown: CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let (fetch, fetched) = mpsc::channel(usize::from(prefetch).max(1));
        let (wanted, want) = watch::channel(false);
        let fetcher = Fetcher {
            link,
            topology,
            platform: platform.to_owned(),
            prefetch,
            fetch,
            want,
        };
        tasks.spawn(fetcher.run(shutdown));
        Arc::new(Self {
            fetched: Mutex::new(fetched),
            wanted,
        })
    }

    /// Resolves with the next message.
    pub(super) async fn next(&self) -> Work {
        self.wanted
            .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        match self.fetched.lock().await.recv().await {
            Some(work) => work,
            // The queue is closed; whoever asks is about to end.
            None => std::future::pending().await,
        }
    }

    /// Stops fetching and gives back what was fetched.
    pub(super) fn rest(&self) {
        self.wanted
            .send_if_modified(|wanted| std::mem::replace(wanted, false));
        if let Ok(mut fetched) = self.fetched.try_lock() {
            while fetched.try_recv().is_ok() {}
        }
    }
}

struct Fetcher {
    link: Arc<Link>,
    topology: Topology,
    platform: String,
    prefetch: u16,
    fetch: mpsc::Sender<Work>,
    want: watch::Receiver<bool>,
}

impl Fetcher {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                wanted = self.want.wait_for(|wanted| *wanted) => if wanted.is_err() { return },
            }
            let channel = tokio::select! {
                () = shutdown.cancelled() => return,
                channel = self.link.channel() => channel,
            };
            let fetched = tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                fetched = self.fetch(&channel, &mut failing) => fetched,
            };
            // Gives back what is not acknowledged.
            let_go(&channel).await;
            if let Err(problem) = fetched {
                if !failing && self.link.problem().is_none() {
                    failing = true;
                    let platform = &self.platform;
                    tracing::warn!(
                        platform,
                        problem,
                        "Fetching for {platform} broke off: {problem}; it begins anew"
                    );
                }
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    /// Fetches on one channel until nobody asks any more, or until it breaks.
    async fn fetch(&mut self, channel: &Channel, failing: &mut bool) -> Result<(), String> {
        let mut messages = self
            .subscribe(channel)
            .await
            .map_err(|error| error.to_string())?;
        *failing = false;
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = self.want.wait_for(|wanted| !*wanted) => return Ok(()),
            };
            let message = message
                .ok_or_else(|| "the queue was deleted".to_owned())?
                .map_err(|error| error.to_string())?;
            let Some(work) = self.understand(message) else {
                continue;
            };
            // There is always room: the broker sends no more than are acknowledged.
            tokio::select! {
                sent = self.fetch.send(work) => if sent.is_err() { return Ok(()) },
                _ = self.want.wait_for(|wanted| !*wanted) => return Ok(()),
            }
        }
    }

    async fn subscribe(&self, channel: &Channel) -> lapin::Result<lapin::Consumer> {
        self.topology.declare(channel, &self.platform).await?;
        channel
            .basic_qos(self.prefetch, BasicQosOptions::default())
            .await?;
        channel
            .basic_consume(
                self.topology.queue_of(&self.platform).into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
    }

    /// Reads a message; one that is not ours goes aside, where a person can look at it.
    fn understand(&self, message: Delivery) -> Option<Work> {
        let acker = message.acker;
        let Some(ids) = message::read(&message.data) else {
            let platform = &self.platform;
            tracing::error!(
                platform,
                bytes = message.data.len(),
                "A message for {platform} is not one of ours; it is put aside, see `synchub failures`"
            );
            // Polled once the order is on its way; the answer of the socket is not needed.
            let _ = acker
                .reject(BasicRejectOptions { requeue: false })
                .now_or_never();
            return None;
        };
        reach(Point::FetchTaken);
        Some(Work {
            ids: Some(ids),
            receipt: Receipt::new(move |handled| answer(&acker, handled)),
        })
    }
}

/// Tells the broker what became of a message. When the channel is gone the broker has given the
/// message to somebody else, who will find nothing left to do.
fn answer(acker: &Acker, handled: Handled) {
    reach(Point::AckBegins);
    // Polled once the order is on its way; the answer of the socket is not needed.
    let _ = match handled {
        Handled::Stored => acker.ack(BasicAckOptions::default()).now_or_never(),
        Handled::Returned => acker
            .nack(BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            })
            .now_or_never(),
    };
    reach(Point::AckEnded);
}
