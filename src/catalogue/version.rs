//! The catalogue as one text, its digest, and what differs between two of them.
//!
//! Only what it says counts: blanks, comments and the order of files make no new version.

use super::{Catalogue, CatalogueUnit, Column};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Most changes that are kept of one version.
const CHANGES_MAX: usize = 500;

/// One thing that a version of the catalogue changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueChange {
    /// divisions, units, areas, columns, default, calendar
    pub section: String,
    /// Code, key, area and name, or year.
    pub key: String,
    /// added, removed, changed
    pub change: String,
    /// The fields that differ, of a thing that was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl Catalogue {
    /// Returns everything the catalogue says, as JSON.
    pub fn content(&self) -> Value {
        let units: BTreeMap<&str, &CatalogueUnit> = self
            .units
            .iter()
            .map(|unit| (unit.unit.code.as_str(), unit))
            .collect();
        let areas: BTreeMap<&str, _> = self.areas.iter().map(|it| (it.key.as_str(), it)).collect();
        let columns: BTreeMap<String, &Column> = self
            .columns
            .iter()
            .map(|it| {
                (
                    format!("{}/{}", it.area.as_deref().unwrap_or("*"), it.name),
                    it,
                )
            })
            .collect();
        let divisions: BTreeMap<&str, _> = self
            .divisions
            .iter()
            .map(|it| (it.code.as_str(), it))
            .collect();
        let calendar: BTreeMap<String, _> = self
            .calendar
            .notices()
            .iter()
            .map(|it| (it.year.to_string(), it))
            .collect();
        json!({
            "divisions": divisions,
            "units": units,
            "areas": areas,
            "columns": columns,
            "default": {"*": self.default},
            "calendar": calendar,
        })
    }

    /// Returns the lower-case hex SHA-256 of [`Catalogue::content`].
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(self.content().to_string()))
    }
}

/// Returns what differs between two contents, in the order of the sections; at most 500.
pub fn catalogue_changes(before: &Value, after: &Value) -> Vec<CatalogueChange> {
    let empty = serde_json::Map::new();
    let sections = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (old, new) = (sections(before), sections(after));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let mut changes = Vec::new();
    for section in names {
        let things = |of: &serde_json::Map<String, Value>| -> serde_json::Map<String, Value> {
            let things = of.get(section).and_then(Value::as_object);
            things.unwrap_or(&empty).clone()
        };
        let (old, new) = (things(&old), things(&new));
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (change, fields) = match (old.get(key), new.get(key)) {
                (None, _) => ("added", Vec::new()),
                (_, None) => ("removed", Vec::new()),
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => ("changed", differing(old, new)),
            };
            changes.push(CatalogueChange {
                section: section.clone(),
                key: key.clone(),
                change: change.to_owned(),
                fields,
            });
        }
    }
    changes.truncate(CHANGES_MAX);
    changes
}

fn differing(old: &Value, new: &Value) -> Vec<String> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Vec::new();
    };
    let added = new.keys().filter(|field| !old.contains_key(*field));
    old.keys()
        .chain(added)
        .filter(|field| old.get(*field) != new.get(*field))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_removed_and_changed_is_told() {
        let before = json!({
            "units": {"1": {"name": "甲局", "kind": "机关"}, "2": {"name": "乙局"}},
            "calendar": {"2014": {"off": []}},
        });
        let after = json!({
            "units": {"1": {"name": "甲委", "kind": "机关", "aliases": []}, "3": {"name": "丙局"}},
            "calendar": {"2014": {"off": []}},
        });
        let told: Vec<String> = catalogue_changes(&before, &after)
            .into_iter()
            .map(|it| {
                format!(
                    "{} {} {} {}",
                    it.section,
                    it.key,
                    it.change,
                    it.fields.join(",")
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "units 1 changed name,aliases",
                "units 2 removed ",
                "units 3 added "
            ]
        );
        assert!(catalogue_changes(&after, &after).is_empty());
    }
}
