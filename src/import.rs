//! Takes in whole files of rows: workbooks, CSV and NDJSON, through the same door as single posts.
//!
//! Owns the way from a file to native submissions, by the table of [`crate::intake::Labels`], what
//! is a duplicate, and what is told of each row. It stores nothing itself: that
//! is [`crate::intake`], row by row as of a batch.
//!
//! A row without an id of its own gets one made of what tells documents apart, so that the same
//! row is the same record however often, and from whichever line of the file, it comes.

mod csv_text;
mod entry;
mod fate;
mod file;
mod journal;
mod lines;
mod merged;
mod run;
mod survey;
mod table;
mod workbook;

pub use file::{Chunk, File, Row, SheetHeader};
pub use journal::{Journal, Tally};
pub use run::{Importer, Options};

use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Most rows of one file, about those of a sheet.
pub const ROWS_MAX: u64 = 1_050_000;
/// Most columns of a row that are looked at.
const COLUMNS_MAX: usize = 200;
/// Rows that are taken in together.
const CHUNK_ROWS: usize = 256;
/// Bytes of rows that are taken in together.
const CHUNK_BYTES: usize = 8 << 20;

/// Why a file cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Its name ends in nothing that is known.
    #[error("{path} is none of .xlsx, .xlsm, .xls, .csv, .tsv, .txt, .ndjson and .jsonl")]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// Its bytes are in no charset that is known.
    #[error("{path} is neither UTF-8 nor GB 18030 nor UTF-16 with a byte order mark")]
    Charset {
        /// The file.
        path: PathBuf,
    },
    /// It is no workbook, or a damaged one.
    #[error("cannot read the workbook: {reason}")]
    Workbook {
        /// What is wrong.
        reason: String,
    },
    /// It is too large in some way.
    #[error("{what} is more than {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit, with its unit.
        limit: String,
    },
    /// No row names the columns.
    #[error("none of the first {rows} rows{place} names the columns (标题 and at least one more)")]
    NoHeader {
        /// How many rows were looked at.
        rows: usize,
        /// Where; empty, or begins with a blank.
        place: String,
    },
    /// Two columns are the same field.
    #[error("the columns “{first}” and “{second}” are both {field}")]
    TwoColumns {
        /// The one on the left.
        first: String,
        /// The other.
        second: String,
        /// Pointer of the field.
        field: String,
    },
    /// There is no such sheet.
    #[error("there is no sheet “{name}”; there are: {there}")]
    NoSheet {
        /// The name asked for.
        name: String,
        /// The names there are.
        there: String,
    },
    /// Several sheets have a header, and nobody said which is meant.
    #[error("several sheets name columns: {there}")]
    SeveralSheets {
        /// Their names.
        there: String,
    },
    /// What was written of an earlier run cannot be used.
    #[error("cannot use {path}: {reason}")]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Store(#[from] StoreError),
}

/// What became of a row, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new record, on its way to its platforms.
    Created,
    /// A new version of a record.
    Corrected,
    /// A record that is kept and does not go out.
    Held,
    /// A record that is taken down.
    Withdrawn,
    /// The same is stored already.
    Unchanged,
    /// The same document is in an earlier row, or stored under another id. Nothing is stored.
    Duplicate,
    /// Something is wrong with it. Nothing is stored.
    Rejected,
}

impl Outcome {
    /// All outcomes, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Corrected,
        Self::Held,
        Self::Withdrawn,
        Self::Unchanged,
        Self::Duplicate,
        Self::Rejected,
    ];

    /// Returns the word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Corrected => "corrected",
            Self::Held => "held",
            Self::Withdrawn => "withdrawn",
            Self::Unchanged => "unchanged",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }
}

/// What is told of a row; nothing in it repeats what may be personal data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RowReport {
    /// The sheet, in a workbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The row as spreadsheets count, from 1; in NDJSON the line.
    pub row: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The record; none when there is none, or not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// The version of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The id of the row in its source, its own or a made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// The platforms that shall show it.
    pub platforms: Vec<String>,
    /// Codes of what is wrong or holds it, divided by blanks.
    pub code: String,
    /// Pointer of the first field that is wrong.
    pub pointer: String,
    /// Sentences for the clerk.
    pub detail: String,
    /// The earlier row with the same document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of_row: Option<u64>,
    /// The sheet of that row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of_sheet: Option<String>,
    /// The stored record of the same document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of_record: Option<String>,
}
