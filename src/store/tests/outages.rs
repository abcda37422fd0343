//! The breaker of a platform over several processes.

use super::*;
use crate::clock::now_ms;

async fn outage(store: &Store) -> Option<Outage> {
    store.standing("portal").await.unwrap().outage
}

#[tokio::test]
async fn the_first_process_opens_a_breaker_and_all_see_it() {
    let store = Fresh::open().await;
    assert_eq!(store.standing("portal").await.unwrap(), Standing::default());
    let cause = "x".repeat(1_000);
    assert!(
        store
            .begin_outage("portal", OutageKind::Out, &cause, (1_000, 3_000))
            .await
            .unwrap()
    );
    assert!(
        !store
            .begin_outage("portal", OutageKind::TooMany, "later", (1_001, 9_000))
            .await
            .unwrap()
    );
    let seen = outage(&store).await.unwrap();
    assert_eq!(
        (seen.began_at, seen.probe_at, seen.probes),
        (1_000, 3_000, 0)
    );
    assert_eq!(seen.cause.len(), 300, "cut");
    assert_eq!(store.outages().await.unwrap(), [seen]);
    assert_eq!(store.standing("gazette").await.unwrap().outage, None);
}

#[tokio::test]
async fn of_all_processes_one_gets_the_probe() {
    let store = Fresh::open().await;
    store
        .begin_outage("portal", OutageKind::Out, "no answer", (1_000, 3_000))
        .await
        .unwrap();
    assert!(!store.take_probe("portal", "a", 2_999, 9_000).await.unwrap());
    let owners: Vec<String> = (0..8).map(|number| format!("process {number}")).collect();
    let asked = owners
        .iter()
        .map(|owner| store.take_probe("portal", owner, 3_000, 9_000));
    let taken = futures_util::future::try_join_all(asked).await.unwrap();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    let winner = outage(&store).await.unwrap().probed_by.unwrap();
    let loser = owners.iter().find(|owner| **owner != winner).unwrap();

    // Only the one who probes says how it ended.
    store
        .put_probe_off("portal", loser, "lie", 0)
        .await
        .unwrap();
    store.return_probe("portal", loser, 0).await.unwrap();
    assert_eq!(outage(&store).await.unwrap().probe_at, 9_000);
    store
        .put_probe_off("portal", &winner, "no answer", 7_000)
        .await
        .unwrap();
    let after = outage(&store).await.unwrap();
    assert_eq!(
        (after.probes, after.probe_at, after.probed_by),
        (1, 7_000, None)
    );
}

#[tokio::test]
async fn a_probe_whose_process_vanished_or_had_nothing_to_send_is_due_again() {
    let store = Fresh::open().await;
    store
        .begin_outage("portal", OutageKind::Out, "no answer", (1_000, 3_000))
        .await
        .unwrap();
    assert!(
        store
            .take_probe("portal", "gone", 3_000, 9_000)
            .await
            .unwrap()
    );
    assert!(
        !store
            .take_probe("portal", "next", 8_999, 20_000)
            .await
            .unwrap()
    );
    assert!(
        store
            .take_probe("portal", "next", 9_000, 20_000)
            .await
            .unwrap()
    );
    store.return_probe("portal", "next", 9_500).await.unwrap();
    let seen = outage(&store).await.unwrap();
    assert_eq!((seen.probes, seen.probe_at), (0, 9_500));
    assert!(
        store
            .take_probe("portal", "third", 9_500, 20_000)
            .await
            .unwrap()
    );
    assert!(store.end_outage("portal", "third", 9_600).await.unwrap());
    assert!(!store.end_outage("portal", "fourth", 9_700).await.unwrap());
    assert_eq!(outage(&store).await, None);
}

#[tokio::test]
async fn resuming_closes_the_breaker_and_pausing_does_not() {
    let store = Fresh::open().await;
    store
        .begin_outage("portal", OutageKind::Out, "no answer", (1_000, 3_000))
        .await
        .unwrap();
    let mode = PauseMode::Hold;
    store
        .pause_platform("portal", mode, "升级", "值班", None)
        .await
        .unwrap();
    let standing = store.standing("portal").await.unwrap();
    assert!(standing.outage.is_some() && standing.switch.unwrap().paused);
    store
        .resume_platform("portal", None, "已修复", "值班")
        .await
        .unwrap();
    let standing = store.standing("portal").await.unwrap();
    assert!(standing.outage.is_none() && !standing.switch.unwrap().paused);
}

#[tokio::test]
async fn who_is_asked_for_more_time_than_the_others_makes_all_of_them_wait() {
    let store = Fresh::open().await;
    let hears = async |now, until| {
        let times = (now, until);
        let heard = store.begin_outage("portal", OutageKind::TooMany, "HTTP 429", times);
        heard.await.unwrap()
    };
    assert!(hears(1_000, 3_000).await);
    assert!(!hears(1_001, 9_000).await, "it is open already");
    assert!(!hears(1_002, 5_000).await);
    let seen = outage(&store).await.unwrap();
    assert_eq!((seen.kind, seen.began_at), (OutageKind::TooMany, 1_000));
    assert_eq!(seen.probe_at, 9_000, "the longest wait");
    // What comes late, while somebody probes, is not news.
    assert!(
        store
            .take_probe("portal", "a", 9_000, 20_000)
            .await
            .unwrap()
    );
    assert!(!hears(9_001, 60_000).await);
    assert_eq!(outage(&store).await.unwrap().probe_at, 20_000);
}

#[tokio::test]
async fn outages_are_told_and_too_many_requests_are_not_when_an_age_is_reckoned() {
    let store = Fresh::open().await;
    let day = 86_400_000;
    let begin = async |kind, at| {
        let begun = store.begin_outage("portal", kind, "x", (at, at));
        assert!(begun.await.unwrap());
    };
    for (kind, from, to) in [
        (OutageKind::Out, day, day + 10),
        (OutageKind::TooMany, day + 20, day + 90),
        (OutageKind::Out, day + 100, day + 150),
    ] {
        begin(kind, from).await;
        store.end_outage("portal", "a", to).await.unwrap();
    }
    begin(OutageKind::Out, day + 200).await;
    let first = (day, day + 10);
    let second = (day + 100, day + 150);
    for (since, now, spans) in [
        (0, day, vec![]),
        (0, day + 199, vec![second, first]),
        (day + 120, day + 199, vec![second]),
        (day + 150, day + 230, vec![(day + 200, day + 230)]),
    ] {
        let found = store.closed_spans("portal", since, now).await.unwrap();
        assert_eq!(found, spans, "{since} {now}");
    }
    assert!(
        store
            .closed_spans("gazette", 0, day * 2)
            .await
            .unwrap()
            .is_empty()
    );
    // The next one, much later, forgets them.
    store.end_outage("portal", "a", day + 300).await.unwrap();
    begin(OutageKind::Out, day * 100).await;
    assert!(
        store
            .closed_spans("portal", 0, day * 100)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn pauses_are_told_when_an_age_is_reckoned_also_those_that_end_by_themselves() {
    let store = Fresh::open().await;
    let began = now_ms();
    let pause = async |until| {
        let paused = store.pause_platform("portal", PauseMode::Hold, "升级", "值班", until);
        paused.await.unwrap();
    };
    let spans = async |now| store.closed_spans("portal", 0, now).await.unwrap();
    pause(None).await;
    let now = began + 60_000;
    let [(from, to)] = spans(now).await[..] else {
        panic!("one pause");
    };
    assert!((began..now).contains(&from) && to == now, "it lasts");
    // Paused anew until a time: one after the other, and no moment twice.
    pause(Some(began + 30_000)).await;
    let [(second, end), (first, gone)] = spans(now).await[..] else {
        panic!("two pauses");
    };
    assert_eq!((first, gone, end), (from, second, began + 30_000));
    // Resumed before its time.
    let resumed = store.resume_platform("portal", None, "已恢复", "值班");
    resumed.await.unwrap();
    assert!(spans(now).await.iter().all(|(_, to)| *to <= now_ms()));
    let resumed = store.resume_platform("portal", None, "再按一次", "值班");
    resumed.await.unwrap();
    assert_eq!(spans(now).await.len(), 2);
    assert!(
        store
            .closed_spans("gazette", 0, now)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_probe_without_an_answer_costs_the_delivery_no_try_and_keeps_the_doubt() {
    let store = Fresh::open().await;
    let record = change(&store, sample("a", 1)).await.record_id;
    let claim = claim_one(&store, "portal", later()).await;
    let outcome = Settled::Retry {
        due_at: later(),
        counts: false,
        in_doubt: true,
    };
    assert!(settle(&store, &claim, outcome, later()).await);
    let waiting = delivery(&store, &record, "portal").await;
    assert_eq!((waiting.state, waiting.tries), (DeliveryState::Queued, 0));
    let again = claim_one(&store, "portal", later()).await;
    assert!(again.in_doubt);
    assert_eq!(again.tries, 0);
    // Its age begins all the same; it leaves out the outage by itself.
    let first_tried_at = again.first_tried_at;
    assert!(first_tried_at.is_some());
    // What was not even tried changes nothing.
    let outcome = Settled::Postponed { due_at: later() };
    assert!(settle(&store, &again, outcome, later()).await);
    let third = claim_one(&store, "portal", later()).await;
    assert_eq!((third.tries, third.first_tried_at), (0, first_tried_at));
}
