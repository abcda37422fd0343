//! The one place where the hub reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time now in milliseconds since 1970-01-01 UTC.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
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
