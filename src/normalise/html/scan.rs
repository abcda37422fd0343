//! One linear pass before the parser: drops word-processor noise, and refuses text whose open
//! elements would make an HTML parser deep, slow or hungry.
//!
//! Nothing here is trusted for safety of the output; the sanitiser behind it is.

use super::dropped::Dropped;
use super::{HTML_DEPTH_MAX, HtmlError, SEAM};

/// How much a parser may have to reopen: the sum, over all start tags, of formatting elements open.
const REOPENED_MAX: usize = 2_000_000;

/// How many elements may stand in a table outside its cells. A parser moves each of them in front
/// of the table, and looks for the table again every time.
const MISPLACED_MAX: usize = 1_000;

/// Elements that may stand in a table outside its cells.
const TABLE_PARTS: [&str; 10] = [
    "table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "td", "th",
];

/// How many special characters stand in one text node.
const SPECIALS_PER_NODE: usize = 256;

/// Formatting elements stay open until they are closed by name, whatever surrounds them.
const FORMATTING: [&str; 14] = [
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
];

/// Elements that close themselves or each other.
const NOT_NESTING: [&str; 27] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr", "p", "li", "td", "th", "tr", "dt", "dd", "thead", "tbody", "tfoot", "colgroup",
    "option", "caption",
];

/// Inline elements that never remain; without them the parser has far less to build.
const WRAPPERS: [&str; 2] = ["span", "font"];

/// Elements whose content is raw text up to their end tag, and never part of an entry.
const RAW: [&str; 2] = ["style", "script"];

/// Returns `html` without comments, declarations, namespaced tags, `span`, `font`, styles and
/// scripts. What a clerk would miss goes to `dropped`.
pub(super) fn scan(html: &str, dropped: &mut Dropped) -> Result<String, HtmlError> {
    let mut kept = String::with_capacity(html.len());
    let mut open = OpenElements::default();
    let mut specials = 0;
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        keep_text(&rest[..start], &mut specials, &mut kept);
        rest = &rest[start..];
        let tag = Tag::read(rest);
        match &tag.kind {
            Kind::Text => kept.push_str("&lt;"),
            Kind::Noise => {}
            Kind::Start(name) if RAW.contains(&name.as_str()) => {
                dropped.look_at(name, &rest[..tag.length]);
                rest = &rest[tag.length..];
                rest = &rest[raw_text_length(rest, name)..];
                continue;
            }
            Kind::Start(name) | Kind::End(name)
                if name.contains(':') || WRAPPERS.contains(&name.as_str()) => {}
            Kind::Start(name) if dropped.look_at(name, &rest[..tag.length]) => {}
            Kind::Start(name) => {
                open.start(name)?;
                kept.push_str(&rest[..tag.length]);
            }
            Kind::End(name) => {
                open.end(name);
                kept.push_str(&rest[..tag.length]);
            }
        }
        rest = &rest[tag.length..];
    }
    keep_text(rest, &mut specials, &mut kept);
    Ok(kept)
}

/// Appends text, with every `&` that starts no reference escaped: a parser goes back over the text
/// for each of them. A seam after some hundred characters that the serialiser treats specially
/// keeps its work linear: it searches to the end of the text node for each of them.
fn keep_text(text: &str, specials: &mut usize, kept: &mut String) {
    let is_special = |character| matches!(character, '&' | '\u{80}'..='\u{bf}');
    let mut rest = text;
    while let Some(start) = rest.find(is_special) {
        let (plain, special) = rest.split_at(start);
        kept.push_str(plain);
        *specials += 1;
        if specials.is_multiple_of(SPECIALS_PER_NODE) {
            kept.push_str(SEAM);
        }
        rest = match special.strip_prefix('&') {
            Some(after) => {
                kept.push_str(if starts_reference(after) {
                    "&"
                } else {
                    "&amp;"
                });
                after
            }
            None => {
                let length = special.chars().next().map_or(0, char::len_utf8);
                kept.push_str(&special[..length]);
                &special[length..]
            }
        };
    }
    kept.push_str(rest);
}

/// Whether `text`, which follows an `&`, is the rest of a character reference such as `nbsp;`.
fn starts_reference(text: &str) -> bool {
    const NAME_BYTES_MAX: usize = 32;
    let name = text.strip_prefix('#').unwrap_or(text).as_bytes();
    let length = name
        .iter()
        .take(NAME_BYTES_MAX)
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    length > 0 && name.get(length) == Some(&b';')
}

/// The elements a parser would have open, never fewer than it really has.
#[derive(Default)]
struct OpenElements {
    names: Vec<String>,
    formatting: usize,
    reopened: usize,
    /// For each open table, whether one of its cells is open.
    in_cell: Vec<bool>,
    misplaced: usize,
}

impl OpenElements {
    fn start(&mut self, name: &str) -> Result<(), HtmlError> {
        self.reopened += self.formatting;
        self.place_in_table(name);
        if NOT_NESTING.contains(&name) {
            return self.check();
        }
        self.formatting += usize::from(FORMATTING.contains(&name));
        self.names.push(name.to_owned());
        self.check()
    }

    fn check(&self) -> Result<(), HtmlError> {
        let is_costly = self.names.len() > HTML_DEPTH_MAX
            || self.reopened > REOPENED_MAX
            || self.misplaced > MISPLACED_MAX;
        if is_costly {
            Err(HtmlError::TooDeep)
        } else {
            Ok(())
        }
    }

    fn place_in_table(&mut self, name: &str) {
        if let Some(in_cell) = self.in_cell.last_mut() {
            match name {
                "td" | "th" | "caption" => *in_cell = true,
                "tr" | "thead" | "tbody" | "tfoot" => *in_cell = false,
                _ if !*in_cell && !TABLE_PARTS.contains(&name) => self.misplaced += 1,
                _ => {}
            }
        }
        if name == "table" {
            self.in_cell.push(false);
        }
    }

    /// Closes the innermost `name` and what it holds, except formatting elements: a parser opens
    /// those again in the next block.
    fn end(&mut self, name: &str) {
        if let ("td" | "th" | "caption" | "tr", Some(in_cell)) = (name, self.in_cell.last_mut()) {
            *in_cell = false;
        }
        let Some(place) = self.names.iter().rposition(|open| open == name) else {
            return;
        };
        // An end tag reaches out of no table.
        if self.names[place + 1..].iter().any(|open| open == "table") {
            return;
        }
        if name == "table" {
            self.in_cell.pop();
        }
        let held = self.names.split_off(place);
        for inner in held.into_iter().skip(1) {
            if FORMATTING.contains(&inner.as_str()) {
                self.names.push(inner);
            }
        }
        self.formatting -= usize::from(FORMATTING.contains(&name));
    }
}

enum Kind {
    Start(String),
    End(String),
    /// A comment or declaration.
    Noise,
    /// A `<` that opens nothing.
    Text,
}

struct Tag {
    kind: Kind,
    /// Bytes from `<` to the end of the tag.
    length: usize,
}

impl Tag {
    /// Reads the tag at the start of `text`, which begins with `<`, as an HTML tokenizer does.
    fn read(text: &str) -> Self {
        let bytes = text.as_bytes();
        let name_start = match bytes.get(1) {
            Some(b'!') if text.starts_with("<!--") => {
                return Self::noise(comment_length(text));
            }
            Some(b'!' | b'?') => return Self::noise(up_to(text, b'>')),
            Some(b'/') => 2,
            Some(letter) if letter.is_ascii_alphabetic() => 1,
            _ => {
                return Self {
                    kind: Kind::Text,
                    length: 1,
                };
            }
        };
        if name_start == 2 && !bytes.get(2).is_some_and(u8::is_ascii_alphabetic) {
            return Self::noise(up_to(text, b'>'));
        }
        let name_end = bytes[name_start..]
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'))
            .map_or(bytes.len(), |length| name_start + length);
        let name = text[name_start..name_end].to_ascii_lowercase();
        Self {
            length: attributes_end(bytes, name_end),
            kind: if name_start == 2 {
                Kind::End(name)
            } else {
                Kind::Start(name)
            },
        }
    }

    fn noise(length: usize) -> Self {
        Self {
            kind: Kind::Noise,
            length,
        }
    }
}

/// Returns the length of the comment at the start of `text`; one that never ends takes the rest.
fn comment_length(text: &str) -> usize {
    let after = &text[4..];
    if after.starts_with('>') {
        return 5;
    }
    if after.starts_with("->") {
        return 6;
    }
    let plain = after.find("-->").map(|end| end + 3);
    // Only what lies before the plain end can end it earlier; searching further would be wasted.
    let before = &after[..plain.unwrap_or(after.len())];
    let bang = before.find("--!>").map(|end| end + 4);
    4 + bang.or(plain).unwrap_or(after.len())
}

fn up_to(text: &str, end: u8) -> usize {
    text.bytes()
        .position(|byte| byte == end)
        .map_or(text.len(), |place| place + 1)
}

/// Returns where the tag ends; a `>` inside a quoted value does not end it.
fn attributes_end(bytes: &[u8], from: usize) -> usize {
    let mut place = from;
    let mut after_equals = false;
    while let Some(&byte) = bytes.get(place) {
        place += 1;
        match byte {
            b'>' => return place,
            b'"' | b'\'' if after_equals => {
                match bytes[place..].iter().position(|&other| other == byte) {
                    Some(length) => place += length + 1,
                    None => return bytes.len(),
                }
                after_equals = false;
            }
            b'=' => after_equals = true,
            _ if byte.is_ascii_whitespace() => {}
            _ => after_equals = false,
        }
    }
    bytes.len()
}

/// Returns how much of `text` is the raw text of element `name`, its end tag included.
fn raw_text_length(text: &str, name: &str) -> usize {
    let bytes = text.as_bytes();
    let mut place = 0;
    while let Some(offset) = text[place..].find("</") {
        let start = place + offset;
        let after = start + 2 + name.len();
        let named = bytes
            .get(start + 2..after)
            .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
        if named {
            return start + Tag::read(&text[start..]).length;
        }
        place = start + 2;
    }
    text.len()
}
