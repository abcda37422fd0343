//! Looks at what platforms show: asked for, read, ended early.

use super::caller::Caller;
use super::problem::Problem;
use super::records::ReasonBody;
use super::{App, JsonBody};
use crate::operator::{self, VerifyError};
use crate::record::{Appearance, DeliveryId, VerificationId};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// How many verifications are listed.
const LISTED_MAX: i64 = 100;

/// Why everything is looked at, and whether what can be mended is mended.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    /// One sentence; stored and shown.
    #[serde(default)]
    reason: Option<String>,
    /// Send again what is missing or stale, take down again what was withdrawn and is back.
    #[serde(default)]
    repair: bool,
}

/// Looks at everything a platform shall show and compares it with the records.
#[utoipa::path(post, path = "/v1/platforms/{id}/verify", tag = "operators", request_body = VerifyBody,
    params(("id" = String, Path, description = "The platform")),
    responses(
        (status = 202, description = "It is being looked at; the one that is open already, if there is one", body = Object),
        (status = 400, description = "The body is not right", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such platform", body = Problem),
        (status = 409, description = "The platform cannot be asked", body = Problem),
    ))]
pub(super) async fn verify(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<VerifyBody>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let actor = caller.operator()?.name.clone();
    let reason = match body.reason {
        None => "未填写".to_owned(),
        Some(reason) => ReasonBody::of(reason).checked()?,
    };
    let (store, connectors) = (&app.intake.store, &app.intake.connectors);
    let verification = operator::verify(store, connectors, &id, body.repair, &reason, &actor)
        .await
        .map_err(|error| match error {
            VerifyError::UnknownPlatform(_) => Problem::not_found("这个平台"),
            VerifyError::CannotLook(_) | VerifyError::Retired(_) | VerifyError::Busy => {
                Problem::new(
                    StatusCode::CONFLICT,
                    "cannot-verify",
                    "The platform cannot be looked at",
                    error.to_string(),
                )
            }
            VerifyError::Store(error) => error.into(),
        })?;
    Ok((StatusCode::ACCEPTED, Json(json!(verification))))
}

/// Which verifications are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only of this platform.
    platform: Option<String>,
}

/// Lists the newest verifications with their counts, newest first, up to 100.
#[utoipa::path(get, path = "/v1/verifications", tag = "operators", params(ListQuery), responses(
    (status = 200, description = "`{items}`", body = Object),
    (status = 400, description = "A parameter is not right", body = Problem),
    (status = 401, description = "No valid API key", body = Problem),
    (status = 403, description = "Only an operator may see this", body = Problem),
))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let store = &app.intake.store;
    let list = store.list_verifications(query.platform.as_deref(), LISTED_MAX);
    Ok(Json(json!({"items": list.await?})))
}

/// Which findings are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FindingsQuery {
    /// under_review, missing, stale, altered or unanswered.
    verdict: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Shows a verification: counts, and page by page what is not as it should be.
#[utoipa::path(get, path = "/v1/verifications/{id}", tag = "operators",
    params(("id" = String, Path, description = "Id of the verification"), FindingsQuery),
    responses(
        (status = 200, description = "The verification with `findings`; `next` is the cursor of more", body = Object),
        (status = 400, description = "No such verdict", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may see this", body = Problem),
        (status = 404, description = "No such verification", body = Problem),
    ))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<FindingsQuery>,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let verdict = match &query.verdict {
        None => None,
        Some(word) => Some(Appearance::parse(word).ok_or_else(|| {
            Problem::bad_request("/verdict", "verdict", format!("没有“{word}”这种结果"))
        })?),
    };
    let (store, id) = (&app.intake.store, VerificationId::from(id));
    let verification = store
        .verification(&id)
        .await?
        .ok_or_else(|| Problem::not_found("这次核对"))?;
    let after = query.cursor.map(DeliveryId::from);
    let findings = store
        .verification_findings(&id, verdict, after.as_ref())
        .await?;
    let full = findings.len() as i64 == crate::store::FINDINGS_MAX;
    let next = findings.last().filter(|_| full);
    let mut shown = json!(verification);
    shown["next"] = json!(next.map(|last| &last.delivery_id));
    shown["findings"] = json!(findings);
    Ok(Json(shown))
}

/// Ends a verification early; what was found so far stays.
#[utoipa::path(post, path = "/v1/verifications/{id}/cancel", tag = "operators", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the verification")),
    responses(
        (status = 200, description = "The verification as it is now", body = Object),
        (status = 400, description = "A reason is missing", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such verification", body = Problem),
    ))]
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<Json<Value>, Problem> {
    let actor = caller.operator()?.name.clone();
    let reason = body.checked()?;
    let store = &app.intake.store;
    let ended = store
        .cancel_verification(&VerificationId::from(id), &reason, &actor)
        .await?;
    ended
        .map(|it| Json(json!(it)))
        .ok_or_else(|| Problem::not_found("这次核对"))
}
