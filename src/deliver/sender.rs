//! The sender of one platform: claims what is due in batches, sends within the platform's limits,
//! settles each outcome.
//!
//! One sender's trouble never touches another platform: each has its own tasks, connections,
//! session and limits.

mod alone;
mod batch;
mod leave;
mod note;
mod stand;
mod verify;

use super::attempt::attempt;
use super::breaker::Breaker;
use super::pace::Pace;
use super::session::Sessions;
use super::share::Share;
use super::transport::Transport;
use crate::attachment::Attachments;
use crate::clock::now_ms;
use crate::connector::Connector;
use crate::failpoint::{Point, reach};
use crate::queue::{Queue, Receipt};
use crate::record::DeliveryId;
use crate::store::{Claim, StandBy, Store};
use alone::Alone;
use batch::{Named, Part};
use futures_util::FutureExt;
use leave::Leave;
use note::note;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Deliveries in hand per delivery in flight: the next ones wait ready while others are sent, and
/// those that were sent wait for the commit of their outcome.
const IN_HAND_PER_FLIGHT: usize = 8;
/// Most deliveries claimed at once; smaller batches keep their claims fresh.
const CLAIMED_AT_ONCE_MAX: usize = 256;
/// A claim older than this is checked against the store before it is sent.
const FRESH: Duration = Duration::from_millis(100);
/// While messages wait, so often what may go ahead of them is taken from the store.
const OVERTAKE_EVERY_MS: i64 = 500;
/// How long a sender that may not send waits before it looks again.
const PAUSE_CHECK: Duration = Duration::from_millis(500);

/// What a sender needs from the hub.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) store: Store,
    pub(super) attachments: Attachments,
    pub(super) queue: Arc<dyn Queue>,
    /// Name of this process in leases.
    pub(super) owner: String,
    pub(super) lease: Duration,
    /// How often to ask whether somebody wants to know what is shown.
    pub(super) look: Duration,
    /// Which part of the limits this process may use.
    pub(super) shares: watch::Receiver<Share>,
    pub(super) shutdown: CancellationToken,
}

/// One delivery in hand.
struct Taken {
    claim: Claim,
    claimed_at: Instant,
    /// Whether it finds out if the platform is back.
    is_probe: bool,
}

/// Sends to one platform.
pub(super) struct Sender {
    pub(super) store: Store,
    pub(super) attachments: Attachments,
    pub(super) connector: Arc<Connector>,
    pub(super) transport: Transport,
    pub(super) sessions: Sessions,
    pub(super) pace: Pace,
    breaker: Breaker,
    /// When something was last let go ahead of the messages that wait, ms since 1970.
    overtaken_at: AtomicI64,
    /// Whether it was not this version's turn at the last look.
    out_of_turn: AtomicBool,
    surroundings: Surroundings,
    in_hand: Arc<Semaphore>,
    alone: Alone,
    tasks: TaskTracker,
}

impl Sender {
    pub(super) fn new(
        surroundings: Surroundings,
        connector: Arc<Connector>,
    ) -> Result<Self, reqwest::Error> {
        let limits = connector.limits();
        let share = *surroundings.shares.borrow();
        Ok(Self {
            store: surroundings.store.clone(),
            attachments: surroundings.attachments.clone(),
            transport: Transport::new(
                Duration::from_millis(limits.timeout_ms),
                limits.response_bytes_max,
            )?,
            sessions: Sessions::default(),
            pace: Pace::new(&connector, share, surroundings.shutdown.clone()),
            breaker: Breaker::new(&connector),
            overtaken_at: AtomicI64::new(0),
            out_of_turn: AtomicBool::new(false),
            in_hand: Arc::new(Semaphore::new(limits.concurrency * IN_HAND_PER_FLIGHT)),
            alone: Alone::default(),
            tasks: TaskTracker::new(),
            surroundings,
            connector,
        })
    }

    /// Sends until shutdown; then finishes what is in flight and hands back the rest.
    pub(super) async fn run(self: Arc<Self>) {
        self.show(None);
        let following = tokio::spawn({
            let sender = Arc::clone(&self);
            let shares = sender.surroundings.shares.clone();
            async move { sender.pace.follow(shares).await }
        });
        let looking = tokio::spawn(verify::verify(Arc::clone(&self)));
        let shutdown = self.surroundings.shutdown.clone();
        let queue = Arc::clone(&self.surroundings.queue);
        let (line, taking) = self.stand_by().unzip();
        loop {
            let goes_on = tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.pace.until_nothing() => false,
                work = queue.next(&self.connector.id) => match work.ids {
                    Some(ids) => self.drain_named(ids, work.receipt).await,
                    None => {
                        let goes_on = self.drain(line.as_ref()).await;
                        work.receipt.acknowledge();
                        goes_on
                    }
                },
            };
            if !goes_on {
                if let Some(line) = &line {
                    line.rest();
                }
                self.until_may_send().await;
            }
        }
        drop(line);
        if let Some(taking) = taking {
            // It ends when the last commit that may give something is over.
            let _ = taking.await;
        }
        queue.rest(&self.connector.id);
        self.tasks.close();
        self.tasks.wait().await;
        // They end with the shutdown that got us here.
        let _ = tokio::join!(following, looking);
    }

    /// Waits until this process may send, or until shutdown. What is due stays due; what the
    /// queue has fetched ahead goes back to where others can have it.
    async fn until_may_send(&self) {
        let shutdown = &self.surroundings.shutdown;
        while !shutdown.is_cancelled() && self.passage().await.is_none() {
            self.surroundings.queue.rest(&self.connector.id);
            let probe_in = self.breaker.probe_in(now_ms()).min(PAUSE_CHECK);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(probe_in) => {}
                // Its part of the limits may be all that it waited for, as at its start.
                () = self.pace.until_something(), if !self.pace.sends() => {}
                // This process has found out that the platform is back.
                () = self.breaker.news() => {}
            }
        }
    }

    /// Claims and sends until nothing is due any more, and stands by in `line` from then on;
    /// `false` when it could not go on.
    async fn drain(self: &Arc<Self>, line: Option<&StandBy>) -> bool {
        while let Some(leave) = self.passage().await {
            if let Some(line) = line {
                match leave.is_everything() {
                    true => line.look(),
                    false => line.rest(),
                }
            }
            let Some(mut permits) = self.room().await else {
                return false;
            };
            let most = leave.most(permits.num_permits());
            let Some(claims) = self.claim(None, most, leave).await else {
                return false;
            };
            // Fewer than could be taken: nothing more is due, and what becomes due wakes us.
            let was_all = claims.len() < most;
            self.spawn_all(claims, &mut permits, leave.is_probe(), &mut HashMap::new());
            if was_all {
                return true;
            }
        }
        false
    }

    /// Claims and sends what a message and those behind it name, until none of them is left;
    /// `false` when it could not go on, and the rest went back to the queue.
    async fn drain_named(self: &Arc<Self>, ids: Vec<DeliveryId>, receipt: Receipt) -> bool {
        let mut named = Named::default();
        named.add(ids, receipt);
        while named.len() > 0 {
            let Some(leave) = self.passage().await else {
                return false;
            };
            let Some(mut permits) = self.room().await else {
                return false;
            };
            let most = leave.most(permits.num_permits());
            self.gather(&mut named, most);
            if named.len() >= most && !leave.is_probe() && self.may_overtake() {
                let Some(claims) = self.claim(None, most, leave).await else {
                    return false;
                };
                self.spawn_all(claims, &mut permits, false, &mut HashMap::new());
                continue;
            }
            let mut parts = named.take(most);
            let ids: Vec<DeliveryId> = parts.keys().cloned().collect();
            let Some(claims) = self.claim(Some(&ids), ids.len(), leave).await else {
                return false;
            };
            self.spawn_all(claims, &mut permits, leave.is_probe(), &mut parts);
            // The others are done, in somebody's hands, or due at another time.
            parts.into_values().flatten().for_each(Part::stored);
        }
        true
    }

    /// Adds, up to `count` deliveries, what the queue has at hand: one claim for many messages.
    fn gather(&self, named: &mut Named, count: usize) {
        while named.len() < count {
            let Some(work) = self
                .surroundings
                .queue
                .next(&self.connector.id)
                .now_or_never()
            else {
                return;
            };
            named.add(work.ids.unwrap_or_default(), work.receipt);
        }
    }

    /// Claims what is due, of `ids` only when given; `None` when the store does not answer, or
    /// another process has the probe.
    async fn claim(
        &self,
        ids: Option<&[DeliveryId]>,
        limit: usize,
        leave: Leave,
    ) -> Option<Vec<Claim>> {
        if leave.is_probe() && !self.take_probe().await {
            return None;
        }
        let now = now_ms();
        let lease_until = now + self.surroundings.lease.as_millis() as i64;
        let claims = self
            .store
            .claim_due_by(
                leave.due_by,
                &self.connector.id,
                ids,
                limit as i64,
                &self.surroundings.owner,
                (now, lease_until),
            )
            .await;
        if leave.is_probe() && !claims.as_ref().is_ok_and(|claims| !claims.is_empty()) {
            self.return_probe().await;
        }
        match claims {
            Ok(claims) => Some(claims),
            Err(error) => {
                tracing::warn!(%error, platform = %self.connector.id, "Cannot claim deliveries for {}", self.connector.id);
                None
            }
        }
    }

    /// Returns whether it is time for the store to say what goes ahead: messages come in the
    /// order in which they were sent.
    fn may_overtake(&self) -> bool {
        let now = now_ms();
        let due = now - self.overtaken_at.load(Ordering::Relaxed) >= OVERTAKE_EVERY_MS;
        if due {
            self.overtaken_at.store(now, Ordering::Relaxed);
        }
        due
    }

    /// Begins with `claims`, each with its part of the room and of the messages.
    fn spawn_all(
        self: &Arc<Self>,
        claims: Vec<Claim>,
        permits: &mut OwnedSemaphorePermit,
        is_probe: bool,
        parts: &mut HashMap<DeliveryId, Vec<Part>>,
    ) {
        let claimed_at = Instant::now();
        for claim in claims {
            let Some(permit) = permits.split(1) else {
                break;
            };
            let its_parts = parts.remove(&claim.delivery).unwrap_or_default();
            let taken = Taken {
                claim,
                claimed_at,
                is_probe,
            };
            self.spawn(taken, permit, its_parts);
        }
    }

    fn spawn(self: &Arc<Self>, taken: Taken, in_hand: OwnedSemaphorePermit, parts: Vec<Part>) {
        let sender = Arc::clone(self);
        self.tasks.spawn(async move {
            if sender.handle(taken).await {
                parts.into_iter().for_each(Part::stored);
            }
            drop(in_hand);
        });
    }

    /// Waits until at least half of the room is free, so that claims come in batches; `None` at
    /// shutdown. Only this wait is cut short: a claim half made would look like a crash.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let total = self.connector.limits().concurrency * IN_HAND_PER_FLIGHT;
        let most = total.min(CLAIMED_AT_ONCE_MAX);
        let half = u32::try_from(most.div_ceil(2)).unwrap_or(u32::MAX);
        let acquired = tokio::select! {
            () = self.surroundings.shutdown.cancelled() => return None,
            acquired = Arc::clone(&self.in_hand).acquire_many_owned(half) => acquired,
        };
        let mut permits = acquired.ok()?;
        while permits.num_permits() < most
            && let Ok(one) = Arc::clone(&self.in_hand).try_acquire_owned()
        {
            permits.merge(one);
        }
        Some(permits)
    }

    /// Handles one claim; returns whether nothing is left to do for it here, as far as the store
    /// knows.
    async fn handle(&self, taken: Taken) -> bool {
        let _alone = self.alone.with(&taken.claim.delivery).await;
        let Some(in_flight) = self.pace.flight().await else {
            self.give_back(&taken).await;
            return false;
        };
        if !taken.is_probe && self.breaker.is_open() {
            self.give_back(&taken).await;
            return false;
        }
        let is_current = self.is_current(&taken).await;
        let Taken {
            claim, is_probe, ..
        } = &taken;
        if !is_current {
            self.give_back(&taken).await;
            let queue = &self.surroundings.queue;
            queue.offer(&self.connector.id, std::slice::from_ref(&claim.delivery));
            return true;
        }
        let attempted = attempt(self, claim, *is_probe).await;
        // Before the next one may fly: it must not if this one was told so.
        let opens = match &attempted {
            Ok(Some(attempted)) => self.hear(claim, attempted.sign, *is_probe),
            _ => false,
        };
        // The platform has answered: its limit does not count the commit of the outcome.
        drop(in_flight);
        match attempted {
            Ok(Some(attempted)) => {
                self.heed(&attempted, *is_probe, opens).await;
                let settlement = attempted.settlement;
                note(&self.connector.id, claim, &settlement.outcome);
                reach(Point::SettleBegins);
                match self.store.settle(settlement).await {
                    Ok(_) => true,
                    Err(error) => {
                        // The lease runs out and the next claim knows that this one never settled.
                        tracing::error!(%error, delivery.id = %claim.delivery, platform = %claim.platform, "Cannot store the outcome of {}", claim.delivery);
                        false
                    }
                }
            }
            Ok(None) => {
                tracing::warn!(delivery.id = %claim.delivery, platform = %claim.platform, "The lease of {} was lost to another sender", claim.delivery);
                self.leave_probe(*is_probe).await;
                true
            }
            Err(error) => {
                tracing::error!(%error, delivery.id = %claim.delivery, platform = %claim.platform, "The attempt at {} broke off", claim.delivery);
                self.give_up(claim).await;
                self.leave_probe(*is_probe).await;
                false
            }
        }
    }

    /// Returns whether the claim still says what is wanted: a withdrawal or a correction may have
    /// come while it waited for its turn.
    async fn is_current(&self, taken: &Taken) -> bool {
        let claim = &taken.claim;
        if taken.claimed_at.elapsed() < FRESH {
            return true;
        }
        if self.is_stopped(taken.is_probe).await {
            return false;
        }
        match self.store.wanted_now(&claim.delivery).await {
            Ok(Some((wanted, version, token))) => {
                wanted == claim.wanted && version == claim.version && token == claim.token
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, delivery.id = %claim.delivery, "Cannot check {} before sending", claim.delivery);
                false
            }
        }
    }

    /// Leaves a claim whose attempt broke off to the next one, who will look first.
    async fn give_up(&self, claim: &Claim) {
        if let Err(error) = self.store.abandon(&claim.delivery, claim.token).await {
            tracing::warn!(%error, delivery.id = %claim.delivery, "Cannot give up {}", claim.delivery);
        }
    }

    /// Hands back one that was not begun.
    async fn give_back(&self, taken: &Taken) {
        self.hand_back(std::slice::from_ref(&taken.claim)).await;
        self.leave_probe(taken.is_probe).await;
    }

    async fn hand_back(&self, claims: &[Claim]) {
        let tokens: Vec<_> = claims
            .iter()
            .map(|claim| (claim.delivery.clone(), claim.token))
            .collect();
        if let Err(error) = self.store.release(&tokens).await {
            let platform = &self.connector.id;
            tracing::warn!(%error, %platform, count = claims.len(), "Cannot hand back deliveries to {platform}; their leases will run out");
        }
    }
}
