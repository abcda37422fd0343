//! The gate of secrecy: marks on the document, not prose about secrets.

use regex::Regex;
use std::sync::LazyLock;

/// Blanks that may stand inside a word that was set wide.
const GAP: &str = r"[ \t\u{a0}\u{3000}]*";

/// The patterns of marks; the first capture is what the clerk is shown.
static MARKS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let level = format!("(?:绝{GAP}密|机{GAP}密|秘{GAP}密)");
    let period = format!(
        "(?:{GAP}(?:[0-9０-９一二三四五六七八九十]{{1,3}}{GAP}(?:年|个月|月|天)|长{GAP}期))"
    );
    let open = r"[（(\[【〔]?";
    let close = r"[）)\]】〕]?";
    [
        // 秘密★1年
        format!("({level}{GAP}[★☆*＊✩✭]{period}?)"),
        // A line that is nothing but the mark: 机密, （秘密）, 绝密 3年
        format!("(?m)^{GAP}{open}{GAP}({level}{period}?){GAP}{close}{GAP}$"),
        // 密级：秘密
        format!(r"(密{GAP}级[\s\u{{a0}}\u{{3000}}:：]*{level}){GAP}(?:[^\p{{Han}}\s]|[\s\u{{a0}}]|$)"),
        // 内部资料，注意保存
        "(内部(?:资料|文件|材料|情况|参考)[\\s，,：:·、]*(?:注意保存|妥善保管|注意保密|请勿外传|不得外传|严禁外传|严格保密))"
            .to_owned(),
        // A line that is nothing but 内部资料
        format!("(?m)^{GAP}{open}(内部(?:资料|文件|材料|参考)){close}{GAP}$"),
        // 此件不公开, 此件不公开发布
        format!("(此{GAP}(?:件|文){GAP}不{GAP}(?:得|宜|对外)?{GAP}公{GAP}开(?:{GAP}发{GAP}布)?)"),
    ]
    .map(|pattern| Regex::new(&pattern).expect("the pattern is a constant that the tests compile"))
    .into()
});

/// Returns the first mark of secrecy in `text`.
pub(super) fn mark(text: &str) -> Option<String> {
    // Every pattern has one of these characters.
    if !text.contains(['密', '内', '此']) {
        return None;
    }
    let found = MARKS
        .iter()
        .find_map(|pattern| Some(pattern.captures(text)?.get(1)?.as_str()))?;
    Some(found.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_however_they_are_set() {
        for (text, found) in [
            ("秘密★1年", "秘密★1年"),
            ("甲\n机　密 ★ 5 年\n乙", "机密★5年"),
            ("绝密★长期", "绝密★长期"),
            ("秘密☆", "秘密☆"),
            ("机密*", "机密*"),
            ("标题\n  （机密） \n正文", "机密"),
            ("秘密", "秘密"),
            ("密级：秘密", "密级：秘密"),
            ("密级\t机密\t紧急程度", "密级机密"),
            ("内部资料 注意保存", "内部资料注意保存"),
            ("甲\n内部文件\n乙", "内部文件"),
            ("（此件不公开）", "此件不公开"),
            ("此件不公开发布", "此件不公开发布"),
        ] {
            assert_eq!(mark(text).as_deref(), Some(found), "{text}");
        }
    }

    #[test]
    fn prose_about_secrets_is_quiet() {
        for text in [
            "保守国家秘密、商业秘密和个人隐私",
            "涉及国家秘密的，不予公开。",
            "秘密级文件管理办法",
            "密级：非涉密",
            "密级：秘密级以上文件不得上网",
            "机密文件由专人保管",
            "加强内部资料管理",
            "此件公开发布",
            "（此件主动公开）",
            "国家秘密\n商业秘密",
        ] {
            assert_eq!(mark(text), None, "{text}");
        }
    }
}
