//! So many requests a second and no more.
//!
//! Owns the window of the last second. Never waits: a request too many is refused, and a refused
//! one does not count.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sandbox::desk::unpoisoned;

const WINDOW: Duration = Duration::from_secs(1);

/// Counts the requests of the last second.
pub(super) struct Rate {
    per_s: usize,
    recent: Mutex<VecDeque<Instant>>,
}

impl Rate {
    pub(super) fn new(per_s: u32) -> Rate {
        Rate {
            per_s: per_s as usize,
            recent: Mutex::default(),
        }
    }

    /// Takes one request in, or returns `false` when it is one too many.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut recent = unpoisoned(&self.recent);
        while recent
            .front()
            .is_some_and(|came| now.duration_since(*came) >= WINDOW)
        {
            recent.pop_front();
        }
        if recent.len() >= self.per_s {
            return false;
        }
        recent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_so_many_and_the_next_one_begins_anew() {
        let rate = Rate::new(2);
        let start = Instant::now();
        let at = |ms| rate.admits(start + Duration::from_millis(ms));
        assert_eq!([at(0), at(500), at(999)], [true, true, false]);
        assert_eq!([at(1000), at(1001), at(1500)], [true, false, true]);
    }
}
