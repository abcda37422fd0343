//! The hosts that files may be fetched from, as the settings name them.

use serde::Deserialize;
use url::Url;

/// A host that files may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct AllowedHost {
    /// Name or address, in the form that addresses are normalised to.
    host: String,
    /// The only port; that of the scheme when none.
    port: Option<u16>,
    /// Whether it may lie in an inner network.
    private: bool,
}

/// A host in the settings that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: write oa.example.gov.cn, oa.example.gov.cn:8443 or private:10.1.2.3:8080"
)]
pub struct HostError(String);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    host: String,
    #[serde(default)]
    private: bool,
}

impl TryFrom<Written> for AllowedHost {
    type Error = HostError;

    fn try_from(written: Written) -> Result<Self, HostError> {
        match written {
            Written::Text(text) => Self::parse(&text),
            Written::Table(table) => Ok(Self {
                private: table.private,
                ..Self::parse(&table.host)?
            }),
        }
    }
}

impl AllowedHost {
    /// Reads `HOST`, `HOST:PORT` or either with `private:` before it.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (private, rest) = match text.trim().strip_prefix("private:") {
            Some(rest) => (true, rest),
            None => (false, text.trim()),
        };
        let wrong = || HostError(text.to_owned());
        let url = Url::parse(&format!("http://{rest}/")).map_err(|_| wrong())?;
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().filter(|_| is_bare).ok_or_else(wrong)?;
        // `:80` is not kept by the parser, since it is that of the scheme.
        let port = url.port().or_else(|| rest.ends_with(":80").then_some(80));
        Ok(Self {
            host: host.to_owned(),
            port,
            private,
        })
    }

    /// Returns whether it is the host of an address.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let standard = match url.scheme() {
            "https" => 443,
            _ => 80,
        };
        url.host_str() == Some(&self.host)
            && url.port_or_known_default() == Some(self.port.unwrap_or(standard))
    }

    /// Returns whether it is the host of this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.host.eq_ignore_ascii_case(name)
    }

    /// Returns whether it may lie in an inner network.
    pub(super) fn may_be_private(&self) -> bool {
        self.private
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_covers_its_own_port_only() {
        let covers = |host: &str, url: &str| {
            AllowedHost::parse(host)
                .unwrap()
                .covers(&Url::parse(url).unwrap())
        };
        assert!(covers("oa.example.cn", "https://OA.example.cn/a?b"));
        assert!(covers("oa.example.cn", "http://oa.example.cn/"));
        assert!(covers("oa.example.cn:8443", "https://oa.example.cn:8443/"));
        assert!(covers("private:[fd00::1]:80", "http://[fd00::1]/"));
        assert!(!covers("oa.example.cn", "https://oa.example.cn:8443/"));
        assert!(!covers("oa.example.cn:8443", "https://oa.example.cn/"));
        assert!(!covers("oa.example.cn", "https://a.oa.example.cn/"));
        assert!(!covers("example.cn", "https://example.cn.evil.example/"));
        assert!(!covers(
            "oa.example.cn",
            "https://oa.example.cn@evil.example/"
        ));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "http://a", "a/b", "a b", "u@a", "a:x", "*.a?"] {
            assert!(AllowedHost::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_name_hosts_in_two_ways() {
        #[derive(Deserialize)]
        struct Hosts {
            hosts: Vec<AllowedHost>,
        }
        let text = "hosts = [\"a.cn\", { host = \"b.cn:81\", private = true }]";
        let read: Hosts = toml::from_str(text).unwrap();
        let expected = ["a.cn", "private:b.cn:81"].map(|it| AllowedHost::parse(it).unwrap());
        assert_eq!(read.hosts, expected);
    }
}
