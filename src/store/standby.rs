//! Senders that stand by: what a commit opens for their platform is theirs in the same commit.
//!
//! A delivery that is opened, woken for, claimed and settled takes three commits and is written
//! three times. A sender with room and nothing due stands by instead, and the transaction that
//! accepts a submission opens its deliveries already claimed by that sender: one commit and one
//! write less, and nothing is read again. Whoever has something due does not stand by, so nothing
//! new overtakes what is old.
//!
//! [`Standbys`] is the line of those who wait, one per platform; a [`Handover`] is what one batch
//! of the writer took out of it.

use super::{Claim, Document, Store};
use crate::clock::now_ms;
use crate::record::{DeliveryId, RecordId, Wanted};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The token of a delivery's first claim.
const FIRST_TOKEN: i64 = 1;

/// A sender that waits for work.
#[derive(Debug)]
struct Waiting {
    /// Tells the place in line from an earlier or later one of the same sender.
    place: u64,
    room: usize,
    lease_owner: String,
    lease: Duration,
    answer: oneshot::Sender<Handed>,
}

/// What a sender was given, and since when.
#[derive(Debug)]
pub(super) struct Handed {
    claims: Vec<Claim>,
    since: Instant,
}

/// The senders of this process that stand by, at most one per platform.
#[derive(Debug, Default)]
pub(super) struct Standbys {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    places: u64,
    of_platform: HashMap<String, Waiting>,
}

impl Standbys {
    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, platform: &str, place: u64) -> bool {
        let mut line = self.line();
        let is_there = line
            .of_platform
            .get(platform)
            .is_some_and(|waiting| waiting.place == place);
        if is_there {
            line.of_platform.remove(platform);
        }
        is_there
    }

    /// Takes those of `platforms` out of the line for whom a sender stands by. `lease_until` makes
    /// the end of a lease from a platform and the earliest end.
    pub(super) fn hand_over<'a>(
        &self,
        platforms: impl Iterator<Item = &'a String>,
        mut lease_until: impl FnMut(&str, i64) -> i64,
    ) -> Handover {
        let mut handover = Handover::default();
        let mut line = self.line();
        if line.of_platform.is_empty() {
            return handover;
        }
        for platform in platforms {
            if let Some(waiting) = line.of_platform.remove(platform) {
                let ends = now_ms() + waiting.lease.as_millis() as i64;
                let hand = Hand {
                    lease_until: lease_until(platform, ends),
                    waiting,
                    opened: Vec::new(),
                    claims: Vec::new(),
                };
                handover.of_platform.insert(platform.clone(), hand);
            }
        }
        handover
    }
}

/// What one batch may hand over: per platform, to whom, until when, and what it was so far.
#[derive(Debug, Default)]
pub(super) struct Handover {
    of_platform: HashMap<String, Hand>,
}

#[derive(Debug)]
struct Hand {
    waiting: Waiting,
    lease_until: i64,
    /// Opened in the transaction that is on its way.
    opened: Vec<Opened>,
    /// Committed.
    claims: Vec<Claim>,
}

#[derive(Debug)]
struct Opened {
    delivery: DeliveryId,
    record_id: RecordId,
    version: i64,
    document: Option<Arc<Document>>,
}

/// The lease under which a delivery is opened.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) owner: String,
    pub(super) until: i64,
}

impl Handover {
    /// Forgets what a transaction opened that was not committed.
    pub(super) fn begin(&mut self) {
        for hand in self.of_platform.values_mut() {
            hand.opened.clear();
        }
    }

    /// Gives a delivery that is about to be opened to the sender that stands by for its platform,
    /// if there is one with room left.
    pub(super) fn give(
        &mut self,
        platform: &str,
        delivery: &DeliveryId,
        record_id: &RecordId,
        version: i64,
    ) -> Option<Lease> {
        let hand = self.of_platform.get_mut(platform)?;
        if hand.claims.len() + hand.opened.len() >= hand.waiting.room {
            return None;
        }
        hand.opened.push(Opened {
            delivery: delivery.clone(),
            record_id: record_id.clone(),
            version,
            document: None,
        });
        Some(Lease {
            owner: hand.waiting.lease_owner.clone(),
            until: hand.lease_until,
        })
    }

    /// Adds what the records say to what was given of them.
    pub(super) fn tell(&mut self, documents: Vec<(RecordId, String)>) {
        if self.of_platform.is_empty() {
            return;
        }
        let documents: HashMap<RecordId, Arc<Document>> = documents
            .into_iter()
            .map(|(record_id, text)| (record_id, Arc::new(Document::new(text))))
            .collect();
        for opened in self.of_platform.values_mut().flat_map(|it| &mut it.opened) {
            if let Some(document) = documents.get(&opened.record_id) {
                opened.document = Some(Arc::clone(document));
            }
        }
    }

    /// Notes that what was opened is committed.
    pub(super) fn committed(&mut self) {
        for (platform, hand) in &mut self.of_platform {
            let opened = hand.opened.drain(..);
            hand.claims
                .extend(opened.filter_map(|opened| opened.claim(platform)));
        }
    }

    /// Returns platform, owner and end of each lease that may have been given.
    pub(super) fn leases(&self) -> impl Iterator<Item = (&str, Lease)> {
        self.of_platform.iter().map(|(platform, hand)| {
            let lease = Lease {
                owner: hand.waiting.lease_owner.clone(),
                until: hand.lease_until,
            };
            (platform.as_str(), lease)
        })
    }

    /// Answers everybody; returns the claims of those who went away.
    pub(super) fn answer(self, since: Instant) -> Vec<Claim> {
        let mut left = Vec::new();
        for hand in self.of_platform.into_values() {
            let handed = Handed {
                claims: hand.claims,
                since,
            };
            if let Err(handed) = hand.waiting.answer.send(handed) {
                left.extend(handed.claims);
            }
        }
        left
    }
}

impl Opened {
    fn claim(self, platform: &str) -> Option<Claim> {
        Some(Claim {
            delivery: self.delivery,
            record_id: self.record_id,
            platform: platform.to_owned(),
            wanted: Wanted::Shown,
            version: self.version,
            token: FIRST_TOKEN,
            in_doubt: false,
            was_delivered: false,
            tries: 0,
            first_tried_at: None,
            delivered_at: None,
            reworded: false,
            progress: None,
            remote_id: None,
            remote_url: None,
            shown_version: None,
            document: self.document?,
            reason: None,
        })
    }
}

/// A sender's place in line. Dropping it leaves the line; what was handed over then is due again.
#[derive(Debug)]
pub struct StandBy {
    store: Store,
    platform: String,
    place: u64,
    lease_owner: String,
    lease: Duration,
    answer: oneshot::Receiver<Handed>,
}

impl Store {
    /// Stands by for new deliveries of `platform`, up to `room` of them. Only who has nothing due
    /// should: what is new would overtake it. Each claim belongs to `lease_owner` for `lease` from
    /// its commit.
    pub fn stand_by(
        &self,
        platform: &str,
        room: usize,
        lease_owner: &str,
        lease: Duration,
    ) -> StandBy {
        let (answer, receiver) = oneshot::channel();
        let mut line = self.standbys().line();
        line.places += 1;
        let place = line.places;
        line.of_platform.insert(
            platform.to_owned(),
            Waiting {
                place,
                room,
                lease_owner: lease_owner.to_owned(),
                lease,
                answer,
            },
        );
        StandBy {
            store: self.clone(),
            platform: platform.to_owned(),
            place,
            lease_owner: lease_owner.to_owned(),
            lease,
            answer: receiver,
        }
    }
}

impl StandBy {
    /// Resolves once, when something was handed over (or turned out to be nothing after all);
    /// `None` when the store is in trouble. Dropping the future loses nothing.
    pub async fn handed(&mut self) -> Option<Vec<Claim>> {
        let handed = (&mut self.answer).await.ok()?;
        self.store
            .in_time(handed.claims, handed.since, &self.lease_owner, self.lease)
            .await
            .ok()
    }

    /// Leaves the line; returns what is being handed over at this moment.
    pub async fn leave(mut self) -> Option<Vec<Claim>> {
        match self.store.standbys().leave(&self.platform, self.place) {
            true => Some(Vec::new()),
            false => self.handed().await,
        }
    }
}

#[cfg(test)]
impl StandBy {
    /// Goes away without leaving the line, as if that happened during the commit.
    pub(super) fn forget(&mut self) {
        self.answer.close();
    }
}

impl Drop for StandBy {
    fn drop(&mut self) {
        self.store.standbys().leave(&self.platform, self.place);
    }
}
