//! One delivery is handled by one task of this process at a time.
//!
//! Leases keep processes apart, by the clock. A clock that leaps forward ends the leases of what
//! this very process has in flight; what is claimed then must wait for the answer that is still
//! to come, or both would reach the platform.

use crate::record::DeliveryId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The deliveries that are being handled, each with those who wait for it.
#[derive(Default)]
pub(super) struct Alone(Mutex<HashMap<DeliveryId, Arc<Notify>>>);

/// The right to handle a delivery, until it is dropped.
pub(super) struct Turn<'a> {
    alone: &'a Alone,
    delivery: DeliveryId,
}

impl Alone {
    /// Waits until nobody else in this process handles `delivery`.
    pub(super) async fn with(&self, delivery: &DeliveryId) -> Turn<'_> {
        loop {
            let left = {
                let mut handled = self.handled();
                match handled.get(delivery) {
                    // Made while the map is locked, so that no end is missed.
                    Some(notify) => Arc::clone(notify).notified_owned(),
                    None => {
                        handled.insert(delivery.clone(), Arc::default());
                        return Turn {
                            alone: self,
                            delivery: delivery.clone(),
                        };
                    }
                }
            };
            left.await;
        }
    }

    fn handled(&self) -> MutexGuard<'_, HashMap<DeliveryId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let left = self.alone.handled().remove(&self.delivery);
        if let Some(left) = left {
            left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_delivery_waits_for_itself_and_for_nothing_else() {
        let alone = Alone::default();
        let [one, other] = ["a", "b"].map(|id| DeliveryId::from(id.to_owned()));
        let first = alone.with(&one).await;
        let mut second = Box::pin(alone.with(&one));
        let mut third = Box::pin(alone.with(&one));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        let elsewhere = alone.with(&other).now_or_never().expect("nobody is there");
        drop(first);
        let second = second.now_or_never().expect("it was left");
        assert!((&mut third).now_or_never().is_none(), "one at a time");
        drop((second, elsewhere));
        drop(third.now_or_never().expect("it was left"));
        assert!(alone.handled().is_empty());
    }
}
