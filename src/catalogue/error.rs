//! What is wrong with a catalogue, each with its place.

use serde::Serialize;
use std::fmt;

/// Most findings that one message tells; a table with a wrong separator is wrong in every line.
const TOLD_MAX: usize = 10;

/// Why a catalogue cannot be used: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueError {
    /// What is wrong, file by file; never empty.
    pub findings: Vec<CatalogueFinding>,
}

/// One thing that is wrong with a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogueFinding {
    /// The file.
    pub file: String,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl fmt::Display for CatalogueFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file, self.problem),
            line => write!(formatter, "{}, line {line}: {}", self.file, self.problem),
        }
    }
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, finding) in self.findings.iter().take(TOLD_MAX).enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(formatter, "{between}{finding}")?;
        }
        match self.findings.len().saturating_sub(TOLD_MAX) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

impl std::error::Error for CatalogueError {}
