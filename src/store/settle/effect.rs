//! What each outcome means for the columns of a delivery: a pure function.

use super::super::{Settled, Settlement};

/// What an outcome means for the columns of a delivery.
#[derive(Default)]
pub(super) struct Effect<'a> {
    pub(super) state: &'static str,
    pub(super) due_at: Option<i64>,
    /// `all`: every claim so far is accounted for; `one`: this one as if it had not been;
    /// `none`: it stays in doubt.
    pub(super) settles: &'static str,
    /// `none`: starts from zero; `more`: one more; `same`.
    pub(super) tries: &'static str,
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
    let plain = Effect {
        settles: "all",
        tries: "none",
        shows: "same",
        ..Effect::default()
    };
    let settles = |in_doubt: bool| if in_doubt { "none" } else { "all" };
    let attempt = &settlement.attempt;
    match &settlement.outcome {
        Settled::Shown {
            remote_id,
            remote_url,
            check_at,
        } => Effect {
            state: "delivered",
            due_at: *check_at,
            shows: "this",
            remote_id: remote_id.as_deref(),
            remote_url: remote_url.as_deref(),
            ..plain
        },
        Settled::Confirmed {
            remote_id,
            remote_url,
        } => Effect {
            state: "confirmed",
            shows: "this",
            remote_id: remote_id.as_deref(),
            remote_url: remote_url.as_deref(),
            ..plain
        },
        Settled::StillUnderReview { check_at } => Effect {
            state: "delivered",
            due_at: *check_at,
            tries: "more",
            ..plain
        },
        Settled::Gone { forget_remote } => Effect {
            state: "withdrawn",
            shows: if *forget_remote { "forget" } else { "nothing" },
            ..plain
        },
        Settled::Skipped => Effect {
            state: "skipped",
            ..plain
        },
        Settled::Retry { due_at, in_doubt } => Effect {
            state: "retrying",
            due_at: Some(*due_at),
            settles: settles(*in_doubt),
            tries: "more",
            failure: [
                Some(&attempt.stage),
                Some(&attempt.verdict),
                Some(&attempt.code),
                Some(&attempt.message),
                None,
            ],
            ..plain
        },
        Settled::Postponed { due_at } => Effect {
            state: "queued",
            due_at: Some(*due_at),
            settles: "one",
            tries: "same",
            ..plain
        },
        Settled::Failed {
            stage,
            class,
            code,
            text,
            group,
            in_doubt,
        } => Effect {
            state: "failed",
            settles: settles(*in_doubt),
            tries: "more",
            failure: [stage, class, code, text, group].map(|part| Some(part.as_str())),
            ..plain
        },
    }
}
