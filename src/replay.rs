//! An operator's bulk act: deliveries are frozen into a list and sent again.
//!
//! Owns the words of a replay request, its preview, and the [`Driver`] that takes the steps; the
//! list and its progress are rows of [`crate::store`]. A replay goes through the same door as any
//! delivery: what is on the platform already is looked up or updated, never created twice.

mod drive;
mod preview;

pub use drive::Driver;
pub use preview::{GroupCount, PlatformCount, Preview};

use crate::catalogue::Catalogue;
use crate::clock::parse_time;
use crate::record::{DeliveryId, DeliveryState, RecordId, is_previous};
use crate::store::{
    FreezeOutcome, NewReplay, Replay, ReplaySelection, ReplayWay, Store, StoreError,
};
use serde::{Deserialize, Serialize};

/// How many deliveries may be named one by one.
const NAMED_MAX: usize = 1_000;
/// How many stages a ramp may have.
const STAGES_MAX: usize = 20;
/// The highest rate.
const RATE_MAX: u32 = 10_000;
/// The share of failures that stops a replay, unless another one is asked for.
const STOP_PERCENT: u32 = 50;

/// What to replay, as asked over HTTP or on the command line. `filter`, `deliveries` and `group`
/// may be combined; what is taken fits all of them, and something must be given.
#[derive(Debug, Clone, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayRequest {
    /// All that fit.
    pub filter: Option<FilterRequest>,
    /// These deliveries, by id.
    pub deliveries: Option<Vec<String>>,
    /// A failure group.
    pub group: Option<String>,
    /// How they are sent again.
    pub way: ReplayWay,
    /// Only say what would be sent.
    pub dry_run: bool,
    /// The `selection_hash` that the dry run showed; the real run needs it, and is refused when
    /// the selection is another one by now.
    pub selection_hash: Option<String>,
    /// Deliveries a second; absent = as fast as the platforms bear.
    pub rate: Option<u32>,
    /// How many each stage sends, such as `[1, 10, 100]`: the next stage begins when each of
    /// the one before has an outcome; after the last one comes the rest.
    pub ramp: Vec<u32>,
    /// Stops when more than this share (percent) of what has an outcome failed again; 50 when
    /// absent, 100 = never.
    pub stop_percent: Option<u32>,
    /// Why.
    pub reason: Option<String>,
}

/// Filters of a replay; all that are given must fit, and at least one must be given.
#[derive(Debug, Clone, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterRequest {
    /// Id of a record.
    pub record: Option<String>,
    /// A failure group.
    pub group: Option<String>,
    /// The platform.
    pub platform: Option<String>,
    /// States of a delivery, separated by commas. When absent: `failed`; any, when a record or
    /// deliveries are named; `delivered,confirmed` for a refill, and `failed` as well for a move.
    pub state: Option<String>,
    /// Code or name of a unit.
    pub unit: Option<String>,
    /// Key or name of an area.
    pub area: Option<String>,
    /// Failed (or last changed) at or after: RFC 3339 or a date.
    pub from: Option<String>,
    /// Failed (or last changed) before: RFC 3339 or a date.
    pub to: Option<String>,
}

/// What became of a replay request.
#[derive(Debug, Clone)]
pub enum Replayed {
    /// Dry run.
    Preview(Preview),
    /// The list is frozen and on its way.
    Started(Box<Replay>),
    /// This very selection was sent before; nothing happened.
    Repeated(Box<Replay>),
}

/// Why a replay request was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing is chosen.
    #[error("请至少指定一个条件：filter、deliveries 或 group")]
    Selection,
    /// Two different groups are named.
    #[error("group 与 filter.group 不一致")]
    TwoGroups,
    /// Too many deliveries are named one by one.
    #[error("一次最多逐条指定 {NAMED_MAX} 条推送，更多请用条件筛选")]
    Named,
    /// A filter names a state that does not exist.
    #[error("没有“{0}”这种状态")]
    State(String),
    /// A filter names something that is no time.
    #[error("“{0}”不是时间")]
    Time(String),
    /// A filter names a unit that does not exist.
    #[error("没有名为“{0}”的单位")]
    Unit(String),
    /// A filter names an area that does not exist.
    #[error("没有名为“{0}”的重点领域")]
    Area(String),
    /// A rate of nothing would never end.
    #[error("rate 应在 1 到 {RATE_MAX} 之间")]
    Rate,
    /// A stage of nothing would never end.
    #[error("ramp 最多 {STAGES_MAX} 级，每级至少 1 条，如 1,10,100")]
    Ramp,
    /// No share.
    #[error("stop_percent 应在 0 到 100 之间")]
    Share,
    /// A move needs the version before.
    #[error("搬到新地址（move）必须指定旧版本的平台，如 filter.platform = 名称@1")]
    Move,
    /// A refill needs a platform.
    #[error("补送丢失的数据（refill）必须指定平台")]
    Refill,
    /// The real run does not say what it has seen.
    #[error("请先预演，再把预演给出的 selection_hash 一并提交；现在会选中 {count} 条（{hash}）")]
    Unseen {
        /// How many would be taken.
        count: i64,
        /// What the dry run would have said.
        hash: String,
    },
    /// What is selected now is not what was shown.
    #[error(
        "选中的推送与预演时不同，没有执行：现在是 {count} 条（{hash}）。请重新预演；仍在不断变化时，用 to 限定失败时间的上限"
    )]
    Changed {
        /// How many are selected now.
        count: i64,
        /// The name of the selection now.
        hash: String,
    },
    /// Nothing fits.
    #[error("没有符合条件、可以重放的推送：暂扣的、正在推送的和已在另一次重放中的不会被选中")]
    Empty,
    /// The store does not answer, or the selection is too large.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out `request` for `actor`. The hub's [`Driver`] sends what is frozen.
///
/// # Errors
/// See [`ReplayError`]; nothing happened then.
pub async fn replay(
    store: &Store,
    catalogue: &Catalogue,
    request: ReplayRequest,
    actor: &str,
) -> Result<Replayed, ReplayError> {
    let (way, dry_run) = (request.way, request.dry_run);
    let new = new_replay(catalogue, request, actor)?;
    if dry_run || new.expected_hash.is_none() {
        let selected = store.preview_replay(&new.selection, way).await?;
        let preview = Preview::of(selected);
        return match (dry_run, preview.count) {
            (true, _) => Ok(Replayed::Preview(preview)),
            (false, 0) => Err(ReplayError::Empty),
            (false, count) => Err(ReplayError::Unseen {
                count,
                hash: preview.selection_hash,
            }),
        };
    }
    match store.freeze_replay(&new).await? {
        FreezeOutcome::Frozen(started) => {
            tracing::info!(replay.id = %started.id, actor, count = started.count, "{actor} replays {} deliveries ({})", started.count, started.id);
            Ok(Replayed::Started(started))
        }
        FreezeOutcome::Repeated(same) => Ok(Replayed::Repeated(same)),
        FreezeOutcome::Changed { count, hash } => Err(ReplayError::Changed { count, hash }),
        FreezeOutcome::Empty => Err(ReplayError::Empty),
    }
}

fn new_replay(
    catalogue: &Catalogue,
    request: ReplayRequest,
    actor: &str,
) -> Result<NewReplay, ReplayError> {
    if request.rate.is_some_and(|it| !(1..=RATE_MAX).contains(&it)) {
        return Err(ReplayError::Rate);
    }
    if request.ramp.len() > STAGES_MAX || request.ramp.contains(&0) {
        return Err(ReplayError::Ramp);
    }
    let stop_percent = request.stop_percent.unwrap_or(STOP_PERCENT);
    if stop_percent > 100 {
        return Err(ReplayError::Share);
    }
    let reason = request.reason.as_deref().map_or("", str::trim);
    Ok(NewReplay {
        way: request.way,
        expected_hash: request.selection_hash.clone(),
        reason: match reason {
            "" => "未填写".to_owned(),
            reason => reason.to_owned(),
        },
        actor: actor.to_owned(),
        rate_per_s: request.rate,
        ramp: request.ramp.clone(),
        stop_percent,
        selection: selection_of(catalogue, request)?,
    })
}

fn selection_of(
    catalogue: &Catalogue,
    request: ReplayRequest,
) -> Result<ReplaySelection, ReplayError> {
    let filter = request.filter.unwrap_or_default();
    let group = match (request.group, filter.group) {
        (Some(one), Some(other)) if one != other => return Err(ReplayError::TwoGroups),
        (one, other) => one.or(other),
    };
    let named = request.deliveries.unwrap_or_default();
    if named.len() > NAMED_MAX {
        return Err(ReplayError::Named);
    }
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_time(&text).map(Some).ok_or(ReplayError::Time(text)),
    };
    let selection = ReplaySelection {
        deliveries: named.into_iter().map(DeliveryId::from).collect(),
        group,
        record_id: filter.record.map(RecordId::from),
        platform: filter.platform,
        unit: filter.unit.map(|it| unit_of(catalogue, it)).transpose()?,
        area: filter.area.map(|it| area_of(catalogue, it)).transpose()?,
        states: filter.state.as_deref().map_or(Ok(Vec::new()), states_of)?,
        from: time(filter.from)?,
        to: time(filter.to)?,
    };
    if selection == ReplaySelection::default() {
        return Err(ReplayError::Selection);
    }
    if request.way == ReplayWay::Refill && selection.platform.is_none() {
        return Err(ReplayError::Refill);
    }
    let previous = selection.platform.as_deref().is_some_and(is_previous);
    if request.way == ReplayWay::Move && !previous {
        return Err(ReplayError::Move);
    }
    Ok(with_states(selection, request.way))
}

/// Naming a record or deliveries means those, wherever they stand; a platform that lost its data
/// has lost what it showed; anything broader means failures.
fn with_states(selection: ReplaySelection, way: ReplayWay) -> ReplaySelection {
    let named = selection.record_id.is_some() || !selection.deliveries.is_empty();
    let states = match way {
        _ if !selection.states.is_empty() => selection.states.clone(),
        ReplayWay::Refill => vec![DeliveryState::Delivered, DeliveryState::Confirmed],
        ReplayWay::Move => vec![
            DeliveryState::Delivered,
            DeliveryState::Confirmed,
            DeliveryState::Failed,
        ],
        ReplayWay::Current | ReplayWay::Identical if named => Vec::new(),
        ReplayWay::Current | ReplayWay::Identical => vec![DeliveryState::Failed],
    };
    ReplaySelection {
        states,
        ..selection
    }
}

fn states_of(words: &str) -> Result<Vec<DeliveryState>, ReplayError> {
    words
        .split(',')
        .map(|word| {
            let word = word.trim();
            DeliveryState::parse(word).ok_or_else(|| ReplayError::State(word.to_owned()))
        })
        .collect()
}

fn unit_of(catalogue: &Catalogue, text: String) -> Result<String, ReplayError> {
    match catalogue.unit(&text) {
        Some(found) => Ok(found.unit.code.clone()),
        None => Err(ReplayError::Unit(text)),
    }
}

fn area_of(catalogue: &Catalogue, text: String) -> Result<String, ReplayError> {
    match catalogue.area(&text) {
        Some(found) => Ok(found.key.clone()),
        None => Err(ReplayError::Area(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/connectors/catalogue");
        Catalogue::load(std::path::Path::new(folder)).expect("the catalogue of the project")
    }

    fn selection(request: ReplayRequest) -> Result<ReplaySelection, ReplayError> {
        selection_of(&catalogue(), request)
    }

    fn filtered(filter: FilterRequest) -> ReplayRequest {
        ReplayRequest {
            filter: Some(filter),
            ..ReplayRequest::default()
        }
    }

    #[test]
    fn a_replay_of_everything_by_accident_is_refused() {
        for request in [filtered(FilterRequest::default()), ReplayRequest::default()] {
            assert!(matches!(selection(request), Err(ReplayError::Selection)));
        }
        let refill = ReplayRequest {
            way: ReplayWay::Refill,
            group: Some("g".into()),
            ..ReplayRequest::default()
        };
        assert!(matches!(selection(refill), Err(ReplayError::Refill)));
    }

    #[test]
    fn a_broad_filter_means_failures_and_a_record_means_all_of_it() {
        let platform = |way| ReplayRequest {
            way,
            ..filtered(FilterRequest {
                platform: Some("p".into()),
                ..FilterRequest::default()
            })
        };
        let states = |request| selection(request).expect("fits").states;
        assert_eq!(
            states(platform(ReplayWay::Current)),
            [DeliveryState::Failed]
        );
        assert_eq!(
            states(platform(ReplayWay::Refill)),
            [DeliveryState::Delivered, DeliveryState::Confirmed]
        );
        let one = FilterRequest {
            record: Some("r".into()),
            ..FilterRequest::default()
        };
        assert!(states(filtered(one)).is_empty());
    }

    #[test]
    fn all_conditions_combine_and_each_is_understood() {
        let request = ReplayRequest {
            group: Some("g".into()),
            deliveries: Some(vec!["d".into()]),
            ..filtered(FilterRequest {
                unit: Some("市财政局".into()),
                area: Some("A2".into()),
                state: Some("failed, retrying".into()),
                from: Some("2014-09-18".into()),
                ..FilterRequest::default()
            })
        };
        let found = selection(request).expect("fits");
        assert_eq!(
            (found.deliveries.len(), found.group.as_deref()),
            (1, Some("g"))
        );
        assert_eq!(
            found.states,
            [DeliveryState::Failed, DeliveryState::Retrying]
        );
        assert!(found.unit.is_some_and(|it| it.len() == 18) && found.from.is_some());
        let wrong = |filter| selection(filtered(filter));
        let unit = FilterRequest {
            unit: Some("无此单位".into()),
            ..FilterRequest::default()
        };
        assert!(matches!(wrong(unit), Err(ReplayError::Unit(_))));
        let state = FilterRequest {
            state: Some("lost".into()),
            ..FilterRequest::default()
        };
        assert!(matches!(wrong(state), Err(ReplayError::State(_))));
    }
}
