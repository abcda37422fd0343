//! What this machine can do at all, measured in the same run: the hub's figures are shares of it.

use crate::Options;
use crate::post::{Connection, entry};
use crate::receiver;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The bare limits, per second.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Limits {
    /// Loopback posts of the same body, 64 at once.
    pub(crate) loopback_posts_per_s: f64,
    /// Durable commits of one such row, one after the other, on the engine that is measured.
    pub(crate) durable_commits_per_s: f64,
    /// Confirmed publishes of a small message, pipelined; none without a broker.
    pub(crate) confirmed_publishes_per_s: Option<f64>,
    /// What the engine calls itself.
    pub(crate) store_version: String,
}

/// Rows a second, each with a commit of its own, and the version of the engine.
macro_rules! commits_on {
    ($connection:ident, $row:ident, $version:literal) => {{
        let connection = &mut $connection;
        for text in [
            "DROP TABLE IF EXISTS bare_rows",
            "CREATE TABLE bare_rows (id BIGINT PRIMARY KEY, body TEXT NOT NULL)",
        ] {
            sqlx::query(text)
                .execute(&mut *connection)
                .await
                .expect("a table");
        }
        let began = Instant::now();
        let mut count = 0_i64;
        while began.elapsed() < SPAN {
            sqlx::query("INSERT INTO bare_rows (id, body) VALUES ($1, $2)")
                .bind(count)
                .bind(&$row)
                .execute(&mut *connection)
                .await
                .expect("a row");
            count += 1;
        }
        let rate = count as f64 / began.elapsed().as_secs_f64();
        sqlx::query("DROP TABLE bare_rows")
            .execute(&mut *connection)
            .await
            .expect("the table goes");
        let version: String = sqlx::query_scalar($version)
            .fetch_one(&mut *connection)
            .await
            .expect("a version");
        (rate, version)
    }};
}

const SPAN: Duration = Duration::from_secs(2);

pub(crate) async fn measure(options: &Options) -> Limits {
    let loopback_posts_per_s = loopback(options.bytes).await;
    let (durable_commits_per_s, store_version) = commits(options).await;
    let confirmed_publishes_per_s = match options.queue.starts_with("amqp") {
        true => Some(publishes(&options.queue).await),
        false => None,
    };
    Limits {
        loopback_posts_per_s,
        durable_commits_per_s,
        confirmed_publishes_per_s,
        store_version,
    }
}

async fn loopback(bytes: usize) -> f64 {
    let mut receivers = Command::new(std::env::current_exe().expect("this program"))
        .arg("--receive")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the receivers start");
    let mut line = String::new();
    let stdout = receivers.stdout.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("readable");
    let address = format!(
        "127.0.0.1:{}",
        line.split_whitespace().next().expect("a port")
    );
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (address, body) = (address.clone(), entry("bare", bytes));
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&address).await;
            let mut count = 0_usize;
            while began.elapsed() < SPAN {
                connection.post("/bare", "none", body.as_bytes()).await;
                count += 1;
            }
            count
        }));
    }
    let mut count = 0;
    for task in tasks {
        count += task.await.expect("a sender ends well");
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let _ = receivers.kill();
    let _ = receivers.wait();
    let _ = receiver::RECEIVERS;
    rate
}

async fn commits(options: &Options) -> (f64, String) {
    let row = entry("bare", options.bytes);
    if options.store != "sqlite" {
        let mut connection = sqlx::PgConnection::connect(&options.store)
            .await
            .expect("the database");
        return commits_on!(connection, row, "SELECT version()");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = SqliteConnectOptions::new()
        .filename(folder.path().join("bare.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .expect("a database");
    commits_on!(connection, row, "SELECT 'SQLite ' || sqlite_version()")
}

async fn publishes(url: &str) -> f64 {
    use futures_util::StreamExt as _;
    use lapin::options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    };
    use lapin::types::{AMQPValue, FieldTable};
    use lapin::{BasicProperties, Connection, ConnectionProperties};
    const WINDOW: usize = 256;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .expect("a broker");
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirms");
    let mut quorum = FieldTable::default();
    quorum.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let queue = "synchub.bench.bare";
    channel
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), quorum)
        .await
        .expect("a queue");
    let began = Instant::now();
    let mut waiting = futures_util::stream::FuturesUnordered::new();
    let mut count = 0_usize;
    while began.elapsed() < SPAN {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let confirm = channel
            .basic_publish(
                "".into(),
                queue.into(),
                BasicPublishOptions::default(),
                &[0; 40],
                properties,
            )
            .await
            .expect("a publish");
        waiting.push(confirm);
        if waiting.len() >= WINDOW {
            waiting.next().await.expect("one waits").expect("a confirm");
            count += 1;
        }
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    while waiting.next().await.is_some() {}
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await
        .expect("it is deleted");
    connection
        .close(200, "done".into())
        .await
        .expect("it closes");
    rate
}
