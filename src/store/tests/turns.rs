//! Whose turn it is when more is due than one claim takes.

use super::*;

async fn waiting(store: &Store, names: std::ops::Range<usize>, ahead: bool) -> Vec<RecordId> {
    let mut ids = Vec::new();
    for number in names {
        let new = NewSubmission {
            ahead,
            // Later entries are due later.
            received_at: 1_000 + number as i64,
            ..sample(&format!("OA-{number}"), 1)
        };
        ids.push(change(store, new).await.record_id);
    }
    ids
}

async fn claimed(store: &Store, limit: i64) -> Vec<RecordId> {
    let now = later();
    let claims = store
        .claim("portal", None, limit, "sender", now, now + 60_000)
        .await
        .unwrap();
    claims.into_iter().map(|claim| claim.record_id).collect()
}

#[tokio::test]
async fn one_entry_of_a_unit_goes_ahead_of_the_many_of_another() {
    let store = Fresh::open().await;
    let many = waiting(&store, 0..20, false).await;
    let one = waiting(&store, 20..21, true).await;
    let first = claimed(&store, 4).await;
    assert!(first.contains(&one[0]), "the newest of all");
    assert!(many[..3].iter().all(|it| first.contains(it)), "the oldest");
    // Nothing is taken twice and nothing is left out.
    let mut rest = claimed(&store, 100).await;
    rest.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(rest, many[3..]);
}

#[tokio::test]
async fn those_who_go_ahead_leave_half_to_those_who_wait_longest() {
    let store = Fresh::open().await;
    let old = waiting(&store, 0..10, false).await;
    let ahead = waiting(&store, 10..30, true).await;
    let first = claimed(&store, 8).await;
    let of = |ids: &[RecordId]| first.iter().filter(|it| ids.contains(it)).count();
    assert_eq!((of(&old), of(&ahead)), (4, 4));
    assert!(
        old[..4]
            .iter()
            .chain(&ahead[..4])
            .all(|it| first.contains(it))
    );
    // One place alone goes to one that may go ahead; a whole batch of one kind is filled.
    assert_eq!(claimed(&store, 1).await, [ahead[4].clone()]);
    assert_eq!(claimed(&store, 12).await.len(), 12);
    assert_eq!(claimed(&store, 100).await.len(), 9);
    assert_eq!(claimed(&store, 100).await.len(), 0);
}

#[tokio::test]
async fn what_failed_once_waits_its_turn_and_gets_it() {
    let store = Fresh::open().await;
    waiting(&store, 0..4, true).await;
    let now = later();
    let poison = store
        .claim("portal", None, 4, "sender", now, now + 60_000)
        .await
        .unwrap();
    let retry = |due_at| Settled::Retry {
        due_at,
        counts: true,
        in_doubt: false,
    };
    for claim in &poison {
        settle(&store, claim, retry(2_000), now).await;
    }
    // Due before all of these, and yet half of the places are theirs.
    let fresh = waiting(&store, 1_010..1_014, true).await;
    let taken = claimed(&store, 4).await;
    assert_eq!(taken.iter().filter(|it| fresh.contains(it)).count(), 2);
    let of_poison = poison.iter().filter(|it| taken.contains(&it.record_id));
    assert_eq!(of_poison.count(), 2);
}

#[tokio::test]
async fn a_correction_of_a_quiet_unit_and_every_withdrawal_go_ahead() {
    let store = Fresh::open().await;
    let ids = waiting(&store, 0..6, false).await;
    change(
        &store,
        NewSubmission {
            ahead: true,
            ..sample("OA-4", 2)
        },
    )
    .await;
    let first = claimed(&store, 2).await;
    assert_eq!(first, [ids[0].clone(), ids[4].clone()]);
    // It was with a sender, so there is something to take down.
    let claim = store
        .claim("gazette", None, 9, "s", later(), later() + 9)
        .await;
    for claim in claim.unwrap() {
        settle(&store, &claim, shown("x"), later()).await;
    }
    for (index, revision) in [(0, 2), (5, 2), (3, 2)] {
        let name = format!("OA-{index}");
        let new = match index {
            3 => withdrawal(&name, revision),
            _ => sample(&name, revision),
        };
        change(&store, new).await;
    }
    let now = later();
    let claims = store.claim("gazette", None, 1, "s", now, now + 9).await;
    assert_eq!(claims.unwrap()[0].record_id, ids[3]);
}
