//! What the catalogue says about a key area.

use serde::{Deserialize, Serialize};

/// A 重点领域.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Stable key such as `A2`.
    pub key: String,
    /// The name that is shown.
    pub name: String,
    /// Other spellings that mean this area.
    #[serde(default)]
    pub aliases: Vec<String>,
}
