//! The sender's side: takes a verification, and notes what it finds page by page ([`super::page`]).
//!
//! What is looked at is read without being claimed: looking changes nothing on the platform. So a
//! look counts only when the delivery is still what it was when the look began.

use super::super::db::{Tx, on};
use super::super::event::tell_confirmed;
use super::super::outage::read;
use super::super::{Store, StoreError};
use super::{Verification, VerificationRow, columns, touch};
use crate::failpoint::{Point, reach};
use crate::record::{Appearance, DeliveryId, RecordId, VerificationId};

/// What a sender saw of one delivery.
#[derive(Debug, Clone)]
pub struct Look {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its record.
    pub record_id: RecordId,
    /// The version that should be shown.
    pub version: i64,
    /// Its token when the look began; another one means that it was sent meanwhile.
    pub token: i64,
    /// What the platform shows.
    pub appearance: Appearance,
    /// In words; secrets masked.
    pub detail: String,
    /// When.
    pub at: i64,
}

/// What became of looks that were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookOutcome {
    /// They are stored; go on.
    Stored,
    /// Somebody ended the verification, or another process works on it.
    Ended,
}

/// As it was when the look began.
macro_rules! as_looked_at {
    () => {
        "id = $1 AND claimed = $2 AND version = $3 AND NOT held"
    };
}

const TAKE: &str = concat!(
    "UPDATE verifications SET state = 'running', lease_owner = $2, lease_until = $4, \
     started_at = COALESCE(started_at, $3) WHERE platform = $1 \
     AND state IN ('waiting', 'running') AND lease_until < $3 RETURNING ",
    columns!()
);
const CONFIRM: &str = "UPDATE deliveries SET state = 'confirmed', due_at = NULL, tries = 0, \
     confirmed_at = CAST($4 AS BIGINT), updated_at = CAST($4 AS BIGINT) \
     WHERE id = $1 AND claimed = $2 AND version = $3 AND state = 'delivered'";
/// It was confirmed once and is not any more.
const DOUBT: &str = "UPDATE deliveries SET state = 'delivered', confirmed_at = NULL, \
     updated_at = $4 WHERE id = $1 AND claimed = $2 AND version = $3 AND state = 'confirmed'";
/// What is stale is replaced under its id. What is missing has none any more; since a platform may
/// err, it is in doubt, so that it is looked up before it is made, or taken down.
const REPAIR: &str = "UPDATE deliveries SET state = 'queued', due_at = CAST($4 AS BIGINT), \
     tries = 0, first_tried_at = NULL, progress = NULL, shown_version = NULL, \
     remote_id = CASE WHEN $5 THEN NULL ELSE remote_id END, \
     remote_url = CASE WHEN $5 THEN NULL ELSE remote_url END, \
     settled = CASE WHEN $5 THEN claimed - 1 ELSE settled END, confirmed_at = NULL, \
     updated_at = CAST($4 AS BIGINT) WHERE id = $1 AND claimed = $2 AND version = $3 \
     AND wanted = 'shown' AND NOT held AND state IN ('delivered', 'confirmed')";
/// Under which id it came back is not known, so that it is looked up before it is taken down.
const TAKE_DOWN: &str = concat!(
    "UPDATE deliveries SET state = 'queued', due_at = CAST($4 AS BIGINT), tries = 0, \
     first_tried_at = NULL, progress = NULL, settled = claimed - 1, \
     updated_at = CAST($4 AS BIGINT) WHERE ",
    as_looked_at!(),
    " AND wanted = 'gone' AND state = 'withdrawn'"
);
const UNCHANGED: &str = concat!(
    "SELECT COUNT(*) FROM deliveries WHERE ",
    as_looked_at!(),
    " AND (wanted = 'shown' AND state IN ('delivered', 'confirmed') \
     OR wanted = 'gone' AND state = 'withdrawn')"
);
const INSERT_ITEM: &str = "INSERT INTO verification_findings (verification_id, delivery_id, \
     record_id, version, verdict, detail, repaired, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT DO NOTHING";
const NOTE: &str = "UPDATE verifications SET after_record = $3, lease_until = $4, \
     looked = looked + $5, confirmed = confirmed + $6, under_review = under_review + $7, \
     missing = missing + $8, stale = stale + $9, altered = altered + $10, \
     unanswered = unanswered + $11, returned = returned + $12, skipped = skipped + $13, \
     repaired = repaired + $14 \
     WHERE id = $1 AND lease_owner = $2 AND state = 'running'";
const FINISH: &str =
    "UPDATE verifications SET state = 'done', finished_at = $2 WHERE id = $1 AND state = 'running'";

#[cfg(test)]
pub(super) const SHARED: [&str; 9] = [
    TAKE,
    TAKE_DOWN,
    CONFIRM,
    DOUBT,
    REPAIR,
    UNCHANGED,
    INSERT_ITEM,
    NOTE,
    FINISH,
];

impl Store {
    /// Takes the open verification of `platform` for `owner`, with the record to go on after;
    /// `None` when there is none, or somebody else is at it.
    pub async fn take_verification(
        &self,
        platform: &str,
        owner: &str,
        now: i64,
        lease_until: i64,
    ) -> Result<Option<(Verification, String)>, StoreError> {
        let failed = StoreError::while_doing("take a verification");
        // Asked for often and seldom there: looked at first without the one writer.
        let open: Option<VerificationRow> =
            read!(self, "look for a verification", |c| sqlx::query_as(
                super::OPEN
            )
            .bind(platform)
            .fetch_optional(c)
            .await)?;
        if open.is_none() {
            return Ok(None);
        }
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let taken: Option<VerificationRow> = on!(&mut tx, |c| sqlx::query_as(TAKE)
            .bind(platform)
            .bind(owner)
            .bind(now)
            .bind(lease_until)
            .fetch_optional(&mut **c)
            .await)
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        let Some(row) = taken else { return Ok(None) };
        let after = row.after_record.clone();
        Ok(Some((row.understand()?, after)))
    }

    /// Stores looks at the deliveries up to the record `after`, confirms what is as it should be,
    /// and with `repair` sends again what that mends.
    pub async fn note_looks(
        &self,
        verification: &Verification,
        owner: &str,
        after: &str,
        lease_until: i64,
        looks: &[Look],
    ) -> Result<LookOutcome, StoreError> {
        let failed = StoreError::while_doing("store what was looked at");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let mut found = Found::default();
        let mut confirmed_now = Vec::new();
        for look in looks {
            let noted = note(&mut tx, verification, look).await.map_err(&failed)?;
            if noted == Noted::Confirmed {
                confirmed_now.push((&look.delivery, look.version, look.at));
            }
            found.add(look.appearance, noted);
        }
        if self.pools().writes_events() {
            tell_confirmed(&mut tx, &confirmed_now).await?;
        }
        let [
            confirmed,
            under_review,
            missing,
            stale,
            altered,
            unanswered,
            returned,
        ] = found.appearances;
        let held = on!(&mut tx, |c| sqlx::query(NOTE)
            .bind(verification.id.as_str())
            .bind(owner)
            .bind(after)
            .bind(lease_until)
            .bind(looks.len() as i64)
            .bind(confirmed)
            .bind(under_review)
            .bind(missing)
            .bind(stale)
            .bind(altered)
            .bind(unanswered)
            .bind(returned)
            .bind(found.skipped)
            .bind(found.repaired)
            .execute(&mut **c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(&failed)?;
        if held == 0 {
            // Nothing of it is kept: whoever took over looks again.
            return Ok(LookOutcome::Ended);
        }
        reach(Point::LookCommitting);
        tx.commit().await.map_err(&failed)?;
        reach(Point::LookCommitted);
        Ok(LookOutcome::Stored)
    }

    /// Ends a verification that has looked at everything.
    pub async fn finish_verification(
        &self,
        id: &VerificationId,
        now: i64,
    ) -> Result<(), StoreError> {
        let failed = StoreError::while_doing("end a verification");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        touch(&mut tx, FINISH, id, now).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }
}

/// Sums over some looks.
#[derive(Default)]
struct Found {
    appearances: [i64; Appearance::ALL.len()],
    skipped: i64,
    repaired: i64,
}

/// What became of one look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Noted {
    Counted,
    /// It was only delivered before.
    Confirmed,
    Repaired,
    /// The hub has changed it meanwhile; what was seen says nothing.
    Skipped,
}

impl Found {
    fn add(&mut self, appearance: Appearance, noted: Noted) {
        if noted == Noted::Skipped {
            self.skipped += 1;
            return;
        }
        self.repaired += i64::from(noted == Noted::Repaired);
        let place = Appearance::ALL.iter().position(|it| *it == appearance);
        self.appearances[place.expect("all are in ALL")] += 1;
    }
}

pub(in crate::store) async fn note(
    tx: &mut Tx,
    verification: &Verification,
    look: &Look,
) -> Result<Noted, sqlx::Error> {
    let (unchanged,): (i64,) = on!(&mut *tx, |c| sqlx::query_as(UNCHANGED)
        .bind(look.delivery.as_str())
        .bind(look.token)
        .bind(look.version)
        .fetch_one(&mut **c)
        .await)?;
    if unchanged == 0 {
        return Ok(Noted::Skipped);
    }
    let mends = verification.repair && look.appearance.is_mended_by_sending();
    match look.appearance {
        Appearance::Confirmed => {
            let changed = change(tx, CONFIRM, look).await?;
            return Ok(match changed {
                0 => Noted::Counted,
                _ => Noted::Confirmed,
            });
        }
        Appearance::Unanswered => {}
        Appearance::Returned if mends => {
            change(tx, TAKE_DOWN, look).await?;
        }
        Appearance::Returned => {}
        Appearance::Missing | Appearance::Stale if mends => repair(tx, look).await?,
        Appearance::UnderReview | Appearance::Missing | Appearance::Stale | Appearance::Altered => {
            change(tx, DOUBT, look).await?;
        }
    }
    on!(&mut *tx, |c| sqlx::query(INSERT_ITEM)
        .bind(verification.id.as_str())
        .bind(look.delivery.as_str())
        .bind(look.record_id.as_str())
        .bind(look.version)
        .bind(look.appearance.as_str())
        .bind(&look.detail)
        .bind(mends)
        .bind(look.at)
        .execute(&mut **c)
        .await
        .map(drop))?;
    Ok(if mends {
        Noted::Repaired
    } else {
        Noted::Counted
    })
}

async fn change(tx: &mut Tx, text: &'static str, look: &Look) -> Result<u64, sqlx::Error> {
    on!(tx, |c| sqlx::query(text)
        .bind(look.delivery.as_str())
        .bind(look.token)
        .bind(look.version)
        .bind(look.at)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected()))
}

async fn repair(tx: &mut Tx, look: &Look) -> Result<(), sqlx::Error> {
    on!(tx, |c| sqlx::query(REPAIR)
        .bind(look.delivery.as_str())
        .bind(look.token)
        .bind(look.version)
        .bind(look.at)
        .bind(look.appearance == Appearance::Missing)
        .execute(&mut **c)
        .await
        .map(drop))
}
