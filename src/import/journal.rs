//! What is told of each row: written down as it comes, so that a run that was stopped goes on, and
//! at the end as the report.
//!
//! The journal is NDJSON beside the report, its name bears a digest of what is being imported: an
//! edited file, another source or sheet is another run. A last line without its end was never
//! told.

use super::{ImportError, Outcome, RowReport};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Rows that need a look and are told at once; the report has all.
const TROUBLES_MAX: usize = 20;
const COLUMNS: [&str; 13] = [
    "sheet",
    "row",
    "outcome",
    "record_id",
    "version",
    "platforms",
    "code",
    "pointer",
    "detail",
    "duplicate_of_sheet",
    "duplicate_of_row",
    "duplicate_of_record",
    "source_id",
];

/// What was told so far.
pub struct Journal {
    path: PathBuf,
    report: PathBuf,
    file: File,
}

/// All rows of a file, counted.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [u64; Outcome::ALL.len()],
    /// The first rows that were not simply taken in.
    pub troubles: Vec<RowReport>,
}

impl Tally {
    /// Returns how many rows became that.
    pub fn count(&self, outcome: Outcome) -> u64 {
        let place = Outcome::ALL.iter().position(|it| *it == outcome);
        place.map_or(0, |place| self.counts[place])
    }

    /// Returns how many rows there are.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, report: RowReport) {
        if let Some(place) = Outcome::ALL.iter().position(|it| *it == report.outcome) {
            self.counts[place] += 1;
        }
        let needs_a_look = matches!(
            report.outcome,
            Outcome::Held | Outcome::Duplicate | Outcome::Rejected
        );
        if needs_a_look && self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(report);
        }
    }
}

impl Journal {
    /// Opens the journal of a report. `run` names what is being imported.
    ///
    /// # Errors
    /// It cannot be written, or another process writes it.
    pub fn open(report: &Path, run: &str) -> Result<Self, ImportError> {
        let mut name = report.as_os_str().to_owned();
        name.push(".unfinished-");
        name.push(run);
        let path = PathBuf::from(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| unusable(&path, error))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => unusable(&path, "another import of this file is running"),
            TryLockError::Error(error) => unusable(&path, error),
        })?;
        Ok(Self {
            path,
            report: report.to_owned(),
            file,
        })
    }

    /// Tells all rows of earlier runs and returns how many there are.
    ///
    /// # Errors
    /// It cannot be read, or was written by something else.
    pub fn replay(&mut self, mut each: impl FnMut(&RowReport)) -> Result<u64, ImportError> {
        let mut rows = 0;
        let mut good = 0;
        for line in lines(&self.path, &mut self.file)? {
            let (line, report) = line?;
            good += line;
            rows += 1;
            each(&report);
        }
        self.file
            .set_len(good)
            .and_then(|()| self.file.seek(SeekFrom::End(0)))
            .map_err(|error| unusable(&self.path, error))?;
        Ok(rows)
    }

    /// Forgets all that was told.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn clear(&mut self) -> Result<(), ImportError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(|error| unusable(&self.path, error))
    }

    /// Writes down what became of some rows.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn tell(&mut self, reports: &[RowReport]) -> Result<(), ImportError> {
        let mut text = Vec::new();
        for report in reports {
            serde_json::to_writer(&mut text, report)
                .map_err(|error| unusable(&self.path, error))?;
            text.push(b'\n');
        }
        self.file
            .write_all(&text)
            .map_err(|error| unusable(&self.path, error))
    }

    /// Writes the report, as CSV or NDJSON as its name says, and removes the journal, also those
    /// of runs that an edited file made void.
    ///
    /// # Errors
    /// The report cannot be written; the journal stays.
    pub fn finish(mut self) -> Result<Tally, ImportError> {
        let failed = |error| unusable(&self.report, error);
        let is_ndjson = self
            .report
            .extension()
            .is_some_and(|it| it == "ndjson" || it == "jsonl");
        let mut tally = Tally::default();
        let mut out = BufWriter::new(File::create(&self.report).map_err(failed)?);
        if is_ndjson {
            for line in lines(&self.path, &mut self.file)? {
                let report = line?.1;
                writeln!(out, "{}", json(&report)).map_err(failed)?;
                tally.add(report);
            }
        } else {
            // The mark makes spreadsheets read Chinese.
            out.write_all("\u{feff}".as_bytes()).map_err(failed)?;
            let mut table = csv::Writer::from_writer(&mut out);
            let told = |error: csv::Error| unusable(&self.report, error);
            table.write_record(COLUMNS).map_err(told)?;
            for line in lines(&self.path, &mut self.file)? {
                let report = line?.1;
                table.write_record(cells(&report)).map_err(told)?;
                tally.add(report);
            }
            table.flush().map_err(failed)?;
        }
        out.flush().map_err(failed)?;
        self.remove();
        Ok(tally)
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
        for stale in self.others() {
            let _ = std::fs::remove_file(stale);
        }
    }

    /// Returns the journals of runs of the same report that were stopped and had another content.
    pub fn others(&self) -> Vec<PathBuf> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let Some(name) = self.report.file_name().and_then(|it| it.to_str()) else {
            return Vec::new();
        };
        let start = format!("{name}.unfinished-");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.file_name() != self.path.file_name())
            .filter(|path| {
                let name = path.file_name().and_then(|it| it.to_str());
                name.is_some_and(|name| name.starts_with(&start))
            })
            .collect()
    }
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> ImportError {
    ImportError::Journal {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Reads the rows of a journal with the length of their lines, up to a line without its end.
fn lines<'a>(
    path: &'a Path,
    file: &'a mut File,
) -> Result<impl Iterator<Item = Result<(u64, RowReport), ImportError>> + 'a, ImportError> {
    file.rewind().map_err(|error| unusable(path, error))?;
    let mut reader = BufReader::new(file);
    Ok(std::iter::from_fn(move || {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Err(error) => Some(Err(unusable(path, error))),
            Ok(_) if !line.ends_with('\n') => None,
            Ok(read) => Some(
                serde_json::from_str(&line)
                    .map(|report| (read as u64, report))
                    .map_err(|error| unusable(path, error)),
            ),
        }
    }))
}

fn json(report: &RowReport) -> String {
    serde_json::to_string(report).expect("our own type has text keys only")
}

fn cells(report: &RowReport) -> [String; COLUMNS.len()] {
    let number = |number: Option<u64>| number.map_or_else(String::new, |it| it.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        text(&report.sheet),
        report.row.to_string(),
        report.outcome.as_str().to_owned(),
        text(&report.record_id),
        number(report.version.and_then(|it| it.try_into().ok())),
        report.platforms.join(" "),
        report.code.clone(),
        report.pointer.clone(),
        report.detail.clone(),
        text(&report.duplicate_of_sheet),
        number(report.duplicate_of_row),
        text(&report.duplicate_of_record),
        text(&report.source_id),
    ]
}
