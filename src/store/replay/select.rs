//! Finds what a replay takes, and gives it a name that a changed selection does not have.

use super::super::bulk::{bind_cells, cells};
use super::super::condition::Condition;
use super::super::db::{Tx, on, row};
use super::{REPLAY_MAX, ReplayWay};
use crate::record::{DeliveryId, DeliveryState, RecordId, ReplayId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;

/// Which deliveries a replay takes; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplaySelection {
    /// These only; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<DeliveryId>,
    /// A failure group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// One record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<RecordId>,
    /// The platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Code of the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Key of the area.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// Where the delivery stands; empty: anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<DeliveryState>,
    /// Failed (or last changed) at or after, unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Failed (or last changed) before, unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}

row! {
    /// A delivery that a replay takes.
    struct SelectedRow {
        id: String,
        record_id: String,
        platform: String,
        state: String,
        failure_group: Option<String>,
        version: i64,
        claimed: i64,
        updated_at: i64,
    }
}

row! {
    /// A delivery that a replay has frozen.
    struct FrozenRow { delivery_id: String, version_before: i64, claimed_before: i64 }
}

/// What may be sent again: neither held, nor on its way already, nor without need, nor in the
/// hands of another replay.
macro_rules! eligible {
    () => {
        "NOT d.held AND d.state IN \
         ('retrying', 'delivered', 'confirmed', 'failed', 'withdrawn') \
         AND NOT EXISTS (SELECT 1 FROM replay_items o WHERE o.delivery_id = d.id \
         AND o.outcome IS NULL)"
    };
}

/// Adds what `selection` asks for.
pub(super) fn narrow<'a>(condition: &mut Condition<'a>, selection: &'a ReplaySelection) {
    condition.and_in("d.id", selection.deliveries.iter().map(DeliveryId::as_str));
    if let Some(group) = &selection.group {
        condition.and(
            "d.state = 'failed' AND d.failure_group = ?",
            [group.as_str().into()],
        );
    }
    condition.and_if(
        "d.record_id = ?",
        selection.record_id.as_ref().map(RecordId::as_str),
    );
    condition.and_if("d.platform = ?", selection.platform.as_deref());
    condition.and_if("r.unit_code = ?", selection.unit.as_deref());
    condition.and_if("r.area = ?", selection.area.as_deref());
    condition.and_in("d.state", selection.states.iter().map(|it| it.as_str()));
    condition.and_if("d.updated_at >= ?", selection.from);
    condition.and_if("d.updated_at < ?", selection.to);
}

fn eligible<'a>(condition: &mut Condition<'a>, selection: &'a ReplaySelection, way: ReplayWay) {
    condition.and(eligible!(), []);
    match way {
        ReplayWay::Current => {}
        // What shall be gone has no bytes to repeat and is missed by nobody.
        ReplayWay::Identical | ReplayWay::Refill | ReplayWay::Move => {
            condition.and("d.wanted = 'shown'", [])
        }
    }
    narrow(condition, selection);
}

/// Returns text and condition of what reads a selection, one more than may be taken.
pub(super) fn read<'a>(selection: &'a ReplaySelection, way: ReplayWay) -> (String, Condition<'a>) {
    let mut condition = Condition::default();
    eligible(&mut condition, selection, way);
    let text = format!(
        "SELECT d.id, d.record_id, d.platform, d.state, d.failure_group, d.version, d.claimed, \
         d.updated_at FROM deliveries d JOIN records r ON r.id = d.record_id{} LIMIT {}",
        condition.text(),
        REPLAY_MAX + 1
    );
    (text, condition)
}

/// Freezes what is taken and returns it.
pub(super) async fn freeze(
    tx: &mut Tx,
    replay_id: &ReplayId,
    selection: &ReplaySelection,
    way: ReplayWay,
) -> Result<Vec<FrozenRow>, sqlx::Error> {
    let mut condition = Condition::after(cells![replay_id.as_str()]);
    eligible(&mut condition, selection, way);
    let text = freeze_text(&condition);
    on!(tx, |c| bind_cells!(
        sqlx::query_as(AssertSqlSafe(text)),
        condition.cells()
    )
    .fetch_all(&mut **c)
    .await)
}

fn freeze_text(condition: &Condition<'_>) -> String {
    format!(
        "INSERT INTO replay_items (replay_id, delivery_id, position, claimed_before, \
         version_before, state_before, due_before, settled_before, tries_before, \
         first_tried_before, shown_before, remote_id_before, remote_url_before, updated_before) \
         SELECT $1, d.id, ROW_NUMBER() OVER (ORDER BY d.id) - 1, d.claimed, d.version, d.state, \
         d.due_at, d.settled, d.tries, d.first_tried_at, d.shown_version, d.remote_id, \
         d.remote_url, d.updated_at FROM deliveries d JOIN records r ON r.id = d.record_id{} \
         LIMIT {} RETURNING delivery_id, version_before, claimed_before",
        condition.text(),
        REPLAY_MAX + 1
    )
}

/// Returns the name of a selection: of the deliveries in it, of where each stands, and of what is
/// done to them. A try or a correction of any of them changes it.
pub(super) fn hash<'a>(
    way: ReplayWay,
    rows: impl IntoIterator<Item = (&'a str, i64, i64)>,
) -> String {
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|(id, version, claimed)| format!("{id} {version} {claimed}\n"))
        .collect();
    lines.sort_unstable();
    let mut digest = Sha256::new();
    digest.update(way.as_str());
    for line in &lines {
        digest.update(line);
    }
    hex::encode(&digest.finalize()[..8])
}

/// Returns the name of what was frozen.
pub(super) fn hash_of(way: ReplayWay, frozen: &[FrozenRow]) -> String {
    let rows = frozen.iter().map(|row| {
        (
            row.delivery_id.as_str(),
            row.version_before,
            row.claimed_before,
        )
    });
    hash(way, rows)
}

/// Returns the texts of the widest selections, for the test that prepares them.
#[cfg(test)]
pub(in crate::store) fn filter_texts() -> Vec<String> {
    let wide = ReplaySelection {
        group: Some(String::new()),
        record_id: None,
        deliveries: Vec::new(),
        platform: Some(String::new()),
        unit: Some(String::new()),
        area: Some(String::new()),
        states: vec![DeliveryState::Failed, DeliveryState::Confirmed],
        from: Some(0),
        to: Some(0),
    };
    let named = ReplaySelection {
        deliveries: vec![DeliveryId::generate(), DeliveryId::generate()],
        ..ReplaySelection::default()
    };
    let one = ReplaySelection {
        record_id: Some(RecordId::generate()),
        ..ReplaySelection::default()
    };
    let states = ReplaySelection {
        states: vec![DeliveryState::Failed],
        ..ReplaySelection::default()
    };
    let mut texts = Vec::new();
    for selection in [&wide, &named, &one, &states] {
        for way in [ReplayWay::Current, ReplayWay::Refill] {
            texts.push(read(selection, way).0);
            let mut condition = Condition::after(cells![""]);
            eligible(&mut condition, selection, way);
            texts.push(freeze_text(&condition));
        }
        texts.push(super::progress::new_failures_text(selection, 0, "").0);
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_selection_knows_what_is_in_it_and_where_it_stands() {
        let name = |rows: &[(&str, i64, i64)]| hash(ReplayWay::Current, rows.iter().copied());
        let one = name(&[("a", 1, 2), ("b", 1, 3)]);
        assert_eq!(one, name(&[("b", 1, 3), ("a", 1, 2)]), "in any order");
        for other in [
            name(&[("a", 1, 2)]),
            name(&[("a", 2, 2), ("b", 1, 3)]),
            name(&[("a", 1, 3), ("b", 1, 3)]),
            hash(ReplayWay::Refill, [("a", 1, 2), ("b", 1, 3)]),
        ] {
            assert_ne!(one, other);
        }
    }
}
