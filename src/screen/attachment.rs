//! The text of attachments, as far as the hub can read them: spreadsheets and plain text.
//!
//! Documents, PDF and pictures are opaque here; what cannot be read although it should be is said
//! aloud as a warning, so that a person looks.

use super::spreadsheet;
use crate::normalise::File;
use encoding_rs::GB18030;

/// Most text of one attachment that is looked at.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What can be read of a file.
pub(super) enum Readable {
    /// All of its text.
    Text(String),
    /// The beginning; the rest is beyond the limits.
    InPart(String),
    /// It should be readable and is not: damaged, or locked with a password.
    No,
    /// A kind of file that the hub does not look into.
    Opaque,
}

/// Reads the text of `file`; its content decides, its name is only asked when the content is no
/// help.
pub(super) fn read(file: &File) -> Readable {
    if spreadsheet::is_spreadsheet(&file.bytes) {
        return spreadsheet::read(&file.bytes);
    }
    if is_text(file) {
        return plain(&file.bytes);
    }
    if is_named_spreadsheet(file) {
        return Readable::No;
    }
    Readable::Opaque
}

fn extension(file: &File) -> String {
    let name = file.name.to_ascii_lowercase();
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

fn is_named_spreadsheet(file: &File) -> bool {
    matches!(
        extension(file).as_str(),
        "xls" | "xlsx" | "xlsm" | "xlsb" | "ods" | "et"
    )
}

/// Whether the content is text. Reports of old systems are HTML or tab-divided text that is called
/// `.xls`.
fn is_text(file: &File) -> bool {
    let named = file.media_type.starts_with("text/")
        || is_named_spreadsheet(file)
        || matches!(
            extension(file).as_str(),
            "txt" | "csv" | "tsv" | "htm" | "html" | "xml" | "json" | "md"
        );
    let head = &file.bytes[..file.bytes.len().min(8 * 1024)];
    named
        && !head.starts_with(b"PK\x03\x04")
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
