//! What becomes of one submission, given what is known: a pure function.

use super::super::{NewSubmission, RecordState};
use super::read::{Known, KnownKey};
use super::twin::document_key;
use crate::record::life::Intent;
use crate::record::{Action, FieldChange, Hold, HoldCode, RecordId, Warning};

/// What to do with one submission.
#[derive(Debug)]
pub(super) enum Decision<'a> {
    /// Its idempotency key was used before.
    KnownKey(&'a KnownKey),
    /// A newer revision is stored.
    Older(&'a Known),
    /// This revision is stored with something else in it.
    RevisionReused(&'a Known, Vec<FieldChange>),
    /// It leaps.
    RevisionAhead { newest: i64 },
    /// It withdraws what nobody ever sent.
    UnknownRecord,
    /// It says what is stored, at the same revision.
    Repeat(&'a Known),
    /// It says what is stored, at a higher revision.
    Raise(&'a Known),
    /// It makes a version.
    Change(Plan<'a>),
}

/// A version to be made.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The record as it was; none for a new one.
    pub(super) known: Option<&'a Known>,
    pub(super) record_id: RecordId,
    pub(super) version: i64,
    pub(super) state: RecordState,
    pub(super) intent: Intent,
    /// The sender's own index number, the one the record has, or one allocated now.
    pub(super) index_no: Option<String>,
    /// What records of the same document share; none without a content of its own.
    pub(super) document_key: Option<String>,
    /// What the store itself warns of, besides what intake does.
    pub(super) warnings: Vec<Warning>,
    /// What a correction changes.
    pub(super) changes: Vec<FieldChange>,
}

impl Plan<'_> {
    /// Returns what holds the new version. A withdrawal cannot be held: it beats everything.
    pub(super) fn holds<'a>(&self, item: &'a NewSubmission) -> &'a [Hold] {
        match item.action {
            Action::Publish => &item.holds,
            Action::Withdraw => &[],
        }
    }

    /// Returns what the clerk should know of the new version.
    pub(super) fn warnings(&self, item: &NewSubmission) -> Vec<Warning> {
        item.warnings
            .iter()
            .chain(&self.warnings)
            .cloned()
            .collect()
    }

    /// Returns whether the content becomes the record's. The entry of a withdrawal may be the
    /// notice about it, so it only does when there is nothing else.
    pub(super) fn takes_content(&self, item: &NewSubmission) -> bool {
        match item.action {
            Action::Publish => true,
            Action::Withdraw => self.known.is_none(),
        }
    }
}

/// Decides about `item`.
pub(super) fn decide<'a>(
    item: &NewSubmission,
    key: Option<&'a KnownKey>,
    known: Option<&'a Known>,
) -> Decision<'a> {
    if let Some(key) = key {
        return Decision::KnownKey(key);
    }
    let newest = known.map_or(0, |known| known.revision);
    if item.revision.saturating_sub(newest) > item.revision_ahead_max {
        return Decision::RevisionAhead { newest };
    }
    match known {
        None if item.content.is_none() => Decision::UnknownRecord,
        None => Decision::Change(plan(item, None)),
        Some(known) if item.revision < known.revision => Decision::Older(known),
        Some(known) if item.revision == known.revision => {
            // The same bytes stay the same, also when the registry reads them anew.
            let same = same_content(item, known) || item.body_sha256 == known.body_sha256;
            if item.action == known.action && same {
                Decision::Repeat(known)
            } else {
                Decision::RevisionReused(known, Vec::new())
            }
        }
        Some(known) => {
            // A new revision is a new word of the owner: it counts against what is so now, also
            // when it was an operator who withdrew.
            let withdrawn = known.state == RecordState::Withdrawn;
            let wants_withdrawn = item.action == Action::Withdraw;
            if withdrawn == wants_withdrawn && same_content(item, known) {
                Decision::Raise(known)
            } else {
                Decision::Change(plan(item, Some(known)))
            }
        }
    }
}

fn same_content(item: &NewSubmission, known: &Known) -> bool {
    match item.action {
        Action::Withdraw if item.content.is_none() => true,
        Action::Publish | Action::Withdraw => item.content_sha256 == known.content_sha256,
    }
}

fn plan<'a>(item: &NewSubmission, known: Option<&'a Known>) -> Plan<'a> {
    let (state, intent) = match item.action {
        Action::Withdraw => (RecordState::Withdrawn, Intent::Gone),
        Action::Publish if item.holds.is_empty() => (RecordState::Live, Intent::Show),
        Action::Publish if item.holds.iter().any(no_longer_public) => {
            (RecordState::Held, Intent::Seal)
        }
        Action::Publish => (RecordState::Held, Intent::Hold),
    };
    let own_index_no = item
        .content
        .as_ref()
        .filter(|_| item.action == Action::Publish || known.is_none())
        .and_then(|content| content.index_no.clone());
    Plan {
        known,
        record_id: known.map_or_else(RecordId::generate, |known| known.id.clone()),
        version: known.map_or(1, |known| known.version + 1),
        state,
        intent,
        index_no: own_index_no.or_else(|| known.and_then(|known| known.index_no.clone())),
        document_key: item
            .content
            .as_deref()
            .filter(|_| item.action == Action::Publish || known.is_none())
            .map(document_key),
        warnings: Vec::new(),
        changes: Vec::new(),
    }
}

/// Returns whether the document itself, not only a detail in it, must not be public.
fn no_longer_public(hold: &Hold) -> bool {
    match hold.code {
        HoldCode::OnRequest | HoldCode::Withheld => true,
        HoldCode::Undeclared
        | HoldCode::Contradiction
        | HoldCode::Secrecy
        | HoldCode::PersonalData => false,
    }
}
