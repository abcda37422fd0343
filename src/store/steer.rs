//! Moves the deliveries of a record when the record changes.
//!
//! [`crate::record::life`] decides for each row; [`move_deliveries`] reads the rows, locked on
//! PostgreSQL, and writes what was decided.

mod relocate;

use super::bulk::{Bulk, Kind, cells};
use super::db::{Tx, row};
use super::standby::{Handover, Lease};
use super::{DeliveryHead, StoreError};
use crate::record::life::{self, Due, Event, Intent, Standing};
use crate::record::{DeliveryId, DeliveryState, RecordId, Wanted, is_previous, platform_of};
pub(super) use relocate::{Old, Relocated, relocate};
use std::collections::HashMap;

/// A record that has got a new version.
#[derive(Debug, Clone)]
pub(super) struct Change<'a> {
    pub(super) record_id: &'a RecordId,
    pub(super) version: i64,
    pub(super) intent: Intent,
    /// The platforms that the version was routed to.
    pub(super) platforms: &'a [String],
    /// Whether it may go ahead of what waits longer.
    pub(super) ahead: bool,
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
        settled: i64,
        lease_until: Option<i64>,
        tries: i64,
        shown_version: Option<i64>,
        remote_id: Option<String>,
        remote_url: Option<String>,
        updated_at: i64,
    }
}

/// Where a delivery goes.
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
     d.claimed, d.settled, d.lease_until, d.tries, d.shown_version, d.remote_id, \
     d.remote_url, d.updated_at \
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
        ("ahead", Kind::Bool),
        ("now", Kind::Int),
    ],
    "UPDATE deliveries SET wanted = given.wanted, version = given.version, state = given.state, \
     held = given.held, due_at = given.due_at, ahead = given.ahead, \
     offered_at = given.now, tries = 0, first_tried_at = NULL, \
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
        ("ahead", Kind::Bool),
        ("claimed", Kind::Int),
        ("claimed_version", Kind::Int),
        ("lease_owner", Kind::Text),
        ("lease_until", Kind::Int),
        ("now", Kind::Int),
    ],
    "INSERT INTO deliveries (id, record_id, platform, wanted, version, state, held, due_at, \
     ahead, offered_at, claimed, claimed_version, settled, tries, lease_owner, lease_until, \
     created_at, updated_at) \
     SELECT id, record_id, platform, 'shown', version, state, held, due_at, ahead, now, claimed, \
     claimed_version, 0, 0, lease_owner, lease_until, now, now FROM given",
);

/// All texts of this file, for the test that prepares them.
#[cfg(test)]
pub(super) fn bulks() -> Vec<&'static Bulk> {
    [&[&OF_RECORDS, &MOVE, &OPEN][..], &relocate::BULKS].concat()
}

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

/// Moves the deliveries of all `changes`, at most one per record, and opens missing ones, those
/// that `handover` has room for in the hands of its sender. Returns the short answers, one list
/// per change.
pub(super) async fn move_deliveries(
    tx: &mut Tx,
    changes: &[Change<'_>],
    before: &Deliveries,
    handover: &mut Handover,
) -> Result<Vec<Vec<DeliveryHead>>, StoreError> {
    let mut moved = Vec::new();
    let mut opened = Vec::new();
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let mut heads = Vec::new();
        for row in before.of(change.record_id) {
            let mut head = row.head()?;
            if let Some(position) = steer(row, change)? {
                head.wanted = position.wanted;
                head.version = position.version;
                head.state = position.state;
                head.updated_at = change.now;
                moved.push((row.id.as_str(), position, change));
            }
            heads.push(head);
        }
        let missing: Vec<DeliveryHead> = missing_platforms(change, &heads)
            .map(|platform| open(platform, change))
            .collect();
        for mut head in missing {
            let lease = match head.state {
                DeliveryState::Queued => {
                    handover.give(&head.platform, &head.id, change.record_id, change.version)
                }
                _ => None,
            };
            if lease.is_some() {
                head.state = DeliveryState::Sending;
            }
            opened.push((change, head.clone(), lease));
            heads.push(head);
        }
        heads.sort_by(|a, b| a.platform.cmp(&b.platform));
        answers.push(heads);
    }
    write_moved(tx, &moved).await?;
    write_opened(tx, &opened).await?;
    Ok(answers)
}

/// Returns where the row goes; `None` when the change does not concern it.
fn steer(row: &DeliveryRow, change: &Change<'_>) -> Result<Option<Position>, StoreError> {
    let (now, intent) = (row.standing()?, change.intent);
    // Routed is the platform, whichever of its versions has the delivery.
    let platform = platform_of(&row.platform);
    let routed = change.platforms.iter().any(|it| it == platform);
    if is_previous(&row.platform) && !life::concerns_previous(&now, intent, routed) {
        return Ok(None);
    }
    let step = life::next(&now, Event::RecordChanged { intent, routed });
    Ok(step.map(|step| Position {
        wanted: step.wanted,
        version: match step.newest {
            true => change.version,
            false => row.version,
        },
        state: step.state,
        held: step.held,
        due_at: match step.due {
            Due::Never | Due::AsTold => None,
            Due::Now => Some(change.now),
            Due::LeaseEnd => row.lease_until,
            Due::Same => row.due_at,
        },
    }))
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
        state: life::opened(change.intent),
        shown_version: None,
        remote_url: None,
        updated_at: change.now,
    }
}

async fn write_moved(
    tx: &mut Tx,
    moved: &[(&str, Position, &Change<'_>)],
) -> Result<(), StoreError> {
    let given: Vec<_> = moved
        .iter()
        .map(|(id, position, change)| {
            cells![
                *id,
                position.wanted.as_str(),
                position.version,
                position.state.as_str(),
                position.held,
                position.due_at,
                change.ahead,
                change.now,
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
    opened: &[(&Change<'_>, DeliveryHead, Option<Lease>)],
) -> Result<(), StoreError> {
    let given: Vec<_> = opened
        .iter()
        .map(|(change, head, lease)| {
            let lease = lease.as_ref();
            let held = head.state == DeliveryState::Held;
            cells![
                head.id.as_str(),
                change.record_id.as_str(),
                &head.platform,
                head.version,
                head.state.as_str(),
                held,
                lease
                    .map(|lease| lease.until)
                    .or((!held).then_some(change.now)),
                // Who is taken at once has had its turn.
                change.ahead && lease.is_none(),
                i64::from(lease.is_some()),
                lease.map(|_| head.version),
                lease.map(|lease| lease.owner.as_str()),
                lease.map(|lease| lease.until),
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
    fn standing(&self) -> Result<Standing, StoreError> {
        let wanted = parse_wanted(&self.wanted, &self.id)?;
        Ok(Standing {
            wanted,
            state: parse_state(&self.state, &self.id)?,
            held: self.held,
            // What a person did by hand was never claimed, and is in doubt.
            ever_left: self.claimed > 0
                || self.settled < self.claimed
                || self.shown_version.is_some(),
            shows_some: self.shown_version.is_some(),
            is_shown: wanted == Wanted::Shown && self.shown_version == Some(self.version),
            was_tried: self.tries > 0,
            has_remote: self.remote_id.is_some(),
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
