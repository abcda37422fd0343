//! The breaker of one platform: what the ends of attempts say about the platform as a whole, and
//! when enough of them say that it is out.
//!
//! | state | where | what happens |
//! |---|---|---|
//! | closed | no row in `outages` | everything is sent; failures in a row are counted here, in memory, by each process for itself |
//! | open | a row, its `probe_at` to come | nothing is sent; what was claimed is handed back and loses no try |
//! | half open | a row, its `probe_at` past | the process that takes the probe in the store sends one delivery; answered: closed; not: open for twice the time |
//!
//! Counting in memory costs the healthy path nothing: the store is written when the breaker opens,
//! by a probe, and when it closes, and read where a sender reads the operators' switch anyway. A
//! second process that has not counted so far sees the row with its next batch.
//!
//! One record that breaks its platform must not look like an outage: failures that a record may
//! have caused count only when several records had them. A platform that says "too many requests"
//! answers; that is the pace's concern.

use super::exchange::Ended;
use super::transport::SendError;
use crate::connector::{BreakerRule, Verdict};
use crate::record::DeliveryId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pauses do not double more often than this: 2^20 × 1 s is twelve days.
const DOUBLINGS_MAX: i64 = 20;

/// What the end of an operation says about the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing: it was not asked.
    None,
    /// It works.
    Alive,
    /// It answers nothing that can be used, and no record is the cause: no connection, no login.
    Out,
    /// It did not do what was asked, and the record may be the cause.
    Ailing,
    /// It answered something that says neither, or a refused login was told once more.
    Odd,
}

impl Sign {
    /// Reads the end of an operation.
    pub(super) fn of(ended: &Ended) -> Self {
        match ended {
            Ended::LeaseLost | Ended::Unrendered { .. } | Ended::Differs { .. } => Self::None,
            Ended::NoSession(refused) if refused.is_old => Self::Odd,
            Ended::NoSession(_) => Self::Out,
            Ended::Unanswered { error, .. } => match error {
                SendError::NotSent(_) => Self::Out,
                SendError::Lost(_) => Self::Ailing,
                SendError::RedirectRefused(_) | SendError::TooLarge(_) => Self::Odd,
            },
            // Every step was done before.
            Ended::Judged { step, .. } if step.is_empty() => Self::None,
            Ended::Judged { judgement, .. } => match judgement.verdict {
                Verdict::Ok
                | Verdict::Duplicate
                | Verdict::Stale
                | Verdict::Reject
                | Verdict::RateLimited => Self::Alive,
                Verdict::Retry => Self::Ailing,
                // A new login did not help.
                Verdict::Auth => Self::Out,
                Verdict::Unknown => Self::Odd,
            },
        }
    }

    /// Returns whether it is no success for a probe.
    pub(super) fn is_bad(self) -> bool {
        match self {
            Self::Out | Self::Ailing | Self::Odd => true,
            Self::None | Self::Alive => false,
        }
    }
}

/// What this process knows of the breaker of one platform.
pub(super) struct Breaker {
    rule: BreakerRule,
    streak: Mutex<Streak>,
    /// Whether the breaker is open, as far as this process knows.
    open: AtomicBool,
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
    pub(super) fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            streak: Mutex::default(),
            open: AtomicBool::new(false),
        }
    }

    /// Takes note of the sign that an attempt at `delivery` gave; returns whether the breaker has
    /// to be opened now.
    pub(super) fn note(&self, sign: Sign, delivery: &DeliveryId) -> bool {
        let mut streak = self.streak();
        match sign {
            Sign::None | Sign::Odd => return false,
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
        self.open.store(true, Ordering::Release);
        true
    }

    /// Returns whether the breaker is open, as far as this process knows.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Takes over what the store says; returns whether it is news.
    pub(super) fn is_news(&self, open: bool) -> bool {
        if self.open.swap(open, Ordering::AcqRel) == open {
            return false;
        }
        *self.streak() = Streak::default();
        true
    }

    /// Returns how long nothing is sent after so many probes without success, in milliseconds.
    pub(super) fn pause_ms(&self, probes: i64) -> i64 {
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
    use crate::connector::Judgement;
    use crate::deliver::session::LoginRefused;

    fn breaker() -> Breaker {
        Breaker::new(BreakerRule {
            failures: 3,
            pause_ms: 1_000,
            pause_max_ms: 5_000,
        })
    }

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
        let breaker = Breaker::new(rule);
        assert!((0..100).all(|_| !breaker.note(Sign::Out, &id("a"))));
    }

    #[test]
    fn what_the_store_says_counts_and_starts_the_count_anew() {
        let breaker = breaker();
        assert!(!breaker.is_news(false));
        assert!(breaker.is_news(true));
        assert!(breaker.is_open() && !breaker.is_news(true));
        assert!(!breaker.note(Sign::Out, &id("a")));
        assert!(!breaker.note(Sign::Out, &id("b")));
        assert!(breaker.is_news(false));
        assert!(!breaker.note(Sign::Out, &id("c")), "counted anew");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<i64> = (0..5).map(|probes| breaker().pause_ms(probes)).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(breaker().pause_ms(i64::MAX), 5_000);
    }

    #[test]
    fn every_end_says_what_it_can_about_the_platform() {
        let judged = |verdict| {
            Sign::of(&Ended::Judged {
                step: "article".to_owned(),
                judgement: Judgement {
                    verdict,
                    code: None,
                    message: None,
                    captured: serde_json::Map::new(),
                    retry_after_ms: None,
                },
            })
        };
        for verdict in [Verdict::Ok, Verdict::Reject, Verdict::RateLimited] {
            assert_eq!(judged(verdict), Sign::Alive, "{verdict:?}");
        }
        assert_eq!(judged(Verdict::Retry), Sign::Ailing);
        assert_eq!(judged(Verdict::Auth), Sign::Out);
        assert_eq!(judged(Verdict::Unknown), Sign::Odd);
        let unanswered = |error| {
            let step = "article".to_owned();
            Sign::of(&Ended::Unanswered { step, error })
        };
        let text = String::new;
        assert_eq!(unanswered(SendError::NotSent(text())), Sign::Out);
        assert_eq!(unanswered(SendError::Lost(text())), Sign::Ailing);
        assert_eq!(unanswered(SendError::RedirectRefused(text())), Sign::Odd);
        let refused = |is_old| {
            Sign::of(&Ended::NoSession(LoginRefused {
                problem: text(),
                try_at_ms: 0,
                is_old,
            }))
        };
        assert_eq!((refused(false), refused(true)), (Sign::Out, Sign::Odd));
        assert_eq!(Sign::of(&Ended::LeaseLost), Sign::None);
    }
}
