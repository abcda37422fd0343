//! Writes what a round decided: records, submissions, versions, files.

use super::super::attachment;
use super::super::bulk::{Cell, cells};
use super::super::db::Tx;
use super::super::event::RecordChange;
use super::super::steer::Change;
use super::super::{NewSubmission, StoreError};
use super::decide::{Decision, Plan};
use super::statements::{
    INSERT_RECORDS, INSERT_SUBMISSIONS, INSERT_VERSIONS, REPLACE_RECORDS, UPDATE_RECORDS,
};
use crate::record::{Action, Content, Record, RecordId};

/// One row of `versions` to be written.
pub(in crate::store) struct NewVersion<'a> {
    pub(in crate::store) record_id: &'a RecordId,
    pub(in crate::store) version: i64,
    pub(in crate::store) revision: i64,
    pub(in crate::store) action: Action,
    pub(in crate::store) submission_id: Option<&'a str>,
    pub(in crate::store) content_sha256: &'a str,
    pub(in crate::store) document: Option<String>,
    pub(in crate::store) holds: String,
    pub(in crate::store) warnings: String,
    pub(in crate::store) platforms: String,
    pub(in crate::store) reason: Option<&'a str>,
    pub(in crate::store) findings: String,
    pub(in crate::store) changes: String,
    pub(in crate::store) catalogue_version: Option<i64>,
    pub(in crate::store) now: i64,
}

/// Proof that a round is written; what is left is to move its deliveries.
pub(super) struct Written<'a> {
    items: &'a [&'a NewSubmission],
    /// What the new versions say.
    pub(super) documents: Vec<(RecordId, String)>,
}

impl<'a> Written<'a> {
    /// Returns the changes in the order of the decisions.
    pub(super) fn changes(&self, decisions: &'a [Decision<'_>]) -> Vec<Change<'a>> {
        changed(self.items, decisions)
            .map(|(item, plan)| Change {
                record_id: &plan.record_id,
                version: plan.version,
                intent: plan.intent,
                // A record that begins with its withdrawal is shown nowhere.
                platforms: &item.platforms,
                // What shall not be seen any more waits for nobody.
                ahead: item.ahead || item.action == Action::Withdraw,
                now: item.received_at,
            })
            .collect()
    }

    /// Returns what is to be told of the round.
    pub(super) fn told(&self, decisions: &'a [Decision<'_>]) -> Vec<RecordChange<'a>> {
        changed(self.items, decisions)
            .map(|(item, plan)| RecordChange {
                record_id: &plan.record_id,
                version: plan.version,
                before: plan.known.map(|known| known.state),
                after: plan.state,
                holds: plan.holds(item),
                now: item.received_at,
            })
            .collect()
    }
}

/// Writes all but the deliveries of a round.
pub(super) async fn write<'a>(
    tx: &mut Tx,
    items: &'a [&'a NewSubmission],
    decisions: &[Decision<'_>],
) -> Result<Written<'a>, StoreError> {
    write_records(tx, items, decisions).await?;
    write_submissions(tx, items, decisions).await?;
    let versions: Vec<NewVersion<'_>> = changed(items, decisions)
        .map(|(item, plan)| version(item, plan))
        .collect();
    insert_versions(tx, &versions).await?;
    let documents = versions
        .into_iter()
        .filter_map(|version| Some((version.record_id.clone(), version.document?)))
        .collect();
    for (item, _) in changed(items, decisions).filter(|(item, plan)| plan.takes_content(item)) {
        for sha256 in &item.files {
            attachment::keep(tx, sha256).await?;
        }
    }
    Ok(Written { items, documents })
}

fn changed<'a, 'b>(
    items: &'a [&'a NewSubmission],
    decisions: &'a [Decision<'b>],
) -> impl Iterator<Item = (&'a NewSubmission, &'a Plan<'b>)> {
    items
        .iter()
        .zip(decisions)
        .filter_map(|(item, decision)| match decision {
            Decision::Change(plan) => Some((*item, plan)),
            Decision::KnownKey(_)
            | Decision::Older(_)
            | Decision::RevisionReused(..)
            | Decision::RevisionAhead { .. }
            | Decision::UnknownRecord
            | Decision::Repeat(_)
            | Decision::Raise(_) => None,
        })
}

async fn write_records(
    tx: &mut Tx,
    items: &[&NewSubmission],
    decisions: &[Decision<'_>],
) -> Result<(), StoreError> {
    let (mut inserted, mut replaced, mut updated) = (Vec::new(), Vec::new(), Vec::new());
    for (item, decision) in items.iter().zip(decisions) {
        match decision {
            Decision::Change(plan) => match (&item.content, plan.known) {
                (Some(content), None) => inserted.push(record_cells(item, plan, content)),
                (Some(content), Some(_)) if item.action == Action::Publish => {
                    replaced.push(record_cells(item, plan, content));
                }
                (_, Some(known)) => updated.push(cells![
                    known.id.as_str(),
                    item.revision,
                    plan.version,
                    plan.state.as_str(),
                    item.action.as_str(),
                    content_sha256(item, plan),
                    &item.body_sha256,
                    item.received_at,
                ]),
                (None, None) => unreachable!("an unknown record without content is refused"),
            },
            Decision::Raise(known) => updated.push(cells![
                known.id.as_str(),
                item.revision,
                known.version,
                known.state.as_str(),
                item.action.as_str(),
                &known.content_sha256,
                &item.body_sha256,
                item.received_at,
            ]),
            Decision::KnownKey(_)
            | Decision::Older(_)
            | Decision::RevisionReused(..)
            | Decision::RevisionAhead { .. }
            | Decision::UnknownRecord
            | Decision::Repeat(_) => {}
        }
    }
    let failed = StoreError::while_doing("write records");
    INSERT_RECORDS
        .execute(tx, &inserted)
        .await
        .map_err(&failed)?;
    REPLACE_RECORDS
        .execute(tx, &replaced)
        .await
        .map_err(&failed)?;
    UPDATE_RECORDS
        .execute(tx, &updated)
        .await
        .map_err(&failed)?;
    Ok(())
}

fn record_cells<'a>(
    item: &'a NewSubmission,
    plan: &'a Plan<'_>,
    content: &'a Content,
) -> Vec<Cell<'a>> {
    cells![
        plan.record_id.as_str(),
        &item.source,
        &item.source_id,
        item.revision,
        plan.version,
        plan.state.as_str(),
        item.action.as_str(),
        &content.title,
        &content.doc_no,
        &content.unit.code,
        &content.unit.name,
        &content.area,
        &content.column,
        &plan.index_no,
        &content.written_on,
        content.disclosure.as_str(),
        &item.content_sha256,
        &item.body_sha256,
        &plan.document_key,
        item.reckoning.due_at,
        item.reckoning.due_provisional,
        item.received_at,
    ]
}

fn content_sha256<'a>(item: &'a NewSubmission, plan: &'a Plan<'_>) -> &'a str {
    match (&item.content, plan.known) {
        (None, Some(known)) => &known.content_sha256,
        (Some(_), _) | (None, None) => &item.content_sha256,
    }
}

async fn write_submissions(
    tx: &mut Tx,
    items: &[&NewSubmission],
    decisions: &[Decision<'_>],
) -> Result<(), StoreError> {
    let mut given = Vec::with_capacity(items.len());
    for (item, decision) in items.iter().zip(decisions) {
        let (record_id, version, body) = match decision {
            Decision::Change(plan) => (&plan.record_id, plan.version, item.body.as_str()),
            Decision::Raise(known) => (&known.id, known.version, item.body.as_str()),
            // A sender that repeats itself for ever must not fill the disk.
            Decision::Repeat(known) if known.body_sha256 == item.body_sha256 => {
                (&known.id, known.version, "")
            }
            Decision::Repeat(known) => (&known.id, known.version, item.body.as_str()),
            Decision::KnownKey(_)
            | Decision::Older(_)
            | Decision::RevisionReused(..)
            | Decision::RevisionAhead { .. }
            | Decision::UnknownRecord => continue,
        };
        given.push(cells![
            item.id.as_str(),
            &item.account_id,
            &item.source,
            &item.source_id,
            item.revision,
            item.action.as_str(),
            &item.reason,
            body,
            &item.body_sha256,
            &item.idempotency_key,
            record_id.as_str(),
            version,
            item.received_at,
        ]);
    }
    INSERT_SUBMISSIONS
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("write submissions"))?;
    Ok(())
}

fn version<'a>(item: &'a NewSubmission, plan: &'a Plan<'_>) -> NewVersion<'a> {
    NewVersion {
        record_id: &plan.record_id,
        version: plan.version,
        revision: item.revision,
        action: item.action,
        submission_id: Some(item.id.as_str()),
        content_sha256: content_sha256(item, plan),
        document: item
            .content
            .as_deref()
            .filter(|_| plan.takes_content(item))
            .map(|content| document(item, plan, content)),
        holds: to_json(plan.holds(item)),
        warnings: to_json(&plan.warnings(item)),
        platforms: to_json(&item.platforms),
        reason: item.reason.as_deref(),
        findings: to_json(&item.findings),
        changes: to_json(&plan.changes),
        catalogue_version: item.reckoning.catalogue_version,
        now: item.received_at,
    }
}

fn document(item: &NewSubmission, plan: &Plan<'_>, content: &Content) -> String {
    to_json(&Record {
        id: plan.record_id.clone(),
        source: item.source.clone(),
        source_id: item.source_id.clone(),
        revision: item.revision,
        version: plan.version,
        content: Content {
            index_no: plan.index_no.clone(),
            ..content.clone()
        },
    })
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have text keys only")
}

/// Writes rows of `versions`.
pub(in crate::store) async fn insert_versions(
    tx: &mut Tx,
    versions: &[NewVersion<'_>],
) -> Result<(), StoreError> {
    let given: Vec<_> = versions
        .iter()
        .map(|version| {
            cells![
                version.record_id.as_str(),
                version.version,
                version.revision,
                version.action.as_str(),
                version.submission_id,
                version.content_sha256,
                &version.document,
                &version.holds,
                &version.warnings,
                &version.platforms,
                version.reason,
                &version.findings,
                &version.changes,
                version.catalogue_version,
                version.now,
            ]
        })
        .collect();
    INSERT_VERSIONS
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("write versions"))?;
    Ok(())
}
