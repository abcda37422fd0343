//! What the end of an operation says about the platform as a whole.

use super::exchange::Ended;
use super::too_many::TooMany;
use super::transport::SendError;
use crate::connector::Verdict;
use crate::store::OutageKind;

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
    /// It asks for fewer requests.
    TooMany(TooMany),
    /// It answered something that says neither, or a refused login was told once more.
    Odd,
}

impl Sign {
    /// Reads the end of an operation.
    pub(super) fn of(ended: &Ended) -> Self {
        match ended {
            Ended::LeaseLost | Ended::Unrendered { .. } | Ended::Differs { .. } => Self::None,
            Ended::NoSession(refused) if refused.is_old => Self::Odd,
            Ended::NoSession(refused) => refused.too_many.map_or(Self::Out, Self::TooMany),
            Ended::Unanswered { error, .. } => match error {
                SendError::NotSent(_) => Self::Out,
                SendError::Lost(_) => Self::Ailing,
                SendError::RedirectRefused(_) | SendError::TooLarge(_) => Self::Odd,
            },
            // Every step was done before.
            Ended::Judged { step, .. } if step.is_empty() => Self::None,
            Ended::Judged { judgement, .. } => match judgement.verdict {
                Verdict::Ok | Verdict::Duplicate | Verdict::Stale | Verdict::Reject => Self::Alive,
                Verdict::RateLimited => Self::TooMany(TooMany::new(judgement.retry_after_ms)),
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
            Self::Out | Self::Ailing | Self::Odd | Self::TooMany(_) => true,
            Self::None | Self::Alive => false,
        }
    }

    /// Returns why nothing is sent to a platform whose breaker it opened.
    pub(super) fn kind(self) -> OutageKind {
        match self {
            Self::TooMany(_) => OutageKind::TooMany,
            Self::None | Self::Alive | Self::Out | Self::Ailing | Self::Odd => OutageKind::Out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Judgement;
    use crate::deliver::session::LoginRefused;

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
                    retry_after_ms: Some(7_000),
                },
            })
        };
        for verdict in [Verdict::Ok, Verdict::Reject] {
            assert_eq!(judged(verdict), Sign::Alive, "{verdict:?}");
        }
        let too_many = Sign::TooMany(TooMany::new(Some(7_000)));
        assert_eq!(judged(Verdict::RateLimited), too_many);
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
        let refused = |is_old, too_many| {
            Sign::of(&Ended::NoSession(LoginRefused {
                problem: text(),
                try_at_ms: 0,
                is_old,
                too_many,
            }))
        };
        assert_eq!(refused(false, None), Sign::Out);
        assert_eq!(refused(false, Some(TooMany::new(Some(7_000)))), too_many);
        assert_eq!(
            refused(true, Some(TooMany::new(None))),
            Sign::Odd,
            "told before"
        );
        assert_eq!(Sign::of(&Ended::LeaseLost), Sign::None);
    }
}
