//! Holds, releases, withdrawals by hand, lists and switches.

use super::*;

fn held(source_id: &str, revision: i64, code: HoldCode) -> NewSubmission {
    NewSubmission {
        holds: vec![hold(code)],
        ..sample(source_id, revision)
    }
}

#[tokio::test]
async fn a_held_record_is_not_due_until_a_person_releases_it() {
    let store = Fresh::open().await;
    let head = change(&store, held("a", 1, HoldCode::PersonalData)).await;
    assert_eq!((head.state, head.holds.len()), (RecordState::Held, 1));
    assert_eq!(head.due().count(), 0);
    assert!(store.due_platforms(later()).await.unwrap().is_empty());
    let released = store.release_record(&head.record_id, "已核实", "op").await;
    let ReleaseOutcome::Released(released) = released.unwrap() else {
        panic!("released");
    };
    assert_eq!(
        (released.state, released.due().count()),
        (RecordState::Live, 2)
    );
    assert!(released.holds.is_empty());
    let claim = claim_one(&store, "portal", later()).await;
    assert_eq!(claim.version, 1);
    let again = store
        .release_record(&head.record_id, "x", "op")
        .await
        .unwrap();
    assert!(matches!(again, ReleaseOutcome::NotHeld(_)), "{again:?}");
    let view = store.record(&head.record_id).await.unwrap().unwrap();
    assert!(view.holds.is_empty() && view.versions[0].released_by.as_deref() == Some("op"));
    assert_eq!(store.acts(10).await.unwrap()[0].verb, "release");
}

#[tokio::test]
async fn a_document_that_is_not_public_cannot_be_released() {
    let store = Fresh::open().await;
    for code in [
        HoldCode::OnRequest,
        HoldCode::Withheld,
        HoldCode::Undeclared,
    ] {
        let head = change(&store, held(code.as_str(), 1, code)).await;
        let refused = store
            .release_record(&head.record_id, "x", "op")
            .await
            .unwrap();
        assert_eq!(
            refused,
            ReleaseOutcome::ReleaseRefused {
                holds: vec![hold(code)]
            }
        );
    }
    assert!(store.due_platforms(later()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_held_correction_leaves_what_is_shown_and_sends_nothing() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, shown("r1"), now).await;
    let head = change(&store, held("a", 2, HoldCode::PersonalData)).await;
    let stands: Vec<_> = head
        .deliveries
        .iter()
        .map(|delivery| (delivery.version, delivery.state, delivery.shown_version))
        .collect();
    assert_eq!(
        stands,
        [
            (2, DeliveryState::Held, None),
            (1, DeliveryState::Held, Some(1))
        ]
    );
    assert!(store.due_platforms(now).await.unwrap().is_empty());
    let released = store
        .release_record(&head.record_id, "x", "op")
        .await
        .unwrap();
    assert!(matches!(released, ReleaseOutcome::Released(_)));
    let claim = claim_one(&store, "portal", later()).await;
    assert_eq!((claim.version, claim.was_delivered), (2, false));
}

#[tokio::test]
async fn a_hold_while_sending_stops_further_tries() {
    for outcome in [
        shown("r1"),
        failed("g"),
        Settled::Retry {
            due_at: 5,
            counts: true,
            in_doubt: true,
        },
    ] {
        let store = Fresh::open().await;
        change(&store, sample("a", 1)).await;
        let now = later();
        let sending = claim_one(&store, "portal", now).await;
        let head = change(&store, held("a", 2, HoldCode::Secrecy)).await;
        store.renew("sender", now + 500).await.unwrap();
        let none = store
            .claim("portal", None, 9, "x", now + 9_000, now + 9_999)
            .await;
        assert!(
            none.unwrap().is_empty(),
            "held, even when its sender vanished"
        );
        let in_doubt = matches!(outcome, Settled::Retry { .. });
        assert!(settle(&store, &sending, outcome, now + 10).await);
        let view = delivery(&store, &head.record_id, "portal").await;
        assert_eq!((view.state, view.due_at), (DeliveryState::Held, None));
        store
            .release_record(&head.record_id, "x", "op")
            .await
            .unwrap();
        let claim = claim_one(&store, "portal", later()).await;
        assert_eq!((claim.version, claim.in_doubt), (2, in_doubt));
    }
}

#[tokio::test]
async fn a_release_while_sending_leaves_the_sender_its_lease() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = later();
    let sending = claim_one(&store, "portal", now).await;
    let head = change(&store, held("a", 2, HoldCode::Secrecy)).await;
    store
        .release_record(&head.record_id, "x", "op")
        .await
        .unwrap();
    let none = store
        .claim("portal", None, 9, "x", now + 500, now + 9_000)
        .await;
    assert!(none.unwrap().is_empty(), "still with its sender");
    assert!(settle(&store, &sending, shown("r1"), now + 600).await);
    assert_eq!(claim_one(&store, "portal", now + 700).await.version, 2);
}

#[tokio::test]
async fn a_document_that_stops_being_public_is_taken_down_and_its_new_text_never_leaves() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, shown("r1"), now).await;
    let head = change(&store, held("a", 2, HoldCode::OnRequest)).await;
    assert_eq!(head.deliveries[0].state, DeliveryState::Held);
    assert_eq!(
        (head.deliveries[1].wanted, head.deliveries[1].state),
        (Wanted::Gone, DeliveryState::Queued)
    );
    let down = claim_one(&store, "portal", now).await;
    let record: Record = serde_json::from_str(down.document.text()).unwrap();
    assert_eq!(record.version, 1);
    assert!(store.due_platforms(now).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_take_down_goes_on_when_a_held_version_follows() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, shown("r1"), now).await;
    change(&store, withdrawal("a", 2)).await;
    change(&store, held("a", 3, HoldCode::PersonalData)).await;
    let down = claim_one(&store, "portal", now).await;
    assert_eq!((down.wanted, down.version), (Wanted::Gone, 2));
}

#[tokio::test]
async fn an_operators_withdrawal_stays_when_the_sender_repeats_itself() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    settle(&store, &claim, shown("r1"), now).await;
    let withdrawn = store.withdraw_record(&head.record_id, "误发", "op").await;
    let WithdrawOutcome::Withdrawn(withdrawn) = withdrawn.unwrap() else {
        panic!("withdrawn");
    };
    assert_eq!((withdrawn.version, withdrawn.revision), (2, 1));
    assert_eq!(withdrawn.due().count(), 1, "the other never left");
    let repeated = store.submit(sample("a", 1)).await.unwrap();
    let SubmitOutcome::Unchanged(repeated) = repeated else {
        panic!("unchanged: {repeated:?}");
    };
    assert_eq!(repeated.state, RecordState::Withdrawn);
    let down = claim_one(&store, "portal", later()).await;
    assert_eq!(
        (down.wanted, down.reason.as_deref()),
        (Wanted::Gone, Some("误发"))
    );
    let again = store
        .withdraw_record(&head.record_id, "x", "op")
        .await
        .unwrap();
    assert!(matches!(again, WithdrawOutcome::AlreadyWithdrawn(_)));
    let unknown = RecordId::generate();
    let missing = store.withdraw_record(&unknown, "x", "op").await.unwrap();
    assert_eq!(missing, WithdrawOutcome::NotFound);
    let same_content = NewSubmission {
        content_sha256: sample("a", 1).content_sha256,
        ..sample("a", 2)
    };
    assert_eq!(
        change(&store, same_content).await.version,
        3,
        "a new word of its owner"
    );
}

#[tokio::test]
async fn failures_are_gathered_by_cause() {
    let store = Fresh::open().await;
    for source_id in ["a", "b", "c"] {
        change(&store, sample(source_id, 1)).await;
    }
    let now = later();
    let claims = store
        .claim("portal", None, 9, "sender", now, now + 1_000)
        .await
        .unwrap();
    for (index, claim) in claims.iter().enumerate() {
        let group = if index < 2 { "g1" } else { "g2" };
        settle(&store, claim, failed(group), now + index as i64).await;
    }
    let groups = store.failures().await.unwrap();
    let counts: Vec<_> = groups.iter().map(|g| (g.group.as_str(), g.count)).collect();
    assert_eq!(counts, [("g1", 2), ("g2", 1)]);
    assert_eq!((groups[0].first_at, groups[0].last_at), (now, now + 1));
    assert_eq!(groups[0].code, "E1");

    // Failing again later, the group is the same one, and its beginning stays known.
    settle_again(&store, &claims[0], now + 500).await;
    let group = store.failures().await.unwrap().remove(0);
    assert_eq!((group.count, group.total), (2, 3));
    assert_eq!((group.first_at, group.last_at), (now, now + 500));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let store = Fresh::open().await;
    for index in 0..7 {
        change(&store, sample(&format!("e{index}"), index + 1)).await;
    }
    let mut elsewhere = sample("财政100%_!", 9);
    elsewhere.content.as_mut().unwrap().area = Some("B1".to_owned());
    elsewhere.platforms = vec!["bulletin".to_owned()];
    change(&store, elsewhere).await;
    let count = |filter: RecordFilter| {
        let store = store.store.clone();
        async move {
            let page = store.list_records(&filter, None, 200).await.unwrap();
            page.records.len()
        }
    };
    let all = RecordFilter::default();
    let some = |word: &str| Some(word.to_owned());
    let cases = [
        (all.clone(), 8),
        (
            RecordFilter {
                area: some("B1"),
                ..all.clone()
            },
            1,
        ),
        (
            RecordFilter {
                source_id: some("e3"),
                ..all.clone()
            },
            1,
        ),
        (
            RecordFilter {
                source: some("x"),
                ..all.clone()
            },
            0,
        ),
        (
            RecordFilter {
                platform: some("portal"),
                ..all.clone()
            },
            7,
        ),
        (
            RecordFilter {
                state: Some(RecordState::Held),
                ..all.clone()
            },
            0,
        ),
        (
            RecordFilter {
                delivery_state: Some(DeliveryState::Queued),
                ..all.clone()
            },
            8,
        ),
        (
            RecordFilter {
                delivery_state: Some(DeliveryState::Failed),
                ..all.clone()
            },
            0,
        ),
        (
            RecordFilter {
                from: Some(1_003),
                to: Some(1_005),
                ..all.clone()
            },
            2,
        ),
        (
            RecordFilter {
                text: some("100%_!"),
                ..all.clone()
            },
            1,
        ),
        (
            RecordFilter {
                text: some("韶财〔2014〕1号"),
                ..all.clone()
            },
            8,
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(count(filter.clone()).await, expected, "{filter:?}");
    }
    let first = store.list_records(&all, None, 5).await.unwrap();
    let rest = store
        .list_records(&all, first.next.as_deref(), 5)
        .await
        .unwrap();
    assert_eq!(
        (first.records.len(), rest.records.len(), rest.next),
        (5, 3, None)
    );
    assert!(first.records[4].updated_at > rest.records[0].updated_at);
}

#[tokio::test]
async fn switches_counts_and_accounts() {
    let store = Fresh::open().await;
    store
        .pause_platform("portal", PauseMode::Drain, "维护", "op", Some(100))
        .await
        .unwrap();
    let switch = store.platform_switches().await.unwrap().remove(0);
    assert!(switch.is_paused(99) && !switch.is_paused(100));
    let drained = store.standing("portal").await.unwrap().switch.unwrap();
    assert_eq!(drained.passage(99), Passage::DueBy(drained.changed_at));
    assert_eq!(drained.passage(100), Passage::Open);
    assert_eq!(store.standing("gazette").await.unwrap().switch, None);
    let stop = PauseMode::Stop;
    store
        .pause_platform("portal", stop, "停", "op", None)
        .await
        .unwrap();
    let stopped = store.standing("portal").await.unwrap().switch.unwrap();
    assert_eq!(stopped.passage(i64::MAX), Passage::Closed(stop));
    store
        .resume_platform("portal", Some(3), "好了", "op")
        .await
        .unwrap();
    let resumed = store.standing("portal").await.unwrap().switch.unwrap();
    assert_eq!(
        (resumed.passage(99), resumed.rate_per_s),
        (Passage::Open, Some(3))
    );
    let verbs: Vec<String> = store
        .acts(9)
        .await
        .unwrap()
        .into_iter()
        .map(|a| a.verb)
        .collect();
    assert_eq!(verbs, ["resume", "pause", "pause"]);

    change(&store, sample("a", 1)).await;
    let counts = store.count_deliveries().await.unwrap();
    assert_eq!(counts, store.count_open_deliveries().await.unwrap());
    assert_eq!((counts.len(), counts[0].count), (2, 1));

    let new = NewAccount {
        id: "1".to_owned(),
        name: "oa".to_owned(),
        source: "oa".to_owned(),
        key_sha256: "k".to_owned(),
        units: vec!["*".to_owned()],
        operator: true,
        created_at: 1,
    };
    assert!(store.add_account(&new).await.unwrap());
    assert!(!store.add_account(&new).await.unwrap(), "taken");
    let found = store
        .find_account_by_key_sha256("k")
        .await
        .unwrap()
        .unwrap();
    assert!(found.operator && found.may_post_for("any"));
    assert!(store.revoke_account("oa", 2).await.unwrap());
    assert_eq!(store.find_account_by_key_sha256("k").await.unwrap(), None);
    assert_eq!(store.list_accounts().await.unwrap()[0].revoked_at, Some(2));
}

/// Sends again what failed, and lets it fail in group `g1`.
async fn settle_again(store: &Store, claim: &Claim, now: i64) {
    let new = NewReplay {
        selection: ReplaySelection {
            deliveries: vec![claim.delivery.clone()],
            ..ReplaySelection::default()
        },
        way: ReplayWay::Current,
        expected_hash: None,
        reason: "x".to_owned(),
        actor: "op".to_owned(),
        rate_per_s: None,
        ramp: Vec::new(),
        stop_percent: 100,
    };
    let FreezeOutcome::Frozen(replay) = store.freeze_replay(&new).await.unwrap() else {
        panic!("frozen");
    };
    store.step_replay(&replay.id, now, 0).await.unwrap();
    let again = claim_one(store, "portal", now).await;
    settle(store, &again, failed("g1"), now).await;
}

#[tokio::test]
async fn what_a_person_decides_holds_for_one_version_and_can_be_undone() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    let now = later();
    let claim = claim_one(&store, "portal", now).await;
    let done = HandWork::Done {
        evidence: "值班员已在后台录入".to_owned(),
        url: Some("https://example.org/1".to_owned()),
    };
    let decide = async |work: &HandWork| {
        let outcome = store.work_by_hand(&claim.delivery, work, "op").await;
        outcome.unwrap()
    };
    assert_eq!(
        decide(&done).await,
        HandOutcome::Refused,
        "it is being sent"
    );
    settle(&store, &claim, failed("g"), now).await;
    let before = delivery(&store, &head.record_id, "portal").await;
    let give_up = HandWork::GiveUp {
        reason: "平台停用".to_owned(),
    };
    assert_eq!(decide(&give_up).await, HandOutcome::Changed);
    let given_up = delivery(&store, &head.record_id, "portal").await;
    assert_eq!(
        (given_up.state, given_up.due_at),
        (DeliveryState::Skipped, None)
    );
    assert!(store.failures().await.unwrap().is_empty());
    let undo = HandWork::Undo {
        reason: "恢复".to_owned(),
    };
    assert_eq!(decide(&undo).await, HandOutcome::Changed);
    assert_eq!(
        delivery(&store, &head.record_id, "portal").await,
        before,
        "as it was"
    );
    assert_eq!(
        decide(&undo).await,
        HandOutcome::Refused,
        "nothing is left to undo"
    );

    assert_eq!(decide(&done).await, HandOutcome::Changed);
    let by_hand = delivery(&store, &head.record_id, "portal").await;
    assert_eq!(by_hand.state, DeliveryState::Delivered);
    assert_eq!(by_hand.remote_url.as_deref(), Some("https://example.org/1"));
    let mark = store.hand_mark(&claim.delivery).await.unwrap().unwrap();
    assert_eq!((mark.verb.as_str(), mark.actor.as_str()), ("done", "op"));
    let attempts = store.attempts(&claim.delivery).await.unwrap();
    assert!(attempts.iter().any(|it| it.verdict == "done_by_hand"));
    // The next version goes its own way, and looks for what was made by hand.
    change(&store, sample("a", 2)).await;
    assert_eq!(store.hand_mark(&claim.delivery).await.unwrap(), None);
    assert_eq!(decide(&undo).await, HandOutcome::Refused);
    let next = claim_one(&store, "portal", later()).await;
    assert_eq!((next.version, next.in_doubt), (2, true));
    let verbs: Vec<String> = store
        .acts(9)
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.verb)
        .collect();
    assert_eq!(verbs, ["done_by_hand", "undo", "give_up"]);
    let none = store
        .work_by_hand(&DeliveryId::generate(), &undo, "op")
        .await;
    assert_eq!(none.unwrap(), HandOutcome::NotFound);
}
