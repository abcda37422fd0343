//! What is known already about the records and keys of a round.

use super::super::bulk::{Bulk, Kind, cells};
use super::super::db::{Tx, row};
use super::super::{DeliveryHead, NewSubmission, RecordHead, RecordState, StoreError};
use crate::record::{Action, RecordId};
use std::collections::HashMap;

row! {
    /// A record with what its newest version says.
    struct KnownRow {
        id: String,
        source: String,
        source_id: String,
        revision: i64,
        version: i64,
        state: String,
        action: String,
        content_sha256: String,
        body_sha256: String,
        index_no: Option<String>,
        holds: String,
        warnings: String,
        platforms: String,
    }
}

row! {
    /// A submission that used a key.
    struct KnownKey {
        account_id: String,
        idempotency_key: String,
        body_sha256: String,
        record_id: String,
    }
}

/// A record with what its newest version says, its words understood.
#[derive(Debug, Clone)]
pub(in crate::store) struct Known {
    pub(in crate::store) id: RecordId,
    pub(in crate::store) revision: i64,
    pub(in crate::store) version: i64,
    pub(in crate::store) state: RecordState,
    /// What the sender said last; an operator's withdrawal does not change it.
    pub(in crate::store) action: Action,
    pub(in crate::store) content_sha256: String,
    pub(in crate::store) body_sha256: String,
    pub(in crate::store) index_no: Option<String>,
    pub(in crate::store) holds: String,
    pub(in crate::store) warnings: String,
    pub(in crate::store) platforms: String,
}

static KEYS: Bulk = Bulk::new(
    &[("account_id", Kind::Text), ("idempotency_key", Kind::Text)],
    "SELECT s.account_id, s.idempotency_key, s.body_sha256, s.record_id FROM given \
     JOIN submissions s ON s.account_id = given.account_id \
     AND s.idempotency_key = given.idempotency_key",
);

static BY_SOURCE: Bulk = Bulk::locking(
    &[("source", Kind::Text), ("source_id", Kind::Text)],
    "SELECT r.id, r.source, r.source_id, r.revision, r.version, r.state, r.action, \
     r.content_sha256, r.body_sha256, r.index_no, w.holds, w.warnings, w.platforms FROM given \
     JOIN records r ON r.source = given.source AND r.source_id = given.source_id \
     JOIN versions w ON w.record_id = r.id AND w.version = r.version",
    " FOR UPDATE OF r",
);

static BY_ID: Bulk = Bulk::locking(
    &[("id", Kind::Text)],
    "SELECT r.id, r.source, r.source_id, r.revision, r.version, r.state, r.action, \
     r.content_sha256, r.body_sha256, r.index_no, w.holds, w.warnings, w.platforms FROM given \
     JOIN records r ON r.id = given.id \
     JOIN versions w ON w.record_id = r.id AND w.version = r.version",
    " FOR UPDATE OF r",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 3] = [&KEYS, &BY_SOURCE, &BY_ID];

/// Everything a round needs to know before it decides.
pub(super) struct Seen {
    keys: HashMap<(String, String), KnownKey>,
    ids: HashMap<(String, String), String>,
    records: HashMap<String, Known>,
}

impl Seen {
    pub(super) async fn read(tx: &mut Tx, items: &[&NewSubmission]) -> Result<Self, StoreError> {
        let failed = StoreError::while_doing("read what is known of submissions");
        let given: Vec<_> = items
            .iter()
            .filter_map(|item| Some(cells![&item.account_id, item.idempotency_key.as_deref()?]))
            .collect();
        let keys: Vec<KnownKey> = KEYS.fetch(tx, &given).await.map_err(&failed)?;
        let mut names: Vec<(&str, &str)> = items
            .iter()
            .map(|item| (item.source.as_str(), item.source_id.as_str()))
            .collect();
        // One order for everybody keeps processes from locking each other out.
        names.sort_unstable();
        let given: Vec<_> = names
            .iter()
            .map(|(source, source_id)| cells![*source, *source_id])
            .collect();
        let rows: Vec<KnownRow> = BY_SOURCE.fetch(tx, &given).await.map_err(&failed)?;
        let mut seen = Self {
            keys: HashMap::new(),
            ids: HashMap::new(),
            records: HashMap::new(),
        };
        for row in rows {
            seen.ids
                .insert((row.source.clone(), row.source_id.clone()), row.id.clone());
            seen.records.insert(row.id.clone(), row.understand()?);
        }
        let elsewhere: Vec<String> = keys
            .iter()
            .filter(|key| !seen.records.contains_key(&key.record_id))
            .map(|key| key.record_id.clone())
            .collect();
        for known in read_by_ids(tx, &elsewhere).await? {
            seen.records.insert(known.id.as_str().to_owned(), known);
        }
        for key in keys {
            let name = (key.account_id.clone(), key.idempotency_key.clone());
            seen.keys.insert(name, key);
        }
        Ok(seen)
    }

    pub(super) fn record_ids(&self) -> Vec<&str> {
        self.records.keys().map(String::as_str).collect()
    }

    pub(super) fn key(&self, item: &NewSubmission) -> Option<&KnownKey> {
        let key = item.idempotency_key.clone()?;
        self.keys.get(&(item.account_id.clone(), key))
    }

    pub(super) fn record(&self, item: &NewSubmission) -> Option<&Known> {
        let id = self
            .ids
            .get(&(item.source.clone(), item.source_id.clone()))?;
        self.by_id(id)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Known> {
        self.records.get(id)
    }
}

/// Reads some records by id; on PostgreSQL they stay locked until the commit.
pub(in crate::store) async fn read_by_ids(
    tx: &mut Tx,
    ids: &[String],
) -> Result<Vec<Known>, StoreError> {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    let given: Vec<_> = ids.into_iter().map(|id| cells![id]).collect();
    let rows: Vec<KnownRow> = BY_ID
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("read records"))?;
    rows.into_iter().map(KnownRow::understand).collect()
}

impl KnownRow {
    fn understand(self) -> Result<Known, StoreError> {
        let state = RecordState::parse(&self.state)
            .ok_or_else(|| StoreError::corrupt("records.state", &self.id))?;
        let action = [Action::Publish, Action::Withdraw]
            .into_iter()
            .find(|action| action.as_str() == self.action)
            .ok_or_else(|| StoreError::corrupt("records.action", &self.id))?;
        Ok(Known {
            id: self.id.into(),
            revision: self.revision,
            version: self.version,
            state,
            action,
            content_sha256: self.content_sha256,
            body_sha256: self.body_sha256,
            index_no: self.index_no,
            holds: self.holds,
            warnings: self.warnings,
            platforms: self.platforms,
        })
    }
}

impl Known {
    /// Returns the short answer about this record.
    pub(in crate::store) fn head(
        &self,
        deliveries: Vec<DeliveryHead>,
    ) -> Result<RecordHead, StoreError> {
        let id = self.id.as_str();
        Ok(RecordHead {
            record_id: self.id.clone(),
            revision: self.revision,
            version: self.version,
            state: self.state,
            // Those of a released version are history, not a reason any more.
            holds: match self.state {
                RecordState::Held => parse_json(&self.holds, "versions.holds", id)?,
                RecordState::Live | RecordState::Withdrawn => Vec::new(),
            },
            warnings: parse_json(&self.warnings, "versions.warnings", id)?,
            deliveries,
        })
    }
}

/// Reads a JSON column.
pub(in crate::store) fn parse_json<T: serde::de::DeserializeOwned>(
    text: &str,
    column: &str,
    id: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::corrupt(column, id))
}
