//! What an operator decides about one delivery.

use super::caller::Caller;
use super::problem::Problem;
use super::records::ReasonBody;
use super::{App, JsonBody};
use crate::operator::{self, Desk, HandError, OverrideError, OverridePreview, OverrideRequest};
use crate::record::DeliveryId;
use crate::store::HandWork;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What proves that something was done at the platform by hand.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DoneBody {
    /// Who did what and when, or the number of a letter or a screenshot; stored and shown.
    evidence: String,
    /// Where the public sees it.
    #[serde(default)]
    url: Option<String>,
}

/// Marks a delivery as done by hand: shown, or taken down, whichever is wanted.
#[utoipa::path(post, path = "/v1/deliveries/{id}/done", tag = "deliveries", request_body = DoneBody,
    params(("id" = String, Path, description = "Id of the delivery")),
    responses(
        (status = 200, description = "The delivery as it is now", body = Object),
        (status = 400, description = "No evidence, or the address is none", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such delivery", body = Problem),
        (status = 409, description = "It is being sent, held, or well already", body = Problem),
    ))]
pub(super) async fn done(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<DoneBody>,
) -> Result<Json<Value>, Problem> {
    let evidence = ReasonBody::of(body.evidence).checked()?;
    let work = HandWork::Done {
        evidence,
        url: body.url,
    };
    decide(&app, &caller, id, work).await
}

/// Gives a delivery up: it is not sent, until it is undone or the record changes.
#[utoipa::path(post, path = "/v1/deliveries/{id}/give-up", tag = "deliveries", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the delivery")),
    responses(
        (status = 200, description = "The delivery as it is now", body = Object),
        (status = 400, description = "A reason is missing", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such delivery", body = Problem),
        (status = 409, description = "It is being sent, held, or well already", body = Problem),
    ))]
pub(super) async fn give_up(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<Json<Value>, Problem> {
    let reason = body.checked()?;
    decide(&app, &caller, id, HandWork::GiveUp { reason }).await
}

/// Takes back that a delivery was done by hand or given up.
#[utoipa::path(post, path = "/v1/deliveries/{id}/undo", tag = "deliveries", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the delivery")),
    responses(
        (status = 200, description = "The delivery as it is now", body = Object),
        (status = 400, description = "A reason is missing", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such delivery", body = Problem),
        (status = 409, description = "There is nothing to undo any more", body = Problem),
    ))]
pub(super) async fn undo(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<Json<Value>, Problem> {
    let reason = body.checked()?;
    decide(&app, &caller, id, HandWork::Undo { reason }).await
}

async fn decide(
    app: &App,
    caller: &Caller,
    id: String,
    work: HandWork,
) -> Result<Json<Value>, Problem> {
    let actor = caller.operator()?.name.clone();
    let id = DeliveryId::from(id);
    let intake = &app.intake;
    let delivery = operator::decide(&intake.store, intake.queue.as_ref(), &id, &work, &actor).await;
    match delivery {
        Ok(delivery) => Ok(Json(super::masked(json!(delivery)))),
        Err(HandError::Unknown) => Err(Problem::not_found("这条推送")),
        Err(HandError::Store(error)) => Err(error.into()),
        Err(error @ HandError::Words) => {
            Err(Problem::bad_request("/reason", "reason", error.to_string()))
        }
        Err(error @ HandError::Address(_)) => {
            Err(Problem::bad_request("/url", "url", error.to_string()))
        }
        Err(error @ (HandError::NotOpen(_) | HandError::NothingToUndo)) => {
            Err(refused(error.to_string()))
        }
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "hand-work-refused",
        "It cannot be so from where the delivery stands",
        detail,
    )
}

/// Says one field of a record in other words for this platform, in this version; with `dry_run`
/// only shows what becomes of it. A correction by the unit drops it.
#[utoipa::path(post, path = "/v1/deliveries/{id}/override", tag = "deliveries", request_body = OverrideRequest,
    params(("id" = String, Path, description = "Id of the delivery")),
    responses(
        (status = 200, description = "Before and after, what the contract finds wrong in each, and whether it was carried out", body = Object),
        (status = 400, description = "The field, the value or the reason is not right, or the value may not be shown", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such delivery", body = Problem),
        (status = 409, description = "It is being sent, held, to be gone, or has changed", body = Problem),
    ))]
pub(super) async fn override_field(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<OverrideRequest>,
) -> Result<Json<OverridePreview>, Problem> {
    let actor = caller.operator()?.name.clone();
    let intake = &app.intake;
    let desk = Desk {
        store: &intake.store,
        queue: intake.queue.as_ref(),
        connectors: &intake.connectors,
        rules: &intake.rules,
    };
    let preview = operator::override_field(&desk, &DeliveryId::from(id), request, &actor).await;
    preview.map(Json).map_err(|error| {
        let text = error.to_string();
        match error {
            OverrideError::Store(error) => error.into(),
            OverrideError::Unknown => Problem::not_found("这条推送"),
            OverrideError::NotOpen => refused(text),
            OverrideError::Field(..) | OverrideError::Missing(_) => {
                Problem::bad_request("/pointer", "pointer", text)
            }
            OverrideError::Kind(_) | OverrideError::NotPublic(_) => {
                Problem::bad_request("/value", "value", text)
            }
            OverrideError::Reason => Problem::bad_request("/reason", "reason", text),
        }
    })
}
