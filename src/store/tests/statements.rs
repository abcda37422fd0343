//! Every statement of the store is prepared on both engines.

use super::*;
use crate::store::bulk::Bulk;
use crate::store::db::{Db, Pools};
use crate::store::{
    account, attachment, catalogue, claim, due, event, failure, hand, operate, overriding, pause,
    platform, record, redirect, replay, retire, same, schema, sender, settle, steer, submit, trace,
    verification, writer,
};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, raw_sql};

fn bulks() -> Vec<&'static Bulk> {
    [
        &claim::BULKS[..],
        &settle::BULKS[..],
        &failure::BULKS[..],
        &overriding::BULKS[..],
        &same::BULKS[..],
        &steer::bulks(),
        &replay::BULKS[..],
        &submit::bulks(),
        &event::BULKS[..],
    ]
    .concat()
}

fn statements(postgres: bool) -> Vec<String> {
    let own: Vec<&[&'static str]> = if postgres {
        vec![
            &claim::POSTGRES,
            &due::POSTGRES,
            &schema::POSTGRES,
            &writer::POSTGRES,
        ]
    } else {
        vec![
            &claim::SQLITE,
            &due::SQLITE,
            &schema::SQLITE,
            &writer::SQLITE,
        ]
    };
    let shared: [&[&'static str]; 20] = [
        &[PING],
        &claim::SHARED,
        &due::SHARED,
        &schema::SHARED,
        &account::SHARED,
        &catalogue::SHARED,
        &attachment::SHARED,
        &failure::SHARED,
        &hand::SHARED,
        &overriding::SHARED,
        &operate::SHARED,
        &pause::SHARED,
        &platform::SHARED,
        &breaker::SHARED,
        &record::SHARED,
        &redirect::SHARED,
        &retire::SHARED,
        &sender::SHARED,
        &trace::SHARED,
        &writer::SHARED,
    ];
    let mut texts = shared.concat();
    texts.extend(verification::shared());
    texts.extend(event::shared());
    texts.extend(own.concat());
    texts.extend(replay::shared());
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
        due_before: Some(1),
        late: None,
    };
    let mut filters = vec![RecordFilter::default(), all.clone()];
    for late in [true, false] {
        filters.push(RecordFilter {
            late: Some(Lateness { late, at: 1 }),
            ..RecordFilter::default()
        });
    }
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
    let pools = Pools::open(url, store.patience()).await.unwrap();
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
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn every_statement_is_understood_by_postgres() {
    let database = PostgresDatabase::create().await;
    prepare_all(&database.url, true).await;
}

/// Indexes by which a statement that names its rows must not look for them: they hold an entry for
/// all that was in a state, or due, since the last vacuum.
const CROWDED: [&str; 3] = ["deliveries_state", "deliveries_due", "deliveries_ahead"];

#[tokio::test]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn postgres_looks_for_given_rows_by_what_names_them() {
    let database = PostgresDatabase::create().await;
    let store = Store::open(&database.url).await.unwrap();
    store.migrate().await.unwrap();
    let pools = Pools::open(&database.url, store.patience()).await.unwrap();
    let Db::Postgres(pool) = &pools.writer else {
        unreachable!("opened on PostgreSQL")
    };
    let mut connection = pool.acquire().await.unwrap();
    let mut looked_at = 0;
    let mut problems = Vec::new();
    for text in statements(true) {
        if !text.starts_with("WITH given") {
            continue;
        }
        let parameters = (1..).take_while(|number| text.contains(&format!("(${number} ")));
        let nothing = vec!["NULL"; parameters.count()].join(", ");
        let prepare = format!("PREPARE probe AS {text}");
        raw_sql(AssertSqlSafe(prepare))
            .execute(&mut *connection)
            .await
            .unwrap();
        let explain = format!("EXPLAIN EXECUTE probe ({nothing})");
        let plan: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(explain))
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        raw_sql("DEALLOCATE probe")
            .execute(&mut *connection)
            .await
            .unwrap();
        looked_at += 1;
        for (step,) in plan {
            if CROWDED.iter().any(|index| step.contains(index)) || step.contains("Seq Scan") {
                problems.push(format!("{step}\nin: {text}"));
            }
        }
    }
    drop(connection);
    assert!(looked_at > 20, "{looked_at}");
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    pools.close().await;
    store.close().await;
}

/// Statements that count everything, and say so.
const WHOLE_TABLES: [&str; 1] = ["count FROM deliveries GROUP BY state, platform"];
/// The tables that grow without end, with their aliases in our texts.
const LARGE_TABLES: [&str; 16] = [
    "events",
    "records",
    "submissions",
    "versions",
    "attachments",
    "deliveries",
    "attempts",
    "replay_items",
    "d",
    "e",
    "i",
    "p",
    "r",
    "s",
    "shown",
    "w",
];

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/hub.db", folder.path().display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let crate::store::db::Db::Sqlite(pool) = &store.pools().writer else {
        unreachable!("opened above")
    };
    let mut problems = Vec::new();
    for text in statements(false) {
        if WHOLE_TABLES.iter().any(|part| text.contains(part)) {
            continue;
        }
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")))
                .fetch_all(pool)
                .await
                .unwrap();
        for (_, _, _, step) in plan {
            let mut words = step.split(' ');
            let scans = words.next() == Some("SCAN")
                && words
                    .next()
                    .is_some_and(|name| LARGE_TABLES.contains(&name));
            // In the order of an index, up to a limit, is a page.
            let page = step.contains("INDEX") && text.contains("LIMIT");
            if scans && !page {
                problems.push(format!("{step}\nin: {text}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}
