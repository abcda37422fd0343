//! A platform that says "too many requests": how long nothing is sent to it.
//!
//! It is heard by one delivery and meant for all, so it stops the platform, over all processes
//! ([`super::breaker`]), and costs the delivery that heard it no try.

use super::outcome::WAIT_MAX;
use crate::backoff::Schedule;
use crate::connector::{Judgement, Verdict};
use std::time::Duration;

/// What a platform that says "too many requests" asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    asked: Option<Duration>,
}

impl TooMany {
    /// With the wait that `Retry-After` asks for, in milliseconds. None is asked for by one that is
    /// over: who came back at once would be told the same.
    pub(super) fn new(retry_after_ms: Option<u64>) -> Self {
        let asked = retry_after_ms.filter(|wait_ms| *wait_ms > 0);
        Self {
            asked: asked.map(|wait_ms| Duration::from_millis(wait_ms).min(WAIT_MAX)),
        }
    }

    /// Reads an answer; `None` when it says something else.
    pub(super) fn of(judgement: &Judgement) -> Option<Self> {
        (judgement.verdict == Verdict::RateLimited).then(|| Self::new(judgement.retry_after_ms))
    }

    /// Returns the wait that the platform asks for, a day at most.
    pub(super) fn asked(self) -> Option<Duration> {
        self.asked
    }

    /// Returns for how long nothing is sent, when the platform has said so `times` times in a row
    /// before: as long as it asks for, else a time that grows by `schedule`.
    pub(super) fn rest(self, schedule: &Schedule, times: i64) -> Duration {
        let times = usize::try_from(times).unwrap_or(0);
        self.asked.unwrap_or_else(|| schedule.half_delay(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        base: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(60),
    };

    #[test]
    fn the_platform_gets_the_time_it_asks_for_but_not_more_than_a_day() {
        let rest = |ms, times| TooMany::new(Some(ms)).rest(&SCHEDULE, times);
        assert_eq!(rest(7_000, 0), Duration::from_secs(7));
        assert_eq!(rest(7_000, 9), Duration::from_secs(7));
        assert_eq!(rest(u64::MAX, 0), WAIT_MAX);
    }

    #[test]
    fn without_a_time_to_come_the_wait_grows_with_each_time_it_is_said() {
        for asked in [None, Some(0)] {
            for (times, step_s) in [(0, 1), (1, 2), (3, 8), (60, 60), (i64::MAX, 60)] {
                let step = Duration::from_secs(step_s);
                let rests: Vec<Duration> = (0..50)
                    .map(|_| TooMany::new(asked).rest(&SCHEDULE, times))
                    .collect();
                assert!(rests.iter().all(|it| (step / 2..=step).contains(it)));
                assert!(rests.iter().any(|it| *it != rests[0]), "spread");
            }
        }
    }
}
