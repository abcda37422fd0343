//! Records of the same document: told as a warning, never merged.
//!
//! Two sources, or two ids of one source, may bring the same document. Which of them is right is
//! for people to say; the hub only says that there are two.

use super::super::bulk::{Bulk, Kind, cells};
use super::super::db::{Tx, row};
use super::super::{NewSubmission, StoreError};
use super::decide::Decision;
use crate::record::{Action, Content, Warning};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

row! {
    /// Another record with the key of one of this round.
    struct TwinRow {
        own_id: String,
        source: String,
        source_id: String,
    }
}

/// One other record is enough to warn of; there may be thousands.
static TWINS: Bulk = Bulk::new(
    &[("document_key", Kind::Text), ("own_id", Kind::Text)],
    "SELECT given.own_id, r.source, r.source_id FROM given \
     JOIN records r ON r.id = (SELECT o.id FROM records o \
     WHERE o.document_key = given.document_key AND o.id <> given.own_id \
     AND o.state <> 'withdrawn' LIMIT 1)",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 1] = [&TWINS];

/// Returns what records of one document share: the date, and number and title, or unit and title
/// of a document without number. It begins with the date, so that an index of it grows at its end.
pub(in crate::store) fn document_key(content: &Content) -> String {
    let title: String = content
        .title
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect();
    let name = content.doc_no.as_ref().unwrap_or(&content.unit.code);
    let digest = Sha256::digest(format!("{name}\n{title}"));
    format!("{} {}", content.written_on, hex::encode(&digest[..8]))
}

/// Warns of other records of the same documents, stored before or in this round.
pub(super) async fn warn(
    tx: &mut Tx,
    items: &[&NewSubmission],
    decisions: &mut [Decision<'_>],
) -> Result<(), StoreError> {
    let given: Vec<_> = items
        .iter()
        .zip(&*decisions)
        .filter_map(|(item, decision)| match (decision, item.action) {
            (Decision::Change(plan), Action::Publish) => {
                Some(cells![plan.document_key.as_ref()?, plan.record_id.as_str()])
            }
            _ => None,
        })
        .collect();
    let rows: Vec<TwinRow> = TWINS
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("look for the same document"))?;
    let stored: HashMap<String, (String, String)> = rows
        .into_iter()
        .map(|row| (row.own_id, (row.source, row.source_id)))
        .collect();
    let mut of_round: HashMap<String, (String, String)> = HashMap::new();
    for (item, decision) in items.iter().zip(decisions) {
        let (Decision::Change(plan), Action::Publish) = (decision, item.action) else {
            continue;
        };
        let Some(key) = plan.document_key.clone() else {
            continue;
        };
        let twin = stored
            .get(plan.record_id.as_str())
            .or_else(|| of_round.get(&key));
        plan.warnings.extend(twin.map(warning));
        of_round
            .entry(key)
            .or_insert_with(|| (item.source.clone(), item.source_id.clone()));
    }
    Ok(())
}

fn warning((source, source_id): &(String, String)) -> Warning {
    Warning {
        platform: None,
        pointer: "/entry/title".to_owned(),
        code: "same_document".to_owned(),
        detail: format!(
            "文号（或发布机构）、标题和成文日期与 {source} 报送的 {source_id} 相同，请核对是否重复报送；两条信息各自处理，没有合并，如属重复请撤回其中一条。"
        ),
    }
}
