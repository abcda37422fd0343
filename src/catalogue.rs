//! The registry: units, divisions, areas, columns and working days, as data.
//!
//! Owns the folder `connectors/catalogue`: `units.csv`, `codes.csv`, `divisions.csv`, `areas.toml`,
//! `columns.toml` and the holiday notices under `calendar/`. It reads them once, refuses what
//! contradicts itself and then only answers questions; it never guesses a unit.
//! [`crate::normalise`] asks it, and [`crate::intake`] when an entry is due.

mod area;
mod calendar;
mod column;
mod deadline;
mod error;
mod folding;
mod load;
mod unit;
mod version;

pub use area::Area;
pub use calendar::{Calendar, Notice, Reckoned};
pub use column::{Column, ColumnDefault, Element, NamedColumn};
pub use deadline::DeadlineRule;
pub use error::{CatalogueError, CatalogueFinding};
pub use unit::{CatalogueUnit, Division, UnknownUnit};
pub use version::{CatalogueChange, catalogue_changes};

use crate::record::{Content, Unit};
use folding::{fold_area, fold_unit, similarity};
use load::Loader;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    columns: Vec<Column>,
    /// By key of the area (empty: any) and spelling.
    column_index: HashMap<(String, String), usize>,
    default: ColumnDefault,
    divisions: Vec<Division>,
    calendar: Calendar,
}

impl Catalogue {
    /// Reads the catalogue in the folder `dir`.
    ///
    /// # Errors
    /// Everything that cannot be read or contradicts itself, each with file and line.
    pub fn load(dir: &Path) -> Result<Self, CatalogueError> {
        let mut loader = Loader::new(dir);
        let divisions = loader.divisions();
        let mut units = loader.units(&divisions);
        loader.codes(&mut units);
        let (areas, area_index) = loader.areas();
        let columns = loader.columns(&areas, &units.1);
        let calendar = loader.calendar();
        match columns {
            Some(read) if loader.findings.is_empty() => Ok(Self {
                units: units.0,
                unit_index: units.1,
                areas,
                area_index,
                columns: read.columns,
                column_index: read.index,
                default: read.default,
                divisions,
                calendar,
            }),
            _ => Err(CatalogueError {
                findings: loader.findings,
            }),
        }
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

    /// Returns what `text` means as a column of the area with this key, or of none.
    pub fn column(&self, area: Option<&str>, text: &str) -> NamedColumn<'_> {
        let spelling = fold_area(text);
        let find = |area: &str| {
            let place = self.column_index.get(&(area.to_owned(), spelling.clone()));
            place.map(|&place| &self.columns[place])
        };
        if let Some(column) = area.and_then(find).or_else(|| find("")) {
            return NamedColumn::Known(column);
        }
        if area.is_some() {
            return NamedColumn::Unknown;
        }
        let mut elsewhere = self.areas.iter().filter_map(|area| find(&area.key));
        match (elsewhere.next(), elsewhere.next()) {
            (None, _) => NamedColumn::Unknown,
            (Some(column), None) => NamedColumn::WithoutArea(column),
            (Some(_), Some(_)) => NamedColumn::Ambiguous,
        }
    }

    /// Returns the column of a canonical content, if it has one.
    pub fn column_of(&self, content: &Content) -> Option<&Column> {
        match self.column(content.area.as_deref(), content.column.as_deref()?) {
            NamedColumn::Known(column) | NamedColumn::WithoutArea(column) => Some(column),
            NamedColumn::Ambiguous | NamedColumn::Unknown => None,
        }
    }

    /// Returns the deadline that holds for a column, or for entries of none.
    pub fn deadline<'a>(&'a self, column: Option<&'a Column>) -> &'a DeadlineRule {
        column.map_or(&self.default.deadline, |column| &column.deadline)
    }

    /// Returns the platforms that must show what is in a column, or in none.
    pub fn channels<'a>(&'a self, column: Option<&'a Column>) -> &'a [String] {
        column.map_or(&self.default.channels, |column| &column.channels)
    }

    /// Returns the last day on which `content` is public in time.
    pub fn due(&self, content: &Content) -> Option<Reckoned> {
        self.deadline(self.column_of(content))
            .due(&content.written_on, &self.calendar)
    }

    /// Returns the working days.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Returns, for one platform, the code that each unit has there, by the unit's own code.
    pub fn codes_on(&self, platform: &str) -> BTreeMap<String, String> {
        self.units
            .iter()
            .filter_map(|unit| Some((unit.unit.code.clone(), unit.codes.get(platform)?.clone())))
            .collect()
    }

    /// Returns the platforms that the catalogue names, as channel or for a code.
    pub fn platforms(&self) -> BTreeSet<&str> {
        let channels = self.columns.iter().flat_map(|column| &column.channels);
        let codes = self.units.iter().flat_map(|unit| unit.codes.keys());
        channels
            .chain(&self.default.channels)
            .chain(codes)
            .map(String::as_str)
            .collect()
    }

    /// Returns the former name that `text` is, with the unit that bore it.
    pub fn former_name(&self, text: &str) -> Option<(&str, &CatalogueUnit)> {
        let spelling = fold_unit(text);
        let unit = &self.units[*self.unit_index.get(&spelling)?];
        let former = unit
            .former_names
            .iter()
            .find(|name| fold_unit(name) == spelling)?;
        Some((former, unit))
    }

    /// Returns the names of up to `count` columns of an area, and of any area, that read most like
    /// `text`, the nearest first.
    pub fn nearest_columns(&self, area: Option<&str>, text: &str, count: usize) -> Vec<String> {
        let wanted = fold_area(text);
        let scored = self
            .columns
            .iter()
            .filter(|column| {
                area.is_none() || column.area.is_none() || column.area.as_deref() == area
            })
            .map(|column| {
                let spellings = std::iter::once(&column.name).chain(&column.aliases);
                (
                    best_similarity(spellings.map(|spelling| fold_area(spelling)), &wanted),
                    &column.name,
                )
            });
        nearest(scored, count)
    }

    /// Returns the names of up to `count` units that read most like `text`, the nearest first.
    pub fn nearest_units(&self, text: &str, count: usize) -> Vec<String> {
        let wanted = fold_unit(text);
        let scored = self.units.iter().map(|known| {
            let spellings = std::iter::once(&known.unit.name)
                .chain(&known.aliases)
                .chain(&known.former_names);
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

    /// Returns what holds for columns that say nothing else, and for entries of none.
    pub fn default_rule(&self) -> &ColumnDefault {
        &self.default
    }

    /// Returns all columns in the order of the file.
    pub fn all_columns(&self) -> &[Column] {
        &self.columns
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
    let mut names: Vec<String> = Vec::with_capacity(count);
    for (_, name) in scored {
        if names.len() < count && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests;
