//! Failures that need a person, gathered by cause.

use super::bulk::{Bulk, Kind, cells};
use super::db::{Tx, row};
use super::outage::read;
use super::{Settled, Settlement, Store, StoreError};
use crate::record::{DeliveryId, RecordId};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many groups are read, the largest.
const GROUPS_MAX: i64 = 500;

/// Failures with one cause on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureGroup {
    /// The name of the group, for a replay.
    pub group: String,
    /// The platform.
    pub platform: String,
    /// The step or phase.
    pub stage: String,
    /// The class of the verdict.
    pub class: String,
    /// The platform's or the hub's code.
    pub code: String,
    /// One sentence, of the example.
    pub text: String,
    /// How many deliveries stand failed with it now.
    pub count: i64,
    /// How often anything failed so, ever.
    pub total: i64,
    /// When anything first failed so.
    pub first_at: i64,
    /// When anything last failed so.
    pub last_at: i64,
    /// One of them.
    pub example_delivery: DeliveryId,
    /// The record of that one.
    pub example_record: RecordId,
}

row! {
    /// A group with its example.
    struct GroupRow {
        failure_group: String,
        platform: String,
        failure_stage: Option<String>,
        failure_class: Option<String>,
        failure_code: Option<String>,
        failure_text: Option<String>,
        count: i64,
        total: i64,
        first_at: i64,
        last_at: i64,
        example: String,
        record_id: String,
    }
}

const GROUPS: &str = "SELECT g.failure_group, g.platform, e.failure_stage, e.failure_class, \
     e.failure_code, e.failure_text, g.count, COALESCE(s.total, g.count) AS total, \
     COALESCE(s.first_at, g.first_at) AS first_at, COALESCE(s.last_at, g.last_at) AS last_at, \
     g.example, e.record_id \
     FROM (SELECT failure_group, platform, COUNT(*) AS count, MIN(updated_at) AS first_at, \
     MAX(updated_at) AS last_at, MIN(id) AS example FROM deliveries WHERE state = 'failed' \
     AND failure_group IS NOT NULL GROUP BY failure_group, platform) AS g \
     JOIN deliveries e ON e.id = g.example \
     LEFT JOIN failure_groups s ON s.name = g.failure_group \
     ORDER BY g.count DESC, g.failure_group, g.platform LIMIT $1";

/// A group is remembered when nothing is failed any more, so that its beginning stays known.
static REMEMBER: Bulk = Bulk::new(
    &[
        ("name", Kind::Text),
        ("first_at", Kind::Int),
        ("last_at", Kind::Int),
        ("total", Kind::Int),
    ],
    "INSERT INTO failure_groups (name, first_at, last_at, total) \
     SELECT name, first_at, last_at, total FROM given WHERE TRUE \
     ON CONFLICT (name) DO UPDATE SET last_at = excluded.last_at, \
     total = failure_groups.total + excluded.total",
);

#[cfg(test)]
pub(super) const SHARED: [&str; 1] = [GROUPS];
#[cfg(test)]
pub(super) static BULKS: [&Bulk; 1] = [&REMEMBER];

/// Remembers the groups of what has failed; in one order, so that processes never wait crosswise.
pub(super) async fn remember(
    tx: &mut Tx,
    failures: impl Iterator<Item = &Settlement>,
) -> Result<(), StoreError> {
    let mut groups: BTreeMap<&str, (i64, i64, i64)> = BTreeMap::new();
    for settlement in failures {
        let Settled::Failed { group, .. } = &settlement.outcome else {
            continue;
        };
        let now = settlement.now;
        let (first, last, total) = groups.entry(group).or_insert((now, now, 0));
        (*first, *last, *total) = (now.min(*first), now.max(*last), *total + 1);
    }
    let given: Vec<_> = groups
        .into_iter()
        .map(|(name, (first, last, total))| cells![name, first, last, total])
        .collect();
    REMEMBER
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("remember groups of failures"))?;
    Ok(())
}

impl Store {
    /// Returns the failures by cause, the largest group first, up to 500 groups.
    pub async fn failures(&self) -> Result<Vec<FailureGroup>, StoreError> {
        let rows: Vec<GroupRow> = read!(self, "read failures", |c| sqlx::query_as(GROUPS)
            .bind(GROUPS_MAX)
            .fetch_all(c)
            .await)?;
        Ok(rows.into_iter().map(GroupRow::into_group).collect())
    }
}

impl GroupRow {
    fn into_group(self) -> FailureGroup {
        FailureGroup {
            group: self.failure_group,
            platform: self.platform,
            stage: self.failure_stage.unwrap_or_default(),
            class: self.failure_class.unwrap_or_default(),
            code: self.failure_code.unwrap_or_default(),
            text: self.failure_text.unwrap_or_default(),
            count: self.count,
            total: self.total,
            first_at: self.first_at,
            last_at: self.last_at,
            example_delivery: self.example.into(),
            example_record: self.record_id.into(),
        }
    }
}
