//! When to try again: exponential growth with full jitter.
//!
//! The growth comes from `backon`, the maintained successor that RUSTSEC-2025-0012 names for
//! `backoff`. Its own jitter adds to the longest delay, so the jitter is made here: a delay drawn
//! evenly between zero and the step ("full jitter", AWS Architecture Blog 2015, "Exponential
//! Backoff And Jitter"), which spreads a crowd best.

use backon::{BackoffBuilder as _, ExponentialBuilder};
use std::time::Duration;

/// Steps beyond this do not grow any more: 2^40 × 1 ms is 34 years.
const STEPS_MAX: usize = 40;

/// Delays that grow from `base` by `factor` up to `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The first step.
    pub base: Duration,
    /// Growth from one step to the next, at least 1.
    pub factor: f32,
    /// The longest step.
    pub max: Duration,
}

impl Schedule {
    /// Returns the longest delay after `tries` tries without success, counted from 0.
    pub fn step(&self, tries: usize) -> Duration {
        let steps = tries.min(STEPS_MAX);
        ExponentialBuilder::new()
            .with_min_delay(self.base)
            .with_factor(self.factor)
            .with_max_delay(self.max)
            .with_max_times(steps + 1)
            .build()
            .nth(steps)
            .unwrap_or(self.max)
            .min(self.max)
    }

    /// Draws a delay between half of [`Schedule::step`] and all of it: for what must never come
    /// back at once.
    pub fn half_delay(&self, tries: usize) -> Duration {
        let half = self.step(tries) / 2;
        half + half.mul_f64(rand::random::<f64>())
    }

    /// Draws a delay between zero and [`Schedule::step`].
    pub fn delay(&self, tries: usize) -> Duration {
        self.step(tries).mul_f64(rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        base: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(600),
    };

    #[test]
    fn steps_double_up_to_the_longest() {
        let steps: Vec<u64> = (0..5).map(|tries| SCHEDULE.step(tries).as_secs()).collect();
        assert_eq!(steps, [1, 2, 4, 8, 16]);
        assert_eq!(SCHEDULE.step(20).as_secs(), 600);
        assert_eq!(SCHEDULE.step(usize::MAX).as_secs(), 600);
    }

    #[test]
    fn delays_are_spread_over_the_whole_step() {
        let step = SCHEDULE.step(5);
        let mut quarters = [0; 4];
        for _ in 0..4_000 {
            let part = SCHEDULE.delay(5).as_secs_f64() / step.as_secs_f64();
            quarters[((part * 4.0) as usize).min(3)] += 1;
        }
        // A thousand each, give or take seven standard deviations.
        assert!(
            quarters.iter().all(|count| (800..1_200).contains(count)),
            "{quarters:?}"
        );
    }

    #[test]
    fn what_must_never_come_back_at_once_waits_for_half_of_its_step_at_least() {
        for (tries, step_s) in [(0, 1), (1, 2), (4, 16), (20, 600)] {
            let step = Duration::from_secs(step_s);
            let waits: Vec<Duration> = (0..200).map(|_| SCHEDULE.half_delay(tries)).collect();
            let (least, most) = (waits.iter().min(), waits.iter().max());
            assert!(least.is_some_and(|it| *it >= step / 2 && *it < step * 6 / 10));
            assert!(most.is_some_and(|it| *it <= step && *it > step * 9 / 10));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_delay_never_exceeds_its_step(tries in 0_usize..100) {
            proptest::prop_assert!(SCHEDULE.delay(tries) <= SCHEDULE.step(tries));
        }
    }
}
