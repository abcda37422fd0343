//! What can be asked of the writer, and what it answers.

use super::super::claim::{ClaimRequest, Renewal};
use super::super::settle::ProgressUpdate;
use super::super::{Claim, NewSubmission, Settlement, SubmitOutcome};
use crate::failpoint::Point;
use crate::record::DeliveryId;

/// What can be asked of the writer.
pub(in crate::store) enum Command {
    Submit(Box<NewSubmission>),
    Settle(Box<Settlement>),
    Progress(ProgressUpdate),
    Release(Vec<(DeliveryId, i64)>),
    Abandon((DeliveryId, i64)),
    Renew(Renewal),
    Claim(ClaimRequest),
}

impl Command {
    /// Returns whether it is part of what comes in, not of what goes out. What must happen one
    /// after the other is asked for one after the other, or is on the same side.
    pub(super) fn comes_in(&self) -> bool {
        match self {
            Self::Submit(_) => true,
            Self::Settle(_)
            | Self::Progress(_)
            | Self::Release(_)
            | Self::Abandon(_)
            | Self::Renew(_)
            | Self::Claim(_) => false,
        }
    }

    /// Returns whether an outage ends the wait at once: both carry a moment that would be stale,
    /// and are asked again soon.
    pub(super) fn cannot_wait(&self) -> bool {
        match self {
            Self::Claim(_) | Self::Renew(_) => true,
            Self::Submit(_)
            | Self::Settle(_)
            | Self::Progress(_)
            | Self::Release(_)
            | Self::Abandon(_) => false,
        }
    }

    /// Returns the platforms whose deliveries it may open.
    pub(super) fn opens(&self) -> &[String] {
        match self {
            Self::Submit(new) if new.holds.is_empty() => &new.platforms,
            Self::Submit(_)
            | Self::Settle(_)
            | Self::Progress(_)
            | Self::Release(_)
            | Self::Abandon(_)
            | Self::Renew(_)
            | Self::Claim(_) => &[],
        }
    }

    /// Returns whether it is known nowhere else and must not be given up.
    pub(super) fn must_be_kept(&self) -> bool {
        match self {
            Self::Settle(_) | Self::Progress(_) | Self::Release(_) | Self::Abandon(_) => true,
            Self::Submit(_) | Self::Claim(_) | Self::Renew(_) => false,
        }
    }

    /// Returns the failpoint before its commit.
    pub(super) fn committing(&self) -> Option<Point> {
        Some(match self {
            Self::Submit(_) => Point::SubmitCommitting,
            Self::Settle(_) => Point::SettleCommitting,
            Self::Progress(_) => Point::ProgressCommitting,
            Self::Release(_) => Point::ReleaseCommitting,
            Self::Renew(_) => Point::RenewCommitting,
            Self::Claim(_) => Point::ClaimCommitting,
            // Only after an error of the store in the middle of an attempt: same as a crash there.
            Self::Abandon(_) => return None,
        })
    }

    /// Returns the failpoint after its commit.
    pub(super) fn committed(&self) -> Option<Point> {
        Some(match self {
            Self::Submit(_) => Point::SubmitCommitted,
            Self::Settle(_) => Point::SettleCommitted,
            Self::Progress(_) => Point::ProgressCommitted,
            Self::Release(_) => Point::ReleaseCommitted,
            Self::Renew(_) => Point::RenewCommitted,
            Self::Claim(_) => Point::ClaimCommitted,
            Self::Abandon(_) => return None,
        })
    }
}

/// What the writer answers, in the same words.
pub(in crate::store) enum Answer {
    Submit(Box<SubmitOutcome>),
    Settle(bool),
    Progress(bool),
    Release,
    Abandon,
    Renew,
    Claim(Vec<Claim>),
}
