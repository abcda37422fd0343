//! The text of attachments, as far as the hub can read them: spreadsheets, Word, OFD, PDF, plain
//! text, and archives of those.
//!
//! The content decides what a file is; its name is only asked when the content is no help. What
//! cannot be read although it should be is said aloud as a warning, so that a person looks. All
//! parsers are fed by strangers: size, depth and count are bounded, and one that panics has read
//! nothing.

mod archive;
mod compound;
mod pdf;
mod xml;

use super::spreadsheet;
use encoding_rs::GB18030;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Most text of one attachment that is looked at.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest attachment that is looked into; it has to be in memory for that.
pub(super) const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Archives inside archives that are opened.
const DEPTH_MAX: usize = 3;

/// What can be read of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// All of its text.
    Text(String),
    /// Some of it; the rest is beyond the limits or cannot be opened.
    InPart(String),
    /// It should be readable and is not: damaged, or locked with a password.
    No,
    /// It is readable and holds no text, only pictures of it.
    NoText,
    /// More than is looked into.
    TooLarge,
    /// A kind of file that the hub does not look into.
    Opaque,
}

/// Reads the text of a file.
pub(super) fn read(name: &str, media_type: &str, bytes: &[u8]) -> Readable {
    read_at(name, media_type, bytes, 0)
}

/// Returns what is known of a file that is too large to be read: sound and pictures hold no text.
pub(super) fn unread(media_type: &str) -> Readable {
    let kind = media_type.split('/').next().unwrap_or_default();
    match ["audio", "video", "image"].contains(&kind) {
        true => Readable::Opaque,
        false => Readable::TooLarge,
    }
}

fn read_at(name: &str, media_type: &str, bytes: &[u8], depth: usize) -> Readable {
    // Foreign code fed by strangers: should it panic, the file is unreadable.
    let attempt = AssertUnwindSafe(|| read_kind(name, media_type, bytes, depth));
    catch_unwind(attempt).unwrap_or(Readable::No)
}

fn read_kind(name: &str, media_type: &str, bytes: &[u8], depth: usize) -> Readable {
    if spreadsheet::is_spreadsheet(bytes) {
        return spreadsheet::read(bytes);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return if depth < DEPTH_MAX {
            archive::read(bytes, depth)
        } else {
            Readable::No
        };
    }
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return compound::read(bytes);
    }
    // A mark of the format may stand behind some bytes of another one.
    if bytes[..bytes.len().min(1024)]
        .windows(5)
        .any(|window| window == b"%PDF-")
    {
        return pdf::read(bytes);
    }
    let extension = extension(name);
    if is_text(&extension, media_type, bytes) {
        return plain(bytes);
    }
    match extension.as_str() {
        // Their content should have told.
        "xls" | "xlsx" | "xlsm" | "xlsb" | "ods" | "et" | "doc" | "docx" | "wps" | "odt"
        | "pdf" | "ofd" | "zip" => Readable::No,
        "rar" | "7z" | "tar" | "gz" | "tgz" => Readable::No,
        _ => Readable::Opaque,
    }
}

fn extension(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

/// Whether the content is text. Reports of old systems are HTML or tab-divided text that is called
/// `.xls`.
fn is_text(extension: &str, media_type: &str, bytes: &[u8]) -> bool {
    let named = media_type.starts_with("text/")
        || matches!(
            extension,
            "txt"
                | "csv"
                | "tsv"
                | "htm"
                | "html"
                | "xml"
                | "json"
                | "md"
                | "rtf"
                | "doc"
                | "xls"
                | "xlsx"
                | "xlsm"
                | "xlsb"
                | "ods"
                | "et"
                | "log"
        );
    let head = &bytes[..bytes.len().min(8 * 1024)];
    named
        && !head
            .iter()
            .any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

fn plain(bytes: &[u8]) -> Readable {
    let head = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text.to_owned(),
        // The cut may fall inside a character.
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(&head[..error.valid_up_to()]).into_owned()
        }
        Err(_) => GB18030.decode_without_bom_handling(head).0.into_owned(),
    };
    if head.len() < bytes.len() {
        Readable::InPart(text)
    } else {
        Readable::Text(text)
    }
}

#[cfg(test)]
pub(super) mod tests;
