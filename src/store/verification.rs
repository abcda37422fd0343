//! What was looked at on a platform and what was found: asked for, shown, ended early.
//!
//! A verification is a row that a sender of the platform works off ([`look`]); it survives
//! restarts, and one is open per platform at a time, so that asking twice does nothing twice.

mod look;
mod page;

use super::db::{Tx, on, row};
use super::outage::read;
use super::platform::{Act, insert_act, new_act_id};
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::{Appearance, DeliveryId, RecordId, VerificationId};
#[cfg(test)]
pub(super) use look::note;
pub use look::{Look, LookOutcome};
pub use page::ShownPage;
use serde::Serialize;
use serde_json::json;

/// How many findings are read at once.
pub const FINDINGS_MAX: i64 = 500;

/// A verification as it is asked for.
#[derive(Debug, Clone)]
pub struct NewVerification {
    /// The platform to look at.
    pub platform: String,
    /// Whether what is missing or stale is sent again.
    pub repair: bool,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub actor: String,
    /// When the connector's schedule wanted it; none: by hand.
    pub scheduled_for: Option<i64>,
}

/// A verification and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Id made by the hub.
    pub id: VerificationId,
    /// The platform.
    pub platform: String,
    /// `waiting`, `running`, `done` or `cancelled`.
    pub state: VerificationState,
    /// Whether what is missing or stale is sent again.
    pub repair: bool,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub actor: String,
    /// When the connector's schedule wanted it; none: by hand.
    pub scheduled_for: Option<i64>,
    /// How many were looked at, and what was found.
    pub counts: VerificationCounts,
    /// When it was asked for.
    pub created_at: i64,
    /// When a sender began.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationState {
    /// No sender has begun.
    Waiting,
    /// A sender is at it.
    Running,
    /// Everything was looked at.
    Done,
    /// An operator ended it.
    Cancelled,
}

impl VerificationState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Done, Self::Cancelled];

    /// Returns the word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether nothing more is to come.
    pub fn has_ended(self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Done | Self::Cancelled => true,
        }
    }
}

/// What was found: the first eight add up to `looked`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VerificationCounts {
    /// Shown as they should be.
    pub confirmed: i64,
    /// Kept, and not public yet.
    pub under_review: i64,
    /// Not there.
    pub missing: i64,
    /// In an older version, or a part.
    pub stale: i64,
    /// Changed on the platform.
    pub altered: i64,
    /// The platform did not say.
    pub unanswered: i64,
    /// Withdrawn, and shown again.
    pub returned: i64,
    /// Changed by the hub while they were looked at.
    pub skipped: i64,
    /// All that were looked at.
    pub looked: i64,
    /// Of those missing, stale or returned: sent again, or taken down again.
    pub repaired: i64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerificationFinding {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its record.
    pub record_id: RecordId,
    /// The version that should be shown.
    pub version: i64,
    /// What was found.
    pub verdict: Appearance,
    /// In words; secrets masked.
    pub detail: String,
    /// Whether it is sent again.
    pub repaired: bool,
    /// When it was looked at.
    pub at: i64,
}

row! {
    /// A row of `verifications`.
    struct VerificationRow {
        id: String,
        platform: String,
        actor: String,
        reason: String,
        repair: bool,
        scheduled_for: Option<i64>,
        state: String,
        after_record: String,
        looked: i64,
        confirmed: i64,
        under_review: i64,
        missing: i64,
        stale: i64,
        altered: i64,
        unanswered: i64,
        returned: i64,
        skipped: i64,
        repaired: i64,
        created_at: i64,
        started_at: Option<i64>,
        finished_at: Option<i64>,
    }
}

row! {
    /// A row of `verification_findings`.
    struct FindingRow {
        delivery_id: String,
        record_id: String,
        version: i64,
        verdict: String,
        detail: String,
        repaired: bool,
        at: i64,
    }
}

macro_rules! columns {
    () => {
        "id, platform, actor, reason, repair, scheduled_for, state, after_record, looked, \
         confirmed, under_review, missing, stale, altered, unanswered, returned, skipped, \
         repaired, created_at, started_at, finished_at"
    };
}
use columns;

const INSERT: &str = "INSERT INTO verifications (id, platform, actor, reason, repair, \
     scheduled_for, state, lease_until, after_record, looked, confirmed, under_review, missing, \
     stale, altered, unanswered, skipped, repaired, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, $7) \
     ON CONFLICT DO NOTHING";
const OPEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM verifications WHERE platform = $1 AND state IN ('waiting', 'running')"
);
const ONE: &str = concat!("SELECT ", columns!(), " FROM verifications WHERE id = $1");
const NEWEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM verifications WHERE (CAST($1 AS TEXT) IS NULL OR platform = $1) ORDER BY id DESC LIMIT $2"
);
const FINDINGS: &str = "SELECT delivery_id, record_id, version, verdict, detail, repaired, at \
     FROM verification_findings WHERE verification_id = $1 AND delivery_id > $2 \
     AND (CAST($3 AS TEXT) IS NULL OR verdict = $3) ORDER BY delivery_id LIMIT $4";
const CANCEL: &str = "UPDATE verifications SET state = 'cancelled', finished_at = $2 \
     WHERE id = $1 AND state IN ('waiting', 'running')";

#[cfg(test)]
pub(super) fn shared() -> Vec<&'static str> {
    let own = [INSERT, OPEN, ONE, NEWEST, FINDINGS, CANCEL];
    own.into_iter()
        .chain(look::SHARED)
        .chain(page::SHARED)
        .collect()
}

impl Store {
    /// Asks for a verification. Returns it, or the one that is open on the platform already;
    /// `None` when this one of the schedule has been asked for before.
    pub async fn request_verification(
        &self,
        new: &NewVerification,
    ) -> Result<Option<Verification>, StoreError> {
        let failed = StoreError::while_doing("ask for a verification");
        let id = VerificationId::generate();
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let made = on!(&mut tx, |c| sqlx::query(INSERT)
            .bind(id.as_str())
            .bind(&new.platform)
            .bind(&new.actor)
            .bind(&new.reason)
            .bind(new.repair)
            .bind(new.scheduled_for)
            .bind(now)
            .execute(&mut **c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(&failed)?;
        let open: Option<VerificationRow> = on!(&mut tx, |c| sqlx::query_as(OPEN)
            .bind(&new.platform)
            .fetch_optional(&mut **c)
            .await)
        .map_err(&failed)?;
        if made > 0 {
            let act = act("verify", &id, now, &new.actor, &new.reason, |act| {
                act.detail = json!({ "platform": new.platform, "repair": new.repair });
            });
            insert_act(&mut tx, &act).await.map_err(&failed)?;
            tx.commit_act().await.map_err(&failed)?;
        }
        open.map(VerificationRow::understand).transpose()
    }

    /// Returns a verification, if there is one with this id.
    pub async fn verification(
        &self,
        id: &VerificationId,
    ) -> Result<Option<Verification>, StoreError> {
        let row: Option<VerificationRow> =
            read!(self, "read a verification", |c| sqlx::query_as(ONE)
                .bind(id.as_str())
                .fetch_optional(c)
                .await)?;
        row.map(VerificationRow::understand).transpose()
    }

    /// Returns the newest verifications, of one platform when given, newest first.
    pub async fn list_verifications(
        &self,
        platform: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Verification>, StoreError> {
        let rows: Vec<VerificationRow> =
            read!(self, "list verifications", |c| sqlx::query_as(NEWEST)
                .bind(platform)
                .bind(limit.clamp(1, super::PAGE_MAX))
                .fetch_all(c)
                .await)?;
        rows.into_iter().map(VerificationRow::understand).collect()
    }

    /// Returns what a verification found that is not as it should be, by delivery: those after
    /// `after`, up to [`FINDINGS_MAX`], with one verdict only when given.
    pub async fn verification_findings(
        &self,
        id: &VerificationId,
        verdict: Option<Appearance>,
        after: Option<&DeliveryId>,
    ) -> Result<Vec<VerificationFinding>, StoreError> {
        let rows: Vec<FindingRow> =
            read!(self, "read what a verification found", |c| sqlx::query_as(
                FINDINGS
            )
            .bind(id.as_str())
            .bind(after.map_or("", DeliveryId::as_str))
            .bind(verdict.map(Appearance::as_str))
            .bind(FINDINGS_MAX)
            .fetch_all(c)
            .await)?;
        rows.into_iter().map(FindingRow::understand).collect()
    }

    /// Ends a verification early; what was found so far stays. Returns it as it is then.
    pub async fn cancel_verification(
        &self,
        id: &VerificationId,
        reason: &str,
        actor: &str,
    ) -> Result<Option<Verification>, StoreError> {
        let failed = StoreError::while_doing("end a verification");
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let ended = touch(&mut tx, CANCEL, id, now).await.map_err(&failed)?;
        if ended > 0 {
            let act = act("cancel_verify", id, now, actor, reason, |_| {});
            insert_act(&mut tx, &act).await.map_err(&failed)?;
            tx.commit_act().await.map_err(&failed)?;
        } else {
            drop(tx);
        }
        self.verification(id).await
    }
}

fn act(
    verb: &str,
    id: &VerificationId,
    now: i64,
    actor: &str,
    reason: &str,
    more: impl FnOnce(&mut Act),
) -> Act {
    let mut act = Act {
        id: new_act_id(),
        at: now,
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        target: id.to_string(),
        reason: reason.to_owned(),
        detail: json!({}),
    };
    more(&mut act);
    act
}

/// Runs a statement that takes the id of a verification and one number.
async fn touch(
    tx: &mut Tx,
    text: &'static str,
    id: &VerificationId,
    number: i64,
) -> Result<u64, sqlx::Error> {
    on!(tx, |c| sqlx::query(text)
        .bind(id.as_str())
        .bind(number)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected()))
}

impl VerificationRow {
    fn understand(self) -> Result<Verification, StoreError> {
        let state = VerificationState::ALL
            .into_iter()
            .find(|state| state.as_str() == self.state)
            .ok_or_else(|| StoreError::corrupt("verifications.state", &self.id))?;
        Ok(Verification {
            id: self.id.into(),
            platform: self.platform,
            state,
            repair: self.repair,
            reason: self.reason,
            actor: self.actor,
            scheduled_for: self.scheduled_for,
            counts: VerificationCounts {
                confirmed: self.confirmed,
                under_review: self.under_review,
                missing: self.missing,
                stale: self.stale,
                altered: self.altered,
                unanswered: self.unanswered,
                returned: self.returned,
                skipped: self.skipped,
                looked: self.looked,
                repaired: self.repaired,
            },
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

impl FindingRow {
    fn understand(self) -> Result<VerificationFinding, StoreError> {
        Ok(VerificationFinding {
            verdict: Appearance::parse(&self.verdict).ok_or_else(|| {
                StoreError::corrupt("verification_findings.verdict", &self.delivery_id)
            })?,
            delivery_id: self.delivery_id.into(),
            record_id: self.record_id.into(),
            version: self.version,
            detail: self.detail,
            repaired: self.repaired,
            at: self.at,
        })
    }
}
