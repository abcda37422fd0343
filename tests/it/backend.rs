//! The database and the queue of one test, chosen by the environment: `SYNCHUB_TEST_STORE` is
//! `sqlite` or `postgres`, `SYNCHUB_TEST_QUEUE` is `embedded` or `rabbitmq`.
//!
//! Each test has its own and removes it at its end. `tests/run` starts the servers and names them;
//! a server that is wanted and not named fails the test.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::future::Future;
use std::path::Path;

/// Database and queue of one hub.
pub(crate) struct Backend {
    database: Database,
    queue: Option<Broker>,
    /// Files of records lie here when the database is no file that they could lie beside.
    files: tempfile::TempDir,
}

impl Backend {
    /// What the environment asks for.
    pub(crate) fn chosen() -> Self {
        let database = match variable("SYNCHUB_TEST_STORE").as_deref() {
            Some("sqlite") | None => Database::file(),
            Some("postgres") => Database::on_server(&needed("SYNCHUB_TEST_POSTGRES_URL")),
            Some(other) => panic!("SYNCHUB_TEST_STORE is sqlite or postgres, not {other}"),
        };
        Self::with(database)
    }

    /// A certain database with the queue that the environment asks for.
    pub(crate) fn with(database: Database) -> Self {
        let queue = match variable("SYNCHUB_TEST_QUEUE").as_deref() {
            Some("embedded") | None => None,
            Some("rabbitmq") => Some(Broker::shared(&needed("SYNCHUB_TEST_AMQP_URL"))),
            Some(other) => panic!("SYNCHUB_TEST_QUEUE is embedded or rabbitmq, not {other}"),
        };
        Self {
            database,
            queue,
            files: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A database on the server of the environment, with queues on a certain broker.
    pub(crate) fn on_broker(url: &str) -> Self {
        Self::of(
            Database::on_server(&needed("SYNCHUB_TEST_POSTGRES_URL")),
            url,
        )
    }

    /// A certain database with queues on a certain broker.
    pub(crate) fn of(database: Database, broker: &str) -> Self {
        Self {
            database,
            queue: Some(Broker::shared(broker)),
            files: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The names of the queues of a hub here: one per platform, then that for odd messages.
    pub(crate) fn queues(&self) -> (Vec<String>, String) {
        let prefix = &self.queue.as_ref().expect("a broker").prefix;
        let deliver = crate::hub::ALL.map(|platform| format!("{prefix}.deliver.{platform}"));
        (deliver.into(), format!("{prefix}.parking"))
    }

    /// The settings that lead a hub here.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut environment = vec![("SYNCHUB__STORE__URL".to_owned(), self.database.url())];
        if matches!(self.database, Database::OnServer { .. } | Database::At(_)) {
            let folder = self.files.path().display().to_string();
            environment.push(("SYNCHUB__ATTACHMENTS__URL".to_owned(), folder));
        }
        if let Some(broker) = &self.queue {
            environment.push(("SYNCHUB__QUEUE__URL".to_owned(), broker.url.clone()));
            environment.push(("SYNCHUB__QUEUE__PREFIX".to_owned(), broker.prefix.clone()));
        }
        environment
    }

    pub(crate) fn has_broker(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

/// A database of its own.
pub(crate) enum Database {
    /// A SQLite file in a folder that goes with it.
    File(tempfile::TempDir),
    /// A SQLite file in a folder of somebody else's.
    FileIn(std::path::PathBuf),
    /// A database on a PostgreSQL server.
    OnServer {
        /// URL of a database that is not ours, to create and drop from.
        server: String,
        name: String,
        /// Whether the server outlives the database, so that dropping it is worth while.
        tidy: bool,
    },
    /// An address that leads to a database in another way, for instance through a proxy.
    At(String),
}

impl Database {
    fn file() -> Self {
        Self::File(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn file_in(folder: &Path) -> Self {
        Self::FileIn(folder.to_owned())
    }

    pub(crate) fn on_server(server: &str) -> Self {
        Self::create(server, true)
    }

    /// On a server that ends with the test.
    pub(crate) fn on_own_server(server: &str) -> Self {
        Self::create(server, false)
    }

    fn create(server: &str, tidy: bool) -> Self {
        let name = format!("synchub_t_{}", uuid::Uuid::now_v7().simple());
        administer(server, &format!("CREATE DATABASE {name}"));
        Self::OnServer {
            server: server.to_owned(),
            name,
            tidy,
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(folder) => file_url(folder.path()),
            Self::FileIn(folder) => file_url(folder),
            Self::OnServer { server, name, .. } => {
                let (base, _) = server.rsplit_once('/').expect("a URL with a database");
                format!("{base}/{name}")
            }
            Self::At(url) => url.clone(),
        }
    }

    /// Runs one statement past the hub.
    pub(crate) fn execute(&self, text: &str) {
        let url = self.url();
        if url.starts_with("postgres") {
            return administer(&url, text);
        }
        let text = text.to_owned();
        blocking(async move {
            let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("a file");
            sqlx::query(AssertSqlSafe(text.as_str()))
                .execute(&mut connection)
                .await
                .unwrap_or_else(|error| panic!("{error} in: {text}"));
        });
    }

    /// Everything that is stored about accounts, as the engine keeps it.
    pub(crate) fn stored_accounts(&self) -> Vec<u8> {
        match self {
            Self::File(folder) => stored_files(folder.path()),
            Self::FileIn(folder) => stored_files(folder),
            Self::OnServer { .. } | Self::At(_) => {
                let url = self.url();
                blocking(async move {
                    let mut connection = PgConnection::connect(&url).await.expect("it answers");
                    let rows: Vec<(String,)> =
                        sqlx::query_as("SELECT CAST(accounts.* AS TEXT) FROM accounts")
                            .fetch_all(&mut connection)
                            .await
                            .expect("accounts are readable");
                    rows.into_iter()
                        .flat_map(|row| row.0.into_bytes())
                        .collect()
                })
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::OnServer {
            server,
            name,
            tidy: true,
        } = self
        {
            administer(
                server,
                &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            );
        }
    }
}

fn file_url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("hub.db").display())
}

fn stored_files(folder: &Path) -> Vec<u8> {
    ["hub.db", "hub.db-wal"]
        .into_iter()
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect()
}

/// Queues of its own on a shared broker.
struct Broker {
    url: String,
    prefix: String,
}

impl Broker {
    fn shared(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: format!("synchub-t-{}", uuid::Uuid::now_v7().simple()),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let (url, prefix) = (self.url.clone(), self.prefix.clone());
        blocking(async move {
            // A broker that the test has ended has nothing left to remove.
            let Ok(connection) = lapin::Connection::connect(&url, Default::default()).await else {
                return;
            };
            let mut names: Vec<String> = crate::hub::ALL
                .iter()
                .map(|platform| format!("{prefix}.deliver.{platform}"))
                .collect();
            names.push(format!("{prefix}.parking"));
            for name in names {
                // One that does not exist is as good as removed; the channel may be gone after it.
                if let Ok(channel) = connection.create_channel().await {
                    let _ = channel.queue_delete(name.into(), Default::default()).await;
                }
            }
            for name in ["events", "deliver", "parking"] {
                if let Ok(channel) = connection.create_channel().await {
                    let name = format!("{prefix}.{name}");
                    let _ = channel
                        .exchange_delete(name.into(), Default::default())
                        .await;
                }
            }
            let _ = connection.close(200, "done".into()).await;
        });
    }
}

/// Runs one statement on a PostgreSQL server.
pub(crate) fn administer(url: &str, text: &str) {
    let (url, text) = (url.to_owned(), text.to_owned());
    blocking(async move {
        let mut connection = PgConnection::connect(&url).await.expect("it answers");
        sqlx::query(AssertSqlSafe(text.as_str()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{error} in: {text}"));
    });
}

/// Runs `work` to its end on a thread of its own, since it may be wanted where nothing can be
/// awaited.
pub(crate) fn blocking<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(work)
    })
    .join()
    .expect("no panic")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn needed(name: &str) -> String {
    variable(name)
        .unwrap_or_else(|| panic!("{name} is not set; `tests/run` starts the servers and sets it"))
}
