//! Chinese numerals as amounts are written: 一百二十, 壹佰贰拾万, 三点零八.
//!
//! What is only said that way (一万五 for 15 000, 一百二 for 120) is refused: read by the rules it
//! would be another number.

/// Returns the value of a digit.
pub(super) fn digit(letter: char) -> Option<i128> {
    Some(match letter {
        '零' | '〇' | '○' => 0,
        '一' | '壹' | '弌' => 1,
        '二' | '贰' | '貳' | '两' | '兩' => 2,
        '三' | '叁' | '參' | '叄' => 3,
        '四' | '肆' => 4,
        '五' | '伍' => 5,
        '六' | '陆' | '陸' => 6,
        '七' | '柒' => 7,
        '八' | '捌' => 8,
        '九' | '玖' => 9,
        _ => return None,
    })
}

/// Whether a numeral may hold this letter.
pub(super) fn is_numeral(letter: char) -> bool {
    digit(letter).is_some() || small_unit(letter).is_some()
}

fn small_unit(letter: char) -> Option<i128> {
    Some(match letter {
        '十' | '拾' => 10,
        '百' | '佰' => 100,
        '千' | '仟' => 1000,
        _ => return None,
    })
}

/// Returns the whole number that `text` writes.
pub(super) fn whole(text: &str) -> Option<i128> {
    whole_behind(text, false)
}

/// `behind` says that a larger unit stands before: then a lone digit needs a 零.
fn whole_behind(text: &str, behind: bool) -> Option<i128> {
    for (unit, value) in [('亿', 100_000_000), ('万', 10_000)] {
        if let Some((before, after)) = text.rsplit_once(unit) {
            let count = whole(before)
                .or_else(|| behind.then(|| whole_behind(before, true))?)
                .filter(|count| *count > 0)?;
            let rest = match after {
                "" => 0,
                after => whole_behind(after, true)?,
            };
            return (rest < value).then_some(count.checked_mul(value)? + rest);
        }
    }
    below_ten_thousand(text, behind)
}

fn below_ten_thousand(text: &str, behind: bool) -> Option<i128> {
    if let Some(value) = Some(text).filter(|text| matches!(*text, "零" | "〇")) {
        return (!behind && !value.is_empty()).then_some(0);
    }
    let mut letters = text.chars().peekable();
    let (mut total, mut lowest) = (0, if behind { 10_000 } else { 10 });
    let mut after_zero = false;
    let mut is_first = true;
    while let Some(letter) = letters.next() {
        if digit(letter) == Some(0) {
            // A zero stands between two places, once, and behind a larger unit.
            if after_zero || (is_first && !behind) || letters.peek().is_none() {
                return None;
            }
            (after_zero, is_first) = (true, false);
            continue;
        }
        let unit_behind = letters.peek().copied().and_then(small_unit);
        let (value, unit) = match (digit(letter), small_unit(letter), unit_behind) {
            (Some(value), _, Some(unit)) => {
                letters.next();
                (value, unit)
            }
            (Some(value), _, None) => (value, 1),
            // 十二, and 零十 behind a larger unit.
            (None, Some(10), _) if is_first => (1, 10),
            _ => return None,
        };
        let descends = is_first || unit < lowest;
        let is_said_so = unit == 1 && lowest > 10 && !after_zero;
        if !descends || is_said_so || (unit == 1 && letters.peek().is_some()) {
            return None;
        }
        total += value * unit;
        (lowest, after_zero, is_first) = (unit, false, false);
    }
    (!is_first).then_some(total)
}

/// Returns digits and how many of them stand behind the point: `三点零八` is (308, 2).
pub(super) fn decimal(text: &str) -> Option<(i128, usize)> {
    let Some((before, after)) = text.split_once('点') else {
        return Some((whole(text)?, 0));
    };
    let count = after.chars().count();
    if !(1..=super::money::DECIMALS_MAX).contains(&count) {
        return None;
    }
    let mut value = whole(before)?;
    for letter in after.chars() {
        value = value.checked_mul(10)? + digit(letter)?;
    }
    Some((value, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numerals_are_read() {
        for (text, value) in [
            ("零", 0),
            ("十", 10),
            ("拾贰", 12),
            ("一百二十", 120),
            ("一百零二", 102),
            ("壹仟零伍", 1005),
            ("壹万伍佰", 10_500),
            ("一万零五", 10_005),
            ("叁仟伍佰万零贰佰", 35_000_200),
            ("两亿三千万", 230_000_000),
            ("一万亿", 1_000_000_000_000),
            ("拾万", 100_000),
        ] {
            assert_eq!(whole(text), Some(value), "{text}");
        }
        assert_eq!(decimal("三点零八"), Some((308, 2)));
    }

    #[test]
    fn what_is_only_said_so_is_refused() {
        for text in [
            "一百二",
            "一万五",
            "一二三",
            "百",
            "零零一",
            "一百零",
            "十十",
            "一十二百",
            "",
            "一点",
            "万",
            "一千千",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    /// Writes a number as a cheque does, in other words than the reader.
    fn on_a_cheque(number: u32) -> String {
        const DIGITS: [char; 10] = ['零', '壹', '贰', '叁', '肆', '伍', '陆', '柒', '捌', '玖'];
        let digits = number.to_string();
        let mut text = String::new();
        let mut zero = false;
        for (place, digit) in digits.bytes().enumerate() {
            let left = digits.len() - place - 1;
            match digit - b'0' {
                0 => zero = true,
                value => {
                    if zero && !text.is_empty() {
                        text.push('零');
                    }
                    zero = false;
                    text.push(DIGITS[usize::from(value)]);
                    text.push_str(["", "拾", "佰", "仟"][left % 4]);
                }
            }
            let section = number / 10_u32.pow(left as u32) % 10_000;
            if left > 0 && left.is_multiple_of(4) && section > 0 {
                text.push(if left == 8 { '亿' } else { '万' });
            }
        }
        text
    }

    proptest! {
        #[test]
        fn every_number_on_a_cheque_is_read(number in 1u32..u32::MAX) {
            prop_assert_eq!(whole(&on_a_cheque(number)), Some(i128::from(number)), "{}", on_a_cheque(number));
        }

        #[test]
        fn any_text_can_be_asked(text in "\\PC*|[零一二三十百千万亿点]{0,40}") {
            let _ = (whole(&text), decimal(&text));
        }
    }
}
