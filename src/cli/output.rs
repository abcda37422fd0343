//! How results are printed: for people, or as JSON.

use serde_json::{Value, json};
use std::io::Write as _;

/// Where results go. A closed pipe ends the printing, not the process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON or what `text` says.
    pub(super) fn show(&self, value: &Value, text: impl FnOnce() -> String) {
        let text = if self.json {
            format!("{value:#}")
        } else {
            text()
        };
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }

    /// Prints one value as one line of JSON, or a line of text.
    pub(super) fn line(&self, value: &Value, text: impl FnOnce() -> String) {
        let text = if self.json { value.to_string() } else { text() };
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Tells a person what is going on, on standard error.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    pub(super) fn error(&self, text: &str, hint: Option<&str>) {
        if self.json {
            let value = json!({"error": text, "hint": hint});
            let _ = writeln!(std::io::stderr(), "{value}");
            return;
        }
        let _ = writeln!(std::io::stderr(), "error: {text}");
        if let Some(hint) = hint {
            let _ = writeln!(std::io::stderr(), "\nhint: {hint}");
        }
    }
}

/// Returns lines of columns, padded to the width that Chinese takes in a terminal.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|it| width(it))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(wide - width(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns `text` cut to `columns` terminal columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter_width(letter);
        if used > columns {
            break;
        }
        kept.push(letter);
    }
    kept.push('…');
    kept
}

/// Returns `text` in at most `lines_max` lines of `columns` terminal columns, broken at blanks
/// and between Chinese letters; what does not fit is cut.
pub(super) fn wrap(text: &str, columns: usize, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if lines.len() + 1 == lines_max || width(rest) <= columns {
            lines.push(cut(rest, columns));
            return lines;
        }
        let at = break_at(rest, columns);
        lines.push(rest[..at].trim_end().to_owned());
        rest = rest[at..].trim_start();
    }
    lines
}

/// Returns where the first line of `text`, which is wider than `columns`, ends best.
fn break_at(text: &str, columns: usize) -> usize {
    let mut used = 0;
    let mut best = 0;
    let mut before_is_wide = false;
    for (at, letter) in text.char_indices() {
        let wide = letter_width(letter) == 2;
        if at > 0 && (letter == ' ' || (wide && before_is_wide)) {
            best = at;
        }
        used += letter_width(letter);
        if used > columns {
            return if best > 0 { best } else { at };
        }
        before_is_wide = wide;
    }
    text.len()
}

fn width(text: &str) -> usize {
    text.chars().map(letter_width).sum()
}

/// East Asian wide characters take two columns (Unicode UAX 11, the blocks that occur here).
fn letter_width(letter: char) -> usize {
    match u32::from(letter) {
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_columns_stay_in_line() {
        let rows = [
            vec!["市财政局".to_owned(), "x".to_owned()],
            vec!["ab".to_owned(), "y".to_owned()],
        ];
        assert_eq!(table(&rows), "市财政局  x\nab        y\n");
        assert_eq!(cut("关于公开部门预算的通知", 9), "关于公开…");
    }

    #[test]
    fn long_lines_are_broken_where_words_end_and_cut_where_the_screen_does() {
        let text = "平台拒绝接收：步骤 article [42201] 栏目不存在，请更正后重新报送";
        let lines = wrap(text, 20, 9);
        assert!(lines.iter().all(|it| width(it) <= 20), "{lines:?}");
        let plain = |it: &str| it.replace(' ', "");
        assert_eq!(plain(&lines.concat()), plain(text), "nothing is lost");
        assert!(lines.iter().any(|it| it.contains("article")), "{lines:?}");
        let short = wrap(text, 20, 2);
        assert_eq!((short.len(), short[1].ends_with('…')), (2, true));
        let word = "x".repeat(50);
        assert_eq!(wrap(&word, 20, 9).concat(), word);
        assert!(wrap("", 20, 9).is_empty());
    }
}
