//! Divisions, units and what platforms call them: tables as a spreadsheet writes them.

use super::super::folding::fold_unit;
use super::super::{CatalogueUnit, Division};
use super::{Indexed, Loader, claim};
use crate::record::Unit;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

#[derive(Deserialize)]
struct UnitRow {
    code: String,
    name: String,
    aliases: String,
    kind: String,
    division: String,
    supervisor: String,
    #[serde(default)]
    former_names: String,
}

#[derive(Deserialize)]
struct CodeRow {
    platform: String,
    unit: String,
    code: String,
}

impl Loader<'_> {
    /// Reads `divisions.csv`.
    pub(in crate::catalogue) fn divisions(&mut self) -> Vec<Division> {
        let mut divisions: Vec<Division> = Vec::new();
        for (line, division) in self.rows::<Division>("divisions.csv") {
            let is_code =
                division.code.len() == 6 && division.code.bytes().all(|byte| byte.is_ascii_digit());
            if !is_code || division.name.is_empty() {
                self.note(
                    "divisions.csv",
                    line,
                    "expected a six-digit code and a name",
                );
            } else if divisions.iter().any(|known| known.code == division.code) {
                let problem = format!("division {} is there already", division.code);
                self.note("divisions.csv", line, problem);
            } else {
                divisions.push(division);
            }
        }
        divisions
    }

    /// Reads `units.csv`.
    pub(in crate::catalogue) fn units(&mut self, divisions: &[Division]) -> Indexed<CatalogueUnit> {
        const FILE: &str = "units.csv";
        let mut units: Vec<CatalogueUnit> = Vec::new();
        let mut index = HashMap::new();
        let mut supervised = Vec::new();
        for (line, row) in self.rows::<UnitRow>(FILE) {
            if row.code.chars().count() != 18 || row.name.is_empty() {
                self.note(FILE, line, "expected a code of 18 characters and a name");
                continue;
            }
            if !divisions.iter().any(|known| known.code == row.division) {
                let problem = format!("division {:?} is not in divisions.csv", row.division);
                self.note(FILE, line, problem);
            }
            let unit = CatalogueUnit {
                aliases: listed(&row.aliases),
                former_names: listed(&row.former_names),
                kind: row.kind,
                supervisor: Some(row.supervisor).filter(|name| !name.is_empty()),
                codes: BTreeMap::new(),
                unit: Unit {
                    code: row.code,
                    name: row.name,
                    division: row.division,
                },
            };
            let spellings = [&unit.unit.code, &unit.unit.name]
                .into_iter()
                .chain(&unit.aliases)
                .chain(&unit.former_names)
                .map(|spelling| fold_unit(spelling));
            let names = |place: usize| {
                units
                    .get(place)
                    .map_or("", |it: &CatalogueUnit| &it.unit.name)
            };
            if let Err(problem) = claim(&mut index, spellings, units.len(), names) {
                self.note(FILE, line, problem);
            }
            if let Some(supervisor) = &unit.supervisor {
                supervised.push((line, supervisor.clone()));
            }
            units.push(unit);
        }
        for (line, supervisor) in supervised {
            if !index.contains_key(&fold_unit(&supervisor)) {
                self.note(
                    FILE,
                    line,
                    format!("supervisor {supervisor:?} is not in the file"),
                );
            }
        }
        (units, index)
    }

    /// Reads `codes.csv`, if there is one: what platforms call the units.
    pub(in crate::catalogue) fn codes(&mut self, units: &mut Indexed<CatalogueUnit>) {
        const FILE: &str = "codes.csv";
        if !self.dir.join(FILE).exists() {
            return;
        }
        for (line, row) in self.rows::<CodeRow>(FILE) {
            if row.platform.is_empty() || row.code.is_empty() {
                self.note(FILE, line, "expected a platform, a unit and its code there");
                continue;
            }
            let Some(&place) = units.1.get(&fold_unit(&row.unit)) else {
                self.note(
                    FILE,
                    line,
                    format!("unit {:?} is not in units.csv", row.unit),
                );
                continue;
            };
            let taken = units.0[place].codes.insert(row.platform.clone(), row.code);
            if taken.is_some() {
                let problem = format!("{} has a code on {} already", row.unit, row.platform);
                self.note(FILE, line, problem);
            }
        }
    }
}

fn listed(text: &str) -> Vec<String> {
    text.split('|')
        .filter(|name| !name.trim().is_empty())
        .map(str::to_owned)
        .collect()
}
