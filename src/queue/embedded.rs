//! The queue inside the process: the `deliveries` table and a wake-up per platform.

use super::{Queue, Receipt, Work};
use crate::record::DeliveryId;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// One wake-up per platform; a wake-up given before the wait is kept.
#[derive(Default)]
pub struct EmbeddedQueue {
    platforms: Mutex<HashMap<String, Arc<Notify>>>,
}

impl EmbeddedQueue {
    /// Makes a queue without any platform; platforms appear when they are first named.
    pub fn new() -> Self {
        Self::default()
    }

    fn platform(&self, platform: &str) -> Arc<Notify> {
        let mut platforms = self
            .platforms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match platforms.get(platform) {
            Some(notify) => Arc::clone(notify),
            None => Arc::clone(platforms.entry(platform.to_owned()).or_default()),
        }
    }
}

impl Queue for EmbeddedQueue {
    fn offer(&self, platform: &str, _ids: &[DeliveryId]) {
        self.platform(platform).notify_one();
    }

    fn lets_stand_by(&self) -> bool {
        true
    }

    fn next<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Work> {
        Box::pin(async move {
            self.platform(platform).notified().await;
            Work {
                ids: None,
                receipt: Receipt::none(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_wake_up_given_before_the_wait_is_kept() {
        let queue = EmbeddedQueue::new();
        queue.offer("portal", &[]);
        let work = queue.next("portal").now_or_never().expect("kept");
        assert_eq!(work.ids, None);
        work.receipt.acknowledge();
        assert!(queue.next("portal").now_or_never().is_none(), "only once");
    }

    #[tokio::test]
    async fn platforms_do_not_wake_each_other() {
        let queue = EmbeddedQueue::new();
        queue.offer("portal", &[]);
        assert!(queue.next("gazette").now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_waiting_sender_is_woken() {
        let queue = Arc::new(EmbeddedQueue::new());
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.next("portal").await.ids.is_none() }
        });
        tokio::task::yield_now().await;
        queue.offer("portal", &[]);
        assert!(waiting.await.expect("woken"));
    }
}
