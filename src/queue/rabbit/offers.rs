//! What is to be published: a bounded buffer between the commits and the publisher.

use super::message::IDS_MAX;
use crate::record::DeliveryId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Ids that may wait; more are dropped, because the sweep offers them again.
const WAITING_MAX: usize = 50_000;

/// Ids waiting to be published, per platform, in order.
#[derive(Default)]
pub(super) struct Offers {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Default)]
struct Waiting {
    platforms: HashMap<String, VecDeque<DeliveryId>>,
    count: usize,
}

impl Offers {
    /// Adds ids; those beyond the bound are dropped.
    pub(super) fn add(&self, platform: &str, ids: &[DeliveryId]) {
        if ids.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        let room = WAITING_MAX.saturating_sub(waiting.count).min(ids.len());
        if !waiting.platforms.contains_key(platform) {
            waiting
                .platforms
                .insert(platform.to_owned(), VecDeque::new());
        }
        if let Some(queue) = waiting.platforms.get_mut(platform) {
            queue.extend(ids[..room].iter().cloned());
        }
        waiting.count += room;
        drop(waiting);
        if room < ids.len() {
            metrics::counter!("synchub_offers_dropped_total").increment((ids.len() - room) as u64);
        }
        self.added.notify_one();
    }

    /// Takes the ids of one message of a platform that `may_have` one.
    pub(super) fn take(
        &self,
        may_have: impl Fn(&str) -> bool,
    ) -> Option<(String, Vec<DeliveryId>)> {
        let mut waiting = self.lock();
        let (platform, queue) = waiting
            .platforms
            .iter_mut()
            .find(|(platform, queue)| !queue.is_empty() && may_have(platform))?;
        let count = queue.len().min(IDS_MAX);
        let taken = (platform.clone(), queue.drain(..count).collect());
        waiting.count -= count;
        Some(taken)
    }

    /// Resolves when something was added since the last time.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<DeliveryId> {
        (0..count).map(|_| DeliveryId::generate()).collect()
    }

    #[test]
    fn ids_come_out_in_order_several_to_a_message() {
        let offers = Offers::default();
        let all = ids(IDS_MAX + 3);
        offers.add("portal", &all);
        let (platform, first) = offers.take(|_| true).expect("some");
        assert_eq!((platform.as_str(), &first[..]), ("portal", &all[..IDS_MAX]));
        let (_, rest) = offers.take(|_| true).expect("some");
        assert_eq!(rest, all[IDS_MAX..]);
        assert!(offers.take(|_| true).is_none());
    }

    #[test]
    fn a_platform_that_is_busy_does_not_keep_others_waiting() {
        let offers = Offers::default();
        offers.add("portal", &ids(1));
        offers.add("gazette", &ids(1));
        let (platform, _) = offers.take(|it| it != "portal").expect("some");
        assert_eq!(platform, "gazette");
        assert!(offers.take(|it| it != "portal").is_none());
    }

    #[test]
    fn a_full_buffer_drops_what_comes_and_takes_again_when_there_is_room() {
        let offers = Offers::default();
        offers.add("portal", &ids(WAITING_MAX + 10));
        assert_eq!(offers.lock().count, WAITING_MAX);
        offers.take(|_| true).expect("some");
        offers.add("portal", &ids(1));
        assert_eq!(offers.lock().count, WAITING_MAX - IDS_MAX + 1);
    }
}
