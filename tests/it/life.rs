//! The promises of the hub under random interleavings of everything that can happen.
//!
//! A story is a list of named steps: posts, corrections, withdrawals, holds, replays, pauses, lost
//! answers, wake-ups, clocks that leap, crashes. It is played on a real store with the real senders
//! against a model of three platforms; after each step the hub stands still and its promises are
//! checked, and at the end everything must come to rest with the platforms showing what the
//! records say. What breaks a promise is made as short as it gets and printed step by step.
//!
//! `PROPTEST_CASES=2000` plays more stories than the few of a usual run.

mod model;
mod platform;
mod world;

use platform::Fault;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use std::fmt;
use std::time::{Duration, Instant};
use synchub::store::{PauseMode, ReplayWay};
use world::World;

/// How long a usual run plays.
const RUN_MAX: Duration = Duration::from_secs(40);
/// Records that a story is about.
const RECORDS: usize = 2;
const PLATFORMS: [&str; 3] = ["asked", "header", "keyed"];
/// Which of them takes one record at a time.
const ONE_AT_A_TIME: usize = 2;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// The OA posts a record, or its next correction, for the platforms in the mask.
    Post { record: usize, mask: u8 },
    /// As `Post`, but a detail in it holds it.
    PostHeld { record: usize },
    /// As `Post`, but the document is no longer public.
    PostSealed { record: usize },
    /// The OA posts the newest revision once more.
    Repeat { record: usize },
    /// The OA posts the revision before the newest once more.
    PostOlder { record: usize },
    /// The OA withdraws.
    Withdraw { record: usize },
    /// An operator withdraws.
    WithdrawByHand { record: usize },
    /// An operator releases.
    Release { record: usize },
    /// Something goes wrong with the next request.
    Trouble { platform: usize, fault: Fault },
    /// What is stuck on a platform is let go.
    LetGo { platform: usize },
    /// An operator pauses a platform.
    Pause { platform: usize, mode: PauseMode },
    /// An operator resumes it.
    Resume { platform: usize },
    /// An operator sends everything on a platform again.
    Replay { platform: usize, way: ReplayWay },
    /// An operator gives up what waits or has failed.
    GiveUp { record: usize, platform: usize },
    /// An operator takes that back.
    Undo { record: usize, platform: usize },
    /// A person does at the platform what is wanted, and says so.
    DoByHand { record: usize, platform: usize },
    /// An operator puts the title in other words for a platform, or in its own again.
    Override {
        record: usize,
        platform: usize,
        own: bool,
    },
    /// A platform loses what it shows of a record.
    Lose { record: usize, platform: usize },
    /// An operator has everything on a platform looked at, and mended.
    Verify { platform: usize },
    /// A second process begins to send.
    Join,
    /// It ends.
    Part,
    /// Senders are woken up for nothing.
    WakeUp,
    /// The hub works for so long.
    Work { ms: u64 },
    /// The hub's clock leaps.
    Leap { ms: i64 },
    /// The hub is killed, with whatever it has in hand, and starts again.
    Crash,
    /// The hub ends well, and starts again.
    Restart,
}

/// What happens, step by step.
#[derive(Clone)]
struct Story(Vec<Step>);

impl fmt::Debug for Story {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            write!(formatter, "\n  {:>2}. {step:?}", number + 1)?;
        }
        Ok(())
    }
}

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
                Step::Work { ms: 120 },
                change,
                Step::LetGo { platform },
                Step::Work { ms },
            ]
        })
    })
}

fn stories() -> impl Strategy<Value = Story> {
    let part = prop_oneof![
        8 => steps().prop_map(|step| vec![step]),
        3 => troubles(),
        1 => jams(),
    ];
    proptest::collection::vec(part, 3..16).prop_map(|parts| Story(parts.concat()))
}

/// Plays a story; returns which promise was broken, and when.
fn play(world: &mut World, story: &Story) -> Result<(), String> {
    world.begin();
    for (number, step) in story.0.iter().enumerate() {
        world
            .apply(*step)
            .map_err(|problem| format!("after step {}: {problem}", number + 1))?;
    }
    world
        .finish()
        .map_err(|problem| format!("at the end: {problem}"))
}

/// What stories have found, so that it is played for ever after.
#[test]
fn what_was_found_once_stays_mended() {
    let slow_save = Step::Trouble {
        platform: 0,
        fault: Fault::SlowSave,
    };
    let post = Step::Post { record: 0, mask: 1 };
    let pause = Step::Pause {
        platform: 0,
        mode: PauseMode::Hold,
    };
    let by_hand = Step::DoByHand {
        record: 0,
        platform: 0,
    };
    let found = [
        // A leap ends the lease of what is in flight: it was made twice.
        vec![
            slow_save,
            post,
            Step::Work { ms: 20 },
            Step::Leap { ms: 100_000 },
            Step::Work { ms: 20 },
        ],
        // What a look-up found was forgotten when the take-down was refused: never taken down.
        vec![
            Step::Trouble {
                platform: 1,
                fault: Fault::LostAnswer,
            },
            Step::Trouble {
                platform: 1,
                fault: Fault::Refused,
            },
            Step::Post { record: 0, mask: 2 },
            Step::Work { ms: 200 },
            Step::Withdraw { record: 0 },
            Step::Leap { ms: 8_000 },
            Step::Work { ms: 200 },
        ],
        // A take-down that was given up was taken for done by the next version.
        vec![
            Step::Post { record: 0, mask: 7 },
            Step::Work { ms: 200 },
            Step::Trouble {
                platform: 2,
                fault: Fault::Refused,
            },
            Step::Withdraw { record: 0 },
            Step::Work { ms: 200 },
            Step::GiveUp {
                record: 0,
                platform: 2,
            },
            Step::Post { record: 0, mask: 3 },
            Step::Work { ms: 200 },
        ],
        // What a person had made before the hub ever tried was never taken down.
        vec![
            pause,
            Step::Post { record: 0, mask: 1 },
            by_hand,
            Step::Withdraw { record: 0 },
            Step::Resume { platform: 0 },
            Step::Work { ms: 60 },
        ],
        // Nor was it when they took back that they had said so.
        vec![
            pause,
            Step::Post { record: 0, mask: 1 },
            by_hand,
            Step::Undo {
                record: 0,
                platform: 0,
            },
            Step::Withdraw { record: 0 },
            Step::Resume { platform: 0 },
            Step::Work { ms: 60 },
        ],
        // What was there in the record's own words was taken for what it was put in.
        vec![
            Step::Trouble {
                platform: 0,
                fault: Fault::ErrorSaved,
            },
            Step::Post { record: 0, mask: 1 },
            Step::Work { ms: 20 },
            Step::Override {
                record: 0,
                platform: 0,
                own: false,
            },
            Step::Leap { ms: 300 },
            Step::Work { ms: 60 },
        ],
        // Held while it waited in hand for its turn, it was sent all the same.
        vec![
            Step::Trouble {
                platform: ONE_AT_A_TIME,
                fault: Fault::Stuck,
            },
            Step::Post { record: 1, mask: 4 },
            Step::Work { ms: 20 },
            Step::Post { record: 0, mask: 4 },
            Step::Work { ms: 120 },
            Step::PostHeld { record: 0 },
            Step::LetGo {
                platform: ONE_AT_A_TIME,
            },
            Step::Work { ms: 40 },
        ],
    ];
    let mut world = World::new();
    for story in found.map(Story) {
        if let Err(problem) = play(&mut world, &story) {
            panic!("a promise is broken {problem}\nby this story:{story:?}");
        }
    }
}

#[test]
fn promises_hold_whatever_happens() {
    let mut world = World::new();
    let asked_for = std::env::var("PROPTEST_CASES").is_ok();
    let config = Config {
        cases: match asked_for {
            true => Config::default().cases,
            false => 60,
        },
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let began = Instant::now();
    let mut failed = false;
    let mut played = 0;
    let world = std::cell::RefCell::new(&mut world);
    let counted = std::cell::RefCell::new((&mut played, &mut failed));
    let result = TestRunner::new(config).run(&stories(), |story| {
        let mut counted = counted.borrow_mut();
        // A slow machine plays fewer stories; what has failed is made short in any case.
        if !asked_for && !*counted.1 && began.elapsed() > RUN_MAX {
            return Ok(());
        }
        *counted.0 += 1;
        play(&mut world.borrow_mut(), &story).map_err(|problem| {
            *counted.1 = true;
            TestCaseError::fail(problem)
        })
    });
    match result {
        Ok(()) => {
            assert!(played >= 5, "only {played} stories were played");
        }
        Err(TestError::Fail(problem, story)) => {
            panic!("a promise is broken {problem}\nby this story:{story:?}")
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
