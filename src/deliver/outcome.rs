//! What becomes of a delivery after an operation ended: pure, from an ending to a row.

use super::exchange::Ended;
use super::likeness::group_name;
use super::transport::SendError;
use crate::backoff::Schedule;
use crate::connector::{Connector, Judgement, Operation, RenderError, Verdict};
use crate::store::{Claim, Settled};
use std::time::Duration;

/// The longest wait that a platform may ask for: an absurd `Retry-After` must not put a delivery off
/// for years.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Code of a request that is not the one that was sent before.
pub(super) const BYTES_DIFFER: &str = "bytes_differ";

/// Why an attempt did not succeed, in the words that rows and people use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    /// The step, or `render`, `contract`, `login`, `withdraw`.
    pub(super) stage: String,
    /// The verdict's word, or `lost`, `no_connection`, `contract`, `settings`.
    pub(super) class: String,
    /// The platform's or the hub's code.
    pub(super) code: String,
    /// One sentence; secrets masked.
    pub(super) text: String,
}

impl Cause {
    pub(super) fn new(stage: &str, class: &str, code: &str, text: impl Into<String>) -> Self {
        Self {
            stage: stage.to_owned(),
            class: class.to_owned(),
            code: code.to_owned(),
            text: text.into(),
        }
    }

    /// Returns it in one line, each word once.
    pub(super) fn in_one_line(&self) -> String {
        let mut told: Vec<&str> = Vec::new();
        for word in [&self.stage, &self.class, &self.code, &self.text] {
            if !word.is_empty() && !told.contains(&word.as_str()) {
                told.push(word);
            }
        }
        told.join(" ")
    }

    /// Returns the key of the failures with the same cause: ids and digits do not count.
    pub(super) fn group(&self, platform: &str) -> String {
        group_name(platform, &self.stage, &self.class, &self.code, &self.text)
    }

    /// Returns the row of a delivery that needs a person.
    pub(super) fn failed(self, platform: &str, in_doubt: bool) -> Settled {
        Settled::Failed {
            group: self.group(platform),
            stage: self.stage,
            class: self.class,
            code: self.code,
            text: self.text,
            in_doubt,
        }
    }
}

/// What the ending of an operation asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Ruling {
    /// The operation succeeded.
    Done,
    /// The platform already has an object of this record.
    Duplicate,
    /// Ask the platform before deciding.
    Unknown(Cause),
    /// Try again; `wait` is what the platform asked for, `in_doubt` whether it may have acted.
    Again {
        cause: Cause,
        wait: Duration,
        in_doubt: bool,
    },
    /// Nothing was tried; due again at this time (ms since 1970).
    Later { cause: Cause, at_ms: i64 },
    /// A person is needed.
    Failed(Cause),
    /// Somebody else holds the delivery.
    LeaseLost,
}

impl Ruling {
    /// Returns why it was no success, if anything is said about that.
    pub(super) fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Unknown(cause)
            | Self::Again { cause, .. }
            | Self::Later { cause, .. }
            | Self::Failed(cause) => Some(cause),
            Self::Done | Self::Duplicate | Self::LeaseLost => None,
        }
    }
}

/// Reads the ending of `operation`.
pub(super) fn ruling(connector: &Connector, operation: Operation, ended: Ended) -> Ruling {
    let settle = Duration::from_millis(connector.settle_ms());
    let may_have_acted = operation.changes_something();
    match ended {
        Ended::LeaseLost => Ruling::LeaseLost,
        Ended::NoSession(refused) => Ruling::Later {
            cause: Cause::new("login", "auth", "login", refused.problem),
            at_ms: refused.try_at_ms,
        },
        Ended::Unrendered { step, error } => Ruling::Failed(unrendered(&step, &error)),
        Ended::Differs { step } => {
            let text = "现在生成的请求与当时发出的不同，没有发送；要发送最新内容，请按当前状态重放";
            Ruling::Failed(Cause::new(&step, "render", BYTES_DIFFER, text))
        }
        Ended::Unanswered { step, error } => {
            let text = connector.mask().apply(&error.to_string());
            match error {
                SendError::NotSent(_) => Ruling::Again {
                    cause: Cause::new(&step, "no_connection", "no_connection", text),
                    wait: Duration::ZERO,
                    in_doubt: false,
                },
                SendError::Lost(_) | SendError::TooLarge(_) => Ruling::Again {
                    cause: Cause::new(&step, "lost", "lost", text),
                    wait: settle,
                    in_doubt: may_have_acted,
                },
                SendError::RedirectRefused(_) => {
                    Ruling::Failed(Cause::new(&step, "reject", "host_not_allowed", text))
                }
            }
        }
        Ended::Judged { step, judgement } => judged(&step, judgement, may_have_acted, settle),
    }
}

fn unrendered(step: &str, error: &RenderError) -> Cause {
    Cause::new(step, "render", error.code(), error.to_string())
}

fn judged(step: &str, judgement: Judgement, may_have_acted: bool, settle: Duration) -> Ruling {
    let asked = judgement.retry_after_ms.map(Duration::from_millis);
    let verdict = judgement.verdict;
    let cause = || {
        Cause::new(
            step,
            verdict.as_str(),
            judgement.code.as_deref().unwrap_or_default(),
            judgement.message.clone().unwrap_or_default(),
        )
    };
    match verdict {
        Verdict::Ok => Ruling::Done,
        Verdict::Duplicate => Ruling::Duplicate,
        Verdict::Unknown => Ruling::Unknown(cause()),
        Verdict::Stale | Verdict::Reject => Ruling::Failed(cause()),
        // "Try later" after the body went does not prove that nothing was carried out.
        Verdict::Retry => Ruling::Again {
            cause: cause(),
            wait: asked.unwrap_or(if may_have_acted {
                settle
            } else {
                Duration::ZERO
            }),
            in_doubt: may_have_acted,
        },
        Verdict::RateLimited | Verdict::Auth => Ruling::Again {
            cause: cause(),
            wait: asked.unwrap_or_default(),
            in_doubt: false,
        },
    }
}

/// Returns when `connector` wants to be tried again.
pub(super) fn schedule(connector: &Connector) -> Schedule {
    let retry = connector.retry();
    Schedule {
        base: Duration::from_millis(retry.base_ms),
        factor: retry.factor,
        max: Duration::from_millis(retry.max_ms),
    }
}

/// Returns the row of a delivery to which the platform has said "too many requests": no try is
/// lost, but it does not wait for ever. `age_ms` is for how long it has been tried.
pub(super) fn not_so_fast(
    connector: &Connector,
    claim: &Claim,
    cause: &Cause,
    wait: Duration,
    in_doubt: bool,
    (age_ms, now_ms): (i64, i64),
) -> Settled {
    if age_ms / 1_000 >= connector.retry().age_max_s {
        let text = format!("期限已过，平台仍要求放慢：{}", cause.text);
        let cause = Cause {
            text,
            ..cause.clone()
        };
        return cause.failed(&connector.id, in_doubt);
    }
    Settled::Retry {
        due_at: due_again(connector, claim, wait, now_ms),
        counts: false,
        in_doubt,
    }
}

/// Returns the row of a delivery that is to be tried again, or, when its patience is at an end,
/// of one that needs a person. `age_ms` is for how long it has been tried.
pub(super) fn again(
    connector: &Connector,
    claim: &Claim,
    mut cause: Cause,
    wait: Duration,
    in_doubt: bool,
    (age_ms, now_ms): (i64, i64),
) -> Settled {
    let retry = connector.retry();
    let tries = claim.tries + 1;
    if tries >= retry.tries_max || age_ms / 1_000 >= retry.age_max_s {
        cause.text = format!("重试 {tries} 次仍未成功：{}", cause.text);
        return cause.failed(&connector.id, in_doubt);
    }
    Settled::Retry {
        due_at: due_again(connector, claim, wait, now_ms),
        counts: true,
        in_doubt,
    }
}

/// Returns when `claim` is tried again, `wait` or more from now.
pub(super) fn due_again(connector: &Connector, claim: &Claim, wait: Duration, now_ms: i64) -> i64 {
    let delay = schedule(connector).delay(usize::try_from(claim.tries).unwrap_or(0));
    now_ms + waits(wait, delay).as_millis() as i64
}

/// What was asked for is the least; the jitter on top keeps a crowd from coming back at once.
fn waits(asked: Duration, delay: Duration) -> Duration {
    asked.min(WAIT_MAX) + delay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_with_one_cause_are_one_group_whatever_ids_they_name() {
        let cause = |text: &str| Cause::new("article", "reject", "42201", text);
        let one = cause("记录 0190a000-0000-7000-8000-000000000001 第3项不符合要求");
        let two = cause("记录 0190a000-1111-7000-8000-000000000002 第17项不符合要求");
        assert_eq!(one.group("portal"), two.group("portal"));
        assert_ne!(one.group("portal"), one.group("gazette"));
        assert_ne!(one.group("portal"), cause("别的原因").group("portal"));
    }

    #[test]
    fn a_platform_is_given_the_time_it_asks_for_but_not_more_than_a_day() {
        let seconds = Duration::from_secs;
        assert_eq!(waits(seconds(7), seconds(2)), seconds(9));
        assert_eq!(waits(Duration::ZERO, seconds(2)), seconds(2));
        let day = seconds(86_400);
        assert_eq!(waits(seconds(365 * 86_400), seconds(2)), day + seconds(2));
        assert_eq!(waits(Duration::MAX, seconds(2)), day + seconds(2));
    }

    #[test]
    fn a_server_error_after_a_changing_request_leaves_a_doubt() {
        let judgement = |verdict, retry_after_ms| Judgement {
            verdict,
            code: None,
            message: None,
            captured: serde_json::Map::new(),
            retry_after_ms,
        };
        let settle = Duration::from_secs(3);
        let doubt = |verdict, acts| match judged("s", judgement(verdict, None), acts, settle) {
            Ruling::Again { in_doubt, .. } => in_doubt,
            other => panic!("{other:?}"),
        };
        assert!(doubt(Verdict::Retry, true));
        assert!(!doubt(Verdict::Retry, false));
        assert!(!doubt(Verdict::RateLimited, true));
        match judged(
            "s",
            judgement(Verdict::RateLimited, Some(7_000)),
            true,
            settle,
        ) {
            Ruling::Again { wait, .. } => assert_eq!(wait, Duration::from_secs(7)),
            other => panic!("{other:?}"),
        }
    }
}
