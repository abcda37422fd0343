//! Archives: the text of every file in them, and documents that are archives of XML.

use super::super::spreadsheet;
use super::{Readable, TEXT_BYTES_MAX, read_at, xml};
use encoding_rs::GB18030;
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

/// Most files of one archive that are opened.
const FILES_MAX: usize = 500;
/// Most bytes of one archive after unpacking.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What an archive is.
#[derive(Clone, Copy)]
enum Kind {
    /// Files of their own.
    Plain,
    /// A workbook.
    Spreadsheet,
    /// A document whose text is in these parts.
    Document(fn(&str) -> bool),
}

/// Reads the files of an archive.
pub(super) fn read(bytes: &[u8], depth: usize) -> Readable {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return Readable::No;
    };
    let kind = match kind(&archive) {
        Kind::Spreadsheet => return spreadsheet::read(bytes),
        kind => kind,
    };
    let mut text = String::new();
    let mut left = UNPACKED_BYTES_MAX;
    let (mut is_whole, mut was_read) = (archive.len() <= FILES_MAX, false);
    for place in 0..archive.len().min(FILES_MAX) {
        let Ok(mut file) = archive.by_index(place) else {
            is_whole = false;
            continue;
        };
        let name = name(file.name_raw());
        if file.is_dir() || matches!(kind, Kind::Document(is_part) if !is_part(&name)) {
            continue;
        }
        let mut content = Vec::new();
        // One byte more tells that there is more.
        let unpacked = file.by_ref().take(left + 1).read_to_end(&mut content);
        let length = content.len() as u64;
        if unpacked.is_err() || length > left {
            is_whole = false;
            if length > left {
                break;
            }
            continue;
        }
        left -= length;
        is_whole &= match kind {
            Kind::Document(_) => xml::append_text(&content, &mut text),
            Kind::Plain | Kind::Spreadsheet => append(&name, &content, depth, &mut text),
        };
        was_read = true;
        if text.len() > TEXT_BYTES_MAX {
            is_whole = false;
            break;
        }
    }
    match (is_whole, was_read) {
        (true, _) => Readable::Text(text),
        (false, true) => Readable::InPart(text),
        (false, false) => Readable::No,
    }
}

fn kind(archive: &ZipArchive<Cursor<&[u8]>>) -> Kind {
    let has = |name: &str| archive.index_for_name(name).is_some();
    let document = |is_part| Kind::Document(is_part);
    if has("xl/workbook.xml") || has("xl/workbook.bin") {
        Kind::Spreadsheet
    } else if has("word/document.xml") {
        document(|name| name.starts_with("word/") && is_xml(name))
    } else if has("ppt/presentation.xml") {
        document(|name| name.starts_with("ppt/") && is_xml(name))
    } else if has("OFD.xml") {
        document(is_xml)
    } else if has("content.xml") && has("mimetype") {
        document(|name| matches!(name, "content.xml" | "styles.xml"))
    } else {
        Kind::Plain
    }
}

fn is_xml(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".xml")
}

/// Names are UTF-8, or GBK from machines that say nothing about it.
fn name(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => GB18030.decode_without_bom_handling(raw).0.into_owned(),
    }
}

/// Appends the name and text of a file; returns whether all of it could be read.
fn append(name: &str, content: &[u8], depth: usize, text: &mut String) -> bool {
    text.push_str(name);
    text.push('\n');
    let (read, is_whole) = match read_at(name, "", content, depth + 1) {
        Readable::Text(read) => (read, true),
        Readable::InPart(read) => (read, false),
        Readable::No | Readable::NoText | Readable::TooLarge => (String::new(), false),
        Readable::Opaque => (String::new(), true),
    };
    text.push_str(&read);
    text.push('\n');
    is_whole
}
