//! A replay that brings what the version before shows to the version that a platform has now.
//!
//! What is frozen is what the operator sees: deliveries on the old version. When its turn comes,
//! each is exchanged on the list for the delivery on the new version, which is opened when there
//! is none; the outcome is that of the new one.

use super::super::StoreError;
use super::super::bulk::{Bulk, Kind, cells};
use super::super::db::{Tx, on, row};
use super::super::steer::{Old, Relocated, relocate};
use super::step::DueRow;
use crate::record::ReplayId;

row! {
    /// A delivery on the old version whose turn has come.
    struct MarkedRow { id: String, record_id: String }
}

const MARKED: &str = "SELECT d.id, d.record_id FROM replay_items i \
     JOIN deliveries d ON d.id = i.delivery_id \
     WHERE i.replay_id = $1 AND i.started_at = $2 AND i.outcome IS NULL AND NOT d.held \
     AND d.wanted = 'shown' AND d.version = i.version_before ORDER BY d.id";

static EXCHANGE: Bulk = Bulk::new(
    &[
        ("replay", Kind::Text),
        ("old", Kind::Text),
        ("id", Kind::Text),
        ("version", Kind::Int),
        ("claimed", Kind::Int),
        ("state", Kind::Text),
    ],
    "UPDATE replay_items SET delivery_id = given.id, version_before = given.version, \
     claimed_before = given.claimed, state_before = given.state FROM given \
     WHERE replay_items.replay_id = given.replay AND replay_items.delivery_id = given.old",
);
static SKIP: Bulk = Bulk::new(
    &[
        ("replay", Kind::Text),
        ("old", Kind::Text),
        ("reason", Kind::Text),
        ("now", Kind::Int),
    ],
    "UPDATE replay_items SET outcome = 'skipped', outcome_detail = given.reason, \
     ended_at = given.now FROM given \
     WHERE replay_items.replay_id = given.replay AND replay_items.delivery_id = given.old",
);

#[cfg(test)]
pub(super) const SHARED: [&str; 1] = [MARKED];
#[cfg(test)]
pub(in crate::store) static BULKS: [&Bulk; 2] = [&EXCHANGE, &SKIP];

/// Opens what was marked at `now` on the version that its platform has now; returns what is due,
/// and how many have ended at once.
pub(super) async fn transfer(
    tx: &mut Tx,
    id: &ReplayId,
    now: i64,
) -> Result<(Vec<DueRow>, i64), StoreError> {
    let failed = StoreError::while_doing("move a replay's deliveries");
    let rows: Vec<MarkedRow> = on!(&mut *tx, |c| sqlx::query_as(MARKED)
        .bind(id.as_str())
        .bind(now)
        .fetch_all(&mut **c)
        .await)
    .map_err(&failed)?;
    let olds: Vec<Old> = rows
        .into_iter()
        .map(|row| Old {
            delivery: row.id,
            record: row.record_id.into(),
        })
        .collect();
    let relocated = relocate(tx, &olds, now).await?;
    let (mut due, mut exchanged, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for (old, relocated) in olds.iter().zip(&relocated) {
        let (replay, old) = (id.as_str(), old.delivery.as_str());
        match relocated {
            Relocated::To(new) => {
                exchanged.push(cells![
                    replay,
                    old,
                    &new.delivery,
                    new.version,
                    new.claimed,
                    new.state.as_str(),
                ]);
                if new.due {
                    due.push(DueRow {
                        id: new.delivery.clone(),
                        platform: new.platform.clone(),
                    });
                }
            }
            Relocated::Busy => skipped.push(cells![replay, old, "in_another_replay", now]),
            Relocated::NoNeed => skipped.push(cells![replay, old, "no_need", now]),
        }
    }
    EXCHANGE.execute(tx, &exchanged).await.map_err(&failed)?;
    SKIP.execute(tx, &skipped).await.map_err(&failed)?;
    Ok((due, skipped.len() as i64))
}
