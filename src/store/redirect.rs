//! A platform moves to a new address: what was begun goes to the version before. How that ends is
//! told in [`super::retire`].
//!
//! Deliveries are moved in batches while no sender has its turn, each batch in a transaction of
//! its own, so that millions of them keep nobody waiting; whoever asks again goes on. Only the
//! last step, which notes the new version, gives the senders their turn. A process that still has
//! the old version loaded would go on sending to the old address: it refuses the redirect by what
//! it has told of itself in `senders`.

use super::db::{Tx, on};
use super::outage::read;
use super::platform::{Act, insert_act, new_act_id};
use super::steer::parse_state;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::DeliveryState;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// How many deliveries one transaction moves.
const BATCH: i64 = 2_000;
/// How often a step is tried that another process was in the way of.
const TRIES_MAX: usize = 5;
/// A process that has not told of itself for so long sends nothing any more.
const SILENT_MS: i64 = 30_000;

/// From which version of a platform to which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The platform.
    pub platform: String,
    /// What its version before is called.
    pub previous: String,
    /// The number of that version.
    pub from: u32,
    /// The version of the connector now.
    pub to: u32,
}

/// What a redirect does, in numbers of deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RedirectCount {
    /// What ends at the version before, by state.
    pub stays: BTreeMap<&'static str, i64>,
    /// What waits and was never tried: it goes to the new version.
    pub goes_over: i64,
    /// Processes that send with other versions, each with what it has loaded; while there are any,
    /// nothing is redirected.
    pub outdated: Vec<String>,
}

/// How far a redirect is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectStep {
    /// Processes still send with other versions: nothing happened.
    Refused(Vec<String>),
    /// So many were moved, and there are more.
    Moved(u64),
    /// It is done.
    Done(u64),
}

/// What a sender has had, or may have had, in its hands.
macro_rules! begun {
    () => {
        "(claimed > 0 OR shown_version IS NOT NULL)"
    };
}

const COUNT_BEGUN: &str = concat!(
    "SELECT state, COUNT(*) AS count FROM deliveries WHERE state IN ('held', 'queued', 'sending', \
     'retrying', 'delivered', 'confirmed', 'failed', 'withdrawn', 'skipped') AND platform = $1 AND ",
    begun!(),
    " GROUP BY state ORDER BY state"
);
const COUNT_NEW: &str = concat!(
    "SELECT COUNT(*) FROM deliveries WHERE platform = $1 AND state IN ('queued', 'held') AND NOT ",
    begun!()
);
/// By state and platform, which is an index. A broker that named it for its old queue must be told
/// anew.
const MOVE: &str = concat!(
    "UPDATE deliveries SET platform = $2, offered_at = NULL WHERE id IN (SELECT id \
     FROM deliveries WHERE state = $3 AND platform = $1 AND ",
    begun!(),
    " LIMIT $4)"
);
const SENDING: &str = "SELECT id, connectors FROM senders WHERE seen_at >= $1 ORDER BY id";
const NOTE_VERSION: &str = "INSERT INTO platforms (id, paused, mode, changed_at, version) \
     VALUES ($1, FALSE, 'hold', $2, $3) ON CONFLICT (id) DO UPDATE SET version = excluded.version";
#[cfg(test)]
pub(super) const SHARED: [&str; 5] = [COUNT_BEGUN, COUNT_NEW, MOVE, SENDING, NOTE_VERSION];

impl Store {
    /// Returns what `redirect` would do, and changes nothing.
    pub async fn count_redirect(&self, redirect: &Redirect) -> Result<RedirectCount, StoreError> {
        let platform = redirect.platform.as_str();
        let stays: Vec<(String, i64)> = read!(self, "count what was begun", |c| sqlx::query_as(
            COUNT_BEGUN
        )
        .bind(platform)
        .fetch_all(c)
        .await)?;
        let (goes_over,): (i64,) = read!(self, "count what is new", |c| sqlx::query_as(COUNT_NEW)
            .bind(platform)
            .fetch_one(c)
            .await)?;
        let since = self.sending_since();
        let senders: Vec<(String, String)> =
            read!(self, "read the senders", |c| sqlx::query_as(SENDING)
                .bind(since)
                .fetch_all(c)
                .await)?;
        let stays = stays.into_iter().map(|(state, count)| {
            let state = parse_state(&state, platform)?;
            Ok((state.as_str(), count))
        });
        Ok(RedirectCount {
            stays: stays.collect::<Result<_, StoreError>>()?,
            goes_over,
            outdated: outdated(&senders, redirect),
        })
    }

    /// Takes the next step of `redirect`: moves some of what was begun to the version before; when
    /// nothing is left, notes the new version and an act.
    pub async fn step_redirect(
        &self,
        redirect: &Redirect,
        reason: &str,
        actor: &str,
    ) -> Result<RedirectStep, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_step(redirect, (reason, actor), BATCH).await {
                // Somebody settled or corrected the same deliveries.
                Err(error) if error.is_conflict() && tries < TRIES_MAX => {}
                done => return done,
            }
        }
    }

    /// As [`Store::step_redirect`], once, for `batch` deliveries at most.
    pub(super) async fn try_step(
        &self,
        redirect: &Redirect,
        (reason, actor): (&str, &str),
        batch: i64,
    ) -> Result<RedirectStep, StoreError> {
        let failed = StoreError::while_doing("redirect a platform");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        let senders: Vec<(String, String)> = on!(&mut tx, |c| sqlx::query_as(SENDING)
            .bind(self.sending_since())
            .fetch_all(&mut **c)
            .await)
        .map_err(&failed)?;
        let outdated = outdated(&senders, redirect);
        if !outdated.is_empty() {
            return Ok(RedirectStep::Refused(outdated));
        }
        let (moved, all) = move_begun(&mut tx, redirect, batch)
            .await
            .map_err(&failed)?;
        if !all {
            tx.commit().await.map_err(&failed)?;
            return Ok(RedirectStep::Moved(moved));
        }
        let now = now_ms();
        on!(&mut tx, |c| sqlx::query(NOTE_VERSION)
            .bind(&redirect.platform)
            .bind(now)
            .bind(i64::from(redirect.to))
            .execute(&mut **c)
            .await
            .map(drop))
        .map_err(&failed)?;
        let detail = json!({"from": redirect.from, "to": redirect.to});
        let act = act("redirect", &redirect.platform, reason, actor, detail, now);
        insert_act(&mut tx, &act).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        Ok(RedirectStep::Done(moved))
    }

    /// A SQLite file has one process, which takes the rows of earlier ones off the list.
    fn sending_since(&self) -> i64 {
        match self.is_shared() {
            true => now_ms() - SILENT_MS,
            false => 0,
        }
    }
}

/// Moves some of what was begun; returns how many, and whether that was all.
async fn move_begun(
    tx: &mut Tx,
    redirect: &Redirect,
    batch: i64,
) -> Result<(u64, bool), sqlx::Error> {
    let mut moved = 0;
    for state in DeliveryState::ALL {
        let count = on!(&mut *tx, |c| sqlx::query(MOVE)
            .bind(&redirect.platform)
            .bind(&redirect.previous)
            .bind(state.as_str())
            .bind(batch)
            .execute(&mut **c)
            .await?
            .rows_affected());
        moved += count;
        if count as i64 == batch {
            return Ok((moved, false));
        }
    }
    Ok((moved, true))
}

/// Returns the processes that send to the platform with other versions than the redirect is about.
fn outdated(senders: &[(String, String)], redirect: &Redirect) -> Vec<String> {
    let wrong = senders.iter().filter_map(|(id, loaded)| {
        let loaded: BTreeMap<String, u32> = serde_json::from_str(loaded).unwrap_or_default();
        let version = loaded.get(&redirect.platform)?;
        let before = loaded.get(&redirect.previous);
        let is_right = *version == redirect.to && before == Some(&redirect.from);
        (!is_right).then(|| match before {
            None => format!("{id}: {} {version}", redirect.platform),
            Some(before) => format!(
                "{id}: {} {version}, {} {before}",
                redirect.platform, redirect.previous
            ),
        })
    });
    wrong.collect()
}

pub(super) fn act(
    verb: &str,
    target: &str,
    reason: &str,
    actor: &str,
    detail: serde_json::Value,
    now: i64,
) -> Act {
    Act {
        id: new_act_id(),
        at: now,
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        target: target.to_owned(),
        reason: reason.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_other_versions_is_in_the_way() {
        let redirect = Redirect {
            platform: "gazette".into(),
            previous: "gazette@1".into(),
            from: 1,
            to: 2,
        };
        let told = |text: &str| outdated(&[("p".to_owned(), text.to_owned())], &redirect);
        assert!(told(r#"{"gazette": 2, "gazette@1": 1}"#).is_empty());
        assert!(
            told(r#"{"portal": 1}"#).is_empty(),
            "it does not send there"
        );
        for wrong in [
            r#"{"gazette": 1}"#,
            r#"{"gazette": 2}"#,
            r#"{"gazette": 3, "gazette@1": 1}"#,
        ] {
            assert_eq!(told(wrong).len(), 1, "{wrong}");
        }
    }
}
