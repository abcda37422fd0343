//! Looks change nothing that was changed meanwhile, and one process at a time looks.

use super::*;
use crate::record::Appearance;
use crate::store::{Look, LookOutcome, NewVerification, Verification, VerificationState};

fn wish(repair: bool, scheduled_for: Option<i64>) -> NewVerification {
    NewVerification {
        platform: "portal".to_owned(),
        repair,
        reason: "test".to_owned(),
        actor: "tester".to_owned(),
        scheduled_for,
    }
}

async fn take(store: &Store, owner: &str, now: i64) -> Option<Verification> {
    let taken = store.take_verification("portal", owner, now, now + 1_000);
    taken.await.unwrap().map(|(verification, _)| verification)
}

fn look(claim: &Claim, appearance: Appearance) -> Look {
    Look {
        delivery: claim.delivery.clone(),
        record_id: claim.record_id.clone(),
        version: claim.version,
        token: claim.token,
        appearance,
        detail: String::new(),
        at: later(),
    }
}

/// A record that the portal said yes to, as a look sees it.
async fn shown_record(store: &Store, source_id: &str) -> Claim {
    change(store, sample(source_id, 1)).await;
    let claim = claim_one(store, "portal", later()).await;
    assert!(settle(store, &claim, shown("r1"), later()).await);
    store.shown(&claim.delivery).await.unwrap().expect("shown")
}

#[tokio::test]
async fn what_is_missing_is_sent_anew_and_what_is_stale_under_its_id() {
    let store = Fresh::open().await;
    let mut claims = Vec::new();
    for source_id in ["a", "b", "c", "d"] {
        claims.push(shown_record(&store, source_id).await);
    }
    store
        .request_verification(&wish(true, None))
        .await
        .unwrap()
        .expect("new");
    let verification = take(&store, "one", later()).await.expect("open");
    let seen = [
        Appearance::Missing,
        Appearance::Stale,
        Appearance::Altered,
        Appearance::Confirmed,
    ];
    let looks: Vec<Look> = claims
        .iter()
        .zip(seen)
        .map(|(claim, it)| look(claim, it))
        .collect();
    let noted = store.note_looks(&verification, "one", "z", later(), &looks);
    assert_eq!(noted.await.unwrap(), LookOutcome::Stored);
    let mut views = Vec::new();
    for claim in &claims {
        views.push(delivery(&store, &claim.record_id, "portal").await);
    }
    let states: Vec<_> = views.iter().map(|it| it.state.as_str()).collect();
    assert_eq!(states, ["queued", "queued", "delivered", "confirmed"]);
    let ids: Vec<_> = views.iter().map(|it| it.remote_id.as_deref()).collect();
    assert_eq!(ids, [None, Some("r1"), Some("r1"), Some("r1")]);
    assert_eq!(
        views[0].shown_version, None,
        "it will be sent, not looked at"
    );
    let again = store.claim("portal", None, 9, "x", later(), later() + 1_000);
    let again: Vec<_> = again.await.unwrap();
    let kinds = again.iter().map(|it| (it.was_delivered, it.in_doubt));
    assert_eq!(kinds.collect::<Vec<_>>(), [(false, true), (false, false)]);
    let after = store.verification(&verification.id).await.unwrap();
    let counts = after.expect("kept").counts;
    assert_eq!((counts.looked, counts.repaired), (4, 2));
    let sum = counts.confirmed + counts.missing + counts.stale + counts.altered;
    assert_eq!(sum, 4);
    let findings = store
        .verification_findings(&verification.id, None, None)
        .await
        .unwrap();
    assert_eq!(findings.len(), 3, "what is right is only counted");
}

#[tokio::test]
async fn a_look_at_what_changed_meanwhile_says_nothing() {
    let store = Fresh::open().await;
    let claim = shown_record(&store, "a").await;
    store.request_verification(&wish(true, None)).await.unwrap();
    let verification = take(&store, "one", later()).await.expect("open");
    // A correction comes while the platform answers.
    change(&store, sample("a", 2)).await;
    let looks = [look(&claim, Appearance::Missing)];
    store
        .note_looks(&verification, "one", "z", later(), &looks)
        .await
        .unwrap();
    let view = delivery(&store, &claim.record_id, "portal").await;
    assert_eq!((view.version, view.remote_id.as_deref()), (2, Some("r1")));
    let counts = store.verification(&verification.id).await.unwrap();
    let counts = counts.expect("kept").counts;
    assert_eq!((counts.skipped, counts.missing, counts.repaired), (1, 0, 0));
}

#[tokio::test]
async fn one_is_open_and_one_process_is_at_it() {
    let store = Fresh::open().await;
    let first = store
        .request_verification(&wish(false, None))
        .await
        .unwrap();
    let second = store.request_verification(&wish(true, None)).await.unwrap();
    assert_eq!(
        first.as_ref().map(|it| &it.id),
        second.as_ref().map(|it| &it.id)
    );
    let now = later();
    let mine = take(&store, "one", now).await.expect("open");
    assert!(take(&store, "two", now + 500).await.is_none(), "leased");
    assert!(take(&store, "two", now + 2_000).await.is_some(), "run out");
    let noted = store.note_looks(&mine, "one", "z", now, &[]).await.unwrap();
    assert_eq!(noted, LookOutcome::Ended, "somebody else is at it");
    let ended = store
        .cancel_verification(&mine.id, "test", "tester")
        .await
        .unwrap();
    assert_eq!(ended.map(|it| it.state), Some(VerificationState::Cancelled));
    assert!(take(&store, "one", now + 9_000).await.is_none());
    let noted = store.note_looks(&mine, "two", "z", now, &[]).await.unwrap();
    assert_eq!(noted, LookOutcome::Ended);
}

#[tokio::test]
async fn a_day_of_the_schedule_is_asked_for_once() {
    let store = Fresh::open().await;
    let day = wish(true, Some(1_000));
    let verification = store.request_verification(&day).await.unwrap();
    let verification = verification.expect("new");
    take(&store, "one", later()).await.expect("open");
    store
        .finish_verification(&verification.id, later())
        .await
        .unwrap();
    assert_eq!(store.request_verification(&day).await.unwrap(), None);
    let next = store.request_verification(&wish(true, Some(2_000))).await;
    assert!(next.unwrap().is_some());
}

#[tokio::test]
async fn what_a_look_confirms_is_told_once() {
    let store = Fresh::open().await;
    store.write_events(true);
    let claim = shown_record(&store, "a").await;
    store
        .request_verification(&wish(false, None))
        .await
        .unwrap();
    let verification = take(&store, "one", later()).await.expect("open");
    for _ in 0..2 {
        let looks = [look(&claim, Appearance::Confirmed)];
        store
            .note_looks(&verification, "one", "z", later(), &looks)
            .await
            .unwrap();
    }
    assert!(store.take_event_lease("me", 0, 1_000).await.unwrap());
    let events = store.next_events("me", 0, 1_000, 100).await.unwrap();
    let kinds = events.expect("mine");
    let kinds: Vec<&str> = kinds.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["published", "delivered", "confirmed"]);
}

#[tokio::test]
async fn what_was_withdrawn_and_is_back_is_found_and_taken_down_again() {
    let store = Fresh::open().await;
    let mut withdrawn = Vec::new();
    for source_id in ["a", "b", "c"] {
        let claim = shown_record(&store, source_id).await;
        change(&store, withdrawal(source_id, 2)).await;
        let claim = store
            .claim("portal", None, 1, "me", later(), later() + 1_000)
            .await
            .unwrap()
            .into_iter()
            .find(|it| it.delivery == claim.delivery)
            .expect("to be taken down");
        let gone = Settled::Gone {
            forget_remote: source_id == "b",
        };
        assert!(settle(&store, &claim, gone, later()).await);
        let claim = store.shown(&claim.delivery).await.unwrap();
        let claim = claim.expect("what is gone is looked at, too");
        assert_eq!((claim.wanted, claim.version), (Wanted::Gone, 2));
        assert_eq!(claim.remote_id.is_none(), source_id == "b");
        withdrawn.push(claim);
    }
    let page = store.shown_after("portal", "", 9).await.unwrap();
    assert_eq!(page.ids.len(), 3);
    // One that never left has nothing to come back.
    change(&store, sample("d", 1)).await;
    change(&store, withdrawal("d", 2)).await;
    let page = store.shown_after("portal", "", 9).await.unwrap();
    assert_eq!(page.ids.len(), 3);

    for repair in [false, true] {
        store
            .request_verification(&wish(repair, None))
            .await
            .unwrap();
        let verification = take(&store, "one", later()).await.expect("open");
        let seen = [
            Appearance::Returned,
            Appearance::Returned,
            Appearance::Confirmed,
        ];
        let looks: Vec<Look> = withdrawn
            .iter()
            .zip(seen)
            .map(|(claim, it)| look(claim, it))
            .collect();
        store
            .note_looks(&verification, "one", "z", later(), &looks)
            .await
            .unwrap();
        store
            .finish_verification(&verification.id, later())
            .await
            .unwrap();
        let after = store.verification(&verification.id).await.unwrap();
        let counts = after.expect("kept").counts;
        let repaired = if repair { 2 } else { 0 };
        assert_eq!(
            (counts.returned, counts.confirmed, counts.repaired),
            (2, 1, repaired)
        );
        let findings = store
            .verification_findings(&verification.id, Some(Appearance::Returned), None)
            .await
            .unwrap();
        assert_eq!(findings.len(), 2);
    }
    let again = store.claim("portal", None, 9, "x", later(), later() + 1_000);
    let again: Vec<_> = again.await.unwrap();
    let due: Vec<_> = again.iter().map(|it| (it.wanted, it.in_doubt)).collect();
    assert_eq!(due, [(Wanted::Gone, true), (Wanted::Gone, true)]);
}

#[tokio::test]
async fn a_page_ends_after_so_many_records_however_rare_the_platform_is() {
    let store = Fresh::open().await;
    let mut expected = Vec::new();
    for number in 0..9 {
        let mut new = sample(&format!("s{number}"), 1);
        let is_rare = number % 4 == 0;
        if is_rare {
            new.platforms = vec!["rare".to_owned()];
        }
        change(&store, new).await;
        if is_rare {
            let claim = claim_one(&store, "rare", later()).await;
            settle(&store, &claim, shown("r"), later()).await;
            expected.push(claim.delivery);
        }
    }
    let (mut after, mut found, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = store.page_of("rare", &after, 1, 2).await.unwrap();
        let Some(next) = page.next else { break };
        assert!(next > after, "it goes on");
        after = next;
        pages += 1;
        found.extend(page.ids.into_iter().map(|(_, delivery)| delivery));
    }
    assert_eq!(found, expected);
    assert!(pages >= 5, "{pages}: nine records, two to a page");
    let end = store.shown_after("rare", &after, 1).await.unwrap();
    assert_eq!(end, crate::store::ShownPage::default());
}
