//! Looks at everything the platform shall show, when a person or the connector's schedule asks.
//!
//! A look takes the same places in flight and the same turns as what is sent, so that both
//! together stay within what the platform bears. It claims nothing and changes nothing there.

use super::Sender;
use crate::clock::now_ms;
use crate::connector::Operation;
use crate::deliver::attempt::facts;
use crate::deliver::evidence::Evidence;
use crate::deliver::exchange::{Exchange, Progress};
use crate::deliver::outcome::{Cause, Ruling, ruling};
use crate::deliver::sign::Sign;
use crate::record::{Appearance, DeliveryId, RecordId, Wanted};
use crate::store::{Claim, Look, LookOutcome, NewVerification, StoreError, Verification};
use futures_util::stream::{self, StreamExt};
use std::sync::Arc;

/// Looks that are stored at once.
const PAGE_MAX: usize = 20;
const SCHEDULE: &str = "schedule";

/// Works off verifications until shutdown.
pub(super) async fn verify(sender: Arc<Sender>) {
    let Some(operation) = sender.connector.looks_by() else {
        return;
    };
    let mut scheduled = None;
    loop {
        tokio::select! {
            () = sender.surroundings.shutdown.cancelled() => return,
            () = tokio::time::sleep(sender.surroundings.look) => {}
        }
        if !sender.may_look().await {
            continue;
        }
        if let Err(error) = turn(&sender, operation, &mut scheduled).await {
            let platform = &sender.connector.id;
            tracing::warn!(%error, platform, "The verification of {platform} broke off; it goes on later");
        }
    }
}

/// Works off what is open, if anything is.
async fn turn(
    sender: &Sender,
    operation: Operation,
    scheduled: &mut Option<i64>,
) -> Result<(), StoreError> {
    follow_schedule(sender, scheduled).await?;
    let owner = &sender.surroundings.owner;
    let (platform, now) = (&sender.connector.id, now_ms());
    let taken = sender
        .store
        .take_verification(platform, owner, now, lease_until(sender))
        .await?;
    let Some((verification, after)) = taken else {
        return Ok(());
    };
    tracing::info!(verification.id = %verification.id, platform, "Looking at everything that {platform} shall show");
    work(sender, operation, &verification, after).await
}

/// Asks for the verification that the connector's schedule wants, once.
async fn follow_schedule(sender: &Sender, scheduled: &mut Option<i64>) -> Result<(), StoreError> {
    let Some((due, repair)) = sender.connector.verify_due(now_ms()) else {
        return Ok(());
    };
    if *scheduled == Some(due) {
        return Ok(());
    }
    let new = NewVerification {
        platform: sender.connector.id.clone(),
        repair,
        reason: "定时核对".to_owned(),
        actor: SCHEDULE.to_owned(),
        scheduled_for: Some(due),
    };
    let open = sender.store.request_verification(&new).await?;
    // While another one is open, it is asked for again.
    if open.is_none_or(|it| it.scheduled_for == Some(due)) {
        *scheduled = Some(due);
    }
    Ok(())
}

async fn work(
    sender: &Sender,
    operation: Operation,
    verification: &Verification,
    mut after: String,
) -> Result<(), StoreError> {
    let (store, owner) = (&sender.store, &sender.surroundings.owner);
    let flights = (sender.connector.limits().concurrency / 2).max(1);
    let page = (flights * 2).min(PAGE_MAX);
    loop {
        if sender.surroundings.shutdown.is_cancelled() || !sender.may_look().await {
            // At once for whoever goes on with it.
            store
                .note_looks(verification, owner, &after, 0, &[])
                .await?;
            return Ok(());
        }
        let shown = store
            .shown_after(&sender.connector.id, &after, page as i64)
            .await?;
        let Some(next) = shown.next else {
            break;
        };
        let looked = stream::iter(shown.ids)
            .map(|(record, delivery)| look(sender, operation, record, delivery))
            .buffer_unordered(flights)
            .collect::<Vec<Result<Looked, StoreError>>>();
        let held = hold(sender, verification, &after);
        let looked = tokio::select! {
            looked = looked => looked.into_iter().collect::<Result<Vec<_>, _>>()?,
            ended = held => return ended,
        };
        if looked.iter().any(|it| matches!(it, Looked::NoPlace)) {
            // The page is looked at again, by whoever may send then.
            continue;
        }
        let looks: Vec<Look> = looked.into_iter().filter_map(Looked::seen).collect();
        after = next;
        let until = lease_until(sender);
        let noted = store.note_looks(verification, owner, &after, until, &looks);
        if noted.await? == LookOutcome::Ended {
            return Ok(());
        }
    }
    store
        .finish_verification(&verification.id, now_ms())
        .await?;
    tracing::info!(verification.id = %verification.id, platform = %sender.connector.id, "Looked at everything that {} shall show", sender.connector.id);
    Ok(())
}

fn lease_until(sender: &Sender) -> i64 {
    now_ms() + sender.surroundings.lease.as_millis() as i64
}

/// Renews the lease of a verification for as long as a page takes; resolves when it is lost.
async fn hold(sender: &Sender, verification: &Verification, after: &str) -> Result<(), StoreError> {
    let owner = &sender.surroundings.owner;
    loop {
        tokio::time::sleep(sender.surroundings.lease / 3).await;
        let until = lease_until(sender);
        let held = sender
            .store
            .note_looks(verification, owner, after, until, &[]);
        if held.await? == LookOutcome::Ended {
            return Ok(());
        }
    }
}

/// What came of one look.
enum Looked {
    Seen(Box<Look>),
    /// Nothing of it shall be shown any more.
    NotWanted,
    /// This process may not send just now, or ends.
    NoPlace,
}

impl Looked {
    fn seen(self) -> Option<Look> {
        match self {
            Self::Seen(look) => Some(*look),
            Self::NotWanted | Self::NoPlace => None,
        }
    }
}

/// Looks at one delivery.
async fn look(
    sender: &Sender,
    operation: Operation,
    record_id: RecordId,
    delivery: DeliveryId,
) -> Result<Looked, StoreError> {
    let Some(_in_flight) = sender.pace.flight().await else {
        return Ok(Looked::NoPlace);
    };
    let Some(claim) = sender.store.shown(&delivery).await? else {
        return Ok(Looked::NotWanted);
    };
    let Some(operation) = looks_at(sender, operation, &claim) else {
        return Ok(Looked::NotWanted);
    };
    let Some((appearance, detail)) = appearance(sender, operation, &claim).await? else {
        return Ok(Looked::NoPlace);
    };
    metrics::counter!("synchub_looks_total", "platform" => sender.connector.id.clone(), "found" => appearance.as_str())
        .increment(1);
    Ok(Looked::Seen(Box::new(Look {
        delivery,
        record_id,
        version: claim.version,
        token: claim.token,
        appearance,
        detail,
        at: now_ms(),
    })))
}

/// Returns how to look at a delivery. The id of what was taken down may be void and is not kept
/// then: only a look-up by our key finds out whether it is there again.
fn looks_at(sender: &Sender, usual: Operation, claim: &Claim) -> Option<Operation> {
    match (claim.wanted, &claim.remote_id) {
        (Wanted::Shown, _) | (Wanted::Gone, Some(_)) => Some(usual),
        (Wanted::Gone, None) => {
            Some(Operation::LookUp).filter(|look_up| sender.connector.can(*look_up))
        }
    }
}

/// Returns what is seen and what is said about it; `None` when the platform asks for fewer
/// requests.
async fn appearance(
    sender: &Sender,
    operation: Operation,
    claim: &Claim,
) -> Result<Option<(Appearance, String)>, StoreError> {
    let record = match claim.document.json() {
        Ok(record) => record,
        Err(error) => return Ok(Some((Appearance::Unanswered, error.to_string()))),
    };
    let progress = Progress::default();
    let mut exchange = Exchange {
        store: &sender.store,
        connector: &sender.connector,
        transport: &sender.transport,
        sessions: &sender.sessions,
        pace: &sender.pace,
        claim,
        facts: facts(claim, record, Default::default(), &progress),
        progress,
        evidence: Evidence::default(),
        sent: None,
    };
    let ended = exchange.run(operation).await?;
    let sign = Sign::of(&ended);
    if sign == Sign::Alive && sender.breaker.is_open() {
        sender.answered().await;
    }
    let ruling = ruling(&sender.connector, operation, ended);
    if let Sign::TooMany(_) = sign {
        let cause = ruling.cause().map(Cause::in_one_line).unwrap_or_default();
        // While the breaker is open, a look goes when nobody has sent a probe.
        match sender.breaker.is_open() && sender.take_probe().await {
            true => sender.not_yet(sign, &cause).await,
            false => {
                sender.hear(claim, sign, false);
                sender.open(sign, &cause).await;
            }
        }
        return Ok(None);
    }
    Ok(Some(match ruling {
        Ruling::Done | Ruling::Duplicate => {
            let appearance = sender.connector.appearance(operation, &exchange.facts);
            let appearance = match claim.wanted {
                Wanted::Shown => appearance,
                Wanted::Gone => appearance.of_withdrawn(),
            };
            (appearance, appearance.text().to_owned())
        }
        Ruling::Unknown(cause)
        | Ruling::Again { cause, .. }
        | Ruling::Later { cause, .. }
        | Ruling::Failed(cause) => {
            let text = match cause.text.is_empty() {
                true => Appearance::Unanswered.text().to_owned(),
                false => cause.text,
            };
            (Appearance::Unanswered, text)
        }
        // Nothing was claimed, so nothing can be lost.
        Ruling::LeaseLost => (Appearance::Unanswered, String::new()),
    }))
}
