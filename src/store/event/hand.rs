//! What is told of a person's decision about one delivery.
//!
//! | decision | event |
//! |---|---|
//! | done by hand, shown | `delivered` |
//! | done by hand, taken down | none: the record's `withdrawn` has told it |
//! | given up | `failed` with the class `given_up` and the reason |
//! | undone, back to a failure | `failed` with what it failed of |
//! | undone, sent again | `updated` with the delivery |
//! | overridden | `updated` with the delivery: the version is the same, the platform gets it in other words |

use super::super::db::{Tx, on};
use super::super::hand::HandWork;
use super::{EventKind, new_event_id};
use crate::record::DeliveryId;

/// The class of a failure that is none of the platform's: a person decided that it is not sent.
pub(in crate::store) const GIVEN_UP: &str = "given_up";

/// What a person has decided, as far as it is told.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Decision<'a> {
    /// Done, given up or undone.
    Work(&'a HandWork),
    /// One field in other words.
    Overridden,
}

/// Reads what the decision has made of the delivery, so that must be written before. What it was
/// undone to is told as that, and a take-down that was done is not told once more.
const TELL: &str = "INSERT INTO events (id, kind, at, record_id, version, revision, source, \
     source_id, unit_code, area, column_name, title, doc_no, holds, delivery_id, platform, wanted, \
     url, failure_class, failure_code, by_hand, reason) \
     SELECT $1, told.kind, CAST($3 AS BIGINT), r.id, d.version, w.revision, r.source, r.source_id, r.unit_code, \
     r.area, r.column_name, CASE WHEN r.version = d.version AND r.state = 'live' THEN r.title END, \
     CASE WHEN r.version = d.version AND r.state = 'live' THEN r.doc_no END, '[]', d.id, \
     d.platform, d.wanted, d.remote_url, \
     CASE WHEN told.kind = 'failed' THEN COALESCE($5, d.failure_class, '') END, \
     CASE WHEN told.kind = 'failed' AND $5 IS NULL THEN COALESCE(d.failure_code, '') \
     WHEN told.kind = 'failed' THEN '' END, TRUE, $6 \
     FROM (SELECT id, CASE WHEN CAST($4 AS BOOLEAN) AND state = 'failed' THEN 'failed' \
     ELSE CAST($2 AS TEXT) END AS kind FROM deliveries WHERE id = $7) AS told \
     JOIN deliveries d ON d.id = told.id JOIN records r ON r.id = d.record_id \
     JOIN versions w ON w.record_id = d.record_id AND w.version = d.version \
     WHERE told.kind <> 'delivered' OR d.wanted = 'shown'";

#[cfg(test)]
pub(in crate::store) const SHARED: [&str; 1] = [TELL];

/// Writes what is to be told of a decision at `now`.
pub(in crate::store) async fn tell_decision(
    tx: &mut Tx,
    delivery: &DeliveryId,
    decision: Decision<'_>,
    now: i64,
) -> Result<(), sqlx::Error> {
    let (kind, undoes, class, reason) = match decision {
        Decision::Work(HandWork::Done { .. }) => (EventKind::Delivered, false, None, None),
        Decision::Work(HandWork::GiveUp { reason }) => {
            (EventKind::Failed, false, Some(GIVEN_UP), Some(reason))
        }
        Decision::Work(HandWork::Undo { .. }) => (EventKind::Updated, true, None, None),
        Decision::Overridden => (EventKind::Updated, false, None, None),
    };
    on!(tx, |c| sqlx::query(TELL)
        .bind(new_event_id())
        .bind(kind.as_str())
        .bind(now)
        .bind(undoes)
        .bind(class)
        .bind(reason)
        .bind(delivery.as_str())
        .execute(&mut **c)
        .await
        .map(drop))
}
