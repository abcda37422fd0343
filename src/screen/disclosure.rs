//! The gate of 公开方式: what the clerk declared, and whether the text says otherwise.

use super::hold;
use crate::record::{Disclosure, Hold, HoldCode};
use regex::Regex;
use std::sync::LazyLock;

/// Blanks that may stand inside a word that was set wide.
const GAP: &str = r"[ \t\u{a0}\u{3000}]*";

/// A label with its value: `公开方式：依申请公开`, also over two cells or lines, also ticked in a
/// list of boxes. What follows the value must not go on as prose (`依申请公开办法`).
static LABELLED: LazyLock<Regex> = LazyLock::new(|| {
    let label =
        format!("公{GAP}开{GAP}(?:方{GAP}式|属{GAP}性|类{GAP}别|形{GAP}式|类{GAP}型|选{GAP}项)");
    let between = r"[\s\u{a0}\u{3000}:：|／/（(\[【为是—-]*";
    let ticked = r"(?:[^\n☑■√✓✔☒●◉]{0,40}[☑■√✓✔☒●◉]\s*)?";
    Regex::new(&format!(
        "{label}{between}{ticked}({})(?:[^\\p{{Han}}]|$)",
        closed_words()
    ))
    .expect("the pattern is a constant that the tests compile")
});

/// A mark on the document itself: `此件依申请公开`.
static THIS_DOCUMENT: LazyLock<Regex> = LazyLock::new(|| {
    let words = closed_words();
    Regex::new(&format!("此{GAP}(?:件|文){GAP}(?:属于?{GAP})?({words})"))
        .expect("the pattern is a constant that the tests compile")
});

/// A line that is nothing but the mark: `（依申请公开）`.
static ALONE: LazyLock<Regex> = LazyLock::new(|| {
    let words = format!("依{GAP}申{GAP}请{GAP}公{GAP}开|不{GAP}予{GAP}公{GAP}开");
    Regex::new(&format!(
        r"(?m)^[ \t\u{{a0}}\u{{3000}}]*[（(\[【]({words})[）)\]】][ \t\u{{a0}}\u{{3000}}]*$"
    ))
    .expect("the pattern is a constant that the tests compile")
});

fn closed_words() -> String {
    [
        "依申请公开",
        "依申请",
        "申请公开",
        "不予公开",
        "免予公开",
        "不主动公开",
        "不公开",
    ]
    .map(|word| {
        let letters: Vec<String> = word.chars().map(String::from).collect();
        letters.join(GAP)
    })
    .join("|")
}

/// Returns the hold that the declared 公开方式 asks for by itself.
pub(super) fn declared(disclosure: Disclosure, written: &str) -> Option<Hold> {
    match disclosure {
        Disclosure::Proactive => None,
        Disclosure::OnRequest => Some(hold(
            HoldCode::OnRequest,
            "公开方式为“依申请公开”，不向公开平台推送；如需主动公开，请修改公开方式后重新提交。",
        )),
        Disclosure::Withheld => Some(hold(
            HoldCode::Withheld,
            "公开方式为“不予公开”，不向公开平台推送；如需主动公开，请修改公开方式后重新提交。",
        )),
        Disclosure::Undeclared if written.trim().is_empty() => Some(hold(
            HoldCode::Undeclared,
            "公开方式没有填写，请选择“主动公开”“依申请公开”或“不予公开”后重新提交。",
        )),
        Disclosure::Undeclared => {
            let written: String = written.chars().take(20).collect();
            let detail = format!(
                "公开方式“{written}”无法识别，请改为“主动公开”“依申请公开”或“不予公开”后重新提交。"
            );
            Some(hold(HoldCode::Undeclared, detail))
        }
    }
}

/// Returns what the text says about itself if that is not 主动公开.
pub(super) fn contradiction(text: &str) -> Option<String> {
    // Every pattern has this character; most passages of a table do not.
    if !text.contains('开') {
        return None;
    }
    let word = [&*LABELLED, &*THIS_DOCUMENT, &*ALONE]
        .into_iter()
        .find_map(|pattern| Some(pattern.captures(text)?.get(1)?.as_str()))?;
    Some(word.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_against_publication_is_found_however_it_is_set() {
        for text in [
            "信息公开方式：依申请公开",
            "正文。\n信息公开方式:依申请公开\n",
            "公开属性：不予公开",
            "公 开 方 式 ： 依 申 请 公 开",
            "公　开　类　别\t依申请公开\t公开时限",
            "公开形式\n不公开",
            "公开类型（不予公开）",
            "公开方式：□主动公开 ☑依申请公开 □不予公开",
            "公开方式依申请公开",
            "（此件依申请公开）",
            "此件不予公开",
            "甲\n  （依申请公开）\n乙",
        ] {
            assert!(contradiction(text).is_some(), "{text}");
        }
        assert_eq!(
            contradiction("公 开 方 式：依 申 请 公 开").as_deref(),
            Some("依申请公开")
        );
    }

    #[test]
    fn prose_about_disclosure_is_quiet() {
        for text in [
            "报名时提供的个人信息仅用于核实资格，不对外公开。",
            "根据依申请公开办法办理",
            "鉴于涉及个人隐私，建议不予公开。",
            "信息公开方式：主动公开",
            "公开方式：■主动公开 □依申请公开 □不予公开",
            "信息公开方式包括主动公开、依申请公开两种。",
            "公开方式：主动公开、依申请公开、不予公开",
            "公开形式：依申请公开办理流程图",
            "（此件主动公开）",
            "此件公开发布",
            "依申请公开",
        ] {
            assert_eq!(contradiction(text), None, "{text}");
        }
    }
}
