//! A file of rows, whatever its kind, and its rows in chunks.

use super::csv_text::CsvText;
use super::entry::Entry;
use super::survey::survey;
use super::workbook::Workbook;
use super::{CHUNK_BYTES, CHUNK_ROWS, ImportError, ROWS_MAX, lines};
use crate::intake::Labels;
use crate::record::FieldError;
use std::path::{Path, PathBuf};

/// A file that was looked at: its header is known, its rows are not read.
pub struct File {
    path: PathBuf,
    sha256: String,
    bytes: u64,
    content: Content,
}

enum Content {
    Csv(CsvText),
    Lines(Labels),
    Workbook(Box<Workbook>),
}

/// Where a table names its columns.
#[derive(Debug, Clone)]
pub struct SheetHeader {
    /// The sheet, in a workbook.
    pub sheet: Option<String>,
    /// The row, from 1.
    pub row: u64,
    /// Columns that say nothing to the hub.
    pub ignored: Vec<String>,
}

/// A row that is not blank.
#[derive(Debug)]
pub struct Row {
    /// Place of its sheet in [`File::headers`].
    pub(super) sheet: usize,
    pub(super) row: u64,
    pub(super) entry: Result<Entry, Vec<FieldError>>,
}

/// Rows that are taken in together.
#[derive(Debug)]
pub struct Chunk {
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// How much of [`File::total`] is read.
    pub done: u64,
}

impl File {
    /// Looks at a file: what it is, and which columns it has. `sheets` names the sheets of a
    /// workbook; without any, it must have one table only.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn open(path: &Path, labels: &Labels, sheets: &[String]) -> Result<Self, ImportError> {
        let extension = path.extension().and_then(|it| it.to_str());
        let extension = extension.unwrap_or_default().to_ascii_lowercase();
        let is_text = match extension.as_str() {
            "csv" | "txt" | "tsv" | "ndjson" | "jsonl" => true,
            "xlsx" | "xlsm" | "xls" => false,
            _ => {
                return Err(ImportError::Kind {
                    path: path.to_owned(),
                });
            }
        };
        if let Some(name) = sheets.first().filter(|_| is_text) {
            return Err(ImportError::NoSheet {
                name: name.clone(),
                there: "none, it is no workbook".to_owned(),
            });
        }
        let found = survey(path)?;
        let content = match extension.as_str() {
            "ndjson" | "jsonl" => Content::Lines(labels.clone()),
            _ if is_text => {
                let encoding = found.encoding.ok_or_else(|| ImportError::Charset {
                    path: path.to_owned(),
                })?;
                Content::Csv(CsvText::open(path, encoding, labels)?)
            }
            _ => Content::Workbook(Box::new(Workbook::open(path, labels, sheets)?)),
        };
        Ok(Self {
            path: path.to_owned(),
            sha256: found.sha256,
            bytes: found.bytes,
            content,
        })
    }

    /// Returns the lower-case hex SHA-256 of the file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns how much there is to read: bytes of a text, rows of a workbook.
    pub fn total(&self) -> u64 {
        match &self.content {
            Content::Csv(_) | Content::Lines(_) => self.bytes,
            Content::Workbook(workbook) => workbook.rows(),
        }
    }

    /// Returns where the columns are named; empty for NDJSON, whose lines do that themselves.
    pub fn headers(&self) -> Vec<SheetHeader> {
        match &self.content {
            Content::Csv(text) => vec![SheetHeader {
                sheet: None,
                row: text.header().row,
                ignored: text.header().ignored.clone(),
            }],
            Content::Lines(_) => Vec::new(),
            Content::Workbook(workbook) => workbook.headers(),
        }
    }

    /// Reads all rows but the first `skip`, in chunks, until `send` returns false. Returns labels
    /// that were met on the way and say nothing to the hub.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn read(
        self,
        skip: u64,
        send: &mut dyn FnMut(Chunk) -> bool,
    ) -> Result<Vec<String>, ImportError> {
        let mut chunks = Chunks {
            send,
            skip,
            seen: 0,
            rows: Vec::new(),
            bytes: 0,
            done: 0,
        };
        let ignored = match self.content {
            Content::Csv(text) => text.read(&self.path, &mut chunks).map(|()| Vec::new()),
            Content::Lines(labels) => lines::read(&self.path, &labels, &mut chunks),
            Content::Workbook(workbook) => workbook.read(&mut chunks).map(|()| Vec::new()),
        }?;
        chunks.flush();
        Ok(ignored)
    }
}

/// Gathers rows.
pub(super) struct Chunks<'a> {
    send: &'a mut dyn FnMut(Chunk) -> bool,
    skip: u64,
    seen: u64,
    rows: Vec<Row>,
    bytes: usize,
    done: u64,
}

impl Chunks<'_> {
    /// Adds a row, if there is anything in it; false when no more are wanted. `done` is how much
    /// of the file is read with it.
    pub(super) fn push(
        &mut self,
        sheet: usize,
        row: u64,
        done: u64,
        entry: Result<Option<Entry>, Vec<FieldError>>,
    ) -> Result<bool, ImportError> {
        let Some(entry) = entry.transpose() else {
            return Ok(true);
        };
        self.seen += 1;
        if self.seen > ROWS_MAX {
            return Err(ImportError::TooLarge {
                what: "the number of rows",
                limit: ROWS_MAX.to_string(),
            });
        }
        self.done = done;
        if self.seen <= self.skip {
            return Ok(true);
        }
        self.bytes += entry.as_ref().map_or(0, |entry| entry.body.len());
        self.rows.push(Row { sheet, row, entry });
        if self.rows.len() < CHUNK_ROWS && self.bytes < CHUNK_BYTES {
            return Ok(true);
        }
        Ok(self.flush())
    }

    fn flush(&mut self) -> bool {
        if self.rows.is_empty() {
            return true;
        }
        self.bytes = 0;
        (self.send)(Chunk {
            rows: std::mem::take(&mut self.rows),
            done: self.done,
        })
    }
}
