//! What an outage leaves unclear about leases, and how it is cleared up.
//!
//! A claim whose commit was not answered may have been made; nobody would ever work on it, and the
//! renewals of this process would keep it forever. And what is in hand must not fall due before
//! its lease could be renewed. Both are put right by the first transaction after the outage.

use super::Command;
use crate::clock::now_ms;
use crate::store::StoreError;
use crate::store::claim::{Renewal, renew};
use crate::store::db::{Tx, on};
use crate::store::settle::resting;
use crate::store::standby::Handover;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Owner, platform and end name one claim: [`Leases::note`] keeps the ends apart.
const HAND_BACK: &str = concat!(
    "UPDATE deliveries SET state = ",
    resting!(),
    ", due_at = CASE WHEN held THEN NULL ELSE CAST($4 AS BIGINT) END, settled = settled + 1, \
     lease_owner = NULL, lease_until = NULL, updated_at = CAST($4 AS BIGINT) \
     WHERE platform = $1 AND state = 'sending' AND lease_owner = $2 AND lease_until = $3"
);
#[cfg(test)]
pub(in crate::store) const SHARED: [&str; 1] = [HAND_BACK];

/// Ends of claims this close together are kept apart.
const SAME_MOMENT_MS: i64 = 1_000;

struct Doubt {
    platform: String,
    lease_owner: String,
    lease_until: i64,
}

/// What all tasks of a writer know about leases.
#[derive(Default)]
pub(super) struct Known {
    /// End of the newest claim of each platform.
    newest: HashMap<String, i64>,
    /// How long the leases of each owner last.
    spans: HashMap<String, i64>,
}

/// What a task has to put right after an outage.
#[derive(Default)]
pub(super) struct Leases {
    known: Arc<Mutex<Known>>,
    doubts: Vec<Doubt>,
}

impl Leases {
    /// Shares what is `known`; doubts are each task's own.
    pub(super) fn knowing(known: Arc<Mutex<Known>>) -> Self {
        Self {
            known,
            doubts: Vec::new(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what `command` says about leases, moves them by what it has `waited`, and gives
    /// a claim an end of its own.
    pub(super) fn note(&self, command: &mut Command, waited: Duration) {
        let waited_ms = waited.as_millis() as i64;
        match command {
            Command::Claim(request) => {
                request.lease_until =
                    self.own_end(&request.platform, request.lease_until + waited_ms);
            }
            Command::Renew(renewal) => {
                renewal.lease_until += waited_ms;
                let span = renewal.lease_until - now_ms();
                let owner = renewal.lease_owner.clone();
                self.known().spans.insert(owner, span.max(0));
            }
            Command::Submit(_)
            | Command::Settle(_)
            | Command::Progress(_)
            | Command::Release(_)
            | Command::Abandon(_) => {}
        }
    }

    /// Returns an end for a claim on `platform` that no other recent one has, `lease_until` or
    /// little later.
    pub(super) fn own_end(&self, platform: &str, mut lease_until: i64) -> i64 {
        let mut known = self.known();
        let newest = known.newest.entry(platform.to_owned()).or_default();
        if (*newest - SAME_MOMENT_MS..=*newest).contains(&lease_until) {
            lease_until = *newest + 1;
        }
        *newest = lease_until;
        lease_until
    }

    /// Notes what may have been handed over to senders that stood by.
    pub(super) fn doubt_handed(&mut self, handover: &Handover) {
        let doubts = handover.leases().map(|(platform, lease)| Doubt {
            platform: platform.to_owned(),
            lease_owner: lease.owner,
            lease_until: lease.until,
        });
        self.doubts.extend(doubts);
    }

    /// Notes the claims of which nobody knows whether they were made.
    pub(super) fn doubt<'a>(&mut self, unknown: impl Iterator<Item = &'a Command>) {
        for command in unknown {
            if let Command::Claim(request) = command {
                self.doubts.push(Doubt {
                    platform: request.platform.clone(),
                    lease_owner: request.lease_owner.clone(),
                    lease_until: request.lease_until,
                });
            }
        }
    }

    /// Forgets the doubts: a transaction that cleared them up was committed.
    pub(super) fn settled(&mut self) {
        self.doubts.clear();
    }

    /// Hands back what may have been claimed, then renews what is in hand.
    pub(super) async fn recover(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let now = now_ms();
        for doubt in &self.doubts {
            on!(&mut *tx, |c| sqlx::query(HAND_BACK)
                .bind(&doubt.platform)
                .bind(&doubt.lease_owner)
                .bind(doubt.lease_until)
                .bind(now)
                .execute(&mut **c)
                .await
                .map(drop))
            .map_err(StoreError::while_doing("hand back doubtful claims"))?;
        }
        let spans = self.known().spans.clone();
        for (lease_owner, span) in spans {
            let renewal = Renewal {
                lease_owner,
                lease_until: now + span,
            };
            renew(tx, &renewal).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::claim::ClaimRequest;
    use crate::store::tests::sample;

    fn claim_of(platform: &str, lease_until: i64) -> Command {
        Command::Claim(ClaimRequest::for_test(platform, "sender", lease_until))
    }

    fn end_of(command: &Command) -> i64 {
        match command {
            Command::Claim(request) => request.lease_until,
            _ => unreachable!("made above"),
        }
    }

    #[test]
    fn claims_of_one_platform_end_at_different_moments() {
        let leases = Leases::default();
        let mut ends = Vec::new();
        for (platform, lease_until) in [
            ("portal", 50_000),
            ("portal", 50_000),
            ("gazette", 50_000),
            ("portal", 50_001),
            ("portal", 70_000),
        ] {
            let mut command = claim_of(platform, lease_until);
            leases.note(&mut command, Duration::ZERO);
            ends.push(end_of(&command));
        }
        assert_eq!(ends, [50_000, 50_001, 50_000, 50_002, 70_000]);
    }

    #[test]
    fn a_lease_counts_from_when_it_is_given_not_from_when_it_was_asked_for() {
        let mut command = claim_of("portal", 50_000);
        Leases::default().note(&mut command, Duration::from_secs(7));
        assert_eq!(end_of(&command), 57_000);
    }

    #[tokio::test]
    async fn what_may_have_been_claimed_in_an_outage_is_due_again_and_not_in_doubt() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/hub.db", folder.path().display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        store.submit(sample("a", 1)).await.unwrap();
        let now = now_ms();
        for (platform, lease_until) in [("portal", now + 60_000), ("gazette", now + 61_000)] {
            let claims = store.claim(platform, None, 9, "sender", now, lease_until);
            assert_eq!(claims.await.unwrap().len(), 1);
        }
        let mut leases = Leases::default();
        leases.doubt([claim_of("portal", now + 60_000)].iter());
        let mut tx = store.pools().writer.begin_write().await.unwrap();
        leases.recover(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let due = store.due_platforms(now_ms()).await.unwrap();
        assert_eq!(due, [("portal".to_owned(), 1)], "the other one is in hand");
        let claims = store.claim("portal", None, 9, "sender", now_ms(), now + 90_000);
        assert!(!claims.await.unwrap()[0].in_doubt);
    }
}
