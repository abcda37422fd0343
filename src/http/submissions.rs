//! `POST /v1/submissions` and its batch.

use super::answer::SubmissionAnswer;
use super::caller::Caller;
use super::problem::Problem;
use super::{App, Received};
use crate::intake::{Answer, Pending, Profile, Told};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use futures_util::stream::{FuturesOrdered, unfold};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// A body larger than the limit is read on so far, so that the caller hears why and not just a
/// broken connection.
const DRAIN_BYTES_MAX: usize = 128 << 20;
/// Lines of a batch that wait for their commit at once.
const LINES_IN_FLIGHT: usize = 256;
/// Lines of a batch; more are refused, since their answers may have to be kept in memory.
const LINES_MAX: usize = 100_000;
const KEY_CHARS_MAX: usize = 200;

/// How a submission may be read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmissionQuery {
    profile: Option<String>,
}

/// Takes one submission in.
#[utoipa::path(
    post, path = "/v1/submissions", tag = "submissions",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same key again gives the same answer"),
        ("profile" = Option<String>, Query, description = "Source profile that reads the body, connectors/oa; without it the body is native, or known by its shape"),
    ),
    request_body(content = Object, description = "Native submission, schemas/submission.schema.json"),
    responses(
        (status = 202, description = "Taken in; a new version is on its way", body = SubmissionAnswer),
        (status = 200, description = "The same was there already; nothing changed", body = SubmissionAnswer),
        (status = 400, description = "The body cannot be read", body = Problem),
        (status = 401, description = "No valid API key", body = Problem),
        (status = 403, description = "The account may not post for this unit", body = Problem),
        (status = 404, description = "A withdrawal of something never seen", body = Problem),
        (status = 409, description = "An older revision, or the same one with another content", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 422, description = "Some fields are not right; one entry per field", body = Problem),
        (status = 503, description = "Come back after Retry-After seconds", body = Problem),
    )
)]
pub(super) async fn post_submission(
    State(app): State<App>,
    caller: Result<Caller, Problem>,
    Query(query): Query<SubmissionQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut profile = None;
    let taken = async {
        profile = chosen(&app, query.profile.as_deref())?;
        let caller = caller?;
        let _turn = app.in_flight.try_acquire().map_err(|_| Problem::busy())?;
        let body = read_body(body, app.body_bytes_max).await?;
        let received = Received {
            body,
            content_type: content_type(&headers),
            profile: profile.clone(),
            idempotency_key: idempotency_key(&headers)?,
        };
        let begun = app.begin(&caller, received).await?;
        profile = begun.profile;
        Ok::<_, Problem>(begun.pending?.finish().await?)
    };
    let taken = taken.await;
    let answer = profile.as_ref().and_then(|profile| profile.answer());
    match taken {
        Ok(accepted) => {
            let status = if accepted.changed {
                StatusCode::ACCEPTED
            } else {
                StatusCode::OK
            };
            let native = SubmissionAnswer::of(accepted, &app.intake.connectors);
            match answer {
                Some(answer) => in_shape(answer, native.told(status)),
                None => (status, Json(native)).into_response(),
            }
        }
        Err(problem) => match answer {
            Some(answer) => problem.in_shape(answer),
            None => problem.into_response(),
        },
    }
}

/// Returns the profile that the caller chose.
fn chosen(app: &App, id: Option<&str>) -> Result<Option<Arc<Profile>>, Problem> {
    let Some(id) = id else {
        return Ok(None);
    };
    let profiles = &app.intake.profiles;
    let profile = profiles.get(id).cloned().ok_or_else(|| {
        let id: String = id.chars().take(40).collect();
        let known = profiles.ids().join("、");
        let detail = format!("没有名为“{id}”的来源方案；可用的有：{known}");
        Problem::bad_request("", "unknown_profile", detail)
    });
    profile.map(Some)
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    value.map_or_else(String::new, |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

/// Answers as the sender's hook expects it; the status is the same as for everybody.
pub(super) fn in_shape(answer: &Answer, told: Told) -> Response {
    let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (media_type, body) = answer.render(&told);
    (status, [(header::CONTENT_TYPE, media_type)], body).into_response()
}

/// Takes many submissions in: NDJSON in, NDJSON out, one result per line, in order.
#[utoipa::path(
    post, path = "/v1/submissions/batch", tag = "submissions",
    request_body(content = String, content_type = "application/x-ndjson", description = "One native submission a line"),
    responses(
        (status = 200, description = "One line `{line, status, answer|problem}` per line, streamed", body = String, content_type = "application/x-ndjson"),
        (status = 401, description = "No valid API key", body = Problem),
    )
)]
pub(super) async fn post_batch(State(app): State<App>, caller: Caller, body: Body) -> Response {
    let (results, receiver) = mpsc::unbounded_channel::<Bytes>();
    tokio::spawn(take_lines(app, caller, body, results));
    let stream = unfold(receiver, |mut receiver| async move {
        receiver
            .recv()
            .await
            .map(|line| (Ok::<_, std::convert::Infallible>(line), receiver))
    });
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(stream),
    )
        .into_response()
}

async fn take_lines(app: App, caller: Caller, body: Body, results: mpsc::UnboundedSender<Bytes>) {
    let mut lines = Lines::new(body, app.body_bytes_max);
    let mut waiting = FuturesOrdered::new();
    let mut number = 0_usize;
    loop {
        let line = tokio::select! {
            biased;
            Some(result) = waiting.next() => {
                // The caller has gone: what was begun is committed, nothing more is begun.
                if results.send(result).is_err() {
                    return;
                }
                continue;
            }
            line = lines.next(), if waiting.len() < LINES_IN_FLIGHT => line,
        };
        let Some(line) = line else {
            break;
        };
        number += 1;
        let begun = match line {
            Ok(_) if number > LINES_MAX => Err(Problem::bad_request(
                "",
                "too_many_lines",
                format!("一次批量报送最多 {LINES_MAX} 行，请分批报送"),
            )),
            Ok(body) => {
                let received = Received {
                    body,
                    ..Received::default()
                };
                let begun = app.begin(&caller, received).await;
                begun.and_then(|begun| Ok(begun.pending?))
            }
            Err(problem) => Err(problem),
        };
        let at_end = lines.broken || number > LINES_MAX;
        waiting.push_back(finish_line(number, begun, app.clone()));
        if at_end {
            break;
        }
    }
    while let Some(result) = waiting.next().await {
        if results.send(result).is_err() {
            return;
        }
    }
}

async fn finish_line(number: usize, begun: Result<Pending, Problem>, app: App) -> Bytes {
    let outcome = match begun {
        Ok(pending) => pending.finish().await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    let line = match outcome {
        Ok(accepted) => {
            let status = if accepted.changed { 202 } else { 200 };
            let answer = SubmissionAnswer::of(accepted, &app.intake.connectors);
            json!({"line": number, "status": status, "answer": answer})
        }
        Err(problem) => {
            json!({"line": number, "status": problem.status, "problem": problem.to_json()})
        }
    };
    line_of(&line)
}

fn line_of(value: &Value) -> Bytes {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    Bytes::from(line)
}

/// The lines of a body, blank ones left out.
struct Lines {
    chunks: axum::body::BodyDataStream,
    buffer: BytesMut,
    bytes_max: usize,
    ended: bool,
    /// Nothing after this line can be trusted.
    broken: bool,
}

impl Lines {
    fn new(body: Body, bytes_max: usize) -> Self {
        Self {
            chunks: body.into_data_stream(),
            buffer: BytesMut::new(),
            bytes_max,
            ended: false,
            broken: false,
        }
    }

    async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let mut line = self.buffer.split_to(searched + at + 1);
                line.truncate(searched + at);
                searched = 0;
                if !line.trim_ascii().is_empty() {
                    return Some(Ok(line.freeze()));
                }
                continue;
            }
            if self.ended {
                let rest = std::mem::take(&mut self.buffer).freeze();
                return (!rest.trim_ascii().is_empty()).then_some(Ok(rest));
            }
            if self.buffer.len() > self.bytes_max {
                self.broken = true;
                return Some(Err(Problem::too_large(self.bytes_max)));
            }
            searched = self.buffer.len();
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(_)) => {
                    self.broken = true;
                    return Some(Err(Problem::bad_request(
                        "",
                        "body_cut",
                        "报送内容传输中断",
                    )));
                }
                None => self.ended = true,
            }
        }
    }
}

/// Reads a body up to the limit; what is above is read on and thrown away, up to a limit of its own.
pub(super) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut buffer = BytesMut::new();
    let mut total = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|_| Problem::bad_request("", "body_cut", "报送内容传输中断，请重新报送"))?;
        total += chunk.len();
        if total > DRAIN_BYTES_MAX {
            break;
        }
        if total <= bytes_max {
            buffer.extend_from_slice(&chunk);
        }
    }
    match total <= bytes_max {
        true => Ok(buffer.freeze()),
        false => Err(Problem::too_large(bytes_max)),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= KEY_CHARS_MAX => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(
            "",
            "idempotency_key",
            format!("Idempotency-Key 应为 1 至 {KEY_CHARS_MAX} 个可见字符"),
        )),
    }
}
