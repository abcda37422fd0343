//! Reads the cells of spreadsheets: rosters are where personal data leaks.
//!
//! Cells of a row are divided by tabs, rows by line breaks. Hidden sheets are read too. Numbers
//! are written out in full, since Excel stores identity cards as numbers when no one stops it.

use super::attachment::{Readable, TEXT_BYTES_MAX};
use crate::normalise::with_check_restored;
use calamine::{Data, DataRef, Reader, Sheets, open_workbook_auto_from_rs};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most cells of one workbook that are looked at.
const CELLS_MAX: usize = 500_000;
/// Largest workbook of the kinds that can only be read as a whole.
const WHOLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Whether the content is a workbook that its first bytes or, in a compound file, its streams tell;
/// others are archives.
pub(super) fn is_spreadsheet(bytes: &[u8]) -> bool {
    /// OpenDocument says what it is in its first file, which is not packed.
    const OPEN_DOCUMENT: &[u8] = b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet";
    const HEAD_BYTES: usize = 200;
    let contains =
        |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    if bytes.starts_with(b"PK\x03\x04") {
        return contains(&bytes[..bytes.len().min(HEAD_BYTES)], OPEN_DOCUMENT);
    }
    // A compound file is a workbook when it has a stream of that name, in UTF-16.
    bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0])
        && (contains(bytes, b"W\0o\0r\0k\0b\0o\0o\0k\0") || contains(bytes, b"B\0o\0o\0k\0\0\0"))
}

/// Reads all cells of the workbook in `bytes`.
pub(super) fn read(bytes: &[u8]) -> Readable {
    // The parser is foreign code fed by strangers: should it panic, the file is unreadable.
    catch_unwind(AssertUnwindSafe(|| try_read(bytes)))
        .ok()
        .flatten()
        .unwrap_or(Readable::No)
}

fn try_read(bytes: &[u8]) -> Option<Readable> {
    let mut workbook = open_workbook_auto_from_rs(Cursor::new(bytes)).ok()?;
    let mut cells = Cells::default();
    for sheet in workbook.sheet_names() {
        cells.line(&sheet);
        let is_complete = match &mut workbook {
            Sheets::Xlsx(workbook) => {
                let mut reader = workbook.worksheet_cells_reader(&sheet).ok()?;
                loop {
                    let Some(cell) = reader.next_cell().ok()? else {
                        break true;
                    };
                    let row = cell.get_position().0;
                    if !cells.cell(row, written_ref(cell.get_value())) {
                        break false;
                    }
                }
            }
            _ if bytes.len() > WHOLE_BYTES_MAX => false,
            Sheets::Xls(_) | Sheets::Xlsb(_) | Sheets::Ods(_) => {
                let range = workbook.worksheet_range(&sheet).ok()?;
                range
                    .used_cells()
                    .all(|(row, _, value)| cells.cell(row as u32, written(value)))
            }
        };
        if !is_complete {
            return Some(Readable::InPart(cells.text));
        }
    }
    Some(Readable::Text(cells.text))
}

#[derive(Default)]
struct Cells {
    text: String,
    count: usize,
    row: u32,
}

impl Cells {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        self.row = 0;
    }

    /// Appends a cell; returns false once the limits are reached.
    fn cell(&mut self, row: u32, value: Option<String>) -> bool {
        let Some(value) = value else { return true };
        if self.row != row {
            self.text.push('\n');
            self.row = row;
        } else if !self.text.ends_with('\n') {
            self.text.push('\t');
        }
        self.text.push_str(&value);
        self.count += 1;
        self.count < CELLS_MAX && self.text.len() < TEXT_BYTES_MAX
    }
}

fn written_ref(value: &DataRef<'_>) -> Option<String> {
    match value {
        DataRef::String(text) => Some(text.clone()),
        DataRef::SharedString(text) => Some((*text).to_owned()),
        DataRef::Int(number) => Some(number.to_string()),
        DataRef::Float(number) => Some(in_full(*number)),
        DataRef::Bool(_)
        | DataRef::DateTime(_)
        | DataRef::DateTimeIso(_)
        | DataRef::DurationIso(_)
        | DataRef::Error(_)
        | DataRef::Empty => None,
    }
}

fn written(value: &Data) -> Option<String> {
    match value {
        Data::String(text) => Some(text.clone()),
        Data::Int(number) => Some(number.to_string()),
        Data::Float(number) => Some(in_full(*number)),
        Data::Bool(_)
        | Data::DateTime(_)
        | Data::DateTimeIso(_)
        | Data::DurationIso(_)
        | Data::Error(_)
        | Data::Empty => None,
    }
}

fn in_full(number: f64) -> String {
    if number.fract() != 0.0 || number.abs() >= 1e19 {
        return number.to_string();
    }
    let digits = format!("{number:.0}");
    with_check_restored(&digits).unwrap_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        assert_eq!(in_full(13_800_138_000.0), "13800138000");
        assert_eq!(in_full(62.5), "62.5");
        // What Excel keeps of 440203199001011004: fifteen digits.
        assert_eq!(
            in_full(440_203_199_001_011_000.0).get(..14),
            Some("44020319900101")
        );
        assert!(crate::normalise::is_identity_card(&in_full(
            440_203_199_001_011_000.0
        )));
    }

    #[test]
    fn a_damaged_workbook_is_unreadable_and_nothing_worse() {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend([0; 26]);
        bytes.extend(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet");
        bytes.extend([0xff; 64]);
        assert!(is_spreadsheet(&bytes));
        assert!(matches!(read(&bytes), Readable::No));
        assert!(!is_spreadsheet(b"PK\x03\x04word/document.xml"));
        assert!(!is_spreadsheet(b""));
    }
}
