//! What comes in and what goes out do not wait for each other where the engine lets both write.

use super::*;
use crate::store::db::{Db, Pools};
use std::time::Duration;

/// Locks the one delivery of `claim` in a transaction of somebody else.
async fn lock(pools: &Pools, claim: &Claim) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let Db::Postgres(pool) = &pools.writer else {
        unreachable!("opened on PostgreSQL")
    };
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM deliveries WHERE id = $1 FOR UPDATE")
        .bind(claim.delivery.as_str())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn what_comes_in_does_not_wait_for_an_outcome_that_cannot_be_stored_yet() {
    let database = PostgresDatabase::create().await;
    let store = Store::open(&database.url).await.unwrap();
    store.migrate().await.unwrap();
    change(&store, sample("a", 1)).await;
    let claim = claim_one(&store, "portal", later()).await;
    let somebody = Pools::open(&database.url, store.patience()).await.unwrap();
    let locked = lock(&somebody, &claim).await;
    let settling = tokio::spawn({
        let (store, claim) = (store.clone(), claim.clone());
        async move { settle(&store, &claim, shown("1"), later()).await }
    });
    // Its transaction waits for the lock.
    let waits = async {
        let Db::Postgres(pool) = &somebody.writer else {
            unreachable!("opened on PostgreSQL")
        };
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        loop {
            let (count,): (i64,) = sqlx::query_as(waiting).fetch_one(pool).await.unwrap();
            if count > 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits)
        .await
        .expect("the outcome waits for the lock");
    let coming_in = change(&store, sample("b", 1));
    tokio::time::timeout(Duration::from_secs(20), coming_in)
        .await
        .expect("a submission is accepted meanwhile");
    assert!(!settling.is_finished());
    locked.commit().await.unwrap();
    assert!(settling.await.unwrap(), "it was the newest claim");
    somebody.close().await;
    store.close().await;
}
