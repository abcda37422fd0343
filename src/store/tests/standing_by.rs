//! Who stands by gets what is new in the commit that opened it, and nothing else.

use super::*;
use crate::clock::now_ms;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(60);

fn stand_by(store: &Store, room: usize) -> StandBy {
    store.stand_by("portal", room, "sender", LEASE)
}

#[tokio::test]
async fn what_is_new_goes_to_the_sender_that_stands_by_and_to_nobody_else() {
    let store = Fresh::open().await;
    let mut place = stand_by(&store, 9);
    let head = change(&store, sample("a", 1)).await;
    let due: Vec<&str> = head.due().map(|(platform, _)| platform).collect();
    assert_eq!(due, ["gazette"], "the other one needs no wake-up");
    let handed = place.handed().await.unwrap();
    let claim = handed.first().expect("handed over");
    assert_eq!(handed.len(), 1);
    assert_eq!((claim.token, claim.in_doubt, claim.version), (1, false, 1));
    let record: Record = serde_json::from_str(claim.document.text()).unwrap();
    assert_eq!(record.id, head.record_id);
    let now = now_ms();
    let none = store.claim("portal", None, 9, "x", now, now + 9).await;
    assert!(none.unwrap().is_empty(), "it is in hand");
    // What the database says is what was handed over.
    let again = claim_one(&store, "portal", now_ms() + 2 * LEASE.as_millis() as i64).await;
    assert_eq!((again.token, again.in_doubt), (2, true));
    assert_eq!(again.document, claim.document);
    assert!(!settle(&store, claim, shown("late"), now).await);
    assert!(settle(&store, &again, shown("r1"), now).await);
}

#[tokio::test]
async fn who_stands_by_gets_no_more_than_there_is_room_for() {
    let store = Fresh::open().await;
    let mut place = stand_by(&store, 2);
    let posted = (0..5).map(|index| {
        let store = store.store.clone();
        tokio::spawn(async move { store.submit(sample(&format!("e{index}"), 1)).await })
    });
    for posted in posted.collect::<Vec<_>>() {
        posted.await.unwrap().unwrap();
    }
    let handed = place.handed().await.unwrap().len();
    assert!((1..=2).contains(&handed), "{handed}");
    let now = now_ms();
    let rest = store.claim("portal", None, 9, "x", now, now + 9).await;
    assert_eq!(rest.unwrap().len(), 5 - handed);
}

#[tokio::test]
async fn what_is_held_or_corrected_is_not_handed_over() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    let place = stand_by(&store, 9);
    change(&store, sample("a", 2)).await;
    let mut held = sample("b", 1);
    held.holds = vec![hold(HoldCode::Undeclared)];
    change(&store, held).await;
    assert_eq!(place.leave().await, Some(Vec::new()));
    let now = now_ms();
    let due = store.claim("portal", None, 9, "x", now, now + 9).await;
    assert_eq!(due.unwrap().len(), 1, "the corrected one");
}

#[tokio::test]
async fn what_was_handed_to_somebody_who_went_away_is_due_again_without_a_doubt() {
    let store = Fresh::open().await;
    let mut place = stand_by(&store, 9);
    // As if the sender ended between the commit and the answer.
    place.forget();
    change(&store, sample("a", 1)).await;
    let now = now_ms() + 1_000;
    let claims = store.claim("portal", None, 9, "x", now, now + 9).await;
    let claim = claims.unwrap().pop().expect("due at once");
    assert_eq!((claim.token, claim.in_doubt, claim.tries), (2, false, 0));
}
