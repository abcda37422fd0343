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
