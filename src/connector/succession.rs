//! Two versions of one connector side by side, while a platform moves to a new address.
//!
//! `connectors/NAME` is the platform as it is now. A folder `connectors/NAME@1` beside it is the
//! version that it had before, with the old address and the old secrets. An operator's redirect
//! ([`crate::operator::redirect`]) divides the deliveries:
//!
//! | what | where it goes |
//! |---|---|
//! | never tried, and everything new | to the new version |
//! | tried, shown, or perhaps shown | stays with the old one: retried, looked up, read back there |
//! | a correction of what the old one shows | to both: made anew at the new address, replaced at the old one, so that nobody reads what is outdated |
//! | a withdrawal | to both, wherever it is or may be shown |
//! | what comes back after a withdrawal | to the new version only |
//!
//! A replay by the way `move` brings what only the old one shows to the new one. When all of it is
//! there, the old version is retired and its folder may go.
//!
//! Between the start of a hub with both folders and the redirect, nothing is sent to the platform:
//! nobody can tell yet to which address it belongs.

use super::Connector;
use crate::record::{is_previous, platform_of};

/// Whether it is a connector's turn to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is.
    Sends,
    /// The version before lies beside it, and no operator has divided the deliveries yet.
    AwaitsRedirect {
        /// The version before.
        from: u32,
    },
    /// The platform was redirected to a newer version than this.
    Outdated {
        /// The version that it was redirected to.
        to: i64,
    },
    /// This version was retired.
    Retired,
}

impl std::fmt::Display for Turn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sends => write!(formatter, "it sends"),
            Self::AwaitsRedirect { from } => {
                write!(
                    formatter,
                    "version {from} lies beside it and `synchub redirect` is due"
                )
            }
            Self::Outdated { to } => {
                write!(formatter, "the platform was redirected to version {to}")
            }
            Self::Retired => write!(formatter, "this version is retired"),
        }
    }
}

impl Connector {
    /// Returns the platform that it brings records to, whichever of its versions this is.
    pub fn platform(&self) -> &str {
        platform_of(&self.id)
    }

    /// Returns whether this is a version that its platform had before.
    pub fn is_previous(&self) -> bool {
        is_previous(&self.id)
    }

    /// Returns the newest version before this one that was loaded beside it.
    pub fn replaces(&self) -> Option<u32> {
        self.replaces
    }

    /// Returns whether it is its turn to send, given the version that the platform was last
    /// redirected to, and whether this one was retired.
    pub fn turn(&self, redirected_to: Option<i64>, is_retired: bool) -> Turn {
        let own = i64::from(self.version());
        match (self.replaces, redirected_to) {
            _ if is_retired => Turn::Retired,
            (_, Some(to)) if to > own => Turn::Outdated { to },
            (Some(from), to) if to.is_none_or(|to| i64::from(from) >= to) => {
                Turn::AwaitsRedirect { from }
            }
            _ => Turn::Sends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{Connectors, References, skeleton};
    use std::path::Path;

    /// Writes the folder `name`, at `version`.
    fn folder(site: &Path, name: &str, version: u32) {
        let dir = site.join(name);
        // A new connector has no name with a version in it.
        let made = site.join("made");
        skeleton::write(&made).unwrap();
        std::fs::rename(&made, &dir).unwrap();
        let manifest = dir.join("connector.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let text = text.replacen("version = 1", &format!("version = {version}"), 1);
        std::fs::write(manifest, text).unwrap();
    }

    fn loaded(folders: &[(&str, u32)]) -> Connectors {
        let site = tempfile::tempdir().unwrap();
        for (name, version) in folders {
            folder(site.path(), name, *version);
        }
        Connectors::load(&[site.path().to_owned()], &References::placeholders())
    }

    #[test]
    fn a_version_before_is_no_platform_of_its_own_and_must_be_older() {
        let connectors = loaded(&[("gazette", 3), ("gazette@1", 1), ("gazette@2", 2)]);
        assert!(connectors.failures().is_empty());
        let current: Vec<&str> = connectors.current().map(|it| it.id.as_str()).collect();
        assert_eq!(current, ["gazette"]);
        assert_eq!(connectors.get("gazette").unwrap().replaces(), Some(2));
        let before = connectors.get("gazette@1").unwrap();
        assert!(before.is_previous() && before.platform() == "gazette");
        for wrong in [
            [("gazette", 2), ("gazette@2", 2)],
            [("gazette", 2), ("gazette@1", 2)],
            [("gazette", 2), ("gazette@one", 1)],
        ] {
            let connectors = loaded(&wrong);
            assert_eq!(connectors.failures().len(), 1, "{wrong:?}");
            assert_eq!(connectors.get("gazette").unwrap().replaces(), None);
            assert_eq!(connectors.iter().count(), 1, "the other one works");
        }
    }

    #[test]
    fn a_version_sends_when_no_redirect_is_due_and_it_is_the_newest_one() {
        let connectors = loaded(&[("gazette", 3), ("gazette@2", 2)]);
        let turn = |id: &str, to, retired| connectors.get(id).unwrap().turn(to, retired);
        let awaits = Turn::AwaitsRedirect { from: 2 };
        assert_eq!(turn("gazette", None, false), awaits);
        assert_eq!(turn("gazette", Some(2), false), awaits, "an earlier move");
        assert_eq!(turn("gazette", Some(3), false), Turn::Sends);
        assert_eq!(turn("gazette", Some(4), false), Turn::Outdated { to: 4 });
        assert_eq!(turn("gazette@2", None, false), Turn::Sends);
        assert_eq!(turn("gazette@2", None, true), Turn::Retired);
        // Without an older folder beside it, a new version is a change in place.
        let alone = loaded(&[("gazette", 4)]);
        assert_eq!(
            alone.get("gazette").unwrap().turn(Some(3), false),
            Turn::Sends
        );
    }
}
