//! Senders that stand by: what a commit opens for their platform is theirs in the same commit.
//!
//! A delivery that is opened, woken for, claimed and settled takes three commits and is written
//! three times. A sender that has caught up stands by instead, and the transaction that accepts a
//! submission opens its deliveries already claimed by that sender, for as many as it has room: one
//! commit and one write less, and nothing is read again.
//!
//! Nothing new may overtake what waits, so only who has caught up stands by, and both ends are in
//! a commit, so that there is no gap between two of them in which nobody stands there:
//!
//! | from | by | to |
//! |---|---|---|
//! | resting | [`StandBy::look`]: the sender will look for everything that is due | looking |
//! | looking | a claim that found less than it could have taken | standing |
//! | standing | a claim that found as much as it could take, or something new without room for it | looking |
//! | any | [`StandBy::rest`]: the sender may not send everything | resting |
//!
//! Where the writer has two transactions under way, as two processes always have, a claim may not
//! see what is committed beside it. Its sender is woken for that after the commit; what is new by
//! then may go first, of other records only.
//!
//! [`Standbys`] is the line of the senders of this process, one per platform; a [`Handover`] is
//! what one batch of the writer gives them.

use super::claim::ClaimRequest;
use super::{Claim, Document, Store};
use crate::clock::now_ms;
use crate::record::{DeliveryId, RecordId, Wanted};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// The token of a delivery's first claim.
const FIRST_TOKEN: i64 = 1;

/// How long what comes in waits for the hands of those who stand by. What finds no room costs a
/// claim more, so that a hub that is given more than it can send would fall behind further.
const ROOM_WAIT: Duration = Duration::from_millis(25);

/// What a sender in line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    /// It may not send everything, or does not know what is due.
    Resting,
    /// It looks for what is due.
    Looking,
    /// Nothing is due: what is new is for it.
    Standing,
}

/// A sender in line.
#[derive(Debug)]
struct Place {
    /// Tells it from an earlier or later one for the same platform.
    number: u64,
    stance: Stance,
    room: Arc<Semaphore>,
    /// All of its room.
    room_max: usize,
    lease_owner: String,
    lease: Duration,
    hands: mpsc::UnboundedSender<Given>,
}

/// A claim with its part of the sender's room.
pub type InHand = (Claim, OwnedSemaphorePermit);

/// What one commit gave to a sender.
#[derive(Debug)]
struct Given {
    claims: Vec<InHand>,
    /// When the transaction began, from which the lease counts.
    since: Instant,
    committed_at: Instant,
}

/// The senders of this process, at most one per platform.
#[derive(Debug, Default)]
pub(super) struct Standbys {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    numbers: u64,
    of_platform: HashMap<String, Place>,
}

impl Standbys {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the place `number`, if it is still there.
    fn at(&self, platform: &str, number: u64, change: impl FnOnce(&mut Place)) {
        let mut line = self.line();
        let place = line.of_platform.get_mut(platform);
        if let Some(place) = place.filter(|place| place.number == number) {
            change(place);
        }
    }

    fn leave(&self, platform: &str, number: u64) {
        let mut line = self.line();
        let place = line.of_platform.get(platform);
        if place.is_some_and(|place| place.number == number) {
            line.of_platform.remove(platform);
        }
    }

    /// Waits a moment until those who stand by have room for one delivery for each of `platforms`.
    /// Only for who does not keep outcomes waiting meanwhile: they make the room.
    pub(super) async fn until_room<'a>(&self, platforms: impl Iterator<Item = &'a String>) {
        let mut wanted: HashMap<&String, usize> = HashMap::new();
        for platform in platforms {
            *wanted.entry(platform).or_default() += 1;
        }
        let rooms: Vec<_> = {
            let line = self.line();
            wanted
                .into_iter()
                .filter_map(|(platform, count)| {
                    let place = line.of_platform.get(platform)?;
                    let count = count.min(place.room_max);
                    let waits =
                        place.stance == Stance::Standing && place.room.available_permits() < count;
                    waits.then(|| (Arc::clone(&place.room), count as u32))
                })
                .collect()
        };
        let all = futures_util::future::join_all(
            rooms.iter().map(|(room, count)| room.acquire_many(*count)),
        );
        // Late or not, what there is room for then is given.
        let _ = tokio::time::timeout(ROOM_WAIT, all).await;
    }

    /// Returns what may be given to those who stand by for one of `platforms`. `lease_until` makes
    /// the end of a lease from a platform and the earliest end.
    pub(super) fn hand_over<'a>(
        &self,
        platforms: impl Iterator<Item = &'a String>,
        mut lease_until: impl FnMut(&str, i64) -> i64,
    ) -> Handover {
        let mut handover = Handover::default();
        let line = self.line();
        for platform in platforms {
            let Some(place) = line.of_platform.get(platform) else {
                continue;
            };
            if place.stance != Stance::Standing || handover.of_platform.contains_key(platform) {
                continue;
            }
            let ends = now_ms() + place.lease.as_millis() as i64;
            let hand = Hand {
                number: place.number,
                room: Arc::clone(&place.room),
                lease: Lease {
                    owner: place.lease_owner.clone(),
                    until: lease_until(platform, ends),
                },
                hands: place.hands.clone(),
                is_full: false,
                opened: Vec::new(),
                claims: Vec::new(),
            };
            handover.of_platform.insert(platform.clone(), hand);
        }
        handover
    }

    /// Notes that `handover` is committed, and what the claims of the same transaction found. They
    /// came last in it, so that they saw what there was no room for.
    pub(super) fn committed<'a>(
        &self,
        handover: &mut Handover,
        claims: impl Iterator<Item = (&'a ClaimRequest, usize)>,
    ) {
        for (platform, hand) in &mut handover.of_platform {
            let opened = hand.opened.drain(..);
            hand.claims
                .extend(opened.filter_map(|opened| opened.claim(platform)));
            if hand.is_full {
                self.at(platform, hand.number, Place::look_again);
            }
        }
        for (request, found) in claims.filter(|(request, _)| request.ids.is_none()) {
            let mut line = self.line();
            let place = line.of_platform.get_mut(&request.platform);
            match place.filter(|place| place.lease_owner == request.lease_owner) {
                Some(place) if (found as i64) < request.limit => place.caught_up(),
                Some(place) => place.look_again(),
                None => {}
            }
        }
    }
}

impl Place {
    fn caught_up(&mut self) {
        if self.stance == Stance::Looking {
            self.stance = Stance::Standing;
        }
    }

    fn look_again(&mut self) {
        if self.stance == Stance::Standing {
            self.stance = Stance::Looking;
        }
    }
}

/// What one batch may hand over: per platform, to whom, until when, and what it was so far.
#[derive(Debug, Default)]
pub(super) struct Handover {
    of_platform: HashMap<String, Hand>,
}

#[derive(Debug)]
struct Hand {
    number: u64,
    room: Arc<Semaphore>,
    lease: Lease,
    hands: mpsc::UnboundedSender<Given>,
    /// Something new found no room; what comes after it must not overtake it.
    is_full: bool,
    /// Opened in the transaction that is on its way.
    opened: Vec<Opened>,
    /// Committed.
    claims: Vec<InHand>,
}

#[derive(Debug)]
struct Opened {
    delivery: DeliveryId,
    record_id: RecordId,
    version: i64,
    document: Option<Arc<Document>>,
    permit: OwnedSemaphorePermit,
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
            hand.is_full = false;
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
        if hand.is_full {
            return None;
        }
        let Ok(permit) = Arc::clone(&hand.room).try_acquire_owned() else {
            hand.is_full = true;
            return None;
        };
        hand.opened.push(Opened {
            delivery: delivery.clone(),
            record_id: record_id.clone(),
            version,
            document: None,
            permit,
        });
        Some(hand.lease.clone())
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

    /// Returns platform and lease of what may have been given.
    pub(super) fn leases(&self) -> impl Iterator<Item = (&str, Lease)> {
        self.of_platform
            .iter()
            .map(|(platform, hand)| (platform.as_str(), hand.lease.clone()))
    }

    /// Puts the claims into the hands of the senders; returns those of senders who went away.
    pub(super) fn deliver(self, since: Instant) -> Vec<Claim> {
        let committed_at = Instant::now();
        let mut left = Vec::new();
        for hand in self.of_platform.into_values() {
            if hand.claims.is_empty() {
                continue;
            }
            let given = Given {
                claims: hand.claims,
                since,
                committed_at,
            };
            if let Err(mpsc::error::SendError(given)) = hand.hands.send(given) {
                left.extend(given.claims.into_iter().map(|(claim, _)| claim));
            }
        }
        left
    }
}

impl Opened {
    fn claim(self, platform: &str) -> Option<InHand> {
        let claim = Claim {
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
        };
        Some((claim, self.permit))
    }
}

/// A sender's place in line. Dropping it leaves the line.
#[derive(Debug)]
pub struct StandBy {
    store: Store,
    platform: String,
    number: u64,
}

/// Where a sender gets what is new.
#[derive(Debug)]
pub struct Hands {
    store: Store,
    lease_owner: String,
    lease: Duration,
    given: mpsc::UnboundedReceiver<Given>,
}

impl Store {
    /// Enters the line of `platform`, resting. What is new is given to the sender while it stands
    /// by and `room` has permits; each claim belongs to `lease_owner` for `lease` from its commit.
    pub fn stand_by(
        &self,
        platform: &str,
        room: Arc<Semaphore>,
        lease_owner: &str,
        lease: Duration,
    ) -> (StandBy, Hands) {
        let (hands, given) = mpsc::unbounded_channel();
        let mut line = self.standbys().line();
        line.numbers += 1;
        let number = line.numbers;
        let place = Place {
            number,
            stance: Stance::Resting,
            room_max: room.available_permits(),
            room,
            lease_owner: lease_owner.to_owned(),
            lease,
            hands,
        };
        line.of_platform.insert(platform.to_owned(), place);
        drop(line);
        let stand_by = StandBy {
            store: self.clone(),
            platform: platform.to_owned(),
            number,
        };
        let hands = Hands {
            store: self.clone(),
            lease_owner: lease_owner.to_owned(),
            lease,
            given,
        };
        (stand_by, hands)
    }
}

impl StandBy {
    /// Says that the next claim of this sender looks for everything that is due: from the commit
    /// of one that finds less than it could take, the sender stands by.
    pub fn look(&self) {
        self.change(|place| {
            if place.stance == Stance::Resting {
                place.stance = Stance::Looking;
            }
        });
    }

    /// Says that this sender must not be given anything. What is being committed still comes.
    pub fn rest(&self) {
        self.change(|place| place.stance = Stance::Resting);
    }

    fn change(&self, change: impl FnOnce(&mut Place)) {
        self.store
            .standbys()
            .at(&self.platform, self.number, change);
    }
}

impl Drop for StandBy {
    fn drop(&mut self) {
        self.store.standbys().leave(&self.platform, self.number);
    }
}

impl Hands {
    /// Resolves when something was given, with the moment of its commit; `None` when the sender
    /// has left the line and everything was given. What came too late for its lease went back.
    pub async fn next(&mut self) -> Option<(Vec<InHand>, Instant)> {
        loop {
            let given = self.given.recv().await?;
            let (claims, permits): (Vec<_>, Vec<_>) = given.claims.into_iter().unzip();
            let in_time = self
                .store
                .in_time(claims, given.since, &self.lease_owner, self.lease)
                .await;
            match in_time {
                Ok(claims) => {
                    return Some((
                        claims.into_iter().zip(permits).collect(),
                        given.committed_at,
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "What was handed over came too late and is due again")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn what_comes_in_waits_for_full_hands_but_not_for_long() {
        let standbys = Standbys::default();
        let room = Arc::new(Semaphore::new(2));
        let (hands, _given) = mpsc::unbounded_channel();
        let place = Place {
            number: 1,
            stance: Stance::Standing,
            room_max: 2,
            room: Arc::clone(&room),
            lease_owner: "sender".to_owned(),
            lease: Duration::from_secs(60),
            hands,
        };
        standbys.line().of_platform = HashMap::from([("portal".to_owned(), place)]);
        let three = [
            "portal".to_owned(),
            "portal".to_owned(),
            "portal".to_owned(),
        ];
        let at_once = || standbys.until_room(three.iter()).now_or_never();
        assert!(at_once().is_some(), "both hands are free");

        let in_hand = Arc::clone(&room).acquire_owned().await.unwrap();
        let mut waiting = Box::pin(standbys.until_room(three.iter()));
        assert!(waiting.as_mut().now_or_never().is_none(), "one is not");
        drop(in_hand);
        assert!(waiting.now_or_never().is_some(), "it is again");

        // Nobody puts this one down, and it ends all the same.
        let _in_hand = room.acquire().await.unwrap();
        standbys.until_room(three.iter()).await;
        // Who does not stand by is given nothing, and waited for by nobody.
        standbys.at("portal", 1, Place::look_again);
        assert!(at_once().is_some());
    }
}
