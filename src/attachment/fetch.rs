//! Fetches a file from an allowed host, and from nowhere else.
//!
//! The address comes from outside, so each part of it is checked: scheme, host and port are on the
//! list of the settings, the addresses that the name resolves to are of a network that the host
//! may lie in, and the connection goes to just those addresses, so that a name that changes its
//! mind is of no use. Redirects are followed by hand and checked the same way. No proxy, no
//! credentials, no cookies; what the address says beyond its host is in no log and no error.

use super::address::{Network, network};
use super::host::AllowedHost;
use crate::blob::{ReceiveError, Received, Receiver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, LOCATION};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::{Host, Url};

const REDIRECTS_MAX: usize = 3;
/// A file that cannot be had for a passing reason is asked for so often in all.
const TRIES_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that sends nothing for so long has gone away.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Why a file was not fetched. Names hosts, never whole addresses.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No address that could be fetched from.
    #[error("the address is not http or https, or carries a password")]
    Address,
    /// No entry of `attachments.hosts` covers host and port.
    #[error("host {0} is not on the list attachments.hosts")]
    NotAllowed(String),
    /// The name leads into a network that its entry does not allow.
    #[error("host {0} has an address in a network that is not allowed")]
    Network(String),
    /// Sent on too often, or to nowhere.
    #[error("host {0} redirects too often or to nowhere")]
    Redirects(String),
    /// The server says no.
    #[error("host {host} answers {status}")]
    Status {
        /// Who.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The file is larger than the limit, in bytes.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// The file has no content.
    #[error("the file is empty")]
    Empty,
    /// No connection, no answer, or broken off in the middle.
    #[error("host {host}: {reason}")]
    Broken {
        /// Who.
        host: String,
        /// What happened, without the address.
        reason: &'static str,
    },
    /// Our own disk does not take it.
    #[error("the file cannot be written to disk")]
    Disk(#[from] std::io::Error),
}

impl FetchError {
    /// Returns whether it may go well a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Disk(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Address
            | Self::NotAllowed(_)
            | Self::Network(_)
            | Self::Redirects(_)
            | Self::TooLarge(_)
            | Self::Empty => false,
        }
    }
}

/// The client that fetches.
pub(super) struct Fetcher {
    client: reqwest::Client,
    hosts: Arc<Vec<AllowedHost>>,
}

impl Fetcher {
    pub(super) fn new(hosts: Vec<AllowedHost>) -> Result<Self, reqwest::Error> {
        Self::with_names(hosts, system_names())
    }

    fn with_names(hosts: Vec<AllowedHost>, names: Names) -> Result<Self, reqwest::Error> {
        // The first caller wins; the provider is the same for all of them.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let hosts = Arc::new(hosts);
        let resolver = Checked {
            hosts: Arc::clone(&hosts),
            names,
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(resolver))
            // Each file checks the addresses of its host anew.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_MAX)
            .user_agent(concat!("synchub/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, hosts })
    }

    pub(super) async fn fetch(
        &self,
        url: &str,
        bytes_max: u64,
        deadline: Instant,
    ) -> Result<Received, FetchError> {
        let url = Url::parse(url.trim()).map_err(|_| FetchError::Address)?;
        let mut tries = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let fetched = tokio::time::timeout(left, self.once(&url, bytes_max)).await;
            let error = match fetched {
                Ok(Ok(received)) => return Ok(received),
                Ok(Err(error)) => error,
                Err(_) => return Err(broken(&url, "it took too long")),
            };
            let pause = PAUSE * tries;
            if !error.may_pass() || tries == TRIES_MAX || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tries += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, url: &Url, bytes_max: u64) -> Result<Received, FetchError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            let response = self
                .client
                .get(url.clone())
                .header("accept-encoding", "identity")
                .send()
                .await
                .map_err(|error| self.unanswered(&url, &error))?;
            let status = response.status().as_u16();
            match status {
                200 => return receive(&url, response, bytes_max).await,
                301 | 302 | 303 | 307 | 308 => {
                    let target = response.headers().get(LOCATION);
                    let target = target.and_then(|it| it.to_str().ok());
                    let target = target.and_then(|it| url.join(it).ok());
                    url = target.ok_or_else(|| FetchError::Redirects(host_of(&url)))?;
                }
                status => {
                    let host = host_of(&url);
                    return Err(FetchError::Status { host, status });
                }
            }
        }
        Err(FetchError::Redirects(host_of(&url)))
    }

    /// Checks all of an address but the addresses behind its name, which [`Checked`] does.
    fn check(&self, url: &Url) -> Result<(), FetchError> {
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none();
        if !is_plain {
            return Err(FetchError::Address);
        }
        let allowed = self.hosts.iter().find(|host| host.covers(url));
        let allowed = allowed.ok_or_else(|| FetchError::NotAllowed(host_of(url)))?;
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        match literal {
            // No name to be resolved, so the resolver is not asked.
            Some(address) if !may_ask(address, allowed.may_be_private()) => {
                Err(FetchError::Network(host_of(url)))
            }
            _ => Ok(()),
        }
    }

    fn unanswered(&self, url: &Url, error: &reqwest::Error) -> FetchError {
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if inner.is::<WrongNetwork>() {
                return FetchError::Network(host_of(url));
            }
            cause = inner.source();
        }
        match error.is_connect() {
            true => broken(url, "no connection"),
            false => broken(url, "no answer"),
        }
    }
}

async fn receive(
    url: &Url,
    mut response: reqwest::Response,
    bytes_max: u64,
) -> Result<Received, FetchError> {
    let headers = response.headers();
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(FetchError::TooLarge(bytes_max));
    }
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|it| it != "identity")
    {
        return Err(broken(url, "it compresses although it was asked not to"));
    }
    let mut receiver = Receiver::new(bytes_max);
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|_| broken(url, "it broke off in the middle"))?
    {
        receiver.take(&piece).map_err(|error| match error {
            ReceiveError::TooLarge(max) => FetchError::TooLarge(max),
            ReceiveError::Disk(error) => FetchError::Disk(error),
        })?;
    }
    match receiver.length() {
        0 => Err(FetchError::Empty),
        _ => Ok(receiver.finish()),
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn broken(url: &Url, reason: &'static str) -> FetchError {
    let host = host_of(url);
    FetchError::Broken { host, reason }
}

fn may_ask(address: IpAddr, private: bool) -> bool {
    match network(address) {
        Network::Public => true,
        Network::Private => private,
        Network::Forbidden => false,
    }
}

/// Returns the addresses of a name.
type Names = Arc<
    dyn Fn(String) -> futures_util::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>>
        + Send
        + Sync,
>;

fn system_names() -> Names {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A name leads into a network that it must not.
#[derive(Debug, thiserror::Error)]
#[error("the name leads into a network that is not allowed")]
struct WrongNetwork;

/// Resolves names of allowed hosts; the connection goes to just the addresses that were checked.
struct Checked {
    hosts: Arc<Vec<AllowedHost>>,
    names: Names,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let mut entries = self.hosts.iter().filter(|host| host.is_named(&name));
        let private = entries.any(AllowedHost::may_be_private);
        let found = (self.names)(name);
        Box::pin(async move {
            let found = found.await?;
            // One wrong address among right ones is the mark of an attack, so all are refused.
            if !found.iter().all(|address| may_ask(*address, private)) {
                return Err(WrongNetwork.into());
            }
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
