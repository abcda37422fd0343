//! Workbooks: sheets of cells that are texts, numbers, dates or faults.

use super::entry::{Cell, entry};
use super::file::{Chunks, SheetHeader};
use super::merged::Merged;
use super::table::{HEADER_ROWS_MAX, Header};
use super::{COLUMNS_MAX, ImportError};
use crate::intake::Labels;
use calamine::{Data, DataRef, ExcelDateTime, Reader as _, SheetVisible, Sheets};
use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Largest workbook.
const FILE_BYTES_MAX: u64 = 128 << 20;
/// Largest workbook of the kinds that can only be read as a whole.
const WHOLE_BYTES_MAX: u64 = 16 << 20;
/// What its parts may unpack to, all together.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// A workbook whose tables are known.
pub(super) struct Workbook {
    sheets: Sheets<BufReader<File>>,
    tables: Vec<Table>,
}

struct Table {
    sheet: String,
    header: Header,
    /// Last row, as the sheet says; only for showing how far one is.
    rows: u64,
}

/// The parser is foreign code fed by strangers: should it panic, the workbook is damaged.
fn guarded<T>(read: impl FnOnce() -> Result<T, ImportError>) -> Result<T, ImportError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged("it is damaged")))
}

fn damaged(reason: impl std::fmt::Display) -> ImportError {
    ImportError::Workbook {
        reason: reason.to_string(),
    }
}

impl Workbook {
    /// Opens a workbook and finds the headers of `wanted` sheets; without any wanted, the one
    /// visible sheet that has a header.
    pub(super) fn open(
        path: &Path,
        labels: &Labels,
        wanted: &[String],
    ) -> Result<Self, ImportError> {
        check_size(path)?;
        guarded(|| Self::find_tables(path, labels, wanted))
    }

    fn find_tables(path: &Path, labels: &Labels, wanted: &[String]) -> Result<Self, ImportError> {
        let mut sheets = calamine::open_workbook_auto(path).map_err(damaged)?;
        let there: Vec<(String, bool)> = sheets
            .sheets_metadata()
            .iter()
            .map(|sheet| (sheet.name.clone(), sheet.visible == SheetVisible::Visible))
            .collect();
        if let Some(name) = wanted
            .iter()
            .find(|name| !there.iter().any(|(it, _)| it == *name))
        {
            let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
            return Err(ImportError::NoSheet {
                name: name.clone(),
                there: names.join("、"),
            });
        }
        let mut tables = Vec::new();
        for (name, is_visible) in there {
            let is_wanted = match wanted.is_empty() {
                true => is_visible,
                false => wanted.contains(&name),
            };
            if !is_wanted {
                continue;
            }
            match find_table(&mut sheets, &name, labels)? {
                Some(table) => tables.push(table),
                None if wanted.is_empty() => {}
                None => {
                    return Err(ImportError::NoHeader {
                        rows: HEADER_ROWS_MAX,
                        place: format!(" of sheet “{name}”"),
                    });
                }
            }
        }
        match tables.len() {
            0 => Err(ImportError::NoHeader {
                rows: HEADER_ROWS_MAX,
                place: " of any sheet".to_owned(),
            }),
            1 => Ok(Self { sheets, tables }),
            _ if !wanted.is_empty() => Ok(Self { sheets, tables }),
            _ => {
                let names: Vec<&str> = tables.iter().map(|it| it.sheet.as_str()).collect();
                Err(ImportError::SeveralSheets {
                    there: names.join("、"),
                })
            }
        }
    }

    pub(super) fn headers(&self) -> Vec<SheetHeader> {
        let header = |table: &Table| SheetHeader {
            sheet: Some(table.sheet.clone()),
            row: table.header.row,
            ignored: table.header.ignored.clone(),
        };
        self.tables.iter().map(header).collect()
    }

    /// Returns how many rows there are in all tables, as far as they say.
    pub(super) fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Reads the rows below the headers.
    pub(super) fn read(mut self, chunks: &mut Chunks<'_>) -> Result<(), ImportError> {
        let mut before = 0;
        for (place, table) in self.tables.iter().enumerate() {
            let header = &table.header;
            let mut goes_on = true;
            guarded(|| {
                let mut merged = merged(&mut self.sheets, &table.sheet)?;
                rows(&mut self.sheets, &table.sheet, &mut |row, mut cells| {
                    if row > header.row {
                        merged.fill(row, &mut cells);
                        let made = entry(header.given(cells));
                        goes_on = chunks.push(place, row, before + row, made)?;
                    }
                    Ok(goes_on)
                })
            })?;
            if !goes_on {
                break;
            }
            before += table.rows;
        }
        Ok(())
    }
}

fn find_table(
    sheets: &mut Sheets<BufReader<File>>,
    name: &str,
    labels: &Labels,
) -> Result<Option<Table>, ImportError> {
    let mut header = None;
    let mut looked_at = 0;
    let last = rows(sheets, name, &mut |row, cells| {
        header = Header::read(labels, row, &cells)?;
        looked_at += 1;
        Ok(header.is_none() && looked_at < HEADER_ROWS_MAX)
    })?;
    Ok(header.map(|header| Table {
        sheet: name.to_owned(),
        header,
        rows: last,
    }))
}

/// Returns the merged cells of a sheet; old workbooks do not tell.
fn merged(sheets: &mut Sheets<BufReader<File>>, name: &str) -> Result<Merged, ImportError> {
    let Sheets::Xlsx(workbook) = sheets else {
        return Ok(Merged::default());
    };
    let regions = workbook.merge_cells_by_sheet_name(name).map_err(damaged)?;
    Ok(Merged::new(&regions))
}

/// Tells the rows of a sheet that have cells, until `each` returns false. Returns the last row, as
/// the sheet says.
fn rows(
    sheets: &mut Sheets<BufReader<File>>,
    name: &str,
    each: &mut dyn FnMut(u64, Vec<Cell>) -> Result<bool, ImportError>,
) -> Result<u64, ImportError> {
    let Sheets::Xlsx(workbook) = sheets else {
        let range = sheets.worksheet_range(name).map_err(damaged)?;
        let first = range.start().map_or(0, |(row, _)| u64::from(row));
        let left = range.start().map_or(0, |(_, column)| column as usize);
        for (place, row) in range.rows().enumerate() {
            let mut cells = vec![Cell::Blank; left.min(COLUMNS_MAX)];
            let room = COLUMNS_MAX - cells.len();
            cells.extend(row.iter().take(room).map(cell));
            if !each(first + place as u64 + 1, cells)? {
                break;
            }
        }
        return Ok(range.end().map_or(0, |(row, _)| u64::from(row) + 1));
    };
    let mut reader = workbook.worksheet_cells_reader(name).map_err(damaged)?;
    let last = u64::from(reader.dimensions().end.0) + 1;
    let mut current = None;
    let mut cells = Vec::new();
    while let Some(found) = reader.next_cell().map_err(damaged)? {
        let (row, column) = found.get_position();
        if current.is_some_and(|current| current != row) {
            let told = std::mem::take(&mut cells);
            if !each(u64::from(current.unwrap_or(row)) + 1, told)? {
                return Ok(last);
            }
        }
        current = Some(row);
        let column = column as usize;
        if column < COLUMNS_MAX {
            if cells.len() <= column {
                cells.resize(column + 1, Cell::Blank);
            }
            cells[column] = cell_ref(found.get_value());
        }
    }
    if let Some(current) = current {
        each(u64::from(current) + 1, cells)?;
    }
    Ok(last)
}

fn cell_ref(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::Empty => Cell::Blank,
        DataRef::String(text) => Cell::Text(text.clone()),
        DataRef::SharedString(text) => Cell::Text((*text).to_owned()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Cell::Text(text.clone()),
        DataRef::Int(number) => Cell::Number(*number as f64),
        DataRef::Float(number) => Cell::Number(*number),
        DataRef::Bool(it) => Cell::Text(it.to_string()),
        DataRef::DateTime(moment) => day(moment),
        DataRef::Error(error) => Cell::Fault(error.to_string()),
    }
}

fn cell(value: &Data) -> Cell {
    match value {
        Data::Empty => Cell::Blank,
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => {
            Cell::Text(text.clone())
        }
        Data::Int(number) => Cell::Number(*number as f64),
        Data::Float(number) => Cell::Number(*number),
        Data::Bool(it) => Cell::Text(it.to_string()),
        Data::DateTime(moment) => day(moment),
        Data::Error(error) => Cell::Fault(error.to_string()),
    }
}

/// Returns the day of a date cell, in whichever of the two calendars the workbook counts.
fn day(moment: &ExcelDateTime) -> Cell {
    if moment.is_duration() {
        return Cell::Number(moment.as_f64());
    }
    let (year, month, day, ..) = moment.to_ymd_hms_milli();
    Cell::Text(format!("{year:04}-{month:02}-{day:02}"))
}

/// Refuses what is too large, packed or unpacked: what the parts claim to be is not believed.
fn check_size(path: &Path) -> Result<(), ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    let too_large = |what, limit: u64| ImportError::TooLarge {
        what,
        limit: format!("{limit} bytes"),
    };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(too_large("the workbook", FILE_BYTES_MAX));
    }
    let is_streamed = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("xlsx") || it.eq_ignore_ascii_case("xlsm"));
    if !is_streamed && bytes > WHOLE_BYTES_MAX {
        return Err(too_large("a workbook of this kind", WHOLE_BYTES_MAX));
    }
    // An old .xls is no archive; its parser keeps to its size.
    let Ok(mut archive) = zip::ZipArchive::new(BufReader::new(file)) else {
        return Ok(());
    };
    let mut left = UNPACKED_BYTES_MAX;
    for place in 0..archive.len() {
        let part = archive.by_index(place).map_err(damaged)?;
        let mut limited = std::io::Read::take(part, left + 1);
        let unpacked = std::io::copy(&mut limited, &mut std::io::sink()).map_err(damaged)?;
        left = left
            .checked_sub(unpacked)
            .ok_or_else(|| too_large("the unpacked workbook", UNPACKED_BYTES_MAX))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::file::Chunk;
    use serde_json::Value;
    use std::io::Write as _;

    /// Writes a workbook of `(sheet, attributes, rows and what follows them)`.
    fn workbook(sheets: &[(&str, &str, &str)]) -> tempfile::TempDir {
        const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        const RELATIONS: &str =
            "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("a.xlsx")).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        let mut part = |name: &str, content: &str| {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(name, options).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        };
        let (mut list, mut links) = (String::new(), String::new());
        for (place, (name, attributes, rows)) in sheets.iter().enumerate() {
            list += &format!(
                "<sheet name=\"{name}\" sheetId=\"{0}\" {attributes} r:id=\"r{0}\"/>",
                place + 1
            );
            links += &format!(
                "<Relationship Id=\"r{0}\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet{0}.xml\"/>",
                place + 1
            );
            part(
                &format!("xl/worksheets/sheet{}.xml", place + 1),
                &format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</worksheet>"),
            );
        }
        part(
            "xl/workbook.xml",
            &format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><workbookPr date1904=\"1\"/><sheets>{list}</sheets></workbook>"
            ),
        );
        part(
            "xl/_rels/workbook.xml.rels",
            &format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{links}</Relationships>"
            ),
        );
        part(
            "_rels/.rels",
            &format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        );
        part(
            "xl/styles.xml",
            &format!(
                "<styleSheet xmlns=\"{MAIN}\"><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"
            ),
        );
        archive.finish().unwrap();
        folder
    }

    fn row(row: u32, cells: &[&str]) -> String {
        let cell = |(place, text): (usize, &&str)| {
            let at = format!("{}{row}", ["A", "B", "C", "D"][place]);
            match text.parse::<f64>() {
                Ok(_) => format!("<c r=\"{at}\" s=\"1\"><v>{text}</v></c>"),
                Err(_) if text.is_empty() => String::new(),
                Err(_) => format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{text}</t></is></c>"),
            }
        };
        let cells: String = cells.iter().enumerate().map(cell).collect();
        format!("<row r=\"{row}\">{cells}</row>")
    }

    fn open(folder: &tempfile::TempDir, wanted: &[&str]) -> Result<crate::import::File, String> {
        let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/oa");
        let labels = Labels::load(&labels).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|it| (*it).to_owned()).collect();
        crate::import::File::open(&folder.path().join("a.xlsx"), &labels, &wanted)
            .map_err(|error| error.to_string())
    }

    fn read(file: crate::import::File) -> Vec<(usize, u64, Value)> {
        let mut found = Vec::new();
        let mut send = |chunk: Chunk| {
            for row in chunk.rows {
                let entry: Value = serde_json::from_slice(&row.entry.unwrap().body).unwrap();
                found.push((row.sheet, row.row, entry["entry"].clone()));
            }
            true
        };
        file.read(0, &mut send).unwrap();
        found
    }

    const HEADER: [&str; 4] = ["标题", "发布机构", "成文日期", "正文"];

    #[test]
    fn merged_cells_stand_for_the_rows_beside_them_and_dates_are_of_their_calendar() {
        let rows = [
            row(1, &["补录表"]),
            row(2, &HEADER),
            row(3, &["甲", "市财政局", "40438", "正文"]),
            row(5, &["乙", "", "40438", "正文"]),
            row(6, &["", "", "", ""]),
            row(7, &["丙", "", "40438", "正文"]),
        ]
        .concat();
        let merges = "</sheetData><mergeCells><mergeCell ref=\"A1:D1\"/><mergeCell ref=\"B3:B6\"/></mergeCells>";
        let folder = workbook(&[("表", "", &(rows + merges))]);
        let found = read(open(&folder, &[]).unwrap());
        let units: Vec<(u64, &Value)> = found.iter().map(|it| (it.1, &it.2["unit"])).collect();
        let unit = Value::from("市财政局");
        assert_eq!(units, [(3, &unit), (5, &unit), (7, &Value::Null)]);
        assert_eq!(
            found[0].2["written_on"], "2014-09-18",
            "day 40438 since 1904"
        );
    }

    #[test]
    fn of_several_tables_one_must_be_named_and_hidden_ones_do_not_count() {
        let table = |title: &str| {
            row(1, &HEADER) + &row(2, &[title, "市财政局", "40438", "正文"]) + "</sheetData>"
        };
        let sheets = [table("甲"), table("乙"), table("丙")];
        let notes = row(1, &["填表说明"]) + "</sheetData>";
        let folder = workbook(&[
            ("说明", "", &notes),
            ("一", "", &sheets[0]),
            ("旧", "state=\"hidden\"", &sheets[1]),
        ]);
        assert_eq!(read(open(&folder, &[]).unwrap())[0].2["title"], "甲");
        let folder = workbook(&[
            ("说明", "", &notes),
            ("一", "", &sheets[0]),
            ("二", "", &sheets[2]),
        ]);
        let refused = |wanted: &[&str]| open(&folder, wanted).err().unwrap();
        assert!(refused(&[]).contains("一、二"));
        assert!(refused(&["三"]).contains("说明、一、二"));
        assert!(refused(&["说明"]).contains("names the columns"));
        let found = read(open(&folder, &["二", "一"]).unwrap());
        let titles: Vec<(usize, &Value)> = found.iter().map(|it| (it.0, &it.2["title"])).collect();
        let (first, second) = (Value::from("甲"), Value::from("丙"));
        assert_eq!(titles, [(0, &first), (1, &second)]);
    }
}
