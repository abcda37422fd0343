//! Masks numbers that name a person, in the form that official lists use.

use super::personal::{Kind, find};
use super::rules::Rules;
use std::borrow::Cow;

/// Returns `text` with every identity card as `35*************123`, mobile as `138****1234` and
/// bank card as `6228***********0018`.
pub fn mask(text: &str) -> Cow<'_, str> {
    let findings = find(text, &Rules::built_in().numbers);
    if findings.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut place = 0;
    for finding in findings {
        masked.push_str(&text[place..finding.start]);
        masked.push_str(&masked_number(
            finding.kind,
            &text[finding.start..finding.end],
        ));
        place = finding.end;
    }
    masked.push_str(&text[place..]);
    Cow::Owned(masked)
}

/// Returns one number with its middle hidden; blanks and dashes in it are hidden too.
pub(super) fn masked_number(kind: Kind, number: &str) -> String {
    let letters: Vec<char> = number
        .chars()
        .filter(|character| character.is_alphanumeric())
        .collect();
    let (shown_first, shown_last) = match kind {
        Kind::IdentityCard => (2, 3),
        Kind::Mobile => (letters.len().saturating_sub(8), 4),
        Kind::BankCard => (4, 4),
    };
    let hidden = shown_first..letters.len().saturating_sub(shown_last);
    letters
        .into_iter()
        .enumerate()
        .map(|(place, letter)| if hidden.contains(&place) { '*' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_has_its_mask() {
        assert_eq!(
            mask("张三 440203199001011004，电话138 0013 8000，卡6228480402564890018。"),
            "张三 44*************004，电话138****8000，卡6228***********0018。"
        );
        assert!(matches!(mask("0751-8000808"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_is_left_to_mask(text in "[0-9０-９Xx \\-.,张元\n]{0,60}") {
            let once = mask(&text).into_owned();
            prop_assert_eq!(mask(&once).into_owned(), once.clone());
        }
    }
}
