//! Work from the queue, until the outcome of everything in it is stored.

use crate::queue::Receipt;
use crate::record::DeliveryId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The receipt of one message: acknowledged with the last of its deliveries, given back to the
/// queue when one of them has no stored outcome.
pub(super) struct Batch {
    receipt: Option<Receipt>,
    open: AtomicUsize,
}

/// One delivery of a message. Dropping it without [`Part::stored`] gives the message back.
pub(super) struct Part(Arc<Batch>);

impl Part {
    /// Says that nothing is left to do for this delivery.
    pub(super) fn stored(self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            match self.open.load(Ordering::Acquire) {
                0 => receipt.acknowledge(),
                _ => drop(receipt),
            }
        }
    }
}

/// Deliveries that the queue named, waiting to be claimed.
#[derive(Default)]
pub(super) struct Named {
    waiting: VecDeque<(DeliveryId, Part)>,
}

impl Named {
    pub(super) fn add(&mut self, ids: Vec<DeliveryId>, receipt: Receipt) {
        let batch = Arc::new(Batch {
            receipt: Some(receipt),
            open: AtomicUsize::new(ids.len()),
        });
        self.waiting
            .extend(ids.into_iter().map(|id| (id, Part(Arc::clone(&batch)))));
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes up to `count`; the parts of one delivery that was named twice stay together.
    pub(super) fn take(&mut self, count: usize) -> HashMap<DeliveryId, Vec<Part>> {
        let mut taken: HashMap<DeliveryId, Vec<Part>> = HashMap::new();
        let count = count.min(self.waiting.len());
        for (id, part) in self.waiting.drain(..count) {
            taken.entry(id).or_default().push(part);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Handled;
    use std::sync::Mutex;

    fn named(ids: &[&str]) -> (Named, Arc<Mutex<Option<Handled>>>) {
        let told = Arc::new(Mutex::new(None));
        let mut named = Named::default();
        let telling = Arc::clone(&told);
        let receipt = Receipt::new(move |handled| {
            telling.lock().expect("no panic").replace(handled);
        });
        let ids = ids
            .iter()
            .map(|id| DeliveryId::from((*id).to_owned()))
            .collect();
        named.add(ids, receipt);
        (named, told)
    }

    #[test]
    fn a_message_is_acknowledged_with_its_last_delivery() {
        let (mut named, told) = named(&["a", "b", "a"]);
        assert_eq!(named.len(), 3);
        let mut parts: Vec<Part> = named.take(2).into_values().flatten().collect();
        parts.extend(named.take(2).into_values().flatten());
        let last = parts.pop().expect("three");
        parts.into_iter().for_each(Part::stored);
        assert_eq!(*told.lock().expect("no panic"), None);
        last.stored();
        assert_eq!(*told.lock().expect("no panic"), Some(Handled::Stored));
    }

    #[test]
    fn a_message_goes_back_when_one_of_its_deliveries_has_no_stored_outcome() {
        let (mut named, told) = named(&["a", "b"]);
        let mut parts = named.take(2).into_values().flatten();
        parts.next().expect("two").stored();
        drop(parts);
        assert_eq!(*told.lock().expect("no panic"), Some(Handled::Returned));
    }
}
