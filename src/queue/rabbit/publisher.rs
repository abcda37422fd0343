//! Publishes offers, confirmed, a few messages per platform at a time.
//!
//! While a platform's messages are on their way its next ids gather, so that a message carries
//! one id when it is quiet and many under load.

use super::link::{Link, let_go};
use super::message;
use super::offers::Offers;
use super::topology::Topology;
use crate::failpoint::{Point, reach};
use crate::record::DeliveryId;
use futures_util::future::BoxFuture;
use futures_util::poll;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::Confirmation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Unconfirmed messages of one platform.
const WINDOW: usize = 4;
/// A confirmation that takes longer is not waited for.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a channel broke.
const PAUSE: Duration = Duration::from_millis(500);
/// A queue that was made so recently may still be choosing its leader, and refuses messages until
/// it has one.
const YOUNG: Duration = Duration::from_secs(5);
/// The wait before a young queue is tried again.
const YOUNG_PAUSE: Duration = Duration::from_millis(50);
/// How long the last offers of a process may take.
const LAST_WORDS: Duration = Duration::from_secs(2);
const PERSISTENT: u8 = 2;
/// How long an answer about a queue's length is waited for.
const DEPTH_TIMEOUT: Duration = Duration::from_secs(2);
const DEPTHS_MAX: usize = 64;

type Question = (String, oneshot::Sender<u32>);

/// Asks how many messages wait for a platform.
pub(super) struct Depths(mpsc::Sender<Question>);

impl Depths {
    pub(super) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (ask, asked) = mpsc::channel(DEPTHS_MAX);
        (Self(ask), asked)
    }

    /// Returns the number of waiting messages; `None` when the broker does not answer in time.
    pub(super) async fn of(&self, platform: &str) -> Option<u32> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((platform.to_owned(), reply)).ok()?;
        tokio::time::timeout(DEPTH_TIMEOUT, answer).await.ok()?.ok()
    }
}

/// Publishes until `shutdown`, then what is left.
pub(super) async fn run(
    link: Arc<Link>,
    topology: Topology,
    offers: Arc<Offers>,
    mut asked: mpsc::Receiver<Question>,
    shutdown: CancellationToken,
) {
    let mut failing = false;
    loop {
        let channel = tokio::select! {
            () = shutdown.cancelled() => return,
            channel = link.channel() => channel,
        };
        let mut publisher = Publisher {
            channel,
            topology: &topology,
            offers: &offers,
            declared: HashMap::new(),
            refused: HashMap::new(),
            on_their_way: HashMap::new(),
        };
        match publisher.publish(&mut asked, &shutdown).await {
            Ok(()) => return,
            Err(problem) => {
                if !failing {
                    tracing::warn!(problem, "Publishing broke off: {problem}; it begins anew");
                }
                failing = true;
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        failing = failing && link.problem().is_none();
    }
}

struct Publisher<'a> {
    channel: Channel,
    topology: &'a Topology,
    offers: &'a Offers,
    /// When this channel made sure of a platform's queue.
    declared: HashMap<String, Instant>,
    /// Until when a young queue that refused a message is left alone.
    refused: HashMap<String, Instant>,
    on_their_way: HashMap<String, usize>,
}

/// A message on its way: to which platform, which ids, and what became of it.
struct Sent {
    platform: String,
    ids: Vec<DeliveryId>,
    confirmation: Result<Confirmation, String>,
}

impl Publisher<'_> {
    /// Publishes on one channel until it breaks, or until `shutdown`.
    async fn publish(
        &mut self,
        asked: &mut mpsc::Receiver<Question>,
        shutdown: &CancellationToken,
    ) -> Result<(), String> {
        self.channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(|error| error.to_string())?;
        let mut unconfirmed = FuturesUnordered::new();
        let mut ending = None;
        loop {
            while let Some((platform, ids)) = self.next_message() {
                match self.send(platform, ids).await {
                    Ok(confirming) => unconfirmed.push(confirming),
                    Err(problem) => return self.give_up(unconfirmed, problem).await,
                }
            }
            if ending.is_some() && unconfirmed.is_empty() {
                let_go(&self.channel).await;
                return Ok(());
            }
            let deadline = ending.unwrap_or_else(|| Instant::now() + CONFIRM_TIMEOUT);
            let again_at = self.refused.values().min().copied();
            tokio::select! {
                Some(sent) = unconfirmed.next() => {
                    if let Err(problem) = self.settle(sent) {
                        return self.give_up(unconfirmed, problem).await;
                    }
                }
                () = self.offers.added() => {}
                () = tokio::time::sleep_until(again_at.unwrap_or(deadline)), if again_at.is_some() => {
                    self.refused.retain(|_, until| *until > Instant::now());
                }
                Some((platform, reply)) = asked.recv() => match self.depth(&platform).await {
                    // Nobody waiting for the answer any more is no error.
                    Ok(depth) => { let _ = reply.send(depth); }
                    Err(problem) => return self.give_up(unconfirmed, problem).await,
                },
                () = shutdown.cancelled(), if ending.is_none() => {
                    ending = Some(Instant::now() + LAST_WORDS);
                }
                () = tokio::time::sleep_until(deadline), if ending.is_some() => return Ok(()),
            }
        }
    }

    fn next_message(&self) -> Option<(String, Vec<DeliveryId>)> {
        self.offers.take(|platform| {
            let on_their_way = self.on_their_way.get(platform).copied().unwrap_or(0);
            on_their_way < WINDOW && !self.refused.contains_key(platform)
        })
    }

    async fn send(
        &mut self,
        platform: String,
        ids: Vec<DeliveryId>,
    ) -> Result<impl Future<Output = Sent> + use<>, String> {
        reach(Point::PublishBegins);
        match self.hand_over(&platform, &ids).await {
            Ok(confirming) => {
                reach(Point::PublishHandedOver);
                *self.on_their_way.entry(platform.clone()).or_default() += 1;
                Ok(async move {
                    let confirmation = match tokio::time::timeout(CONFIRM_TIMEOUT, confirming).await
                    {
                        Ok(confirmation) => confirmation.map_err(|error| error.to_string()),
                        Err(_) => Err("no confirmation in time".to_owned()),
                    };
                    Sent {
                        platform,
                        ids,
                        confirmation,
                    }
                })
            }
            Err(error) => {
                self.offers.add(&platform, &ids);
                Err(error.to_string())
            }
        }
    }

    /// Puts a message in line; the answer resolves when the broker has confirmed it. Waiting until
    /// it is written would be two changes of threads per message, and what is in line together is
    /// written together.
    async fn hand_over(
        &mut self,
        platform: &str,
        ids: &[DeliveryId],
    ) -> lapin::Result<BoxFuture<'static, lapin::Result<Confirmation>>> {
        if !self.declared.contains_key(platform) {
            self.topology.declare(&self.channel, platform).await?;
            self.declared.insert(platform.to_owned(), Instant::now());
        }
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT);
        let (channel, body) = (self.channel.clone(), message::write(ids));
        let queue = self.topology.queue_of(platform).into();
        let mut confirming: BoxFuture<'static, _> = Box::pin(async move {
            let sent = channel.basic_publish("".into(), queue, options, &body, properties);
            sent.await?.await
        });
        // Polled once, it is in line.
        match poll!(&mut confirming) {
            Poll::Ready(confirmed) => Ok(Box::pin(std::future::ready(Ok(confirmed?)))),
            Poll::Pending => Ok(confirming),
        }
    }

    /// Takes note of what became of a message; an error when nobody knows.
    fn settle(&mut self, sent: Sent) -> Result<(), String> {
        if let Some(count) = self.on_their_way.get_mut(&sent.platform) {
            *count -= 1;
        }
        let returned = match sent.confirmation {
            Ok(Confirmation::Ack(None)) | Ok(Confirmation::NotRequested) => {
                reach(Point::PublishConfirmed);
                metrics::counter!("synchub_offers_total", "platform" => sent.platform)
                    .increment(sent.ids.len() as u64);
                return Ok(());
            }
            Ok(Confirmation::Nack(None)) if self.is_young(&sent.platform) => {
                self.offers.add(&sent.platform, &sent.ids);
                self.refused
                    .insert(sent.platform, Instant::now() + YOUNG_PAUSE);
                return Ok(());
            }
            // The queue is full; the sweep comes back to these ids when it is not.
            Ok(Confirmation::Nack(None)) => {
                metrics::counter!("synchub_offers_dropped_total").increment(sent.ids.len() as u64);
                return Ok(());
            }
            Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => returned,
            Err(problem) => {
                // It may have arrived or not; twice does no harm.
                self.offers.add(&sent.platform, &sent.ids);
                return Err(problem);
            }
        };
        // The queue is gone. Which message was returned is told by the message itself.
        if let Some(platform) = self.topology.platform_of(returned.routing_key.as_str()) {
            tracing::warn!(
                platform,
                "The queue of {platform} was gone; it is made anew"
            );
            self.declared.remove(platform);
            self.offers
                .add(platform, &message::read(&returned.data).unwrap_or_default());
        }
        Ok(())
    }

    fn is_young(&self, platform: &str) -> bool {
        let declared = self.declared.get(platform);
        declared.is_some_and(|at| at.elapsed() < YOUNG)
    }

    /// Declaring says how many messages wait, and makes a queue that was deleted anew.
    async fn depth(&mut self, platform: &str) -> Result<u32, String> {
        let queue = self
            .topology
            .declare(&self.channel, platform)
            .await
            .map_err(|error| error.to_string())?;
        self.declared
            .entry(platform.to_owned())
            .or_insert_with(Instant::now);
        Ok(queue.message_count())
    }

    /// Keeps the ids of the messages nobody knows about.
    async fn give_up<T: Future<Output = Sent>>(
        &mut self,
        mut unconfirmed: FuturesUnordered<T>,
        problem: String,
    ) -> Result<(), String> {
        // The channel is broken or about to be, so these end at once.
        let_go(&self.channel).await;
        while let Some(sent) = unconfirmed.next().await {
            // Only the first problem counts.
            let _ = self.settle(sent);
        }
        Err(problem)
    }
}
