//! What corrections change, found by reading the document that was.

use super::super::bulk::{Bulk, Kind, cells};
use super::super::db::{Tx, row};
use super::super::{NewSubmission, StoreError};
use super::decide::Decision;
use super::parse_json;
use crate::record::{Action, Record, changes};
use std::collections::HashMap;

row! {
    /// What a record says now.
    struct DocumentRow {
        id: String,
        document: String,
    }
}

static DOCUMENTS: Bulk = Bulk::new(
    &[("id", Kind::Text)],
    "SELECT v.record_id AS id, v.document FROM given \
     JOIN versions v ON v.record_id = given.id AND v.version = (SELECT MAX(w.version) \
     FROM versions w WHERE w.record_id = given.id AND w.document IS NOT NULL)",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 1] = [&DOCUMENTS];

/// Notes with every correction, and with every conflict, what differs from the document as it was.
/// Records that are new cost nothing here.
pub(super) async fn note_changes(
    tx: &mut Tx,
    items: &[&NewSubmission],
    decisions: &mut [Decision<'_>],
) -> Result<(), StoreError> {
    let ids: Vec<String> = items
        .iter()
        .zip(&*decisions)
        .filter_map(|(item, decision)| compared(item, decision))
        .collect();
    let given: Vec<_> = ids.iter().map(|id| cells![id]).collect();
    let rows: Vec<DocumentRow> = DOCUMENTS
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("read what is corrected"))?;
    let documents: HashMap<String, String> =
        rows.into_iter().map(|row| (row.id, row.document)).collect();
    for (item, decision) in items.iter().zip(decisions) {
        let document = compared(item, decision).and_then(|id| Some((documents.get(&id)?, id)));
        let (Some((document, id)), Some(content)) = (document, item.content.as_deref()) else {
            continue;
        };
        let before: Record = parse_json(document, "versions.document", &id)?;
        let mut after = content.clone();
        // A number that the hub allocated is not taken away by an entry without one.
        if after.index_no.is_none() {
            after.index_no.clone_from(&before.content.index_no);
        }
        let found = changes(&before.content, &after);
        match decision {
            Decision::Change(plan) => plan.changes = found,
            Decision::RevisionReused(_, noted) => *noted = found,
            _ => {}
        }
    }
    Ok(())
}

/// Returns the record whose document an item is compared with.
fn compared(item: &NewSubmission, decision: &Decision<'_>) -> Option<String> {
    let known = match decision {
        Decision::Change(plan) => plan.known?,
        Decision::RevisionReused(known, _) => known,
        _ => return None,
    };
    let has_content = item.action == Action::Publish && item.content.is_some();
    has_content.then(|| known.id.as_str().to_owned())
}
