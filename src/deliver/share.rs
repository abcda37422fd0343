//! Which part of the platforms' limits this process may use.
//!
//! A limit is divided among all processes that send. Each counts itself up in the store, and
//! takes another for dead when its counter stands still; no clock of one machine is held against
//! that of another. A process that could not count itself up in time sends nothing, because the
//! others may have divided its part among themselves.

use crate::clock::now_ms;
use crate::store::Store;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Beats without a sign of life until a process counts as dead.
const DEAD_AFTER: u32 = 5;
/// Beats without success until this process sends nothing; well before others divide its part.
const SILENT_AFTER: u32 = 3;

/// The part of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    processes: usize,
    rank: usize,
}

impl Share {
    /// The part of a process that is alone.
    pub(super) const ALL: Self = Self {
        processes: 1,
        rank: 0,
    };
    /// The part of a process that must not send.
    pub(super) const NONE: Self = Self {
        processes: 0,
        rank: 0,
    };

    /// Returns this part of a platform's limit. What cannot be divided goes to the first ones,
    /// beginning at another process for each platform.
    pub(super) fn of(self, limit: usize, platform: &str) -> usize {
        if self.processes == 0 {
            return 0;
        }
        let shift: usize = platform.bytes().map(usize::from).sum();
        let rank = (self.rank + shift) % self.processes;
        limit / self.processes + usize::from(rank < limit % self.processes)
    }
}

/// The processes that send, as this one sees them.
struct Peers {
    me: String,
    beat: Duration,
    /// Counter of each process, and when it was seen to move.
    seen: HashMap<String, (i64, Instant)>,
    joined: Instant,
    beaten: Instant,
}

impl Peers {
    fn new(me: String, beat: Duration, now: Instant) -> Self {
        Self {
            me,
            beat,
            seen: HashMap::new(),
            joined: now,
            beaten: now,
        }
    }

    /// Takes note of all counters after a successful beat that was begun at `begun`.
    fn note(&mut self, senders: &[(String, i64)], begun: Instant, now: Instant) {
        self.beaten = begun;
        let before = std::mem::take(&mut self.seen);
        for (id, beats) in senders {
            let moved = match before.get(id) {
                Some((known, at)) if known == beats => *at,
                _ => now,
            };
            self.seen.insert(id.clone(), (*beats, moved));
        }
    }

    /// Returns the part of this process now.
    fn share(&self, now: Instant) -> Share {
        if now.duration_since(self.beaten) > self.beat * SILENT_AFTER {
            return Share::NONE;
        }
        let mut live: Vec<&str> = self
            .seen
            .iter()
            .filter(|(id, (_, moved))| {
                **id == self.me || now.duration_since(*moved) <= self.beat * DEAD_AFTER
            })
            .map(|(id, _)| id.as_str())
            .collect();
        live.sort_unstable();
        let Some(rank) = live.iter().position(|id| **id == self.me) else {
            return Share::NONE;
        };
        // The others must have had a beat to see this one before it takes its part.
        let waited = now.duration_since(self.joined) > self.beat * 3 / 2;
        if live.len() > 1 && !waited {
            return Share::NONE;
        }
        Share {
            processes: live.len(),
            rank,
        }
    }
}

/// Keeps `told` true until `shutdown`, then takes this process off the list.
pub(super) async fn keep_share(
    store: Store,
    (me, connectors): (String, String),
    beat: Duration,
    told: watch::Sender<Share>,
    shutdown: CancellationToken,
) {
    let mut peers = Peers::new(me.clone(), beat, Instant::now());
    loop {
        let begun = Instant::now();
        let beaten = tokio::select! {
            () = shutdown.cancelled() => break,
            // A store that does not answer must not keep this process from falling silent.
            beaten = store.beat(&me, &connectors, now_ms(), beat) => beaten,
        };
        match beaten {
            Ok(senders) => peers.note(&senders, begun, Instant::now()),
            Err(error) => tracing::debug!(%error, "Cannot count the senders"),
        }
        let share = peers.share(Instant::now());
        let changed = told.send_if_modified(|old| std::mem::replace(old, share) != share);
        if changed {
            let Share { processes, rank } = share;
            tracing::info!(
                processes,
                rank,
                "Of {processes} processes that send, this is number {rank}"
            );
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(beat) => {}
        }
    }
    if let Err(error) = store.leave(&me, now_ms(), beat).await {
        tracing::debug!(%error, "Could not take this process off the list; the others will find it dead");
    }
}

/// Says once what the only process on a store sends with, then lets `told` know; takes it off the
/// list at `shutdown`.
pub(super) async fn announce(
    store: Store,
    (me, connectors): (String, String),
    beat: Duration,
    told: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    while let Err(error) = store.announce_alone(&me, &connectors, now_ms(), beat).await {
        tracing::warn!(%error, "Cannot say what this process sends with; it sends nothing until then");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(beat) => {}
        }
    }
    told.send_replace(true);
    shutdown.cancelled().await;
    if let Err(error) = store.leave(&me, now_ms(), beat).await {
        tracing::debug!(%error, "Could not take this process off the list; the next one will");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(1);

    #[test]
    fn the_parts_of_a_limit_add_up_to_it() {
        for limit in [0, 1, 2, 5, 16, 200] {
            for processes in 1..=4 {
                for platform in ["gazette", "portal", "x"] {
                    let sum: usize = (0..processes)
                        .map(|rank| Share { processes, rank }.of(limit, platform))
                        .sum();
                    assert_eq!(sum, limit, "{processes} {platform}");
                }
            }
        }
    }

    #[test]
    fn small_limits_of_several_platforms_do_not_all_go_to_one_process() {
        let first = Share {
            processes: 2,
            rank: 0,
        };
        let parts = ["a", "b"].map(|platform| first.of(1, platform));
        assert_eq!(parts.iter().sum::<usize>(), 1, "{parts:?}");
    }

    fn beat(peers: &mut Peers, senders: &[(&str, i64)], now: Instant) -> Share {
        let senders: Vec<(String, i64)> = senders
            .iter()
            .map(|(id, beats)| ((*id).to_owned(), *beats))
            .collect();
        peers.note(&senders, now, now);
        peers.share(now)
    }

    #[test]
    fn a_process_alone_has_everything_at_once() {
        let start = Instant::now();
        let mut peers = Peers::new("b".into(), BEAT, start);
        assert_eq!(beat(&mut peers, &[("b", 1)], start), Share::ALL);
    }

    #[test]
    fn a_newcomer_waits_until_the_others_can_have_seen_it() {
        let start = Instant::now();
        let mut peers = Peers::new("b".into(), BEAT, start);
        let half = Share {
            processes: 2,
            rank: 1,
        };
        assert_eq!(beat(&mut peers, &[("a", 7), ("b", 1)], start), Share::NONE);
        let next = start + BEAT;
        assert_eq!(beat(&mut peers, &[("a", 8), ("b", 2)], next), Share::NONE);
        let later = start + BEAT * 2;
        assert_eq!(beat(&mut peers, &[("a", 9), ("b", 3)], later), half);
    }

    #[test]
    fn the_part_of_a_process_that_stands_still_comes_back() {
        let start = Instant::now();
        let mut peers = Peers::new("b".into(), BEAT, start);
        let mut share = Share::NONE;
        for second in 0..=DEAD_AFTER + 1 {
            let now = start + BEAT * second;
            share = beat(&mut peers, &[("a", 7), ("b", second.into())], now);
        }
        assert_eq!(share, Share::ALL);
    }

    #[test]
    fn a_process_that_cannot_be_seen_sends_nothing_before_others_take_its_part() {
        let start = Instant::now();
        let mut peers = Peers::new("b".into(), BEAT, start);
        beat(&mut peers, &[("b", 1)], start);
        assert_eq!(peers.share(start + BEAT * SILENT_AFTER), Share::ALL);
        let late = start + BEAT * SILENT_AFTER + Duration::from_millis(1);
        assert_eq!(peers.share(late), Share::NONE);
        const { assert!(SILENT_AFTER < DEAD_AFTER) };
    }
}
