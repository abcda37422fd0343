//! 成文日期: reads the dates that documents bear, in Arabic and Chinese numerals.

use super::text::narrow;

/// Longest text that is read as a date.
const DATE_CHARS_MAX: usize = 60;
/// Documents before this year were not written by the bodies of today.
const YEAR_MIN: i16 = 1900;
/// A later year is a slip of the pen.
const YEAR_MAX: i16 = 2099;

/// Returns `raw` as `2014-09-18`, or as `2014-09` when it names no day; none when it is no date.
pub fn date(raw: &str) -> Option<String> {
    if raw.chars().count() > DATE_CHARS_MAX {
        return None;
    }
    let narrowed = narrow(raw);
    let trimmed = narrowed.trim();
    if let Ok(instant) = trimmed.parse::<jiff::Timestamp>() {
        // A time with an offset names a moment; the document bears the date it was in China.
        let in_china = jiff::tz::Offset::constant(8).to_datetime(instant).date();
        return written(in_china.year(), in_china.month(), Some(in_china.day()));
    }
    let mut text: String = without_time(trimmed).to_owned();
    text.retain(|character| !character.is_whitespace());
    eight_digits(&text)
        .or_else(|| with_words(&text))
        .or_else(|| with_separators(&text))
}

/// Returns `text` without a time of day behind the date.
fn without_time(text: &str) -> &str {
    let Some((date, time)) = text.split_once([' ', 'T']) else {
        return text;
    };
    let is_time = time.contains(':')
        && time
            .chars()
            .all(|character| character.is_ascii_digit() || matches!(character, ':' | '.' | ' '));
    if is_time { date } else { text }
}

/// `20140918`
fn eight_digits(text: &str) -> Option<String> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let month = text[4..6].parse().ok()?;
    written(text[..4].parse().ok()?, month, text[6..].parse().ok())
}

/// `2014年9月18日`, `二〇一四年九月十八日`, `2014年9月`
fn with_words(text: &str) -> Option<String> {
    let (year, rest) = text.split_once('年')?;
    let (month, day) = rest.split_once('月')?;
    let month = if month == "元" { 1 } else { number(month)? };
    let day = match day.strip_suffix(['日', '号']).unwrap_or(day) {
        "" if day.is_empty() => None,
        digits => Some(number(digits)?),
    };
    written(self::year(year)?, month, day)
}

/// `2014-9-18`, `2014/09/18`, `2014.9.18`, `2014-09`
fn with_separators(text: &str) -> Option<String> {
    let separator = text
        .chars()
        .find(|character| matches!(character, '-' | '/' | '.' | '‐' | '–' | '—'))?;
    let mut parts = text.split(separator);
    let (year, month) = (self::year(parts.next()?)?, arabic(parts.next()?)?);
    let day = match parts.next() {
        Some(day) => Some(arabic(day)?),
        None => None,
    };
    if parts.next().is_some() {
        return None;
    }
    written(year, month, day)
}

fn written(year: i16, month: i8, day: Option<i8>) -> Option<String> {
    if !(YEAR_MIN..=YEAR_MAX).contains(&year) {
        return None;
    }
    let date = jiff::civil::Date::new(year, month, day.unwrap_or(1)).ok()?;
    Some(match day {
        Some(_) => date.to_string(),
        None => format!("{year:04}-{month:02}"),
    })
}

/// Reads four digits of any spelling; zero is also written as a circle or the letter O.
fn year(text: &str) -> Option<i16> {
    if text.chars().count() != 4 {
        return None;
    }
    text.chars().try_fold(0, |value, character| {
        Some(value * 10 + i16::from(digit(character)?))
    })
}

/// Reads a month or day: `9`, `09`, `九`, `十八`, `廿九`, `三十一`.
fn number(text: &str) -> Option<i8> {
    if let Some(value) = arabic(text) {
        return Some(value);
    }
    let characters: Vec<char> = text.chars().collect();
    let unit = |character: char| digit(character).map(|value| value as i8);
    let tens = |character: char| match character {
        '十' => Some(10),
        '廿' => Some(20),
        '卅' => Some(30),
        _ => None,
    };
    match characters[..] {
        [only] => tens(only).or_else(|| unit(only)),
        [first, '十'] => Some(unit(first)? * 10),
        [first, second] => match tens(first) {
            Some(ten) => Some(ten + unit(second)?),
            None => Some(unit(first)? * 10 + unit(second)?),
        },
        [first, '十', last] => Some(unit(first)? * 10 + unit(last)?),
        _ => None,
    }
}

fn arabic(text: &str) -> Option<i8> {
    let fits = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn digit(character: char) -> Option<u8> {
    Some(match character {
        '0'..='9' => character as u8 - b'0',
        '〇' | '○' | '◯' | '零' | 'O' | 'o' | 'Ο' | 'О' => 0,
        '一' => 1,
        '二' => 2,
        '三' => 3,
        '四' => 4,
        '五' => 5,
        '六' => 6,
        '七' => 7,
        '八' => 8,
        '九' => 9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_day_is_read() {
        for raw in [
            "2014年9月18日",
            "2014-9-18",
            "2014/09/18",
            "2014.9.18",
            "20140918",
            "２０１４年９月１８日",
            "二〇一四年九月十八日",
            "二○一四年九月十八日",
            "二O一四年九月十八日",
            "二零一四年九月十八日",
            "二0一四年九月十八日",
            " 2014 年 9 月 18 日 ",
            "2014-09-18 10:30:00",
            "2014-09-18T00:00:00+08:00",
            "2014-09-17T16:00:00Z",
            "2014年9月18号",
        ] {
            assert_eq!(date(raw).as_deref(), Some("2014-09-18"), "{raw}");
        }
    }

    #[test]
    fn the_words_for_days_are_read() {
        for (raw, day) in [
            ("二〇一四年十二月三十一日", "2014-12-31"),
            ("二〇一四年元月廿九日", "2014-01-29"),
            ("二〇一四年十月卅一日", "2014-10-31"),
            ("二〇一四年十一月二十日", "2014-11-20"),
            ("二〇一四年十月十日", "2014-10-10"),
            ("二〇一六年二月二十九日", "2016-02-29"),
        ] {
            assert_eq!(date(raw).as_deref(), Some(day), "{raw}");
        }
    }

    #[test]
    fn a_month_without_a_day_stays_a_month() {
        for raw in ["2014年9月", "2014-09", "２０１４年９月", "二〇一四年九月"] {
            assert_eq!(date(raw).as_deref(), Some("2014-09"), "{raw}");
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for raw in [
            "",
            "同日",
            "2014年",
            "2014-02-30",
            "2015年2月29日",
            "2014年13月1日",
            "二〇一四年十三月一日",
            "20141301",
            "2014-09-18-1",
            "214年9月18日",
            "0018-09-18",
            "2014年9月日",
            "9月18日",
            "2014年9月三十二日",
        ] {
            assert_eq!(date(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_date_is_its_own_canonical_form(raw in "\\PC{0,30}|[0-9二〇一九十O年月日./ -]{0,20}") {
            if let Some(once) = date(&raw) {
                prop_assert_eq!(date(&once), Some(once.clone()));
            }
        }

        #[test]
        fn every_day_of_the_calendar_is_read(year in 1949i16..2099, month in 1i8..=12, day in 1i8..=28) {
            let expected = format!("{year:04}-{month:02}-{day:02}");
            prop_assert_eq!(date(&format!("{year}年{month}月{day}日")), Some(expected.clone()));
            prop_assert_eq!(date(&format!("{year}{month:02}{day:02}")), Some(expected));
        }
    }
}
