//! The sender of one platform: claims what is due in batches, sends within the platform's limits,
//! settles each outcome.
//!
//! One sender's trouble never touches another platform: each has its own tasks, connections,
//! session and limits.

use super::attempt::attempt;
use super::session::Sessions;
use super::transport::Transport;
use crate::clock::now_ms;
use crate::connector::Connector;
use crate::queue::Queue;
use crate::store::{Claim, Settled, Store};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Deliveries in hand per delivery in flight: the next ones wait ready while others are sent.
const IN_HAND_PER_FLIGHT: usize = 4;
/// A claim older than this is checked against the store before it is sent.
const FRESH: Duration = Duration::from_millis(100);
/// How long a sender that may not send waits before it looks again.
const PAUSE_CHECK: Duration = Duration::from_millis(500);

/// What a sender needs from the hub.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) store: Store,
    pub(super) queue: Arc<dyn Queue>,
    /// Name of this process in leases.
    pub(super) owner: String,
    pub(super) lease: Duration,
    pub(super) shutdown: CancellationToken,
}

/// Sends to one platform.
pub(super) struct Sender {
    pub(super) store: Store,
    pub(super) connector: Arc<Connector>,
    pub(super) transport: Transport,
    pub(super) sessions: Sessions,
    pub(super) limiter: DefaultDirectRateLimiter,
    surroundings: Surroundings,
    in_hand: Arc<Semaphore>,
    in_flight: Semaphore,
    tasks: TaskTracker,
}

impl Sender {
    pub(super) fn new(
        surroundings: Surroundings,
        connector: Arc<Connector>,
    ) -> Result<Self, reqwest::Error> {
        let limits = connector.limits();
        let rate = NonZeroU32::new(limits.rate_per_s).unwrap_or(NonZeroU32::MIN);
        // A burst of a tenth of a second keeps to the rate within any second.
        let burst = NonZeroU32::new(limits.rate_per_s / 10).unwrap_or(NonZeroU32::MIN);
        Ok(Self {
            store: surroundings.store.clone(),
            transport: Transport::new(
                Duration::from_millis(limits.timeout_ms),
                limits.response_bytes_max,
            )?,
            sessions: Sessions::default(),
            limiter: RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)),
            in_hand: Arc::new(Semaphore::new(limits.concurrency * IN_HAND_PER_FLIGHT)),
            in_flight: Semaphore::new(limits.concurrency),
            tasks: TaskTracker::new(),
            surroundings,
            connector,
        })
    }

    /// Sends until shutdown; then finishes what is in flight and hands back the rest.
    pub(super) async fn run(self: Arc<Self>) {
        let shutdown = self.surroundings.shutdown.clone();
        loop {
            let work = tokio::select! {
                () = shutdown.cancelled() => break,
                work = self.surroundings.queue.next(&self.connector.id) => work,
            };
            self.drain().await;
            work.receipt.acknowledge();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Claims and sends until nothing is due any more, or until shutdown.
    async fn drain(self: &Arc<Self>) {
        let shutdown = &self.surroundings.shutdown;
        loop {
            if !self.may_send().await {
                // What is due stays due; the sweep offers it again.
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(PAUSE_CHECK) => {}
                }
                return;
            }
            // Only the wait for room is cut short: a claim half made would look like a crash.
            let room = tokio::select! {
                () = shutdown.cancelled() => return,
                room = self.room() => room,
            };
            let Some(mut permits) = room else {
                return;
            };
            let now = now_ms();
            let limit = permits.num_permits() as i64;
            let lease_until = now + self.surroundings.lease.as_millis() as i64;
            let claims = self
                .store
                .claim(
                    &self.connector.id,
                    None,
                    limit,
                    &self.surroundings.owner,
                    now,
                    lease_until,
                )
                .await;
            let claims = match claims {
                Ok(claims) => claims,
                Err(error) => {
                    tracing::warn!(%error, platform = %self.connector.id, "Cannot claim deliveries for {}", self.connector.id);
                    tokio::time::sleep(PAUSE_CHECK).await;
                    return;
                }
            };
            if claims.is_empty() {
                return;
            }
            let claimed_at = Instant::now();
            for claim in claims {
                let Some(permit) = permits.split(1) else {
                    break;
                };
                let sender = Arc::clone(self);
                self.tasks
                    .spawn(async move { sender.handle(claim, claimed_at, permit).await });
            }
        }
    }

    /// Waits until at least half of the room is free, so that claims come in batches.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        let total = self.connector.limits().concurrency * IN_HAND_PER_FLIGHT;
        let half = u32::try_from(total.div_ceil(2)).unwrap_or(u32::MAX);
        let mut permits = Arc::clone(&self.in_hand)
            .acquire_many_owned(half)
            .await
            .ok()?;
        while let Ok(one) = Arc::clone(&self.in_hand).try_acquire_owned() {
            permits.merge(one);
        }
        Some(permits)
    }

    async fn may_send(&self) -> bool {
        if !self.connector.unresolved().is_empty() {
            return false;
        }
        if self.connector.maintenance_until(now_ms()).is_some() {
            return false;
        }
        match self.store.is_paused(&self.connector.id, now_ms()).await {
            Ok(paused) => !paused,
            Err(error) => {
                tracing::warn!(%error, platform = %self.connector.id, "Cannot read the switch of {}", self.connector.id);
                false
            }
        }
    }

    async fn handle(&self, claim: Claim, claimed_at: Instant, in_hand: OwnedSemaphorePermit) {
        let Ok(_in_flight) = self.in_flight.acquire().await else {
            return;
        };
        if self.surroundings.shutdown.is_cancelled() || !self.is_current(&claim, claimed_at).await {
            self.hand_back(&claim).await;
            return;
        }
        match attempt(self, &claim).await {
            Ok(Some(settlement)) => {
                self.note(&claim, &settlement.outcome);
                if let Err(error) = self.store.settle(settlement).await {
                    // The lease runs out and the next claim knows that this one never settled.
                    tracing::error!(%error, delivery.id = %claim.delivery, platform = %claim.platform, "Cannot store the outcome of {}", claim.delivery);
                }
            }
            Ok(None) => {
                tracing::warn!(delivery.id = %claim.delivery, platform = %claim.platform, "The lease of {} was lost to another sender", claim.delivery);
            }
            Err(error) => {
                tracing::error!(%error, delivery.id = %claim.delivery, platform = %claim.platform, "The attempt at {} broke off", claim.delivery);
                self.give_up(&claim).await;
            }
        }
        drop(in_hand);
    }

    /// Returns whether the claim still says what is wanted: a withdrawal or a correction may have
    /// come while it waited for its turn.
    async fn is_current(&self, claim: &Claim, claimed_at: Instant) -> bool {
        if claimed_at.elapsed() < FRESH {
            return true;
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

    async fn hand_back(&self, claim: &Claim) {
        let claims = [(claim.delivery.clone(), claim.token)];
        if let Err(error) = self.store.release(&claims).await {
            tracing::warn!(%error, delivery.id = %claim.delivery, "Cannot hand back {}; its lease will run out", claim.delivery);
        }
        self.surroundings.queue.offer(&self.connector.id, &[]);
    }

    fn note(&self, claim: &Claim, outcome: &Settled) {
        let platform = &self.connector.id;
        let word = match outcome {
            Settled::Shown { .. } => "delivered",
            Settled::Confirmed { .. } => "confirmed",
            Settled::StillUnderReview { .. } => "under_review",
            Settled::Gone { .. } => "withdrawn",
            Settled::Skipped => "skipped",
            Settled::Retry { .. } => "retry",
            Settled::Postponed { .. } => "postponed",
            Settled::Failed { .. } => "failed",
        };
        metrics::counter!("synchub_attempts_total", "platform" => platform.clone(), "outcome" => word)
            .increment(1);
        match outcome {
            Settled::Failed {
                stage,
                class,
                code,
                text,
                ..
            } => tracing::warn!(
                delivery.id = %claim.delivery, record.id = %claim.record_id, %platform, stage, class, code,
                "Delivery {} to {platform} needs a person: {text}", claim.delivery
            ),
            Settled::Retry { due_at, .. } => tracing::info!(
                delivery.id = %claim.delivery, %platform, due_at,
                "Delivery {} to {platform} will be tried again", claim.delivery
            ),
            _ => tracing::debug!(
                delivery.id = %claim.delivery, %platform, outcome = word,
                "Delivery {} to {platform}: {word}", claim.delivery
            ),
        }
    }
}
