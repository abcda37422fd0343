//! Random stories of a platform that moves: whatever happens before, during and after the
//! redirect, in the end each record is shown in its newest version where it is shown, and what is
//! withdrawn nowhere.
//!
//! The two addresses and their senders are a model; what the hub decides is the real thing.

use super::*;
use crate::store::{NewReplay, Redirect, RedirectStep, ReplaySelection, ReplayWay};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::HashMap;

const NEW: &str = "portal";
const OLD: &str = "portal@1";
const RECORDS: usize = 3;
const LEASE_MS: i64 = 60_000;
/// Rounds until everything must be at rest.
const ROUNDS_MAX: usize = 20;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The OA posts a record, or its next correction.
    Post(usize),
    /// As `Post`, but a detail in it holds it.
    PostHeld(usize),
    Withdraw(usize),
    Release(usize),
    /// The sender of one of the addresses takes what is due.
    Work {
        old: bool,
        ends: Ends,
    },
    Redirect,
    /// An operator sends again what failed at one of the addresses.
    Replay {
        old: bool,
    },
    /// An operator brings what the old address has to the new one.
    Move,
}

/// How a sender's work ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends {
    Well,
    /// The platform acted and its answer was lost.
    Lost,
    /// The request was lost.
    LostBefore,
    Refused,
    /// The platform acted and the sender vanished.
    Vanished,
}

/// What the world says of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    Unknown,
    Shown(i64),
    Held,
    Gone,
}

fn steps() -> impl Strategy<Value = Step> {
    let record = 0..RECORDS;
    let ends = proptest::sample::select(vec![
        Ends::Well,
        Ends::Well,
        Ends::Well,
        Ends::Lost,
        Ends::LostBefore,
        Ends::Refused,
        Ends::Vanished,
    ]);
    prop_oneof![
        5 => record.clone().prop_map(Step::Post),
        1 => record.clone().prop_map(Step::PostHeld),
        2 => record.clone().prop_map(Step::Withdraw),
        1 => record.prop_map(Step::Release),
        8 => (any::<bool>(), ends).prop_map(|(old, ends)| Step::Work { old, ends }),
        1 => Just(Step::Redirect),
        1 => any::<bool>().prop_map(|old| Step::Replay { old }),
        1 => Just(Step::Move),
    ]
}

struct World {
    store: Fresh,
    now: i64,
    redirected: bool,
    revisions: [i64; RECORDS],
    ids: [Option<RecordId>; RECORDS],
    wishes: [Wish; RECORDS],
    /// What each address shows: record → version.
    old: HashMap<RecordId, i64>,
    new: HashMap<RecordId, i64>,
}

impl World {
    async fn begin() -> Self {
        Self {
            store: Fresh::open().await,
            now: later(),
            redirected: false,
            revisions: [0; RECORDS],
            ids: [const { None }; RECORDS],
            wishes: [Wish::Unknown; RECORDS],
            old: HashMap::new(),
            new: HashMap::new(),
        }
    }

    async fn apply(&mut self, step: Step) -> Result<(), String> {
        self.now += 2 * LEASE_MS;
        match step {
            Step::Post(record) => self.post(record, Vec::new()).await,
            Step::PostHeld(record) => {
                let holds = vec![hold(HoldCode::PersonalData)];
                self.post(record, holds).await;
            }
            Step::Withdraw(record) if self.ids[record].is_some() => {
                self.revisions[record] += 1;
                let new = withdrawal(&record.to_string(), self.revisions[record]);
                self.store.submit(new).await.unwrap();
                self.wishes[record] = Wish::Gone;
            }
            Step::Release(record) => self.release(record).await,
            Step::Work { old, ends } => {
                self.work(old, ends).await?;
            }
            Step::Redirect if !self.redirected => self.redirect().await,
            Step::Replay { old } => {
                let lane = self.lane(old).unwrap_or(NEW);
                self.replay(lane, ReplayWay::Current, &[DeliveryState::Failed])
                    .await;
            }
            Step::Move if self.redirected => self.bring_over().await,
            Step::Withdraw(_) | Step::Redirect | Step::Move => {}
        }
        Ok(())
    }

    async fn post(&mut self, record: usize, holds: Vec<Hold>) {
        self.revisions[record] += 1;
        let is_held = !holds.is_empty();
        let new = NewSubmission {
            platforms: vec![NEW.to_owned()],
            holds,
            ..sample(&record.to_string(), self.revisions[record])
        };
        let head = change(&self.store, new).await;
        self.wishes[record] = match is_held {
            true => Wish::Held,
            false => Wish::Shown(head.version),
        };
        self.ids[record] = Some(head.record_id);
    }

    async fn release(&mut self, record: usize) {
        if self.wishes[record] == Wish::Held {
            let id = self.ids[record].clone().expect("posted");
            let done = self.store.release_record(&id, "已核", "op").await.unwrap();
            let ReleaseOutcome::Released(head) = done else {
                panic!("it was held: {done:?}");
            };
            self.wishes[record] = Wish::Shown(head.version);
        }
    }

    /// Before the redirect, only the old process sends, and the platform has its plain name.
    fn lane(&self, old: bool) -> Option<&'static str> {
        match (self.redirected, old) {
            (false, true) => Some(NEW),
            (false, false) => None,
            (true, true) => Some(OLD),
            (true, false) => Some(NEW),
        }
    }

    async fn redirect(&mut self) {
        let redirect = Redirect {
            platform: NEW.to_owned(),
            previous: OLD.to_owned(),
            from: 1,
            to: 2,
        };
        loop {
            let step = self.store.try_step(&redirect, ("迁移", "op"), 1).await;
            match step.unwrap() {
                RedirectStep::Moved(_) => {}
                RedirectStep::Done(_) => break,
                RedirectStep::Refused(who) => panic!("{who:?}"),
            }
        }
        self.redirected = true;
    }

    async fn replay(&mut self, lane: &str, way: ReplayWay, states: &[DeliveryState]) {
        let selection = ReplaySelection {
            platform: Some(lane.to_owned()),
            states: states.to_vec(),
            ..ReplaySelection::default()
        };
        let seen = self.store.preview_replay(&selection, way).await.unwrap();
        let new = NewReplay {
            selection,
            way,
            expected_hash: Some(seen.hash),
            reason: String::new(),
            actor: "op".to_owned(),
            rate_per_s: None,
            ramp: Vec::new(),
            stop_percent: 100,
        };
        self.store.freeze_replay(&new).await.unwrap();
        self.drive().await;
    }

    async fn bring_over(&mut self) {
        let states = [
            DeliveryState::Delivered,
            DeliveryState::Confirmed,
            DeliveryState::Failed,
            DeliveryState::Retrying,
        ];
        self.replay(OLD, ReplayWay::Move, &states).await;
    }

    async fn drive(&mut self) {
        for id in self.store.live_replays().await.unwrap() {
            self.store.step_replay(&id, self.now, 0).await.unwrap();
        }
    }

    /// Lets a sender take what is due; returns how much that was.
    async fn work(&mut self, old: bool, ends: Ends) -> Result<usize, String> {
        let Some(lane) = self.lane(old) else {
            return Ok(0);
        };
        let until = self.now + LEASE_MS;
        let claims = self.store.claim(lane, None, 10, "me", self.now, until);
        let claims = claims.await.unwrap();
        let count = claims.len();
        for claim in claims {
            let site = if old { &mut self.old } else { &mut self.new };
            let outcome = act(site, &claim, ends, self.now)?;
            if let Some(outcome) = outcome {
                settle(&self.store, &claim, outcome, self.now).await;
            }
        }
        self.drive().await;
        Ok(count)
    }

    /// Lets everything come to rest, well from now on.
    async fn rest(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            self.now += 2 * LEASE_MS;
            let mut count = 0;
            for old in [true, false] {
                let lane = self.lane(old).expect("redirected");
                self.replay(lane, ReplayWay::Current, &[DeliveryState::Failed])
                    .await;
                count += self.work(old, Ends::Well).await?;
            }
            if count == 0 {
                return Ok(());
            }
        }
        Err("it does not come to rest".to_owned())
    }

    async fn end(&mut self) -> Result<(), String> {
        if !self.redirected {
            self.redirect().await;
        }
        for record in 0..RECORDS {
            self.release(record).await;
        }
        self.rest().await?;
        self.check(false)?;
        self.bring_over().await;
        self.rest().await?;
        self.check(true)
    }

    fn check(&self, brought_over: bool) -> Result<(), String> {
        for (id, wish) in self.ids.iter().zip(self.wishes) {
            let Some(id) = id else { continue };
            let shown = [self.old.get(id), self.new.get(id)];
            let right = match wish {
                Wish::Gone => shown == [None, None],
                Wish::Shown(version) => {
                    let newest = shown.into_iter().flatten().all(|it| *it == version);
                    let there = shown.iter().any(Option::is_some);
                    newest && there && (!brought_over || shown[1].is_some())
                }
                Wish::Unknown | Wish::Held => false,
            };
            if !right {
                return Err(format!("{id}: {wish:?}, but old and new show {shown:?}"));
            }
        }
        Ok(())
    }
}

/// Carries out `claim` at an address, and returns what its sender says; `None` when it vanishes.
fn act(
    site: &mut HashMap<RecordId, i64>,
    claim: &Claim,
    ends: Ends,
    now: i64,
) -> Result<Option<Settled>, String> {
    let is_unknown = claim.shown_version.is_none() && claim.remote_id.is_none();
    if claim.wanted == Wanted::Gone && is_unknown && !claim.in_doubt {
        return match site.get(&claim.record_id) {
            None => Ok(Some(Settled::Skipped)),
            Some(version) => Err(format!("nobody knows that version {version} is there")),
        };
    }
    if claim.was_delivered {
        return Ok(Some(Settled::StillUnderReview { check_at: None }));
    }
    if matches!(ends, Ends::Well | Ends::Lost | Ends::Vanished) {
        match claim.wanted {
            Wanted::Shown => {
                let before = site.insert(claim.record_id.clone(), claim.version);
                if before.is_some_and(|it| it > claim.version) {
                    return Err(format!("version {} overtook {before:?}", claim.version));
                }
            }
            Wanted::Gone => {
                site.remove(&claim.record_id);
            }
        }
    }
    Ok(match (ends, claim.wanted) {
        (Ends::Well, Wanted::Shown) => Some(shown("r")),
        (Ends::Well, Wanted::Gone) => Some(Settled::Gone {
            forget_remote: true,
        }),
        (Ends::Lost | Ends::LostBefore, _) => Some(Settled::Retry {
            due_at: now + 1,
            counts: true,
            in_doubt: true,
        }),
        (Ends::Refused, _) => Some(Settled::Failed {
            stage: "send".to_owned(),
            class: "reject".to_owned(),
            code: String::new(),
            text: String::new(),
            group: "g".to_owned(),
            in_doubt: claim.in_doubt,
        }),
        (Ends::Vanished, _) => None,
    })
}

#[test]
fn a_platform_may_move_in_the_middle_of_anything() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").map_or(40, |it| it.parse().unwrap()),
        failure_persistence: None,
        ..Config::default()
    };
    let stories = proptest::collection::vec(steps(), 4..40);
    let mut runner = TestRunner::new(config);
    let played = runner.run(&stories, |story| {
        runtime.block_on(async {
            let mut world = World::begin().await;
            for step in story {
                world.apply(step).await.map_err(TestCaseError::fail)?;
            }
            world.end().await.map_err(TestCaseError::fail)
        })
    });
    if let Err(broken) = played {
        panic!("{broken}");
    }
}
