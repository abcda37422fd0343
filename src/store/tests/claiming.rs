//! One sender at a time, the newest version wins, and nothing is forgotten.

use super::*;
use serde_json::json;

#[tokio::test]
async fn a_claim_is_exclusive_until_its_lease_ends_and_then_in_doubt() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = later();
    let first = claim_one(&store, "portal", now).await;
    assert_eq!((first.token, first.in_doubt, first.tries), (1, false, 0));
    let record: Record = serde_json::from_str(first.document.text()).unwrap();
    assert_eq!((record.id, record.version), (first.record_id.clone(), 1));
    let none = store.claim("portal", None, 9, "x", now, now + 9).await;
    assert!(none.unwrap().is_empty());
    store.renew("sender", now + 5_000).await.unwrap();
    let none = store
        .claim("portal", None, 9, "x", now + 2_000, now + 9_000)
        .await;
    assert!(none.unwrap().is_empty(), "renewed");
    let second = claim_one(&store, "portal", now + 6_000).await;
    assert_eq!((second.token, second.in_doubt, second.tries), (2, true, 1));
}

#[tokio::test]
async fn only_the_newest_claim_settles_but_every_attempt_is_kept() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let lost = claim_one(&store, "portal", now).await;
    let newest = claim_one(&store, "portal", now + 2_000).await;
    assert!(!settle(&store, &lost, shown("stale"), now + 2_001).await);
    assert!(
        !store
            .save_progress(&lost.delivery, lost.token, json!({}), None, None)
            .await
            .unwrap()
    );
    assert!(settle(&store, &newest, shown("r1"), now + 2_002).await);
    assert!(
        !settle(&store, &newest, shown("r2"), now + 2_003).await,
        "once"
    );
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!(view.state, DeliveryState::Delivered);
    assert_eq!(view.remote_id.as_deref(), Some("r1"));
    assert_eq!(
        (view.shown_version, view.claimed, view.settled),
        (Some(1), 2, 2)
    );
    let attempts = store.attempts(&newest.delivery).await.unwrap();
    assert_eq!(attempts.len(), 3);
    assert_eq!(attempts[0].exchanges, json!([{"status": 200}]));
}

#[tokio::test]
async fn two_processes_never_claim_the_same() {
    let store = Fresh::open().await;
    let other_process = Store::open(&store.url).await.unwrap();
    for index in 0..60 {
        change(&store, sample(&format!("e{index}"), 1)).await;
    }
    let now = later();
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let store = if index % 2 == 0 {
                store.store.clone()
            } else {
                other_process.clone()
            };
            tokio::spawn(async move {
                let owner = format!("sender {index}");
                store
                    .claim("portal", None, 5, &owner, now, now + 1_000)
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for task in tasks {
        claimed.extend(task.await.unwrap());
    }
    claimed.extend(
        store
            .claim("portal", None, 100, "rest", now, now + 1_000)
            .await
            .unwrap(),
    );
    assert!(claimed.iter().all(|claim| claim.token == 1));
    let ids: std::collections::HashSet<_> =
        claimed.iter().map(|claim| claim.delivery.clone()).collect();
    assert_eq!((claimed.len(), ids.len()), (60, 60));
}

#[tokio::test]
async fn only_the_ids_asked_for_are_claimed() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let head = change(&store, sample("b", 1)).await;
    let wanted = head.deliveries[1].id.clone();
    let other_platform = head.deliveries[0].id.clone();
    let now = later();
    let claims = store
        .claim(
            "portal",
            Some(&[other_platform, wanted.clone()]),
            9,
            "me",
            now,
            now + 1,
        )
        .await
        .unwrap();
    let ids: Vec<&DeliveryId> = claims.iter().map(|claim| &claim.delivery).collect();
    assert_eq!(ids, [&wanted]);
}

#[tokio::test]
async fn a_correction_while_sending_is_sent_after_it() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let sending = claim_one(&store, "portal", now).await;
    let corrected = change(&store, sample("a", 2)).await;
    assert_eq!(corrected.deliveries[1].state, DeliveryState::Sending);
    assert_eq!(
        store.wanted_now(&sending.delivery).await.unwrap(),
        Some((Wanted::Shown, 2, 1))
    );
    let none = store.claim("portal", None, 9, "x", now, now + 9).await;
    assert!(none.unwrap().is_empty(), "still with its sender");
    assert!(settle(&store, &sending, shown("r1"), now + 10).await);
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!(view.state, DeliveryState::Queued);
    assert_eq!((view.version, view.shown_version), (2, Some(1)));
    let next = claim_one(&store, "portal", now + 20).await;
    assert_eq!(
        (next.version, next.in_doubt, next.was_delivered),
        (2, false, false)
    );
    assert_eq!(next.remote_id.as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_correction_while_failing_is_not_counted_as_failed() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let sending = claim_one(&store, "portal", now).await;
    change(&store, sample("a", 2)).await;
    assert!(settle(&store, &sending, failed("g"), now + 10).await);
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!((view.state, view.tries), (DeliveryState::Queued, 0));
    assert_eq!(view.failure, None);
}

#[tokio::test]
async fn a_withdrawal_while_sending_takes_down_what_was_sent() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let sending = claim_one(&store, "portal", now).await;
    let withdrawn = change(&store, withdrawal("a", 2)).await;
    assert_eq!(withdrawn.state, RecordState::Withdrawn);
    assert_eq!(withdrawn.deliveries[0].state, DeliveryState::Skipped);
    assert_eq!(withdrawn.deliveries[1].state, DeliveryState::Sending);
    assert!(settle(&store, &sending, shown("r1"), now + 10).await);
    let down = claim_one(&store, "portal", now + 20).await;
    assert_eq!((down.wanted, down.version), (Wanted::Gone, 2));
    assert_eq!(down.reason.as_deref(), Some("错误"));
    assert_eq!(down.remote_id.as_deref(), Some("r1"));
    let record: Record = serde_json::from_str(down.document.text()).unwrap();
    assert_eq!(record.version, 1, "says what is shown");
    let gone = Settled::Gone {
        forget_remote: true,
    };
    assert!(settle(&store, &down, gone, now + 30).await);
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!(view.state, DeliveryState::Withdrawn);
    assert_eq!((view.shown_version, view.remote_id), (None, None));
    let again = store.submit(withdrawal("a", 3)).await.unwrap();
    assert!(matches!(again, SubmitOutcome::Unchanged(_)), "{again:?}");
    let none = store
        .claim("portal", None, 9, "x", now + 99_999, now + 100_000)
        .await;
    assert!(none.unwrap().is_empty());
}

#[tokio::test]
async fn a_platform_that_is_no_longer_routed_takes_it_down() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, shown("r1"), now).await;
    let elsewhere = NewSubmission {
        platforms: vec!["bulletin".to_owned()],
        ..sample("a", 2)
    };
    let head = change(&store, elsewhere).await;
    let stands: Vec<_> = head
        .deliveries
        .iter()
        .map(|delivery| (delivery.platform.as_str(), delivery.wanted, delivery.state))
        .collect();
    assert_eq!(
        stands,
        [
            ("bulletin", Wanted::Shown, DeliveryState::Queued),
            ("gazette", Wanted::Gone, DeliveryState::Skipped),
            ("portal", Wanted::Gone, DeliveryState::Queued),
        ]
    );
}

#[tokio::test]
async fn doubt_stays_until_it_is_resolved() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let mut now = later();
    let steps = [
        (
            Settled::Retry {
                due_at: now,
                counts: true,
                in_doubt: true,
            },
            true,
        ),
        (Settled::Postponed { due_at: now }, true),
        (
            Settled::Retry {
                due_at: now,
                counts: true,
                in_doubt: false,
            },
            false,
        ),
        (Settled::Postponed { due_at: now }, false),
    ];
    for (outcome, doubt_after) in steps {
        now += 10;
        let claim = claim_one(&store, "portal", now).await;
        assert!(settle(&store, &claim, outcome.clone(), now).await);
        let next = claim_one(&store, "portal", now).await;
        assert_eq!(next.in_doubt, doubt_after, "after {outcome:?}");
        store
            .release(&[(next.delivery.clone(), next.token)])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn postponed_and_released_are_not_tries() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    store
        .release(&[(claim.delivery.clone(), claim.token)])
        .await
        .unwrap();
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!((view.state, view.tries), (DeliveryState::Queued, 0));
    let claim = claim_one(&store, "portal", now).await;
    let due_at = now + 50;
    settle(&store, &claim, Settled::Postponed { due_at }, now).await;
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!(
        (view.tries, view.first_tried_at, view.due_at),
        (0, None, Some(due_at))
    );
    let claim = claim_one(&store, "portal", due_at).await;
    let retry = Settled::Retry {
        due_at,
        counts: true,
        in_doubt: false,
    };
    settle(&store, &claim, retry, due_at).await;
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!((view.state, view.tries), (DeliveryState::Retrying, 1));
    assert_eq!(view.first_tried_at, Some(due_at - 10));
    assert_eq!(
        view.failure.map(|failure| failure.code),
        Some("0".to_owned())
    );
}

#[tokio::test]
async fn progress_is_kept_for_the_same_version_only() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let mut now = later();
    let claim = claim_one(&store, "portal", now).await;
    let ours = store
        .save_progress(
            &claim.delivery,
            claim.token,
            json!({"step": 1}),
            Some("r1".to_owned()),
            None,
        )
        .await
        .unwrap();
    assert!(ours);
    now += 2_000;
    let after_crash = claim_one(&store, "portal", now).await;
    assert_eq!(after_crash.progress, Some(json!({"step": 1})));
    assert_eq!(after_crash.remote_id.as_deref(), Some("r1"));
    change(&store, sample("a", 2)).await;
    now += 2_000;
    let newer = claim_one(&store, "portal", now).await;
    assert_eq!((newer.version, newer.progress, newer.tries), (2, None, 0));
    assert_eq!(
        newer.remote_id.as_deref(),
        Some("r1"),
        "the object is still ours"
    );
}

#[tokio::test]
async fn delivered_is_claimed_again_for_reading_back() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    assert!(!claim.was_delivered);
    let outcome = Settled::Shown {
        remote_id: Some("r1".to_owned()),
        remote_url: None,
        check_at: Some(now + 100),
    };
    settle(&store, &claim, outcome, now).await;
    let back = claim_one(&store, "portal", now + 100).await;
    assert!(back.was_delivered && !back.in_doubt);
    let check_at = Some(now + 200);
    settle(
        &store,
        &back,
        Settled::StillUnderReview { check_at },
        now + 110,
    )
    .await;
    let back = claim_one(&store, "portal", now + 200).await;
    assert_eq!((back.tries, back.delivered_at), (1, Some(now)));
    let confirmed = Settled::Confirmed {
        remote_id: None,
        remote_url: Some("https://example.org/1".to_owned()),
    };
    settle(&store, &back, confirmed, now + 210).await;
    let view = delivery(&store, &head.record_id, "portal").await;
    assert_eq!((view.state, view.due_at), (DeliveryState::Confirmed, None));
    assert_eq!(
        (view.delivered_at, view.confirmed_at),
        (Some(now), Some(now + 210))
    );
    assert_eq!(view.remote_id.as_deref(), Some("r1"));
}

#[tokio::test]
async fn the_sweep_sees_what_is_due_and_what_was_left_behind() {
    let store = Fresh::open().await;
    assert_eq!(store.next_due_at().await.unwrap(), None);
    change(&store, sample("a", 1)).await;
    change(&store, sample("b", 1)).await;
    let now = later();
    assert_eq!(
        store.due_platforms(now).await.unwrap(),
        [("gazette".to_owned(), 2), ("portal".to_owned(), 2)]
    );
    assert_eq!(store.next_due_at().await.unwrap(), Some(1_001));
    for platform in ["gazette", "portal"] {
        store
            .claim(platform, None, 9, "sender", now, now + 1_000)
            .await
            .unwrap();
    }
    assert!(store.due_platforms(now).await.unwrap().is_empty());
    assert_eq!(store.next_due_at().await.unwrap(), Some(now + 1_000));
    assert_eq!(store.due_platforms(now + 1_000).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_take_down_says_what_is_or_may_be_shown_never_what_is_held() {
    let store = Fresh::open().await;
    let now = later();
    let said = |claim: &Claim| {
        let record: Record = serde_json::from_str(claim.document.text()).unwrap();
        (claim.wanted, record.version)
    };
    change(&store, sample("shown", 1)).await;
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, shown("r1"), now).await;
    change(&store, sample("shown", 2)).await;
    change(&store, withdrawal("shown", 3)).await;
    let down = claim_one(&store, "portal", now).await;
    assert_eq!(said(&down), (Wanted::Gone, 1), "version 2 never got there");
    let gone = Settled::Gone {
        forget_remote: false,
    };
    settle(&store, &down, gone, now).await;

    change(&store, sample("doubtful", 1)).await;
    claim_one(&store, "portal", now).await;
    let not_public = NewSubmission {
        holds: vec![hold(HoldCode::Withheld)],
        ..sample("doubtful", 2)
    };
    change(&store, not_public).await;
    let down = claim_one(&store, "portal", now + 2_000).await;
    assert!(down.in_doubt);
    assert_eq!(said(&down), (Wanted::Gone, 1));
}

#[tokio::test]
async fn a_claim_that_broke_off_is_due_at_once_and_in_doubt_and_not_renewed() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = crate::clock::now_ms() + 1;
    let claim = claim_one(&store, "portal", now).await;
    store
        .abandon(&claim.delivery, claim.token + 1)
        .await
        .unwrap();
    let due = store.due_platforms(now).await.unwrap();
    assert!(
        due.iter().all(|(platform, _)| platform != "portal"),
        "{due:?}"
    );
    store.abandon(&claim.delivery, claim.token).await.unwrap();
    store.renew("sender", later()).await.unwrap();
    let next = claim_one(&store, "portal", later()).await;
    assert!(next.in_doubt);
}
