//! Reads the catalogue's files and notes everything in them that contradicts itself.

use super::calendar::{Calendar, Notice};
use super::column::{Column, ColumnDefault, Element};
use super::deadline::DeadlineRule;
use super::error::CatalogueFinding;
use super::folding::{fold_area, fold_unit};
use super::{Area, CatalogueUnit, Division};
use crate::record::Unit;
use jiff::civil::{Date, Weekday};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Longest run of days off that a notice gives at once; longer ones are slips.
const DAYS_OFF_MAX: i32 = 16;

/// Things with the spellings that lead to them.
pub(super) type Indexed<T> = (Vec<T>, HashMap<String, usize>);

/// Reads the files of one folder; what is wrong is noted, so that all of it is told at once.
pub(super) struct Loader<'a> {
    dir: &'a Path,
    pub(super) findings: Vec<CatalogueFinding>,
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeFile {
    year: i16,
    holiday: Vec<Holiday>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holiday {
    name: String,
    off: Vec<String>,
    #[serde(default)]
    worked: Vec<Date>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            findings: Vec::new(),
        }
    }

    /// Reads `divisions.csv`.
    pub(super) fn divisions(&mut self) -> Vec<Division> {
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
    pub(super) fn units(&mut self, divisions: &[Division]) -> Indexed<CatalogueUnit> {
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
    pub(super) fn codes(&mut self, units: &mut Indexed<CatalogueUnit>) {
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

    /// Reads `areas.toml`.
    pub(super) fn areas(&mut self) -> Indexed<Area> {
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

    /// Reads `columns.toml`. Columns are indexed by area and spelling.
    pub(super) fn columns(
        &mut self,
        areas: &[Area],
        units: &HashMap<String, usize>,
    ) -> Option<(ColumnDefault, Vec<Column>, HashMap<(String, String), usize>)> {
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
        Some((file.default, columns, index))
    }

    /// Reads the holiday notices of `calendar/`, one file a year.
    pub(super) fn calendar(&mut self) -> Calendar {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.join("calendar"))
            .map(|entries| entries.filter_map(Result::ok).map(|it| it.path()).collect())
            .unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|it| it == "toml"));
        files.sort();
        let mut notices = Vec::new();
        for path in files {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("calendar/{stem}.toml");
            if let Some((_, file)) = self.toml::<NoticeFile>(&name) {
                if file.year.to_string() != stem {
                    let problem = format!("the file of {} is {}.toml", file.year, file.year);
                    self.note(&name, 0, problem);
                }
                notices.push(self.notice(&name, &file));
            }
        }
        Calendar::new(notices)
    }

    fn notice(&mut self, file: &str, written: &NoticeFile) -> Notice {
        let (mut off, mut worked) = (BTreeSet::new(), BTreeSet::new());
        let mut problems = Vec::new();
        for holiday in &written.holiday {
            for days in &holiday.off {
                match run_of_days(days) {
                    Some(days) => off.extend(days),
                    None => problems.push(format!(
                        "{}: {days:?} is no day or run of up to {DAYS_OFF_MAX} days such as \
                         2014-10-01/2014-10-07",
                        holiday.name
                    )),
                }
            }
            for day in &holiday.worked {
                if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
                    problems.push(format!("{}: {day} is worked anyway", holiday.name));
                }
                worked.insert(*day);
            }
        }
        // A notice may use the last days of the year before, never others.
        let is_near = |day: &&Date| {
            day.year() == written.year || (day.year() == written.year - 1 && day.month() == 12)
        };
        if let Some(far) = off.iter().chain(&worked).find(|day| !is_near(day)) {
            problems.push(format!(
                "{far} does not belong to the notice of {}",
                written.year
            ));
        }
        if let Some(both) = off.intersection(&worked).next() {
            problems.push(format!("{both} is both off and worked"));
        }
        for problem in problems {
            self.note(file, 0, problem);
        }
        Notice {
            year: written.year,
            off: off.into_iter().collect(),
            worked: worked.into_iter().collect(),
        }
    }

    fn note(&mut self, file: &str, line: u64, problem: impl Into<String>) {
        self.findings.push(CatalogueFinding {
            file: self.dir.join(file).display().to_string(),
            line,
            problem: problem.into(),
        });
    }

    fn rows<T: DeserializeOwned>(&mut self, file: &str) -> Vec<(u64, T)> {
        let Some(text) = self.read(file) else {
            return Vec::new();
        };
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = match reader.headers() {
            Ok(headers) => headers.clone(),
            Err(error) => {
                self.note(file, 1, error.to_string());
                return Vec::new();
            }
        };
        let mut rows = Vec::new();
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    match record.deserialize(Some(&headers)) {
                        Ok(row) => rows.push((line, row)),
                        Err(error) => self.note(file, line, error.to_string()),
                    }
                }
                Err(error) => {
                    let line = error.position().map_or(1, csv::Position::line);
                    self.note(file, line, error.to_string());
                }
            }
        }
        rows
    }

    fn toml<T: DeserializeOwned>(&mut self, file: &str) -> Option<(String, T)> {
        let text = self.read(file)?;
        match toml::from_str(&text) {
            Ok(value) => Some((text, value)),
            Err(error) => {
                let line = error.span().map_or(0, |span| line_of(&text, span.start));
                self.note(file, line, error.message());
                None
            }
        }
    }

    fn read(&mut self, file: &str) -> Option<String> {
        match std::fs::read_to_string(self.dir.join(file)) {
            Ok(text) => Some(text),
            Err(error) => {
                self.note(file, 0, format!("cannot be read: {error}"));
                None
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

/// Returns the days of `2014-10-01/2014-10-07`, or the one day that is named.
fn run_of_days(text: &str) -> Option<Vec<Date>> {
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    let (first, last): (Date, Date) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let days = first.until(last).ok()?.get_days();
    if !(0..DAYS_OFF_MAX).contains(&days) {
        return None;
    }
    Some(
        first
            .series(jiff::Span::new().days(1))
            .take_while(|day| *day <= last)
            .collect(),
    )
}

fn line_of(text: &str, start: usize) -> u64 {
    1 + text[..start.min(text.len())].matches('\n').count() as u64
}

/// Enters all `spellings` of one thing into `index`; one that means another thing is an error.
fn claim<'n>(
    index: &mut HashMap<String, usize>,
    spellings: impl Iterator<Item = String>,
    place: usize,
    names: impl Fn(usize) -> &'n str,
) -> Result<(), String> {
    for spelling in spellings {
        if spelling.is_empty() {
            return Err("a name is empty".to_owned());
        }
        match index.get(&spelling) {
            Some(&other) if other != place => {
                return Err(format!("{spelling:?} already means {:?}", names(other)));
            }
            Some(_) => {}
            None => {
                index.insert(spelling, place);
            }
        }
    }
    Ok(())
}
