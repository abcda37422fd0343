//! One linear pass over sanitised HTML: paragraphs instead of divisions, nothing empty, blanks and
//! nesting as a browser would show them.
//!
//! Tags are written only when text follows, so an element without text never appears.

/// Sanitised HTML is well-formed; this is what one piece of it is.
enum Piece<'a> {
    Text(&'a str),
    Start { name: &'a str, tag: &'a str },
    End(&'a str),
}

/// Returns the clean form of `sanitised`.
pub(super) fn tidy(sanitised: &str) -> String {
    let mut tidy = Tidy {
        clean: String::with_capacity(sanitised.len()),
        ..Tidy::default()
    };
    for piece in Pieces(sanitised) {
        match piece {
            Piece::Text(text) => tidy.text(text),
            Piece::Start { name, tag } => tidy.start(name, tag),
            Piece::End(name) => tidy.end(name),
        }
    }
    tidy.close_paragraph();
    tidy.clean
}

struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let text_length = self.0.find('<').unwrap_or(self.0.len());
        if text_length > 0 {
            let (text, rest) = self.0.split_at(text_length);
            self.0 = rest;
            return Some(Piece::Text(text));
        }
        // The sanitiser escapes `>` in attribute values, so the first one ends the tag.
        let length = self.0.find('>').map_or(self.0.len(), |end| end + 1);
        let (tag, rest) = self.0.split_at(length);
        self.0 = rest;
        let inside = tag.trim_start_matches('<').trim_end_matches('>');
        Some(match inside.strip_prefix('/') {
            Some(name) => Piece::End(name),
            None => Piece::Start {
                name: inside.split(' ').next().unwrap_or(inside),
                tag,
            },
        })
    }
}

/// Where text may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// `td`, `th`, `li`, `caption`: text stands in it directly.
    Direct,
    /// `table`, `ul` and the like: no text of its own.
    Frame,
}

#[derive(Default)]
struct Tidy<'a> {
    clean: String,
    holders: Vec<Holder>,
    /// Paragraph or heading that text would open; `p` when nothing else is asked for.
    wanted: Option<&'a str>,
    /// Paragraph or heading that is open in `clean`.
    paragraph: Option<&'a str>,
    /// Inline elements around the next text, and how many of them are open in `clean`.
    inline: Vec<(&'a str, &'a str)>,
    inline_open: usize,
    /// Whether the current block shows text already.
    shows_text: bool,
    blank: bool,
    breaks: u8,
}

/// Line breaks in a row beyond this many are layout.
const BREAKS_MAX: u8 = 2;

impl<'a> Tidy<'a> {
    fn start(&mut self, name: &'a str, tag: &'a str) {
        match name {
            "b" | "strong" | "i" | "em" | "u" | "sub" | "sup" => self.inline.push((name, tag)),
            "a" => {
                // A link without a target is none, and links do not nest (HTML §4.5.1): such a one
                // is kept track of and never written.
                let in_link = self
                    .inline
                    .iter()
                    .any(|(open, tag)| *open == "a" && !tag.is_empty());
                let is_silent = in_link || !tag.contains(" href=");
                self.inline.push((name, if is_silent { "" } else { tag }));
            }
            "br" => self.breaks = (self.breaks + 1).min(BREAKS_MAX),
            "wbr" => {}
            "img" => {
                if tag.contains(" src=") {
                    self.show(tag);
                }
            }
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.close_paragraph();
                self.wanted = Some(name);
            }
            "td" | "th" | "li" | "caption" => self.open_holder(Holder::Direct, tag),
            "table" | "thead" | "tbody" | "tfoot" | "tr" | "ul" | "ol" => {
                self.open_holder(Holder::Frame, tag);
            }
            _ => self.close_paragraph(),
        }
    }

    fn end(&mut self, name: &'a str) {
        match name {
            "b" | "strong" | "i" | "em" | "u" | "sub" | "sup" | "a" => self.end_inline(name),
            "br" | "img" | "wbr" => {}
            "td" | "th" | "li" | "caption" | "table" | "thead" | "tbody" | "tfoot" | "tr"
            | "ul" | "ol" => {
                self.close_paragraph();
                self.holders.pop();
                self.clean.push_str("</");
                self.clean.push_str(name);
                self.clean.push('>');
            }
            _ => self.close_paragraph(),
        }
    }

    fn open_holder(&mut self, holder: Holder, tag: &str) {
        self.close_paragraph();
        self.holders.push(holder);
        self.clean.push_str(tag);
    }

    fn end_inline(&mut self, name: &str) {
        let Some(place) = self.inline.iter().rposition(|(open, _)| *open == name) else {
            return;
        };
        if place < self.inline_open {
            self.close_inline(place);
        }
        self.inline.remove(place);
    }

    /// Writes the end tags of the open inline elements from `place` on.
    fn close_inline(&mut self, place: usize) {
        let open = self.inline[place..self.inline_open].iter().rev();
        for (name, _) in open.filter(|(_, tag)| !tag.is_empty()) {
            self.clean.push_str("</");
            self.clean.push_str(name);
            self.clean.push('>');
        }
        self.inline_open = place;
    }

    /// Ends the block that text stands in; blanks and breaks at its end are dropped.
    fn close_paragraph(&mut self) {
        self.close_inline(0);
        if let Some(name) = self.paragraph.take() {
            self.clean.push_str("</");
            self.clean.push_str(name);
            self.clean.push('>');
        }
        self.wanted = None;
        self.shows_text = false;
        self.blank = false;
        self.breaks = 0;
    }

    fn text(&mut self, text: &'a str) {
        let mut rest = text;
        while !rest.is_empty() {
            let blank = leading_blank(rest);
            if blank > 0 {
                // A line break in the source between two Chinese characters is layout.
                let source_break = rest[..blank].contains('\n');
                rest = &rest[blank..];
                let joins = source_break
                    && self.clean.chars().next_back().is_some_and(is_wide)
                    && rest.chars().next().is_some_and(is_wide);
                self.blank |= !joins;
                continue;
            }
            let length = word_length(rest);
            let (word, after) = rest.split_at(length);
            self.show(word);
            rest = after;
        }
    }

    /// Writes something visible, and before it the tags, breaks and blanks that wait for it.
    fn show(&mut self, visible: &str) {
        if self.shows_text && self.breaks > 0 {
            // Between inline elements that are closed and those still to be opened.
            for _ in 0..self.breaks {
                self.clean.push_str("<br>");
            }
        } else if self.shows_text && self.blank {
            self.clean.push(' ');
        }
        (self.blank, self.breaks) = (false, 0);
        let direct = self.holders.last() == Some(&Holder::Direct);
        if self.paragraph.is_none() && (self.wanted.is_some() || !direct) {
            let name = self.wanted.unwrap_or("p");
            self.clean.push('<');
            self.clean.push_str(name);
            self.clean.push('>');
            self.paragraph = Some(name);
        }
        for (_, tag) in &self.inline[self.inline_open..] {
            self.clean.push_str(tag);
        }
        self.inline_open = self.inline.len();
        self.clean.push_str(visible);
        self.shows_text = true;
    }
}

const NO_BREAK_SPACE: &str = "&nbsp;";

/// Returns the length of the blanks at the start of `text`, however they are written.
fn leading_blank(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        let space = rest.len() - rest.trim_start().len();
        length += space;
        if rest[space..].starts_with(NO_BREAK_SPACE) {
            length += NO_BREAK_SPACE.len();
        } else if space == 0 {
            return length;
        }
    }
}

/// Returns the length of `text` up to its first blank; `text` does not start with one.
fn word_length(text: &str) -> usize {
    text.char_indices()
        .find(|&(place, character)| {
            character.is_whitespace()
                || (character == '&' && text[place..].starts_with(NO_BREAK_SPACE))
        })
        .map_or(text.len(), |(place, _)| place)
}

/// Whether `character` is Chinese text or punctuation, which is written without blanks.
fn is_wide(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}' | '“' | '”' | '‘' | '’')
}
