//! Where requests may go: the base address, the allow-list, redirects included.

use super::Connector;
use super::request::RenderError;
use url::Url;

impl Connector {
    /// Returns whether requests and redirects may reach this address.
    pub fn allows(&self, url: &Url) -> bool {
        let authority = authority(url);
        let is_base = self.base_url.as_ref().is_some_and(|base| {
            self::authority(base) == authority
                && (base.scheme() == url.scheme() || url.scheme() == "https")
        });
        is_base
            || self
                .manifest
                .connector
                .hosts
                .iter()
                .any(|host| *host == authority || url.host_str().is_some_and(|name| name == host))
    }

    /// Returns the address the public sees: one that a platform tells without a host is on it.
    pub fn public_address(&self, address: &str) -> String {
        let joined = self
            .base_url
            .as_ref()
            .and_then(|base| base.join(address).ok());
        joined.map_or_else(|| address.to_owned(), String::from)
    }

    /// Returns the base address, if its reference is resolved.
    pub fn base_url(&self) -> Option<&Url> {
        self.base_url.as_ref()
    }

    pub(super) fn allowed(&self, step: &str, path: &str) -> Result<Url, RenderError> {
        let problem = |problem: String| RenderError::Template {
            step: step.to_owned(),
            problem,
        };
        let base = self
            .base_url
            .as_ref()
            .ok_or_else(|| problem("the platform's base_url is not resolved".to_owned()))?;
        let url = match path.contains("://") {
            true => Url::parse(path),
            // Joined as text: a base address may have a path of its own.
            false => Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))),
        };
        let url = url.map_err(|error| problem(format!("`{path}` is no address: {error}")))?;
        if !self.allows(&url) {
            return Err(RenderError::HostNotAllowed {
                step: step.to_owned(),
                host: authority(&url),
            });
        }
        Ok(url)
    }
}

fn authority(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}
