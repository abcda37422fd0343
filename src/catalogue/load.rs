//! Reads the catalogue's files and notes everything in them that contradicts itself.

mod columns;
mod notices;
mod units;

use super::error::CatalogueFinding;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;

/// Things with the spellings that lead to them.
pub(super) type Indexed<T> = (Vec<T>, HashMap<String, usize>);

/// Reads the files of one folder; what is wrong is noted, so that all of it is told at once.
pub(super) struct Loader<'a> {
    dir: &'a Path,
    pub(super) findings: Vec<CatalogueFinding>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            findings: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, file: &str, line: u64, problem: impl Into<String>) {
        self.findings.push(CatalogueFinding {
            file: self.dir.join(file).display().to_string(),
            line,
            problem: problem.into(),
        });
    }

    pub(super) fn rows<T: DeserializeOwned>(&mut self, file: &str) -> Vec<(u64, T)> {
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

    pub(super) fn toml<T: DeserializeOwned>(&mut self, file: &str) -> Option<(String, T)> {
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

pub(super) fn line_of(text: &str, start: usize) -> u64 {
    1 + text[..start.min(text.len())].matches('\n').count() as u64
}

/// Enters all `spellings` of one thing into `index`; one that means another thing is an error.
pub(super) fn claim<'n>(
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
