//! The outbox: what leaves an event, what it may say, and how one publisher takes them.

use super::*;

async fn telling() -> Fresh {
    let fresh = Fresh::open().await;
    fresh.write_events(true);
    fresh
}

/// Takes the lease and everything that waits, as the publisher `owner`.
async fn take(store: &Store, owner: &str, sent: i64) -> Vec<Event> {
    assert!(store.take_event_lease(owner, 0, 1_000).await.unwrap());
    store
        .next_events(owner, sent, 1_000, 1_000)
        .await
        .unwrap()
        .unwrap()
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn without_listeners_nothing_is_written() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let claim = claim_one(&store, "gazette", later()).await;
    settle(&store, &claim, shown("g-1"), later()).await;
    assert_eq!(take(&store, "me", 0).await, []);
}

#[tokio::test]
async fn the_life_of_a_record_is_told_in_order() {
    let store = telling().await;
    let head = change(&store, sample("a", 1)).await;
    let claim = claim_one(&store, "gazette", later()).await;
    settle(&store, &claim, shown("g-1"), later()).await;
    change(&store, sample("a", 2)).await;
    let mut held = sample("a", 3);
    held.holds = vec![hold(HoldCode::Secrecy), hold(HoldCode::PersonalData)];
    change(&store, held).await;
    change(&store, withdrawal("a", 4)).await;
    change(&store, sample("a", 5)).await;

    let events = take(&store, "me", 0).await;
    assert_eq!(
        kinds(&events),
        [
            "published",
            "delivered",
            "updated",
            "held",
            "withdrawn",
            "published"
        ]
    );
    let numbers: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    let versions: Vec<i64> = events.iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 1, 2, 3, 4, 5]);
    assert!(events.iter().all(|event| event.record_id == head.record_id));
    assert_eq!(events[0].title.as_deref(), Some("关于a的通知"));
    assert_eq!(events[0].unit, "11440200006998012A");
    assert_eq!(events[0].area.as_deref(), Some("A2"));
    assert_eq!(events[0].delivery, None);
    let delivered = events[1].delivery.as_ref().unwrap();
    assert_eq!(delivered.platform, "gazette");
    assert_eq!(delivered.url.as_deref(), Some("https://example.org/g-1"));
    assert_eq!(events[3].holds, ["personal_data", "secrecy"]);
}

#[tokio::test]
async fn what_has_not_passed_the_gate_is_told_without_its_title() {
    let store = telling().await;
    change(&store, sample("a", 1)).await;
    let claim = claim_one(&store, "gazette", later()).await;
    let mut held = sample("a", 2);
    held.holds = vec![hold(HoldCode::Withheld)];
    change(&store, held).await;
    // The platform has said yes to the first version only now.
    settle(&store, &claim, shown("g-1"), later()).await;
    change(&store, withdrawal("a", 3)).await;
    let mut begins_withdrawn = sample("b", 1);
    begins_withdrawn.action = Action::Withdraw;
    change(&store, begins_withdrawn).await;

    let events = take(&store, "me", 0).await;
    let told: Vec<(&str, bool, bool)> = events
        .iter()
        .map(|event| {
            (
                event.kind.as_str(),
                event.title.is_some(),
                event.doc_no.is_some(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("published", true, true),
            ("held", false, false),
            ("delivered", false, false),
            ("withdrawn", false, false),
            ("withdrawn", false, false),
        ]
    );
}

#[tokio::test]
async fn repeats_and_refusals_tell_nothing() {
    let store = telling().await;
    change(&store, sample("a", 2)).await;
    store.submit(sample("a", 2)).await.unwrap();
    store.submit(sample("a", 1)).await.unwrap();
    assert_eq!(kinds(&take(&store, "me", 0).await), ["published"]);
}

#[tokio::test]
async fn a_settlement_counts_once_and_only_for_the_newest_claim() {
    let store = telling().await;
    change(&store, sample("a", 1)).await;
    let old = claim_one(&store, "gazette", later()).await;
    let newest = claim_one(&store, "gazette", later() + 2_000_000).await;
    assert!(!settle(&store, &old, shown("g-1"), later()).await);
    assert!(settle(&store, &newest, failed("g"), later()).await);
    assert!(!settle(&store, &newest, failed("g"), later()).await);
    let events = take(&store, "me", 0).await;
    assert_eq!(kinds(&events), ["published", "failed"]);
    let part = events[1].delivery.as_ref().unwrap();
    assert_eq!(part.failure_class.as_deref(), Some("reject"));
    assert_eq!(part.failure_code.as_deref(), Some("E1"));
    assert_eq!(part.wanted, Wanted::Shown);
}

#[tokio::test]
async fn a_failure_that_a_newer_version_overtook_is_not_told() {
    let store = telling().await;
    change(&store, sample("a", 1)).await;
    let claim = claim_one(&store, "gazette", later()).await;
    change(&store, sample("a", 2)).await;
    settle(&store, &claim, failed("g"), later()).await;
    assert_eq!(
        kinds(&take(&store, "me", 0).await),
        ["published", "updated"]
    );
}

#[tokio::test]
async fn what_an_operator_does_is_told() {
    let store = telling().await;
    let mut held = sample("a", 1);
    held.holds = vec![hold(HoldCode::PersonalData)];
    let id = change(&store, held).await.record_id;
    store.release_record(&id, "已核", "op").await.unwrap();
    store.withdraw_record(&id, "错误", "op").await.unwrap();
    store.withdraw_record(&id, "错误", "op").await.unwrap();
    let events = take(&store, "me", 0).await;
    assert_eq!(kinds(&events), ["held", "published", "withdrawn"]);
    let titles: Vec<bool> = events.iter().map(|event| event.title.is_some()).collect();
    assert_eq!(titles, [false, true, true]);
}

#[tokio::test]
async fn there_is_one_publisher_and_its_successor_goes_on_with_the_same_numbers() {
    let store = telling().await;
    change(&store, sample("a", 1)).await;
    change(&store, sample("b", 1)).await;
    assert!(store.take_event_lease("first", 0, 100).await.unwrap());
    assert!(!store.take_event_lease("second", 99, 200).await.unwrap());
    let taken = store
        .next_events("first", 0, 100, 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(store.next_events("second", 0, 200, 9).await.unwrap(), None);

    // The first one vanished with its event perhaps sent: the same again, then the next.
    assert!(store.take_event_lease("second", 100, 200).await.unwrap());
    assert_eq!(store.next_events("first", 1, 300, 9).await.unwrap(), None);
    let again = store
        .next_events("second", 0, 200, 9)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again[0], taken[0]);
    assert_eq!(again.len(), 2);
    assert_eq!(again[1].sequence, 2);

    store.end_event_lease("second", 2).await.unwrap();
    assert!(store.take_event_lease("third", 101, 200).await.unwrap());
    let rest = store.next_events("third", 0, 200, 9).await.unwrap();
    assert_eq!(rest, Some(Vec::new()));
    change(&store, sample("c", 1)).await;
    assert!(store.event_waits().await.unwrap());
    let rest = store
        .next_events("third", 0, 200, 9)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest[0].sequence, 3);
    assert!(!store.event_waits().await.unwrap());
}

#[tokio::test]
async fn only_old_sent_events_are_forgotten() {
    let store = telling().await;
    for source_id in ["a", "b", "c"] {
        change(&store, sample(source_id, 1)).await;
    }
    let all = take(&store, "me", 0).await;
    assert_eq!(all.len(), 3);
    assert_eq!(store.forget_events(later(), 10).await.unwrap(), 0);
    take(&store, "me", 2).await;
    assert_eq!(store.forget_events(1_000, 10).await.unwrap(), 0);
    assert_eq!(store.forget_events(later(), 1).await.unwrap(), 1);
    assert_eq!(store.forget_events(later(), 10).await.unwrap(), 1);
    let left = take(&store, "me", 0).await;
    assert_eq!(left, all[2..]);
}

#[tokio::test]
async fn what_a_person_decides_about_one_delivery_is_told() {
    let store = telling().await;
    let head = change(&store, sample("a", 1)).await;
    let claim = claim_one(&store, "gazette", later()).await;
    settle(&store, &claim, failed("g"), later()).await;
    let reason = || "平台停用".to_owned();
    let give_up = HandWork::GiveUp { reason: reason() };
    let undo = HandWork::Undo { reason: reason() };
    let done = HandWork::Done {
        evidence: "截图17号，张三".to_owned(),
        url: Some("https://example.org/by-hand".to_owned()),
    };
    let overridden = NewOverride {
        delivery: claim.delivery.clone(),
        version: 1,
        pointer: "/title".to_owned(),
        before: serde_json::json!("关于a的通知"),
        value: Some(serde_json::json!("短")),
        reason: reason(),
        actor: "op".to_owned(),
    };
    for work in [&give_up, &undo, &done, &undo] {
        let outcome = store.work_by_hand(&claim.delivery, work, "op").await;
        assert_eq!(outcome.unwrap(), HandOutcome::Changed, "{work:?}");
    }
    assert!(store.override_field(&overridden).await.unwrap());
    // Refused: nothing happens and nothing is told.
    let again = store.work_by_hand(&claim.delivery, &undo, "op").await;
    assert_eq!(again.unwrap(), HandOutcome::Refused);

    let events = take(&store, "me", 0).await;
    let told: Vec<(&str, bool, Option<&str>, Option<&str>)> = events
        .iter()
        .map(|event| {
            let part = event.delivery.as_ref();
            (
                event.kind.as_str(),
                part.is_some_and(|it| it.by_hand),
                part.and_then(|it| it.failure_class.as_deref()),
                part.and_then(|it| it.reason.as_deref()),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("published", false, None, None),
            ("failed", false, Some("reject"), None),
            ("failed", true, Some("given_up"), Some("平台停用")),
            ("failed", true, Some("reject"), None),
            ("delivered", true, None, None),
            ("failed", true, Some("reject"), None),
            ("updated", true, None, None),
        ]
    );
    let url = |place: usize| {
        let part = events[place].delivery.as_ref().unwrap();
        (part.platform.as_str(), part.url.as_deref())
    };
    assert_eq!(url(4), ("gazette", Some("https://example.org/by-hand")));
    assert_eq!(url(6), ("gazette", None));
    assert!(
        events
            .iter()
            .all(|it| it.version == 1 && it.title.is_some())
    );
    assert!(
        !format!("{events:?}").contains("张三"),
        "evidence stays here"
    );

    // A take-down is told by the record's own event, whoever does it; what is undone is on its way.
    change(&store, withdrawal("a", 2)).await;
    let claim = claim_one(&store, "gazette", later()).await;
    settle(&store, &claim, failed("g"), later()).await;
    for work in [&done, &undo] {
        let outcome = store.work_by_hand(&claim.delivery, work, "op").await;
        assert_eq!(outcome.unwrap(), HandOutcome::Changed, "{work:?}");
    }
    let events = take(&store, "me", 7).await;
    assert_eq!(kinds(&events), ["withdrawn", "failed", "failed"]);
    let part = events[2].delivery.as_ref().unwrap();
    assert_eq!((part.wanted, part.by_hand), (Wanted::Gone, true));
    assert!(head.record_id == events[2].record_id && events[2].title.is_none());
}
