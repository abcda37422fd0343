//! The one place where the hub reads the clock.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    /// How far the clock of this thread is off.
    static LEAPT_MS: Cell<i64> = const { Cell::new(0) };
}

/// Returns the time now in milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64) + LEAPT_MS.get()
}

/// Sets the clock of this thread alone, a whole hub on a runtime of one thread included, forward
/// or back by `ms`: for tests of what a clock that leaps does.
pub fn leap(ms: i64) {
    LEAPT_MS.set(LEAPT_MS.get() + ms);
}

/// Returns `time_ms` (milliseconds since 1970) as RFC 3339 in China Standard Time, to the second.
pub fn rfc3339(time_ms: i64) -> String {
    let offset = jiff::tz::Offset::constant(8);
    match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(timestamp) => offset
            .to_datetime(timestamp)
            .strftime("%Y-%m-%dT%H:%M:%S+08:00")
            .to_string(),
        Err(_) => time_ms.to_string(),
    }
}

/// Returns the time (ms since 1970) that an RFC 3339 time stamp names, or the beginning of a date
/// in China Standard Time.
pub fn parse_time(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let date: jiff::civil::Date = text.parse().ok()?;
    let offset = jiff::tz::Offset::constant(8);
    offset
        .to_timestamp(date.at(0, 0, 0, 0))
        .ok()
        .map(|it| it.as_millisecond())
}

/// Returns the first moment after the day `date` in China Standard Time, in milliseconds since 1970.
pub fn end_of_day(date: jiff::civil::Date) -> Option<i64> {
    let next = date.tomorrow().ok()?;
    let offset = jiff::tz::Offset::constant(8);
    let moment = offset.to_timestamp(next.at(0, 0, 0, 0)).ok()?;
    Some(moment.as_millisecond())
}

/// Returns the last day in China Standard Time that ends no later than `time_ms`: the other way
/// round of [`end_of_day`].
pub fn day_before(time_ms: i64) -> String {
    rfc3339(time_ms - 1).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_china() {
        let end = end_of_day("2014-10-21".parse().expect("a date")).expect("in time");
        assert_eq!(rfc3339(end), "2014-10-22T00:00:00+08:00");
        assert_eq!(day_before(end), "2014-10-21");
    }

    #[test]
    fn a_date_begins_at_midnight_in_china() {
        assert_eq!(parse_time("2014-09-18"), parse_time("2014-09-17T16:00:00Z"));
        assert_eq!(
            parse_time("2014-09-18").map(rfc3339).as_deref(),
            Some("2014-09-18T00:00:00+08:00")
        );
        assert_eq!(parse_time("yesterday"), None);
    }
}
