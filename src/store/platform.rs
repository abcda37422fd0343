//! The switches of platforms, the counts per platform, and the rows that operators' acts leave.

use super::db::{Tx, on, row};
use super::outage::read;
use super::steer::parse_state;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::DeliveryState;
use serde::Serialize;
use serde_json::{Value, json};

/// Whether anything is sent to a platform. One without a row is not paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformSwitch {
    /// The platform.
    pub id: String,
    /// Whether it is paused.
    pub paused: bool,
    /// Why.
    pub pause_reason: Option<String>,
    /// By whom.
    pub paused_by: Option<String>,
    /// When it goes on by itself; `None` never.
    pub paused_until: Option<i64>,
    /// When it was last switched.
    pub changed_at: i64,
}

impl PlatformSwitch {
    /// Returns whether nothing may be sent at `now`.
    pub fn is_paused(&self, now: i64) -> bool {
        self.paused && self.paused_until.is_none_or(|until| until > now)
    }
}

/// How many deliveries of a platform are in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateCount {
    /// The platform.
    pub platform: String,
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub count: i64,
}

/// What an operator did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Act {
    /// Id made by the hub.
    pub id: String,
    /// When, unix milliseconds.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// pause, resume, withdraw, release, replay, cancel_replay.
    pub verb: String,
    /// What it was done to.
    pub target: String,
    /// Why.
    pub reason: String,
    /// More about it.
    pub detail: Value,
}

row! {
    /// A row of `platforms`.
    struct SwitchRow {
        id: String,
        paused: bool,
        pause_reason: Option<String>,
        paused_by: Option<String>,
        paused_until: Option<i64>,
        changed_at: i64,
    }
}

row! {
    /// A row of `acts`.
    struct ActRow {
        id: String,
        at: i64,
        actor: String,
        verb: String,
        target: String,
        reason: String,
        detail: String,
    }
}

const SWITCHES: &str = "SELECT id, paused, pause_reason, paused_by, paused_until, changed_at \
     FROM platforms ORDER BY id";
const ONE_SWITCH: &str = "SELECT id, paused, pause_reason, paused_by, paused_until, changed_at \
     FROM platforms WHERE id = $1";
const SWITCH: &str = "INSERT INTO platforms (id, paused, pause_reason, paused_by, paused_until, \
     changed_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
     paused = excluded.paused, pause_reason = excluded.pause_reason, \
     paused_by = excluded.paused_by, paused_until = excluded.paused_until, \
     changed_at = excluded.changed_at";
const COUNT: &str = "SELECT platform, state, COUNT(*) AS count FROM deliveries \
     GROUP BY state, platform ORDER BY platform, state";
/// Reads as many index entries as there are open deliveries, however many are done.
const COUNT_OPEN: &str = "SELECT platform, state, COUNT(*) AS count FROM deliveries \
     WHERE state IN ('held', 'queued', 'sending', 'retrying', 'failed') \
     GROUP BY state, platform ORDER BY platform, state";
const INSERT_ACT: &str = "INSERT INTO acts (id, at, actor, verb, target, reason, detail) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const ACTS: &str = "SELECT id, at, actor, verb, target, reason, detail FROM acts \
     ORDER BY at DESC, id DESC LIMIT $1";

#[cfg(test)]
pub(super) const SHARED: [&str; 7] = [
    SWITCHES, ONE_SWITCH, SWITCH, COUNT, COUNT_OPEN, INSERT_ACT, ACTS,
];

impl Store {
    /// Returns the switches that were ever touched, by platform.
    pub async fn platform_switches(&self) -> Result<Vec<PlatformSwitch>, StoreError> {
        let rows: Vec<SwitchRow> =
            read!(self, "read platform switches", |c| sqlx::query_as(SWITCHES)
                .fetch_all(c)
                .await)?;
        Ok(rows.into_iter().map(SwitchRow::into_switch).collect())
    }

    /// Returns whether nothing may be sent to `platform` at `now`.
    pub async fn is_paused(&self, platform: &str, now: i64) -> Result<bool, StoreError> {
        let row: Option<SwitchRow> = read!(self, "read a platform switch", |c| sqlx::query_as(
            ONE_SWITCH
        )
        .bind(platform)
        .fetch_optional(c)
        .await)?;
        Ok(row.is_some_and(|row| row.into_switch().is_paused(now)))
    }

    /// Stops sending to a platform, until `until` when given.
    pub async fn pause_platform(
        &self,
        platform: &str,
        reason: &str,
        actor: &str,
        until: Option<i64>,
    ) -> Result<(), StoreError> {
        self.switch(
            PlatformSwitch {
                id: platform.to_owned(),
                paused: true,
                pause_reason: Some(reason.to_owned()),
                paused_by: Some(actor.to_owned()),
                paused_until: until,
                changed_at: now_ms(),
            },
            "pause",
            actor,
            reason,
        )
        .await
    }

    /// Goes on sending to a platform.
    pub async fn resume_platform(
        &self,
        platform: &str,
        reason: &str,
        actor: &str,
    ) -> Result<(), StoreError> {
        self.switch(
            PlatformSwitch {
                id: platform.to_owned(),
                paused: false,
                pause_reason: None,
                paused_by: None,
                paused_until: None,
                changed_at: now_ms(),
            },
            "resume",
            actor,
            reason,
        )
        .await
    }

    async fn switch(
        &self,
        switch: PlatformSwitch,
        verb: &'static str,
        actor: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        let failed = StoreError::while_doing("switch a platform");
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        on!(&mut tx, |c| sqlx::query(SWITCH)
            .bind(&switch.id)
            .bind(switch.paused)
            .bind(&switch.pause_reason)
            .bind(&switch.paused_by)
            .bind(switch.paused_until)
            .bind(switch.changed_at)
            .execute(&mut **c)
            .await
            .map(drop))
        .map_err(&failed)?;
        let act = Act {
            id: new_act_id(),
            at: switch.changed_at,
            actor: actor.to_owned(),
            verb: verb.to_owned(),
            target: switch.id,
            reason: reason.to_owned(),
            detail: json!({ "until": switch.paused_until }),
        };
        insert_act(&mut tx, &act).await.map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)
    }

    /// Counts the deliveries per platform and state. Reads an index entry of every delivery; see
    /// [`Store::count_open_deliveries`] for what is asked often.
    pub async fn count_deliveries(&self) -> Result<Vec<StateCount>, StoreError> {
        self.count(COUNT).await
    }

    /// Counts the deliveries that are held, waiting, on their way or failed.
    pub async fn count_open_deliveries(&self) -> Result<Vec<StateCount>, StoreError> {
        self.count(COUNT_OPEN).await
    }

    async fn count(&self, text: &'static str) -> Result<Vec<StateCount>, StoreError> {
        let rows: Vec<(String, String, i64)> =
            read!(self, "count deliveries", |c| sqlx::query_as(text)
                .fetch_all(c)
                .await)?;
        rows.into_iter()
            .map(|(platform, state, count)| {
                Ok(StateCount {
                    state: parse_state(&state, &platform)?,
                    platform,
                    count,
                })
            })
            .collect()
    }

    /// Returns the newest acts of operators, newest first.
    pub async fn acts(&self, limit: i64) -> Result<Vec<Act>, StoreError> {
        let rows: Vec<ActRow> = read!(self, "list acts", |c| sqlx::query_as(ACTS)
            .bind(limit)
            .fetch_all(c)
            .await)?;
        rows.into_iter().map(ActRow::understand).collect()
    }
}

/// Makes an id for a new act.
pub(super) fn new_act_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Leaves a row about what an operator did, in the same transaction.
pub(super) async fn insert_act(tx: &mut Tx, act: &Act) -> Result<(), sqlx::Error> {
    on!(tx, |c| sqlx::query(INSERT_ACT)
        .bind(&act.id)
        .bind(act.at)
        .bind(&act.actor)
        .bind(&act.verb)
        .bind(&act.target)
        .bind(&act.reason)
        .bind(act.detail.to_string())
        .execute(&mut **c)
        .await
        .map(drop))
}

impl SwitchRow {
    fn into_switch(self) -> PlatformSwitch {
        PlatformSwitch {
            id: self.id,
            paused: self.paused,
            pause_reason: self.pause_reason,
            paused_by: self.paused_by,
            paused_until: self.paused_until,
            changed_at: self.changed_at,
        }
    }
}

impl ActRow {
    fn understand(self) -> Result<Act, StoreError> {
        Ok(Act {
            detail: super::submit::parse_json(&self.detail, "acts.detail", &self.id)?,
            id: self.id,
            at: self.at,
            actor: self.actor,
            verb: self.verb,
            target: self.target,
            reason: self.reason,
        })
    }
}
