//! What the catalogue says about a unit and a division.

use crate::record::Unit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A 责任主体单位 with everything the catalogue knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogueUnit {
    /// What a record carries of it.
    #[serde(flatten)]
    pub unit: Unit,
    /// Other spellings that mean this unit.
    pub aliases: Vec<String>,
    /// Names it bore before; they still mean it.
    pub former_names: Vec<String>,
    /// 党政机关, 事业单位, 国有企业 …
    pub kind: String,
    /// Name of the unit that supervises it, if any.
    pub supervisor: Option<String>,
    /// Platform → the code it has there.
    pub codes: BTreeMap<String, String>,
}

/// A division of the city.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Division {
    /// GB/T 2260 code, six digits.
    pub code: String,
    /// Name of the division.
    pub name: String,
}

/// A text that should name a unit and does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no unit is called {text:?}")]
pub struct UnknownUnit {
    /// The part that is not known.
    pub text: String,
    /// Names of the units that read most like it, the nearest first.
    pub nearest: Vec<String>,
}
