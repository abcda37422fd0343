//! A platform moves: what is divided and how, what follows the records, what stands in the way of
//! the end.

use super::*;
use crate::store::{
    FreezeOutcome, NewReplay, Redirect, RedirectStep, ReplaySelection, ReplayState, ReplaySwitch,
    ReplayWay,
};
use std::time::Duration;

const OLD: &str = "portal@1";
const WAIT: Duration = Duration::from_secs(5);

fn redirect() -> Redirect {
    Redirect {
        platform: "portal".to_owned(),
        previous: OLD.to_owned(),
        from: 1,
        to: 2,
    }
}

/// Submits for the portal alone.
async fn post(store: &Store, source_id: &str, revision: i64) -> RecordHead {
    let new = NewSubmission {
        platforms: vec!["portal".to_owned()],
        ..sample(source_id, revision)
    };
    change(store, new).await
}

async fn send(store: &Store, platform: &str, outcome: Settled) -> DeliveryId {
    let claim = claim_one(store, platform, later()).await;
    assert!(settle(store, &claim, outcome, later()).await);
    claim.delivery
}

async fn redirected(store: &Store) {
    let done = store.step_redirect(&redirect(), "迁移", "op").await;
    assert!(matches!(done, Ok(RedirectStep::Done(_))), "{done:?}");
}

/// Returns platform and state of each delivery of a record.
async fn places(store: &Store, record: &RecordId) -> Vec<(String, &'static str)> {
    let view = store.record(record).await.unwrap().unwrap();
    let mut places: Vec<_> = view
        .deliveries
        .into_iter()
        .map(|it| (it.platform, it.state.as_str()))
        .collect();
    places.sort();
    places
}

fn at(places: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    let owned = places
        .iter()
        .map(|(place, state)| ((*place).to_owned(), *state));
    owned.collect()
}

#[tokio::test]
async fn what_was_begun_is_moved_in_batches_once_no_process_has_other_versions() {
    let store = Fresh::open().await;
    let mut begun = Vec::new();
    for number in 0..5 {
        let head = post(&store, &format!("s{number}"), 1).await;
        send(&store, "portal", failed("g")).await;
        begun.push(head.record_id);
    }
    let fresh = post(&store, "fresh", 1).await.record_id;
    let told = r#"{"portal": 1}"#;
    store.beat("old", told, later(), WAIT).await.unwrap();
    let seen = store.count_redirect(&redirect()).await.unwrap();
    assert_eq!((seen.stays["failed"], seen.goes_over), (5, 1));
    assert_eq!(seen.outdated.len(), 1);
    let refused = store.try_step(&redirect(), ("迁移", "op"), 2).await;
    assert!(matches!(refused, Ok(RedirectStep::Refused(who)) if who == seen.outdated));
    assert_eq!(places(&store, &begun[0]).await, at(&[("portal", "failed")]));

    store.leave("old", 0, WAIT).await.unwrap();
    let told = r#"{"portal": 2, "portal@1": 1}"#;
    store
        .announce_alone("new", told, later(), WAIT)
        .await
        .unwrap();
    let mut steps = Vec::new();
    for _ in 0..3 {
        let step = store.try_step(&redirect(), ("迁移", "op"), 2).await;
        steps.push(step.unwrap());
        let switch = store.standing("portal").await.unwrap().switch;
        let version = switch.and_then(|it| it.version);
        assert_eq!(version.is_some(), steps.len() == 3, "the last step only");
    }
    use RedirectStep::{Done, Moved};
    assert_eq!(steps, [Moved(2), Moved(2), Done(1)]);
    for record in &begun {
        assert_eq!(places(&store, record).await, at(&[(OLD, "failed")]));
    }
    assert_eq!(places(&store, &fresh).await, at(&[("portal", "queued")]));
    let acts = store.acts(9).await.unwrap();
    assert_eq!(acts.iter().filter(|it| it.verb == "redirect").count(), 1);
}

#[tokio::test]
async fn what_is_shown_before_follows_its_record_and_nothing_begins_there_anew() {
    let store = Fresh::open().await;
    let kept = post(&store, "kept", 1).await.record_id;
    send(&store, "portal", shown("k")).await;
    let gone = post(&store, "gone", 1).await.record_id;
    send(&store, "portal", shown("g")).await;
    redirected(&store).await;

    post(&store, "kept", 2).await;
    assert_eq!(
        places(&store, &kept).await,
        at(&[("portal", "queued"), (OLD, "queued")])
    );
    let mut claim = claim_one(&store, OLD, later()).await;
    assert_eq!((claim.remote_id.as_deref(), claim.version), (Some("k"), 2));
    settle(&store, &claim, shown("k"), later()).await;
    claim = claim_one(&store, "portal", later()).await;
    let made_anew = (claim.remote_id.is_none(), claim.in_doubt);
    assert_eq!(made_anew, (true, false));
    settle(&store, &claim, shown("n"), later()).await;

    change(&store, withdrawal("gone", 2)).await;
    assert_eq!(places(&store, &gone).await, at(&[(OLD, "queued")]));
    let taken_down = Settled::Gone {
        forget_remote: false,
    };
    send(&store, OLD, taken_down).await;
    post(&store, "gone", 3).await;
    assert_eq!(
        places(&store, &gone).await,
        at(&[("portal", "queued"), (OLD, "withdrawn")])
    );
    // A correction that leaves the platform takes it down on both.
    let mut elsewhere = sample("kept", 3);
    elsewhere.platforms = vec!["gazette".to_owned()];
    change(&store, elsewhere).await;
    let view = store.record(&kept).await.unwrap().unwrap();
    for delivery in view.deliveries.iter().filter(|it| it.platform != "gazette") {
        assert_eq!(delivery.wanted, Wanted::Gone, "{delivery:?}");
    }
}

/// Freezes a move of what fits, and takes its first step.
async fn moved(store: &Store, states: &[DeliveryState]) -> crate::store::Replay {
    let new = NewReplay {
        selection: ReplaySelection {
            platform: Some(OLD.to_owned()),
            states: states.to_vec(),
            ..ReplaySelection::default()
        },
        way: ReplayWay::Move,
        expected_hash: None,
        reason: "搬到新地址".to_owned(),
        actor: "op".to_owned(),
        rate_per_s: None,
        ramp: Vec::new(),
        stop_percent: 100,
    };
    let FreezeOutcome::Frozen(replay) = store.freeze_replay(&new).await.unwrap() else {
        panic!("something fits");
    };
    store.step_replay(&replay.id, later(), 0).await.unwrap();
    *replay
}

#[tokio::test]
async fn a_move_opens_what_is_only_there_and_what_failed_there_is_tried_no_more() {
    let store = Fresh::open().await;
    let kept = post(&store, "kept", 1).await.record_id;
    send(&store, "portal", shown("k")).await;
    let failing = post(&store, "failing", 1).await.record_id;
    send(&store, "portal", failed("g")).await;
    // The answer was lost: it may be there, and what is there must follow its record.
    let doubtful = post(&store, "doubtful", 1).await.record_id;
    let lost = Settled::Retry {
        due_at: i64::MAX,
        counts: true,
        in_doubt: true,
    };
    send(&store, "portal", lost).await;
    let both = post(&store, "both", 1).await.record_id;
    send(&store, "portal", shown("b")).await;
    redirected(&store).await;
    post(&store, "both", 2).await;
    send(&store, OLD, shown("b")).await;
    send(&store, "portal", shown("b2")).await;

    let states = [
        DeliveryState::Delivered,
        DeliveryState::Failed,
        DeliveryState::Retrying,
    ];
    let replay = moved(&store, &states).await;
    assert_eq!(replay.count, 4);
    assert_eq!(
        places(&store, &doubtful).await,
        at(&[("portal", "queued"), (OLD, "retrying")])
    );
    assert_eq!(
        places(&store, &kept).await,
        at(&[("portal", "queued"), (OLD, "delivered")])
    );
    assert_eq!(
        places(&store, &failing).await,
        at(&[("portal", "queued"), (OLD, "skipped")])
    );
    assert_eq!(
        places(&store, &both).await,
        at(&[("portal", "delivered"), (OLD, "delivered")])
    );
    // A pause keeps what was not begun; what is opened is opened.
    let paused = store
        .switch_replay(&replay.id, ReplaySwitch::Pause, "先等等", "op")
        .await
        .unwrap();
    let (paused, _) = paused.expect("known");
    assert_eq!((paused.state, paused.started), (ReplayState::Paused, 4));
    assert_eq!(
        places(&store, &kept).await,
        at(&[("portal", "queued"), (OLD, "delivered")])
    );
    let resume = ReplaySwitch::Resume { rate_per_s: None };
    store
        .switch_replay(&replay.id, resume, "继续", "op")
        .await
        .unwrap();
    let claims = store.claim("portal", None, 9, "me", later(), later() + 1_000);
    for claim in claims.await.unwrap() {
        settle(&store, &claim, shown("n"), later()).await;
    }
    store.step_replay(&replay.id, later(), 0).await.unwrap();
    store.step_replay(&replay.id, later(), 0).await.unwrap();
    let done = store.replay(&replay.id).await.unwrap().unwrap();
    assert_eq!(
        (done.state, done.way, done.outcomes.delivered),
        (ReplayState::Done, ReplayWay::Move, 4)
    );
    let items = store.replay_items(&replay.id, None, 9).await.unwrap();
    assert!(items.iter().all(|it| it.platform == "portal"));
    // A correction of what was given up there goes to the new version only.
    post(&store, "failing", 2).await;
    assert_eq!(
        places(&store, &failing).await,
        at(&[("portal", "queued"), (OLD, "skipped")])
    );
}

#[tokio::test]
async fn a_version_is_retired_when_nothing_is_lost_by_it_and_is_left_alone_then() {
    let store = Fresh::open().await;
    let kept = post(&store, "kept", 1).await.record_id;
    send(&store, "portal", shown("k")).await;
    post(&store, "gone", 1).await;
    send(&store, "portal", shown("g")).await;
    redirected(&store).await;
    change(&store, withdrawal("gone", 2)).await;
    let (left, done) = store.retire(OLD, "关闭", "op").await.unwrap();
    assert_eq!(
        (left.only_there, left.to_take_down, left.also_shown, done),
        (1, 1, 0, false)
    );
    let taken_down = Settled::Gone {
        forget_remote: false,
    };
    send(&store, OLD, taken_down).await;
    moved(&store, &[DeliveryState::Delivered]).await;
    let (left, done) = store.retire(OLD, "关闭", "op").await.unwrap();
    assert_eq!((left.only_there, done), (1, false), "it is only on its way");
    send(&store, "portal", shown("n")).await;
    let (left, done) = store.retire(OLD, "关闭", "op").await.unwrap();
    assert_eq!((left.only_there, left.also_shown, done), (0, 1, true));
    assert_eq!(store.let_go(OLD).await.unwrap(), 1);
    assert_eq!(store.let_go(OLD).await.unwrap(), 0);
    for revision in [2, 3] {
        post(&store, "kept", revision).await;
        assert_eq!(
            places(&store, &kept).await,
            at(&[("portal", "queued"), (OLD, "withdrawn")])
        );
    }
    change(&store, withdrawal("kept", 4)).await;
    assert_eq!(
        places(&store, &kept).await,
        at(&[("portal", "queued"), (OLD, "withdrawn")])
    );
    let acts = store.acts(9).await.unwrap();
    assert_eq!(acts.iter().filter(|it| it.verb == "retire").count(), 1);
}
