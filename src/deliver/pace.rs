//! How fast this process may send to one platform: its part of the rate and of the requests in
//! flight.
//!
//! # After an outage
//! A platform that has just come back does not get the whole backlog at once. When the breaker
//! closes, each process begins with a sixteenth of its part, one request in flight at least. Each
//! delivery that the platform answers adds another sixteenth, so that the load doubles with each
//! round, as in TCP's slow start; after sixteen the whole part is used again. One that it does not
//! answer starts this anew, until the breaker opens. The load of all processes together is bounded
//! since their parts are ([`super::share`]): nothing of it is stored, and a process that begins
//! meanwhile begins with its whole part.

use super::share::Share;
use super::sign::Sign;
use crate::connector::Connector;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Steps from a careful beginning to the whole part.
const STEPS: usize = 16;

/// The limits of one sender; they follow the [`Share`] of its process.
pub(super) struct Pace {
    rate_per_s: usize,
    concurrency: usize,
    /// Requests a second that an operator allows, over all processes; 0: no less than all.
    cap: AtomicUsize,
    /// How much of its part this process uses, of [`STEPS`].
    steps: AtomicUsize,
    share: Mutex<Share>,
    platform: String,
    /// None when this process must not send to the platform.
    allowance: watch::Sender<Option<Allowance>>,
    flying: Mutex<usize>,
    landed: Notify,
    shutdown: CancellationToken,
}

/// What this process may do.
#[derive(Clone)]
struct Allowance {
    flights: usize,
    rate_per_s: usize,
    limiter: Arc<DefaultDirectRateLimiter>,
}

/// A place in flight, free again when dropped.
pub(super) struct Flight<'a>(&'a Pace);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        *self.0.flying() -= 1;
        self.0.landed.notify_one();
    }
}

impl Pace {
    /// Begins with the part of `share`; [`Pace::follow`] keeps it true.
    pub(super) fn new(connector: &Connector, share: Share, shutdown: CancellationToken) -> Self {
        let limits = connector.limits();
        let whole = (limits.rate_per_s.max(1) as usize, limits.concurrency);
        Self::of(&connector.id, whole, share, shutdown)
    }

    fn of(
        platform: &str,
        (rate_per_s, concurrency): (usize, usize),
        share: Share,
        shutdown: CancellationToken,
    ) -> Self {
        let pace = Self {
            rate_per_s,
            concurrency,
            cap: AtomicUsize::new(0),
            steps: AtomicUsize::new(STEPS),
            share: Mutex::new(share),
            platform: platform.to_owned(),
            allowance: watch::Sender::new(None),
            flying: Mutex::new(0),
            landed: Notify::new(),
            shutdown,
        };
        pace.allow(share);
        pace
    }

    /// Takes over each new share until shutdown. A smaller one counts as requests end.
    pub(super) async fn follow(&self, mut shares: watch::Receiver<Share>) {
        loop {
            let share = *shares.borrow_and_update();
            self.allow(share);
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                changed = shares.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Takes over what an operator allows; `None` leaves it to the connector.
    pub(super) fn cap(&self, rate_per_s: Option<i64>) {
        let cap = rate_per_s.map_or(0, |rate| usize::try_from(rate).unwrap_or(0).max(1));
        if self.cap.swap(cap, Ordering::Relaxed) != cap {
            self.allow_anew();
        }
    }

    /// Begins with little: the platform has just come back.
    pub(super) fn begin_slowly(&self) {
        self.steps.store(1, Ordering::Relaxed);
        self.allow_anew();
    }

    /// Takes note of how the platform answers, for as long as it does not get everything.
    pub(super) fn heed(&self, sign: Sign) {
        let steps = self.steps.load(Ordering::Relaxed);
        let next = match sign {
            Sign::Alive => steps + 1,
            Sign::Out | Sign::Ailing | Sign::TooMany(_) => 1,
            Sign::None | Sign::Odd => steps,
        };
        // Of several at once one may be lost, which is slower and does no harm.
        if steps < STEPS && next != steps {
            self.steps.store(next, Ordering::Relaxed);
            self.allow_anew();
        }
    }

    fn allow_anew(&self) {
        let share = *self.share.lock().unwrap_or_else(PoisonError::into_inner);
        self.allow(share);
    }

    fn allow(&self, share: Share) {
        *self.share.lock().unwrap_or_else(PoisonError::into_inner) = share;
        let (rate_per_s, flights) = self.parts(share);
        self.allowance.send_if_modified(|allowance| {
            let had = allowance
                .as_ref()
                .map_or((0, 0), |it| (it.rate_per_s, it.flights));
            if had == (rate_per_s, flights) {
                return false;
            }
            *allowance = limiter(rate_per_s).map(|limiter| Allowance {
                flights,
                rate_per_s,
                limiter: Arc::new(limiter),
            });
            true
        });
    }

    /// Rate and flights of a share; with nothing of one the other is of no use.
    fn parts(&self, share: Share) -> (usize, usize) {
        let rate_per_s = match self.cap.load(Ordering::Relaxed) {
            0 => self.rate_per_s,
            cap => self.rate_per_s.min(cap),
        };
        match (
            share.of(rate_per_s, &self.platform),
            share.of(self.concurrency, &self.platform),
        ) {
            (0, _) | (_, 0) => (0, 0),
            (rate_per_s, flights) => (self.carefully(rate_per_s), self.carefully(flights)),
        }
    }

    /// Returns how much of `part` is used at present.
    fn carefully(&self, part: usize) -> usize {
        let steps = self.steps.load(Ordering::Relaxed).min(STEPS);
        (part * steps).div_ceil(STEPS)
    }

    /// Returns whether this process sends to the platform at all.
    pub(super) fn sends(&self) -> bool {
        self.allowance.borrow().is_some()
    }

    /// Resolves when this process must send nothing more to the platform.
    pub(super) async fn until_nothing(&self) {
        // An error cannot be: `self` holds the other end.
        let _ = self.allowance.subscribe().wait_for(Option::is_none).await;
    }

    /// Resolves when this process may send something to the platform.
    pub(super) async fn until_something(&self) {
        // An error cannot be: `self` holds the other end.
        let _ = self.allowance.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits for a place in flight; `None` at shutdown, and when the share is gone: somebody else
    /// shall send what waits here.
    pub(super) async fn flight(&self) -> Option<Flight<'_>> {
        let mut allowance = self.allowance.subscribe();
        while !self.shutdown.is_cancelled() {
            let landed = self.landed.notified();
            let most = allowance.borrow_and_update().as_ref()?.flights;
            {
                let mut flying = self.flying();
                if *flying < most {
                    *flying += 1;
                    return Some(Flight(self));
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = landed => {}
                // An error cannot be: `self` holds the other end.
                _ = allowance.changed() => {}
            }
        }
        None
    }

    /// Waits until the next request may go. At shutdown what has begun is finished even when the
    /// share is gone.
    pub(super) async fn turn(&self) {
        let mut allowance = self.allowance.subscribe();
        loop {
            let now = allowance.borrow_and_update().clone();
            if let Some(Allowance { limiter, .. }) = now {
                return limiter.until_ready().await;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                // An error cannot be: `self` holds the other end.
                _ = allowance.changed() => {}
            }
        }
    }

    fn flying(&self) -> MutexGuard<'_, usize> {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limiter(rate_per_s: usize) -> Option<DefaultDirectRateLimiter> {
    let rate = NonZeroU32::new(u32::try_from(rate_per_s).unwrap_or(u32::MAX))?;
    // A burst of a tenth of a second keeps to the rate within any second.
    let burst = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
    Some(RateLimiter::direct(
        Quota::per_second(rate).allow_burst(burst),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn pace(rate_per_s: usize, concurrency: usize, share: Share) -> Pace {
        let whole = (rate_per_s, concurrency);
        Pace::of("portal", whole, share, CancellationToken::new())
    }

    #[tokio::test]
    async fn requests_in_flight_follow_the_share() {
        let pace = pace(100, 2, Share::NONE);
        assert!(pace.flight().await.is_none(), "no share yet");
        pace.allow(Share::ALL);
        let first = pace.flight().await.expect("a place");
        let second = pace.flight().await.expect("a place");
        let mut third = Box::pin(pace.flight());
        assert!((&mut third).now_or_never().is_none(), "two at most");
        drop(first);
        let third = third.now_or_never().expect("woken").expect("a place");
        // Two fly when nothing is left to this process: none may follow them.
        let mut fourth = Box::pin(pace.flight());
        assert!((&mut fourth).now_or_never().is_none());
        pace.allow(Share::NONE);
        assert!(fourth.now_or_never().expect("woken").is_none());
        drop((second, third));
        assert!(pace.flight().await.is_none());
        pace.allow(Share::ALL);
        assert!(pace.flight().await.is_some());
        pace.shutdown.cancel();
        assert!(pace.flight().await.is_none(), "ending");
    }

    #[tokio::test]
    async fn a_request_in_flight_that_waits_for_its_turn_survives_a_loss_of_the_share() {
        let pace = pace(100, 1, Share::ALL);
        let flight = pace.flight().await.expect("a place");
        pace.allow(Share::NONE);
        let mut turn = Box::pin(pace.turn());
        assert!((&mut turn).now_or_never().is_none());
        pace.allow(Share::ALL);
        turn.await;
        drop(flight);
        assert!(pace.flight().await.is_some());
    }

    #[tokio::test]
    async fn a_process_alone_need_not_wait_for_its_share() {
        let pace = pace(10, 3, Share::ALL);
        assert!(pace.sends());
        assert!(pace.turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn an_operator_slows_a_platform_down_and_never_speeds_it_up() {
        let pace = pace(10, 3, Share::ALL);
        for (cap, rate) in [(Some(2), 2), (Some(99), 10), (Some(0), 1), (None, 10)] {
            pace.cap(cap);
            assert_eq!(pace.parts(Share::ALL).0, rate, "{cap:?}");
            let allowed = pace.allowance.borrow().as_ref().map(|it| it.rate_per_s);
            assert_eq!(allowed, Some(rate), "{cap:?}");
        }
    }

    #[tokio::test]
    async fn a_platform_that_comes_back_gets_little_and_soon_everything() {
        let pace = pace(160, 8, Share::ALL);
        let allowed = || {
            let allowance = pace.allowance.borrow();
            allowance.as_ref().map(|it| (it.rate_per_s, it.flights))
        };
        pace.heed(Sign::Ailing);
        assert_eq!(allowed(), Some((160, 8)), "nothing to be careful about");
        pace.begin_slowly();
        let mut seen = vec![allowed()];
        for _ in 0..4 {
            pace.heed(Sign::Alive);
            seen.push(allowed());
        }
        assert_eq!(
            seen,
            [(10, 1), (20, 1), (30, 2), (40, 2), (50, 3)].map(Some)
        );
        pace.heed(Sign::Odd);
        assert_eq!(allowed(), Some((50, 3)));
        pace.heed(Sign::Ailing);
        assert_eq!(allowed(), Some((10, 1)), "anew");
        (0..STEPS).for_each(|_| pace.heed(Sign::Alive));
        assert_eq!(allowed(), Some((160, 8)));
    }

    #[tokio::test]
    async fn being_careful_keeps_to_the_share_and_to_what_an_operator_allows() {
        let pace = pace(160, 8, Share::ALL);
        pace.begin_slowly();
        pace.allow(Share::NONE);
        assert!(!pace.sends());
        pace.allow(Share::ALL);
        pace.cap(Some(3));
        assert_eq!(pace.parts(Share::ALL), (1, 1), "never nothing");
    }

    #[test]
    fn a_share_without_rate_or_without_flights_is_nothing() {
        assert_eq!(pace(100, 4, Share::NONE).parts(Share::NONE), (0, 0));
        assert_eq!(pace(1, 1, Share::ALL).parts(Share::ALL), (1, 1));
        assert_eq!(pace(100, 0, Share::ALL).parts(Share::ALL), (0, 0));
    }
}
