//! When information has to be public: the rule of a column, and the day it gives.

use super::calendar::{Calendar, Reckoned};
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Most days of a rule; longer ones are slips.
const DAYS_MAX: u16 = 366;

/// By when an entry has to be public, counted from the day it was written on.
///
/// The general rule is 20 working days after it came to be (政府信息公开条例, art. 26 of 2019,
/// art. 18 of 2008); laws and directories of columns set others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineRule {
    /// So many working days later.
    WorkingDays(u16),
    /// So many days later; when that is no working day, the next one.
    Days(u16),
    /// This day of the next month.
    MonthlyBy(i8),
    /// This day of the next year: `MM-DD`.
    YearlyBy(String),
}

impl DeadlineRule {
    /// Returns what is wrong with the rule, if anything is.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::WorkingDays(1..=DAYS_MAX)
            | Self::Days(1..=DAYS_MAX)
            | Self::MonthlyBy(1..=31) => None,
            Self::WorkingDays(_) | Self::Days(_) => {
                Some(format!("a deadline is 1 to {DAYS_MAX} days"))
            }
            Self::MonthlyBy(_) => Some("monthly_by is a day from 1 to 31".to_owned()),
            Self::YearlyBy(day) => day_of_year(day, 2000)
                .is_none()
                .then(|| format!("yearly_by is MM-DD, and {day:?} is none")),
        }
    }

    /// Returns the rule in words.
    pub fn words(&self) -> String {
        match self {
            Self::WorkingDays(count) => format!("成文后 {count} 个工作日内"),
            Self::Days(count) => format!("成文后 {count} 日内"),
            Self::MonthlyBy(day) => format!("次月 {day} 日前"),
            Self::YearlyBy(day) => {
                let (month, day) = day.split_once('-').unwrap_or((day, ""));
                let number = |text: &str| text.trim_start_matches('0').to_owned();
                format!("次年 {} 月 {} 日前", number(month), number(day))
            }
        }
    }

    /// Returns the last day that is in time for an entry written on `written_on`: `2014-09-18`,
    /// or a month or a year, which count from their last day. None for what is no date.
    pub fn due(&self, written_on: &str, calendar: &Calendar) -> Option<Reckoned> {
        let from = last_day(written_on)?;
        let certain = |date| Reckoned {
            date,
            provisional: false,
        };
        match self {
            Self::WorkingDays(count) => calendar.working_days_after(from, *count),
            Self::Days(count) => {
                let end = from.checked_add(i32::from(*count).days()).ok()?;
                calendar.working_days_after(end, 0)
            }
            Self::MonthlyBy(day) => {
                let month = from.first_of_month().checked_add(1.month()).ok()?;
                let day = (*day).min(month.days_in_month());
                month.with().day(day).build().ok().map(certain)
            }
            Self::YearlyBy(day) => day_of_year(day, from.year().checked_add(1)?).map(certain),
        }
    }
}

/// Returns the day `MM-DD` of a year; the 29th of February only where there is one, else the 28th.
fn day_of_year(text: &str, year: i16) -> Option<Date> {
    let (month, day) = text.split_once('-')?;
    let (month, day): (i8, i8) = (month.parse().ok()?, day.parse().ok()?);
    let first = Date::new(year, month, 1).ok()?;
    let is_leap_day = (month, day) == (2, 29);
    let day = if is_leap_day {
        day.min(first.days_in_month())
    } else {
        day
    };
    first.with().day(day).build().ok()
}

/// Returns the last day of what a canonical date names.
fn last_day(written_on: &str) -> Option<Date> {
    if let Ok(day) = written_on.parse() {
        return Some(day);
    }
    let mut parts = written_on.split('-');
    let year: i16 = parts.next()?.parse().ok()?;
    let month: i8 = match parts.next() {
        Some(month) => month.parse().ok()?,
        None => 12,
    };
    match parts.next() {
        None => Date::new(year, month, 1).ok().map(Date::last_of_month),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::Notice;
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn calendar() -> Calendar {
        let off = (1..=7).map(|day| date(2014, 10, day)).collect();
        let worked = vec![date(2014, 9, 28), date(2014, 10, 11)];
        Calendar::new(vec![Notice {
            year: 2014,
            off,
            worked,
        }])
    }

    fn due(rule: &DeadlineRule, written_on: &str) -> Option<String> {
        rule.due(written_on, &calendar())
            .map(|it| it.date.to_string())
    }

    #[test]
    fn every_rule_gives_its_day() {
        let yearly = |day: &str| DeadlineRule::YearlyBy(day.to_owned());
        for (rule, written_on, expected) in [
            (DeadlineRule::WorkingDays(20), "2014-09-18", "2014-10-21"),
            (DeadlineRule::WorkingDays(7), "2014-09-26", "2014-10-11"),
            (DeadlineRule::Days(20), "2014-09-10", "2014-09-30"),
            // The last day lies in the holidays.
            (DeadlineRule::Days(20), "2014-09-15", "2014-10-08"),
            (DeadlineRule::WorkingDays(1), "2014-09", "2014-10-08"),
            (DeadlineRule::WorkingDays(1), "2014", "2015-01-01"),
            (DeadlineRule::MonthlyBy(10), "2014-12-31", "2015-01-10"),
            (DeadlineRule::MonthlyBy(31), "2014-01-30", "2014-02-28"),
            (yearly("01-31"), "2014-09-18", "2015-01-31"),
            (yearly("02-29"), "2014-09-18", "2015-02-28"),
        ] {
            assert_eq!(
                due(&rule, written_on).as_deref(),
                Some(expected),
                "{rule:?} {written_on}"
            );
            assert_eq!(rule.problem(), None, "{rule:?}");
        }
        assert_eq!(due(&DeadlineRule::Days(1), "soon"), None);
    }

    #[test]
    fn a_rule_that_gives_no_day_is_refused() {
        let yearly = |day: &str| DeadlineRule::YearlyBy(day.to_owned());
        for rule in [
            DeadlineRule::WorkingDays(0),
            DeadlineRule::Days(400),
            DeadlineRule::MonthlyBy(0),
            yearly("13-01"),
            yearly("02-30"),
            yearly("June"),
        ] {
            assert!(rule.problem().is_some(), "{rule:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_due_before_it_was_written(days in 0i32..20_000, count in 1u16..366) {
            let written_on = date(1990, 1, 1) + days.days();
            let yearly = DeadlineRule::YearlyBy("01-31".to_owned());
            for rule in [DeadlineRule::WorkingDays(count), DeadlineRule::Days(count), DeadlineRule::MonthlyBy(1), yearly] {
                let due = rule.due(&written_on.to_string(), &calendar()).unwrap();
                prop_assert!(due.date > written_on);
            }
        }

        #[test]
        fn any_text_is_a_date_or_none(text in "\\PC{0,12}") {
            let _ = DeadlineRule::WorkingDays(20).due(&text, &calendar());
        }
    }
}
