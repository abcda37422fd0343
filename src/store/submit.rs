//! The transaction that accepts submissions: either all of one is stored, or nothing.
//!
//! A batch is cut into rounds, so that within a round every record and every idempotency key
//! occurs once; a round reads in bulk, decides in memory and writes in bulk, and the next round
//! sees what it wrote. So two revisions of one record in one batch behave as if posted one after
//! the other.

mod compare;
mod decide;
mod index;
mod read;
mod statements;
mod twin;
mod write;

use super::db::Tx;
use super::event::tell_records;
use super::standby::Handover;
use super::steer::{Deliveries, move_deliveries};
use super::writer::{Answer, Command};
use super::{NewSubmission, RecordHead, Store, StoreError, SubmitOutcome};
use decide::{Decision, decide};
pub(super) use read::{Known, parse_json, read_by_ids};
use read::{KnownKey, Seen};
use std::collections::HashMap;
pub(super) use twin::document_key;
pub(super) use write::{NewVersion, insert_versions};

/// All statements of this folder, for the test that prepares them.
#[cfg(test)]
pub(super) fn bulks() -> Vec<&'static super::bulk::Bulk> {
    [
        &index::BULKS[..],
        &read::BULKS[..],
        &statements::BULKS[..],
        &twin::BULKS[..],
        &compare::BULKS[..],
    ]
    .concat()
}

impl Store {
    /// Commits one submission with its version and deliveries, or says why not.
    pub async fn submit(&self, new: NewSubmission) -> Result<SubmitOutcome, StoreError> {
        self.enqueue_submit(new).await?.await
    }

    /// Hands a submission over and returns at once with its future outcome. Submissions are
    /// decided in the order of the calls.
    pub async fn enqueue_submit(
        &self,
        new: NewSubmission,
    ) -> Result<impl Future<Output = Result<SubmitOutcome, StoreError>> + Send + use<>, StoreError>
    {
        let answer = self
            .writer()
            .enqueue(Command::Submit(Box::new(new)))
            .await?;
        Ok(async move {
            match answer.await? {
                Answer::Submit(outcome) => Ok(*outcome),
                _ => unreachable!("a submission is answered by its outcome"),
            }
        })
    }
}

/// Decides and writes `items` in order, with `events` when they are wanted; what `handover` has
/// room for is opened in the hands of its sender.
pub(super) async fn submit(
    tx: &mut Tx,
    items: &[&NewSubmission],
    events: bool,
    handover: &mut Handover,
) -> Result<Vec<SubmitOutcome>, StoreError> {
    let mut outcomes: Vec<Option<SubmitOutcome>> = items.iter().map(|_| None).collect();
    for round in rounds(items) {
        let part: Vec<&NewSubmission> = round.iter().map(|index| items[*index]).collect();
        for (index, outcome) in round
            .into_iter()
            .zip(submit_round(tx, &part, events, handover).await?)
        {
            outcomes[index] = Some(outcome);
        }
    }
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.expect("every item is in one round"))
        .collect())
}

/// Cuts items into rounds of indices: an item comes after all earlier ones that share its record
/// or its idempotency key.
fn rounds(items: &[&NewSubmission]) -> Vec<Vec<usize>> {
    let mut of_record: HashMap<(&str, &str), usize> = HashMap::new();
    let mut of_key: HashMap<(&str, &str), usize> = HashMap::new();
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let record = (item.source.as_str(), item.source_id.as_str());
        let key = item
            .idempotency_key
            .as_deref()
            .map(|key| (item.account_id.as_str(), key));
        let round = of_record
            .get(&record)
            .max(key.and_then(|key| of_key.get(&key)))
            .map_or(0, |last| last + 1);
        of_record.insert(record, round);
        if let Some(key) = key {
            of_key.insert(key, round);
        }
        if round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[round].push(index);
    }
    rounds
}

async fn submit_round(
    tx: &mut Tx,
    items: &[&NewSubmission],
    events: bool,
    handover: &mut Handover,
) -> Result<Vec<SubmitOutcome>, StoreError> {
    let seen = Seen::read(tx, items).await?;
    let deliveries = Deliveries::read(tx, &seen.record_ids()).await?;
    let mut decisions = Vec::with_capacity(items.len());
    for item in items {
        decisions.push(decide(item, seen.key(item), seen.record(item)));
    }
    index::allocate(tx, items, &mut decisions).await?;
    twin::warn(tx, items, &mut decisions).await?;
    compare::note_changes(tx, items, &mut decisions).await?;
    let mut written = write::write(tx, items, &decisions).await?;
    let moved = move_deliveries(tx, &written.changes(&decisions), &deliveries, handover).await?;
    handover.tell(std::mem::take(&mut written.documents));
    if events {
        tell_records(tx, &written.told(&decisions)).await?;
    }
    let mut moved = moved.into_iter();
    let mut outcomes = Vec::with_capacity(items.len());
    for (item, decision) in items.iter().zip(&decisions) {
        let as_stored = |known: &Known| known.head(deliveries.heads(&known.id)?);
        outcomes.push(match decision {
            Decision::KnownKey(key) => known_key(item, key, &seen, &deliveries)?,
            Decision::Older(known) => SubmitOutcome::Older {
                head: as_stored(known)?,
            },
            Decision::RevisionReused(known, changes) => SubmitOutcome::RevisionReused {
                head: as_stored(known)?,
                changes: changes.clone(),
            },
            Decision::RevisionAhead { newest } => SubmitOutcome::RevisionAhead { newest: *newest },
            Decision::UnknownRecord => SubmitOutcome::UnknownRecord,
            Decision::Repeat(known) => SubmitOutcome::Unchanged(as_stored(known)?),
            Decision::Raise(known) => SubmitOutcome::Unchanged(RecordHead {
                revision: item.revision,
                ..as_stored(known)?
            }),
            Decision::Change(plan) => SubmitOutcome::Changed(RecordHead {
                record_id: plan.record_id.clone(),
                revision: item.revision,
                version: plan.version,
                state: plan.state,
                holds: plan.holds(item).to_vec(),
                warnings: plan.warnings(item),
                deliveries: moved.next().expect("one list for each change"),
            }),
        });
    }
    Ok(outcomes)
}

fn known_key(
    item: &NewSubmission,
    key: &KnownKey,
    seen: &Seen,
    deliveries: &Deliveries,
) -> Result<SubmitOutcome, StoreError> {
    if key.body_sha256 != item.body_sha256 {
        return Ok(SubmitOutcome::KeyReused {
            record_id: key.record_id.clone().into(),
        });
    }
    let known = seen
        .by_id(&key.record_id)
        .ok_or_else(|| StoreError::corrupt("submissions.record_id", &key.record_id))?;
    Ok(SubmitOutcome::Unchanged(
        known.head(deliveries.heads(&known.id)?)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::sample;

    #[test]
    fn an_item_comes_after_earlier_ones_of_its_record_or_key() {
        let mut items = [
            sample("a", 1),
            sample("b", 1),
            sample("a", 2),
            sample("c", 1),
            sample("d", 1),
        ];
        items[2].idempotency_key = Some("k".to_owned());
        items[4].idempotency_key = Some("k".to_owned());
        let items: Vec<&NewSubmission> = items.iter().collect();
        assert_eq!(rounds(&items), vec![vec![0, 1, 3], vec![2], vec![4]]);
    }
}
