//! What a person does to one record: withdraw it everywhere, or release a held one.

use super::db::Tx;
use super::event::{RecordChange, tell_records};
use super::platform::{Act, insert_act, new_act_id};
use super::standby::Handover;
use super::steer::{Change, Deliveries, move_deliveries};
use super::submit::{Known, NewVersion, insert_versions, parse_json, read_by_ids};
use super::{RecordHead, RecordState, Store, StoreError, db::on};
use crate::clock::now_ms;
use crate::record::life::Intent;
use crate::record::{Action, Hold, HoldCode, RecordId};
use serde_json::json;

/// What became of a withdrawal by hand.
#[derive(Debug, Clone, PartialEq)]
pub enum WithdrawOutcome {
    /// There is a new version that says so; all deliveries follow.
    Withdrawn(RecordHead),
    /// It was withdrawn already; nothing changed.
    AlreadyWithdrawn(RecordHead),
    /// There is no such record.
    NotFound,
}

/// What became of a release.
#[derive(Debug, Clone, PartialEq)]
pub enum ReleaseOutcome {
    /// Its newest version goes out.
    Released(RecordHead),
    /// It is not held; nothing changed.
    NotHeld(RecordHead),
    /// Some of its holds no person may lift here: the document itself must be corrected.
    ReleaseRefused {
        /// The holds that stand in the way.
        holds: Vec<Hold>,
    },
    /// There is no such record.
    NotFound,
}

const WITHDRAW: &str =
    "UPDATE records SET state = 'withdrawn', version = $2, updated_at = $3 WHERE id = $1";
const RELEASE: &str = "UPDATE records SET state = 'live', updated_at = $2, \
     public_at = COALESCE(public_at, $2) WHERE id = $1";
const RELEASE_VERSION: &str = "UPDATE versions SET released_at = $3, released_by = $4, \
     release_reason = $5 WHERE record_id = $1 AND version = $2";

#[cfg(test)]
pub(super) const SHARED: [&str; 3] = [WITHDRAW, RELEASE, RELEASE_VERSION];

impl Store {
    /// Withdraws a record everywhere by hand. The sender's revision stays, so that its next
    /// revision counts as usual and a repeated post of the old one changes nothing.
    pub async fn withdraw_record(
        &self,
        record_id: &RecordId,
        reason: &str,
        actor: &str,
    ) -> Result<WithdrawOutcome, StoreError> {
        let failed = StoreError::while_doing("withdraw a record");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let Some((known, deliveries)) = read(&mut tx, record_id).await? else {
            return Ok(WithdrawOutcome::NotFound);
        };
        if known.state == RecordState::Withdrawn {
            let head = known.head(deliveries.heads(record_id)?)?;
            return Ok(WithdrawOutcome::AlreadyWithdrawn(head));
        }
        let now = now_ms();
        let version = known.version + 1;
        on!(&mut tx, |c| sqlx::query(WITHDRAW)
            .bind(record_id.as_str())
            .bind(version)
            .bind(now)
            .execute(&mut **c)
            .await
            .map(drop))
        .map_err(&failed)?;
        let row = withdrawal(&known, version, reason, now);
        insert_versions(&mut tx, &[row]).await?;
        let change = Change {
            record_id,
            version,
            intent: Intent::Gone,
            platforms: &[],
            ahead: true,
            now,
        };
        let moved =
            move_deliveries(&mut tx, &[change], &deliveries, &mut Handover::default()).await?;
        self.tell(&mut tx, &known, version, RecordState::Withdrawn, now)
            .await?;
        let act = act("withdraw", record_id, version, reason, actor, now);
        insert_act(&mut tx, &act).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        Ok(WithdrawOutcome::Withdrawn(RecordHead {
            version,
            state: RecordState::Withdrawn,
            holds: Vec::new(),
            warnings: Vec::new(),
            deliveries: moved.into_iter().flatten().collect(),
            ..known.head(Vec::new())?
        }))
    }

    /// Leaves an event of a record that an operator has brought from one state into another.
    async fn tell(
        &self,
        tx: &mut Tx,
        known: &Known,
        version: i64,
        after: RecordState,
        now: i64,
    ) -> Result<(), StoreError> {
        if !self.pools().writes_events() {
            return Ok(());
        }
        let change = RecordChange {
            record_id: &known.id,
            version,
            before: Some(known.state),
            after,
            holds: &[],
            now,
        };
        tell_records(tx, &[change]).await
    }

    /// Lets the newest version of a held record go out. Refused while a hold says that the
    /// document is not public, or nobody said that it is.
    pub async fn release_record(
        &self,
        record_id: &RecordId,
        reason: &str,
        actor: &str,
    ) -> Result<ReleaseOutcome, StoreError> {
        let failed = StoreError::while_doing("release a record");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let Some((known, deliveries)) = read(&mut tx, record_id).await? else {
            return Ok(ReleaseOutcome::NotFound);
        };
        let head = known.head(deliveries.heads(record_id)?)?;
        if known.state != RecordState::Held {
            return Ok(ReleaseOutcome::NotHeld(head));
        }
        let holds: Vec<Hold> = head
            .holds
            .iter()
            .filter(|hold| is_final(hold))
            .cloned()
            .collect();
        if !holds.is_empty() {
            return Ok(ReleaseOutcome::ReleaseRefused { holds });
        }
        let now = now_ms();
        write_release(&mut tx, &known, reason, actor, now)
            .await
            .map_err(&failed)?;
        let platforms: Vec<String> =
            parse_json(&known.platforms, "versions.platforms", record_id.as_str())?;
        let change = Change {
            record_id,
            version: known.version,
            intent: Intent::Show,
            platforms: &platforms,
            ahead: true,
            now,
        };
        let moved =
            move_deliveries(&mut tx, &[change], &deliveries, &mut Handover::default()).await?;
        self.tell(&mut tx, &known, known.version, RecordState::Live, now)
            .await?;
        tx.commit_act().await.map_err(&failed)?;
        Ok(ReleaseOutcome::Released(RecordHead {
            state: RecordState::Live,
            holds: Vec::new(),
            deliveries: moved.into_iter().flatten().collect(),
            ..head
        }))
    }
}

async fn read(
    tx: &mut Tx,
    record_id: &RecordId,
) -> Result<Option<(Known, Deliveries)>, StoreError> {
    let known = read_by_ids(tx, &[record_id.as_str().to_owned()]).await?;
    let Some(known) = known.into_iter().next() else {
        return Ok(None);
    };
    let deliveries = Deliveries::read(tx, &[record_id.as_str()]).await?;
    Ok(Some((known, deliveries)))
}

/// Returns whether only the sender can end this hold, by declaring the document public.
fn is_final(hold: &Hold) -> bool {
    match hold.code {
        HoldCode::OnRequest | HoldCode::Withheld | HoldCode::Undeclared => true,
        HoldCode::Contradiction | HoldCode::Secrecy | HoldCode::PersonalData => false,
    }
}

fn withdrawal<'a>(known: &'a Known, version: i64, reason: &'a str, now: i64) -> NewVersion<'a> {
    NewVersion {
        record_id: &known.id,
        version,
        revision: known.revision,
        action: Action::Withdraw,
        submission_id: None,
        content_sha256: &known.content_sha256,
        document: None,
        holds: "[]".to_owned(),
        warnings: "[]".to_owned(),
        platforms: "[]".to_owned(),
        reason: Some(reason),
        findings: "[]".to_owned(),
        changes: "[]".to_owned(),
        catalogue_version: None,
        now,
    }
}

async fn write_release(
    tx: &mut Tx,
    known: &Known,
    reason: &str,
    actor: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    on!(&mut *tx, |c| sqlx::query(RELEASE)
        .bind(known.id.as_str())
        .bind(now)
        .execute(&mut **c)
        .await
        .map(drop))?;
    on!(&mut *tx, |c| sqlx::query(RELEASE_VERSION)
        .bind(known.id.as_str())
        .bind(known.version)
        .bind(now)
        .bind(actor)
        .bind(reason)
        .execute(&mut **c)
        .await
        .map(drop))?;
    let act = act("release", &known.id, known.version, reason, actor, now);
    insert_act(tx, &act).await
}

fn act(verb: &str, record_id: &RecordId, version: i64, reason: &str, actor: &str, now: i64) -> Act {
    Act {
        id: new_act_id(),
        at: now,
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        target: record_id.to_string(),
        reason: reason.to_owned(),
        detail: json!({ "version": version }),
    }
}
