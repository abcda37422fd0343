//! The outbox as its one publisher uses it: a lease, numbers without a gap, and forgetting.
//!
//! What was sent is one number, not a mark on each row: rows are sent in the order of their
//! numbers. A publisher that lost its lease can record nothing any more; what it sent is sent
//! again by the next one, under the same ids and numbers.

use super::super::db::{Tx, on, row};
use super::super::steer::parse_wanted;
use super::super::submit::parse_json;
use super::super::{Store, StoreError};
use super::{DeliveryPart, Event, EventKind};

row! {
    /// A numbered row of the outbox.
    struct EventRow {
        id: String,
        sequence: i64,
        kind: String,
        at: i64,
        record_id: String,
        version: i64,
        revision: i64,
        source: String,
        source_id: String,
        unit_code: String,
        area: Option<String>,
        column_name: Option<String>,
        title: Option<String>,
        doc_no: Option<String>,
        holds: String,
        delivery_id: Option<String>,
        platform: Option<String>,
        wanted: Option<String>,
        url: Option<String>,
        failure_class: Option<String>,
        failure_code: Option<String>,
        by_hand: bool,
        reason: Option<String>,
    }
}

const TAKE_LEASE: &str = "UPDATE event_publisher SET lease_owner = $1, lease_until = $2 \
     WHERE id = 1 AND (lease_owner = $1 OR lease_owner IS NULL OR lease_until <= $3)";
const HOLD_LEASE: &str = "UPDATE event_publisher SET lease_until = $2, \
     sent = CASE WHEN sent < $3 THEN $3 ELSE sent END \
     WHERE id = 1 AND lease_owner = $1 RETURNING sequence, sent";
const END_LEASE: &str = "UPDATE event_publisher SET lease_owner = NULL, lease_until = 0, \
     sent = CASE WHEN sent < $2 THEN $2 ELSE sent END WHERE id = 1 AND lease_owner = $1";
const NUMBER: &str = "UPDATE events SET sequence = CAST($1 AS BIGINT) + numbered.place FROM \
     (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS place FROM events \
     WHERE sequence IS NULL ORDER BY id LIMIT $2) AS numbered WHERE events.id = numbered.id";
const NUMBERED: &str = "UPDATE event_publisher SET sequence = $1 WHERE id = 1";
const READ: &str = "SELECT id, sequence, kind, at, record_id, version, revision, source, \
     source_id, unit_code, area, column_name, title, doc_no, holds, delivery_id, platform, \
     wanted, url, failure_class, failure_code, by_hand, reason \
     FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2";
const WAITING: &str = "SELECT id FROM events WHERE sequence IS NULL LIMIT 1";
/// The oldest few are looked at, never all that are kept.
const FORGET: &str = "DELETE FROM events WHERE id IN (SELECT id FROM \
     (SELECT id, at FROM events WHERE sequence <= (SELECT sent FROM event_publisher WHERE id = 1) \
     ORDER BY sequence LIMIT $2) AS oldest WHERE at <= $1)";

#[cfg(test)]
pub(in crate::store) const SHARED: [&str; 8] = [
    TAKE_LEASE, HOLD_LEASE, END_LEASE, NUMBER, NUMBERED, READ, WAITING, FORGET,
];

impl Store {
    /// Makes `owner` the publisher until `lease_until`, unless there is another one. Returns
    /// whether it is.
    pub async fn take_event_lease(
        &self,
        owner: &str,
        now: i64,
        lease_until: i64,
    ) -> Result<bool, StoreError> {
        let failed = StoreError::while_doing("take the lease of the event publisher");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let touched = on!(&mut tx, |c| sqlx::query(TAKE_LEASE)
            .bind(owner)
            .bind(lease_until)
            .bind(now)
            .execute(&mut **c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(touched > 0)
    }

    /// Records that everything up to the number `sent` is sent, renews the lease of `owner`, and
    /// returns the next events, up to `limit`, numbered. `None` when `owner` is not the publisher
    /// any more; it must stop then.
    pub async fn next_events(
        &self,
        owner: &str,
        sent: i64,
        lease_until: i64,
        limit: i64,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let failed = StoreError::while_doing("read the outbox of events");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let held: Option<(i64, i64)> = on!(&mut tx, |c| sqlx::query_as(HOLD_LEASE)
            .bind(owner)
            .bind(lease_until)
            .bind(sent)
            .fetch_optional(&mut **c)
            .await)
        .map_err(&failed)?;
        let Some((numbered, sent)) = held else {
            return Ok(None);
        };
        number(&mut tx, numbered, limit - (numbered - sent))
            .await
            .map_err(&failed)?;
        let rows: Vec<EventRow> = on!(&mut tx, |c| sqlx::query_as(READ)
            .bind(sent)
            .bind(limit)
            .fetch_all(&mut **c)
            .await)
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        rows.into_iter()
            .map(EventRow::understand)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Returns whether an event waits that has no number yet. Writes nothing.
    pub async fn event_waits(&self) -> Result<bool, StoreError> {
        let found: Option<(String,)> = on!(&self.pools().reader, |c| sqlx::query_as(WAITING)
            .fetch_optional(c)
            .await)
        .map_err(StoreError::while_doing("look into the outbox of events"))?;
        Ok(found.is_some())
    }

    /// Records what is sent and lets another process publish.
    pub async fn end_event_lease(&self, owner: &str, sent: i64) -> Result<(), StoreError> {
        let failed = StoreError::while_doing("end the lease of the event publisher");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        on!(&mut tx, |c| sqlx::query(END_LEASE)
            .bind(owner)
            .bind(sent)
            .execute(&mut **c)
            .await
            .map(drop))
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    /// Removes sent events that happened at `until` or before, of the oldest `limit`. Returns how
    /// many.
    pub async fn forget_events(&self, until: i64, limit: i64) -> Result<u64, StoreError> {
        let failed = StoreError::while_doing("forget sent events");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let forgotten = on!(&mut tx, |c| sqlx::query(FORGET)
            .bind(until)
            .bind(limit)
            .execute(&mut **c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(forgotten)
    }
}

/// Gives the next numbers to up to `room` rows that have none.
async fn number(tx: &mut Tx, last: i64, room: i64) -> Result<(), sqlx::Error> {
    if room <= 0 {
        return Ok(());
    }
    let given = on!(&mut *tx, |c| sqlx::query(NUMBER)
        .bind(last)
        .bind(room)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected()))?;
    if given == 0 {
        return Ok(());
    }
    on!(&mut *tx, |c| sqlx::query(NUMBERED)
        .bind(last + given as i64)
        .execute(&mut **c)
        .await
        .map(drop))
}

impl EventRow {
    fn understand(self) -> Result<Event, StoreError> {
        let kind = EventKind::parse(&self.kind)
            .ok_or_else(|| StoreError::corrupt("events.kind", &self.id))?;
        let delivery = match (self.delivery_id, self.platform, self.wanted) {
            (Some(id), Some(platform), Some(wanted)) => Some(DeliveryPart {
                id: id.into(),
                platform,
                wanted: parse_wanted(&wanted, &self.id)?,
                url: self.url,
                failure_class: self.failure_class,
                failure_code: self.failure_code,
                by_hand: self.by_hand,
                reason: self.reason,
            }),
            _ => None,
        };
        Ok(Event {
            kind,
            holds: parse_json(&self.holds, "events.holds", &self.id)?,
            id: self.id,
            sequence: self.sequence,
            at: self.at,
            record_id: self.record_id.into(),
            version: self.version,
            revision: self.revision,
            source: self.source,
            source_id: self.source_id,
            unit: self.unit_code,
            area: self.area,
            column: self.column_name,
            title: self.title,
            doc_no: self.doc_no,
            delivery,
        })
    }
}
