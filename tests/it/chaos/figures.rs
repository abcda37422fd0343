//! What a run comes to, for people and as JSON.

use crate::faults::Counts;
use crate::story::Findings;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) struct Figures {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    pub(crate) took_s: u64,
    pub(crate) entries: usize,
    pub(crate) acts: BTreeMap<&'static str, usize>,
    pub(crate) faults: Counts,
    /// Calls that got no answer, or were told to come back.
    pub(crate) refused: usize,
    pub(crate) attempts: usize,
    /// Deliveries that needed a person at the end and were sent again.
    pub(crate) by_hand: usize,
    /// Something was still on its way when the patience was at an end.
    pub(crate) unsettled: bool,
    /// Processes that ended without being told to.
    pub(crate) crashed: Vec<String>,
    pub(crate) findings: Findings,
}

/// Adds up counts by name.
pub(crate) fn sum<'a>(
    all: impl Iterator<Item = &'a BTreeMap<&'static str, usize>>,
) -> BTreeMap<&'static str, usize> {
    let mut sum = BTreeMap::new();
    for (word, count) in all.flatten() {
        *sum.entry(*word).or_default() += count;
    }
    sum
}

impl Figures {
    /// Returns whether every promise was kept. A run without entries or faults proves nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_clean()
            && !self.unsettled
            && self.crashed.is_empty()
            && self.entries > 0
            && !self.faults.is_empty()
    }

    pub(crate) fn print(&self, as_json: bool) {
        let findings = &self.findings;
        if as_json {
            let value = json!({
                "seed": self.seed, "minutes": self.minutes, "took_s": self.took_s,
                "entries": self.entries, "acts": self.acts, "faults": self.faults,
                "refused": self.refused, "attempts": self.attempts, "by_hand": self.by_hand,
                "unsettled": self.unsettled, "crashed": self.crashed, "lost": findings.lost,
                "doubled": findings.doubled, "stale": findings.stale,
                "left_over": findings.left_over, "clean": self.is_clean(),
            });
            return write(&format!("{value:#}"));
        }
        let mut lines = vec![
            row("minutes of faults", self.minutes),
            row("seconds in all", self.took_s),
            row("seed", self.seed),
            row("entries", self.entries),
        ];
        lines.extend(
            self.acts
                .iter()
                .map(|(word, count)| row(&format!("  {word}"), count)),
        );
        lines.push(row("calls to be repeated", self.refused));
        lines.push(row("attempts at platforms", self.attempts));
        lines.push(row("faults", self.faults.values().sum::<usize>()));
        lines.extend(
            self.faults
                .iter()
                .map(|(fault, count)| row(&format!("  {fault}"), count)),
        );
        lines.push(row("sent again by hand", self.by_hand));
        lines.push(row("unsettled", self.unsettled));
        lines.push(row("crashed by itself", self.crashed.len()));
        for (word, found) in [
            ("lost", &findings.lost),
            ("doubled", &findings.doubled),
            ("stale", &findings.stale),
            ("left over", &findings.left_over),
        ] {
            lines.push(row(word, found.len()));
            lines.extend(found.iter().take(20).map(|it| format!("    {it}")));
        }
        lines.extend(self.crashed.iter().cloned());
        write(&lines.join("\n"));
    }
}

fn row(what: &str, value: impl std::fmt::Display) -> String {
    format!("{what:<44} {value:>12}")
}

/// A closed pipe ends the printing, not the run.
fn write(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}
