//! How stories are made up: single steps, and clusters of steps that meet at awkward moments.

use super::platform::Fault;
use super::{ONE_AT_A_TIME, PLATFORMS, RECORDS, Step, Story};
use proptest::prelude::*;
use synchub::store::{PauseMode, ReplayWay};

fn faults() -> impl Strategy<Value = Fault> {
    proptest::sample::select(vec![
        Fault::LostRequest,
        Fault::LostAnswer,
        Fault::LostAnswer,
        Fault::HalfAnswer,
        Fault::ErrorUnsaved,
        Fault::ErrorSaved,
        Fault::GarbageUnsaved,
        Fault::GarbageSaved,
        Fault::SlowAnswer,
        Fault::SlowSave,
        Fault::SlowSave,
        Fault::Stuck,
        Fault::Busy,
        Fault::BusyAWhile,
        Fault::Refused,
        Fault::LostQuestion,
        Fault::GarbageToQuestion,
    ])
}

fn steps() -> impl Strategy<Value = Step> {
    let record = 0..RECORDS;
    let platform = 0..PLATFORMS.len();
    let one = record.clone();
    let of = |make: fn(usize) -> Step| one.clone().prop_map(make);
    prop_oneof![
        8 => (record.clone(), 1_u8..8).prop_map(|(record, mask)| Step::Post { record, mask }),
        4 => of(|record| Step::Post { record, mask: 7 }),
        2 => of(|record| Step::PostHeld { record }),
        1 => of(|record| Step::PostSealed { record }),
        1 => of(|record| Step::Repeat { record }),
        1 => of(|record| Step::PostOlder { record }),
        3 => of(|record| Step::Withdraw { record }),
        1 => of(|record| Step::WithdrawByHand { record }),
        2 => of(|record| Step::Release { record }),
        9 => (platform.clone(), faults())
            .prop_map(|(platform, fault)| Step::Trouble { platform, fault }),
        1 => (
            platform.clone(),
            proptest::sample::select(vec![PauseMode::Hold, PauseMode::Drain, PauseMode::Stop])
        )
            .prop_map(|(platform, mode)| Step::Pause { platform, mode }),
        2 => platform.clone().prop_map(|platform| Step::Resume { platform }),
        2 => (
            platform.clone(),
            proptest::sample::select(vec![
                ReplayWay::Current,
                ReplayWay::Identical,
                ReplayWay::Refill
            ])
        )
            .prop_map(|(platform, way)| Step::Replay { platform, way }),
        1 => (record.clone(), platform.clone())
            .prop_map(|(record, platform)| Step::GiveUp { record, platform }),
        1 => (record.clone(), platform.clone())
            .prop_map(|(record, platform)| Step::Undo { record, platform }),
        2 => (record.clone(), platform.clone())
            .prop_map(|(record, platform)| Step::DoByHand { record, platform }),
        2 => (record.clone(), platform.clone(), proptest::bool::weighted(0.2))
            .prop_map(|(record, platform, own)| Step::Override { record, platform, own }),
        1 => (record, platform.clone())
            .prop_map(|(record, platform)| Step::Lose { record, platform }),
        2 => platform.clone().prop_map(|platform| Step::Verify { platform }),
        1 => platform.prop_map(|platform| Step::LetGo { platform }),
        1 => Just(Step::Join),
        1 => Just(Step::Part),
        1 => Just(Step::WakeUp),
        14 => (1_u64..60).prop_map(|ms| Step::Work { ms }),
        5 => proptest::sample::select(vec![-4_000, 300, 1_500, 8_000, 25_000, 100_000])
            .prop_map(|ms| Step::Leap { ms }),
        4 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// What the OA or an operator may want of a record at an awkward moment.
fn changes(record: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Withdraw { record }),
        2 => Just(Step::WithdrawByHand { record }),
        3 => (1_u8..8).prop_map(move |mask| Step::Post { record, mask }),
        1 => Just(Step::PostHeld { record }),
        1 => Just(Step::PostSealed { record }),
        3 => steps(),
    ]
}

/// Faults after which the hub tries again by itself.
fn passing_faults() -> impl Strategy<Value = Fault> {
    proptest::sample::select(vec![
        Fault::LostRequest,
        Fault::LostAnswer,
        Fault::HalfAnswer,
        Fault::ErrorUnsaved,
        Fault::ErrorSaved,
        Fault::Busy,
        Fault::BusyAWhile,
    ])
}

/// Something goes wrong with a record, new or shown already, and while it waits to be tried again
/// the next thing happens; then it is tried again.
fn troubles() -> impl Strategy<Value = Vec<Step>> {
    let start = (
        0..RECORDS,
        0..PLATFORMS.len(),
        prop_oneof![3 => passing_faults(), 1 => faults()],
        proptest::bool::ANY,
        15_u64..50,
    );
    start.prop_flat_map(|(record, platform, fault, is_shown, ms)| {
        changes(record).prop_map(move |change| {
            let post = Step::Post { record, mask: 7 };
            let mut story = match is_shown {
                true => vec![post, Step::Work { ms: 60 }],
                false => Vec::new(),
            };
            story.extend([
                Step::Trouble { platform, fault },
                post,
                Step::Work { ms },
                change,
                Step::Leap { ms: 300 },
                Step::Work { ms },
            ]);
            story
        })
    })
}

/// A record waits in hand while another one is stuck, and before its turn comes the next thing
/// happens.
fn jams() -> impl Strategy<Value = Vec<Step>> {
    let start = (0..RECORDS, 15_u64..50);
    start.prop_flat_map(|(record, ms)| {
        changes(record).prop_map(move |change| {
            let platform = ONE_AT_A_TIME;
            let (other, fault) = ((record + 1) % RECORDS, Fault::Stuck);
            vec![
                Step::Trouble { platform, fault },
                Step::Post {
                    record: other,
                    mask: 7,
                },
                Step::Work { ms },
                Step::Post { record, mask: 7 },
                Step::Work { ms: 180 },
                change,
                Step::LetGo { platform },
                Step::Work { ms },
            ]
        })
    })
}

pub(super) fn stories() -> impl Strategy<Value = Story> {
    let part = prop_oneof![
        8 => steps().prop_map(|step| vec![step]),
        3 => troubles(),
        1 => jams(),
    ];
    proptest::collection::vec(part, 3..16).prop_map(|parts| Story(parts.concat()))
}
