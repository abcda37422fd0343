//! 公开方式: the three words that a clerk may choose.

use super::text::narrow_without_blanks;
use crate::record::Disclosure;

/// Returns what `written` declares. A word that is none of the three declares nothing: the hub
/// does not guess what may be shown.
pub fn disclosure(written: &str) -> Disclosure {
    let word = narrow_without_blanks(written);
    match word.trim_end_matches(['。', '.', ';', ',']) {
        "主动公开" | "主动" => Disclosure::Proactive,
        "依申请公开" | "依申请" | "申请公开" => Disclosure::OnRequest,
        "不予公开" | "不公开" | "免予公开" | "不予" => Disclosure::Withheld,
        _ => Disclosure::Undeclared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_words_declare_something() {
        for (written, declared) in [
            ("主动公开", Disclosure::Proactive),
            (" 主动　公开。", Disclosure::Proactive),
            ("依申请公开", Disclosure::OnRequest),
            ("不予公开", Disclosure::Withheld),
            ("", Disclosure::Undeclared),
            ("公开", Disclosure::Undeclared),
            ("主动公开/依申请公开", Disclosure::Undeclared),
            ("非主动公开", Disclosure::Undeclared),
        ] {
            assert_eq!(disclosure(written), declared, "{written}");
        }
    }
}
