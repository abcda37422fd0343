//! Units, divisions, areas and columns, as data.
//!
//! Owns the folder `connectors/catalogue`: `units.csv`, `divisions.csv` and `areas.toml`. It reads
//! them once, refuses what contradicts itself and then only answers questions; it never guesses a
//! unit. [`crate::normalise`] asks it.

mod area;
mod folding;
mod load;
mod unit;

pub use area::Area;
pub use load::CatalogueError;
pub use unit::{CatalogueUnit, Division, UnknownUnit};

use crate::record::Unit;
use folding::{fold_area, fold_unit, similarity};
use std::collections::HashMap;
use std::path::Path;

/// Between the names of the units of a joint document.
const UNIT_SEPARATORS: [char; 7] = ['、', '，', ',', '；', ';', '\n', '\r'];

/// How many similar names an error names.
const NEAREST_IN_ERRORS: usize = 3;

/// The catalogue, read and checked.
#[derive(Debug, Clone)]
pub struct Catalogue {
    units: Vec<CatalogueUnit>,
    unit_index: HashMap<String, usize>,
    areas: Vec<Area>,
    area_index: HashMap<String, usize>,
    divisions: Vec<Division>,
}

impl Catalogue {
    /// Reads the catalogue in the folder `dir`.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that contradicts another one; both are named.
    pub fn load(dir: &Path) -> Result<Self, CatalogueError> {
        let divisions = load::divisions(&dir.join("divisions.csv"))?;
        let (units, unit_index) = load::units(&dir.join("units.csv"), &divisions)?;
        let (areas, area_index) = load::areas(&dir.join("areas.toml"))?;
        Ok(Self {
            units,
            unit_index,
            areas,
            area_index,
            divisions,
        })
    }

    /// Returns the unit with this code, name or alias; blanks and full-width forms do not matter.
    pub fn unit(&self, text: &str) -> Option<&CatalogueUnit> {
        self.unit_index
            .get(&fold_unit(text))
            .map(|&place| &self.units[place])
    }

    /// Returns the units that `text` names, the lead first, each once.
    ///
    /// # Errors
    /// The first part of `text` that is no unit, with those that read most like it.
    pub fn units(&self, text: &str) -> Result<Vec<Unit>, UnknownUnit> {
        if let Some(known) = self.unit(text) {
            return Ok(vec![known.unit.clone()]);
        }
        let mut units: Vec<Unit> = Vec::new();
        for part in text.split(UNIT_SEPARATORS) {
            if part.trim().is_empty() {
                continue;
            }
            let known = self.unit(part).ok_or_else(|| self.unknown(part))?;
            if !units.contains(&known.unit) {
                units.push(known.unit.clone());
            }
        }
        if units.is_empty() {
            return Err(self.unknown(text));
        }
        Ok(units)
    }

    fn unknown(&self, text: &str) -> UnknownUnit {
        UnknownUnit {
            text: text.trim().to_owned(),
            nearest: self.nearest_units(text, NEAREST_IN_ERRORS),
        }
    }

    /// Returns the area with this key, name or alias; the kind of quotation marks does not matter.
    pub fn area(&self, text: &str) -> Option<&Area> {
        self.area_index
            .get(&fold_area(text))
            .map(|&place| &self.areas[place])
    }

    /// Returns the names of up to `count` units that read most like `text`, the nearest first.
    pub fn nearest_units(&self, text: &str, count: usize) -> Vec<String> {
        let wanted = fold_unit(text);
        let scored = self.units.iter().map(|known| {
            let spellings = std::iter::once(&known.unit.name).chain(&known.aliases);
            (
                best_similarity(spellings.map(|spelling| fold_unit(spelling)), &wanted),
                &known.unit.name,
            )
        });
        nearest(scored, count)
    }

    /// Returns the names of up to `count` areas that read most like `text`, the nearest first.
    pub fn nearest_areas(&self, text: &str, count: usize) -> Vec<String> {
        let wanted = fold_area(text);
        let scored = self.areas.iter().map(|area| {
            let spellings = std::iter::once(&area.name).chain(&area.aliases);
            (
                best_similarity(spellings.map(|spelling| fold_area(spelling)), &wanted),
                &area.name,
            )
        });
        nearest(scored, count)
    }

    /// Returns all units in the order of the file.
    pub fn all_units(&self) -> &[CatalogueUnit] {
        &self.units
    }

    /// Returns all areas in the order of the file.
    pub fn all_areas(&self) -> &[Area] {
        &self.areas
    }

    /// Returns all divisions in the order of the file.
    pub fn all_divisions(&self) -> &[Division] {
        &self.divisions
    }
}

fn best_similarity(spellings: impl Iterator<Item = String>, wanted: &str) -> f64 {
    spellings
        .map(|spelling| similarity(&spelling, wanted))
        .fold(0.0, f64::max)
}

/// Returns the names with the highest scores; equal scores keep the order of the file.
fn nearest<'a>(scored: impl Iterator<Item = (f64, &'a String)>, count: usize) -> Vec<String> {
    let mut scored: Vec<_> = scored.filter(|(score, _)| *score > 0.0).collect();
    scored.sort_by(|left, right| right.0.total_cmp(&left.0));
    scored
        .into_iter()
        .take(count)
        .map(|(_, name)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests;
