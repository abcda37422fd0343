//! Compound files, the kind that `.doc` and `.wps` are: their text lies in them as runs of UTF-16 or
//! of single bytes, which is enough to find numbers and marks.

use super::{Readable, TEXT_BYTES_MAX};

/// Shorter runs are chance.
const RUN_CHARS_MIN: usize = 6;

/// Reads the runs of text in a compound file.
pub(super) fn read(bytes: &[u8]) -> Readable {
    let has_stream = |name: &str| {
        let name: Vec<u8> = name.bytes().flat_map(|byte| [byte, 0]).collect();
        bytes.windows(name.len()).any(|window| window == name)
    };
    let is_document = has_stream("WordDocument") || has_stream("PowerPoint ");
    if !is_document || has_stream("EncryptedPackage") {
        return Readable::No;
    }
    let mut text = String::new();
    wide(bytes, &mut text);
    narrow(bytes, &mut text);
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        return Readable::InPart(text);
    }
    Readable::Text(text)
}

/// Appends runs of UTF-16; text stands at even places.
fn wide(bytes: &[u8], text: &mut String) {
    let mut run = String::new();
    for pair in bytes.chunks_exact(2) {
        let unit = u16::from_le_bytes([pair[0], pair[1]]);
        match unit {
            0x20..=0x7e
            | 0xa0..=0xff
            | 0x2010..=0x2040
            | 0x25a0..=0x27ff
            | 0x3000..=0x303f
            | 0x4e00..=0x9fff
            | 0xff00..=0xff65 => {
                run.extend(char::from_u32(u32::from(unit)));
            }
            7 | 9 => run.push('\t'),
            0x0a | 0x0d => run.push('\n'),
            _ => keep(&mut run, text),
        }
    }
    keep(&mut run, text);
}

/// Appends runs of ASCII.
fn narrow(bytes: &[u8], text: &mut String) {
    let mut run = String::new();
    for &byte in bytes {
        match byte {
            0x20..=0x7e => run.push(char::from(byte)),
            7 | 9 => run.push('\t'),
            0x0a | 0x0d => run.push('\n'),
            _ => keep(&mut run, text),
        }
    }
    keep(&mut run, text);
}

fn keep(run: &mut String, text: &mut String) {
    if run.trim().chars().nth(RUN_CHARS_MIN - 1).is_some() {
        text.push_str(run);
        text.push('\n');
    }
    run.clear();
}
