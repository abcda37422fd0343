//! What failures with one cause have in common: their text without what differs from one to the
//! next, and the name of their group. Stable over releases: a test holds known names.

use regex::Regex;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// A pattern is cut after so many characters; what follows rarely tells causes apart.
const PATTERN_CHARS_MAX: usize = 200;

/// Addresses, what stands in quotes, words with a digit in them (ids, numbers, times), and the
/// digits of any script.
static VARYING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}
        | https?://[^\s，。；）)"'<>]+
        | “[^”]*” | 《[^》]*》 | 「[^」]*」 | "[^"]*" | '[^']*' | `[^`]*`
        | [A-Za-z0-9_]*[0-9][A-Za-z0-9_]*(?:[-.:/][A-Za-z0-9_]*[0-9][A-Za-z0-9_]*)*
        | \p{Nd}+"#,
    )
    .expect("a constant pattern")
});
/// A list of such things is as long as it happens to be.
static LISTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\#(?:[\s、，,./:\-年月日时分秒号]*\#)+").expect("a constant pattern")
});
static BLANKS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\s\p{Cc}]+").expect("a constant pattern"));

/// Returns `text` with `#` for everything that differs between failures of one cause.
pub fn pattern(text: &str) -> String {
    let text = BLANKS.replace_all(text.trim(), " ");
    let text = VARYING.replace_all(&text, "#");
    let text = LISTED.replace_all(&text, "#");
    text.chars().take(PATTERN_CHARS_MAX).collect()
}

/// Returns the name of the failures of one platform, stage, class, code and pattern.
pub fn group_name(platform: &str, stage: &str, class: &str, code: &str, text: &str) -> String {
    let key = [platform, stage, class, code, &pattern(text)].join("\u{1f}");
    hex::encode(&Sha256::digest(key)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_differs_from_one_to_the_next_is_left_out() {
        for (text, expected) in [
            (
                "记录 0190a000-0000-7000-8000-000000000001 第3项不符合要求",
                "记录 # 第#项不符合要求",
            ),
            ("请求 req-9f8e7d6c 失败", "请求 req-# 失败"),
            (
                "栏目“部门预算”不存在，见 https://p.example.org/a?id=1",
                "栏目#不存在，见 #",
            ),
            ("字段 1、3，5 过长", "字段 # 过长"),
            ("２０１４年9月18日 08:30:05 维护", "# 维护"),
            ("连接 10.0.0.1:8443 被拒绝", "连接 # 被拒绝"),
            (
                "Duplicate entry 'OA-1' for key \"ux_7\"",
                "Duplicate entry # for key #",
            ),
            ("  标题\n\t为空 ", "标题 为空"),
        ] {
            assert_eq!(pattern(text), expected, "{text}");
        }
    }

    #[test]
    fn causes_that_differ_keep_different_names() {
        let name = |platform, code, text| group_name(platform, "article", "reject", code, text);
        let one = name("portal", "422", "标题过长");
        for other in [
            name("gazette", "422", "标题过长"),
            name("portal", "423", "标题过长"),
            name("portal", "422", "栏目不存在"),
        ] {
            assert_ne!(one, other);
        }
        // Names are kept in databases and in people's notes.
        assert_eq!(one, "02bcad842609");
    }

    proptest! {
        #[test]
        fn one_cause_is_one_group_whatever_numbers_and_ids_it_names(
            id in "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
            other in "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
            number in 0_u32..100_000, title in "[^”]{0,40}",
        ) {
            let text = |id: &str, number: u32, title: &str| format!("“{title}”的附件{number}（{id}）超过上限");
            prop_assert_eq!(pattern(&text(&id, number, &title)), pattern(&text(&other, 7, "题")));
        }

        #[test]
        fn a_pattern_has_no_digits_and_is_its_own_pattern(text in "\\PC{0,300}") {
            let once = pattern(&text);
            prop_assert!(!once.chars().any(|it| it.is_ascii_digit()));
            prop_assert!(once.chars().count() <= PATTERN_CHARS_MAX);
        }
    }
}
