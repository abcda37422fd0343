//! The two engines behind one SQL text.
//!
//! Every statement is written once; [`on!`] runs the same Rust body against the concrete driver of
//! the engine that the URL chose, and [`from_row!`] reads the same row struct from both.

use super::StoreError;
use super::outage::Patience;
use crate::failpoint::{Point, reach};
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Postgres, Sqlite, Transaction};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SQLITE_READERS_MAX: u32 = 4;
const POSTGRES_READERS_MAX: u32 = 8;
/// Transactions that the writer has under way at once on PostgreSQL.
const POSTGRES_WRITES_AT_ONCE: usize = 2;
/// Those of the writer, and two for operators and events; each keeps plans of its own.
const POSTGRES_WRITERS_MAX: u32 = POSTGRES_WRITES_AT_ONCE as u32 + 2;
/// Short, so that a connection is asked for again soon while the database is away; how long one
/// waits in all is decided by those who ask.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that answered so recently is used without asking whether it still does. If it does
/// not, whoever uses it meets an outage like any other.
const FRESH_MAX: Duration = Duration::from_millis(100);
/// Takes SQLite's write lock at once.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// Statements kept prepared per connection; above the number of texts of this module.
const STATEMENTS_MAX: usize = 512;

/// Every statement of the writers touches few rows of large tables, by index. Without this, plans
/// made while a table was small are kept, and read the whole table once it has grown. One plan for
/// all values, made once: the values never change it, and making it is dear for many rows.
const BY_INDEX: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; \
     SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

/// Texts of a few KB are compressed by what costs least, where the server (14 and later) has it.
const LIGHT_COMPRESSION: &str = "SELECT set_config(name, 'lz4', false) FROM pg_settings \
     WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";

/// Lets the server end what nobody waits for any more, so that it holds no locks: a statement
/// after the longest wait of a request, a transaction whose process is gone, a broken network.
const BOUNDED: &str = "SET statement_timeout = '30s'; \
     SET idle_in_transaction_session_timeout = '30s'; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// One of the two engines.
pub(super) enum Db<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Connections of the chosen engine.
pub(super) type Pool = Db<SqlitePool, PgPool>;
/// A transaction on the chosen engine.
pub(super) type Tx = Db<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

/// Runs one body against the concrete driver: `on!(pool, |c| query(SQL).execute(c).await)`.
macro_rules! on {
    ($db:expr, |$c:ident| $body:expr) => {
        match $db {
            $crate::store::db::Db::Sqlite($c) => $body,
            $crate::store::db::Db::Postgres($c) => $body,
        }
    };
}
pub(super) use on;

/// Declares a row struct and reads it by column names from both engines.
macro_rules! row {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(super) struct $name { $(pub(super) $field: $type),* }

        impl<'r, R> sqlx::FromRow<'r, R> for $name
        where
            R: sqlx::Row,
            &'static str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?),* })
            }
        }
    };
}
pub(super) use row;

/// A row type that both engines can deliver.
pub(super) trait AnyRow:
    for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
    + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
    + Send
    + Unpin
{
}

impl<T> AnyRow for T where
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
        + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
        + Send
        + Unpin
{
}

/// The connections of a store: many may read, few may write.
pub(super) struct Pools {
    pub(super) reader: Pool,
    pub(super) writer: Pool,
    /// Whether changes leave events in the outbox.
    pub(super) events: AtomicBool,
}

impl Pools {
    /// Connects to the engine that the scheme of `url` names.
    pub(super) async fn open(url: &str, patience: Patience) -> Result<Self, StoreError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(url).await,
            Some("postgres" | "postgresql") => open_postgres(url, patience).await,
            Some(_) | None => Err(StoreError::Address {
                reason: "it must begin with sqlite:// or postgres://".to_owned(),
            }),
        }
    }

    /// Returns whether changes leave events in the outbox.
    pub(super) fn writes_events(&self) -> bool {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns how many transactions the writer may have under way: SQLite has one write lock.
    pub(super) fn writes_at_once(&self) -> usize {
        match self.writer {
            Db::Sqlite(_) => 1,
            Db::Postgres(_) => POSTGRES_WRITES_AT_ONCE,
        }
    }

    pub(super) async fn close(&self) {
        on!(&self.reader, |c| c.close().await);
        on!(&self.writer, |c| c.close().await);
    }
}

/// Takes a connection out of `pool`. In a box, here as wherever a transaction begins: the driver's
/// future has room for connecting anew, 14 KB that the future of every request and every delivery
/// would carry along.
pub(super) fn acquire<D: sqlx::Database>(
    pool: &sqlx::Pool<D>,
) -> BoxFuture<'static, Result<sqlx::pool::PoolConnection<D>, sqlx::Error>> {
    Box::pin(pool.acquire())
}

impl Pool {
    /// Begins a transaction that may write at once: SQLite takes the write lock here, so that it
    /// never has to upgrade a read.
    pub(super) async fn begin_write(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Db::Sqlite(pool) => Db::Sqlite(match Box::pin(pool.begin_with(BEGIN)).await {
                // A disk that is full ends the transaction behind the driver's back; the driver
                // then believes for ever to be inside it. A new connection knows better.
                Err(sqlx::Error::InvalidSavePointStatement) => {
                    acquire(pool).await?.close().await?;
                    Box::pin(pool.begin_with(BEGIN)).await?
                }
                begun => begun?,
            }),
            Db::Postgres(pool) => Db::Postgres(Box::pin(pool.begin()).await?),
        })
    }
}

impl Pool {
    /// Begins a transaction that only reads, so that all its statements see one state.
    pub(super) async fn begin_read(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Db::Sqlite(pool) => Db::Sqlite(Box::pin(pool.begin()).await?),
            Db::Postgres(pool) => Db::Postgres(Box::pin(pool.begin()).await?),
        })
    }
}

impl Tx {
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        on!(self, |c| c.commit().await)
    }

    /// As [`Tx::commit`], for what an operator does.
    pub(super) async fn commit_act(self) -> Result<(), sqlx::Error> {
        reach(Point::ActCommitting);
        self.commit().await?;
        reach(Point::ActCommitted);
        Ok(())
    }
}

async fn open_sqlite(url: &str) -> Result<Pools, StoreError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|_| StoreError::Address {
            reason: "it must look like sqlite://path/to/file.db".to_owned(),
        })?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An accepted submission must survive a power cut, so not NORMAL.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // KiB; the pages that the writer touches all the time.
        .pragma("cache_size", "-8192")
        // Every checkpoint writes the pages of the hot indexes once more.
        .pragma("wal_autocheckpoint", "4000")
        .pragma("temp_store", "memory")
        .statement_cache_capacity(STATEMENTS_MAX);
    // One writer: SQLite has one write lock, and waiting in our own line is fair and cheap.
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not go away like a server; asking costs two switches of threads each time.
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await
        .map_err(StoreError::while_doing("open the database file"))?;
    let reader = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(
            options
                .pragma("cache_size", "-4096")
                .pragma("query_only", "ON"),
        );
    Ok(Pools {
        reader: Db::Sqlite(reader),
        writer: Db::Sqlite(writer),
        events: AtomicBool::new(false),
    })
}

async fn open_postgres(url: &str, mut patience: Patience) -> Result<Pools, StoreError> {
    // The driver's own text could repeat the password, so it is dropped.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Address {
            reason: "it must look like postgres://user:password@host:port/database".to_owned(),
        })?
        .application_name("synchub")
        .statement_cache_capacity(STATEMENTS_MAX);
    let reader = postgres_pool(POSTGRES_READERS_MAX, &[BOUNDED]).connect_lazy_with(options.clone());
    let writer = postgres_pool(
        POSTGRES_WRITERS_MAX,
        &[BOUNDED, BY_INDEX, LIGHT_COMPRESSION],
    );
    // Started together with its server, the hub waits for it.
    let writer = loop {
        match writer.clone().connect_with(options.clone()).await {
            Ok(writer) => break writer,
            Err(error) if patience.another_try(&error).await => {}
            Err(error) => return Err(StoreError::while_doing("connect to the database")(error)),
        }
    };
    Ok(Pools {
        reader: Db::Postgres(reader),
        writer: Db::Postgres(writer),
        events: AtomicBool::new(false),
    })
}

/// A pool whose connections begin with these statements.
fn postgres_pool(connections_max: u32, setup: &'static [&'static str]) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        // Unlike a file, a server can go away; asking takes as long as a small statement.
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                match idle.idle_for < FRESH_MAX {
                    true => Ok(true),
                    false => connection.ping().await.map(|()| true),
                }
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for text in setup {
                    sqlx::raw_sql(*text).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
}
