//! How fast this process may send to one platform: its part of the rate and of the requests in
//! flight.

use super::share::Share;
use crate::connector::Connector;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

/// The limits of one sender; they follow the [`Share`] of its process.
pub(super) struct Pace {
    rate_per_s: usize,
    concurrency: usize,
    platform: String,
    /// The rate and what keeps to it; none when it is 0.
    limiter: watch::Sender<Option<(usize, Arc<DefaultDirectRateLimiter>)>>,
    in_flight: Semaphore,
    shutdown: CancellationToken,
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
        let mut pace = Self {
            rate_per_s,
            concurrency,
            platform: platform.to_owned(),
            limiter: watch::Sender::new(None),
            in_flight: Semaphore::new(0),
            shutdown,
        };
        let (rate, flights) = pace.parts(share);
        pace.limiter = watch::Sender::new(limited(rate));
        pace.in_flight = Semaphore::new(flights);
        pace
    }

    /// Resolves when this process must send nothing more to the platform.
    pub(super) async fn until_nothing(&self) {
        // An error cannot be: `self` holds the other end.
        let _ = self.limiter.subscribe().wait_for(Option::is_none).await;
    }

    /// Takes over each new share until shutdown. A smaller one counts as requests end.
    /// `begun` is the share it was made with.
    pub(super) async fn follow(&self, begun: Share, mut shares: watch::Receiver<Share>) {
        let (_, mut permits) = self.parts(begun);
        loop {
            let share = *shares.borrow_and_update();
            let (rate, flights) = self.parts(share);
            self.limiter.send_if_modified(|limiter| {
                let had = limiter.as_ref().map_or(0, |(had, _)| *had);
                if had == rate {
                    return false;
                }
                *limiter = limited(rate);
                true
            });
            if flights > permits {
                self.in_flight.add_permits(flights - permits);
            }
            let surplus = u32::try_from(permits.saturating_sub(flights)).unwrap_or(u32::MAX);
            permits = flights;
            if surplus > 0 {
                tokio::select! {
                    () = self.shutdown.cancelled() => return,
                    taken = self.in_flight.acquire_many(surplus) => if let Ok(taken) = taken {
                        taken.forget();
                    },
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                changed = shares.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Returns whether this process sends to the platform at all.
    pub(super) fn sends(&self) -> bool {
        self.limiter.borrow().is_some()
    }

    /// Rate and flights of a share; with nothing of one the other is of no use.
    fn parts(&self, share: Share) -> (usize, usize) {
        match (
            share.of(self.rate_per_s, &self.platform),
            share.of(self.concurrency, &self.platform),
        ) {
            (0, _) | (_, 0) => (0, 0),
            parts => parts,
        }
    }

    /// Waits for a place in flight; `None` at shutdown, and when the share is gone: somebody else
    /// shall send what waits here.
    pub(super) async fn flight(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            () = self.until_nothing() => None,
            flight = self.in_flight.acquire() => flight.ok(),
        }
    }

    /// Waits until the next request may go. At shutdown what has begun is finished even when the
    /// share is gone.
    pub(super) async fn turn(&self) {
        let mut limiter = self.limiter.subscribe();
        loop {
            let now = limiter.borrow_and_update().clone();
            if let Some((_, limiter)) = now {
                return limiter.until_ready().await;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                changed = limiter.changed() => if changed.is_err() { return },
            }
        }
    }
}

fn limited(rate_per_s: usize) -> Option<(usize, Arc<DefaultDirectRateLimiter>)> {
    let rate = NonZeroU32::new(u32::try_from(rate_per_s).unwrap_or(u32::MAX))?;
    // A burst of a tenth of a second keeps to the rate within any second.
    let burst = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
    let limiter = RateLimiter::direct(Quota::per_second(rate).allow_burst(burst));
    Some((rate_per_s, Arc::new(limiter)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn pace(rate_per_s: usize, concurrency: usize) -> Arc<Pace> {
        let whole = (rate_per_s, concurrency);
        Arc::new(Pace::of(
            "portal",
            whole,
            Share::NONE,
            CancellationToken::new(),
        ))
    }

    async fn until(told: impl Fn() -> bool) {
        // The following task runs on this thread, so it only needs to be let in.
        for _ in 0..1000 {
            if told() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never came true");
    }

    #[tokio::test]
    async fn requests_in_flight_follow_the_share() {
        let pace = pace(100, 4);
        let (tell, shares) = watch::channel(Share::NONE);
        let following = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { pace.follow(Share::NONE, shares).await }
        });
        assert!(pace.flight().await.is_none(), "no share yet");
        tell.send_replace(Share::ALL);
        until(|| pace.in_flight.available_permits() == 4 && pace.sends()).await;
        let flights = [
            pace.flight().await.expect("a place"),
            pace.flight().await.expect("a place"),
            pace.flight().await.expect("a place"),
        ];
        // Three fly when nothing is left to this process: none may follow them.
        tell.send_replace(Share::NONE);
        until(|| pace.in_flight.available_permits() == 0).await;
        assert!(pace.flight().await.is_none());
        drop(flights);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pace.in_flight.available_permits(), 0);
        pace.shutdown.cancel();
        following.await.unwrap();
        assert!(pace.flight().await.is_none(), "ending");
    }

    #[tokio::test]
    async fn a_process_alone_need_not_wait_for_its_share() {
        let shutdown = CancellationToken::new();
        let pace = Pace::of("portal", (10, 3), Share::ALL, shutdown);
        assert!(pace.sends());
        assert_eq!(pace.in_flight.available_permits(), 3);
        assert!(pace.turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn without_a_share_nothing_goes_until_one_comes() {
        let pace = pace(1, 1);
        let (tell, shares) = watch::channel(Share::NONE);
        tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { pace.follow(Share::NONE, shares).await }
        });
        let turn = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { pace.turn().await }
        });
        tokio::task::yield_now().await;
        assert!(!turn.is_finished());
        tell.send_replace(Share::ALL);
        turn.await.unwrap();
    }

    #[test]
    fn a_share_without_rate_or_without_flights_is_nothing() {
        assert_eq!(pace(100, 4).parts(Share::NONE), (0, 0));
        assert_eq!(pace(1, 1).parts(Share::ALL), (1, 1));
        assert_eq!(pace(100, 0).parts(Share::ALL), (0, 0));
    }
}
