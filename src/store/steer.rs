//! Where each delivery of a record goes when the record changes.
//!
//! One pure function decides for one row, so that the rules can be read and tested in one place;
//! [`move_deliveries`] reads the rows, locked on PostgreSQL, and writes what was decided.

use super::bulk::{Bulk, Kind, cells};
use super::db::{Tx, row};
use super::{DeliveryHead, StoreError};
use crate::record::{DeliveryId, DeliveryState, RecordId, Wanted};
use std::collections::HashMap;

/// What a change of the record means for its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Routed platforms show the new version, others nothing.
    Show,
    /// No platform shows anything.
    Gone,
    /// Nothing is sent until a person releases the record. A version that passed the gate
    /// earlier and is (or may be) shown stays as it is.
    Hold,
    /// As `Hold`, but the document is no longer public: what is shown is taken down.
    Seal,
}

/// A record that has got a new version.
#[derive(Debug, Clone)]
pub(super) struct Change<'a> {
    pub(super) record_id: &'a RecordId,
    pub(super) version: i64,
    pub(super) intent: Intent,
    /// The platforms that the version was routed to.
    pub(super) platforms: &'a [String],
    pub(super) now: i64,
}

row! {
    /// The columns of a delivery that decide where it goes.
    struct DeliveryRow {
        id: String,
        record_id: String,
        platform: String,
        wanted: String,
        version: i64,
        state: String,
        held: bool,
        due_at: Option<i64>,
        claimed: i64,
        lease_until: Option<i64>,
        shown_version: Option<i64>,
        remote_url: Option<String>,
        updated_at: i64,
    }
}

/// One delivery, its words understood.
#[derive(Debug, Clone, PartialEq)]
struct Position {
    wanted: Wanted,
    version: i64,
    state: DeliveryState,
    held: bool,
    due_at: Option<i64>,
}

static OF_RECORDS: Bulk = Bulk::locking(
    &[("record_id", Kind::Text)],
    "SELECT d.id, d.record_id, d.platform, d.wanted, d.version, d.state, d.held, d.due_at, \
     d.claimed, d.lease_until, d.shown_version, d.remote_url, d.updated_at \
     FROM given JOIN deliveries d ON d.record_id = given.record_id",
    " FOR UPDATE OF d",
);

/// Whoever changes a record offers its deliveries right after the commit, hence `offered_at`.
static MOVE: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("wanted", Kind::Text),
        ("version", Kind::Int),
        ("state", Kind::Text),
        ("held", Kind::Bool),
        ("due_at", Kind::Int),
        ("now", Kind::Int),
    ],
    "UPDATE deliveries SET wanted = given.wanted, version = given.version, state = given.state, \
     held = given.held, due_at = given.due_at, offered_at = given.now, tries = 0, first_tried_at = NULL, \
     failure_stage = NULL, failure_class = NULL, failure_code = NULL, failure_text = NULL, \
     failure_group = NULL, updated_at = given.now \
     FROM given WHERE deliveries.id = given.id",
);

static OPEN: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("record_id", Kind::Text),
        ("platform", Kind::Text),
        ("version", Kind::Int),
        ("state", Kind::Text),
        ("held", Kind::Bool),
        ("due_at", Kind::Int),
        ("now", Kind::Int),
    ],
    "INSERT INTO deliveries (id, record_id, platform, wanted, version, state, held, due_at, \
     offered_at, claimed, settled, tries, created_at, updated_at) \
     SELECT id, record_id, platform, 'shown', version, state, held, due_at, now, 0, 0, 0, now, \
     now FROM given",
);

/// All texts of this file, for the test that prepares them.
#[cfg(test)]
pub(super) static BULKS: [&Bulk; 3] = [&OF_RECORDS, &MOVE, &OPEN];

/// The deliveries of some records, by record and ordered by platform.
pub(super) struct Deliveries {
    rows: HashMap<String, Vec<DeliveryRow>>,
}

impl Deliveries {
    /// Reads the deliveries of `records`; on PostgreSQL they stay locked until the commit.
    pub(super) async fn read(tx: &mut Tx, records: &[&str]) -> Result<Self, StoreError> {
        let mut ids = records.to_vec();
        // One order for everybody keeps processes from locking each other out.
        ids.sort_unstable();
        ids.dedup();
        let given: Vec<_> = ids.into_iter().map(|id| cells![id]).collect();
        let found: Vec<DeliveryRow> = OF_RECORDS
            .fetch(tx, &given)
            .await
            .map_err(StoreError::while_doing("read deliveries"))?;
        let mut rows: HashMap<String, Vec<DeliveryRow>> = HashMap::new();
        for row in found {
            rows.entry(row.record_id.clone()).or_default().push(row);
        }
        for rows in rows.values_mut() {
            rows.sort_by(|a, b| a.platform.cmp(&b.platform));
        }
        Ok(Self { rows })
    }

    fn of(&self, record_id: &RecordId) -> &[DeliveryRow] {
        self.rows
            .get(record_id.as_str())
            .map_or(&[], |rows| rows.as_slice())
    }

    /// Returns the short answers about the deliveries of one record as they were read.
    pub(super) fn heads(&self, record_id: &RecordId) -> Result<Vec<DeliveryHead>, StoreError> {
        self.of(record_id).iter().map(DeliveryRow::head).collect()
    }
}

/// Moves the deliveries of all `changes`, at most one per record, and opens missing ones. Returns
/// the short answers, one list per change.
pub(super) async fn move_deliveries(
    tx: &mut Tx,
    changes: &[Change<'_>],
    before: &Deliveries,
) -> Result<Vec<Vec<DeliveryHead>>, StoreError> {
    let mut moved = Vec::new();
    let mut opened = Vec::new();
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let mut heads = Vec::new();
        for row in before.of(change.record_id) {
            let mut head = row.head()?;
            if let Some(position) = steer(row, &row.position()?, change) {
                head.wanted = position.wanted;
                head.version = position.version;
                head.state = position.state;
                head.updated_at = change.now;
                moved.push((row.id.as_str(), position, change.now));
            }
            heads.push(head);
        }
        let missing: Vec<DeliveryHead> = missing_platforms(change, &heads)
            .map(|platform| open(platform, change))
            .collect();
        opened.extend(missing.iter().map(|head| (change, head.clone())));
        heads.extend(missing);
        heads.sort_by(|a, b| a.platform.cmp(&b.platform));
        answers.push(heads);
    }
    write_moved(tx, &moved).await?;
    write_opened(tx, &opened).await?;
    Ok(answers)
}

/// Returns where the row goes; `None` when the change does not concern it.
fn steer(row: &DeliveryRow, now: &Position, change: &Change<'_>) -> Option<Position> {
    let routed = change.platforms.contains(&row.platform);
    let ever_left = row.claimed > 0 || row.shown_version.is_some();
    let taken_down = now.wanted == Wanted::Gone
        && matches!(now.state, DeliveryState::Withdrawn | DeliveryState::Skipped);
    let send = |wanted| Some(send(row, now, wanted, change));
    let hold = |version| Some(hold(now, version));
    match change.intent {
        Intent::Show if routed => send(Wanted::Shown),
        Intent::Show | Intent::Gone if taken_down => Some(Position {
            version: change.version,
            ..now.clone()
        }),
        Intent::Show | Intent::Gone if ever_left => send(Wanted::Gone),
        Intent::Show | Intent::Gone => Some(Position {
            wanted: Wanted::Gone,
            version: change.version,
            state: DeliveryState::Skipped,
            held: false,
            due_at: None,
        }),
        Intent::Hold | Intent::Seal if taken_down && !routed => None,
        Intent::Hold | Intent::Seal if taken_down || !ever_left => hold(change.version),
        Intent::Seal => send(Wanted::Gone),
        // A take-down that is still on its way must go on.
        Intent::Hold if now.wanted == Wanted::Gone => None,
        Intent::Hold => hold(now.version),
    }
}

/// Due at once; a row that a sender holds right now stays with that sender, who will find at
/// settling that there is something newer.
fn send(row: &DeliveryRow, now: &Position, wanted: Wanted, change: &Change<'_>) -> Position {
    let sending = now.state == DeliveryState::Sending;
    Position {
        wanted,
        version: change.version,
        state: if sending {
            DeliveryState::Sending
        } else {
            DeliveryState::Queued
        },
        held: false,
        due_at: if sending {
            row.lease_until
        } else {
            Some(change.now)
        },
    }
}

/// Never due; what a sender does right now ends in `held`.
fn hold(now: &Position, version: i64) -> Position {
    Position {
        wanted: Wanted::Shown,
        version,
        state: if now.state == DeliveryState::Sending {
            DeliveryState::Sending
        } else {
            DeliveryState::Held
        },
        held: true,
        due_at: None,
    }
}

fn missing_platforms<'a>(
    change: &'a Change<'_>,
    heads: &'a [DeliveryHead],
) -> impl Iterator<Item = &'a String> {
    let wanted = match change.intent {
        Intent::Show | Intent::Hold | Intent::Seal => change.platforms,
        Intent::Gone => &[],
    };
    wanted
        .iter()
        .enumerate()
        .filter(move |(index, platform)| {
            !heads.iter().any(|head| head.platform == **platform)
                && !wanted[..*index].contains(platform)
        })
        .map(|(_, platform)| platform)
}

fn open(platform: &str, change: &Change<'_>) -> DeliveryHead {
    DeliveryHead {
        id: DeliveryId::generate(),
        platform: platform.to_owned(),
        wanted: Wanted::Shown,
        version: change.version,
        state: match change.intent {
            Intent::Show | Intent::Gone => DeliveryState::Queued,
            Intent::Hold | Intent::Seal => DeliveryState::Held,
        },
        shown_version: None,
        remote_url: None,
        updated_at: change.now,
    }
}

async fn write_moved(tx: &mut Tx, moved: &[(&str, Position, i64)]) -> Result<(), StoreError> {
    let given: Vec<_> = moved
        .iter()
        .map(|(id, position, now)| {
            cells![
                *id,
                position.wanted.as_str(),
                position.version,
                position.state.as_str(),
                position.held,
                position.due_at,
                *now,
            ]
        })
        .collect();
    MOVE.execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("move deliveries"))?;
    Ok(())
}

async fn write_opened(
    tx: &mut Tx,
    opened: &[(&Change<'_>, DeliveryHead)],
) -> Result<(), StoreError> {
    let given: Vec<_> = opened
        .iter()
        .map(|(change, head)| {
            let held = head.state == DeliveryState::Held;
            cells![
                head.id.as_str(),
                change.record_id.as_str(),
                &head.platform,
                head.version,
                head.state.as_str(),
                held,
                (!held).then_some(change.now),
                change.now,
            ]
        })
        .collect();
    OPEN.execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("open deliveries"))?;
    Ok(())
}

impl DeliveryRow {
    fn position(&self) -> Result<Position, StoreError> {
        Ok(Position {
            wanted: parse_wanted(&self.wanted, &self.id)?,
            version: self.version,
            state: parse_state(&self.state, &self.id)?,
            held: self.held,
            due_at: self.due_at,
        })
    }

    fn head(&self) -> Result<DeliveryHead, StoreError> {
        Ok(DeliveryHead {
            id: DeliveryId::from(self.id.clone()),
            platform: self.platform.clone(),
            wanted: parse_wanted(&self.wanted, &self.id)?,
            version: self.version,
            state: parse_state(&self.state, &self.id)?,
            shown_version: self.shown_version,
            remote_url: self.remote_url.clone(),
            updated_at: self.updated_at,
        })
    }
}

/// Understands the word of a `wanted` column.
pub(super) fn parse_wanted(word: &str, id: &str) -> Result<Wanted, StoreError> {
    Wanted::parse(word).ok_or_else(|| StoreError::corrupt("deliveries.wanted", id))
}

/// Understands the word of a `state` column of deliveries.
pub(super) fn parse_state(word: &str, id: &str) -> Result<DeliveryState, StoreError> {
    DeliveryState::parse(word).ok_or_else(|| StoreError::corrupt("deliveries.state", id))
}
