//! The switches of platforms, the counts per platform, and the rows that operators' acts leave.

use super::breaker::end_in;
use super::db::{Tx, on, row};
use super::outage::read;
use super::pause::{begin_pause_in, end_pause_in};
use super::steer::parse_state;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::DeliveryState;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How a platform is paused. What is with the platform at that moment always ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseMode {
    /// Nothing more is taken; the few that a sender has in hand are still sent.
    #[default]
    Hold,
    /// What was due when it was paused is still sent; what becomes due later waits.
    Drain,
    /// As hold, and what is in hand and not begun is handed back.
    Stop,
}

impl PauseMode {
    /// Returns the word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Drain => "drain",
            Self::Stop => "stop",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Hold, Self::Drain, Self::Stop]
            .into_iter()
            .find(|mode| mode.as_str() == word)
    }
}

/// Whether and how anything is sent to a platform. One without a row is not paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformSwitch {
    /// The platform.
    pub id: String,
    /// Whether it is paused.
    pub paused: bool,
    /// How.
    pub mode: PauseMode,
    /// Why.
    pub pause_reason: Option<String>,
    /// By whom.
    pub paused_by: Option<String>,
    /// When it goes on by itself; `None` never.
    pub paused_until: Option<i64>,
    /// Requests a second that an operator allows; `None` as the connector says.
    pub rate_per_s: Option<i64>,
    /// When it was last switched.
    pub changed_at: i64,
    /// The version of the connector that the platform was last redirected to.
    pub version: Option<i64>,
    /// When this version of a platform was retired, if it was.
    pub retired_at: Option<i64>,
}

/// What a sender may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Nothing.
    Closed(PauseMode),
    /// What was due by then.
    DueBy(i64),
    /// Everything.
    Open,
}

impl PlatformSwitch {
    /// Returns whether the platform is paused at `now`.
    pub fn is_paused(&self, now: i64) -> bool {
        self.paused && self.paused_until.is_none_or(|until| until > now)
    }

    /// Returns what a sender may take at `now`.
    pub fn passage(&self, now: i64) -> Passage {
        match (self.is_paused(now), self.mode) {
            (false, _) => Passage::Open,
            (true, PauseMode::Drain) => Passage::DueBy(self.changed_at),
            (true, mode @ (PauseMode::Hold | PauseMode::Stop)) => Passage::Closed(mode),
        }
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
        mode: String,
        pause_reason: Option<String>,
        paused_by: Option<String>,
        paused_until: Option<i64>,
        rate_per_s: Option<i64>,
        changed_at: i64,
        version: Option<i64>,
        retired_at: Option<i64>,
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

const SWITCHES: &str = "SELECT id, paused, mode, pause_reason, paused_by, paused_until, \
     rate_per_s, changed_at, version, retired_at FROM platforms ORDER BY id";
const SWITCH: &str = "INSERT INTO platforms (id, paused, mode, pause_reason, paused_by, \
     paused_until, rate_per_s, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
     ON CONFLICT (id) DO UPDATE SET paused = excluded.paused, mode = excluded.mode, \
     pause_reason = excluded.pause_reason, paused_by = excluded.paused_by, \
     paused_until = excluded.paused_until, rate_per_s = excluded.rate_per_s, \
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
pub(super) const SHARED: [&str; 6] = [SWITCHES, SWITCH, COUNT, COUNT_OPEN, INSERT_ACT, ACTS];

impl Store {
    /// Returns the switches that were ever touched, by platform.
    pub async fn platform_switches(&self) -> Result<Vec<PlatformSwitch>, StoreError> {
        let rows: Vec<SwitchRow> =
            read!(self, "read platform switches", |c| sqlx::query_as(SWITCHES)
                .fetch_all(c)
                .await)?;
        rows.into_iter().map(SwitchRow::understand).collect()
    }

    /// Stops sending to a platform, until `until` when given.
    pub async fn pause_platform(
        &self,
        platform: &str,
        mode: PauseMode,
        reason: &str,
        actor: &str,
        until: Option<i64>,
    ) -> Result<(), StoreError> {
        let switch = PlatformSwitch {
            id: platform.to_owned(),
            paused: true,
            mode,
            pause_reason: Some(reason.to_owned()),
            paused_by: Some(actor.to_owned()),
            paused_until: until,
            rate_per_s: None,
            changed_at: now_ms(),
            version: None,
            retired_at: None,
        };
        self.switch(switch, "pause", actor, reason).await
    }

    /// Goes on sending to a platform, at most `rate_per_s` requests a second when given; its
    /// breaker is closed.
    pub async fn resume_platform(
        &self,
        platform: &str,
        rate_per_s: Option<u32>,
        reason: &str,
        actor: &str,
    ) -> Result<(), StoreError> {
        let switch = PlatformSwitch {
            id: platform.to_owned(),
            paused: false,
            mode: PauseMode::Hold,
            pause_reason: None,
            paused_by: None,
            paused_until: None,
            rate_per_s: rate_per_s.map(i64::from),
            changed_at: now_ms(),
            version: None,
            retired_at: None,
        };
        self.switch(switch, "resume", actor, reason).await
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
            .bind(switch.mode.as_str())
            .bind(&switch.pause_reason)
            .bind(&switch.paused_by)
            .bind(switch.paused_until)
            .bind(switch.rate_per_s)
            .bind(switch.changed_at)
            .execute(&mut **c)
            .await
            .map(drop))
        .map_err(&failed)?;
        let (id, now) = (&switch.id, switch.changed_at);
        match switch.paused {
            true => begin_pause_in(&mut tx, id, now, switch.paused_until).await,
            // Somebody says that it works: no probe has to be waited for.
            false => match end_pause_in(&mut tx, id, now).await {
                Ok(()) => end_in(&mut tx, id, actor, now).await,
                Err(error) => Err(error),
            },
        }
        .map_err(&failed)?;
        let act = Act {
            id: new_act_id(),
            at: switch.changed_at,
            actor: actor.to_owned(),
            verb: verb.to_owned(),
            target: switch.id,
            reason: reason.to_owned(),
            detail: json!({
                "until": switch.paused_until, "mode": switch.mode, "rate_per_s": switch.rate_per_s,
            }),
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
    pub(super) fn understand(self) -> Result<PlatformSwitch, StoreError> {
        Ok(PlatformSwitch {
            mode: PauseMode::parse(&self.mode)
                .ok_or_else(|| StoreError::corrupt("platforms.mode", &self.id))?,
            id: self.id,
            paused: self.paused,
            pause_reason: self.pause_reason,
            paused_by: self.paused_by,
            paused_until: self.paused_until,
            rate_per_s: self.rate_per_s,
            changed_at: self.changed_at,
            version: self.version,
            retired_at: self.retired_at,
        })
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
