//! What a person decides about one delivery: it was done by hand, or it is given up; and back.
//!
//! A mark holds for one version: a correction or a withdrawal goes its own way. What was made by
//! hand has an id on the platform that the hub may not know, so that the next act there looks it
//! up first.

use super::db::{Tx, on, row};
use super::event::{Decision, tell_decision};
use super::outage::read;
use super::platform::{Act, insert_act, new_act_id};
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::{AttemptId, DeliveryId};
use serde::Serialize;
use serde_json::json;

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandWork {
    /// It was done at the platform by hand.
    Done {
        /// What proves it.
        evidence: String,
        /// Where the public sees it.
        url: Option<String>,
    },
    /// It shall not be sent.
    GiveUp {
        /// Why.
        reason: String,
    },
    /// The last decision was wrong: back to what it was.
    Undo {
        /// Why.
        reason: String,
    },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOutcome {
    /// It is so now.
    Changed,
    /// It cannot be so from where the delivery stands; nothing happened.
    Refused,
    /// There is no such delivery.
    NotFound,
}

/// A decision that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HandMark {
    /// `done` or `given_up`.
    pub verb: String,
    /// What proves it, or the reason.
    pub evidence: String,
    /// Who decided.
    pub actor: String,
    /// When.
    pub at: i64,
}

row! {
    /// A mark that holds.
    struct MarkRow { verb: String, evidence: String, actor: String, at: i64 }
}

/// What is being sent right now, held, or well already is none of a person's business.
macro_rules! undecided {
    () => {
        "WHERE id = $1 AND NOT held AND state IN ('queued', 'retrying', 'failed')"
    };
}

const EXISTS: &str = "SELECT COUNT(*) AS count FROM deliveries WHERE id = $1";
const MARK: &str = concat!(
    "INSERT INTO hand_marks (delivery_id, verb, version, claimed, evidence, actor, at, \
     state_before, settled_before, shown_before, remote_id_before, remote_url_before, \
     delivered_before, updated_before) \
     SELECT id, $2, version, claimed, $3, $4, CAST($5 AS BIGINT), state, settled, shown_version, \
     remote_id, remote_url, delivered_at, updated_at FROM deliveries ",
    undecided!(),
    " ON CONFLICT (delivery_id) DO UPDATE SET verb = excluded.verb, \
     version = excluded.version, claimed = excluded.claimed, evidence = excluded.evidence, \
     actor = excluded.actor, at = excluded.at, state_before = excluded.state_before, \
     settled_before = excluded.settled_before, shown_before = excluded.shown_before, \
     remote_id_before = excluded.remote_id_before, \
     remote_url_before = excluded.remote_url_before, \
     delivered_before = excluded.delivered_before, updated_before = excluded.updated_before"
);
/// Without a known id on the platform the next act looks first, hence the open doubt.
const DONE: &str = concat!(
    "UPDATE deliveries SET due_at = NULL, lease_owner = NULL, lease_until = NULL, tries = 0, \
     first_tried_at = NULL, progress = NULL, \
     state = CASE WHEN wanted = 'shown' THEN 'delivered' ELSE 'withdrawn' END, \
     shown_version = CASE WHEN wanted = 'shown' AND remote_id IS NOT NULL THEN version END, \
     settled = CASE WHEN wanted = 'shown' AND remote_id IS NULL THEN claimed - 1 \
     ELSE claimed END, \
     remote_url = CASE WHEN wanted = 'shown' THEN COALESCE($3, remote_url) END, \
     remote_id = CASE WHEN wanted = 'shown' THEN remote_id END, \
     delivered_at = CASE WHEN wanted = 'shown' THEN CAST($2 AS BIGINT) ELSE delivered_at END, \
     updated_at = CAST($2 AS BIGINT) ",
    undecided!()
);
const GIVE_UP: &str = concat!(
    "UPDATE deliveries SET state = 'skipped', due_at = NULL, updated_at = $2 ",
    undecided!()
);
/// As proof beside the attempts of the hub itself.
const ATTEMPT: &str = "INSERT INTO attempts (id, delivery_id, record_id, platform, version, \
     operation, started_at, duration_ms, verdict, stage, code, message, exchanges) \
     SELECT $1, id, record_id, platform, version, 'by_hand', CAST($3 AS BIGINT), 0, $4, \
     'by_hand', '', $5, '[]' \
     FROM deliveries WHERE id = $2";
/// What a person has made is there all the same, with an id that the hub does not know.
const UNDO: &str = "UPDATE deliveries SET state = CASE WHEN m.state_before = 'failed' \
     THEN 'failed' ELSE 'queued' END, \
     due_at = CASE WHEN m.state_before = 'failed' THEN NULL ELSE CAST($2 AS BIGINT) END, \
     settled = CASE WHEN deliveries.state = 'delivered' AND m.remote_id_before IS NULL \
     AND m.settled_before >= deliveries.claimed THEN deliveries.claimed - 1 \
     ELSE m.settled_before END, shown_version = m.shown_before, \
     remote_id = m.remote_id_before, remote_url = m.remote_url_before, \
     delivered_at = m.delivered_before, \
     updated_at = CASE WHEN m.state_before = 'failed' THEN m.updated_before \
     ELSE CAST($2 AS BIGINT) END FROM hand_marks m \
     WHERE deliveries.id = $1 AND m.delivery_id = deliveries.id AND NOT deliveries.held \
     AND m.version = deliveries.version AND m.claimed = deliveries.claimed \
     AND deliveries.state IN ('delivered', 'withdrawn', 'skipped')";
const UNMARK: &str = "DELETE FROM hand_marks WHERE delivery_id = $1";
const MARKED: &str = "SELECT m.verb, m.evidence, m.actor, m.at FROM hand_marks m \
     JOIN deliveries d ON d.id = m.delivery_id WHERE m.delivery_id = $1 \
     AND d.version = m.version AND d.claimed = m.claimed \
     AND d.state IN ('delivered', 'withdrawn', 'skipped')";

#[cfg(test)]
pub(super) const SHARED: [&str; 8] = [EXISTS, MARK, DONE, GIVE_UP, ATTEMPT, UNDO, UNMARK, MARKED];

impl Store {
    /// Carries out what a person decides about a delivery, and leaves an act and an event.
    pub async fn work_by_hand(
        &self,
        delivery: &DeliveryId,
        work: &HandWork,
        actor: &str,
    ) -> Result<HandOutcome, StoreError> {
        let failed = StoreError::while_doing("work by hand");
        let now = now_ms();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let (count,): (i64,) = on!(&mut tx, |c| sqlx::query_as(EXISTS)
            .bind(delivery.as_str())
            .fetch_one(&mut **c)
            .await)
        .map_err(&failed)?;
        if count == 0 {
            return Ok(HandOutcome::NotFound);
        }
        let changed = carry_out(&mut tx, delivery, work, actor, now)
            .await
            .map_err(&failed)?;
        if !changed {
            return Ok(HandOutcome::Refused);
        }
        if self.pools().writes_events() {
            tell_decision(&mut tx, delivery, Decision::Work(work), now)
                .await
                .map_err(&failed)?;
        }
        let act = Act {
            id: new_act_id(),
            at: now,
            actor: actor.to_owned(),
            verb: work.verb().to_owned(),
            target: delivery.to_string(),
            reason: work.words().to_owned(),
            detail: json!({ "url": work.url() }),
        };
        insert_act(&mut tx, &act).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        Ok(HandOutcome::Changed)
    }

    /// Returns what a person has decided about a delivery, while it holds.
    pub async fn hand_mark(&self, delivery: &DeliveryId) -> Result<Option<HandMark>, StoreError> {
        let row: Option<MarkRow> = read!(self, "read a mark", |c| sqlx::query_as(MARKED)
            .bind(delivery.as_str())
            .fetch_optional(c)
            .await)?;
        Ok(row.map(|row| HandMark {
            verb: row.verb,
            evidence: row.evidence,
            actor: row.actor,
            at: row.at,
        }))
    }
}

pub(super) async fn carry_out(
    tx: &mut Tx,
    delivery: &DeliveryId,
    work: &HandWork,
    actor: &str,
    now: i64,
) -> Result<bool, sqlx::Error> {
    let id = delivery.as_str();
    let changed = match work {
        HandWork::Undo { .. } => {
            let undone = on!(&mut *tx, |c| sqlx::query(UNDO)
                .bind(id)
                .bind(now)
                .execute(&mut **c)
                .await?
                .rows_affected());
            if undone == 1 {
                on!(&mut *tx, |c| sqlx::query(UNMARK)
                    .bind(id)
                    .execute(&mut **c)
                    .await
                    .map(drop))?;
            }
            undone
        }
        HandWork::Done { url, .. } => {
            mark(tx, id, "done", work.words(), actor, now).await?;
            on!(&mut *tx, |c| sqlx::query(DONE)
                .bind(id)
                .bind(now)
                .bind(url)
                .execute(&mut **c)
                .await?
                .rows_affected())
        }
        HandWork::GiveUp { .. } => {
            mark(tx, id, "given_up", work.words(), actor, now).await?;
            on!(&mut *tx, |c| sqlx::query(GIVE_UP)
                .bind(id)
                .bind(now)
                .execute(&mut **c)
                .await?
                .rows_affected())
        }
    };
    if changed == 1 {
        note(tx, id, work, actor, now).await?;
    }
    Ok(changed == 1)
}

async fn mark(
    tx: &mut Tx,
    id: &str,
    verb: &str,
    words: &str,
    actor: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    on!(tx, |c| sqlx::query(MARK)
        .bind(id)
        .bind(verb)
        .bind(words)
        .bind(actor)
        .bind(now)
        .execute(&mut **c)
        .await
        .map(drop))
}

async fn note(
    tx: &mut Tx,
    id: &str,
    work: &HandWork,
    actor: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    let message = format!("{actor}：{}", work.words());
    on!(tx, |c| sqlx::query(ATTEMPT)
        .bind(AttemptId::generate().as_str())
        .bind(id)
        .bind(now)
        .bind(work.verb())
        .bind(&message)
        .execute(&mut **c)
        .await
        .map(drop))
}

impl HandWork {
    fn verb(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done_by_hand",
            Self::GiveUp { .. } => "give_up",
            Self::Undo { .. } => "undo",
        }
    }

    /// Returns the evidence or the reason.
    pub fn words(&self) -> &str {
        match self {
            Self::Done { evidence, .. } => evidence,
            Self::GiveUp { reason } | Self::Undo { reason } => reason,
        }
    }

    fn url(&self) -> Option<&str> {
        match self {
            Self::Done { url, .. } => url.as_deref(),
            Self::GiveUp { .. } | Self::Undo { .. } => None,
        }
    }
}
