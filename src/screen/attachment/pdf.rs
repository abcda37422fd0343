//! PDF: the text of its pages, when it holds text and not only pictures of it.

use super::{Readable, TEXT_BYTES_MAX};
use lopdf::{Document, LoadOptions};

/// Largest PDF that is looked into.
const PDF_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most pages that are read.
const PAGES_MAX: usize = 300;
/// Most bytes of one packed part.
const UNPACKED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Reads the pages of a PDF.
pub(super) fn read(bytes: &[u8]) -> Readable {
    if bytes.len() > PDF_BYTES_MAX {
        return Readable::No;
    }
    let options = LoadOptions {
        max_decompressed_size: Some(UNPACKED_BYTES_MAX),
        ..LoadOptions::default()
    };
    let Ok(document) = Document::load_mem_with_options(bytes, options) else {
        return Readable::No;
    };
    if document.is_encrypted() {
        return Readable::No;
    }
    let pages = document.page_iter().take(PAGES_MAX + 1).count();
    let mut text = String::new();
    let mut is_whole = pages <= PAGES_MAX;
    for page in 1..=pages.min(PAGES_MAX) as u32 {
        for chunk in document.extract_text_chunks_with_limit(&[page], UNPACKED_BYTES_MAX) {
            match chunk {
                Ok(chunk) => text.push_str(&chunk),
                Err(_) => is_whole = false,
            }
        }
        text.push('\n');
        if text.len() > TEXT_BYTES_MAX {
            is_whole = false;
            break;
        }
    }
    match (text.trim().is_empty(), is_whole) {
        (true, true) => Readable::NoText,
        (true, false) => Readable::No,
        (false, true) => Readable::Text(text),
        (false, false) => Readable::InPart(text),
    }
}
