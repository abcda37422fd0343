//! Characters: what is mended in every text, and what is refused.

use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// Returns the first character that no text may hold: controls other than tab, line feed and
/// carriage return, and code points that are no characters. XML cannot carry them.
pub fn forbidden_character(text: &str) -> Option<char> {
    // Almost every text is free of them; bytes are cheaper to look at than characters.
    let suspicious = text.bytes().any(|byte| {
        (byte < 0x20 && !matches!(byte, b'\n' | b'\t' | b'\r'))
            || matches!(byte, 0x7f | 0xc2 | 0xef)
    });
    if !suspicious {
        return None;
    }
    text.chars().find(|&character| is_forbidden(character))
}

fn is_forbidden(character: char) -> bool {
    match character {
        '\n' | '\t' | '\r' => false,
        '\u{fffe}' | '\u{ffff}' => true,
        _ => character.is_control(),
    }
}

/// Whether `character` shows nothing: zero-width characters, marks of writing direction, soft
/// hyphens. They survive copying from web pages and hide a name from every search.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// Whether `character` shows something, or parts what does.
pub fn is_shown(character: char) -> bool {
    !is_invisible(character) && !is_forbidden(character)
}

/// Returns the character that GB 18030-2022 gives to what its editions before gave a place of
/// private use; decoders still deliver the old ones.
fn standard(character: char) -> char {
    match character {
        '\u{e78d}' => '\u{fe10}',
        '\u{e78e}' => '\u{fe12}',
        '\u{e78f}' => '\u{fe11}',
        '\u{e790}'..='\u{e796}' => offset(character, 0xe790, 0xfe13),
        '\u{e7c7}' => '\u{1e3f}',
        '\u{e81e}' => '\u{9fb4}',
        '\u{e826}' => '\u{9fb5}',
        '\u{e82b}' => '\u{9fb6}',
        '\u{e82c}' => '\u{9fb7}',
        '\u{e832}' => '\u{9fb8}',
        '\u{e843}' => '\u{9fb9}',
        '\u{e854}' => '\u{9fba}',
        '\u{e864}' => '\u{9fbb}',
        other => other,
    }
}

fn offset(character: char, from: u32, to: u32) -> char {
    char::from_u32(u32::from(character) - from + to).unwrap_or(character)
}

/// Returns `text` without invisible and forbidden characters, with `\n` as the only line break.
pub fn visible(text: &str) -> Cow<'_, str> {
    let mends = |character: char| {
        is_invisible(character)
            || is_forbidden(character)
            || matches!(
                character,
                '\r' | '\u{2028}' | '\u{2029}' | '\u{e78d}'..='\u{e864}'
            )
    };
    if !text.chars().any(mends) {
        return Cow::Borrowed(text);
    }
    let mut mended = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\u{2028}' | '\u{2029}' => mended.push('\n'),
            _ if is_invisible(character) || is_forbidden(character) => {}
            _ => mended.push(standard(character)),
        }
    }
    Cow::Owned(mended)
}

/// How many characters of private use `text` holds: only some fonts show them, and each something
/// else.
pub fn private_use(text: &str) -> usize {
    // All of them begin with one of these bytes; almost every text is free of them.
    let suspicious = text
        .bytes()
        .any(|byte| matches!(byte, 0xee | 0xef | 0xf3 | 0xf4));
    if !suspicious {
        return 0;
    }
    text.chars()
        .filter(
            |character| matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'),
        )
        .count()
}

/// Returns `text` as one line: trimmed, line breaks joined, without a blank where Chinese meets.
pub fn one_line(text: &str) -> String {
    let visible = visible(text);
    let mut line = String::with_capacity(visible.len());
    for part in visible.split('\n').map(str::trim) {
        let (Some(before), Some(after)) = (line.chars().next_back(), part.chars().next()) else {
            line.push_str(part);
            continue;
        };
        if before.is_ascii() && after.is_ascii() {
            line.push(' ');
        }
        line.push_str(part);
    }
    line
}

/// Returns `text` as one line, or none when it is blank.
pub fn optional_line(text: Option<&str>) -> Option<String> {
    text.map(one_line).filter(|line| !line.is_empty())
}

/// Returns `text` trimmed, its line breaks kept.
pub fn lines(text: &str) -> String {
    visible(text).trim().to_owned()
}

/// Returns `text` in NFKC, so that full-width letters, digits and brackets become plain ones.
pub fn narrow(text: &str) -> String {
    visible(text).nfkc().collect()
}

/// Returns `text` in NFKC without any blank.
pub fn narrow_without_blanks(text: &str) -> String {
    // NFKC makes blanks out of accents that stand alone; without them it has to compose again.
    narrow(text)
        .chars()
        .filter(|character| !character.is_whitespace())
        .nfkc()
        .collect()
}

/// Whether `text` only says that there is nothing: blank, 无, a row of dashes.
pub fn says_nothing(text: &str) -> bool {
    let narrowed = narrow_without_blanks(text);
    matches!(
        narrowed.as_str(),
        "无" | "暂无" | "没有" | "无文号" | "无。"
    ) || narrowed
        .chars()
        .all(|character| "-‐‑‒–—―─－_/\\*".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_breaks_in_a_title_are_joined() {
        for (written, joined) in [
            (
                " 关于印发专栏\n\n建设方案的通知　",
                "关于印发专栏建设方案的通知",
            ),
            ("关于\r\n印发", "关于印发"),
            ("annual\nreport", "annual report"),
            ("\u{feff}公\u{200b}告", "公告"),
            ("“三公”经费，公开", "“三公”经费，公开"),
        ] {
            assert_eq!(one_line(written), joined);
        }
    }

    #[test]
    fn controls_are_found_and_layout_is_not() {
        assert_eq!(forbidden_character("甲\u{0}乙"), Some('\u{0}'));
        assert_eq!(forbidden_character("甲\u{85}"), Some('\u{85}'));
        assert_eq!(forbidden_character("\u{ffff}"), Some('\u{ffff}'));
        assert_eq!(forbidden_character("甲\t乙\r\n，“丙”©"), None);
    }

    #[test]
    fn characters_of_private_use_become_standard_ones_or_are_counted() {
        assert_eq!(
            visible("\u{e81e}甲\u{e790}\u{e7c7}"),
            "\u{9fb4}甲\u{fe13}\u{1e3f}"
        );
        assert_eq!(private_use("甲\u{e000}乙\u{f8ff}，\u{100000}"), 3);
        assert_eq!(private_use("，。“甲”𠀀😀"), 0);
    }

    #[test]
    fn nothing_is_said_in_many_ways() {
        for text in ["", " 　", "无", "—  —", "--", "／", "无文号"] {
            assert!(says_nothing(text), "{text:?}");
        }
        assert!(!says_nothing("无锡"));
    }

    proptest! {
        #[test]
        fn mending_twice_changes_nothing_more(text in "\\PC*|(?s).*") {
            let once = one_line(&text);
            prop_assert_eq!(one_line(&once), once.clone());
            prop_assert_eq!(forbidden_character(&once), None);
            let once = lines(&text);
            prop_assert_eq!(lines(&once), once);
        }
    }
}
