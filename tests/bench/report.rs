//! The figures, as a table for people and as JSON.

use crate::Options;
use crate::hub::Usage;
use crate::limits::Limits;
use crate::machine;
use crate::post::Run;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// Figures of one measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    senders: String,
    entries: usize,
    accepted_per_s: f64,
    delivered_per_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    hub_cpu_ms_per_entry: f64,
    store_cpu_ms_per_entry: f64,
    queue_cpu_ms_per_entry: f64,
    /// Of the load generator and the receivers, which share the machine.
    rest_cpu_ms_per_entry: f64,
    lost: usize,
    duplicated: usize,
}

impl Measured {
    pub(crate) fn of(senders: &str, entries: usize, run: &Run, usage: &Usage) -> Self {
        let share = |part: f64| {
            let last = run.latencies_ms.len().saturating_sub(1);
            run.latencies_ms
                .get((last as f64 * part) as usize)
                .copied()
                .unwrap_or_default()
        };
        let per_entry = |ms: u64| ms as f64 / entries as f64;
        Self {
            senders: senders.to_owned(),
            entries,
            accepted_per_s: run.accepted_per_s,
            delivered_per_s: run.delivered_per_s,
            p50_ms: share(0.50),
            p95_ms: share(0.95),
            p99_ms: share(0.99),
            hub_cpu_ms_per_entry: per_entry(usage.hub),
            store_cpu_ms_per_entry: per_entry(usage.store),
            queue_cpu_ms_per_entry: per_entry(usage.queue),
            rest_cpu_ms_per_entry: per_entry(usage.rest),
            lost: run.lost,
            duplicated: run.duplicated,
        }
    }
}

/// All figures of a run.
pub(crate) struct Report {
    options: Options,
    pub(crate) limits: Limits,
    pub(crate) runs: Vec<Measured>,
    pub(crate) peak_memory_mib: f64,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            options: options.clone(),
            limits: Limits::default(),
            runs: Vec::new(),
            peak_memory_mib: 0.0,
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.runs
            .iter()
            .all(|run| run.lost == 0 && run.duplicated == 0)
    }

    /// Addresses are left out but for their scheme: they may hold passwords.
    pub(crate) fn json(&self) -> Value {
        let scheme = |url: &str| url.split(':').next().unwrap_or_default().to_owned();
        json!({
            "store": scheme(&self.options.store), "queue": scheme(&self.options.queue),
            "entry_bytes": self.options.bytes, "stored_beforehand": self.options.stored,
            "queue_version": self.options.queue_version,
            "machine": machine::description(), "limits": self.limits, "runs": self.runs,
            "hub_peak_memory_mib": self.peak_memory_mib,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = self.json();
        writeln!(
            formatter,
            "\nstore {}, queue {}, entries of {} bytes, {} stored beforehand",
            json["store"], json["queue"], self.options.bytes, self.options.stored
        )?;
        writeln!(
            formatter,
            "bare limits: {:.0} loopback posts/s, {:.0} durable commits/s, {} confirmed publishes/s",
            self.limits.loopback_posts_per_s,
            self.limits.durable_commits_per_s,
            self.limits
                .confirmed_publishes_per_s
                .map_or_else(|| "-".to_owned(), |it| format!("{it:.0}"))
        )?;
        writeln!(
            formatter,
            "{:>7} {:>8} {:>11} {:>6} {:>12} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>5} {:>5}",
            "senders",
            "entries",
            "accepted/s",
            "share",
            "delivered/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "hub ms",
            "store ms",
            "queue ms",
            "rest ms",
            "lost",
            "twice"
        )?;
        for run in &self.runs {
            let share = match self.limits.loopback_posts_per_s {
                0.0 => "-".to_owned(),
                limit => format!("{:.0}%", 100.0 * run.accepted_per_s / limit),
            };
            writeln!(
                formatter,
                "{:>7} {:>8} {:>11.0} {:>6} {:>12.0} {:>9.1} {:>9.1} {:>9.1} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>5} {:>5}",
                run.senders,
                run.entries,
                run.accepted_per_s,
                share,
                run.delivered_per_s,
                run.p50_ms,
                run.p95_ms,
                run.p99_ms,
                run.hub_cpu_ms_per_entry,
                run.store_cpu_ms_per_entry,
                run.queue_cpu_ms_per_entry,
                run.rest_cpu_ms_per_entry,
                run.lost,
                run.duplicated
            )?;
        }
        write!(
            formatter,
            "hub's peak memory: {:.0} MiB",
            self.peak_memory_mib
        )
    }
}
