//! What operators do: deliveries, failures, platforms. Replays have their own file.

use super::answer::masked;
use super::caller::Caller;
use super::problem::Problem;
use super::records::ReasonBody;
use super::{App, JsonBody};
use crate::operator::{self, NamedError};
use crate::record::DeliveryId;
use crate::store::PauseMode;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// Shows a delivery with every attempt.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "Id of the delivery")),
    responses(
        (status = 200, description = "The delivery and its attempts, the oldest first", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 404, description = "No such delivery, or not the caller's", body = Problem),
    ))]
pub(super) async fn delivery(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id = DeliveryId::from(id);
    let store = &app.intake.store;
    let missing = || Problem::not_found("这条推送");
    let delivery = store.delivery(&id).await?.ok_or_else(missing)?;
    if !caller.0.operator {
        let record = store
            .record(&delivery.record_id)
            .await?
            .ok_or_else(missing)?;
        if record.summary.source != caller.0.source {
            return Err(missing());
        }
    }
    let attempts = store.attempts(&id).await?;
    let mut shown = json!(delivery);
    shown["attempts"] = json!(attempts);
    Ok(Json(masked(shown)))
}

/// Which platform `why` is about.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyQuery {
    /// Only this platform.
    on: Option<String>,
}

/// Says in words where a record stands, why, what happens next and what to do.
#[utoipa::path(get, path = "/v1/records/{id}/why", tag = "records",
    params(("id" = String, Path, description = "Id of the record, or the sender's id"), WhyQuery),
    responses(
        (status = 200, description = "Cause, next and advice per platform", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 404, description = "No such record, or not the caller's", body = Problem),
    ))]
pub(super) async fn why(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Value>, Problem> {
    let store = &app.intake.store;
    let record = operator::record_named(store, &id)
        .await
        .map_err(|error| match error {
            NamedError::Store(error) => error.into(),
            NamedError::Unknown(_) => Problem::not_found("这条信息"),
            NamedError::Ambiguous(_, ids) => {
                Problem::bad_request("/id", "ambiguous", format!("多个来源使用这个编号：{ids}"))
            }
        })?;
    if !caller.0.operator && record.summary.source != caller.0.source {
        return Err(Problem::not_found("这条信息"));
    }
    let why = operator::why(store, &app.intake.connectors, &record, query.on.as_deref()).await?;
    Ok(Json(json!(why)))
}

/// Lists failures by cause, the largest group first.
#[utoipa::path(get, path = "/v1/failures", tag = "operators", responses(
    (status = 200, description = "`{items}`: platform, stage, class, code, text, count, first, last, example, next action", body = Object),
    (status = 401, description = "No valid API key", body = Problem),
    (status = 403, description = "Only an operator may see this", body = Problem),
))]
pub(super) async fn failures(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let groups = operator::failures(&app.intake.store, app.intake.queue.as_ref()).await?;
    Ok(Json(json!({"items": groups})))
}

/// Lists the platforms and how they stand.
#[utoipa::path(get, path = "/v1/platforms", tag = "operators", responses(
    (status = 200, description = "`{items}`", body = Object),
    (status = 401, description = "No valid API key", body = Problem),
    (status = 403, description = "Only an operator may see this", body = Problem),
))]
pub(super) async fn platforms(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let platforms = operator::platforms(&app.intake.store, &app.intake.connectors).await?;
    Ok(Json(json!({"items": platforms})))
}

/// Why a platform is paused, and until when.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseBody {
    /// One sentence; stored and shown.
    reason: String,
    /// RFC 3339 time after which it goes on by itself.
    #[serde(default)]
    until: Option<String>,
    /// What becomes of what waits already.
    #[serde(default)]
    mode: PauseMode,
}

/// Why a platform goes on, and how fast.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeBody {
    /// One sentence; stored and shown.
    reason: String,
    /// Requests a second at most, until it is resumed without; absent = as the connector says.
    #[serde(default)]
    rate: Option<u32>,
}

/// Stops sending to a platform; what is due waits without losing a try.
#[utoipa::path(post, path = "/v1/platforms/{id}/pause", tag = "operators", request_body = PauseBody,
    params(("id" = String, Path, description = "The platform")),
    responses(
        (status = 200, description = "Paused", body = Object),
        (status = 400, description = "A reason is missing", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such platform", body = Problem),
    ))]
pub(super) async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<PauseBody>,
) -> Result<Json<Value>, Problem> {
    let actor = caller.operator()?.name.clone();
    known_platform(&app, &id)?;
    let until =
        match &body.until {
            None => None,
            Some(text) => Some(crate::clock::parse_time(text).ok_or_else(|| {
                Problem::bad_request("/until", "time", format!("“{text}”不是时间"))
            })?),
        };
    let reason = ReasonBody::of(body.reason).checked()?;
    let store = &app.intake.store;
    operator::pause(store, &id, body.mode, (&reason, &actor), until).await?;
    let message = match body.mode {
        PauseMode::Hold | PauseMode::Stop => "已暂停推送，期间的信息会排队等待",
        PauseMode::Drain => "正在排空：此前到期的继续推送，此后的排队等待",
    };
    Ok(Json(
        json!({"platform": id, "paused": true, "mode": body.mode, "message": message}),
    ))
}

/// Goes on sending to a platform.
#[utoipa::path(post, path = "/v1/platforms/{id}/resume", tag = "operators", request_body = ResumeBody,
    params(("id" = String, Path, description = "The platform")),
    responses(
        (status = 200, description = "Sending", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such platform", body = Problem),
    ))]
pub(super) async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ResumeBody>,
) -> Result<Json<Value>, Problem> {
    let actor = caller.operator()?.name.clone();
    known_platform(&app, &id)?;
    if body.rate == Some(0) {
        return Err(Problem::bad_request("/rate", "rate", "rate 至少为 1"));
    }
    let reason = ReasonBody::of(body.reason).checked()?;
    operator::resume(
        &app.intake.store,
        app.intake.queue.as_ref(),
        &id,
        body.rate,
        (&reason, &actor),
    )
    .await?;
    Ok(Json(
        json!({"platform": id, "paused": false, "rate": body.rate, "message": "已恢复推送"}),
    ))
}

fn known_platform(app: &App, id: &str) -> Result<(), Problem> {
    match app.intake.connectors.get(id) {
        Some(_) => Ok(()),
        None => Err(Problem::not_found("这个平台")),
    }
}
