//! What the platform shows, read from what a look captured; and when the connector wants to look
//! at everything.

use super::auth::Session;
use super::compiled::{CompiledReadBack, Operation};
use super::facts::Facts;
use super::{Connector, maintenance};
use crate::record::Appearance;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;

impl Connector {
    /// Returns the operation that looks at what the platform shows: the read-back, else the
    /// look-up; `None` when the platform cannot be asked.
    pub fn looks_by(&self) -> Option<Operation> {
        [Operation::ReadBack, Operation::LookUp]
            .into_iter()
            .find(|operation| self.can(*operation))
    }

    /// Returns what the platform shows of the version in `facts`, by what `operation` captured.
    pub fn appearance(&self, operation: Operation, facts: &Facts) -> Appearance {
        match (&self.operations.read_back, operation) {
            (Some(read_back), Operation::ReadBack) => self.read_back_appearance(read_back, facts),
            _ => looked_up(facts),
        }
    }

    fn read_back_appearance(&self, read_back: &CompiledReadBack, facts: &Facts) -> Appearance {
        let context = self.context(facts, &Session::default());
        let holds = |question: &_| self.templates.ask(question, &context).is_true();
        if holds(&read_back.confirmed) {
            return Appearance::Confirmed;
        }
        let missing = match &read_back.missing {
            Some(missing) => holds(missing),
            None => facts.captured.values().all(Value::is_null),
        };
        if missing {
            return Appearance::Missing;
        }
        match (&read_back.under_review, &read_back.stale) {
            (Some(under_review), _) if holds(under_review) => Appearance::UnderReview,
            (_, Some(stale)) if holds(stale) => Appearance::Stale,
            _ => Appearance::Altered,
        }
    }

    /// Returns when the schedule last wanted everything to be looked at (ms since 1970), and
    /// whether what is missing or stale shall be sent again; `None` without a schedule.
    pub fn verify_due(&self, now_ms: i64) -> Option<(i64, bool)> {
        let verify = &self.manifest.verify;
        let due = last_time(verify.at.as_deref()?, now_ms)?;
        Some((due, verify.repair))
    }
}

/// Returns when it was last `at` o'clock in China Standard Time, in ms since 1970.
fn last_time(at: &str, now_ms: i64) -> Option<i64> {
    let at = maintenance::time_of_day(at)?;
    let offset = Offset::constant(8);
    let now = offset.to_datetime(Timestamp::from_millisecond(now_ms).ok()?);
    let today = now.date().to_datetime(at);
    let last = match today <= now {
        true => today,
        false => today.checked_sub(1.day()).ok()?,
    };
    Some(offset.to_timestamp(last).ok()?.as_millisecond())
}

/// A look-up tells whether it is there, and maybe in which version.
fn looked_up(facts: &Facts) -> Appearance {
    let captured = |name: &str| facts.captured.get(name).filter(|it| !it.is_null());
    let Some(_) = captured("remote_id").filter(|id| **id != "") else {
        return Appearance::Missing;
    };
    let version = captured("remote_version").and_then(|version| {
        version
            .as_i64()
            .or_else(|| version.as_str()?.trim().parse().ok())
    });
    match version {
        Some(version) if version == facts.version => Appearance::Confirmed,
        Some(_) => Appearance::Stale,
        // It is there; more is not told.
        None => Appearance::Confirmed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn looked(captured: Value) -> Appearance {
        looked_up(&Facts {
            version: 3,
            captured: captured.as_object().cloned().expect("an object"),
            ..Facts::default()
        })
    }

    #[test]
    fn the_last_time_of_a_schedule_is_today_or_yesterday() {
        let at = |text: &str| crate::clock::parse_time(text).expect("a time");
        let last = |now: &str| last_time("02:30", at(now)).map(crate::clock::rfc3339);
        let today = Some("2014-09-18T02:30:00+08:00".to_owned());
        assert_eq!(last("2014-09-18T02:30:00+08:00"), today);
        assert_eq!(last("2014-09-18T23:59:00+08:00"), today);
        let before = Some("2014-09-17T02:30:00+08:00".to_owned());
        assert_eq!(last("2014-09-18T02:29:59+08:00"), before);
        assert_eq!(last_time("2:30 am", 0), None);
    }

    #[test]
    fn a_look_up_tells_what_is_there() {
        assert_eq!(looked(json!({})), Appearance::Missing);
        assert_eq!(looked(json!({"remote_id": ""})), Appearance::Missing);
        assert_eq!(looked(json!({"remote_id": "7"})), Appearance::Confirmed);
        let of = |version: Value| looked(json!({"remote_id": "7", "remote_version": version}));
        assert_eq!(of(json!("3")), Appearance::Confirmed);
        assert_eq!(of(json!(2)), Appearance::Stale);
    }
}
