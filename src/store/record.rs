//! Reads records: one with its history, or a page of many.

use super::bulk::{Cell, bind_cells};
use super::condition::Condition;
use super::db::{on, row};
use super::submit::parse_json;
use super::trace::DeliveryView;
use super::{RecordState, Store, StoreError};
use crate::record::{DeliveryState, Hold, Record, RecordId, Warning};
use serde::Serialize;
use sqlx::AssertSqlSafe;

/// How many records one page may hold.
pub const PAGE_MAX: i64 = 200;
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
    /// One per platform, by platform.
    pub deliveries: Vec<DeliveryView>,
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
    /// Where it was routed.
    pub platforms: Vec<String>,
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

/// Which records a list shows; all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// The sender's id.
    pub source_id: Option<String>,
    /// The source system.
    pub source: Option<String>,
    /// Code of the unit.
    pub unit: Option<String>,
    /// Key of the area.
    pub area: Option<String>,
    /// Where the record stands.
    pub state: Option<RecordState>,
    /// Has a delivery to this platform.
    pub platform: Option<String>,
    /// Has a delivery in this state; on `platform`, when that is given.
    pub delivery_state: Option<DeliveryState>,
    /// Changed at or after, unix milliseconds.
    pub from: Option<i64>,
    /// Changed before, unix milliseconds.
    pub to: Option<i64>,
    /// Part of the title, or the whole document number or index number.
    pub text: Option<String>,
}

/// A page of a list, the last changed first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<RecordSummary>,
    /// Asks for the next page; none at the end.
    pub next: Option<String>,
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
        created_at: i64,
        updated_at: i64,
    }
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
         r.disclosure, r.created_at, r.updated_at FROM records r"
    };
}

const RECORD: &str = concat!(record_columns!(), " WHERE r.id = $1");
const FIND: &str = concat!(
    record_columns!(),
    " WHERE r.source = $1 AND r.source_id = $2"
);
const UNIT: &str = "SELECT unit_code, unit_name FROM records WHERE source = $1 AND source_id = $2";
const VERSIONS: &str = "SELECT version, revision, action, submission_id, content_sha256, holds, \
     warnings, platforms, reason, released_at, released_by, release_reason, created_at \
     FROM versions WHERE record_id = $1 ORDER BY version DESC LIMIT $2";
const DOCUMENT: &str = "SELECT document FROM versions \
     WHERE record_id = $1 AND document IS NOT NULL ORDER BY version DESC LIMIT 1";

#[cfg(test)]
pub(super) const SHARED: [&str; 5] = [RECORD, FIND, UNIT, VERSIONS, DOCUMENT];

impl Store {
    /// Returns a record with its history, if there is one with this id.
    pub async fn record(&self, id: &RecordId) -> Result<Option<RecordView>, StoreError> {
        let row: Option<RecordRow> = on!(&self.pools().reader, |c| sqlx::query_as(RECORD)
            .bind(id.as_str())
            .fetch_optional(c)
            .await)
        .map_err(StoreError::while_doing("read a record"))?;
        match row {
            Some(row) => self.view(row.understand()?).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns what a source's id stands for, if it was ever sent.
    pub async fn find_record(
        &self,
        source: &str,
        source_id: &str,
    ) -> Result<Option<RecordView>, StoreError> {
        let row: Option<RecordRow> = on!(&self.pools().reader, |c| sqlx::query_as(FIND)
            .bind(source)
            .bind(source_id)
            .fetch_optional(c)
            .await)
        .map_err(StoreError::while_doing("find a record"))?;
        match row {
            Some(row) => self.view(row.understand()?).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns code and name of the unit of what a source's id stands for, if it was ever sent.
    pub async fn unit_of(
        &self,
        source: &str,
        source_id: &str,
    ) -> Result<Option<(String, String)>, StoreError> {
        on!(&self.pools().reader, |c| sqlx::query_as(UNIT)
            .bind(source)
            .bind(source_id)
            .fetch_optional(c)
            .await)
        .map_err(StoreError::while_doing("find the unit of a record"))
    }

    /// Returns up to `limit` records that pass `filter`, the last changed first. `cursor` is
    /// [`RecordPage::next`] of the page before; one that cannot be read starts at the beginning.
    pub async fn list_records(
        &self,
        filter: &RecordFilter,
        cursor: Option<&str>,
        limit: i64,
    ) -> Result<RecordPage, StoreError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let pattern = filter.text.as_deref().map(contains_pattern);
        let before = cursor.and_then(parse_cursor);
        let (text, cells) = list_text(filter, pattern.as_deref(), before, limit + 1);
        let mut rows: Vec<RecordRow> = on!(&self.pools().reader, |c| bind_cells!(
            sqlx::query_as(AssertSqlSafe(text)),
            &cells
        )
        .fetch_all(c)
        .await)
        .map_err(StoreError::while_doing("list records"))?;
        let more = rows.len() as i64 > limit;
        rows.truncate(limit as usize);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| format!("{}.{}", row.updated_at, row.id));
        let records = rows
            .into_iter()
            .map(RecordRow::understand)
            .collect::<Result<_, _>>()?;
        Ok(RecordPage { records, next })
    }

    async fn view(&self, summary: RecordSummary) -> Result<RecordView, StoreError> {
        let id = summary.id.as_str();
        let failed = StoreError::while_doing("read the versions of a record");
        let versions: Vec<VersionRow> = on!(&self.pools().reader, |c| sqlx::query_as(VERSIONS)
            .bind(id)
            .bind(VERSIONS_MAX)
            .fetch_all(c)
            .await)
        .map_err(&failed)?;
        let document: Option<(String,)> = on!(&self.pools().reader, |c| sqlx::query_as(DOCUMENT)
            .bind(id)
            .fetch_optional(c)
            .await)
        .map_err(&failed)?;
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
            deliveries: self.deliveries_of(id).await?,
            versions,
            summary,
        })
    }
}

/// Returns the text of a list and the values it binds.
pub(super) fn list_text<'a>(
    filter: &'a RecordFilter,
    pattern: Option<&'a str>,
    before: Option<(i64, &'a str)>,
    limit: i64,
) -> (String, Vec<Cell<'a>>) {
    let mut condition = Condition::default();
    condition.and_if("r.source_id = ?", filter.source_id.as_deref());
    condition.and_if("r.source = ?", filter.source.as_deref());
    condition.and_if("r.unit_code = ?", filter.unit.as_deref());
    condition.and_if("r.area = ?", filter.area.as_deref());
    condition.and_if("r.state = ?", filter.state.map(RecordState::as_str));
    condition.and_if("r.updated_at >= ?", filter.from);
    condition.and_if("r.updated_at < ?", filter.to);
    if let (Some(text), Some(pattern)) = (filter.text.as_deref(), pattern) {
        condition.and(
            "(r.title LIKE ? ESCAPE '!' OR r.doc_no = ? OR r.index_no = ?)",
            [pattern.into(), text.into(), text.into()],
        );
    }
    let state = filter.delivery_state.map(DeliveryState::as_str);
    // Few are in these states: begin with them. Most are in the others: look per record.
    let few = filter.delivery_state.is_some_and(|state| match state {
        DeliveryState::Held
        | DeliveryState::Sending
        | DeliveryState::Retrying
        | DeliveryState::Failed => true,
        DeliveryState::Queued
        | DeliveryState::Delivered
        | DeliveryState::Confirmed
        | DeliveryState::Withdrawn
        | DeliveryState::Skipped => false,
    });
    match (filter.platform.as_deref(), state) {
        (Some(platform), Some(state)) if few => condition.and(
            "r.id IN (SELECT d.record_id FROM deliveries d WHERE d.state = ? AND d.platform = ?)",
            [state.into(), platform.into()],
        ),
        (None, Some(state)) if few => condition.and(
            "r.id IN (SELECT d.record_id FROM deliveries d WHERE d.state = ?)",
            [state.into()],
        ),
        (Some(platform), Some(state)) => condition.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.record_id = r.id AND d.platform = ? \
             AND d.state = ?)",
            [platform.into(), state.into()],
        ),
        (Some(platform), None) => condition.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.record_id = r.id AND d.platform = ?)",
            [platform.into()],
        ),
        (None, Some(state)) => condition.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.record_id = r.id AND d.state = ?)",
            [state.into()],
        ),
        (None, None) => {}
    }
    if let Some((updated_at, id)) = before {
        condition.and(
            "(r.updated_at, r.id) < (?, ?)",
            [updated_at.into(), id.into()],
        );
    }
    let limit = condition.bind(limit);
    let text = format!(
        concat!(
            record_columns!(),
            "{} ORDER BY r.updated_at DESC, r.id DESC LIMIT {}"
        ),
        condition.text(),
        limit
    );
    (text, condition.cells().to_vec())
}

fn parse_cursor(cursor: &str) -> Option<(i64, &str)> {
    let (updated_at, id) = cursor.split_once('.')?;
    Some((updated_at.parse().ok()?, id))
}

fn contains_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

impl RecordRow {
    fn understand(self) -> Result<RecordSummary, StoreError> {
        Ok(RecordSummary {
            state: RecordState::parse(&self.state)
                .ok_or_else(|| StoreError::corrupt("records.state", &self.id))?,
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
            version: self.version,
            revision: self.revision,
            action: self.action,
            submission_id: self.submission_id,
            content_sha256: self.content_sha256,
            reason: self.reason,
            released_at: self.released_at,
            released_by: self.released_by,
            release_reason: self.release_reason,
            created_at: self.created_at,
        })
    }
}
