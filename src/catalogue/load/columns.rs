//! Areas, and their columns.

use super::super::Area;
use super::super::column::{Column, ColumnDefault, Element};
use super::super::deadline::DeadlineRule;
use super::super::folding::{fold_area, fold_unit};
use super::{Indexed, Loader, claim, line_of};
use serde::Deserialize;
use std::collections::HashMap;

/// What `columns.toml` says.
pub(in crate::catalogue) struct Columns {
    pub(in crate::catalogue) default: ColumnDefault,
    pub(in crate::catalogue) columns: Vec<Column>,
    /// By key of the area (empty: any) and spelling.
    pub(in crate::catalogue) index: HashMap<(String, String), usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AreaFile {
    area: Vec<toml::Spanned<Area>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnFile {
    default: ColumnDefault,
    #[serde(default)]
    column: Vec<toml::Spanned<ColumnRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnRow {
    area: Option<String>,
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    requires: Vec<Element>,
    #[serde(default)]
    mentions: Vec<String>,
    deadline: Option<DeadlineRule>,
    owner: Option<String>,
    channels: Option<Vec<String>>,
}

impl Loader<'_> {
    /// Reads `areas.toml`.
    pub(in crate::catalogue) fn areas(&mut self) -> Indexed<Area> {
        const FILE: &str = "areas.toml";
        let Some((text, file)) = self.toml::<AreaFile>(FILE) else {
            return Indexed::default();
        };
        let mut areas: Vec<Area> = Vec::new();
        let mut index = HashMap::new();
        for spanned in file.area {
            let line = line_of(&text, spanned.span().start);
            let area = spanned.into_inner();
            let spellings = [&area.key, &area.name]
                .into_iter()
                .chain(&area.aliases)
                .map(|spelling| fold_area(spelling));
            let names = |place: usize| areas.get(place).map_or("", |it: &Area| &it.name);
            if let Err(problem) = claim(&mut index, spellings, areas.len(), names) {
                self.note(FILE, line, problem);
            }
            areas.push(area);
        }
        (areas, index)
    }

    /// Reads `columns.toml`; none when it is no such file.
    pub(in crate::catalogue) fn columns(
        &mut self,
        areas: &[Area],
        units: &HashMap<String, usize>,
    ) -> Option<Columns> {
        const FILE: &str = "columns.toml";
        let (text, file) = self.toml::<ColumnFile>(FILE)?;
        if let Some(problem) = file.default.deadline.problem() {
            self.note(FILE, 0, format!("default: {problem}"));
        }
        let mut columns: Vec<Column> = Vec::new();
        let mut by_area: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for spanned in file.column {
            let line = line_of(&text, spanned.span().start);
            let row = spanned.into_inner();
            let column = Column {
                deadline: row
                    .deadline
                    .unwrap_or_else(|| file.default.deadline.clone()),
                channels: row
                    .channels
                    .unwrap_or_else(|| file.default.channels.clone()),
                area: row.area,
                name: row.name,
                aliases: row.aliases,
                requires: row.requires,
                mentions: row.mentions,
                owner: row.owner,
            };
            if let Some(area) = &column.area
                && !areas.iter().any(|known| known.key == *area)
            {
                self.note(FILE, line, format!("area {area:?} is not in areas.toml"));
            }
            if let Some(owner) = &column.owner
                && !units.contains_key(&fold_unit(owner))
            {
                self.note(FILE, line, format!("owner {owner:?} is not in units.csv"));
            }
            if let Some(problem) = column.deadline.problem() {
                self.note(FILE, line, problem);
            }
            if column
                .mentions
                .iter()
                .any(|it| it.split('|').any(|word| word.trim().is_empty()))
            {
                self.note(FILE, line, "mentions has an empty word");
            }
            let spellings = std::iter::once(&column.name)
                .chain(&column.aliases)
                .map(|spelling| fold_area(spelling));
            let names = |place: usize| columns.get(place).map_or("", |it: &Column| &it.name);
            let index = by_area
                .entry(column.area.clone().unwrap_or_default())
                .or_default();
            if let Err(problem) = claim(index, spellings, columns.len(), names) {
                self.note(FILE, line, problem);
            }
            columns.push(column);
        }
        let index = by_area
            .into_iter()
            .flat_map(|(area, index)| {
                index
                    .into_iter()
                    .map(move |(spelling, place)| ((area.clone(), spelling), place))
            })
            .collect();
        Some(Columns {
            default: file.default,
            columns,
            index,
        })
    }
}
