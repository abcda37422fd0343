//! Who may go ahead: a unit that enters by hand need not wait behind one that imports thousands.
//!
//! Each unit may send a number of entries ahead, and gets one back every few seconds: more than a
//! person enters. What comes on top waits its turn among all that is due. Each process counts for
//! itself, in memory; forgetting it at a restart harms nobody. What it means for a sender is told
//! in the store, where deliveries are claimed.

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Entries that a unit may send ahead at once.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(30).expect("not zero");
/// After so long it may send one more.
const ONE_MORE_AFTER: Duration = Duration::from_secs(6);
/// Units that did not send for a while are forgotten whenever so many entries have come.
const FORGET_EVERY: usize = 10_000;

/// The turns of all units.
pub struct Turns {
    units: DefaultKeyedRateLimiter<String>,
    entries: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Self {
        let quota = Quota::with_period(ONE_MORE_AFTER)
            .expect("not zero")
            .allow_burst(AT_ONCE);
        Self {
            units: RateLimiter::hashmap(quota),
            entries: AtomicUsize::new(0),
        }
    }
}

impl Turns {
    /// Returns whether one more entry of the unit with this code may go ahead.
    pub(super) fn take(&self, unit_code: &str) -> bool {
        if self.entries.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.units.retain_recent();
        }
        self.units.check_key(&unit_code.to_owned()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_sends_many_spends_its_turns_and_no_one_elses() {
        let turns = Turns::default();
        let ahead = (0..10_000).filter(|_| turns.take("bulk")).count();
        assert!((30..40).contains(&ahead), "{ahead}");
        assert!(turns.take("another"));
    }

    #[test]
    fn units_that_sent_long_ago_are_forgotten() {
        let quota = Quota::with_period(Duration::from_nanos(1)).expect("not zero");
        let turns = Turns {
            units: RateLimiter::hashmap(quota.allow_burst(NonZeroU32::MIN)),
            entries: AtomicUsize::new(0),
        };
        for number in 0..FORGET_EVERY * 2 {
            turns.take(&number.to_string());
        }
        assert!(turns.units.len() < FORGET_EVERY, "{}", turns.units.len());
    }
}
