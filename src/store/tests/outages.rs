//! The breaker of a platform over several processes.

use super::*;

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
            .begin_outage("portal", &cause, 1_000, 3_000)
            .await
            .unwrap()
    );
    assert!(
        !store
            .begin_outage("portal", "later", 1_001, 9_000)
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
        .begin_outage("portal", "no answer", 1_000, 3_000)
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
        .begin_outage("portal", "no answer", 1_000, 3_000)
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
        .begin_outage("portal", "no answer", 1_000, 3_000)
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
async fn the_time_of_outages_is_added_up_as_far_as_it_counts() {
    let store = Fresh::open().await;
    let day = 86_400_000;
    for (from, to) in [(day, day + 10), (day + 100, day + 150)] {
        store.begin_outage("portal", "x", from, from).await.unwrap();
        store.end_outage("portal", "a", to).await.unwrap();
    }
    store
        .begin_outage("portal", "x", day + 200, day + 200)
        .await
        .unwrap();
    for (since, now, ms) in [
        (0, day, 0),
        (0, day + 199, 60),
        (day + 120, day + 199, 30),
        (day + 120, day + 230, 60),
        (day + 210, day + 230, 20),
        (0, day + 230, 90),
    ] {
        let sum = store.out_ms("portal", since, now).await.unwrap();
        assert_eq!(sum, ms, "{since} {now}");
    }
    assert_eq!(store.out_ms("gazette", 0, day * 2).await.unwrap(), 0);
    // The next one, much later, forgets them.
    store.end_outage("portal", "a", day + 300).await.unwrap();
    store
        .begin_outage("portal", "x", day * 100, day * 100)
        .await
        .unwrap();
    assert_eq!(store.out_ms("portal", 0, day * 100).await.unwrap(), 0);
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
    assert_eq!((again.tries, again.first_tried_at), (0, None));
}
