//! Maintenance windows in China Standard Time: when a platform is not to be knocked at.

use super::manifest::Window;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};

/// How far back windows are reckoned; longer than a connector's patience should ever be.
const DAYS_MAX: i64 = 400;
const DAY_MS: i64 = 86_400_000;

/// Returns the end (ms since 1970) of the window that `now_ms` lies in, if it lies in one.
pub(super) fn until(windows: &[Window], now_ms: i64) -> Option<i64> {
    if windows.is_empty() {
        return None;
    }
    let offset = Offset::constant(8);
    let now = offset.to_datetime(Timestamp::from_millisecond(now_ms).ok()?);
    // A window over midnight may have begun yesterday.
    [0, -1]
        .into_iter()
        .filter_map(|days| now.date().checked_add(days.days()).ok())
        .flat_map(|day| windows.iter().filter_map(move |window| on(window, day)))
        .filter(|(start, end)| *start <= now && now < *end)
        .map(|(_, end)| end)
        .filter_map(|end| offset.to_timestamp(end).ok())
        .map(Timestamp::as_millisecond)
        .max()
}

/// Returns the windows that reach into the time between `since_ms` and `now_ms`, from beginning to
/// end (ms since 1970). What lies more than [`DAYS_MAX`] days back is left out.
pub(super) fn spans(windows: &[Window], since_ms: i64, now_ms: i64) -> Vec<(i64, i64)> {
    let since_ms = since_ms.max(now_ms - DAYS_MAX * DAY_MS);
    let offset = Offset::constant(8);
    let Ok(since) = Timestamp::from_millisecond(since_ms) else {
        return Vec::new();
    };
    // A window over midnight may have begun the day before.
    let first = offset.to_datetime(since).date().yesterday();
    let days = first.into_iter().flat_map(|day| day.series(1.day()));
    let at_ms = |at| offset.to_timestamp(at).map(Timestamp::as_millisecond).ok();
    days.take_while(|day| {
        at_ms(day.to_datetime(jiff::civil::Time::midnight())).is_some_and(|begin| begin < now_ms)
    })
    .flat_map(|day| windows.iter().filter_map(move |it| on(it, day)))
    .filter_map(|(start, end)| Some((at_ms(start)?, at_ms(end)?)))
    .filter(|(start, end)| *start < now_ms && since_ms < *end)
    .collect()
}

/// Returns when the window that begins on `day` begins and ends, if one does.
fn on(window: &Window, day: Date) -> Option<(DateTime, DateTime)> {
    let is_its_day =
        window.days.is_empty() || window.days.contains(&day.weekday().to_monday_one_offset());
    let (from, to) = (time_of_day(&window.from)?, time_of_day(&window.to)?);
    let end_day = match to <= from {
        true => day.tomorrow().ok()?,
        false => day,
    };
    is_its_day.then(|| (day.to_datetime(from), end_day.to_datetime(to)))
}

/// Returns the time that `HH:MM` names.
pub(super) fn time_of_day(text: &str) -> Option<jiff::civil::Time> {
    let (hour, minute) = text.split_once(':')?;
    jiff::civil::Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>()
            .expect("a time stamp")
            .as_millisecond()
    }

    fn window(from: &str, to: &str, days: &[i8]) -> Window {
        Window {
            from: from.into(),
            to: to.into(),
            days: days.to_vec(),
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_began() {
        let windows = [window("23:00", "02:00", &[5])];
        // 2014-09-19 is a Friday.
        assert_eq!(
            until(&windows, at("2014-09-19T23:30:00+08:00")),
            Some(at("2014-09-20T02:00:00+08:00"))
        );
        assert_eq!(
            until(&windows, at("2014-09-20T01:59:00+08:00")),
            Some(at("2014-09-20T02:00:00+08:00"))
        );
        assert_eq!(until(&windows, at("2014-09-20T02:00:00+08:00")), None);
        assert_eq!(until(&windows, at("2014-09-20T23:30:00+08:00")), None);
        assert_eq!(until(&windows, at("2014-09-19T01:00:00+08:00")), None);
    }

    #[test]
    fn windows_of_the_past_are_found_as_far_as_they_reach_into_a_time() {
        let hour = 3_600_000;
        // 2014-09-19 is a Friday.
        let windows = [
            window("23:00", "02:00", &[5]),
            window("12:00", "13:00", &[]),
        ];
        let friday = at("2014-09-19T00:00:00+08:00");
        let of = |from: i64, to: i64| spans(&windows, friday + from * hour, friday + to * hour);
        let span = |from: i64, to: i64| (friday + from * hour, friday + to * hour);
        assert_eq!(of(0, 12), []);
        assert_eq!(of(0, 24), [span(23, 26), span(12, 13)]);
        assert_eq!(of(13, 23), []);
        assert_eq!(
            of(25, 37),
            [span(23, 26), span(36, 37)],
            "begun before, and still on"
        );
        assert_eq!(of(26, 30), []);
        assert_eq!(of(-24, 7 * 24).len(), 9, "eight noons and one night");
        assert_eq!(
            spans(&windows, 0, friday + 12 * hour + 1).len(),
            458,
            "no more than 400 days"
        );
        assert!(
            spans(&windows, i64::MIN / 2, i64::MAX / 2).is_empty(),
            "no such days"
        );
    }

    #[test]
    fn a_daily_window_needs_no_days() {
        let windows = [window("02:00", "04:30", &[])];
        assert_eq!(
            until(&windows, at("2014-09-18T03:00:00+08:00")),
            Some(at("2014-09-18T04:30:00+08:00"))
        );
        assert_eq!(until(&windows, at("2014-09-18T04:30:00+08:00")), None);
    }
}
