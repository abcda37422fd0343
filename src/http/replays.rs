//! Replays: what an operator sends again, in bulk and under control.

use super::answer::masked;
use super::caller::Caller;
use super::problem::Problem;
use super::records::ReasonBody;
use super::{App, JsonBody};
use crate::record::ReplayId;
use crate::replay::{self, ReplayError, ReplayRequest, Replayed};
use crate::store::{Replay, ReplaySwitch};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// How many replays a list shows.
const LISTED_MAX: i64 = 50;
/// How many items a page shows when nobody asks for another number.
const ITEMS: i64 = 200;

/// Sends deliveries again; with `dry_run` only says which, and gives the `selection_hash` that
/// the real run needs.
#[utoipa::path(post, path = "/v1/replays", tag = "operators", request_body = ReplayRequest, responses(
    (status = 202, description = "The list is frozen and on its way", body = Object),
    (status = 200, description = "Dry run: what would be sent. Or this very selection was sent before (`repeated`): that replay; nothing happened", body = Object),
    (status = 400, description = "Nothing or too much is selected, or `selection_hash` is missing", body = Problem),
    (status = 401, description = "No valid API key", body = Problem),
    (status = 403, description = "Only an operator may do this", body = Problem),
    (status = 409, description = "The selection is another one than the dry run showed", body = Problem),
))]
pub(super) async fn replay(
    State(app): State<App>,
    caller: Caller,
    JsonBody(request): JsonBody<ReplayRequest>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let actor = caller.operator()?.name.clone();
    let intake = &app.intake;
    let replayed = replay::replay(&intake.store, &intake.catalogue, request, &actor)
        .await
        .map_err(problem)?;
    Ok(match replayed {
        Replayed::Preview(preview) => (StatusCode::OK, Json(json!(preview))),
        Replayed::Started(replay) => (StatusCode::ACCEPTED, shown(&replay, false)),
        Replayed::Repeated(replay) => (StatusCode::OK, shown(&replay, true)),
    })
}

fn shown(replay: &Replay, repeated: bool) -> Json<Value> {
    let mut value = masked(json!(replay));
    value["repeated"] = json!(repeated);
    Json(value)
}

fn problem(error: ReplayError) -> Problem {
    let text = error.to_string();
    match error {
        ReplayError::Store(error) => error.into(),
        ReplayError::Changed { .. } => Problem::new(
            StatusCode::CONFLICT,
            "selection-changed",
            "The selection is another one than the dry run showed",
            text,
        ),
        ReplayError::Unseen { .. } => {
            Problem::bad_request("/selection_hash", "selection_hash", text)
        }
        ReplayError::Selection
        | ReplayError::TwoGroups
        | ReplayError::Named
        | ReplayError::State(_)
        | ReplayError::Time(_)
        | ReplayError::Unit(_)
        | ReplayError::Area(_)
        | ReplayError::Rate
        | ReplayError::Ramp
        | ReplayError::Share
        | ReplayError::Refill
        | ReplayError::Move
        | ReplayError::Empty => Problem::bad_request("", "selection", text),
    }
}

/// Lists the newest replays.
#[utoipa::path(get, path = "/v1/replays", tag = "operators", responses(
    (status = 200, description = "`{items}`, the newest first", body = Object),
    (status = 401, description = "No valid API key", body = Problem),
    (status = 403, description = "Only an operator may see this", body = Problem),
))]
pub(super) async fn list_replays(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let replays = app.intake.store.list_replays(LISTED_MAX).await?;
    Ok(Json(masked(json!({"items": replays}))))
}

/// Shows a replay: its progress by outcomes, what failed again, what failed since the start.
#[utoipa::path(get, path = "/v1/replays/{id}", tag = "operators",
    params(("id" = String, Path, description = "Id of the replay")),
    responses(
        (status = 200, description = "The replay", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may see this", body = Problem),
        (status = 404, description = "No such replay", body = Problem),
    ))]
pub(super) async fn show_replay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let replay = app.intake.store.replay(&ReplayId::from(id)).await?;
    replay
        .map(|it| Json(masked(json!(it))))
        .ok_or_else(|| Problem::not_found("这次重放"))
}

/// A page of the deliveries of a replay.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ItemsQuery {
    /// Only those after this delivery.
    after: Option<String>,
    /// How many, up to 1,000.
    limit: Option<i64>,
}

/// Lists the deliveries of a replay with the outcome of each, in order of their ids.
#[utoipa::path(get, path = "/v1/replays/{id}/items", tag = "operators",
    params(("id" = String, Path, description = "Id of the replay"), ItemsQuery),
    responses(
        (status = 200, description = "`{items}`; the next page begins after the last one", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may see this", body = Problem),
        (status = 404, description = "No such replay", body = Problem),
    ))]
pub(super) async fn replay_items(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let (store, id) = (&app.intake.store, ReplayId::from(id));
    let limit = query.limit.unwrap_or(ITEMS);
    let items = store
        .replay_items(&id, query.after.as_deref(), limit)
        .await?;
    if items.is_empty() && store.replay(&id).await?.is_none() {
        return Err(Problem::not_found("这次重放"));
    }
    Ok(Json(json!({"items": items})))
}

/// Makes nothing more of a replay due; what was not tried yet goes back to what it was.
#[utoipa::path(post, path = "/v1/replays/{id}/pause", tag = "operators", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the replay")),
    responses(
        (status = 200, description = "The replay as it is now", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such replay", body = Problem),
    ))]
pub(super) async fn pause_replay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<Json<Value>, Problem> {
    let reason = body.checked()?;
    switch(&app, &caller, id, ReplaySwitch::Pause, &reason).await
}

/// Why a replay goes on, and how fast.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeReplayBody {
    /// One sentence; stored and shown.
    reason: String,
    /// Deliveries a second from now on; absent = as before.
    #[serde(default)]
    rate: Option<u32>,
}

/// Lets a replay go on that was paused, or that stopped because too much failed again; what
/// failed before does not count for the share any more.
#[utoipa::path(post, path = "/v1/replays/{id}/resume", tag = "operators", request_body = ResumeReplayBody,
    params(("id" = String, Path, description = "Id of the replay")),
    responses(
        (status = 200, description = "The replay as it is now", body = Object),
        (status = 400, description = "A reason is missing, or the rate is none", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such replay", body = Problem),
    ))]
pub(super) async fn resume_replay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ResumeReplayBody>,
) -> Result<Json<Value>, Problem> {
    if body.rate == Some(0) {
        return Err(problem(ReplayError::Rate));
    }
    let reason = ReasonBody::of(body.reason).checked()?;
    let resume = ReplaySwitch::Resume {
        rate_per_s: body.rate,
    };
    switch(&app, &caller, id, resume, &reason).await
}

/// Ends a replay; what was not tried yet goes back to what it was.
#[utoipa::path(post, path = "/v1/replays/{id}/cancel", tag = "operators", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the replay")),
    responses(
        (status = 200, description = "The replay as it is now", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such replay", body = Problem),
    ))]
pub(super) async fn cancel_replay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<Json<Value>, Problem> {
    let reason = body.checked()?;
    switch(&app, &caller, id, ReplaySwitch::Cancel, &reason).await
}

async fn switch(
    app: &App,
    caller: &Caller,
    id: String,
    switch: ReplaySwitch,
    reason: &str,
) -> Result<Json<Value>, Problem> {
    let actor = caller.operator()?.name.clone();
    let switched = app
        .intake
        .store
        .switch_replay(&ReplayId::from(id), switch, reason, &actor)
        .await?;
    switched
        .map(|(replay, _)| Json(masked(json!(replay))))
        .ok_or_else(|| Problem::not_found("这次重放"))
}
