//! `/v1/records`: what was taken in and where it is shown; withdrawing and releasing by hand.

use super::App;
use super::answer::{SubmissionAnswer, masked};
use super::caller::Caller;
use super::problem::Problem;
use super::{JsonBody, parameter};
use crate::intake::sentence;
use crate::record::{DeliveryState, RecordId};
use crate::store::{Lateness, RecordFilter, RecordState, ReleaseOutcome, WithdrawOutcome};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 200;
/// How many similar names an error gives.
const NEAREST_NAMED: usize = 3;
const REASON_CHARS_MAX: usize = 500;

/// Filters of the list; all that are given must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The sender's id.
    source_id: Option<String>,
    /// The source system; only an operator may name another than its own.
    source: Option<String>,
    /// Code, name or alias of the unit.
    unit: Option<String>,
    /// Key or name of the area.
    area: Option<String>,
    /// `live`, `held`, `withdrawn`, or a state of a delivery such as `failed`.
    state: Option<String>,
    /// Records with a delivery to this platform.
    platform: Option<String>,
    /// Changed at or after: RFC 3339 or a date.
    from: Option<String>,
    /// Changed before: RFC 3339 or a date.
    to: Option<String>,
    /// Part of the title, or the whole document or index number.
    text: Option<String>,
    /// `true`: public too late, or held and due by now; `false`: all others.
    late: Option<bool>,
    /// Due before: a date, or RFC 3339.
    due_before: Option<String>,
    /// From the answer before this one.
    cursor: Option<String>,
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
}

/// Why something is done by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    /// One sentence; stored and shown.
    reason: String,
}

impl ReasonBody {
    pub(super) fn of(reason: String) -> Self {
        Self { reason }
    }

    pub(super) fn checked(self) -> Result<String, Problem> {
        let reason = self.reason.trim().to_owned();
        let length = reason.chars().count();
        match length {
            1..=REASON_CHARS_MAX => Ok(reason),
            _ => Err(Problem::bad_request(
                "/reason",
                "reason",
                format!("请填写原因（1 至 {REASON_CHARS_MAX} 字）"),
            )),
        }
    }
}

/// Lists records, the last changed first.
#[utoipa::path(get, path = "/v1/records", tag = "records", params(ListQuery), responses(
    (status = 200, description = "`{items, next_cursor}`", body = Object),
    (status = 400, description = "A parameter is not right", body = Problem),
    (status = 401, description = "No valid API key", body = Problem),
))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| parameter(&error.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::bad_request(
            "/limit",
            "limit",
            format!("limit 应为 1 至 {PAGE_MAX}"),
        ));
    }
    let cursor = query.cursor.clone();
    let filter = filter_of(&app, &caller, query)?;
    let page = app
        .intake
        .store
        .list_records(&filter, cursor.as_deref(), limit)
        .await?;
    let items: Vec<Value> = page
        .records
        .iter()
        .map(|record| masked(serde_json::to_value(record).unwrap_or_default()))
        .collect();
    Ok(Json(json!({"items": items, "next_cursor": page.next})))
}

fn filter_of(app: &App, caller: &Caller, query: ListQuery) -> Result<RecordFilter, Problem> {
    let own = caller.0.source.clone();
    let source = match (caller.0.operator, query.source) {
        (true, source) => source,
        (false, Some(source)) if source != own => return Err(Problem::operator_only()),
        (false, _) => Some(own),
    };
    let unit = match query.unit {
        None => None,
        Some(text) => match app.intake.catalogue.unit(&text) {
            Some(unit) => Some(unit.unit.code.clone()),
            None => {
                let nearest = app.intake.catalogue.nearest_units(&text, NEAREST_NAMED);
                return Err(Problem::bad_request(
                    "/unit",
                    "unknown_unit",
                    format!("没有名为“{text}”的单位{}", perhaps(&nearest)),
                ));
            }
        },
    };
    let area = match query.area {
        None => None,
        Some(text) => match app.intake.catalogue.area(&text) {
            Some(area) => Some(area.key.clone()),
            None => {
                let nearest = app.intake.catalogue.nearest_areas(&text, NEAREST_NAMED);
                return Err(Problem::bad_request(
                    "/area",
                    "unknown_area",
                    format!("没有名为“{text}”的重点领域{}", perhaps(&nearest)),
                ));
            }
        },
    };
    let (state, delivery_state) = match query.state.as_deref() {
        None => (None, None),
        // `held` and `withdrawn` are words of both; the record's own state is meant.
        Some(word) => match (RecordState::parse(word), DeliveryState::parse(word)) {
            (Some(state), _) => (Some(state), None),
            (None, Some(state)) => (None, Some(state)),
            (None, None) => {
                return Err(Problem::bad_request(
                    "/state",
                    "unknown_state",
                    format!("没有“{word}”这种状态"),
                ));
            }
        },
    };
    Ok(RecordFilter {
        source_id: query.source_id,
        source,
        unit,
        area,
        state,
        platform: query.platform,
        delivery_state,
        from: time_of("/from", query.from)?,
        to: time_of("/to", query.to)?,
        text: query.text,
        due_before: time_of("/due_before", query.due_before)?,
        late: query.late.map(|late| Lateness {
            late,
            at: crate::clock::now_ms(),
        }),
    })
}

fn perhaps(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        nearest => format!("，是否为：{}", nearest.join("、")),
    }
}

fn time_of(pointer: &str, text: Option<String>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    crate::clock::parse_time(&text).map(Some).ok_or_else(|| {
        Problem::bad_request(
            pointer,
            "time",
            format!("“{text}”不是时间，请写成 2014-09-18 或 2014-09-18T08:00:00+08:00"),
        )
    })
}

/// Shows a record with its versions and where it stands on each platform.
#[utoipa::path(get, path = "/v1/records/{id}", tag = "records",
    params(("id" = String, Path, description = "Id of the record")),
    responses(
        (status = 200, description = "The record; personal data masked", body = Object),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 404, description = "No such record, or not the caller's", body = Problem),
    ))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let record = record_of(&app, &caller, &id).await?;
    Ok(Json(masked(
        serde_json::to_value(&record).unwrap_or_default(),
    )))
}

/// Takes a record down everywhere, whatever was queued.
#[utoipa::path(post, path = "/v1/records/{id}/withdraw", tag = "records", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the record")),
    responses(
        (status = 202, description = "It is being taken down", body = SubmissionAnswer),
        (status = 200, description = "It was withdrawn already", body = SubmissionAnswer),
        (status = 400, description = "A reason is missing", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Not the caller's unit", body = Problem),
        (status = 404, description = "No such record, or not the caller's", body = Problem),
    ))]
pub(super) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<(StatusCode, Json<SubmissionAnswer>), Problem> {
    let reason = body.checked()?;
    let record = record_of(&app, &caller, &id).await?;
    if !caller.0.operator && !caller.0.may_post_for(&record.summary.unit_code) {
        return Err(crate::intake::Refusal::UnitNotAllowed {
            unit: record.summary.unit_name,
        }
        .into());
    }
    let outcome = app
        .intake
        .store
        .withdraw_record(&RecordId::from(id), &reason, &caller.0.name)
        .await?;
    let (status, changed, head) = match outcome {
        WithdrawOutcome::Withdrawn(head) => (StatusCode::ACCEPTED, true, head),
        WithdrawOutcome::AlreadyWithdrawn(head) => (StatusCode::OK, false, head),
        WithdrawOutcome::NotFound => return Err(Problem::not_found("这条信息")),
    };
    app.intake.wake(&head);
    let message = match changed {
        true => sentence(true, &head, &app.intake.connectors),
        false => "该信息此前已撤回，未作改动。".to_owned(),
    };
    let answer = SubmissionAnswer::of_head(changed, head, message, &app.intake.connectors);
    Ok((status, Json(answer)))
}

/// Lets a held record go out, by an operator, with a reason.
#[utoipa::path(post, path = "/v1/records/{id}/release", tag = "records", request_body = ReasonBody,
    params(("id" = String, Path, description = "Id of the record")),
    responses(
        (status = 202, description = "It is on its way", body = SubmissionAnswer),
        (status = 200, description = "It was not held", body = SubmissionAnswer),
        (status = 400, description = "A reason is missing", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "Only an operator may do this", body = Problem),
        (status = 404, description = "No such record", body = Problem),
        (status = 409, description = "The document is not 主动公开; only a correction helps", body = Problem),
    ))]
pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReasonBody>,
) -> Result<(StatusCode, Json<SubmissionAnswer>), Problem> {
    let operator = caller.operator()?;
    let reason = body.checked()?;
    let outcome = app
        .intake
        .store
        .release_record(&RecordId::from(id), &reason, &operator.name)
        .await?;
    let (status, changed, head) = match outcome {
        ReleaseOutcome::Released(head) => (StatusCode::ACCEPTED, true, head),
        ReleaseOutcome::NotHeld(head) => (StatusCode::OK, false, head),
        ReleaseOutcome::NotFound => return Err(Problem::not_found("这条信息")),
        ReleaseOutcome::ReleaseRefused { holds } => {
            let reasons: Vec<&str> = holds.iter().map(|hold| hold.detail.as_str()).collect();
            let detail = format!(
                "不能人工放行，请由报送单位更正后重新报送：{}",
                reasons.join("；")
            );
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "release-refused",
                "Only a correction helps",
                detail,
            ));
        }
    };
    app.intake.wake(&head);
    let message = match changed {
        true => format!("已放行。{}", sentence(true, &head, &app.intake.connectors)),
        false => "该信息没有被暂扣，未作改动。".to_owned(),
    };
    let answer = SubmissionAnswer::of_head(changed, head, message, &app.intake.connectors);
    Ok((status, Json(answer)))
}

/// Returns the record, if it is there and the caller may see it. What it may not see is not there.
async fn record_of(
    app: &App,
    caller: &Caller,
    id: &str,
) -> Result<crate::store::RecordView, Problem> {
    let record = app
        .intake
        .store
        .record(&RecordId::from(id.to_owned()))
        .await?;
    record
        .filter(|record| caller.0.operator || record.summary.source == caller.0.source)
        .ok_or_else(|| Problem::not_found("这条信息"))
}
