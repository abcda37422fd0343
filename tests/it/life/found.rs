//! What stories have found, so that it is played for ever after.

use super::platform::Fault;
use super::world::World;
use super::{ONE_AT_A_TIME, Step, Story, play};
use synchub::store::PauseMode;

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
            Step::Work { ms: 180 },
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
