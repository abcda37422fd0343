//! What a platform bears, and how long the hub is patient with it.

use serde::Deserialize;

/// What the platform bears.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests a second.
    pub rate_per_s: u32,
    /// Records in flight at once.
    pub concurrency: usize,
    /// Milliseconds for one request with its answer.
    pub timeout_ms: u64,
    /// Largest request body in bytes.
    pub request_bytes_max: usize,
    /// Largest answer in bytes.
    pub response_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate_per_s: 100,
            concurrency: 8,
            timeout_ms: 15_000,
            request_bytes_max: 64 << 20,
            response_bytes_max: 1 << 20,
        }
    }
}

/// When to try again: full jitter between 0 and a delay that grows from `base_ms` to `max_ms`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// First delay in milliseconds.
    pub base_ms: u64,
    /// Growth from one delay to the next.
    pub factor: f32,
    /// Longest delay in milliseconds.
    pub max_ms: u64,
    /// After so many tries a person is needed.
    pub tries_max: i64,
    /// After so many seconds since the first try a person is needed.
    pub age_max_s: i64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base_ms: 1_000,
            factor: 2.0,
            max_ms: 600_000,
            tries_max: 30,
            age_max_s: 3 * 86_400,
        }
    }
}

/// When to leave a platform alone that does not answer at all. Deliveries wait without losing a
/// try, and their age does not count the outage.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerRule {
    /// After so many failures in a row, over all records, nothing more is sent; 0 = never.
    pub failures: usize,
    /// Milliseconds until one delivery is tried as a probe.
    pub pause_ms: u64,
    /// Each probe without success doubles the pause, up to this many milliseconds.
    pub pause_max_ms: u64,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            failures: 5,
            pause_ms: 2_000,
            pause_max_ms: 300_000,
        }
    }
}

/// When not to knock. Deliveries wait without losing a try.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Maintenance {
    /// Windows in China Standard Time.
    pub windows: Vec<Window>,
}

/// One daily window, possibly over midnight.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// `HH:MM`, included.
    pub from: String,
    /// `HH:MM`, not included.
    pub to: String,
    /// ISO week days, 1 = Monday; empty = every day. The day is that of `from`.
    #[serde(default)]
    pub days: Vec<i8>,
}
