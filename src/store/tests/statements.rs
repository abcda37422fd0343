//! Every statement of the store is prepared on both engines.

use super::*;
use crate::store::bulk::Bulk;
use crate::store::db::Pools;
use crate::store::{
    account, claim, due, failure, operate, platform, record, replay, schema, settle, steer, submit,
    trace,
};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

fn bulks() -> Vec<&'static Bulk> {
    [
        &claim::BULKS[..],
        &settle::BULKS[..],
        &steer::BULKS[..],
        &submit::bulks(),
        &replay::BULKS[..],
    ]
    .concat()
}

fn statements(postgres: bool) -> Vec<String> {
    let own: Vec<&[&'static str]> = if postgres {
        vec![&claim::POSTGRES, &schema::POSTGRES]
    } else {
        vec![&claim::SQLITE, &schema::SQLITE]
    };
    let shared: [&[&'static str]; 11] = [
        &[PING, submit::INSERT_ATTACHMENT],
        &claim::SHARED,
        &due::SHARED,
        &schema::SHARED,
        &account::SHARED,
        &failure::SHARED,
        &operate::SHARED,
        &platform::SHARED,
        &record::SHARED,
        &replay::SHARED,
        &trace::SHARED,
    ];
    let mut texts = shared.concat();
    texts.extend(own.concat());
    for bulk in bulks() {
        texts.extend(bulk.all_texts(postgres));
    }
    let mut texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
    texts.extend(replay::filter_texts());
    texts.extend(list_texts());
    texts
}

fn list_texts() -> Vec<String> {
    let word = Some("x".to_owned());
    let all = RecordFilter {
        source_id: word.clone(),
        source: word.clone(),
        unit: word.clone(),
        area: word.clone(),
        state: Some(RecordState::Live),
        platform: word.clone(),
        delivery_state: None,
        from: Some(0),
        to: Some(1),
        text: word.clone(),
    };
    let mut filters = vec![RecordFilter::default(), all.clone()];
    for state in DeliveryState::ALL {
        for platform in [None, word.clone()] {
            filters.push(RecordFilter {
                platform,
                delivery_state: Some(state),
                ..all.clone()
            });
        }
    }
    filters
        .iter()
        .map(|filter| record::list_text(filter, Some("%x%"), Some((0, "x")), 10).0)
        .collect()
}

async fn prepare_all(url: &str, postgres: bool) {
    let store = Store::open(url).await.unwrap();
    store.migrate().await.unwrap();
    let pools = Pools::open(url).await.unwrap();
    for text in statements(postgres) {
        let prepared = on!(&pools.writer, |c| {
            let mut connection = c.acquire().await.unwrap();
            (&mut *connection)
                .prepare(AssertSqlSafe(text.as_str()).into_sql_str())
                .await
                .map(drop)
        });
        if let Err(error) = prepared {
            panic!("{error}\nin: {text}");
        }
    }
    pools.close().await;
    store.close().await;
}

#[tokio::test]
async fn every_statement_is_understood_by_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    prepare_all(
        &format!("sqlite://{}/hub.db", folder.path().display()),
        false,
    )
    .await;
}

#[tokio::test]
async fn every_statement_is_understood_by_postgres() {
    // Without a server there is nothing to ask; `tests/run` starts one.
    let Some(url) = postgres_url() else { return };
    prepare_all(&new_postgres_database(&url).await, true).await;
}
