//! CSV, in any charset, with any of the usual delimiters.

use super::entry::{Cell, entry};
use super::file::Chunks;
use super::survey::Utf8;
use super::table::{HEADER_ROWS_MAX, Header};
use super::{COLUMNS_MAX, ImportError};
use crate::intake::Labels;
use csv::StringRecord;
use encoding_rs::Encoding;
use std::cell::Cell as Shared;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

/// Largest row; a quotation mark that is never closed would make the rest of the file one.
const ROW_BYTES_MAX: usize = 16 << 20;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// A CSV file whose header is known.
pub(super) struct CsvText {
    encoding: &'static Encoding,
    delimiter: u8,
    header: Header,
}

impl CsvText {
    /// Finds delimiter and header: those that name the most fields.
    pub(super) fn open(
        path: &Path,
        encoding: &'static Encoding,
        labels: &Labels,
    ) -> Result<Self, ImportError> {
        let mut best: Option<Self> = None;
        for delimiter in DELIMITERS {
            let Some(header) = header(path, encoding, delimiter, labels)? else {
                continue;
            };
            if best
                .as_ref()
                .is_none_or(|it| header.width() > it.header.width())
            {
                best = Some(Self {
                    encoding,
                    delimiter,
                    header,
                });
            }
        }
        best.ok_or_else(|| ImportError::NoHeader {
            rows: HEADER_ROWS_MAX,
            place: String::new(),
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the rows below the header.
    pub(super) fn read(&self, path: &Path, chunks: &mut Chunks<'_>) -> Result<(), ImportError> {
        let mut rows = Rows::open(path, self.encoding, self.delimiter)?;
        while let Some((row, cells)) = rows.next()? {
            if row <= self.header.row {
                continue;
            }
            let made = entry(self.header.given(cells));
            if !chunks.push(0, row, rows.meter.read.get(), made)? {
                break;
            }
        }
        Ok(())
    }
}

fn header(
    path: &Path,
    encoding: &'static Encoding,
    delimiter: u8,
    labels: &Labels,
) -> Result<Option<Header>, ImportError> {
    let mut rows = Rows::open(path, encoding, delimiter)?;
    for _ in 0..HEADER_ROWS_MAX {
        let Some((row, cells)) = rows.next()? else {
            break;
        };
        if let Some(header) = Header::read(labels, row, &cells)? {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// The rows of a file. Lines with nothing in them are no rows, as for the reader below.
struct Rows<'a> {
    path: &'a Path,
    reader: csv::Reader<Utf8<Metered>>,
    meter: Rc<Meter>,
    record: StringRecord,
    row: u64,
}

impl<'a> Rows<'a> {
    fn open(
        path: &'a Path,
        encoding: &'static Encoding,
        delimiter: u8,
    ) -> Result<Self, ImportError> {
        let file = File::open(path).map_err(|source| ImportError::Read {
            path: path.to_owned(),
            source,
        })?;
        let meter = Rc::new(Meter::default());
        let metered = Metered {
            file,
            meter: Rc::clone(&meter),
        };
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(Utf8::new(metered, encoding));
        Ok(Self {
            path,
            reader,
            meter,
            record: StringRecord::new(),
            row: 0,
        })
    }

    fn next(&mut self) -> Result<Option<(u64, Vec<Cell>)>, ImportError> {
        self.meter.left.set(ROW_BYTES_MAX);
        let found = self.reader.read_record(&mut self.record);
        let found = found.map_err(|error| match self.meter.left.get() {
            0 => ImportError::TooLarge {
                what: "a row (is a quotation mark left open?)",
                limit: format!("{ROW_BYTES_MAX} bytes"),
            },
            _ => ImportError::Read {
                path: self.path.to_owned(),
                source: std::io::Error::other(error),
            },
        })?;
        if !found {
            return Ok(None);
        }
        self.row += 1;
        let cells = self.record.iter().take(COLUMNS_MAX);
        let cells = cells.map(|text| Cell::Text(text.to_owned())).collect();
        Ok(Some((self.row, cells)))
    }
}

/// How much was read, and how much more may be for this row.
#[derive(Default)]
struct Meter {
    read: Shared<u64>,
    left: Shared<usize>,
}

struct Metered {
    file: File,
    meter: Rc<Meter>,
}

impl std::io::Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.meter.left.get();
        if left == 0 {
            return Err(std::io::Error::other("the row does not end"));
        }
        let count = self.file.read(buffer)?;
        self.meter.left.set(left.saturating_sub(count));
        self.meter.read.set(self.meter.read.get() + count as u64);
        Ok(count)
    }
}
