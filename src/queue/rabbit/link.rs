//! One connection to the broker, made anew whenever it breaks.

use super::QueueError;
use futures_util::StreamExt;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Seconds without a sign of life until a connection counts as broken, unless the address says
/// `?heartbeat=`.
const HEARTBEAT_S: u16 = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// First and longest wait between two tries to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// How often a connection is looked at, should it break without telling.
const LOOK: Duration = Duration::from_secs(1);

/// Where the broker is; never shown, it may hold a password.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
    ca_file: Option<PathBuf>,
}

impl Address {
    pub(super) fn parse(url: &str, ca_file: Option<PathBuf>) -> Result<Self, QueueError> {
        // The parser's own text could repeat the password, so it is dropped.
        let mut uri = AMQPUri::from_str(url).map_err(|_| {
            QueueError::Address(
                "it must look like amqps://user:password@host:port/vhost".to_owned(),
            )
        })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        uri.query
            .connection_timeout
            .get_or_insert(CONNECT_TIMEOUT.as_millis() as u64);
        Ok(Self { uri, ca_file })
    }

    async fn connect(&self, name: &str) -> Result<Connection, String> {
        let cert_chain = match &self.ca_file {
            None => None,
            // Read at each try, so that a renewed certificate needs no restart.
            Some(path) => Some(
                tokio::fs::read_to_string(path)
                    .await
                    .map_err(|error| format!("queue.ca_file {}: {error}", path.display()))?,
            ),
        };
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain,
        };
        // Trying again is done here, where it can be told and ended.
        let properties = ConnectionProperties::default()
            .with_connection_name(name.into())
            .configure_backoff(|backoff| backoff.with_max_times(0));
        let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
        let connecting =
            Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

#[derive(Clone)]
enum State {
    Away(Arc<str>),
    Up(Arc<Connection>),
}

/// A connection that is kept up.
pub(super) struct Link {
    state: watch::Receiver<State>,
}

impl Link {
    /// Keeps a connection called `name` up until `shutdown`.
    pub(super) fn start(
        address: Address,
        name: String,
        shutdown: CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let (told, state) = watch::channel(State::Away("not connected yet".into()));
        tasks.spawn(keep_up(address, name, told, shutdown));
        Arc::new(Self { state })
    }

    /// Returns why there is no connection, or why the broker takes nothing in.
    pub(super) fn problem(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Away(problem) => Some(problem.to_string()),
            State::Up(connection) if connection.status().blocked() => {
                Some("the broker is short of memory or disk and takes nothing in".to_owned())
            }
            State::Up(connection) if !connection.status().connected() => {
                Some("the connection broke".to_owned())
            }
            State::Up(_) => None,
        }
    }

    /// Opens a channel as soon as there is a connection; cancel it by dropping.
    pub(super) async fn channel(&self) -> Channel {
        let mut state = self.state.clone();
        loop {
            let now = state.borrow_and_update().clone();
            if let State::Up(connection) = now {
                let opening = tokio::time::timeout(CHANNEL_TIMEOUT, connection.create_channel());
                if let Ok(Ok(channel)) = opening.await {
                    return channel;
                }
            }
            // A connection that gives no channel is about to be replaced, hence the second arm.
            let changed = tokio::time::timeout(LOOK, state.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                // The link has ended; so will whoever asks.
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn keep_up(
    address: Address,
    name: String,
    told: watch::Sender<State>,
    shutdown: CancellationToken,
) {
    let (mut wait, longest) = RETRY;
    let mut outage_told = false;
    loop {
        let connected = tokio::select! {
            () = shutdown.cancelled() => return,
            connected = address.connect(&name) => connected,
        };
        let problem = match connected {
            Ok(connection) => {
                tracing::info!(connection = name, "Connected to the broker ({name})");
                (wait, outage_told) = (RETRY.0, false);
                let connection = Arc::new(connection);
                told.send_replace(State::Up(Arc::clone(&connection)));
                let broken = tokio::select! {
                    () = shutdown.cancelled() => None,
                    problem = until_broken(&connection) => Some(problem),
                };
                let Some(problem) = broken else {
                    let closing = connection.close(200, "OK".into());
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
                    return;
                };
                problem
            }
            Err(problem) => problem,
        };
        if !outage_told {
            outage_told = true;
            tracing::warn!(
                connection = name,
                problem,
                "No connection to the broker ({name}): {problem}; what is due waits in the database"
            );
        }
        told.send_replace(State::Away(problem.into()));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(longest);
    }
}

/// Returns what broke the connection.
async fn until_broken(connection: &Connection) -> String {
    let mut events = Box::pin(connection.events_listener());
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Error(error)) => return error.to_string(),
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "The broker takes nothing in: {reason}");
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("The broker takes messages in again");
                }
                Some(_) => {}
                None => return "the connection ended".to_owned(),
            },
            () = tokio::time::sleep(LOOK) => {
                if !connection.status().connected() {
                    return "the connection ended".to_owned();
                }
            }
        }
    }
}

/// Closes a channel; the broker gives to others what was fetched on it and not acknowledged.
pub(super) async fn let_go(channel: &Channel) {
    // An error means that it is closed already, no answer that the connection is about to break.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, channel.close(200, "OK".into())).await;
}
