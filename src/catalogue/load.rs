//! Reads the catalogue's files and refuses lines that contradict each other.

use super::folding::{fold_area, fold_unit};
use super::{Area, CatalogueUnit, Division};
use crate::record::Unit;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The TOML is not what it should be; the source names line and column.
    #[error("{path} is not a list of areas")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: toml::de::Error,
    },
    /// One line is wrong.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct UnitRow {
    code: String,
    name: String,
    aliases: String,
    kind: String,
    division: String,
    supervisor: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AreaFile {
    area: Vec<toml::Spanned<Area>>,
}

type Indexed<T> = (Vec<T>, HashMap<String, usize>);

/// Reads `divisions.csv`.
pub(super) fn divisions(path: &Path) -> Result<Vec<Division>, CatalogueError> {
    let rows = csv_rows::<Division>(path)?;
    for (line, division) in &rows {
        let is_code =
            division.code.len() == 6 && division.code.bytes().all(|byte| byte.is_ascii_digit());
        if !is_code || division.name.is_empty() {
            return Err(line_error(
                path,
                *line,
                "expected a six-digit code and a name",
            ));
        }
    }
    Ok(rows.into_iter().map(|(_, division)| division).collect())
}

/// Reads `units.csv`.
pub(super) fn units(
    path: &Path,
    divisions: &[Division],
) -> Result<Indexed<CatalogueUnit>, CatalogueError> {
    let mut units = Vec::new();
    let mut index = HashMap::new();
    let mut supervised = Vec::new();
    for (line, row) in csv_rows::<UnitRow>(path)? {
        if row.code.chars().count() != 18 || row.name.is_empty() {
            let reason = "expected a code of 18 characters and a name";
            return Err(line_error(path, line, reason));
        }
        if !divisions.iter().any(|known| known.code == row.division) {
            let reason = format!("division {:?} is not in divisions.csv", row.division);
            return Err(line_error(path, line, reason));
        }
        let unit = CatalogueUnit {
            aliases: row
                .aliases
                .split('|')
                .filter(|alias| !alias.trim().is_empty())
                .map(str::to_owned)
                .collect(),
            kind: row.kind,
            supervisor: Some(row.supervisor).filter(|name| !name.is_empty()),
            unit: Unit {
                code: row.code,
                name: row.name,
                division: row.division,
            },
        };
        let spellings = [&unit.unit.code, &unit.unit.name]
            .into_iter()
            .chain(&unit.aliases)
            .map(|spelling| fold_unit(spelling));
        claim(&mut index, spellings, units.len()).map_err(|taken| line_error(path, line, taken))?;
        if let Some(supervisor) = &unit.supervisor {
            supervised.push((line, supervisor.clone()));
        }
        units.push(unit);
    }
    for (line, supervisor) in supervised {
        if !index.contains_key(&fold_unit(&supervisor)) {
            let reason = format!("supervisor {supervisor:?} is not in the file");
            return Err(line_error(path, line, reason));
        }
    }
    Ok((units, index))
}

/// Reads `areas.toml`.
pub(super) fn areas(path: &Path) -> Result<Indexed<Area>, CatalogueError> {
    let text = read(path)?;
    let file: AreaFile = toml::from_str(&text).map_err(|source| CatalogueError::Toml {
        path: path.to_owned(),
        source,
    })?;
    let mut areas = Vec::new();
    let mut index = HashMap::new();
    for spanned in file.area {
        let line = 1 + text[..spanned.span().start].matches('\n').count() as u64;
        let area = spanned.into_inner();
        let spellings = [&area.key, &area.name]
            .into_iter()
            .chain(&area.aliases)
            .map(|spelling| fold_area(spelling));
        claim(&mut index, spellings, areas.len()).map_err(|taken| line_error(path, line, taken))?;
        areas.push(area);
    }
    Ok((areas, index))
}

/// Enters all `spellings` of one thing into `index`; one that means another thing is an error.
fn claim(
    index: &mut HashMap<String, usize>,
    spellings: impl Iterator<Item = String>,
    place: usize,
) -> Result<(), String> {
    for spelling in spellings {
        if spelling.is_empty() {
            return Err("a name is empty".to_owned());
        }
        match index.get(&spelling) {
            Some(&other) if other != place => {
                return Err(format!("{spelling:?} already means entry {}", other + 1));
            }
            Some(_) => {}
            None => {
                index.insert(spelling, place);
            }
        }
    }
    Ok(())
}

fn csv_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<(u64, T)>, CatalogueError> {
    let text = read(path)?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader
        .headers()
        .map_err(|error| csv_error(path, &error))?
        .clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(path, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = record
            .deserialize(Some(&headers))
            .map_err(|error| line_error(path, line, error.to_string()))?;
        rows.push((line, row));
    }
    Ok(rows)
}

fn read(path: &Path) -> Result<String, CatalogueError> {
    std::fs::read_to_string(path).map_err(|source| CatalogueError::Read {
        path: path.to_owned(),
        source,
    })
}

fn csv_error(path: &Path, error: &csv::Error) -> CatalogueError {
    let line = error.position().map_or(1, csv::Position::line);
    line_error(path, line, error.to_string())
}

fn line_error(path: &Path, line: u64, reason: impl Into<String>) -> CatalogueError {
    CatalogueError::Line {
        path: path.to_owned(),
        line,
        reason: reason.into(),
    }
}
