//! Working days: weekends, and what the yearly holiday notice makes of them.
//!
//! A notice (国务院办公厅关于某年部分节假日安排的通知) frees days of the week and has some days of
//! the weekend worked, also some of the December before. Of a year without a notice only the
//! weekends are known; what is reckoned over such a year is provisional.

use jiff::civil::{Date, Weekday};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The working days of all years.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    notices: Vec<Notice>,
    /// What differs from the weekends: whether the day is worked.
    exceptions: BTreeMap<Date, bool>,
    years: BTreeMap<i16, Year>,
}

/// What one yearly notice says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The year it is about.
    pub year: i16,
    /// Days that are off, in order.
    pub off: Vec<Date>,
    /// Days of weekends that are worked, in order.
    pub worked: Vec<Date>,
}

/// A day that was reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reckoned {
    /// The day.
    pub date: Date,
    /// Whether a year without a notice had a part in it, so that the day may change.
    pub provisional: bool,
}

/// The working days of one year, as days of the year in order: finding the one that is so many
/// after another is looking up two places.
#[derive(Debug, Clone)]
struct Year {
    working: Vec<i16>,
    noticed: bool,
}

impl Calendar {
    /// Makes the calendar that these notices describe.
    pub fn new(mut notices: Vec<Notice>) -> Self {
        notices.sort_by_key(|notice| notice.year);
        let mut exceptions = BTreeMap::new();
        for notice in &notices {
            exceptions.extend(notice.off.iter().map(|day| (*day, false)));
            exceptions.extend(notice.worked.iter().map(|day| (*day, true)));
        }
        let years = notices
            .iter()
            .map(|notice| (notice.year, Year::new(notice.year, true, &exceptions)))
            .collect();
        Self {
            notices,
            exceptions,
            years,
        }
    }

    /// Returns the notices, the oldest first.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Returns whether there is a notice for the year.
    pub fn knows(&self, year: i16) -> bool {
        self.years.contains_key(&year)
    }

    /// Returns whether the day is worked.
    pub fn is_working_day(&self, date: Date) -> bool {
        is_working_day(date, &self.exceptions)
    }

    /// Returns the working day that is `count` working days after `date`; of 0 it is `date` itself,
    /// when that is worked, else the next one. None at the end of time.
    pub fn working_days_after(&self, date: Date, count: u16) -> Option<Reckoned> {
        let mut year = date.year();
        let mut provisional = false;
        let mut left = usize::from(count);
        let mut from = date.day_of_year();
        if count == 0 {
            // The first working day from here on, this one included.
            (left, from) = (1, from - 1);
        }
        loop {
            let this = self.year(year);
            provisional |= !this.noticed;
            let passed = this.working.partition_point(|day| *day <= from);
            if let Some(day) = this.working.get(passed + left - 1) {
                let date = nth_day(year, *day)?;
                return Some(Reckoned { date, provisional });
            }
            left -= this.working.len() - passed;
            year = year.checked_add(1).filter(|it| *it <= Date::MAX.year())?;
            from = 0;
        }
    }

    fn year(&self, year: i16) -> Cow<'_, Year> {
        match self.years.get(&year) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(Year::new(year, false, &self.exceptions)),
        }
    }
}

impl Year {
    fn new(year: i16, noticed: bool, exceptions: &BTreeMap<Date, bool>) -> Self {
        let working = (1..=366)
            .filter_map(|day| nth_day(year, day).map(|date| (day, date)))
            .filter(|(_, date)| is_working_day(*date, exceptions))
            .map(|(day, _)| day)
            .collect();
        Self { working, noticed }
    }
}

fn nth_day(year: i16, day: i16) -> Option<Date> {
    let first = Date::new(year, 1, 1).ok()?;
    first.with().day_of_year(day).build().ok()
}

fn is_working_day(date: Date, exceptions: &BTreeMap<Date, bool>) -> bool {
    exceptions.get(&date).copied().unwrap_or(!matches!(
        date.weekday(),
        Weekday::Saturday | Weekday::Sunday
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use super::*;
    use jiff::ToSpan as _;
    use jiff::civil::date;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static SHIPPED: LazyLock<Calendar> = LazyLock::new(|| {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/catalogue");
        Catalogue::load(&dir).unwrap().calendar().clone()
    });

    fn after(from: &str, count: u16) -> (String, bool) {
        let reckoned = SHIPPED
            .working_days_after(from.parse().unwrap(), count)
            .unwrap();
        (reckoned.date.to_string(), reckoned.provisional)
    }

    #[test]
    fn the_national_day_of_2014_moves_twenty_working_days_to_the_21st() {
        assert_eq!(after("2014-09-18", 20), ("2014-10-21".to_owned(), false));
        let weekends = Calendar::default();
        let naive = weekends.working_days_after(date(2014, 9, 18), 20).unwrap();
        assert_eq!(
            naive.date,
            date(2014, 10, 16),
            "what a count of weekends gives"
        );
        assert!(naive.provisional);
    }

    #[test]
    fn weekends_that_are_worked_and_holidays_across_years_count() {
        // 2014-09-28 is a Sunday that is worked, 2018-12-29 a Saturday by the notice of 2019.
        assert_eq!(after("2014-09-26", 1).0, "2014-09-28");
        assert_eq!(after("2018-12-28", 1).0, "2018-12-29");
        assert_eq!(after("2018-12-29", 1).0, "2019-01-02");
        assert_eq!(after("2020-01-23", 1).0, "2020-02-03");
        assert_eq!(after("2014-10-01", 0).0, "2014-10-08");
        assert_eq!(after("2014-10-08", 0).0, "2014-10-08");
    }

    #[test]
    fn a_year_without_a_notice_is_reckoned_by_its_weekends_and_says_so() {
        assert_eq!(after("2199-12-31", 1), ("2200-01-01".to_owned(), true));
        assert_eq!(after("1998-05-04", 5), ("1998-05-11".to_owned(), true));
        let last = *SHIPPED.years.keys().next_back().unwrap();
        let eve = format!("{last}-12-31");
        assert!(after(&eve, 1).1);
        assert_eq!(SHIPPED.working_days_after(Date::MAX, 20), None);
    }

    /// The same by walking from day to day.
    fn walked(calendar: &Calendar, from: Date, count: u16) -> Date {
        let mut date = from;
        let mut left = count;
        while left > 0 {
            date += 1.day();
            left -= u16::from(calendar.is_working_day(date));
        }
        date
    }

    proptest! {
        #[test]
        fn counting_in_places_is_walking_from_day_to_day(days in 0i32..18_000, count in 1u16..300) {
            let from = date(1990, 1, 1) + days.days();
            let reckoned = SHIPPED.working_days_after(from, count).unwrap();
            prop_assert_eq!(reckoned.date, walked(&SHIPPED, from, count));
            prop_assert!(SHIPPED.is_working_day(reckoned.date));
            let unknown = (from.year()..=reckoned.date.year()).any(|year| !SHIPPED.knows(year));
            prop_assert_eq!(reckoned.provisional, unknown);
        }

        #[test]
        fn one_after_the_other_is_both_at_once(days in 0i32..18_000, first in 1u16..60, second in 1u16..60) {
            let from = date(1990, 1, 1) + days.days();
            let between = SHIPPED.working_days_after(from, first).unwrap().date;
            prop_assert_eq!(
                SHIPPED.working_days_after(between, second).unwrap().date,
                SHIPPED.working_days_after(from, first + second).unwrap().date
            );
        }

        #[test]
        fn a_later_day_is_never_due_earlier(days in 0i32..18_000, count in 0u16..60) {
            let from = date(1990, 1, 1) + days.days();
            let due = |from| SHIPPED.working_days_after(from, count).unwrap().date;
            prop_assert!(due(from) <= due(from + 1.day()));
        }
    }
}
