//! How much of a replay is made due now: a pure decision from its plan and its progress.
//!
//! | phase | situation | next |
//! |---|---|---|
//! | running | everything has an outcome | done |
//! | running | enough was judged, and more than the share failed again | stopped |
//! | running | a stage of the ramp still has open deliveries | waits for them |
//! | running | otherwise | starts what stage, rate and room allow |
//! | paused, stopped | everything has an outcome | done |
//! | cancelled | nothing is open | stays, and is driven no more |

use super::ReplayState;

/// How many deliveries of one replay are open at once: none of them must wait long enough to be
/// forgotten, and a stop must come before everything was tried.
const OPEN_MAX: i64 = 1_000;
/// With fewer outcomes a share says little, unless a stage is complete.
const JUDGED_MIN: i64 = 20;
/// What a rate did not use is lost after this long, so that it never makes a burst.
const UNUSED_MS_MAX: i64 = 1_000;

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) count: i64,
    pub(super) rate_per_s: Option<i64>,
    /// How many each stage starts; after the last one, all the rest.
    pub(super) ramp: Vec<i64>,
    pub(super) stop_percent: i64,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) state: ReplayState,
    pub(super) started: i64,
    pub(super) ended: i64,
    pub(super) failed: i64,
    /// As they were when an operator last let it go on.
    pub(super) ended_before: i64,
    pub(super) failed_before: i64,
    pub(super) paced_at: i64,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) state: ReplayState,
    pub(super) start: i64,
    pub(super) paced_at: i64,
}

/// Returns what to do at `now`.
pub(super) fn step(plan: &Plan, progress: &Progress, now: i64) -> Step {
    let stay = |state| Step {
        state,
        start: 0,
        paced_at: progress.paced_at,
    };
    match progress.state {
        ReplayState::Cancelled | ReplayState::Done => stay(progress.state),
        _ if progress.ended >= plan.count => stay(ReplayState::Done),
        ReplayState::Paused | ReplayState::Stopped => stay(progress.state),
        ReplayState::Running if fails_too_often(plan, progress) => stay(ReplayState::Stopped),
        ReplayState::Running => go_on(plan, progress, now),
    }
}

fn fails_too_often(plan: &Plan, progress: &Progress) -> bool {
    let judged = progress.ended - progress.ended_before;
    let failed = progress.failed - progress.failed_before;
    let complete = progress.started == progress.ended;
    let something_left = progress.started < plan.count;
    something_left
        && (judged >= JUDGED_MIN || complete)
        && failed * 100 > plan.stop_percent * judged
}

fn go_on(plan: &Plan, progress: &Progress, now: i64) -> Step {
    let room = (stage_end(plan, progress) - progress.started)
        .min(OPEN_MAX - (progress.started - progress.ended))
        .max(0);
    let Some(rate) = plan.rate_per_s else {
        return Step {
            state: ReplayState::Running,
            start: room,
            paced_at: now,
        };
    };
    let from = progress.paced_at.max(now - UNUSED_MS_MAX);
    let allowed = (now - from).max(0) * rate / 1_000;
    let start = room.min(allowed);
    Step {
        state: ReplayState::Running,
        start,
        // What is left of a second counts for the next step.
        paced_at: from + start * 1_000 / rate,
    }
}

/// Returns up to how many may have been started in the present stage: the next one begins when
/// all of this one have ended.
fn stage_end(plan: &Plan, progress: &Progress) -> i64 {
    let mut end = 0;
    for stage in &plan.ramp {
        end += stage;
        if progress.ended < end {
            return end.min(plan.count);
        }
    }
    plan.count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(ramp: &[i64], rate_per_s: Option<i64>) -> Plan {
        Plan {
            count: 500,
            rate_per_s,
            ramp: ramp.to_vec(),
            stop_percent: 20,
        }
    }

    fn progress(started: i64, ended: i64, failed: i64) -> Progress {
        Progress {
            state: ReplayState::Running,
            started,
            ended,
            failed,
            ended_before: 0,
            failed_before: 0,
            paced_at: 0,
        }
    }

    #[test]
    fn each_stage_of_a_ramp_waits_for_the_outcomes_of_the_one_before() {
        let plan = plan(&[1, 10, 100], None);
        for (started, ended, start) in [
            (0, 0, 1),
            (1, 0, 0),
            (1, 1, 10),
            (11, 10, 0),
            (11, 11, 100),
            (111, 111, 389),
        ] {
            let step = step(&plan, &progress(started, ended, 0), 5);
            assert_eq!(
                (step.state, step.start),
                (ReplayState::Running, start),
                "{started}"
            );
        }
    }

    #[test]
    fn it_stops_when_more_than_the_share_fails_again() {
        let plan = plan(&[1, 10], None);
        let state =
            |started, ended, failed| step(&plan, &progress(started, ended, failed), 5).state;
        assert_eq!(state(1, 1, 1), ReplayState::Stopped);
        assert_eq!(state(11, 11, 2), ReplayState::Running);
        assert_eq!(state(11, 11, 3), ReplayState::Stopped);
        assert_eq!(
            state(300, 12, 12),
            ReplayState::Running,
            "too early to tell"
        );
        assert_eq!(state(300, 20, 5), ReplayState::Stopped);
        assert_eq!(
            state(500, 400, 400),
            ReplayState::Running,
            "nothing is left to stop"
        );
        assert_eq!(state(500, 500, 400), ReplayState::Done);
        let resumed = Progress {
            ended_before: 11,
            failed_before: 3,
            ..progress(11, 11, 3)
        };
        assert_eq!(step(&plan, &resumed, 5).state, ReplayState::Running);
    }

    #[test]
    fn a_rate_is_kept_and_never_made_up_for() {
        let plan = plan(&[], Some(5));
        let at = |paced_at, now| {
            step(
                &plan,
                &Progress {
                    paced_at,
                    ..progress(0, 0, 0)
                },
                now,
            )
        };
        assert_eq!(at(1_000, 1_100).start, 0);
        assert_eq!(
            (at(1_000, 1_250).start, at(1_000, 1_250).paced_at),
            (1, 1_200)
        );
        assert_eq!(
            at(1_000, 99_000).start,
            5,
            "after a long sleep one second's worth"
        );
    }

    proptest! {
        #[test]
        fn a_replay_comes_to_its_end_and_starts_each_delivery_once(
            count in 0_i64..3_000,
            ramp in proptest::collection::vec(1_i64..200, 0..4),
            rate in proptest::option::of(1_i64..5_000),
        ) {
            let plan = Plan { count, rate_per_s: rate, ramp, stop_percent: 100 };
            let mut now = progress(0, 0, 0);
            let mut clock = 0;
            while now.state == ReplayState::Running {
                let step = step(&plan, &now, clock);
                prop_assert!(step.start >= 0 && step.start <= OPEN_MAX);
                now.started += step.start;
                prop_assert!(now.started <= count);
                now.ended = now.started;
                (now.state, now.paced_at) = (step.state, step.paced_at);
                clock += 200;
                prop_assert!(clock < 200 * 20_000, "it never ends");
            }
            prop_assert_eq!((now.state, now.started), (ReplayState::Done, count));
        }
    }
}
