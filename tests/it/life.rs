//! The promises of the hub under random interleavings of everything that can happen.
//!
//! A story is a list of named steps: posts, corrections, withdrawals, holds, replays, pauses, work
//! by hand, other words for one platform, lost answers and lost articles, looks that mend them,
//! wake-ups, clocks that leap, a second process, crashes. It is played on a real store with the
//! real senders against a model of three platforms; after each step the hub stands still and its
//! promises are checked, and at the end everything must come to rest with the platforms showing
//! what the records say. What breaks a promise is made as short as it gets and printed step by step.
//!
//! `PROPTEST_CASES=2000` plays more stories than the few of a usual run.

mod found;
mod model;
mod platform;
mod stories;
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
    let result = TestRunner::new(config).run(&stories::stories(), |story| {
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
