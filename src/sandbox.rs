//! Three platforms to practise on: real servers that take, keep, show and misbehave.
//!
//! Owns everything that stands in for the outside world in the demo, the tests and a first
//! evaluation: each platform speaks its own protocol, has its own storage and its own public
//! pages. This is the one module that names platforms. Never imported by the hub's own path of
//! data; a connector under `connectors/` meets it only over HTTP.

mod admin;
mod desk;
mod engineering_projects;
mod gov_info;
mod integrity_portal;
mod look;
mod misbehave;
mod page;
mod shelf;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use desk::{Desk, Identity};

/// The largest request that a platform reads.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long [`Started::stop`] waits for requests under way.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// Where the secrets are kept when the storage is kept.
const SECRETS_FILE: &str = "secrets.json";

/// How the platforms are to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port of the first platform, the others follow; 0 takes free ports.
    pub first_port: u16,
    /// Where storage and secrets are kept; `None` keeps them in a folder removed at the end.
    pub dir: Option<PathBuf>,
    /// How long a saved version waits for review where the platform reviews.
    pub review_ms: u64,
    /// How long a token or session lasts.
    pub session_ttl_ms: u64,
    /// How many requests a second the platform with a rate limit takes.
    pub rate_per_s: u32,
    /// How far the clock of a signed request may be off.
    pub skew_s: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            first_port: 0,
            dir: None,
            review_ms: 2_000,
            session_ttl_ms: 30 * 60 * 1_000,
            rate_per_s: 200,
            skew_s: 300,
        }
    }
}

/// One platform that runs.
#[derive(Debug, Clone)]
pub struct StartedPlatform {
    /// The id of the connector that teaches the hub this platform.
    pub id: &'static str,
    /// The name that the public reads.
    pub title: &'static str,
    /// The address of its public pages, without a slash at the end.
    pub url: String,
    /// What its connector refers to: name and value, secrets included.
    pub settings: Vec<(String, String)>,
}

/// The running platforms. They end when this is dropped.
#[derive(Debug)]
pub struct Started {
    /// The platforms in the order of their ports.
    pub platforms: Vec<StartedPlatform>,
    servers: Vec<JoinHandle<()>>,
    ending: DropGuard,
    own_dir: Option<TempDir>,
}

impl Started {
    /// Returns the platform with this connector id.
    pub fn platform(&self, id: &str) -> Option<&StartedPlatform> {
        self.platforms.iter().find(|platform| platform.id == id)
    }

    /// Returns the settings of all platforms, for the environment of a hub.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.platforms
            .iter()
            .flat_map(|platform| &platform.settings)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Ends the platforms: no new requests, a moment for those under way, then the ports are free.
    pub async fn stop(self) {
        drop(self.ending);
        for mut server in self.servers {
            if tokio::time::timeout(STOP_WAIT, &mut server).await.is_err() {
                server.abort();
            }
        }
        drop(self.own_dir);
    }
}

/// One platform, ready to listen.
struct Prepared {
    settings: Vec<(String, String)>,
    desk: Arc<Desk>,
    router: Router,
}

/// What a platform needs to open.
struct Site<'a> {
    address: String,
    dir: &'a Path,
    options: &'a Options,
    secrets: &'a mut Secrets,
}

impl Site<'_> {
    fn desk(&self, identity: Identity, review_ms: u64) -> io::Result<Arc<Desk>> {
        Desk::open(identity, self.address.clone(), self.dir, review_ms).map(Arc::new)
    }
}

/// Starts the three platforms on 127.0.0.1.
///
/// # Errors
/// When a port is taken or the storage cannot be opened.
pub async fn start(options: Options) -> io::Result<Started> {
    let own_dir = match options.dir {
        Some(_) => None,
        None => Some(tempfile::tempdir()?),
    };
    let dir = match (&options.dir, &own_dir) {
        (Some(dir), _) => dir.clone(),
        (None, Some(own)) => own.path().to_owned(),
        (None, None) => unreachable!("a folder of our own exists whenever none is given"),
    };
    std::fs::create_dir_all(&dir)?;
    let mut secrets = Secrets::load(&dir)?;
    let ending = CancellationToken::new();
    let mut started = Started {
        platforms: Vec::new(),
        servers: Vec::new(),
        ending: ending.clone().drop_guard(),
        own_dir,
    };
    let kinds = [
        gov_info::prepare,
        integrity_portal::prepare,
        engineering_projects::prepare,
    ];
    for (prepare, offset) in kinds.into_iter().zip(0..) {
        let listener = listen(options.first_port, offset).await?;
        let mut site = Site {
            address: format!("http://{}", listener.local_addr()?),
            dir: &dir,
            options: &options,
            secrets: &mut secrets,
        };
        let prepared = prepare(&mut site)?;
        started.platforms.push(StartedPlatform {
            id: prepared.desk.identity.id,
            title: prepared.desk.identity.title,
            url: prepared.desk.address.clone(),
            settings: prepared.settings,
        });
        let server = serve(
            listener,
            whole(prepared.desk, prepared.router),
            ending.clone(),
        );
        started.servers.push(tokio::spawn(server));
    }
    secrets.store(&dir)?;
    Ok(started)
}

async fn listen(first_port: u16, offset: u16) -> io::Result<TcpListener> {
    let port = match first_port {
        0 => 0,
        first => first.checked_add(offset).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the first port is too high")
        })?,
    };
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot take port {port}: {error}")))
}

/// Joins the interface of one platform with the doors that all have.
fn whole(desk: Arc<Desk>, interface: Router) -> Router {
    let spoiled = axum::middleware::from_fn_with_state(desk.clone(), misbehave::interpose);
    let mut admin = admin::routes(desk.clone());
    if desk.identity.reviews {
        admin = admin.merge(admin::review_routes(desk.clone()));
    }
    interface
        .layer(spoiled)
        .merge(admin)
        .merge(page::routes(desk))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn serve(listener: TcpListener, router: Router, ending: CancellationToken) {
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(ending.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "A sandbox platform stopped serving");
    }
}

/// The passwords of the platforms: random, and the same again when the storage is kept.
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn load(dir: &Path) -> io::Result<Secrets> {
        match std::fs::read(dir.join(SECRETS_FILE)) {
            Ok(text) => Ok(Secrets(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Secrets(BTreeMap::new())),
            Err(error) => Err(error),
        }
    }

    fn get(&mut self, name: &str) -> String {
        let secret = self.0.entry(name.to_owned());
        secret.or_insert_with(desk::random_hex).clone()
    }

    fn store(&self, dir: &Path) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).write(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(dir.join(SECRETS_FILE))?;
        serde_json::to_writer_pretty(file, &self.0)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
