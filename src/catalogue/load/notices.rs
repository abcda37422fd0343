//! The holiday notices, one file a year.

use super::super::calendar::{Calendar, Notice};
use super::Loader;
use jiff::civil::{Date, Weekday};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Longest run of days off that a notice gives at once; longer ones are slips.
const DAYS_OFF_MAX: i32 = 16;

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

impl Loader<'_> {
    /// Reads the holiday notices of `calendar/`, one file a year.
    pub(in crate::catalogue) fn calendar(&mut self) -> Calendar {
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
