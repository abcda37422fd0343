//! A platform moves: its redirect to the new address, and the end of the old one.

use super::caller::Caller;
use super::problem::Problem;
use super::records::ReasonBody;
use super::{App, JsonBody};
use crate::operator::{self, RedirectError};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::ToSchema;

/// How long one call goes on; below the longest time for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether it is real, and why.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedirectBody {
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
    /// One sentence; stored and shown. Not needed for a dry run.
    #[serde(default)]
    reason: String,
}

impl RedirectBody {
    /// Returns the reason of what is real; `None` for a dry run.
    fn real(self) -> Result<Option<String>, Problem> {
        match self.dry_run {
            true => Ok(None),
            false => ReasonBody::of(self.reason).checked().map(Some),
        }
    }
}

/// Redirects a platform to the address of its new connector: what was begun ends at the version
/// before, everything else goes to the new one.
#[utoipa::path(post, path = "/v1/platforms/{id}/redirect", tag = "operators", request_body = RedirectBody,
    params(("id" = String, Path, description = "The platform")),
    responses(
        (status = 200, description = "What would happen; or, with `done`, that it is redirected", body = Object),
        (status = 202, description = "Some is divided and there is more: call again", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such platform", body = Problem),
        (status = 409, description = "No version before waits for it, or a process still has other versions loaded", body = Problem),
    ))]
pub(super) async fn redirect(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<RedirectBody>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let actor = caller.operator()?.name.clone();
    let intake = &app.intake;
    let is_real = body.real()?;
    let status = match &is_real {
        None => operator::preview_redirect(&intake.store, &intake.connectors, &id).await,
        Some(reason) => {
            let tools = (intake.connectors.as_ref(), intake.queue.as_ref());
            operator::redirect(&intake.store, tools, &id, (reason, &actor), PATIENCE).await
        }
    }
    .map_err(problem)?;
    let code = match is_real.is_some() && !status.done {
        true => StatusCode::ACCEPTED,
        false => StatusCode::OK,
    };
    Ok((code, Json(json!(status))))
}

/// Retires a version that a platform had before (`NAME@1`): nothing is sent to its address any
/// more. Refused while something is only there.
#[utoipa::path(post, path = "/v1/platforms/{id}/retire", tag = "operators", request_body = RedirectBody,
    params(("id" = String, Path, description = "The version, such as `NAME@1`")),
    responses(
        (status = 200, description = "What is left of it; with `done`, it is retired", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such version", body = Problem),
        (status = 409, description = "Something is only there, or a take-down there is not done", body = Problem),
    ))]
pub(super) async fn retire(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<RedirectBody>,
) -> Result<Json<Value>, Problem> {
    let actor = caller.operator()?.name.clone();
    let store = &app.intake.store;
    let status = match body.real()? {
        None => operator::preview_retire(store, &id).await,
        Some(reason) => operator::retire(store, &id, (&reason, &actor)).await,
    };
    Ok(Json(json!(status.map_err(problem)?)))
}

fn problem(error: RedirectError) -> Problem {
    let text = error.to_string();
    let conflict = |kind, title| Problem::new(StatusCode::CONFLICT, kind, title, text.clone());
    match error {
        RedirectError::Store(error) => error.into(),
        RedirectError::Unknown(_) => Problem::not_found("这个平台"),
        RedirectError::NotPrevious(_) => Problem::not_found("这个旧版本"),
        RedirectError::NothingBefore(_) | RedirectError::NotRedirected(_) => {
            conflict("not-redirectable", "No version before waits for a redirect")
        }
        RedirectError::Outdated(_) => conflict(
            "processes-outdated",
            "Processes still have other versions loaded",
        ),
        RedirectError::Remains(_) => {
            conflict("version-in-use", "Something is only at this version")
        }
    }
}
