//! Finds numbers that name a person in running text.
//!
//! One pass collects the runs of digits; only runs of the right length are looked at closely, so
//! text without long numbers costs next to nothing. Neighbours decide what is quiet: amounts,
//! parts of longer codes, permits and credit codes.

use super::Code;
use super::identity::{BankCard, bank_card, is_mobile};
use super::rules::Numbers;
use crate::normalise::is_identity_card;

/// What kind of number was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 身份证号
    IdentityCard,
    /// 手机号
    Mobile,
    /// 银行卡号
    BankCard,
}

impl Kind {
    pub(super) fn code(self) -> Code {
        match self {
            Self::IdentityCard => Code::IdCard,
            Self::Mobile => Code::Mobile,
            Self::BankCard => Code::BankCard,
        }
    }
}

/// A number that names a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// First byte in the text.
    pub(super) start: usize,
    /// Byte behind the last one.
    pub(super) end: usize,
}

/// Digits in a row.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    count: usize,
}

/// How far before a number its label is looked for.
const LABEL_CHARS: usize = 16;

/// A text that is searched, with the words that decide.
#[derive(Clone, Copy)]
struct Search<'a> {
    text: &'a str,
    numbers: &'a Numbers,
}

/// Returns all findings, in the order of the text.
pub(super) fn find(text: &str, numbers: &Numbers) -> Vec<Finding> {
    let search = Search { text, numbers };
    let runs = runs(text);
    let mut findings = Vec::new();
    let mut next = 0;
    while next < runs.len() {
        let (found, used) = search.at(&runs[next..]);
        findings.extend(found);
        next += used;
    }
    findings
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (start, character) in text.char_indices() {
        if plain_digit(character).is_none() {
            continue;
        }
        let end = start + character.len_utf8();
        match runs.last_mut() {
            Some(run) if run.end == start => (run.end, run.count) = (end, run.count + 1),
            _ => runs.push(Run {
                start,
                end,
                count: 1,
            }),
        }
    }
    runs
}

fn plain_digit(character: char) -> Option<char> {
    match character {
        '0'..='9' => Some(character),
        '０'..='９' => char::from_u32(character as u32 - '０' as u32 + '0' as u32),
        _ => None,
    }
}

impl Search<'_> {
    /// Looks at the first of `runs`; returns what it is and how many runs that took.
    fn at(self, runs: &[Run]) -> (Option<Finding>, usize) {
        let first = runs[0];
        let finding = match first.count {
            11 | 13 => self.mobile(first),
            15..=19 => self.card(first),
            3 | 4 | 6 => return self.grouped(runs),
            _ => None,
        };
        (finding, 1)
    }

    fn mobile(self, run: Run) -> Option<Finding> {
        let digits = digits(self.text, run.start, run.end);
        let national = match digits.strip_prefix("86") {
            Some(rest) if run.count == 13 => rest,
            _ => &digits,
        };
        let found = self.is_private_mobile(national) && self.stands_alone(run.start, run.end);
        found.then_some(Finding {
            kind: Kind::Mobile,
            start: run.start,
            end: run.end,
        })
    }

    fn card(self, run: Run) -> Option<Finding> {
        let check_letter = match self.text[run.end..].chars().next() {
            Some(letter @ ('X' | 'x' | 'Ｘ' | 'ｘ')) if run.count == 17 => letter.len_utf8(),
            _ => 0,
        };
        let end = run.end + check_letter;
        let number = digits(self.text, run.start, end);
        let finding = |kind| Finding {
            kind,
            start: run.start,
            end,
        };
        if is_identity_card(&number) {
            // The old kind has no check character, so it must at least stand alone.
            let is_sure = number.len() == 18 || self.stands_alone(run.start, end);
            return (is_sure && !self.is_other_number(run.start))
                .then(|| finding(Kind::IdentityCard));
        }
        self.is_bank_card(run.start, end, &number)
            .then(|| finding(Kind::BankCard))
    }

    /// Numbers written in groups: `138 0013 8000`, `440203 19900101 1004`, `6228 4804 0256 4890 018`.
    fn grouped(self, runs: &[Run]) -> (Option<Finding>, usize) {
        const SHAPES: [(&[usize], Kind); 5] = [
            (&[3, 4, 4], Kind::Mobile),
            (&[6, 8, 4], Kind::IdentityCard),
            (&[4, 4, 4, 4, 3], Kind::BankCard),
            (&[4, 4, 4, 4, 2], Kind::BankCard),
            (&[4, 4, 4, 4], Kind::BankCard),
        ];
        for (shape, kind) in SHAPES {
            let Some(group) = runs.get(..shape.len()) else {
                continue;
            };
            let fits = group.iter().map(|run| run.count).eq(shape.iter().copied())
                && group.windows(2).all(|pair| is_joint(self.text, pair))
                && !runs
                    .get(shape.len())
                    .is_some_and(|after| is_joint(self.text, &[group[shape.len() - 1], *after]));
            if !fits {
                continue;
            }
            let (start, end) = (group[0].start, group[shape.len() - 1].end);
            let number = digits(self.text, start, end);
            let found = match kind {
                Kind::Mobile => self.is_private_mobile(&number) && self.stands_alone(start, end),
                Kind::IdentityCard => is_identity_card(&number) && !self.is_other_number(start),
                Kind::BankCard => self.is_bank_card(start, end, &number),
            };
            if found {
                return (Some(Finding { kind, start, end }), shape.len());
            }
        }
        (None, 1)
    }

    fn is_bank_card(self, start: usize, end: usize, number: &str) -> bool {
        match bank_card(number) {
            BankCard::Sure => self.stands_alone(start, end) && !self.is_other_number(start),
            BankCard::WithContext => {
                self.stands_alone(start, end) && {
                    let label = self.label(start);
                    self.numbers
                        .card_words
                        .iter()
                        .any(|word| label.contains(word.as_str()))
                }
            }
            BankCard::No => false,
        }
    }

    /// Whether the number is no part of an amount, a decimal or a longer code.
    fn stands_alone(self, start: usize, end: usize) -> bool {
        let mut before = self.text[..start].chars().rev();
        let mut after = self.text[end..].chars();
        let alone_before = match before.next() {
            Some('.' | ',') => !before.next().is_some_and(|other| other.is_ascii_digit()),
            Some('_' | '¥' | '￥') => false,
            Some(letter) if letter.is_ascii_alphabetic() => {
                self.ends_with_phone_label(&self.text[..start])
            }
            _ => true,
        };
        let alone_after = match after.next() {
            Some('.' | ',') => !after.next().is_some_and(|other| other.is_ascii_digit()),
            Some('_' | '元' | '万' | '亿') => false,
            Some(letter) => !letter.is_ascii_alphabetic(),
            None => true,
        };
        alone_before && alone_after
    }

    fn ends_with_phone_label(self, before: &str) -> bool {
        let letters: String = before
            .chars()
            .rev()
            .take_while(|character| character.is_ascii_alphanumeric())
            .take(LABEL_CHARS)
            .collect();
        let word: String = letters.chars().rev().collect();
        self.numbers
            .phone_labels
            .contains(&word.to_ascii_lowercase())
    }

    /// Returns the text before a number on its line, as far as a label reaches.
    fn label(self, start: usize) -> String {
        self.text[..start]
            .chars()
            .rev()
            .take(LABEL_CHARS)
            .take_while(|&character| character != '\n')
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect()
    }

    fn is_other_number(self, start: usize) -> bool {
        let label = self.label(start);
        !label.contains("身份证")
            && self
                .numbers
                .other_numbers
                .iter()
                .any(|word| label.contains(word.as_str()))
    }

    fn is_private_mobile(self, digits: &str) -> bool {
        is_mobile(digits) && !self.numbers.allowed.iter().any(|allowed| allowed == digits)
    }
}

/// Whether one blank or dash joins two runs.
fn is_joint(text: &str, pair: &[Run]) -> bool {
    matches!(
        &text[pair[0].end..pair[1].start],
        " " | "-" | "\u{a0}" | "\u{3000}" | "－" | "—"
    )
}

/// Returns the digits between two places of the text in ASCII, an X in upper case.
fn digits(text: &str, start: usize, end: usize) -> String {
    text[start..end]
        .chars()
        .filter_map(|character| match character {
            'X' | 'x' | 'Ｘ' | 'ｘ' => Some('X'),
            other => plain_digit(other),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Vec<Kind> {
        find(text, &super::super::rules::Rules::built_in().numbers)
            .into_iter()
            .map(|finding| finding.kind)
            .collect()
    }

    #[test]
    fn numbers_of_persons_are_found_however_they_are_written() {
        for (text, kind) in [
            ("身份证号：440203199001011004。", Kind::IdentityCard),
            ("11010519491231002x", Kind::IdentityCard),
            ("４４０２０３１９９００１０１１００４", Kind::IdentityCard),
            ("440203 19900101 1004", Kind::IdentityCard),
            ("ID440203199001011004", Kind::IdentityCard),
            ("440203900101100", Kind::IdentityCard),
            ("电话13800138000", Kind::Mobile),
            ("Tel13800138000", Kind::Mobile),
            ("+8613800138000", Kind::Mobile),
            ("138 0013 8000", Kind::Mobile),
            ("138-0013-8000", Kind::Mobile),
            ("１３８００１３８０００", Kind::Mobile),
            ("卡号6228480402564890018", Kind::BankCard),
            ("6228 4804 0256 4890 018", Kind::BankCard),
            ("信用卡4111111111111111", Kind::BankCard),
        ] {
            assert_eq!(kinds(text), [kind], "{text}");
        }
        assert_eq!(
            kinds("张三\t440203199001011004\t13800138000\t6217000010001234569"),
            [Kind::IdentityCard, Kind::Mobile, Kind::BankCard]
        );
    }

    #[test]
    fn numbers_of_other_things_are_quiet() {
        for text in [
            "0751-8000808",
            "8891904",
            "914402049900001051",
            "914403001922038216",
            "91440300708461136T",
            "44020000699999920140001",
            "440200MB9Y0037420140007",
            "2020-330327-48-01-167360",
            "2409-440205-04-01-200027",
            "000014349/2013-00081",
            "1144150000724047XL/2023-00165",
            "138****1234",
            "4402**********2349",
            "合计13800138000元",
            "13800138000.00",
            "31,286,540.72",
            "2014-09-18",
            "138001380001",
            "440203199001011234",
            "6217000010001234567",
            "施工许可证号：440203199001011004",
            "图a13800138000b",
            "content/post_13800138000",
            "4111111111111111",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_searched(text in "\\PC*|[0-9０-９Xx \\-.张\n]{0,80}") {
            for finding in find(&text, &super::super::rules::Rules::built_in().numbers) {
                prop_assert!(text.get(finding.start..finding.end).is_some());
            }
        }
    }
}
