//! Pages of records, filtered, the last changed first.

use super::super::bulk::{Cell, bind_cells};
use super::super::condition::Condition;
use super::super::outage::read;
use super::super::{RecordState, Store, StoreError};
use super::{RecordRow, RecordSummary, record_columns};
use crate::record::DeliveryState;
use serde::Serialize;
use sqlx::AssertSqlSafe;

/// How many records one page may hold.
pub const PAGE_MAX: i64 = 200;

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
    /// Due before this moment, unix milliseconds.
    pub due_before: Option<i64>,
    /// Late, or not.
    pub late: Option<Lateness>,
}

/// Which records a list shows by their deadline.
#[derive(Debug, Clone, Copy)]
pub struct Lateness {
    /// Those that were late, or those that were not.
    pub late: bool,
    /// As of this moment, unix milliseconds.
    pub at: i64,
}

/// The first line is, word for word, what the index of late records is made of.
const LATE: &str = "r.due_at IS NOT NULL AND (r.public_at IS NULL OR r.due_at <= r.public_at) \
     AND r.due_at <= ? AND (r.public_at IS NOT NULL OR r.state = 'held')";
const IN_TIME: &str = "(r.due_at IS NULL OR r.due_at > ? OR r.due_at > r.public_at \
     OR (r.public_at IS NULL AND r.state <> 'held'))";

/// A page of a list, the last changed first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<RecordSummary>,
    /// Asks for the next page; none at the end.
    pub next: Option<String>,
}

impl Store {
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
        let mut rows: Vec<RecordRow> = read!(self, "list records", |c| bind_cells!(
            sqlx::query_as(AssertSqlSafe(text.as_str())),
            &cells
        )
        .fetch_all(c)
        .await)?;
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
}

/// Returns the text of a list and the values it binds.
pub(in crate::store) fn list_text<'a>(
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
    condition.and_if("r.due_at <= ?", filter.due_before);
    if let Some(lateness) = filter.late {
        condition.and(
            if lateness.late { LATE } else { IN_TIME },
            [lateness.at.into()],
        );
    }
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
