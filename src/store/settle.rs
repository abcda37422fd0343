//! Stores how claims ended: attempts always, the delivery only for the newest claim.

mod effect;

use super::bulk::{Bulk, Cell, Kind, cells};
use super::db::{Tx, row};
use super::failure::remember;
use super::writer::{Answer, Command};
use super::{Settlement, Store, StoreError};
use crate::clock::now_ms;
use crate::record::DeliveryId;
use effect::effect;
use serde_json::Value;
use std::collections::HashSet;

/// Progress of one claim in the middle of its steps.
#[derive(Debug, Clone)]
pub(super) struct ProgressUpdate {
    delivery: DeliveryId,
    token: i64,
    progress: String,
    remote_id: Option<String>,
    remote_url: Option<String>,
}

row! {
    /// A delivery that took a settlement or progress.
    struct TakenRow { id: String, claimed: i64 }
}

/// A commit that was not answered may have been made, and is asked for again.
static INSERT_ATTEMPTS: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("delivery_id", Kind::Text),
        ("version", Kind::Int),
        ("operation", Kind::Text),
        ("started_at", Kind::Int),
        ("duration_ms", Kind::Int),
        ("verdict", Kind::Text),
        ("stage", Kind::Text),
        ("code", Kind::Text),
        ("message", Kind::Text),
        ("exchanges", Kind::Text),
    ],
    "INSERT INTO attempts (id, delivery_id, record_id, platform, version, operation, \
     started_at, duration_ms, verdict, stage, code, message, exchanges) \
     SELECT given.id, d.id, d.record_id, d.platform, given.version, given.operation, \
     given.started_at, given.duration_ms, given.verdict, given.stage, given.code, \
     given.message, given.exchanges \
     FROM given JOIN deliveries d ON d.id = given.delivery_id \
     WHERE TRUE ON CONFLICT (id) DO NOTHING",
);

/// Where a delivery belongs that nobody works on and nothing has come of, as
/// [`crate::record::life`] says.
macro_rules! resting {
    () => {
        "CASE WHEN held THEN 'held' \
         WHEN wanted = 'shown' AND shown_version = version THEN 'delivered' \
         WHEN deliveries.tries > 0 THEN 'retrying' ELSE 'queued' END"
    };
}
pub(super) use resting;

/// Whether a delivery is in somebody's hands, in words that PostgreSQL cannot take for a way to
/// find it. It would: by the index of states, which holds a dead entry for each delivery that was
/// in hand since the last vacuum, all of them read for each statement (at 20,000 entries, three
/// fifths of the time that settling took).
macro_rules! in_hand {
    () => {
        "(deliveries.state = 'sending') IS TRUE"
    };
}

/// Every decision is made inside the one statement, on the row as it is at that moment: a
/// version that came meanwhile makes the row due again, a hold that came meanwhile stops it;
/// what is known about the platform (`shown_version`, `remote_id`) is kept in any case.
static SETTLE: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("token", Kind::Int),
        ("sent_version", Kind::Int),
        ("state", Kind::Text),
        ("due_at", Kind::Int),
        ("settles", Kind::Text),
        ("tries", Kind::Text),
        ("tried_at", Kind::Int),
        ("shows", Kind::Text),
        ("remote_id", Kind::Text),
        ("remote_url", Kind::Text),
        ("progress", Kind::Text),
        ("stage", Kind::Text),
        ("class", Kind::Text),
        ("code", Kind::Text),
        ("text", Kind::Text),
        ("failure_group", Kind::Text),
        ("now", Kind::Int),
    ],
    concat!(
        "UPDATE deliveries SET \
     state = CASE WHEN held THEN 'held' WHEN version > given.sent_version THEN 'queued' \
     WHEN given.state = 'resting' THEN ",
        resting!(),
        " ELSE given.state END, \
     due_at = CASE WHEN held THEN NULL WHEN version > given.sent_version THEN given.now \
     ELSE given.due_at END, \
     settled = CASE given.settles WHEN 'all' THEN claimed WHEN 'one' THEN settled + 1 \
     ELSE settled END, \
     lease_owner = NULL, lease_until = NULL, \
     tries = CASE WHEN version > given.sent_version OR given.tries = 'none' THEN 0 \
     WHEN given.tries = 'more' THEN deliveries.tries + 1 ELSE deliveries.tries END, \
     first_tried_at = CASE WHEN version > given.sent_version OR given.tries = 'none' THEN NULL \
     ELSE COALESCE(first_tried_at, given.tried_at) END, \
     progress = CASE WHEN given.state IN ('retrying', 'resting', 'failed') \
     AND version = given.sent_version THEN COALESCE(given.progress, deliveries.progress) \
     ELSE NULL END, \
     shown_version = CASE given.shows WHEN 'this' THEN given.sent_version \
     WHEN 'nothing' THEN NULL WHEN 'forget' THEN NULL ELSE shown_version END, \
     remote_id = CASE given.shows WHEN 'forget' THEN NULL \
     ELSE COALESCE(given.remote_id, deliveries.remote_id) END, \
     remote_url = CASE given.shows WHEN 'forget' THEN NULL \
     ELSE COALESCE(given.remote_url, deliveries.remote_url) END, \
     delivered_at = CASE WHEN given.shows <> 'this' THEN delivered_at \
     WHEN given.state = 'confirmed' AND shown_version = given.sent_version \
     THEN COALESCE(delivered_at, given.now) ELSE given.now END, \
     confirmed_at = CASE WHEN given.state = 'confirmed' THEN given.now \
     WHEN given.shows = 'same' THEN confirmed_at ELSE NULL END, \
     failure_stage = CASE WHEN version > given.sent_version THEN NULL ELSE given.stage END, \
     failure_class = CASE WHEN version > given.sent_version THEN NULL ELSE given.class END, \
     failure_code = CASE WHEN version > given.sent_version THEN NULL ELSE given.code END, \
     failure_text = CASE WHEN version > given.sent_version THEN NULL ELSE given.text END, \
     failure_group = CASE WHEN version > given.sent_version THEN NULL \
     ELSE given.failure_group END, \
     updated_at = given.now \
     FROM given WHERE deliveries.id = given.id AND claimed = given.token AND ",
        in_hand!(),
        " RETURNING deliveries.id, deliveries.claimed"
    ),
);

/// Not a try, and a doubt of earlier claims stays.
pub(super) static RELEASE: Bulk = Bulk::new(
    &[("id", Kind::Text), ("token", Kind::Int), ("now", Kind::Int)],
    concat!(
        "UPDATE deliveries SET state = ",
        resting!(),
        ", due_at = CASE WHEN held THEN NULL ELSE given.now END, settled = settled + 1, \
     lease_owner = NULL, lease_until = NULL, updated_at = given.now \
     FROM given WHERE deliveries.id = given.id AND claimed = given.token AND ",
        in_hand!()
    ),
);

/// As after a crash: due at once, and in doubt.
pub(super) static ABANDON: Bulk = Bulk::new(
    &[("id", Kind::Text), ("token", Kind::Int), ("now", Kind::Int)],
    concat!(
        "UPDATE deliveries SET due_at = CASE WHEN held THEN NULL ELSE given.now END, \
     lease_owner = NULL, lease_until = given.now, updated_at = given.now \
     FROM given WHERE deliveries.id = given.id AND claimed = given.token AND ",
        in_hand!()
    ),
);

static PROGRESS: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("token", Kind::Int),
        ("progress", Kind::Text),
        ("remote_id", Kind::Text),
        ("remote_url", Kind::Text),
    ],
    concat!(
        "UPDATE deliveries SET progress = given.progress, \
     remote_id = COALESCE(given.remote_id, deliveries.remote_id), \
     remote_url = COALESCE(given.remote_url, deliveries.remote_url) \
     FROM given WHERE deliveries.id = given.id AND claimed = given.token AND ",
        in_hand!(),
        " RETURNING deliveries.id, deliveries.claimed"
    ),
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 5] = [&INSERT_ATTEMPTS, &SETTLE, &RELEASE, &ABANDON, &PROGRESS];

impl Store {
    /// Stores how a claim ended. Returns whether the claim was still the newest; the attempt is
    /// stored in any case.
    pub async fn settle(&self, settlement: Settlement) -> Result<bool, StoreError> {
        let command = Command::Settle(Box::new(settlement));
        match self.writer().ask(command).await? {
            Answer::Settle(ours) => Ok(ours),
            _ => unreachable!("a settlement is answered by its result"),
        }
    }

    /// Hands back claims that were never begun, so that they are due again at once.
    pub async fn release(&self, claims: &[(DeliveryId, i64)]) -> Result<(), StoreError> {
        let command = Command::Release(claims.to_vec());
        match self.writer().ask(command).await? {
            Answer::Release => Ok(()),
            _ => unreachable!("a release is answered by its end"),
        }
    }

    /// Gives up a claim whose work broke off in the middle, so that it is due again at once and
    /// in doubt. Without this it stays with its owner, whose leases are renewed.
    pub async fn abandon(&self, delivery: &DeliveryId, token: i64) -> Result<(), StoreError> {
        let command = Command::Abandon((delivery.clone(), token));
        match self.writer().ask(command).await? {
            Answer::Abandon => Ok(()),
            _ => unreachable!("giving up is answered by its end"),
        }
    }

    /// Stores the finished steps of a claim and what they captured. Returns whether the claim is
    /// still the newest; if not, the sender must stop.
    pub async fn save_progress(
        &self,
        delivery: &DeliveryId,
        token: i64,
        progress: Value,
        remote_id: Option<String>,
        remote_url: Option<String>,
    ) -> Result<bool, StoreError> {
        let command = Command::Progress(ProgressUpdate {
            delivery: delivery.clone(),
            token,
            progress: progress.to_string(),
            remote_id,
            remote_url,
        });
        match self.writer().ask(command).await? {
            Answer::Progress(ours) => Ok(ours),
            _ => unreachable!("progress is answered by its result"),
        }
    }
}

/// Stores settlements and says for each whether it was the newest claim's.
pub(super) async fn settle(
    tx: &mut Tx,
    settlements: &[&Settlement],
) -> Result<Vec<bool>, StoreError> {
    // One order for everybody keeps those who write at the same time from locking each other out.
    let mut in_order = settlements.to_vec();
    in_order.sort_by_key(|settlement| (settlement.delivery.as_str(), settlement.token));
    let given: Vec<_> = in_order
        .iter()
        .map(|settlement| attempt_cells(settlement))
        .collect();
    INSERT_ATTEMPTS
        .execute(tx, &given)
        .await
        .map_err(StoreError::while_doing("write attempts"))?;
    let mut tokens = HashSet::new();
    // The same claim settled twice at once: the first counts.
    let first: Vec<bool> = settlements
        .iter()
        .map(|settlement| tokens.insert((settlement.delivery.as_str(), settlement.token)))
        .collect();
    in_order.dedup_by_key(|settlement| (settlement.delivery.as_str(), settlement.token));
    let progress: Vec<Option<String>> = in_order
        .iter()
        .map(|settlement| settlement.progress.as_ref().map(Value::to_string))
        .collect();
    let given: Vec<_> = in_order
        .iter()
        .zip(&progress)
        .map(|(settlement, progress)| settle_cells(settlement, progress))
        .collect();
    let taken: Vec<TakenRow> = SETTLE
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("settle deliveries"))?;
    let taken = tokens_of(&taken);
    let counted = settlements
        .iter()
        .zip(&first)
        .filter(|(settlement, first)| {
            **first && taken.contains(&(settlement.delivery.as_str(), settlement.token))
        });
    remember(tx, counted.map(|(settlement, _)| *settlement)).await?;
    Ok(settlements
        .iter()
        .zip(first)
        .map(|(settlement, first)| {
            first && taken.contains(&(settlement.delivery.as_str(), settlement.token))
        })
        .collect())
}

/// Hands claims back.
pub(super) async fn release(tx: &mut Tx, claims: &[&(DeliveryId, i64)]) -> Result<(), StoreError> {
    end_claims(&RELEASE, tx, claims, now_ms())
        .await
        .map_err(StoreError::while_doing("release claims"))
}

/// Gives claims up.
pub(super) async fn abandon(tx: &mut Tx, claims: &[&(DeliveryId, i64)]) -> Result<(), StoreError> {
    end_claims(&ABANDON, tx, claims, now_ms())
        .await
        .map_err(StoreError::while_doing("give claims up"))
}

pub(super) async fn end_claims(
    bulk: &'static Bulk,
    tx: &mut Tx,
    claims: &[&(DeliveryId, i64)],
    now: i64,
) -> Result<(), sqlx::Error> {
    let given: Vec<_> = claims
        .iter()
        .map(|(delivery, token)| cells![delivery.as_str(), *token, now])
        .collect();
    bulk.execute(tx, &given).await.map(drop)
}

/// Stores progress and says for each whether it was the newest claim's. Of two updates of one
/// claim the later one wins.
pub(super) async fn save_progress(
    tx: &mut Tx,
    updates: &[&ProgressUpdate],
) -> Result<Vec<bool>, StoreError> {
    let mut seen = HashSet::new();
    let mut given = Vec::with_capacity(updates.len());
    for update in updates.iter().rev() {
        if seen.insert((update.delivery.as_str(), update.token)) {
            given.push(cells![
                update.delivery.as_str(),
                update.token,
                &update.progress,
                &update.remote_id,
                &update.remote_url,
            ]);
        }
    }
    let taken: Vec<TakenRow> = PROGRESS
        .fetch(tx, &given)
        .await
        .map_err(StoreError::while_doing("save progress"))?;
    let taken = tokens_of(&taken);
    Ok(updates
        .iter()
        .map(|update| taken.contains(&(update.delivery.as_str(), update.token)))
        .collect())
}

fn tokens_of(rows: &[TakenRow]) -> HashSet<(&str, i64)> {
    rows.iter()
        .map(|row| (row.id.as_str(), row.claimed))
        .collect()
}

fn attempt_cells(settlement: &Settlement) -> Vec<Cell<'_>> {
    let attempt = &settlement.attempt;
    cells![
        attempt.id.as_str(),
        settlement.delivery.as_str(),
        settlement.sent_version,
        &attempt.operation,
        attempt.started_at,
        attempt.duration_ms,
        &attempt.verdict,
        &attempt.stage,
        &attempt.code,
        &attempt.message,
        &attempt.exchanges,
    ]
}

fn settle_cells<'a>(settlement: &'a Settlement, progress: &'a Option<String>) -> Vec<Cell<'a>> {
    let effect = effect(settlement);
    let [stage, class, code, text, group] = effect.failure;
    cells![
        settlement.delivery.as_str(),
        settlement.token,
        settlement.sent_version,
        effect.state,
        effect.due_at,
        effect.settles,
        effect.tries,
        effect.tried_at,
        effect.shows,
        effect.remote_id,
        effect.remote_url,
        progress,
        stage,
        class,
        code,
        text,
        group,
        settlement.now,
    ]
}
