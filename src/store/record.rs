//! Reads one record with its history; see [`list`] for pages of many.

mod list;

use super::db::row;
use super::outage::read;
use super::submit::parse_json;
use super::trace::DeliveryView;
use super::{RecordState, Store, StoreError};
use crate::clock::{day_before, now_ms};
use crate::record::{FieldChange, Finding, Hold, Record, RecordId, Warning};
use serde::Serialize;

#[cfg(test)]
pub(super) use list::list_text;
pub use list::{Lateness, PAGE_MAX, RecordFilter, RecordPage};

/// How many versions are read of one record, the newest.
const VERSIONS_MAX: i64 = 100;

/// A record as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordSummary {
    /// Id made by the hub.
    pub id: RecordId,
    /// The system that sent it.
    pub source: String,
    /// The id that system uses.
    pub source_id: String,
    /// The sender's count of corrections.
    pub revision: i64,
    /// The hub's count of versions.
    pub version: i64,
    /// Where it stands.
    pub state: RecordState,
    /// Full title.
    pub title: String,
    /// Canonical document number.
    pub doc_no: Option<String>,
    /// Code of the publishing unit.
    pub unit_code: String,
    /// Name of the publishing unit.
    pub unit_name: String,
    /// Key of the area.
    pub area: Option<String>,
    /// Name of the column.
    pub column: Option<String>,
    /// 索引号
    pub index_no: Option<String>,
    /// 成文日期
    pub written_on: String,
    /// 公开方式, as in [`crate::record::Disclosure`].
    pub disclosure: String,
    /// The last day on which it is public in time; none of a record from before there were deadlines.
    pub due_on: Option<String>,
    /// Whether that day was reckoned without a holiday notice and may change.
    pub due_provisional: bool,
    /// When it was first accepted and not held.
    pub public_at: Option<i64>,
    /// Whether that was too late, or is by now.
    pub late: bool,
    /// When it was first accepted.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
}

/// A record with its history and where it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordView {
    /// The columns that lists show.
    #[serde(flatten)]
    pub summary: RecordSummary,
    /// Why the newest version is held; empty when it is not.
    pub holds: Vec<Hold>,
    /// What the clerk should mend in the newest version.
    pub warnings: Vec<Warning>,
    /// What its newest publication says; for a record that began with its withdrawal, what that
    /// said.
    pub document: Record,
    /// Its newest versions, up to 100, newest first.
    pub versions: Vec<VersionView>,
    /// Other records of the same document, up to 20: the same number, title and date.
    pub same_document: Vec<OtherRecord>,
    /// One per platform, by platform.
    pub deliveries: Vec<DeliveryView>,
}

/// Another record of the same document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherRecord {
    /// Id made by the hub.
    pub id: String,
    /// The system that sent it.
    pub source: String,
    /// The id that system uses.
    pub source_id: String,
    /// Where it stands.
    pub state: String,
}

/// One version of a record, without its document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionView {
    /// The hub's count.
    pub version: i64,
    /// The sender's count.
    pub revision: i64,
    /// publish or withdraw.
    pub action: String,
    /// The submission it came with; none when an operator withdrew.
    pub submission_id: Option<String>,
    /// SHA-256 of the content.
    pub content_sha256: String,
    /// Why it was held.
    pub holds: Vec<Hold>,
    /// What the clerk should mend.
    pub warnings: Vec<Warning>,
    /// What screening found, masked.
    pub findings: Vec<Finding>,
    /// What it changed of the version before.
    pub changes: Vec<FieldChange>,
    /// Where it was routed.
    pub platforms: Vec<String>,
    /// The version of the registry it was made with; none when an operator withdrew.
    pub catalogue_version: Option<i64>,
    /// Why it withdraws.
    pub reason: Option<String>,
    /// When a person released it.
    pub released_at: Option<i64>,
    /// Who.
    pub released_by: Option<String>,
    /// Why.
    pub release_reason: Option<String>,
    /// When it was made.
    pub created_at: i64,
}

row! {
    /// A row of `records`.
    struct RecordRow {
        id: String,
        source: String,
        source_id: String,
        revision: i64,
        version: i64,
        state: String,
        title: String,
        doc_no: Option<String>,
        unit_code: String,
        unit_name: String,
        area: Option<String>,
        column_name: Option<String>,
        index_no: Option<String>,
        written_on: String,
        disclosure: String,
        due_at: Option<i64>,
        due_provisional: bool,
        public_at: Option<i64>,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// Another record with the same key.
    struct OtherRow { id: String, source: String, source_id: String, state: String }
}

row! {
    /// A row of `versions`.
    struct VersionRow {
        version: i64,
        revision: i64,
        action: String,
        submission_id: Option<String>,
        content_sha256: String,
        holds: String,
        warnings: String,
        platforms: String,
        findings: String,
        changes: String,
        catalogue_version: Option<i64>,
        reason: Option<String>,
        released_at: Option<i64>,
        released_by: Option<String>,
        release_reason: Option<String>,
        created_at: i64,
    }
}

macro_rules! record_columns {
    () => {
        "SELECT r.id, r.source, r.source_id, r.revision, r.version, r.state, r.title, r.doc_no, \
         r.unit_code, r.unit_name, r.area, r.column_name, r.index_no, r.written_on, \
         r.disclosure, r.due_at, r.due_provisional, r.public_at, r.created_at, r.updated_at \
         FROM records r"
    };
}
use record_columns;

const RECORD: &str = concat!(record_columns!(), " WHERE r.id = $1");
const FIND: &str = concat!(
    record_columns!(),
    " WHERE r.source = $1 AND r.source_id = $2"
);
const VERSIONS: &str = "SELECT version, revision, action, submission_id, content_sha256, holds, \
     warnings, platforms, findings, changes, catalogue_version, reason, released_at, released_by, \
     release_reason, created_at \
     FROM versions WHERE record_id = $1 ORDER BY version DESC LIMIT $2";
const DOCUMENT: &str = "SELECT document FROM versions \
     WHERE record_id = $1 AND document IS NOT NULL ORDER BY version DESC LIMIT 1";

const OTHERS: &str = "SELECT id, source, source_id, state FROM records \
     WHERE document_key = (SELECT document_key FROM records WHERE id = $1) AND id <> $1 \
     LIMIT 20";

#[cfg(test)]
pub(super) const SHARED: [&str; 5] = [RECORD, FIND, VERSIONS, DOCUMENT, OTHERS];

impl Store {
    /// Returns a record with its history, if there is one with this id.
    pub async fn record(&self, id: &RecordId) -> Result<Option<RecordView>, StoreError> {
        let row: Option<RecordRow> = read!(self, "read a record", |c| sqlx::query_as(RECORD)
            .bind(id.as_str())
            .fetch_optional(c)
            .await)?;
        match row {
            Some(row) => self.view(row.understand()?).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the columns of what a source's id stands for, if it was ever sent.
    pub async fn find_record(
        &self,
        source: &str,
        source_id: &str,
    ) -> Result<Option<RecordSummary>, StoreError> {
        let row: Option<RecordRow> = read!(self, "find a record", |c| sqlx::query_as(FIND)
            .bind(source)
            .bind(source_id)
            .fetch_optional(c)
            .await)?;
        row.map(RecordRow::understand).transpose()
    }

    async fn view(&self, summary: RecordSummary) -> Result<RecordView, StoreError> {
        let id = summary.id.as_str();
        let versions: Vec<VersionRow> =
            read!(self, "read the versions of a record", |c| sqlx::query_as(
                VERSIONS
            )
            .bind(id)
            .bind(VERSIONS_MAX)
            .fetch_all(c)
            .await)?;
        let document: Option<(String,)> =
            read!(self, "read the versions of a record", |c| sqlx::query_as(
                DOCUMENT
            )
            .bind(id)
            .fetch_optional(c)
            .await)?;
        let others: Vec<OtherRow> = read!(self, "look for the same document", |c| sqlx::query_as(
            OTHERS
        )
        .bind(id)
        .fetch_all(c)
        .await)?;
        let (document,) = document.ok_or_else(|| StoreError::corrupt("versions.document", id))?;
        let versions = versions
            .into_iter()
            .map(|row| row.understand(id))
            .collect::<Result<Vec<_>, _>>()?;
        let newest = versions
            .first()
            .ok_or_else(|| StoreError::corrupt("versions", id))?;
        let held = summary.state == RecordState::Held;
        Ok(RecordView {
            holds: if held {
                newest.holds.clone()
            } else {
                Vec::new()
            },
            warnings: newest.warnings.clone(),
            document: parse_json(&document, "versions.document", id)?,
            same_document: others
                .into_iter()
                .map(|row| OtherRecord {
                    id: row.id,
                    source: row.source,
                    source_id: row.source_id,
                    state: row.state,
                })
                .collect(),
            deliveries: self.deliveries_of(id).await?,
            versions,
            summary,
        })
    }
}

impl RecordRow {
    /// Whether it could be seen too late, or should be seen by now and is held; the same as the
    /// filter of [`list`].
    fn is_late(&self, state: RecordState) -> bool {
        let Some(due_at) = self.due_at else {
            return false;
        };
        match (self.public_at, state) {
            (Some(public_at), _) => due_at <= public_at,
            (None, RecordState::Held) => due_at <= now_ms(),
            // What was never to be seen is not owed.
            (None, RecordState::Live | RecordState::Withdrawn) => false,
        }
    }

    fn understand(self) -> Result<RecordSummary, StoreError> {
        let state = RecordState::parse(&self.state)
            .ok_or_else(|| StoreError::corrupt("records.state", &self.id))?;
        Ok(RecordSummary {
            late: self.is_late(state),
            state,
            due_on: self.due_at.map(day_before),
            due_provisional: self.due_provisional,
            public_at: self.public_at,
            id: self.id.into(),
            source: self.source,
            source_id: self.source_id,
            revision: self.revision,
            version: self.version,
            title: self.title,
            doc_no: self.doc_no,
            unit_code: self.unit_code,
            unit_name: self.unit_name,
            area: self.area,
            column: self.column_name,
            index_no: self.index_no,
            written_on: self.written_on,
            disclosure: self.disclosure,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl VersionRow {
    fn understand(self, record_id: &str) -> Result<VersionView, StoreError> {
        Ok(VersionView {
            holds: parse_json(&self.holds, "versions.holds", record_id)?,
            warnings: parse_json(&self.warnings, "versions.warnings", record_id)?,
            platforms: parse_json(&self.platforms, "versions.platforms", record_id)?,
            findings: parse_json(&self.findings, "versions.findings", record_id)?,
            changes: parse_json(&self.changes, "versions.changes", record_id)?,
            version: self.version,
            revision: self.revision,
            action: self.action,
            submission_id: self.submission_id,
            content_sha256: self.content_sha256,
            catalogue_version: self.catalogue_version,
            reason: self.reason,
            released_at: self.released_at,
            released_by: self.released_by,
            release_reason: self.release_reason,
            created_at: self.created_at,
        })
    }
}
