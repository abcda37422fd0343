//! 成文日期: reads the dates that documents bear, in Arabic and Chinese numerals.

use super::text::narrow;

/// Longest text that is read as a date.
const DATE_CHARS_MAX: usize = 60;
/// Documents before this year were not written by the bodies of today.
const YEAR_MIN: i16 = 1900;
/// A later year is a slip of the pen.
const YEAR_MAX: i16 = 2099;

/// The first and last day numbers of a spreadsheet that are read: 1900-01-01 and 2099-12-31.
const SERIALS: std::ops::RangeInclusive<i64> = 1..=73_050;
/// As text, only day numbers of five digits from 1954 are: shorter ones are anything.
const SERIALS_IN_TEXT: std::ops::RangeInclusive<i64> = 20_000..=73_050;
/// The day that spreadsheets believe in and no calendar has: 1900-02-29.
const SERIAL_OF_NO_DAY: i64 = 60;
/// Milliseconds since 1970 have at least this many; fewer could be anything.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

/// How much of a date is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `2014-09-18`
    Day,
    /// `2014-09`
    Month,
    /// `2014`
    Year,
}

impl Precision {
    /// Returns the word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// A date with as much of it as was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// ISO 8601, as long as the precision.
    pub date: String,
    /// How much of it is known.
    pub precision: Precision,
}

/// Returns `raw` as `2014-09-18`, or as `2014-09` when it names no day; none when it is no date or
/// only a year.
pub fn date(raw: &str) -> Option<String> {
    let written = written_date(raw)?;
    (written.precision != Precision::Year).then_some(written.date)
}

/// Returns the date in `raw` with its precision; none when it is no date, or could be several.
pub fn written_date(raw: &str) -> Option<Written> {
    if raw.chars().count() > DATE_CHARS_MAX {
        return None;
    }
    let narrowed = narrow(raw);
    let trimmed = narrowed.trim();
    if let Some(written) = moment(trimmed) {
        return Some(written);
    }
    let mut text: String = without_time(trimmed).to_owned();
    text.retain(|character| !character.is_whitespace());
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits(&text);
    }
    with_words(&text)
        .or_else(|| with_separators(&text))
        .or_else(|| year(&text).and_then(|year| of(year, None, None)))
        .or_else(|| {
            let number = text.parse::<f64>().ok()?;
            let day = number.floor() as i64;
            (text.len() > 5 && SERIALS_IN_TEXT.contains(&day)).then(|| serial(day))?
        })
}

/// Returns the date that a number stands for: a day of a spreadsheet, milliseconds since 1970, or
/// the digits of a date. None when it is none of them, or could be two.
pub fn date_of_number(number: f64) -> Option<Written> {
    let whole = number.floor();
    let day = whole as i64;
    let could_be_a_year = (i64::from(YEAR_MIN)..=i64::from(YEAR_MAX)).contains(&day);
    if SERIALS.contains(&day) {
        return (!could_be_a_year).then(|| serial(day))?;
    }
    (number == whole && (0.0..1e15).contains(&whole)).then(|| digits(&day.to_string()))?
}

/// A time with an offset names a moment; the document bears the date it was in China.
fn moment(text: &str) -> Option<Written> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return in_china(instant);
    }
    if let Some(milliseconds) = text
        .strip_prefix("/Date(")
        .and_then(|rest| rest.strip_suffix(")/"))
    {
        let digits = milliseconds.split(['+', '-']).next()?;
        return jiff::Timestamp::from_millisecond(digits.parse().ok()?)
            .ok()
            .and_then(in_china);
    }
    let is_mail_date = text.contains(',') && text.contains(':');
    let zoned = is_mail_date.then(|| jiff::fmt::rfc2822::parse(text).ok())??;
    in_china(zoned.timestamp())
}

fn in_china(instant: jiff::Timestamp) -> Option<Written> {
    let day = jiff::tz::Offset::constant(8).to_datetime(instant).date();
    of(day.year(), Some(day.month()), Some(day.day()))
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

/// `20140918`, `201409`, `2014`, `20140918103000`, `41900`, `1410969600000`
fn digits(text: &str) -> Option<Written> {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let of_digits = || of(year, Some(part(4..6)?), Some(part(6..8)?));
    let with_time = || {
        let is_time =
            part(8..10)? < 24 && part(10..12)? < 60 && (text.len() == 12 || part(12..14)? < 60);
        is_time.then(of_digits)?
    };
    let in_milliseconds = || {
        let milliseconds: i64 = text.parse().ok()?;
        (milliseconds >= MILLISECONDS_MIN)
            .then(|| jiff::Timestamp::from_millisecond(milliseconds).ok())?
            .and_then(in_china)
    };
    match text.len() {
        4 => of(year, None, None),
        5 => {
            let day = text.parse().ok()?;
            SERIALS_IN_TEXT.contains(&day).then(|| serial(day))?
        }
        6 => of(year, Some(part(4..6)?), None),
        8 => of_digits(),
        // Twelve digits that are a time of day as well could be either.
        12 if with_time().is_some() => None,
        12 | 13 => in_milliseconds(),
        14 => with_time(),
        _ => None,
    }
}

/// Returns the day that a spreadsheet numbers so, counting from 1900.
fn serial(number: i64) -> Option<Written> {
    if number == SERIAL_OF_NO_DAY {
        return None;
    }
    let before_first = if number < SERIAL_OF_NO_DAY { 31 } else { 30 };
    let origin = jiff::civil::date(1899, 12, before_first);
    let day = origin
        .checked_add(jiff::Span::new().try_days(number).ok()?)
        .ok()?;
    of(day.year(), Some(day.month()), Some(day.day()))
}

/// `2014年9月18日`, `二〇一四年九月十八日`, `2014年9月`, `2014年9月18日（星期四）`
fn with_words(text: &str) -> Option<Written> {
    let (year, rest) = text.split_once('年')?;
    let year = self::year(year.strip_prefix("公元").unwrap_or(year))?;
    if rest.is_empty() {
        return of(year, None, None);
    }
    let (month, day) = rest.split_once('月')?;
    let month = if month == "元" { 1 } else { number(month)? };
    if matches!(day, "" | "份") {
        return of(year, Some(month), None);
    }
    let (day, rest) = day.split_once(['日', '号']).unwrap_or((day, ""));
    let written = of(year, Some(month), Some(number(day)?))?;
    goes_with(rest, &written).then_some(written)
}

/// Whether what stands behind a date belongs to it: its day of the week, a time of day.
fn goes_with(rest: &str, written: &Written) -> bool {
    let rest = rest.trim_matches(['(', ')']);
    let rest = match rest
        .strip_prefix("星期")
        .or_else(|| rest.strip_prefix('周'))
    {
        Some(named) => {
            let mut letters = named.chars();
            let day = letters.next().and_then(|letter| {
                "一二三四五六日"
                    .chars()
                    .position(|it| it == if letter == '天' { '日' } else { letter })
            });
            let holds = written
                .date
                .parse::<jiff::civil::Date>()
                .is_ok_and(|date| Some(date.weekday().to_monday_zero_offset() as usize) == day);
            if !holds {
                return false;
            }
            letters.as_str().trim_start_matches(')')
        }
        None => rest,
    };
    let time = rest
        .strip_prefix("上午")
        .or_else(|| rest.strip_prefix("下午"))
        .unwrap_or(rest);
    time.chars()
        .all(|letter| letter.is_ascii_digit() || matches!(letter, ':' | '时' | '点' | '分' | '秒'))
}

/// `2014-9-18`, `2014/09/18`, `2014.9.18`, `2014-09`
fn with_separators(text: &str) -> Option<Written> {
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
    of(year, Some(month), day)
}

fn of(year: i16, month: Option<i8>, day: Option<i8>) -> Option<Written> {
    if !(YEAR_MIN..=YEAR_MAX).contains(&year) {
        return None;
    }
    let date = jiff::civil::Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    let (date, precision) = match (month, day) {
        (Some(_), Some(_)) => (date.to_string(), Precision::Day),
        (Some(month), None) => (format!("{year:04}-{month:02}"), Precision::Month),
        (None, _) => (format!("{year:04}"), Precision::Year),
    };
    Some(Written { date, precision })
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
    let counted = |character: char| unit(character).filter(|value| *value > 0);
    let tens = |character: char| match character {
        '十' | '拾' => Some(10),
        '廿' => Some(20),
        '卅' => Some(30),
        _ => None,
    };
    match characters[..] {
        [only] => tens(only).or_else(|| unit(only)),
        [first, '十' | '拾'] => Some(counted(first)? * 10),
        [first, second] => match tens(first) {
            Some(ten) => Some(ten + counted(second)?),
            None => Some(unit(first)? * 10 + unit(second)?),
        },
        [first, '十' | '拾', last] => Some(counted(first)? * 10 + counted(last)?),
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
        '一' | '壹' => 1,
        '二' | '贰' | '貳' => 2,
        '三' | '叁' | '參' => 3,
        '四' | '肆' => 4,
        '五' | '伍' => 5,
        '六' | '陆' | '陸' => 6,
        '七' | '柒' => 7,
        '八' | '捌' => 8,
        '九' | '玖' => 9,
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

    #[test]
    fn a_date_is_no_more_precise_than_it_was_written() {
        for (raw, expected, precision) in [
            ("2014年", "2014", Precision::Year),
            ("二○一四年", "2014", Precision::Year),
            ("二0一四", "2014", Precision::Year),
            ("2014", "2014", Precision::Year),
            ("201409", "2014-09", Precision::Month),
            ("2014年9月份", "2014-09", Precision::Month),
            ("贰零壹肆年玖月拾捌日", "2014-09-18", Precision::Day),
            ("2014年9月18日（星期四）", "2014-09-18", Precision::Day),
            ("2014年9月18日 10时30分", "2014-09-18", Precision::Day),
            ("20140918103000", "2014-09-18", Precision::Day),
            ("2014-09-18 10:30:00.0", "2014-09-18", Precision::Day),
            ("2014-09-18T10:30:00+0800", "2014-09-18", Precision::Day),
            ("2014-09-18T23:30:00-05:00", "2014-09-19", Precision::Day),
            (
                "2014-09-18T01:00:00+08:00[Asia/Shanghai]",
                "2014-09-18",
                Precision::Day,
            ),
            (
                "Wed, 17 Sep 2014 16:00:00 +0000",
                "2014-09-18",
                Precision::Day,
            ),
            ("/Date(1410969600000+0800)/", "2014-09-18", Precision::Day),
            ("41900", "2014-09-18", Precision::Day),
            ("41900.4375", "2014-09-18", Precision::Day),
            ("1410969600000", "2014-09-18", Precision::Day),
        ] {
            let read = written_date(raw).unwrap_or_else(|| panic!("{raw}"));
            assert_eq!(
                (read.date.as_str(), read.precision),
                (expected, precision),
                "{raw}"
            );
        }
        for raw in [
            "2014年9月18日（星期五）",
            "2014年9月18日至20日",
            "140918",
            "12345",
            "201409181030",
            "1410969600",
            "2014年第三季度",
            "二〇一四年十〇月一日",
            "2014-09-18 25",
            "民国103年9月18日",
            "18/09/2014",
            "99999999999999",
        ] {
            assert_eq!(written_date(raw), None, "{raw}");
        }
    }

    #[test]
    fn numbers_are_days_of_a_spreadsheet_or_milliseconds() {
        for (number, expected) in [
            (41900.0, "2014-09-18"),
            (41900.75, "2014-09-18"),
            (1.0, "1900-01-01"),
            (59.0, "1900-02-28"),
            (61.0, "1900-03-01"),
            (73_050.0, "2099-12-31"),
            (1_410_969_600_000.0, "2014-09-18"),
            (1_410_969_599_999.0, "2014-09-17"),
            (20_140_918.0, "2014-09-18"),
            (201_409.0, "2014-09"),
        ] {
            assert_eq!(
                date_of_number(number).map(|it| it.date).as_deref(),
                Some(expected),
                "{number}"
            );
        }
        for number in [
            60.0,
            0.0,
            -1.0,
            2014.0,
            2014.9,
            73_051.0,
            1_410_969_600.0,
            1e18,
            f64::NAN,
            f64::INFINITY,
        ] {
            assert_eq!(date_of_number(number), None, "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_number_can_be_asked(number in proptest::num::f64::ANY) {
            let _ = date_of_number(number);
        }

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
