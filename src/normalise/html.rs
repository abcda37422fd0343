//! The text of an entry as clean HTML.
//!
//! What may remain (everything else is dropped, its text survives):
//!
//! | element | attributes |
//! |---|---|
//! | `h1`–`h6` `p` `br` | none |
//! | `table` `caption` `thead` `tbody` `tfoot` `tr` | none |
//! | `td` `th` | `colspan` `rowspan`, 2 to 1000 |
//! | `ul` `ol` `li` | none |
//! | `b` `strong` `i` `em` `u` `sub` `sup` | none |
//! | `a` | `href` with http, https or mailto |
//! | `img` | `src` with https, `alt` |
//!
//! Pictures written into the text itself (`data:`) are taken out, to become attachments.
//!
//! Three passes, each linear: [`scan`] drops what word processors leave and refuses text built to
//! exhaust a parser, `ammonia` guarantees the table above, [`tidy`] turns divisions into
//! paragraphs and drops empty ones. It never invents text.

mod dropped;
mod plain;
mod scan;
mod tidy;

pub use dropped::{Dropped, InlineImage};
pub use plain::plain_text;

use ammonia::{Builder, UrlRelative};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Longest text of an entry, in characters.
pub const BODY_CHARS_MAX: usize = 2_000_000;
/// Most elements that may be open inside each other.
pub const HTML_DEPTH_MAX: usize = 256;

/// Why a text cannot be cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HtmlError {
    /// More than [`BODY_CHARS_MAX`] characters.
    #[error("the text has more than {BODY_CHARS_MAX} characters")]
    TooLong,
    /// Elements nested or left open beyond [`HTML_DEPTH_MAX`].
    #[error("elements are nested deeper than {HTML_DEPTH_MAX}")]
    TooDeep,
}

impl HtmlError {
    /// Returns the stable code and a sentence for the clerk.
    pub fn words(self) -> (&'static str, String) {
        match self {
            Self::TooLong => (
                "too_large",
                format!("正文超过{BODY_CHARS_MAX}个字符，请把长表格改为附件。"),
            ),
            Self::TooDeep => (
                "html_too_deep",
                "正文的网页标记嵌套过深，无法处理，请清除格式后重新粘贴。".to_owned(),
            ),
        }
    }
}

/// Elements that remain.
const KEPT: [&str; 27] = [
    "h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "table", "caption", "thead", "tbody", "tfoot",
    "tr", "td", "th", "ul", "ol", "li", "b", "strong", "i", "em", "u", "sub", "sup", "a",
];

/// An element that divides text nodes and shows nothing; [`tidy`] drops it.
const SEAM: &str = "<wbr>";
/// Longest value of an attribute that remains.
const ATTRIBUTE_BYTES_MAX: usize = 2_000;

/// Elements that only divide the text; [`tidy`] needs to see them and drops them.
const DIVIDING: [&str; 21] = [
    "div",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "nav",
    "aside",
    "center",
    "address",
    "blockquote",
    "pre",
    "dl",
    "dt",
    "dd",
    "fieldset",
    "figure",
    "figcaption",
    "form",
    "hr",
    "dir",
];

/// Elements whose content is no text of the entry.
const SILENT: [&str; 11] = [
    "script", "style", "title", "xml", "template", "iframe", "object", "noscript", "select",
    "noembed", "noframes",
];

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    let mut tags: HashSet<&str> = KEPT.into_iter().chain(DIVIDING).collect();
    tags.extend(["img", "wbr"]);
    let cell = || HashSet::from(["colspan", "rowspan"]);
    builder
        .tags(tags)
        .clean_content_tags(HashSet::from(SILENT))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("td", cell()),
            ("th", cell()),
            ("img", HashSet::from(["src", "alt"])),
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(None)
        .attribute_filter(|element, attribute, value| match (element, attribute) {
            _ if value.len() > ATTRIBUTE_BYTES_MAX => None,
            ("img", "src") => value.starts_with("https://").then_some(value.into()),
            ("td" | "th", _) => span(value),
            _ => Some(value.into()),
        });
    builder
});

/// One pass settles what was misplaced once; more are for the hostile.
const SETTLE_PASSES_MAX: usize = 4;
/// A longer text is read once: what is hostile must not be read five times.
const SETTLE_BYTES_MAX: usize = 256 << 10;

/// Returns a span that is worth writing down: more than one cell, and no bomb.
fn span(value: &str) -> Option<Cow<'static, str>> {
    let cells: u16 = value.trim().parse().ok()?;
    (2..=1000)
        .contains(&cells)
        .then(|| cells.to_string().into())
}

/// A text with nothing but the elements and attributes of the table above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// The text that remains.
    pub html: String,
    /// What its clerk would miss.
    pub dropped: Dropped,
}

/// Cleans `html`.
///
/// # Errors
/// Text that is too long, or nested so deeply that parsing it would cost more than it is worth.
pub fn clean_html(html: &str) -> Result<Cleaned, HtmlError> {
    let mut dropped = Dropped::default();
    let scanned = scan::scan(html, &mut dropped)?;
    check_length(&scanned)?;
    let html = settled(tidy::tidy(&SANITISER.clean(&scanned).to_string()));
    Ok(Cleaned { html, dropped })
}

fn settled(mut clean: String) -> String {
    // What stands in a table without being a cell is moved before it by the parser (HTML
    // §13.2.6.1), and an item may lose what kept it from its neighbour; both may then stand where
    // they would not stay. Reading the result again settles it.
    for _ in 0..SETTLE_PASSES_MAX {
        let may_move = clean.contains("<table") || clean.contains("<li");
        if !may_move || clean.len() > SETTLE_BYTES_MAX {
            break;
        }
        let again = tidy::tidy(&SANITISER.clean(&clean).to_string());
        if again == clean {
            break;
        }
        clean = again;
    }
    clean
}

/// Returns plain text as clean HTML: one paragraph for each line that is not blank.
///
/// # Errors
/// Text that is too long.
pub fn text_to_html(text: &str) -> Result<String, HtmlError> {
    check_length(text)?;
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for line in text.split(['\n', '\r', '\u{2028}', '\u{2029}']) {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        html.push_str("<p>");
        escape_into(first, &mut html);
        for word in words {
            html.push(' ');
            escape_into(word, &mut html);
        }
        html.push_str("</p>");
    }
    Ok(html)
}

fn check_length(text: &str) -> Result<(), HtmlError> {
    // A character takes at most four bytes, so most texts need not be counted.
    if text.len() > BODY_CHARS_MAX && text.chars().count() > BODY_CHARS_MAX {
        return Err(HtmlError::TooLong);
    }
    Ok(())
}

fn escape_into(text: &str, html: &mut String) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
