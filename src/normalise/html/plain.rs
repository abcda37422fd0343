//! Clean HTML as the text a reader sees.

/// Returns the text of clean HTML: one line for each block and table row, cells divided by tabs.
/// Inline elements divide nothing, so a number that a `<b>` splits stays one number.
pub fn plain_text(html: &str) -> String {
    let mut plain = Plain {
        text: String::with_capacity(html.len()),
        ..Plain::default()
    };
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        plain.push(&rest[..start]);
        let length = rest[start..]
            .find('>')
            .map_or(rest.len() - start, |end| end + 1);
        plain.tag(&rest[start..start + length]);
        rest = &rest[start + length..];
    }
    plain.push(rest);
    plain.text
}

#[derive(Default)]
struct Plain {
    text: String,
    /// The next text starts a new line; a cell may take that back.
    block_break: bool,
    row_break: bool,
    /// Cells that ended since the last text of this row.
    tabs: usize,
    cell_in_row: bool,
}

impl Plain {
    fn tag(&mut self, tag: &str) {
        let inside = tag.trim_start_matches(['<', '/']);
        let name_length = inside
            .find(|character: char| !character.is_ascii_alphanumeric())
            .unwrap_or(inside.len());
        match &inside[..name_length] {
            "b" | "strong" | "i" | "em" | "u" | "sub" | "sup" | "a" | "img" | "span" | "font" => {}
            "td" | "th" if tag.starts_with("</") => {}
            "td" | "th" => {
                self.block_break = false;
                self.tabs += usize::from(self.cell_in_row);
                self.cell_in_row = true;
            }
            "tr" | "table" => {
                self.row_break = true;
                self.tabs = 0;
                self.cell_in_row = false;
            }
            _ => self.block_break = true,
        }
    }

    fn push(&mut self, escaped: &str) {
        if escaped.is_empty() {
            return;
        }
        if (self.row_break || (self.block_break && self.tabs == 0)) && !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n('\t', self.tabs));
        (self.row_break, self.block_break, self.tabs) = (false, false, 0);
        let mut rest = escaped;
        while let Some(start) = rest.find('&') {
            self.text.push_str(&rest[..start]);
            rest = &rest[start..];
            let (character, length) = entity(rest);
            self.text.push(character);
            rest = &rest[length..];
        }
        self.text.push_str(rest);
    }
}

/// Returns the character that the entity at the start of `text` stands for, and its length. The
/// sanitiser writes only these.
fn entity(text: &str) -> (char, usize) {
    [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&nbsp;", '\u{a0}'),
    ]
    .into_iter()
    .find(|(written, _)| text.starts_with(written))
    .map_or(('&', 1), |(written, character)| (character, written.len()))
}
