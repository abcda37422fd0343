//! The sweep: what makes a lost wake-up, a wiped queue and a crashed sender harmless.

use super::{Appetite, Queue};
use crate::clock::now_ms;
use crate::failpoint::{Point, reach};
use crate::store::{Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How the sweep is tuned.
#[derive(Debug, Clone, Copy)]
pub struct SweepOptions {
    /// How often it looks.
    pub interval: Duration,
    /// What was offered to a broker is offered again when nobody took it for so long.
    pub grace: Duration,
}

/// Offers what is due and unclaimed, again and again, until `shutdown`.
///
/// A store that does not answer is reported once per outage and asked again at the next turn.
pub async fn sweep(
    store: Store,
    queue: Arc<dyn Queue>,
    options: SweepOptions,
    shutdown: CancellationToken,
) {
    let mut failing = false;
    loop {
        let turn = tokio::select! {
            () = shutdown.cancelled() => return,
            turn = turn(&store, queue.as_ref(), options.grace) => turn,
        };
        match turn {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "The sweep cannot read what is due; it goes on trying");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(options.interval) => {}
        }
    }
}

async fn turn(store: &Store, queue: &dyn Queue, grace: Duration) -> Result<(), StoreError> {
    for (platform, _) in store.due_platforms(now_ms()).await? {
        match queue.appetite(&platform).await {
            Appetite::WakeUp => queue.offer(&platform, &[]),
            Appetite::Ids(0) => {}
            Appetite::Ids(most) => {
                let now = now_ms();
                let before = now - grace.as_millis() as i64;
                let ids = store.offer_due(&platform, now, before, most as i64).await?;
                if !ids.is_empty() {
                    tracing::debug!(
                        platform,
                        count = ids.len(),
                        "The sweep offers {} deliveries of {platform}",
                        ids.len()
                    );
                    metrics::counter!("synchub_swept_total", "platform" => platform.clone())
                        .increment(ids.len() as u64);
                    reach(Point::SweepNoted);
                    queue.offer(&platform, &ids);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{EmbeddedQueue, Work};
    use crate::record::DeliveryId;
    use crate::store::tests::{Fresh, sample};
    use futures_util::future::{BoxFuture, FutureExt, pending, ready};
    use std::sync::Mutex;

    #[tokio::test]
    async fn the_sweep_wakes_the_senders_of_what_is_due() {
        let fresh = Fresh::open().await;
        // The wake-up for this one is lost, as after a crash.
        fresh.submit(sample("a", 1)).await.unwrap();
        let queue = Arc::new(EmbeddedQueue::new());
        let shutdown = CancellationToken::new();
        let options = SweepOptions {
            interval: Duration::from_secs(3600),
            grace: Duration::ZERO,
        };
        let sweeping = tokio::spawn(sweep(
            fresh.store.clone(),
            Arc::clone(&queue) as Arc<dyn Queue>,
            options,
            shutdown.clone(),
        ));
        for platform in ["gazette", "portal"] {
            queue.next(platform).await.receipt.acknowledge();
        }
        shutdown.cancel();
        sweeping.await.unwrap();
    }

    /// A broker that forgets everything at once.
    #[derive(Default)]
    struct Forgetful(Mutex<Vec<DeliveryId>>);

    impl Queue for Forgetful {
        fn offer(&self, _platform: &str, ids: &[DeliveryId]) {
            self.0.lock().unwrap().extend_from_slice(ids);
        }
        fn next<'a>(&'a self, _platform: &'a str) -> BoxFuture<'a, Work> {
            pending().boxed()
        }
        fn appetite<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Appetite> {
            ready(Appetite::Ids(if platform == "portal" { 100 } else { 0 })).boxed()
        }
    }

    #[tokio::test]
    async fn what_the_broker_forgot_is_offered_again_only_after_the_grace() {
        let fresh = Fresh::open().await;
        let new = crate::store::NewSubmission {
            received_at: now_ms(),
            ..sample("a", 1)
        };
        fresh.submit(new).await.unwrap();
        let queue = Forgetful::default();
        turn(&fresh, &queue, Duration::from_secs(600))
            .await
            .unwrap();
        assert!(queue.0.lock().unwrap().is_empty(), "offered just now");
        tokio::time::sleep(Duration::from_millis(2)).await;
        turn(&fresh, &queue, Duration::ZERO).await.unwrap();
        assert_eq!(queue.0.lock().unwrap().len(), 1);
        turn(&fresh, &queue, Duration::from_secs(600))
            .await
            .unwrap();
        assert_eq!(queue.0.lock().unwrap().len(), 1, "noted as offered");
    }

    #[tokio::test]
    async fn what_became_due_after_it_was_offered_is_offered_at_once() {
        let fresh = Fresh::open().await;
        let new = crate::store::NewSubmission {
            received_at: now_ms(),
            ..sample("a", 1)
        };
        fresh.submit(new).await.unwrap();
        let now = now_ms();
        // A sender that vanishes: its lease runs out in two milliseconds.
        let claims = fresh
            .claim("portal", None, 10, "gone", now, now + 2)
            .await
            .unwrap();
        assert_eq!(claims.len(), 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let queue = Forgetful::default();
        turn(&fresh, &queue, Duration::from_secs(600))
            .await
            .unwrap();
        assert_eq!(*queue.0.lock().unwrap(), [claims[0].delivery.clone()]);
    }
}
