//! `/v1/screening/rescan`: looks again at what is public, with the rules of today.

use super::App;
use super::answer::masked;
use super::caller::Caller;
use super::parameter;
use super::problem::Problem;
use crate::operator::{RESCAN_PAGE_MAX, rescan as look_again};
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

/// Most records of one call; each may have to be read with its files.
const LIMIT_DEFAULT: i64 = 20;

/// Where a rescan goes on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RescanQuery {
    /// From the answer before this one.
    cursor: Option<String>,
    /// 1 to 100, 20 when absent.
    limit: Option<i64>,
}

/// Looks at a page of public records and says which the rules would hold now. Changes nothing.
#[utoipa::path(get, path = "/v1/screening/rescan", tag = "operations", params(RescanQuery), responses(
    (status = 200, description = "`{rules_version, scanned, suspects, next_cursor}`", body = Object),
    (status = 400, description = "A parameter is not right", body = Problem),
    (status = 401, description = "No valid API key", body = Problem),
    (status = 403, description = "Only an operator may do this", body = Problem),
))]
pub(super) async fn rescan(
    State(app): State<App>,
    caller: Caller,
    query: Result<Query<RescanQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    caller.operator()?;
    let Query(query) = query.map_err(|error| parameter(&error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=RESCAN_PAGE_MAX).contains(&limit) {
        return Err(Problem::bad_request(
            "/limit",
            "limit",
            format!("limit 应为 1 至 {RESCAN_PAGE_MAX}"),
        ));
    }
    let files = (&app.intake.store, &app.intake.attachments);
    let page = look_again(files, &app.intake.rules, query.cursor.as_deref(), limit).await?;
    Ok(Json(masked(serde_json::to_value(page).unwrap_or_default())))
}
