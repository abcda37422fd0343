//! The text of XML parts of documents: Word, slides, OFD, OpenDocument.

use super::TEXT_BYTES_MAX;
use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements that end a line, in any of the formats.
const LINES: [&str; 6] = ["p", "tr", "br", "TextObject", "row", "h"];
/// Elements that end a cell.
const CELLS: [&str; 3] = ["tc", "tab", "table-cell"];

/// Appends the text of an XML document; returns whether all of it could be read. What is deleted
/// but still recorded counts as well: it can be read by everyone who has the file.
pub(super) fn append_text(xml: &[u8], text: &mut String) -> bool {
    let mut reader = Reader::from_reader(xml);
    reader.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    let mut before_cell = text.len();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) => {
                text.push('\n');
                return true;
            }
            Ok(Event::Text(piece)) => text.push_str(&piece.xml10_content()),
            Ok(Event::CData(piece)) => text.push_str(&piece.xml10_content()),
            Ok(Event::GeneralRef(reference)) => {
                if let Ok(Some(letter)) = reference.resolve_char_ref() {
                    text.push(letter);
                } else {
                    text.push('&');
                }
            }
            Ok(Event::End(tag)) => {
                let name = tag.local_name();
                let name: &str = name.as_ref();
                if CELLS.contains(&name) {
                    // A cell holds paragraphs; their line ends would part it from its row.
                    while text.len() > before_cell && text.ends_with('\n') {
                        text.pop();
                    }
                    text.push('\t');
                    before_cell = text.len();
                } else if LINES.contains(&name) {
                    text.push('\n');
                }
            }
            Ok(Event::Empty(tag)) => {
                let name = tag.local_name();
                match name.as_ref() {
                    "tab" => text.push('\t'),
                    "br" | "cr" => text.push('\n'),
                    _ => {}
                }
            }
            Ok(
                Event::Start(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_),
            ) => {}
            Err(_) => return false,
        }
        if text.len() > TEXT_BYTES_MAX {
            return false;
        }
    }
}
