//! Opens deliveries anew on the version that their platform has now.

use super::super::bulk::{Bulk, Kind, cells};
use super::super::db::{Tx, row};
use super::super::submit::{Known, parse_json, read_by_ids};
use super::super::{RecordState, StoreError};
use super::{Change, Deliveries, DeliveryRow, Position, open, write_moved, write_opened};
use crate::record::life::{self, Due, Event, Intent};
use crate::record::{DeliveryState, RecordId, platform_of};
use std::collections::HashSet;

/// A delivery on the version before, to be opened anew.
pub(in crate::store) struct Old {
    pub(in crate::store) delivery: String,
    pub(in crate::store) record: RecordId,
}

/// What became of it.
pub(in crate::store) enum Relocated {
    /// The delivery that shows the record now, or will; `due` when it waits for a sender now.
    To(New),
    /// The new delivery is in another replay.
    Busy,
    /// There is nothing to open: the record is no longer to be shown there.
    NoNeed,
}

/// The delivery on the version that the platform has now, as a replay freezes it.
pub(in crate::store) struct New {
    pub(in crate::store) delivery: String,
    pub(in crate::store) platform: String,
    pub(in crate::store) version: i64,
    pub(in crate::store) claimed: i64,
    pub(in crate::store) state: DeliveryState,
    pub(in crate::store) due: bool,
}

row! {
    /// A delivery in a replay that has not ended.
    struct BusyRow { id: String }
}

static BUSY: Bulk = Bulk::new(
    &[("id", Kind::Text)],
    "SELECT given.id FROM given JOIN replay_items o ON o.delivery_id = given.id \
     WHERE o.outcome IS NULL",
);

/// All texts of this file, for the test that prepares them.
#[cfg(test)]
pub(in crate::store) static BULKS: [&Bulk; 1] = [&BUSY];

/// Opens each of `olds`, all on one version before of one platform, on the version that the
/// platform has now, and takes back what failed on the old one and is not shown there. What is
/// there already is only sent again when it failed. Answers in the order of `olds`.
pub(in crate::store) async fn relocate(
    tx: &mut Tx,
    olds: &[Old],
    now: i64,
) -> Result<Vec<Relocated>, StoreError> {
    let ids: Vec<String> = olds.iter().map(|it| it.record.to_string()).collect();
    // On PostgreSQL the records are locked, so that nobody opens the same delivery meanwhile.
    let known = read_by_ids(tx, &ids).await?;
    let records: Vec<&str> = ids.iter().map(String::as_str).collect();
    let deliveries = Deliveries::read(tx, &records).await?;
    let busy = busy(tx, &deliveries).await?;
    let routes: Vec<Vec<String>> = known
        .iter()
        .map(|it| parse_json(&it.platforms, "versions.platforms", it.id.as_str()))
        .collect::<Result<_, _>>()?;
    let changes: Vec<Change<'_>> = known.iter().zip(&routes).map(change_at(now)).collect();
    let (mut moved, mut opened) = (Vec::new(), Vec::new());
    let mut answers = Vec::with_capacity(olds.len());
    for old in olds {
        let found = known
            .iter()
            .zip(&changes)
            .find(|(it, _)| it.id == old.record);
        let rows = deliveries.of(&old.record);
        let row = rows.iter().find(|row| row.id == old.delivery);
        let (Some((known, change)), Some(row)) = (found, row) else {
            answers.push(Relocated::NoNeed);
            continue;
        };
        let platform = platform_of(&row.platform);
        let routed = change.platforms.iter().any(|it| it == platform);
        if known.state != RecordState::Live || !routed {
            answers.push(Relocated::NoNeed);
            continue;
        }
        let answer = match rows.iter().find(|row| row.platform == platform) {
            Some(new) if busy.contains(&new.id) => Relocated::Busy,
            Some(new) => {
                let again = send_again(new, now)?;
                let due = again.is_some();
                moved.extend(again.map(|position| (new.id.as_str(), position, change)));
                Relocated::To(new.frozen(due)?)
            }
            None => {
                let head = open(platform, change);
                let new = New {
                    delivery: head.id.to_string(),
                    platform: platform.to_owned(),
                    version: head.version,
                    claimed: 0,
                    state: head.state,
                    due: true,
                };
                opened.push((change, head, None));
                Relocated::To(new)
            }
        };
        if matches!(answer, Relocated::To(_)) {
            let closed = close(row)?;
            moved.extend(closed.map(|position| (row.id.as_str(), position, change)));
        }
        answers.push(answer);
    }
    write_moved(tx, &moved).await?;
    write_opened(tx, &opened).await?;
    Ok(answers)
}

fn change_at<'a>(now: i64) -> impl Fn((&'a Known, &'a Vec<String>)) -> Change<'a> {
    move |(known, platforms)| Change {
        record_id: &known.id,
        version: known.version,
        intent: Intent::Show,
        platforms,
        ahead: false,
        now,
    }
}

async fn busy(tx: &mut Tx, deliveries: &Deliveries) -> Result<HashSet<String>, StoreError> {
    let rows = deliveries.rows.values().flatten();
    let given: Vec<_> = rows.map(|row| cells![&row.id]).collect();
    let found: Vec<BusyRow> = BUSY
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("read live replays"))?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// Returns where a delivery goes that failed at the new address already.
fn send_again(row: &DeliveryRow, now: i64) -> Result<Option<Position>, StoreError> {
    let standing = row.standing()?;
    let again = Event::Replayed {
        again: false,
        lost: false,
    };
    Ok(life::next(&standing, again)
        .filter(|_| standing.state == DeliveryState::Failed)
        .map(|step| Position {
            wanted: step.wanted,
            version: row.version,
            state: step.state,
            held: step.held,
            due_at: (step.due == Due::Now).then_some(now),
        }))
}

/// Returns where the old delivery goes that would otherwise be tried there once more, or stay as a
/// failure. What is there, or may be there after a lost answer, stays and follows its record.
fn close(row: &DeliveryRow) -> Result<Option<Position>, StoreError> {
    let standing = row.standing()?;
    let fails = matches!(
        standing.state,
        DeliveryState::Failed | DeliveryState::Retrying
    );
    Ok(life::next(&standing, Event::GivenUp)
        .filter(|_| fails && !standing.shows_some && row.settled >= row.claimed)
        .map(|step| Position {
            wanted: step.wanted,
            version: row.version,
            state: step.state,
            held: step.held,
            due_at: None,
        }))
}

impl DeliveryRow {
    fn frozen(&self, due: bool) -> Result<New, StoreError> {
        Ok(New {
            delivery: self.id.clone(),
            platform: self.platform.clone(),
            version: self.version,
            claimed: self.claimed,
            state: match due {
                true => DeliveryState::Queued,
                false => super::parse_state(&self.state, &self.id)?,
            },
            due,
        })
    }
}
