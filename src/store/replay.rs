//! An operator's bulk act: deliveries are frozen into a list, and made due step by step.
//!
//! The list never changes afterwards, and each delivery on it gets one outcome that stays, so
//! that progress counts what this replay did and nothing else. A delivery is in one replay at a
//! time. Any process may take the next [`Store::step_replay`]; the row of the replay is its lock
//! and its clock, so that a restart or a second process changes nothing. What was delivered
//! already is read back, not created again: that is up to [`super::Claim::was_delivered`].

mod pace;
mod progress;
mod select;
mod step;
mod switch;
mod transfer;

use super::db::{Tx, on, row};
use super::outage::read;
use super::platform::{Act, insert_act, new_act_id};
use super::steer::parse_state;
use super::submit::parse_json;
use super::{Store, StoreError};
use crate::clock::now_ms;
use crate::record::{DeliveryId, DeliveryState, RecordId, ReplayId};
pub use progress::{LiveReplay, ReplayFailure, ReplayItem, ReplayOutcomes, ReplaySkip};
pub use select::ReplaySelection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
pub use step::ReplayStep;
pub use switch::ReplaySwitch;

/// How many deliveries one replay may take.
pub const REPLAY_MAX: i64 = 200_000;

/// How the deliveries of a replay are sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayWay {
    /// By where each stands now: what shall be shown is sent in its newest version, what is shown
    /// already is read back, what shall be gone is taken down.
    #[default]
    Current,
    /// The same version is sent once more, also when the platform shows it already.
    Identical,
    /// The platform has lost what it had: each is looked up, and created where it is missing.
    Refill,
    /// What the version before of a platform has is opened anew on the version it has now; what is
    /// shown by the old one stays there.
    Move,
}

impl ReplayWay {
    /// Returns the word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Identical => "identical",
            Self::Refill => "refill",
            Self::Move => "move",
        }
    }

    /// Returns the word and the mark of the columns `way` and `moves`.
    fn columns(self) -> (&'static str, bool) {
        match self {
            Self::Current | Self::Identical | Self::Refill => (self.as_str(), false),
            Self::Move => (Self::Current.as_str(), true),
        }
    }

    fn parse(word: &str, moves: bool) -> Option<Self> {
        [Self::Current, Self::Identical, Self::Refill, Self::Move]
            .into_iter()
            .find(|way| way.columns() == (word, moves))
    }
}

/// A replay as it is asked for.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// What to send again.
    pub selection: ReplaySelection,
    /// How.
    pub way: ReplayWay,
    /// The name of the selection as the operator saw it; a changed one is refused. `None` takes
    /// whatever fits.
    pub expected_hash: Option<String>,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub actor: String,
    /// How many are made due a second; `None` as fast as the platforms bear.
    pub rate_per_s: Option<u32>,
    /// How many each stage starts, all of which must have ended before the next.
    pub ramp: Vec<u32>,
    /// Stops when more than this share of what ended has failed again.
    pub stop_percent: u32,
}

/// What became of the wish for a replay.
#[derive(Debug, Clone, PartialEq)]
pub enum FreezeOutcome {
    /// The list is frozen.
    Frozen(Box<Replay>),
    /// This very selection is being replayed, or was; nothing happened.
    Repeated(Box<Replay>),
    /// What is selected now is not what was shown; nothing happened.
    Changed {
        /// How many are selected now.
        count: i64,
        /// The name of the selection now.
        hash: String,
    },
    /// Nothing is selected; nothing happened.
    Empty,
}

/// A delivery that a replay would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SelectedDelivery {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its record.
    pub record_id: RecordId,
    /// Its platform.
    pub platform: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// The group of its failure.
    pub group: Option<String>,
    /// When it failed, or last changed.
    pub changed_at: i64,
}

/// All that a replay would take.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// In order of their ids, at most [`REPLAY_MAX`].
    pub deliveries: Vec<SelectedDelivery>,
    /// The name of this selection; [`NewReplay::expected_hash`].
    pub hash: String,
}

/// A replay and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// Id made by the hub.
    pub id: ReplayId,
    /// How far it is.
    pub state: ReplayState,
    /// Why it is in that state, if somebody said so.
    pub state_reason: Option<String>,
    /// Who brought it there.
    pub state_by: Option<String>,
    /// What was selected, as asked.
    pub selection: Value,
    /// The name of what was frozen.
    pub selection_hash: Option<String>,
    /// How it is sent again.
    pub way: ReplayWay,
    /// Why.
    pub reason: String,
    /// Who asked.
    pub actor: String,
    /// How many deliveries are in it.
    pub count: i64,
    /// How many of them were made due.
    pub started: i64,
    /// How many are made due a second; `None` as fast as the platforms bear.
    pub rate_per_s: Option<i64>,
    /// How many each stage starts.
    pub ramp: Vec<i64>,
    /// Stops when more than this share fails again.
    pub stop_percent: i64,
    /// When it was frozen.
    pub created_at: i64,
    /// When it was done or cancelled; `None` otherwise.
    pub ended_at: Option<i64>,
    /// What became of its deliveries so far.
    pub outcomes: ReplayOutcomes,
    /// What failed again, by group, the largest first.
    pub failed_again: Vec<ReplayFailure>,
    /// What was not sent, by reason.
    pub skipped: Vec<ReplaySkip>,
    /// What fits the selection, failed since the start, and is not in it; by group.
    pub new_failures: Vec<ReplayFailure>,
    /// The outcomes as they were at the end.
    pub result: Option<Value>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Something of it is still to come.
    Running,
    /// An operator stopped it for a while.
    Paused,
    /// Too much of it failed again; an operator decides.
    Stopped,
    /// Each of its deliveries has an outcome.
    Done,
    /// An operator ended it.
    Cancelled,
}

impl ReplayState {
    const ALL: [Self; 5] = [
        Self::Running,
        Self::Paused,
        Self::Stopped,
        Self::Done,
        Self::Cancelled,
    ];

    /// Returns the word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

row! {
    /// A row of `replays`.
    struct ReplayRow {
        id: String,
        phase: String,
        phase_reason: Option<String>,
        phase_by: Option<String>,
        filter: String,
        selection_hash: Option<String>,
        platforms: String,
        way: String,
        moves: bool,
        reason: String,
        actor: String,
        count: i64,
        rate_per_s: Option<i64>,
        ramp: String,
        stop_percent: i64,
        paced_at: i64,
        started: i64,
        ended: i64,
        failed: i64,
        ended_before: i64,
        failed_before: i64,
        created_at: i64,
        ended_at: Option<i64>,
        result: Option<String>,
    }
}

macro_rules! replay_columns {
    () => {
        "id, phase, phase_reason, phase_by, filter, selection_hash, platforms, way, moves, \
         reason, actor, count, rate_per_s, ramp, stop_percent, paced_at, started, ended, failed, \
         ended_before, failed_before, created_at, ended_at, result"
    };
}
use replay_columns;

const REPLAY: &str = concat!("SELECT ", replay_columns!(), " FROM replays WHERE id = $1");
const REPLAYS: &str = "SELECT id FROM replays ORDER BY id DESC LIMIT $1";
const SAME: &str = "SELECT id FROM replays WHERE selection_hash = $1 AND phase <> 'cancelled'";
const INSERT: &str = "INSERT INTO replays (id, state, phase, live, filter, way, reason, actor, \
     count, rate_per_s, ramp, stop_percent, paced_at, created_at, moves) \
     VALUES ($1, 'running', 'running', TRUE, $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11)";
const FROZEN: &str =
    "UPDATE replays SET count = $2, selection_hash = $3, platforms = $4 WHERE id = $1";
const PLATFORMS: &str = "SELECT DISTINCT d.platform FROM replay_items i \
     JOIN deliveries d ON d.id = i.delivery_id WHERE i.replay_id = $1 ORDER BY d.platform";

#[cfg(test)]
pub(super) use select::filter_texts;
#[cfg(test)]
pub(super) use switch::GIVE_BACK;
#[cfg(test)]
pub(super) use transfer::BULKS;
#[cfg(test)]
pub(super) fn shared() -> Vec<&'static str> {
    [
        &[REPLAY, REPLAYS, SAME, INSERT, FROZEN, PLATFORMS][..],
        &progress::SHARED,
        &step::SHARED,
        &switch::SHARED,
        &transfer::SHARED,
    ]
    .concat()
}

impl Store {
    /// Returns what a replay would take, and changes nothing.
    pub async fn preview_replay(
        &self,
        selection: &ReplaySelection,
        way: ReplayWay,
    ) -> Result<Selected, StoreError> {
        let (text, condition) = select::read(selection, way);
        let mut rows: Vec<select::SelectedRow> =
            read!(self, "preview a replay", |c| super::bulk::bind_cells!(
                sqlx::query_as(sqlx::AssertSqlSafe(text.as_str())),
                condition.cells()
            )
            .fetch_all(c)
            .await)?;
        too_many(rows.len())?;
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let hash = select::hash(
            way,
            rows.iter()
                .map(|row| (row.id.as_str(), row.version, row.claimed)),
        );
        let deliveries = rows.into_iter().map(select::SelectedRow::understand);
        Ok(Selected {
            deliveries: deliveries.collect::<Result<_, _>>()?,
            hash,
        })
    }

    /// Freezes what `new` selects; [`Store::step_replay`] makes it due. Nothing happens when it
    /// selects more than [`REPLAY_MAX`], or anything else than what was shown.
    pub async fn freeze_replay(&self, new: &NewReplay) -> Result<FreezeOutcome, StoreError> {
        match self.try_to_freeze(new).await {
            // Somebody may have pressed at the same moment and been faster: both wrote the same
            // hash, or theirs took what this one would have found. The next try finds theirs.
            Err(error) if error.is_conflict() => self.try_to_freeze(new).await,
            Ok(FreezeOutcome::Changed { .. }) => self.try_to_freeze(new).await,
            done => done,
        }
    }

    async fn try_to_freeze(&self, new: &NewReplay) -> Result<FreezeOutcome, StoreError> {
        let failed = StoreError::while_doing("freeze a replay");
        let id = ReplayId::generate();
        let mut tx = self.pools().writer.begin_write().await.map_err(&failed)?;
        if let Some(hash) = &new.expected_hash
            && let Some(same) = same(&mut tx, hash).await.map_err(&failed)?
        {
            drop(tx);
            return Ok(FreezeOutcome::Repeated(Box::new(self.frozen(&same).await?)));
        }
        insert(&mut tx, &id, new).await.map_err(&failed)?;
        let frozen = select::freeze(&mut tx, &id, &new.selection, new.way)
            .await
            .map_err(&failed)?;
        too_many(frozen.len())?;
        let (count, hash) = (frozen.len() as i64, select::hash_of(new.way, &frozen));
        if new.expected_hash.as_ref().is_some_and(|it| *it != hash) {
            return Ok(FreezeOutcome::Changed { count, hash });
        }
        if frozen.is_empty() {
            return Ok(FreezeOutcome::Empty);
        }
        finish(&mut tx, &id, new, count, &hash)
            .await
            .map_err(&failed)?;
        tx.commit_act().await.map_err(&failed)?;
        Ok(FreezeOutcome::Frozen(Box::new(self.frozen(&id).await?)))
    }

    async fn frozen(&self, id: &ReplayId) -> Result<Replay, StoreError> {
        self.replay(id)
            .await?
            .ok_or_else(|| StoreError::corrupt("replays", id.as_str()))
    }

    /// Returns a replay and how far it is, if there is one with this id.
    pub async fn replay(&self, id: &ReplayId) -> Result<Option<Replay>, StoreError> {
        let row: Option<ReplayRow> = read!(self, "read a replay", |c| sqlx::query_as(REPLAY)
            .bind(id.as_str())
            .fetch_optional(c)
            .await)?;
        match row {
            None => Ok(None),
            Some(row) => self.with_progress(row).await.map(Some),
        }
    }

    /// Returns the newest replays, newest first.
    pub async fn list_replays(&self, limit: i64) -> Result<Vec<Replay>, StoreError> {
        let rows: Vec<(String,)> = read!(self, "list replays", |c| sqlx::query_as(REPLAYS)
            .bind(limit.clamp(1, super::PAGE_MAX))
            .fetch_all(c)
            .await)?;
        let mut replays = Vec::with_capacity(rows.len());
        for (id,) in rows {
            replays.extend(self.replay(&id.into()).await?);
        }
        Ok(replays)
    }
}

fn too_many(found: usize) -> Result<(), StoreError> {
    match found as i64 {
        found if found > REPLAY_MAX => Err(StoreError::TooMany {
            found,
            limit: REPLAY_MAX,
        }),
        _ => Ok(()),
    }
}

async fn same(tx: &mut Tx, hash: &str) -> Result<Option<ReplayId>, sqlx::Error> {
    let found: Option<(String,)> = on!(tx, |c| sqlx::query_as(SAME)
        .bind(hash)
        .fetch_optional(&mut **c)
        .await)?;
    Ok(found.map(|(id,)| id.into()))
}

pub(super) async fn insert(tx: &mut Tx, id: &ReplayId, new: &NewReplay) -> Result<(), sqlx::Error> {
    let now = now_ms();
    let rate = new.rate_per_s.map(i64::from);
    let (way, moves) = new.way.columns();
    // The first of a slow rate need not wait.
    let paced_at = now - rate.map_or(0, |rate| (1_000 + rate - 1) / rate.max(1));
    on!(tx, |c| sqlx::query(INSERT)
        .bind(id.as_str())
        .bind(json!(new.selection).to_string())
        .bind(way)
        .bind(&new.reason)
        .bind(&new.actor)
        .bind(rate)
        .bind(json!(new.ramp).to_string())
        .bind(i64::from(new.stop_percent))
        .bind(paced_at)
        .bind(now)
        .bind(moves)
        .execute(&mut **c)
        .await
        .map(drop))
}

/// Replays all that may be, at once; returns how many.
#[cfg(test)]
pub(super) async fn start_everything(
    tx: &mut Tx,
    new: &NewReplay,
    now: i64,
) -> Result<usize, sqlx::Error> {
    let id = ReplayId::generate();
    insert(tx, &id, new).await?;
    select::freeze(tx, &id, &new.selection, new.way).await?;
    step::start_all(tx, &id, now, new.way).await
}

async fn finish(
    tx: &mut Tx,
    id: &ReplayId,
    new: &NewReplay,
    count: i64,
    hash: &str,
) -> Result<(), sqlx::Error> {
    let platforms: Vec<(String,)> = on!(&mut *tx, |c| sqlx::query_as(PLATFORMS)
        .bind(id.as_str())
        .fetch_all(&mut **c)
        .await)?;
    let platforms: Vec<String> = platforms.into_iter().map(|(it,)| it).collect();
    on!(&mut *tx, |c| sqlx::query(FROZEN)
        .bind(id.as_str())
        .bind(count)
        .bind(hash)
        .bind(json!(platforms).to_string())
        .execute(&mut **c)
        .await
        .map(drop))?;
    let act = Act {
        id: new_act_id(),
        at: now_ms(),
        actor: new.actor.clone(),
        verb: "replay".to_owned(),
        target: id.to_string(),
        reason: new.reason.clone(),
        detail: json!({
            "count": count, "selection": new.selection, "selection_hash": hash, "way": new.way,
            "rate_per_s": new.rate_per_s, "ramp": new.ramp, "stop_percent": new.stop_percent,
        }),
    };
    insert_act(tx, &act).await
}

impl select::SelectedRow {
    fn understand(self) -> Result<SelectedDelivery, StoreError> {
        Ok(SelectedDelivery {
            state: parse_state(&self.state, &self.id)?,
            delivery_id: self.id.into(),
            record_id: self.record_id.into(),
            platform: self.platform,
            group: self.failure_group,
            changed_at: self.updated_at,
        })
    }
}

impl ReplayRow {
    fn state(&self) -> Result<ReplayState, StoreError> {
        ReplayState::parse(&self.phase)
            .ok_or_else(|| StoreError::corrupt("replays.phase", &self.id))
    }

    fn ramp(&self) -> Result<Vec<i64>, StoreError> {
        parse_json(&self.ramp, "replays.ramp", &self.id)
    }

    fn way(&self) -> Result<ReplayWay, StoreError> {
        ReplayWay::parse(&self.way, self.moves)
            .ok_or_else(|| StoreError::corrupt("replays.way", &self.id))
    }
}
