//! An operator's bulk act: deliveries are frozen into a list and sent again.
//!
//! Owns the words of a replay request and its preview; the list and its progress are rows of
//! [`crate::store`]. A replay goes through the same door as any delivery: what is on the platform
//! already is looked up or updated, never created twice.

use crate::clock::parse_time;
use crate::queue::Queue;
use crate::record::{DeliveryId, DeliveryState, RecordId};
use crate::store::{
    NewReplay, Replay, ReplayFilter, ReplaySelection, StateCount, Store, StoreError,
};
use serde::{Deserialize, Serialize};

/// What to replay, as asked over HTTP or on the command line: exactly one of `filter`,
/// `deliveries` and `group`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayRequest {
    /// All that fit.
    pub filter: Option<FilterRequest>,
    /// These deliveries, by id.
    pub deliveries: Option<Vec<String>>,
    /// A failure group.
    pub group: Option<String>,
    /// Only say what would be sent.
    pub dry_run: bool,
    /// Deliveries a second; absent = all at once.
    pub rate: Option<u32>,
    /// Why.
    pub reason: Option<String>,
}

/// Filters of a replay; all that are given must fit, and at least one must be given.
#[derive(Debug, Clone, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterRequest {
    /// Id of a record.
    pub record: Option<String>,
    /// The platform.
    pub platform: Option<String>,
    /// A state of a delivery; `failed` when absent.
    pub state: Option<String>,
    /// Code of a unit.
    pub unit: Option<String>,
    /// Key of an area.
    pub area: Option<String>,
    /// Changed at or after: RFC 3339 or a date.
    pub from: Option<String>,
    /// Changed before: RFC 3339 or a date.
    pub to: Option<String>,
}

/// What a replay would take.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// How many deliveries.
    pub count: i64,
    /// By platform and state.
    pub by_platform: Vec<StateCount>,
}

/// What became of a replay request.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Replayed {
    /// Dry run.
    Preview(Preview),
    /// The list is frozen and on its way.
    Started(Box<Replay>),
}

/// Why a replay request was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Not exactly one way of choosing, or nothing chosen.
    #[error("请指定 filter、deliveries、group 三者之一；filter 至少要有一个条件")]
    Selection,
    /// A filter names a state that does not exist.
    #[error("没有“{0}”这种状态")]
    State(String),
    /// A filter names something that is no time.
    #[error("“{0}”不是时间")]
    Time(String),
    /// A rate of nothing would never end.
    #[error("rate 至少为 1")]
    Rate,
    /// The store does not answer, or the selection is too large.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out `request` for `actor`.
///
/// # Errors
/// See [`ReplayError`]; nothing happened then.
pub async fn replay(
    store: &Store,
    queue: &dyn Queue,
    request: ReplayRequest,
    actor: &str,
) -> Result<Replayed, ReplayError> {
    if request.rate == Some(0) {
        return Err(ReplayError::Rate);
    }
    let reason = request
        .reason
        .clone()
        .unwrap_or_else(|| "未填写".to_owned());
    let (dry_run, rate_per_s) = (request.dry_run, request.rate);
    let selection = selection_of(request)?;
    let by_platform = store.preview_replay(&selection).await?;
    if dry_run {
        let count = by_platform.iter().map(|it| it.count).sum();
        return Ok(Replayed::Preview(Preview { count, by_platform }));
    }
    let new = NewReplay {
        selection,
        reason,
        actor: actor.to_owned(),
        rate_per_s,
    };
    let started = store.freeze_replay(&new).await?;
    for count in &by_platform {
        queue.offer(&count.platform, &[]);
    }
    tracing::info!(replay.id = %started.id, actor, count = started.count, "{actor} replays {} deliveries ({})", started.count, started.id);
    Ok(Replayed::Started(Box::new(started)))
}

fn selection_of(request: ReplayRequest) -> Result<ReplaySelection, ReplayError> {
    match (request.filter, request.deliveries, request.group) {
        (None, Some(ids), None) if !ids.is_empty() => Ok(ReplaySelection::Deliveries(
            ids.into_iter().map(DeliveryId::from).collect(),
        )),
        (None, None, Some(group)) => Ok(ReplaySelection::Group(group)),
        (Some(filter), None, None) => Ok(ReplaySelection::Filter(filter_of(filter)?)),
        _ => Err(ReplayError::Selection),
    }
}

fn filter_of(filter: FilterRequest) -> Result<ReplayFilter, ReplayError> {
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_time(&text).map(Some).ok_or(ReplayError::Time(text)),
    };
    let names_something = [
        &filter.record,
        &filter.platform,
        &filter.state,
        &filter.unit,
        &filter.area,
        &filter.from,
        &filter.to,
    ]
    .into_iter()
    .any(Option::is_some);
    if !names_something {
        return Err(ReplayError::Selection);
    }
    let state = match filter.state {
        Some(word) => Some(DeliveryState::parse(&word).ok_or(ReplayError::State(word))?),
        // Naming a record means that record, wherever it stands; a broad filter means failures.
        None if filter.record.is_some() => None,
        None => Some(DeliveryState::Failed),
    };
    Ok(ReplayFilter {
        platform: filter.platform,
        state,
        unit: filter.unit,
        area: filter.area,
        record_id: filter.record.map(RecordId::from),
        from: time(filter.from)?,
        to: time(filter.to)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_of_everything_by_accident_is_refused() {
        let empty = ReplayRequest {
            filter: Some(FilterRequest::default()),
            ..ReplayRequest::default()
        };
        assert!(matches!(selection_of(empty), Err(ReplayError::Selection)));
        assert!(matches!(
            selection_of(ReplayRequest::default()),
            Err(ReplayError::Selection)
        ));
        let two = ReplayRequest {
            group: Some("g".into()),
            deliveries: Some(vec!["d".into()]),
            ..ReplayRequest::default()
        };
        assert!(matches!(selection_of(two), Err(ReplayError::Selection)));
    }

    #[test]
    fn a_broad_filter_means_failures_and_a_record_means_all_of_it() {
        let broad = FilterRequest {
            platform: Some("p".into()),
            ..FilterRequest::default()
        };
        assert_eq!(
            filter_of(broad).expect("fits").state,
            Some(DeliveryState::Failed)
        );
        let one = FilterRequest {
            record: Some("r".into()),
            ..FilterRequest::default()
        };
        assert_eq!(filter_of(one).expect("fits").state, None);
    }
}
