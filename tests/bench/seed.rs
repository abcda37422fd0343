//! Fills a store quickly, so that the hub can be measured with a million records in it.
//!
//! A first thousand entries goes through the hub like any other. The rows that the hub made of
//! them, in every table, are then copied by the database itself with ids of their own, which sort
//! before all later ones: what is stored looks exactly as if it had been posted long ago.

use crate::hub::Hub;
use crate::post;
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _};
use std::time::Duration;

/// Entries that go through the hub and are copied.
const ORIGINALS: usize = 1_000;
/// Copies of each original in one transaction; the hub waits for the lock meanwhile.
const COPIES_AT_ONCE: usize = 5;

/// Tables in the order in which they refer to each other.
const TABLES: [&str; 5] = [
    "records",
    "submissions",
    "versions",
    "deliveries",
    "attempts",
];
/// Columns that hold an id made by the hub; a copy's begins with the number of the copy.
const IDS: [&str; 4] = ["id", "record_id", "submission_id", "delivery_id"];
/// Columns that must differ between copies for another reason.
const NAMES: [&str; 2] = ["source_id", "index_no"];

const SETTLED: &str =
    "SELECT COUNT(*) FROM deliveries WHERE state = 'delivered' AND shown_version = version";

/// The statements that copy all originals as copies `$1 ..= $2`.
fn statements(columns: &[(&str, Vec<String>)], postgres: bool) -> Vec<String> {
    let number = match postgres {
        true => "lpad(to_hex(copies.number), 8, '0')",
        false => "printf('%08x', copies.number)",
    };
    let copy = |(table, columns): &(&str, Vec<String>)| {
        let values: Vec<String> = columns
            .iter()
            .map(|column| match column.as_str() {
                id if IDS.contains(&id) => format!("{number} || substr(t.{id}, 9)"),
                name if NAMES.contains(&name) => format!("t.{name} || '-' || copies.number"),
                other => format!("t.{other}"),
            })
            .collect();
        // Every id of an original begins with the time, a copy's with a small number.
        format!(
            "WITH RECURSIVE copies (number) AS (SELECT CAST($1 AS BIGINT) UNION ALL \
             SELECT number + 1 FROM copies WHERE number < $2) \
             INSERT INTO {table} ({}) SELECT {} FROM copies CROSS JOIN {table} t \
             WHERE t.{} >= '01'",
            columns.join(", "),
            values.join(", "),
            if *table == "versions" {
                "record_id"
            } else {
                "id"
            },
        )
    };
    columns.iter().map(copy).collect()
}

macro_rules! fill {
    ($connection:ty, $store:expr, $copies:expr, $postgres:expr, $after:expr) => {{
        let mut connection = <$connection>::connect($store).await.expect("the store");
        wait_until_settled!(connection);
        let mut columns = Vec::new();
        for table in TABLES {
            let one = format!("SELECT * FROM {table} LIMIT 1");
            let row = sqlx::query(AssertSqlSafe(one))
                .fetch_one(&mut connection)
                .await
                .expect("a row");
            let names = row.columns().iter().map(|it| it.name().to_owned());
            columns.push((table, names.collect()));
        }
        let statements = statements(&columns, $postgres);
        for first in (1..=$copies).step_by(COPIES_AT_ONCE) {
            let last = $copies.min(first + COPIES_AT_ONCE - 1);
            let mut transaction = connection.begin().await.expect("a transaction");
            for statement in &statements {
                sqlx::query(AssertSqlSafe(statement.clone()))
                    .bind(first as i64)
                    .bind(last as i64)
                    .execute(&mut *transaction)
                    .await
                    .expect("copies");
            }
            transaction.commit().await.expect("a commit");
        }
        sqlx::query($after)
            .execute(&mut connection)
            .await
            .expect("the engine tidies up");
        connection.close().await.expect("it closes");
    }};
}

macro_rules! wait_until_settled {
    ($connection:ident) => {
        loop {
            let settled: i64 = sqlx::query_scalar(SETTLED)
                .fetch_one(&mut $connection)
                .await
                .expect("a count");
            if settled >= (ORIGINALS * crate::receiver::RECEIVERS) as i64 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
}

/// Brings the store of `hub` to `stored` records, in whole thousands.
pub(crate) async fn seed(hub: &Hub, stored: usize, bytes: usize) {
    post::run(hub, "stored", "batch", ORIGINALS, bytes).await;
    let copies = stored.div_ceil(ORIGINALS) - 1;
    // What an operator's database does by itself within the hour.
    match hub.store.starts_with("sqlite") {
        true => fill!(
            sqlx::SqliteConnection,
            &hub.store,
            copies,
            false,
            "PRAGMA wal_checkpoint(TRUNCATE)"
        ),
        false => fill!(
            sqlx::PgConnection,
            &hub.store,
            copies,
            true,
            "VACUUM (ANALYZE)"
        ),
    }
}
