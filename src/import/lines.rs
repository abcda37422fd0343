//! NDJSON: native submissions as they are, or flat objects whose keys are labels.

use super::ImportError;
use super::entry::{Cell, Entry, entry};
use super::file::Chunks;
use super::table::Column;
use crate::intake::Labels;
use crate::record::FieldError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

/// Longest line; what intake takes at most is less, and it says so.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Different keys that are remembered and told.
const KEYS_MAX: usize = 1000;

/// What tells a native submission from a flat object.
#[derive(Deserialize)]
struct Native {
    entry: Option<IgnoredAny>,
    action: Option<IgnoredAny>,
}

/// Reads all lines; returns keys that say nothing to the hub.
pub(super) fn read(
    path: &Path,
    labels: &Labels,
    chunks: &mut Chunks<'_>,
) -> Result<Vec<String>, ImportError> {
    let failed = |source| ImportError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut keys = Keys {
        labels,
        columns: HashMap::new(),
        ignored: BTreeSet::new(),
    };
    let (mut row, mut done) = (0, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut file).take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut line).map_err(failed)? as u64;
        if read == 0 {
            break;
        }
        row += 1;
        done += read;
        let is_cut = read == LINE_BYTES_MAX && !line.ends_with(b"\n");
        let made = if is_cut {
            done += skip_line(&mut file).map_err(failed)?;
            let detail = format!("这一行超过 {LINE_BYTES_MAX} 字节。");
            Err(vec![FieldError::new("", "too_large", detail)])
        } else {
            keys.entry(text_of(&line, row))
        };
        if !chunks.push(0, row, done, made)? {
            break;
        }
    }
    Ok(keys.ignored.into_iter().collect())
}

/// Returns a line without line break and byte order mark.
fn text_of(line: &[u8], row: u64) -> &[u8] {
    let line = line.trim_ascii();
    match line.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) if row == 1 => rest,
        Some(_) | None => line,
    }
}

fn skip_line(file: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let block = file.fill_buf()?;
        let end = block.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(block.len(), |place| place + 1);
        let is_over = end.is_some() || block.is_empty();
        file.consume(count);
        skipped += count as u64;
        if is_over {
            return Ok(skipped);
        }
    }
}

struct Keys<'a> {
    labels: &'a Labels,
    columns: HashMap<String, Option<Column>>,
    ignored: BTreeSet<String>,
}

impl Keys<'_> {
    fn entry(&mut self, line: &[u8]) -> Result<Option<Entry>, Vec<FieldError>> {
        if line.is_empty() {
            return Ok(None);
        }
        let native = serde_json::from_slice::<Native>(line);
        let is_flat = native.is_ok_and(|it| it.entry.is_none() && it.action.is_none());
        match is_flat.then(|| serde_json::from_slice(line)) {
            Some(Ok(Value::Object(flat))) => self.flat_entry(flat),
            // What is neither is for intake to judge.
            Some(_) | None => Ok(Some(Entry {
                body: line.to_vec(),
                has_source_id: true,
                has_revision: true,
            })),
        }
    }

    fn flat_entry(&mut self, flat: Map<String, Value>) -> Result<Option<Entry>, Vec<FieldError>> {
        let mut given: Vec<(Column, Cell)> = Vec::with_capacity(flat.len());
        let mut pointers: HashMap<String, String> = HashMap::new();
        for (key, value) in flat {
            let Some(column) = self.column(&key) else {
                continue;
            };
            let cell = cell(&key, value).map_err(|error| vec![error])?;
            if let Column::Field(field) = &column
                && cell != Cell::Blank
                && let Some(other) = pointers.insert(field.pointer.clone(), key.clone())
            {
                let detail = format!("“{other}”和“{key}”是同一项内容，请只保留一个。");
                return Err(vec![FieldError::new(
                    &field.pointer,
                    "ambiguous_field",
                    detail,
                )]);
            }
            given.push((column, cell));
        }
        entry(given.iter().map(|(column, cell)| (column, cell.clone())))
    }

    fn column(&mut self, key: &str) -> Option<Column> {
        if let Some(known) = self.columns.get(key) {
            return known.clone();
        }
        let column = Column::of(self.labels, key);
        if self.columns.len() < KEYS_MAX {
            if column.is_none() {
                self.ignored.insert(key.chars().take(40).collect());
            }
            self.columns.insert(key.to_owned(), column.clone());
        }
        column
    }
}

fn cell(key: &str, value: Value) -> Result<Cell, FieldError> {
    let wrong = || {
        let key: String = key.chars().take(40).collect();
        FieldError::new("", "type", format!("“{key}”应为文字、数字或文字的列表。"))
    };
    Ok(match value {
        Value::Null => Cell::Blank,
        Value::Bool(it) => Cell::Text(it.to_string()),
        Value::Number(number) => number.as_f64().map_or(Cell::Blank, Cell::Number),
        Value::String(text) => Cell::Text(text),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Cell::Text(texts.ok_or_else(wrong)?.join("、"))
        }
        Value::Object(_) => return Err(wrong()),
    })
}
