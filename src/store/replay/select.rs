//! Finds what a replay takes.

use super::super::bulk::{Bulk, Kind, bind_cells, cells};
use super::super::condition::Condition;
use super::super::db::{Tx, on, row};
use super::distinct;
use crate::record::{DeliveryId, DeliveryState, RecordId, ReplayId};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;

/// What to send again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplaySelection {
    /// All that pass.
    Filter(ReplayFilter),
    /// These.
    Deliveries(Vec<DeliveryId>),
    /// The failures of one group.
    Group(String),
}

/// Which deliveries a replay takes; all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayFilter {
    /// The platform.
    pub platform: Option<String>,
    /// Where the delivery stands.
    pub state: Option<DeliveryState>,
    /// Code of the unit.
    pub unit: Option<String>,
    /// Key of the area.
    pub area: Option<String>,
    /// One record.
    pub record_id: Option<RecordId>,
    /// Changed at or after, unix milliseconds.
    pub from: Option<i64>,
    /// Changed before, unix milliseconds.
    pub to: Option<i64>,
}

row! {
    /// A delivery that a replay takes.
    struct SelectedRow { platform: String, state: String }
}

/// What may be sent again: neither held, nor on its way already, nor without need.
macro_rules! eligible {
    () => {
        "NOT d.held AND d.state IN \
         ('retrying', 'delivered', 'confirmed', 'failed', 'withdrawn')"
    };
}

macro_rules! insert_items {
    () => {
        "INSERT INTO replay_items (replay_id, delivery_id, position, claimed_before, \
         version_before, state_before, due_before) "
    };
}

static COUNT_THESE: Bulk = Bulk::new(
    &[("id", Kind::Text)],
    concat!(
        "SELECT d.platform, d.state FROM given JOIN deliveries d ON d.id = given.id WHERE ",
        eligible!()
    ),
);

static FREEZE_THESE: Bulk = Bulk::new(
    &[
        ("replay_id", Kind::Text),
        ("id", Kind::Text),
        ("position", Kind::Int),
    ],
    concat!(
        insert_items!(),
        "SELECT given.replay_id, d.id, given.position, d.claimed, d.version, d.state, d.due_at \
         FROM given JOIN deliveries d ON d.id = given.id WHERE ",
        eligible!()
    ),
);

#[cfg(test)]
pub(in crate::store) static BULKS: [&Bulk; 2] = [&COUNT_THESE, &FREEZE_THESE];

/// Counts what would be taken as (platform, state, count).
pub(super) async fn count(
    tx: &mut Tx,
    selection: &ReplaySelection,
) -> Result<Vec<(String, String, i64)>, sqlx::Error> {
    if let ReplaySelection::Deliveries(ids) = selection {
        let given: Vec<_> = distinct(ids)
            .into_iter()
            .map(|id| cells![id.as_str()])
            .collect();
        let rows: Vec<SelectedRow> = COUNT_THESE.fetch(tx, &given).await?;
        let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
        for row in rows {
            *counts.entry((row.platform, row.state)).or_default() += 1;
        }
        return Ok(counts
            .into_iter()
            .map(|((platform, state), count)| (platform, state, count))
            .collect());
    }
    let mut condition = Condition::default();
    select(&mut condition, selection);
    let text = count_text(&condition);
    on!(tx, |c| bind_cells!(
        sqlx::query_as(AssertSqlSafe(text)),
        condition.cells()
    )
    .fetch_all(&mut **c)
    .await)
}

/// Freezes what is taken and returns how many.
pub(super) async fn freeze(
    tx: &mut Tx,
    replay_id: &ReplayId,
    selection: &ReplaySelection,
) -> Result<i64, sqlx::Error> {
    if let ReplaySelection::Deliveries(ids) = selection {
        let given: Vec<_> = distinct(ids)
            .into_iter()
            .enumerate()
            .map(|(position, id)| cells![replay_id.as_str(), id.as_str(), position as i64])
            .collect();
        return Ok(FREEZE_THESE.execute(tx, &given).await? as i64);
    }
    let mut condition = Condition::after(cells![replay_id.as_str()]);
    select(&mut condition, selection);
    let text = freeze_text(&condition);
    let frozen = on!(tx, |c| bind_cells!(
        sqlx::query(AssertSqlSafe(text)),
        condition.cells()
    )
    .execute(&mut **c)
    .await?
    .rows_affected());
    Ok(frozen as i64)
}

fn select<'a>(condition: &mut Condition<'a>, selection: &'a ReplaySelection) {
    condition.and(eligible!(), []);
    match selection {
        ReplaySelection::Filter(filter) => {
            condition.and_if("d.platform = ?", filter.platform.as_deref());
            condition.and_if("d.state = ?", filter.state.map(DeliveryState::as_str));
            condition.and_if("r.unit_code = ?", filter.unit.as_deref());
            condition.and_if("r.area = ?", filter.area.as_deref());
            condition.and_if(
                "d.record_id = ?",
                filter.record_id.as_ref().map(RecordId::as_str),
            );
            condition.and_if("d.updated_at >= ?", filter.from);
            condition.and_if("d.updated_at < ?", filter.to);
        }
        ReplaySelection::Group(group) => {
            condition.and(
                "d.state = 'failed' AND d.failure_group = ?",
                [group.as_str().into()],
            );
        }
        ReplaySelection::Deliveries(_) => unreachable!("a list of ids needs no condition"),
    }
}

fn count_text(condition: &Condition<'_>) -> String {
    format!(
        "SELECT d.platform, d.state, COUNT(*) AS count FROM deliveries d \
         JOIN records r ON r.id = d.record_id{} \
         GROUP BY d.platform, d.state ORDER BY d.platform, d.state",
        condition.text()
    )
}

fn freeze_text(condition: &Condition<'_>) -> String {
    format!(
        "{}SELECT $1, d.id, ROW_NUMBER() OVER (ORDER BY d.id) - 1, d.claimed, d.version, \
         d.state, d.due_at FROM deliveries d JOIN records r ON r.id = d.record_id{}",
        insert_items!(),
        condition.text()
    )
}

/// Returns the texts of the widest selections, for the test that prepares them.
#[cfg(test)]
pub(in crate::store) fn filter_texts() -> Vec<String> {
    let filter = ReplaySelection::Filter(ReplayFilter {
        platform: Some(String::new()),
        state: Some(DeliveryState::Failed),
        unit: Some(String::new()),
        area: Some(String::new()),
        record_id: Some(RecordId::generate()),
        from: Some(0),
        to: Some(0),
    });
    let group = ReplaySelection::Group(String::new());
    let mut texts = Vec::new();
    for selection in [&filter, &group] {
        let mut condition = Condition::default();
        select(&mut condition, selection);
        texts.push(count_text(&condition));
        let mut condition = Condition::after(cells![""]);
        select(&mut condition, selection);
        texts.push(freeze_text(&condition));
    }
    texts
}
