//! The outbox of events: what became of records and deliveries, for those who listen.
//!
//! A row is written in the transaction of the change it tells of, and only when
//! [`Store::write_events`] was asked for; otherwise nothing here runs. [`outbox`] hands the rows to
//! the one publisher. What is written here never holds a body, and no title of a version that has
//! not passed the gate; how an event is told is the matter of [`crate::queue`].

mod hand;
mod outbox;

use super::bulk::{Bulk, Cell, Kind, cells};
use super::db::Tx;
use super::{RecordState, Settled, Settlement, Store, StoreError};
use crate::record::{DeliveryId, Hold, RecordId, Wanted};
use std::sync::atomic::Ordering;

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The record has become public, for the first time or again.
    Published,
    /// A public record has a new version; with a delivery: its platform gets the same version anew.
    Updated,
    /// The record is withdrawn everywhere.
    Withdrawn,
    /// The newest version is held and does not go out.
    Held,
    /// A platform said yes to a version.
    Delivered,
    /// A version was read back from a platform and is equal.
    Confirmed,
    /// A delivery needs a person.
    Failed,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Published,
        Self::Updated,
        Self::Withdrawn,
        Self::Held,
        Self::Delivered,
        Self::Confirmed,
        Self::Failed,
    ];

    /// Returns the word used in SQL, routing keys and types.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Updated => "updated",
            Self::Withdrawn => "withdrawn",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
        }
    }

    /// Returns the kind with this word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One numbered row of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, the same however often it is sent.
    pub id: String,
    /// Its place among all events: 1, 2, 3 … without a gap.
    pub sequence: i64,
    /// What it tells.
    pub kind: EventKind,
    /// When it happened, unix milliseconds.
    pub at: i64,
    /// The record.
    pub record_id: RecordId,
    /// The version it is about.
    pub version: i64,
    /// The sender's revision of that version.
    pub revision: i64,
    /// The source system.
    pub source: String,
    /// The sender's id of the document.
    pub source_id: String,
    /// Code of the unit.
    pub unit: String,
    /// Key of the area, if any.
    pub area: Option<String>,
    /// The column, if any.
    pub column: Option<String>,
    /// The title as stored; none when the version has not passed the gate, or is not the newest.
    pub title: Option<String>,
    /// The document number; none as the title.
    pub doc_no: Option<String>,
    /// Codes of what holds it.
    pub holds: Vec<String>,
    /// What it tells of a delivery; none when it is about the record as a whole.
    pub delivery: Option<DeliveryPart>,
}

/// What an event tells of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryPart {
    /// The delivery.
    pub id: DeliveryId,
    /// Its platform.
    pub platform: String,
    /// What the platform shall show.
    pub wanted: Wanted,
    /// Where the public sees it, once known.
    pub url: Option<String>,
    /// Class of the failure.
    pub failure_class: Option<String>,
    /// Code of the failure.
    pub failure_code: Option<String>,
    /// Whether it tells of what a person decided, not of what the hub did.
    pub by_hand: bool,
    /// Why a person decided that it is not sent.
    pub reason: Option<String>,
}

/// A record of which something is to be told. What it says is read from its row, so that row must
/// be written before.
#[derive(Debug)]
pub(super) struct RecordChange<'a> {
    pub(super) record_id: &'a RecordId,
    pub(super) version: i64,
    pub(super) before: Option<RecordState>,
    pub(super) after: RecordState,
    pub(super) holds: &'a [Hold],
    pub(super) now: i64,
}

static TELL_RECORDS: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("kind", Kind::Text),
        ("at", Kind::Int),
        ("record_id", Kind::Text),
        ("version", Kind::Int),
        ("open", Kind::Bool),
        ("holds", Kind::Text),
    ],
    "INSERT INTO events (id, kind, at, record_id, version, revision, source, source_id, \
     unit_code, area, column_name, title, doc_no, holds) \
     SELECT given.id, given.kind, given.at, r.id, given.version, r.revision, r.source, \
     r.source_id, r.unit_code, r.area, r.column_name, CASE WHEN given.open THEN r.title END, \
     CASE WHEN given.open THEN r.doc_no END, given.holds \
     FROM given JOIN records r ON r.id = given.record_id",
);

/// A failure that a newer version or a hold has overtaken needs nobody, so it is not told.
static TELL_DELIVERIES: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("kind", Kind::Text),
        ("at", Kind::Int),
        ("delivery_id", Kind::Text),
        ("version", Kind::Int),
        ("class", Kind::Text),
        ("code", Kind::Text),
    ],
    "INSERT INTO events (id, kind, at, record_id, version, revision, source, source_id, \
     unit_code, area, column_name, title, doc_no, holds, delivery_id, platform, wanted, url, \
     failure_class, failure_code) \
     SELECT given.id, given.kind, given.at, r.id, given.version, w.revision, r.source, \
     r.source_id, r.unit_code, r.area, r.column_name, \
     CASE WHEN r.version = given.version AND r.state = 'live' THEN r.title END, \
     CASE WHEN r.version = given.version AND r.state = 'live' THEN r.doc_no END, '[]', \
     d.id, d.platform, CASE WHEN given.kind = 'failed' THEN d.wanted ELSE 'shown' END, \
     d.remote_url, given.class, given.code \
     FROM given JOIN deliveries d ON d.id = given.delivery_id \
     JOIN records r ON r.id = d.record_id \
     JOIN versions w ON w.record_id = d.record_id AND w.version = given.version \
     WHERE given.kind <> 'failed' OR (d.state = 'failed' AND d.version = given.version)",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 2] = [&TELL_RECORDS, &TELL_DELIVERIES];
pub(super) use hand::{Decision, tell_decision};
#[cfg(test)]
pub(super) fn shared() -> Vec<&'static str> {
    [&outbox::SHARED[..], &hand::SHARED].concat()
}

impl Store {
    /// Says whether changes made through this store from now on leave events in the outbox.
    pub fn write_events(&self, on: bool) {
        self.pools().events.store(on, Ordering::Relaxed);
    }
}

/// Writes what is to be told of records.
pub(super) async fn tell_records(
    tx: &mut Tx,
    changes: &[RecordChange<'_>],
) -> Result<(), StoreError> {
    let holds: Vec<String> = changes.iter().map(|change| codes(change.holds)).collect();
    let ids: Vec<String> = changes.iter().map(|_| new_event_id()).collect();
    let given: Vec<_> = changes
        .iter()
        .zip(ids.iter().zip(&holds))
        .map(|(change, (id, holds))| {
            let kind = kind_of(change.before, change.after);
            cells![
                id,
                kind.as_str(),
                change.now,
                change.record_id.as_str(),
                change.version,
                is_open(change.before, change.after),
                holds,
            ]
        })
        .collect();
    TELL_RECORDS
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("write events of records"))?;
    Ok(())
}

/// Writes what is to be told of the settlements that were `taken`.
pub(super) async fn tell_settlements(
    tx: &mut Tx,
    settlements: &[&Settlement],
    taken: &[bool],
) -> Result<(), StoreError> {
    let told: Vec<(String, &Settlement, &'static str)> = settlements
        .iter()
        .zip(taken)
        .filter(|(_, taken)| **taken)
        .filter_map(|(it, _)| Some((new_event_id(), *it, told_kind(&it.outcome)?.as_str())))
        .collect();
    let given: Vec<Vec<Cell<'_>>> = told
        .iter()
        .map(|(id, settlement, kind)| {
            let (class, code) = match &settlement.outcome {
                Settled::Failed { class, code, .. } => (Some(class.as_str()), Some(code.as_str())),
                _ => (None, None),
            };
            cells![
                id,
                *kind,
                settlement.now,
                settlement.delivery.as_str(),
                settlement.sent_version,
                class,
                code,
            ]
        })
        .collect();
    TELL_DELIVERIES
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("write events of deliveries"))?;
    Ok(())
}

/// Writes that looks have confirmed deliveries, as (delivery, version, when).
pub(super) async fn tell_confirmed(
    tx: &mut Tx,
    confirmed: &[(&DeliveryId, i64, i64)],
) -> Result<(), StoreError> {
    let ids: Vec<String> = confirmed.iter().map(|_| new_event_id()).collect();
    let kind = EventKind::Confirmed.as_str();
    let given: Vec<Vec<Cell<'_>>> = confirmed
        .iter()
        .zip(&ids)
        .map(|((delivery, version, at), id)| {
            let none: Option<&str> = None;
            cells![id, kind, *at, delivery.as_str(), *version, none, none]
        })
        .collect();
    TELL_DELIVERIES
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("write events of deliveries"))?;
    Ok(())
}

fn kind_of(before: Option<RecordState>, after: RecordState) -> EventKind {
    match (before, after) {
        (_, RecordState::Held) => EventKind::Held,
        (_, RecordState::Withdrawn) => EventKind::Withdrawn,
        (Some(RecordState::Live), RecordState::Live) => EventKind::Updated,
        (None | Some(RecordState::Held | RecordState::Withdrawn), RecordState::Live) => {
            EventKind::Published
        }
    }
}

/// Returns whether what the row says has passed the gate. A withdrawal leaves the row as it was.
fn is_open(before: Option<RecordState>, after: RecordState) -> bool {
    match after {
        RecordState::Live => true,
        RecordState::Held => false,
        RecordState::Withdrawn => before == Some(RecordState::Live),
    }
}

fn told_kind(outcome: &Settled) -> Option<EventKind> {
    match outcome {
        Settled::Shown { .. } => Some(EventKind::Delivered),
        Settled::Confirmed { .. } => Some(EventKind::Confirmed),
        Settled::Failed { .. } => Some(EventKind::Failed),
        // A take-down is told by the record's `withdrawn`; the rest is on its way still.
        Settled::Gone { .. }
        | Settled::StillUnderReview { .. }
        | Settled::Skipped
        | Settled::Retry { .. }
        | Settled::Postponed { .. } => None,
    }
}

fn codes(holds: &[Hold]) -> String {
    let mut codes: Vec<&str> = holds.iter().map(|hold| hold.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    serde_json::Value::from(codes).to_string()
}

fn new_event_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
