//! Maintenance windows in China Standard Time: when a platform is not to be knocked at.

use super::manifest::Window;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};

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
        .flat_map(|day| windows.iter().map(move |window| (day, window)))
        .filter(|(day, window)| {
            window.days.is_empty() || window.days.contains(&day.weekday().to_monday_one_offset())
        })
        .filter_map(|(day, window)| {
            let (from, to) = (time_of_day(&window.from)?, time_of_day(&window.to)?);
            let end_day = if to <= from {
                day.tomorrow().ok()?
            } else {
                day
            };
            let (start, end) = (day.to_datetime(from), end_day.to_datetime(to));
            (start <= now && now < end).then_some(end)
        })
        .filter_map(|end| offset.to_timestamp(end).ok())
        .map(Timestamp::as_millisecond)
        .max()
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
    fn a_daily_window_needs_no_days() {
        let windows = [window("02:00", "04:30", &[])];
        assert_eq!(
            until(&windows, at("2014-09-18T03:00:00+08:00")),
            Some(at("2014-09-18T04:30:00+08:00"))
        );
        assert_eq!(until(&windows, at("2014-09-18T04:30:00+08:00")), None);
    }
}
