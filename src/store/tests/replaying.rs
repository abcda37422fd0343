//! Replays: what was shown is what is sent, step by step, once.

use super::*;
use crate::clock::now_ms;

/// Makes `count` records whose deliveries to the portal have failed in group `g`.
async fn failures(store: &Store, count: usize) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for index in 0..count {
        let head = change(store, sample(&format!("e{index:03}"), 1)).await;
        let delivery = head.deliveries.iter().find(|it| it.platform == "portal");
        ids.push(delivery.unwrap().id.clone());
    }
    let now = later();
    for claim in claim_all(store, now).await {
        settle(store, &claim, failed("g"), now).await;
    }
    ids
}

async fn claim_all(store: &Store, now: i64) -> Vec<Claim> {
    store
        .claim("portal", None, 1_000, "sender", now, now + 1_000)
        .await
        .unwrap()
}

fn of_group() -> NewReplay {
    NewReplay {
        selection: ReplaySelection {
            group: Some("g".to_owned()),
            ..ReplaySelection::default()
        },
        way: ReplayWay::Current,
        expected_hash: None,
        reason: "已修".to_owned(),
        actor: "op".to_owned(),
        rate_per_s: None,
        ramp: Vec::new(),
        stop_percent: 50,
    }
}

async fn frozen(store: &Store, new: &NewReplay) -> Replay {
    match store.freeze_replay(new).await.unwrap() {
        FreezeOutcome::Frozen(replay) => *replay,
        other => panic!("frozen, not {other:?}"),
    }
}

/// Takes a step at `now`, and returns how many it made due.
async fn step(store: &Store, id: &ReplayId, now: i64) -> usize {
    let step = store.step_replay(id, now, 0).await.unwrap();
    step.map_or(0, |it| it.due.values().map(Vec::len).sum())
}

async fn shown_now(store: &Store, id: &ReplayId) -> Replay {
    store.replay(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_the_dry_run_showed_is_what_is_sent_and_pressing_twice_sends_nothing_twice() {
    let store = Fresh::open().await;
    let ids = failures(&store, 3).await;
    let seen = store
        .preview_replay(&of_group().selection, ReplayWay::Current)
        .await
        .unwrap();
    let shown: Vec<_> = seen
        .deliveries
        .iter()
        .map(|it| it.delivery_id.clone())
        .collect();
    assert_eq!(shown, ids);
    let pressed = NewReplay {
        expected_hash: Some(seen.hash.clone()),
        ..of_group()
    };
    // Both presses at the same moment, by two persons.
    let (one, other) = tokio::join!(store.freeze_replay(&pressed), store.freeze_replay(&pressed));
    let (mut frozen, mut repeated) = (Vec::new(), Vec::new());
    for outcome in [one.unwrap(), other.unwrap()] {
        match outcome {
            FreezeOutcome::Frozen(replay) => frozen.push(*replay),
            FreezeOutcome::Repeated(replay) => repeated.push(replay.id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((frozen.len(), repeated.len()), (1, 1));
    let id = frozen.remove(0).id;
    assert_eq!(repeated, std::slice::from_ref(&id));
    let now = later();
    assert_eq!(step(&store, &id, now).await, 3);
    let sent: Vec<_> = claim_all(&store, now).await;
    let mut sent_ids: Vec<_> = sent.iter().map(|it| it.delivery.clone()).collect();
    sent_ids.sort();
    assert_eq!(sent_ids, ids, "the set shown is the set acted on");
    settle(&store, &sent[0], super::shown("r"), now).await;
    settle(&store, &sent[1], super::shown("r"), now).await;
    settle(&store, &sent[2], failed("h"), now).await;
    step(&store, &id, now + 1).await;
    let replay = shown_now(&store, &id).await;
    assert_eq!((replay.outcomes.delivered, replay.outcomes.failed), (2, 1));
    assert_eq!(
        (replay.state, replay.failed_again[0].group.as_str()),
        (ReplayState::Done, "h")
    );
    assert_eq!(replay.result.unwrap()["delivered"], 2);
    // Pressed once more after the end, with what was seen then.
    let again = store.freeze_replay(&pressed).await.unwrap();
    assert!(matches!(again, FreezeOutcome::Repeated(same) if same.id == id));
    let items = store.replay_items(&id, None, 10).await.unwrap();
    let mut listed: Vec<_> = items.into_iter().map(|it| it.delivery_id).collect();
    listed.sort();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn a_selection_that_changed_since_it_was_shown_is_refused() {
    let store = Fresh::open().await;
    failures(&store, 2).await;
    let seen = store
        .preview_replay(&of_group().selection, ReplayWay::Current)
        .await
        .unwrap();
    let pressed = NewReplay {
        expected_hash: Some(seen.hash.clone()),
        ..of_group()
    };
    // One of them is corrected meanwhile.
    change(&store, sample("e000", 2)).await;
    let outcome = store.freeze_replay(&pressed).await.unwrap();
    assert!(
        matches!(&outcome, FreezeOutcome::Changed { count: 1, hash } if *hash != seen.hash),
        "{outcome:?}"
    );
    assert!(
        store.list_replays(9).await.unwrap().is_empty(),
        "nothing happened"
    );
    let nothing = NewReplay {
        selection: ReplaySelection {
            group: Some("none".to_owned()),
            ..ReplaySelection::default()
        },
        ..of_group()
    };
    assert_eq!(
        store.freeze_replay(&nothing).await.unwrap(),
        FreezeOutcome::Empty
    );
}

#[tokio::test]
async fn every_condition_narrows_and_all_combine() {
    let store = Fresh::open().await;
    let ids = failures(&store, 3).await;
    let failed_at = store.delivery(&ids[0]).await.unwrap().unwrap().updated_at;
    let record = store.delivery(&ids[0]).await.unwrap().unwrap().record_id;
    let text = |word: &str| Some(word.to_owned());
    let all = ReplaySelection {
        group: text("g"),
        platform: text("portal"),
        unit: text("11440200006998012A"),
        area: text("A2"),
        states: vec![DeliveryState::Failed, DeliveryState::Retrying],
        from: Some(failed_at),
        to: Some(failed_at + 1),
        ..ReplaySelection::default()
    };
    let count = |selection: ReplaySelection| {
        let store = store.store.clone();
        async move {
            let found = store.preview_replay(&selection, ReplayWay::Current).await;
            found.unwrap().deliveries.len()
        }
    };
    assert_eq!(count(all.clone()).await, 3);
    let one = ReplaySelection {
        deliveries: ids[1..].to_vec(),
        ..all.clone()
    };
    assert_eq!(count(one).await, 2);
    for (what, narrowed) in [
        (
            "group",
            ReplaySelection {
                group: text("h"),
                ..all.clone()
            },
        ),
        (
            "platform",
            ReplaySelection {
                platform: text("gazette"),
                ..all.clone()
            },
        ),
        (
            "unit",
            ReplaySelection {
                unit: text("x"),
                ..all.clone()
            },
        ),
        (
            "area",
            ReplaySelection {
                area: text("B1"),
                ..all.clone()
            },
        ),
        (
            "state",
            ReplaySelection {
                states: vec![DeliveryState::Confirmed],
                ..all.clone()
            },
        ),
        (
            "from",
            ReplaySelection {
                from: Some(failed_at + 1),
                ..all.clone()
            },
        ),
        (
            "to",
            ReplaySelection {
                to: Some(failed_at),
                ..all.clone()
            },
        ),
    ] {
        assert_eq!(count(narrowed).await, 0, "{what}");
    }
    let of_record = ReplaySelection {
        record_id: Some(record),
        ..all
    };
    assert_eq!(count(of_record).await, 1);
}

#[tokio::test]
async fn a_ramp_stops_when_its_first_stage_fails_and_goes_on_when_a_person_says_so() {
    let store = Fresh::open().await;
    failures(&store, 12).await;
    let ramped = NewReplay {
        ramp: vec![1, 10],
        stop_percent: 20,
        ..of_group()
    };
    let id = frozen(&store, &ramped).await.id;
    let now = later();
    assert_eq!(step(&store, &id, now).await, 1);
    assert_eq!(
        step(&store, &id, now + 1).await,
        0,
        "the first has no outcome yet"
    );
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, failed("g"), now).await;
    assert_eq!(step(&store, &id, now + 2).await, 0);
    let stopped = shown_now(&store, &id).await;
    assert_eq!(stopped.state, ReplayState::Stopped);
    assert!(stopped.state_reason.unwrap().contains("20%"));
    assert_eq!((stopped.outcomes.failed, stopped.outcomes.waiting), (1, 11));
    let resume = ReplaySwitch::Resume { rate_per_s: None };
    let (_, changed) = store
        .switch_replay(&id, resume, "再试", "op")
        .await
        .unwrap()
        .unwrap();
    assert!(changed);
    assert_eq!(step(&store, &id, now + 3).await, 10);
    for claim in claim_all(&store, now + 3).await {
        settle(&store, &claim, super::shown("r"), now + 3).await;
    }
    assert_eq!(step(&store, &id, now + 4).await, 1, "then the rest");
    let mut verbs: Vec<String> = store
        .acts(9)
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.verb)
        .collect();
    verbs.sort();
    assert_eq!(verbs, ["replay", "replay_stopped", "resume_replay"]);
}

#[tokio::test]
async fn a_paused_replay_takes_back_what_was_not_tried_and_a_cancelled_one_gives_it_up() {
    let store = Fresh::open().await;
    let ids = failures(&store, 3).await;
    let before = store.delivery(&ids[2]).await.unwrap().unwrap();
    let id = frozen(&store, &of_group()).await.id;
    let now = later();
    assert_eq!(step(&store, &id, now).await, 3);
    let claim = store
        .claim("portal", Some(&ids[..1]), 1, "sender", now, now + 1_000)
        .await
        .unwrap()
        .remove(0);
    let (paused, _) = store
        .switch_replay(&id, ReplaySwitch::Pause, "等一等", "op")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((paused.state, paused.started), (ReplayState::Paused, 1));
    assert_eq!((paused.outcomes.sending, paused.outcomes.waiting), (1, 2));
    assert_eq!(
        store.delivery(&ids[2]).await.unwrap().unwrap(),
        before,
        "as it was"
    );
    assert_eq!(step(&store, &id, now + 1).await, 0);
    assert!(
        matches!(
            store.freeze_replay(&of_group()).await.unwrap(),
            FreezeOutcome::Empty,
        ),
        "in one replay at a time"
    );
    let resume = ReplaySwitch::Resume {
        rate_per_s: Some(1),
    };
    store
        .switch_replay(&id, resume, "继续", "op")
        .await
        .unwrap();
    let resumed_at = now_ms();
    assert_eq!(
        step(&store, &id, resumed_at + 1_100).await,
        1,
        "at the new rate"
    );
    let (cancelled, _) = store
        .switch_replay(&id, ReplaySwitch::Cancel, "够了", "op")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (cancelled.outcomes.cancelled, cancelled.outcomes.sending),
        (2, 1)
    );
    assert_eq!(
        store.live_replays().await.unwrap(),
        std::slice::from_ref(&id),
        "one is on its way"
    );
    settle(&store, &claim, super::shown("r"), now + 5).await;
    step(&store, &id, now + 9_000).await;
    let end = shown_now(&store, &id).await;
    assert_eq!(
        (end.state, end.outcomes.delivered),
        (ReplayState::Cancelled, 1)
    );
    assert!(store.live_replays().await.unwrap().is_empty());
    let (_, changed) = store
        .switch_replay(&id, ReplaySwitch::Cancel, "再来", "op")
        .await
        .unwrap()
        .unwrap();
    assert!(!changed);
    let unknown = ReplayId::generate();
    let none = store
        .switch_replay(&unknown, ReplaySwitch::Pause, "x", "op")
        .await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn what_changed_meanwhile_is_skipped_with_a_reason_and_outcomes_stay() {
    let store = Fresh::open().await;
    failures(&store, 3).await;
    let id = frozen(&store, &of_group()).await.id;
    change(&store, sample("e000", 2)).await;
    change(
        &store,
        NewSubmission {
            holds: vec![hold(HoldCode::Secrecy)],
            ..sample("e001", 2)
        },
    )
    .await;
    let now = later();
    assert_eq!(step(&store, &id, now).await, 1);
    let claims = claim_all(&store, now).await;
    assert_eq!(claims.len(), 2, "the correction goes its own way");
    for claim in &claims {
        settle(&store, claim, super::shown("r"), now).await;
    }
    // A failure of another record, and a later correction of one of this replay.
    change(&store, sample("new", 1)).await;
    let late = claim_one(&store, "portal", now).await;
    settle(&store, &late, failed("n"), now + 1).await;
    step(&store, &id, now + 2).await;
    change(&store, sample("e002", 2)).await;
    let replay = shown_now(&store, &id).await;
    assert_eq!(replay.state, ReplayState::Done);
    assert_eq!((replay.outcomes.delivered, replay.outcomes.skipped), (1, 2));
    assert!(replay.skipped.iter().any(|it| it.reason == "superseded"));
    assert_eq!(replay.new_failures.len(), 1);
    assert_eq!(
        (
            replay.new_failures[0].group.as_str(),
            replay.new_failures[0].count
        ),
        ("n", 1)
    );
}

#[tokio::test]
async fn what_is_shown_is_read_back_sent_once_more_or_made_anew_as_asked() {
    for (way, was_delivered, remote_id, in_doubt) in [
        (ReplayWay::Current, true, Some("r1"), false),
        (ReplayWay::Identical, false, Some("r1"), false),
        (ReplayWay::Refill, false, None, true),
    ] {
        let store = Fresh::open().await;
        let head = change(&store, sample("a", 1)).await;
        let now = later();
        let claim = claim_one(&store, "portal", now).await;
        settle(&store, &claim, super::shown("r1"), now).await;
        let new = NewReplay {
            selection: ReplaySelection {
                record_id: Some(head.record_id.clone()),
                platform: Some("portal".to_owned()),
                ..ReplaySelection::default()
            },
            way,
            ..of_group()
        };
        let id = frozen(&store, &new).await.id;
        step(&store, &id, now).await;
        let again = claim_one(&store, "portal", now).await;
        assert_eq!(
            (
                again.was_delivered,
                again.remote_id.as_deref(),
                again.in_doubt,
                again.version
            ),
            (was_delivered, remote_id, in_doubt, 1),
            "{way:?}"
        );
    }
}

#[tokio::test]
async fn steps_of_several_processes_are_apart_in_time() {
    let store = Fresh::open().await;
    failures(&store, 1).await;
    let id = frozen(&store, &of_group()).await.id;
    let now = later();
    let (one, other) = tokio::join!(
        store.step_replay(&id, now, 200),
        store.step_replay(&id, now + 1, 200)
    );
    let taken = [one.unwrap(), other.unwrap()].into_iter().flatten().count();
    assert_eq!(taken, 1);
}
