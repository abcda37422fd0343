//! What each outcome means for the columns of a delivery, in the words of [`super::SETTLE`].

use super::super::{Settled, Settlement};
use crate::record::life::{Claims, Due, Shows, Tries, ended};

/// The word for "it was not tried": the statement finds out where it belongs.
pub(super) const RESTING: &str = "resting";

/// What an outcome means for the columns of a delivery.
pub(super) struct Effect<'a> {
    /// A state, or [`RESTING`].
    pub(super) state: &'static str,
    pub(super) due_at: Option<i64>,
    /// `all`: every claim so far is accounted for; `one`: this one as if it had not been;
    /// `none`: it stays in doubt.
    pub(super) settles: &'static str,
    /// `none`: starts from zero; `more`: one more; `same`.
    pub(super) tries: &'static str,
    /// When it was tried without success, counted or not; the age begins with the first time.
    pub(super) tried_at: Option<i64>,
    /// What the platform shows now: `this` version, `nothing`, `forget` (nothing, and its id is
    /// void), or the `same` as before.
    pub(super) shows: &'static str,
    pub(super) remote_id: Option<&'a str>,
    pub(super) remote_url: Option<&'a str>,
    /// Stage, class, code, text, group.
    pub(super) failure: [Option<&'a str>; 5],
}

/// Returns what the outcome of `settlement` means.
pub(super) fn effect(settlement: &Settlement) -> Effect<'_> {
    let ending = ended(settlement.outcome.kind());
    let attempt = &settlement.attempt;
    let (told, remote, failure) = match &settlement.outcome {
        Settled::Shown {
            remote_id,
            remote_url,
            check_at,
        } => (*check_at, [remote_id, remote_url], [None; 5]),
        Settled::Confirmed {
            remote_id,
            remote_url,
        } => (None, [remote_id, remote_url], [None; 5]),
        Settled::StillUnderReview { check_at } => (*check_at, [&None; 2], [None; 5]),
        Settled::Gone { .. } | Settled::Skipped => (None, [&None; 2], [None; 5]),
        Settled::Retry {
            due_at,
            counts: false,
            ..
        } => (Some(*due_at), [&None; 2], [None; 5]),
        Settled::Retry { due_at, .. } => {
            let cause = [
                &attempt.stage,
                &attempt.verdict,
                &attempt.code,
                &attempt.message,
            ];
            let [stage, class, code, text] = cause.map(|part| Some(part.as_str()));
            let failure = [stage, class, code, text, None];
            (Some(*due_at), [&None; 2], failure)
        }
        Settled::Postponed { due_at } => (Some(*due_at), [&None; 2], [None; 5]),
        Settled::Failed {
            stage,
            class,
            code,
            text,
            group,
            ..
        } => {
            let failure = [stage, class, code, text, group].map(|part| Some(part.as_str()));
            (None, [&None; 2], failure)
        }
    };
    let [remote_id, remote_url] = remote.map(Option::as_deref);
    Effect {
        state: ending.state.map_or(RESTING, |state| state.as_str()),
        due_at: match ending.due {
            Due::AsTold => told,
            Due::Never | Due::Now | Due::LeaseEnd | Due::Same => None,
        },
        settles: match ending.claims {
            Claims::AllSettled => "all",
            Claims::OneSettled => "one",
            Claims::Same | Claims::InDoubt => "none",
        },
        tries: match ending.tries {
            Tries::None => "none",
            Tries::More => "more",
            Tries::Same => "same",
        },
        shows: match ending.shows {
            Shows::This => "this",
            Shows::Nothing => "nothing",
            Shows::Forget => "forget",
            Shows::Same => "same",
        },
        tried_at: match &settlement.outcome {
            // Nobody asked the platform for it.
            Settled::Postponed { .. } => None,
            _ => Some(attempt.started_at),
        },
        remote_id,
        remote_url,
        failure,
    }
}
