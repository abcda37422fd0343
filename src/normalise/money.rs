//! 金额: reads amounts of yuan exactly, in 分, and refuses what is no exact amount.
//!
//! A unit must be written: whether 3.08 means 元 or 万元 is the classic mistake, so it is never
//! guessed. Sums in brackets (`120万元（壹佰贰拾万元整）`) must say the same.

use super::numeral::{decimal, digit, is_numeral};
use super::text::{narrow, says_nothing};

/// Longest text that is read as an amount.
const MONEY_CHARS_MAX: usize = 80;
/// Digits behind the point that are read.
pub(super) const DECIMALS_MAX: usize = 12;

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyError {
    /// Nothing is written.
    Empty,
    /// 约, 左右, 以上, 不超过: no exact amount.
    Approximate,
    /// From one amount to another.
    Range,
    /// Not yuan.
    ForeignCurrency,
    /// A number without 元, 万元 or another unit.
    UnitMissing,
    /// Less than a 分 is left over.
    BelowFen,
    /// Figures and capital numerals differ.
    Contradiction,
    /// Larger than any amount.
    TooLarge,
    /// No amount at all.
    Unrecognised,
}

impl MoneyError {
    /// Returns the stable code and a sentence for the clerk.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => ("empty", "金额是空白。"),
            Self::Approximate => (
                "approximate",
                "不是确切金额（约、左右、以上、不超过等），请填写确切金额。",
            ),
            Self::Range => ("range", "是金额范围，请填写一个确切金额。"),
            Self::ForeignCurrency => (
                "foreign_currency",
                "不是人民币，未作换算，请填写人民币金额。",
            ),
            Self::UnitMissing => ("unit_missing", "没有写明单位，请写明元、万元或亿元。"),
            Self::BelowFen => ("below_fen", "不足一分的零数无法表示，请核对金额。"),
            Self::Contradiction => ("contradiction", "小写与大写金额不一致，请核对。"),
            Self::TooLarge => ("too_large", "金额过大，请核对。"),
            Self::Unrecognised => ("unrecognised", "无法识别为金额，请按“123.45万元”填写。"),
        }
    }
}

const APPROXIMATE: [&str; 30] = [
    "约",
    "左右",
    "上下",
    "近",
    "以上",
    "以下",
    "以内",
    "余",
    "多",
    "几",
    "数",
    "不超过",
    "不低于",
    "不高于",
    "不少于",
    "不足",
    "至少",
    "至多",
    "最多",
    "最高",
    "最低",
    "超",
    "逾",
    "小于",
    "大于",
    "<",
    ">",
    "≤",
    "≥",
    "+",
];

const FOREIGN: [&str; 17] = [
    "美元",
    "美金",
    "港元",
    "港币",
    "欧元",
    "日元",
    "英镑",
    "澳元",
    "澳门元",
    "新台币",
    "卢布",
    "韩元",
    "USD",
    "HKD",
    "EUR",
    "$",
    "€",
];

/// Words before an amount that say it is in yuan.
const SIGNS: [&str; 4] = ["人民币", "RMB", "CNY", "¥"];
/// Words behind an amount that say nothing about how much it is.
const BEHIND: [&str; 3] = ["人民币", "整", "正"];

/// Units of an amount as (word, 分), longer words first.
const UNITS: [(&str, i128); 10] = [
    ("万亿", 100_000_000_000_000),
    ("千亿", 10_000_000_000_000),
    ("百亿", 1_000_000_000_000),
    ("亿", 10_000_000_000),
    ("千万", 1_000_000_000),
    ("百万", 100_000_000),
    ("十万", 10_000_000),
    ("万", 1_000_000),
    ("千", 100_000),
    ("百", 10_000),
];
const YUAN: i128 = 100;
const JIAO: i128 = 10;
const FEN: i128 = 1;

/// Returns the amount in `raw` in 分.
///
/// # Errors
/// Why it is no exact amount of yuan.
pub fn money(raw: &str) -> Result<i64, MoneyError> {
    if raw.chars().count() > MONEY_CHARS_MAX {
        return Err(MoneyError::Unrecognised);
    }
    let text = narrow(raw)
        .to_uppercase()
        .replace('萬', "万")
        .replace('億', "亿")
        .replace(['圆', '圓'], "元");
    let text = text.trim();
    if says_nothing(text) {
        return Err(MoneyError::Empty);
    }
    if APPROXIMATE.iter().any(|word| text.contains(word)) {
        return Err(MoneyError::Approximate);
    }
    if is_range(text) {
        return Err(MoneyError::Range);
    }
    if FOREIGN.iter().any(|word| text.contains(word)) {
        return Err(MoneyError::ForeignCurrency);
    }
    let bracketed = text.strip_suffix(')').and_then(|rest| rest.split_once('('));
    match bracketed {
        None => amount(text),
        Some((number, unit)) if is_unit(unit) => {
            let unit = unit.trim_start_matches("单位").trim_start_matches(':');
            amount(&format!("{}{}", number.trim(), unit.trim()))
        }
        Some((first, second)) => {
            let first = amount(first)?;
            let second = second
                .trim_start_matches("大写")
                .trim_start_matches("小写")
                .trim_start_matches(':');
            if amount(second)? == first {
                Ok(first)
            } else {
                Err(MoneyError::Contradiction)
            }
        }
    }
}

/// `万元`, `单位：元`
fn is_unit(text: &str) -> bool {
    let unit = text
        .trim_start_matches("单位")
        .trim_start_matches(':')
        .trim();
    matches!(take_unit(unit), Some((_, "")))
}

fn is_range(text: &str) -> bool {
    let ends_amount = |part: &str| {
        part.trim_end().ends_with(|letter: char| {
            letter.is_ascii_digit() || is_numeral(letter) || "万亿元角分".contains(letter)
        })
    };
    let starts_amount = |part: &str| {
        part.trim_start().starts_with(|letter: char| {
            letter.is_ascii_digit() || is_numeral(letter) || letter == '¥'
        })
    };
    ["-", "~", "至", "到", "—", "–", "―", "−", "∼"]
        .iter()
        .any(|divider| {
            text.split_once(divider).is_some_and(|(before, after)| {
                ends_amount(before) && starts_amount(after.trim_start_matches(divider))
            })
        })
}

fn amount(written: &str) -> Result<i64, MoneyError> {
    let mut text = written.trim();
    for word in BEHIND {
        text = text.strip_suffix(word).unwrap_or(text).trim_end();
    }
    let mut in_yuan = false;
    for word in SIGNS {
        if let Some(rest) = text.strip_prefix(word) {
            text = rest.trim_start().trim_start_matches(':').trim_start();
            in_yuan = true;
        }
    }
    let (sign, text) = match text.strip_prefix(['-', '−', '负']) {
        Some(rest) => (-1, rest.trim_start()),
        None => (1, text),
    };
    let fen = unsigned(text, in_yuan)?;
    i64::try_from(sign * fen).map_err(|_| MoneyError::TooLarge)
}

/// Reads numbers with their units, from the largest to the smallest: `3亿2000万元`, `五元六角`.
fn unsigned(text: &str, in_yuan: bool) -> Result<i128, MoneyError> {
    let mut total = 0;
    let mut above = i128::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let is_first = above == i128::MAX;
        // 拾元零伍分
        if !is_first {
            rest = rest.strip_prefix('零').unwrap_or(rest);
        }
        let (number, decimals, after) = take_number(rest).ok_or(MoneyError::Unrecognised)?;
        let (unit, after) = match take_unit(after) {
            Some(found) => found,
            None if after.is_empty() && is_first && in_yuan => (YUAN, ""),
            None if after.is_empty() && is_first => return Err(MoneyError::UnitMissing),
            None => return Err(MoneyError::Unrecognised),
        };
        let fen = number.checked_mul(unit).ok_or(MoneyError::TooLarge)?;
        let scale = 10_i128.pow(decimals as u32);
        if fen % scale != 0 {
            return Err(MoneyError::BelowFen);
        }
        let is_only = is_first && after.is_empty();
        if fen / scale >= above || (decimals > 0 && !is_only) {
            return Err(MoneyError::Unrecognised);
        }
        total += fen / scale;
        (above, rest) = (unit, after.trim_start());
    }
    if above == i128::MAX {
        return Err(MoneyError::Unrecognised);
    }
    Ok(total)
}

/// Takes a number from the start of `text`: its digits, how many of them are decimals, the rest.
fn take_number(text: &str) -> Option<(i128, usize, &str)> {
    let figures = text
        .find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | ','))
        .unwrap_or(text.len());
    if figures > 0 {
        let (number, decimals) = figures_of(&text[..figures])?;
        return Some((number, decimals, text[figures..].trim_start()));
    }
    // Chinese numerals hold 万 and 亿 themselves; what is behind them is the unit.
    let end = text
        .find(|letter: char| !is_numeral(letter) && !matches!(letter, '点' | '万' | '亿'))
        .unwrap_or(text.len());
    let (numeral, after) = text.split_at(end);
    if let Some((number, decimals)) = decimal(numeral)
        && (!after.is_empty() || digit(numeral.chars().next_back()?).is_some())
    {
        return Some((number, decimals, after));
    }
    // 三点零八万元, 二十万: the last unit counts what stands before it.
    let unit = numeral.find(['万', '亿'])?;
    let (number, decimals) = decimal(&numeral[..unit])?;
    Some((number, decimals, &text[unit..]))
}

/// `1,234.5`: commas only where thousands end.
fn figures_of(text: &str) -> Option<(i128, usize)> {
    const DIGITS_MAX: usize = 20;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_grouped = whole.contains(',');
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let groups_hold =
        !is_grouped || (matches!(first.len(), 1..=3) && groups.all(|group| group.len() == 3));
    let ends_in_point = text.ends_with('.');
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || !groups_hold
        || ends_in_point
        || !is_digits(decimals)
        || decimals.len() > DECIMALS_MAX
        || whole.len() > DIGITS_MAX
    {
        return None;
    }
    let digits = format!("{}{decimals}", whole.replace(',', ""));
    Some((digits.parse().ok()?, decimals.len()))
}

/// Takes a unit from the start of `text`. 万 and 亿 are amounts of money by themselves; smaller
/// ones need their 元.
fn take_unit(text: &str) -> Option<(i128, &str)> {
    for (word, fen) in [("元", YUAN), ("角", JIAO), ("分", FEN)] {
        if let Some(rest) = text.strip_prefix(word) {
            return Some((fen, rest));
        }
    }
    let (word, fen) = UNITS.iter().find(|(word, _)| text.starts_with(word))?;
    let rest = text[word.len()..].trim_start();
    match rest.strip_prefix('元') {
        Some(rest) => Some((*fen, rest)),
        None if word.ends_with(['万', '亿']) => Some((*fen, rest)),
        // 2千元 behind 1万 is written without it.
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (raw, fen) in [
            ("3.08万元", 3_080_000),
            ("1,234.5万", 1_234_500_000),
            ("壹佰贰拾万元整", 120_000_000),
            ("人民币壹佰贰拾叁元肆角伍分", 12_345),
            ("拾元零伍分", 1_005),
            ("叁万元正", 3_000_000),
            ("100元", 10_000),
            ("５０ 万元", 50_000_000),
            ("￥1,234.56", 123_456),
            ("¥1234.5元", 123_450),
            ("1.5亿元", 15_000_000_000),
            ("2百万元", 200_000_000),
            ("2千元", 200_000),
            ("3亿2000万元", 32_000_000_000),
            ("5元6角7分", 567),
            ("1,200,000元（壹佰贰拾万元整）", 120_000_000),
            ("120万元（大写：壹佰贰拾万元整）", 120_000_000),
            ("3.08（万元）", 3_080_000),
            ("3.08（单位：万元）", 3_080_000),
            ("300万元人民币", 300_000_000),
            ("人民币：300万元", 300_000_000),
            ("二十万", 20_000_000),
            ("三点零八万元", 3_080_000),
            ("两千三百万元", 2_300_000_000),
            ("0元", 0),
            ("零元整", 0),
            ("-5万元", -5_000_000),
            ("31,286,540.72元", 3_128_654_072),
            ("0.000001万元", 1),
            ("１２３萬圓", 123_000_000),
        ] {
            assert_eq!(money(raw), Ok(fen), "{raw}");
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_refused_with_its_reason() {
        for (raw, error) in [
            ("", MoneyError::Empty),
            ("—", MoneyError::Empty),
            ("约100万元", MoneyError::Approximate),
            ("100万元左右", MoneyError::Approximate),
            ("100余万元", MoneyError::Approximate),
            ("不超过100万元", MoneyError::Approximate),
            ("≥100万元", MoneyError::Approximate),
            ("100-200万元", MoneyError::Range),
            ("100万元至200万元", MoneyError::Range),
            ("100～200万", MoneyError::Range),
            ("一百万到二百万元", MoneyError::Range),
            ("100万美元", MoneyError::ForeignCurrency),
            ("US$100", MoneyError::ForeignCurrency),
            ("1234.56", MoneyError::UnitMissing),
            ("1.234元", MoneyError::BelowFen),
            ("120万元（壹佰叁拾万元整）", MoneyError::Contradiction),
            ("99999999999999999999亿元", MoneyError::TooLarge),
            ("1,23,4元", MoneyError::Unrecognised),
            ("1.2.3元", MoneyError::Unrecognised),
            ("一万二", MoneyError::Unrecognised),
            ("1万2", MoneyError::Unrecognised),
            ("100 200元", MoneyError::Unrecognised),
            ("3.5亿2000万元", MoneyError::Unrecognised),
            ("1万2亿元", MoneyError::Unrecognised),
            ("万元", MoneyError::Unrecognised),
            ("300万元/年", MoneyError::Unrecognised),
            ("另行通知", MoneyError::Unrecognised),
            ("5%", MoneyError::Unrecognised),
        ] {
            assert_eq!(money(raw), Err(error), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_in_figures_is_read(fen in 0_i64..1_000_000_000_000) {
            let text = format!("{}.{:02}元", fen / 100, fen % 100);
            prop_assert_eq!(money(&text), Ok(fen));
        }

        #[test]
        fn any_text_can_be_asked(raw in "\\PC{0,90}|[0-9.,万亿元角分壹拾佰零整（）-]{0,30}") {
            let _ = money(&raw);
        }
    }
}
