//! Who stands by gets what is new in the commit that opened it, and nothing else.

use super::*;
use crate::clock::now_ms;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const LEASE: Duration = Duration::from_secs(60);

fn enter(store: &Store, room: usize) -> (StandBy, Hands) {
    store.stand_by("portal", Arc::new(Semaphore::new(room)), "sender", LEASE)
}

/// Claims as the sender in line does; returns how many.
async fn look(store: &Store, limit: i64) -> usize {
    let now = now_ms();
    let claims = store.claim("portal", None, limit, "sender", now, now + 60_000);
    claims.await.unwrap().len()
}

/// Enters the line and finds nothing due.
async fn stand_by(store: &Store, room: usize) -> (StandBy, Hands) {
    let (line, hands) = enter(store, room);
    line.look();
    assert_eq!(look(store, 9).await, 0, "nothing is due");
    (line, hands)
}

async fn due(store: &Store) -> usize {
    let now = now_ms();
    let claims = store.claim("portal", None, 99, "x", now, now + 9);
    claims.await.unwrap().len()
}

#[tokio::test]
async fn what_is_new_goes_to_the_sender_that_stands_by_and_to_nobody_else() {
    let store = Fresh::open().await;
    let (_line, mut hands) = stand_by(&store, 9).await;
    let head = change(&store, sample("a", 1)).await;
    let woken: Vec<&str> = head.due().map(|(platform, _)| platform).collect();
    assert_eq!(woken, ["gazette"], "the other one needs no wake-up");
    let (given, _) = hands.next().await.unwrap();
    let (claim, _) = given.first().expect("handed over");
    assert_eq!(given.len(), 1);
    assert_eq!((claim.token, claim.in_doubt, claim.version), (1, false, 1));
    let record: Record = serde_json::from_str(claim.document.text()).unwrap();
    assert_eq!(record.id, head.record_id);
    assert_eq!(due(&store).await, 0, "it is in hand");
    // What the database says is what was handed over.
    let again = claim_one(&store, "portal", now_ms() + 2 * LEASE.as_millis() as i64).await;
    assert_eq!((again.token, again.in_doubt), (2, true));
    assert_eq!(again.document, claim.document);
    let now = now_ms();
    assert!(!settle(&store, claim, shown("late"), now).await);
    assert!(settle(&store, &again, shown("r1"), now).await);
}

#[tokio::test]
async fn who_has_not_caught_up_is_given_nothing() {
    let store = Fresh::open().await;
    let (line, mut hands) = enter(&store, 9);
    // It does not even look.
    change(&store, sample("a", 1)).await;
    assert_eq!(look(&store, 9).await, 1);
    change(&store, sample("b", 1)).await;
    // It looks, and there is more than it can take.
    line.look();
    change(&store, sample("c", 1)).await;
    assert_eq!(look(&store, 2).await, 2);
    change(&store, sample("d", 1)).await;
    assert_eq!(look(&store, 9).await, 1);
    // Somebody else finding nothing says nothing about what this one has to do.
    line.rest();
    line.look();
    assert_eq!(due(&store).await, 0);
    change(&store, sample("e", 1)).await;
    assert_eq!(due(&store).await, 1);
    drop(line);
    assert!(hands.next().await.is_none(), "nothing was ever given");
}

#[tokio::test]
async fn who_has_no_room_looks_again_before_something_new_is_given() {
    let store = Fresh::open().await;
    let (line, mut hands) = stand_by(&store, 2).await;
    for source_id in ["a", "b", "c"] {
        change(&store, sample(source_id, 1)).await;
    }
    let mut given = hands.next().await.unwrap().0;
    given.extend(hands.next().await.unwrap().0);
    assert_eq!(given.len(), 2);
    // There is room again, but the third one was there before the fourth.
    drop(given);
    change(&store, sample("d", 1)).await;
    assert_eq!(look(&store, 9).await, 2);
    change(&store, sample("e", 1)).await;
    assert_eq!(hands.next().await.unwrap().0.len(), 1, "caught up");
    drop(line);
    assert!(hands.next().await.is_none());
}

#[tokio::test]
async fn who_rests_is_given_nothing_until_it_has_looked() {
    let store = Fresh::open().await;
    let (line, mut hands) = stand_by(&store, 9).await;
    line.rest();
    change(&store, sample("a", 1)).await;
    assert_eq!(look(&store, 9).await, 1);
    change(&store, sample("b", 1)).await;
    drop(line);
    assert!(hands.next().await.is_none());
    assert_eq!(due(&store).await, 1);
}

#[tokio::test]
async fn what_is_held_or_corrected_is_not_handed_over() {
    let store = Fresh::open().await;
    change(&store, sample("a", 1)).await;
    assert_eq!(look(&store, 9).await, 1);
    let (line, mut hands) = stand_by(&store, 9).await;
    change(&store, sample("a", 2)).await;
    let mut held = sample("b", 1);
    held.holds = vec![hold(HoldCode::Undeclared)];
    change(&store, held).await;
    drop(line);
    assert!(hands.next().await.is_none());
}

#[tokio::test]
async fn what_was_handed_to_somebody_who_went_away_is_due_again_without_a_doubt() {
    let store = Fresh::open().await;
    let (_line, hands) = stand_by(&store, 9).await;
    // As if the sender ended between the commit and the handing over.
    drop(hands);
    change(&store, sample("a", 1)).await;
    let now = now_ms() + 1_000;
    let claimed = async {
        // What hands it back is a commit of its own, which a claim may overtake on PostgreSQL.
        loop {
            let claims = store.claim("portal", None, 9, "x", now, now + 9).await;
            if let Some(claim) = claims.unwrap().pop() {
                break claim;
            }
        }
    };
    let claim = tokio::time::timeout(Duration::from_secs(20), claimed)
        .await
        .expect("due at once");
    assert_eq!((claim.token, claim.in_doubt, claim.tries), (2, false, 0));
}
