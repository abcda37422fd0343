//! The breaker of one platform: what the ends of attempts say about the platform as a whole, and
//! when nothing is sent to it: enough of them say that it is out, or one of them was told that there
//! are too many.
//!
//! | state | where | what happens |
//! |---|---|---|
//! | closed | no row in `outages` | everything is sent; failures in a row are counted here, in memory, by each process for itself |
//! | open | a row, its `probe_at` to come | nothing is sent; what was claimed is handed back and loses no try |
//! | half open | a row, its `probe_at` past | the process that takes the probe in the store sends one delivery; answered: closed; not: open for twice the time, or for as long as the platform asks |
//! | closed again | no row any more | the platform gets little at first, then more and more ([`super::pace`]) |
//!
//! Counting in memory costs the healthy path nothing: the store is written when the breaker opens,
//! by a probe, and when it closes, and read where a sender reads the operators' switch anyway. A
//! second process that has not counted so far sees the row with its next batch.
//!
//! One record that breaks its platform must not look like an outage: failures that a record may
//! have caused count only when several records had them.

use super::outcome::schedule;
use super::sign::Sign;
use crate::backoff::Schedule;
use crate::connector::{BreakerRule, Connector};
use crate::record::DeliveryId;
use crate::store::OutageKind;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Pauses do not double more often than this: 2^20 × 1 s is twelve days.
const DOUBLINGS_MAX: i64 = 20;
/// Nobody asks again sooner, also when another process has the probe.
const MOMENT_MS: i64 = 50;

/// What this process knows of the breaker of one platform.
pub(super) struct Breaker {
    rule: BreakerRule,
    /// How long to wait for a platform that does not say how long.
    schedule: Schedule,
    streak: Mutex<Streak>,
    /// Why the breaker is open, as far as this process knows; see [`code`].
    open: AtomicU8,
    /// When the next probe may begin, ms since 1970.
    probe_at: AtomicI64,
    /// Told with all that is news.
    news: Notify,
}

/// Returns what stands for a breaker that is open for this reason, or closed.
const fn code(open: Option<OutageKind>) -> u8 {
    match open {
        None => 0,
        Some(OutageKind::Out) => 1,
        Some(OutageKind::TooMany) => 2,
    }
}

/// Failures since the last sign of life.
#[derive(Default)]
struct Streak {
    failures: usize,
    /// The delivery that failed first.
    first: Option<DeliveryId>,
    /// Whether one record cannot be the cause.
    is_general: bool,
}

impl Breaker {
    pub(super) fn new(connector: &Connector) -> Self {
        Self::of(*connector.breaker(), schedule(connector))
    }

    fn of(rule: BreakerRule, schedule: Schedule) -> Self {
        Self {
            rule,
            schedule,
            streak: Mutex::default(),
            open: AtomicU8::new(code(None)),
            probe_at: AtomicI64::new(0),
            news: Notify::new(),
        }
    }

    /// Takes note of the sign that an attempt at `delivery` gave; returns whether the breaker has
    /// to be opened now.
    pub(super) fn note(&self, sign: Sign, delivery: &DeliveryId) -> bool {
        let mut streak = self.streak();
        match sign {
            Sign::None | Sign::Odd => return false,
            Sign::TooMany(_) => {
                *streak = Streak::default();
                self.open.store(code(Some(sign.kind())), Ordering::Release);
                return true;
            }
            Sign::Alive => {
                if streak.failures > 0 {
                    *streak = Streak::default();
                }
                return false;
            }
            Sign::Out => streak.is_general = true,
            Sign::Ailing => match &streak.first {
                Some(first) => streak.is_general |= first != delivery,
                None => streak.first = Some(delivery.clone()),
            },
        }
        streak.failures = streak.failures.saturating_add(1);
        let enough = self.rule.failures > 0 && streak.failures >= self.rule.failures;
        if !enough || !streak.is_general {
            return false;
        }
        // Those that follow need not say it again.
        *streak = Streak::default();
        self.open.store(code(Some(sign.kind())), Ordering::Release);
        true
    }

    /// Returns whether the breaker is open, as far as this process knows.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) != code(None)
    }

    /// Returns how long it is at `now_ms` until somebody may probe, a moment at least; the longest
    /// time when the breaker is closed.
    pub(super) fn probe_in(&self, now_ms: i64) -> Duration {
        let wait_ms = self.probe_at.load(Ordering::Relaxed) - now_ms;
        match self.is_open() {
            true => Duration::from_millis(wait_ms.max(MOMENT_MS) as u64),
            false => Duration::MAX,
        }
    }

    /// Takes over when the next probe may begin, ms since 1970.
    pub(super) fn expect_probe(&self, probe_at: i64) {
        self.probe_at.store(probe_at, Ordering::Relaxed);
    }

    /// Takes over what the store says; returns whether it is news.
    pub(super) fn is_news(&self, open: Option<OutageKind>) -> bool {
        let open = code(open);
        if self.open.swap(open, Ordering::AcqRel) == open {
            return false;
        }
        *self.streak() = Streak::default();
        self.news.notify_one();
        true
    }

    /// Resolves when there is news that nobody has waited for yet.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Returns how long nothing is sent after `sign` and so many probes without success, in
    /// milliseconds.
    pub(super) fn pause_ms(&self, sign: Sign, probes: i64) -> i64 {
        if let Sign::TooMany(too_many) = sign {
            return too_many.rest(&self.schedule, probes).as_millis() as i64;
        }
        let doublings = probes.clamp(0, DOUBLINGS_MAX);
        let pause_ms = self.rule.pause_ms.saturating_mul(1 << doublings);
        i64::try_from(pause_ms.min(self.rule.pause_max_ms)).unwrap_or(i64::MAX / 2)
    }

    fn streak(&self) -> MutexGuard<'_, Streak> {
        self.streak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::too_many::TooMany;

    fn breaker() -> Breaker {
        let rule = BreakerRule {
            failures: 3,
            pause_ms: 1_000,
            pause_max_ms: 5_000,
        };
        Breaker::of(rule, SCHEDULE)
    }

    const SCHEDULE: Schedule = Schedule {
        base: Duration::from_secs(4),
        factor: 2.0,
        max: Duration::from_secs(60),
    };

    fn id(text: &str) -> DeliveryId {
        DeliveryId::from(text.to_owned())
    }

    #[test]
    fn failures_in_a_row_over_several_records_open_it_once() {
        let breaker = breaker();
        assert!(!breaker.note(Sign::Ailing, &id("a")));
        assert!(!breaker.note(Sign::Ailing, &id("b")));
        assert!(!breaker.is_open());
        assert!(breaker.note(Sign::Ailing, &id("c")));
        assert!(breaker.is_open());
        assert!(!breaker.note(Sign::Ailing, &id("d")), "only once");
    }

    #[test]
    fn a_sign_of_life_in_between_starts_the_count_anew() {
        let breaker = breaker();
        for _ in 0..4 {
            assert!(!breaker.note(Sign::Out, &id("a")));
            assert!(!breaker.note(Sign::Ailing, &id("b")));
            assert!(!breaker.note(Sign::Alive, &id("c")));
        }
        assert!(!breaker.note(Sign::Out, &id("a")));
        assert!(!breaker.note(Sign::Odd, &id("b")), "says nothing");
        assert!(!breaker.note(Sign::None, &id("b")), "says nothing");
        assert!(!breaker.note(Sign::Out, &id("b")));
        assert!(breaker.note(Sign::Out, &id("b")));
    }

    #[test]
    fn one_record_alone_is_no_outage_unless_there_is_not_even_a_connection() {
        let poison = breaker();
        assert!((0..100).all(|_| !poison.note(Sign::Ailing, &id("poison"))));
        assert!(poison.note(Sign::Ailing, &id("another")));
        let alone = breaker();
        let opens: Vec<bool> = (0..3).map(|_| alone.note(Sign::Out, &id("only"))).collect();
        assert_eq!(opens, [false, false, true]);
    }

    #[test]
    fn a_breaker_without_a_number_of_failures_never_opens() {
        let rule = BreakerRule {
            failures: 0,
            ..BreakerRule::default()
        };
        let breaker = Breaker::of(rule, SCHEDULE);
        assert!((0..100).all(|_| !breaker.note(Sign::Out, &id("a"))));
        let too_many = Sign::TooMany(TooMany::new(None));
        assert!(breaker.note(too_many, &id("a")), "but for being asked to");
    }

    #[test]
    fn one_that_was_told_that_there_are_too_many_stops_all() {
        let breaker = breaker();
        let too_many = |wait_ms| Sign::TooMany(TooMany::new(wait_ms));
        assert!(!breaker.note(Sign::Out, &id("a")));
        assert!(breaker.note(too_many(Some(7_000)), &id("b")));
        assert!(breaker.is_open());
        assert!(
            breaker.note(too_many(Some(9_000)), &id("c")),
            "it may ask for more"
        );
        assert!(breaker.is_news(None));
        assert!(!breaker.note(Sign::Out, &id("a")));
        assert!(!breaker.note(Sign::Out, &id("a")), "counted anew");
        assert_eq!(breaker.pause_ms(too_many(Some(7_000)), 5), 7_000);
        assert!((2_000..=4_000).contains(&breaker.pause_ms(too_many(None), 0)));
        assert!((8_000..=16_000).contains(&breaker.pause_ms(too_many(None), 2)));
    }

    #[test]
    fn what_the_store_says_counts_and_starts_the_count_anew() {
        let breaker = breaker();
        assert!(!breaker.is_news(None));
        let out = Some(OutageKind::Out);
        assert!(breaker.is_news(out));
        assert!(breaker.is_open() && !breaker.is_news(out));
        assert!(
            breaker.is_news(Some(OutageKind::TooMany)),
            "another trouble"
        );
        assert!(!breaker.note(Sign::Out, &id("a")));
        assert!(!breaker.note(Sign::Out, &id("b")));
        breaker.expect_probe(5_000);
        assert_eq!(breaker.probe_in(4_000), Duration::from_secs(1));
        assert_eq!(breaker.probe_in(9_000).as_millis(), MOMENT_MS as u128);
        assert!(breaker.is_news(None));
        assert_eq!(breaker.probe_in(4_000), Duration::MAX);
        assert!(!breaker.note(Sign::Out, &id("c")), "counted anew");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<i64> = (0..5).map(|it| breaker().pause_ms(Sign::Out, it)).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(breaker().pause_ms(Sign::Odd, i64::MAX), 5_000);
    }
}
