//! Failures on demand: the ways in which real platforms answer badly.
//!
//! Owns the modes and the layer that plays them before or after the true answer. Never touches
//! the admin calls or the public pages; [`super::admin`] switches the modes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::BODY_BYTES_MAX;
use super::desk::Desk;
use super::page;

/// How long `slow` waits unless told otherwise.
const SLOW_MS_DEFAULT: u64 = 3_000;
/// The longest wait that `slow` accepts.
const SLOW_MS_MAX: u64 = 600_000;
/// Bytes that are no JSON, no XML and no text in any charset of these platforms.
const GARBAGE: &[u8] = b"\x00\xff\xfe<<<\x81 0x80072EE7 \xa1";

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[serde(rename = "error_500")]
    Error500,
    TooMany,
    Slow,
    DropAfterSave,
    Garbage,
    GarbageUnsaved,
    Truncated,
    ExpiredSession,
    Maintenance,
}

/// The names of all modes.
pub(super) const MODES: [&str; 9] = [
    "error_500",
    "too_many",
    "slow",
    "drop_after_save",
    "garbage",
    "garbage_unsaved",
    "truncated",
    "expired_session",
    "maintenance",
];

/// A mode and for how long it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Misbehaviour {
    pub(super) mode: Mode,
    /// How many more requests it spoils; `None` = until cleared.
    #[serde(default)]
    pub(super) times: Option<u32>,
    /// The wait of `slow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<u64>,
}

/// Counts an API request and spoils it when a mode is in force.
pub(super) async fn interpose(
    State(desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Response {
    let (route, is_login) = describe(&request);
    desk.count_request(route);
    let Some(now) = take_turn(&desk, is_login) else {
        return next.run(request).await;
    };
    match now.mode {
        Mode::Error500 => {
            unsaved(
                request,
                (StatusCode::INTERNAL_SERVER_ERROR, "内部服务器错误"),
            )
            .await
        }
        Mode::TooMany => unsaved(request, too_many()).await,
        Mode::GarbageUnsaved => unsaved(request, garbage()).await,
        Mode::Maintenance => unsaved(request, page::maintenance(&desk.identity)).await,
        Mode::ExpiredSession if desk.identity.has_sessions => {
            desk.end_sessions();
            next.run(request).await
        }
        Mode::ExpiredSession => unsaved(request, bad_signature()).await,
        Mode::Slow => {
            let answer = next.run(request).await;
            let wait_ms = now.ms.unwrap_or(SLOW_MS_DEFAULT).min(SLOW_MS_MAX);
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            answer
        }
        Mode::DropAfterSave => {
            next.run(request).await;
            cut_off(&[], GARBAGE.len())
        }
        Mode::Garbage => {
            next.run(request).await;
            garbage()
        }
        Mode::Truncated => truncated(next.run(request).await).await,
    }
}

/// Returns 429 with the time after which to come again.
pub(super) fn too_many() -> Response {
    let answer = json!({"error": "rate_limited", "message": "请求过于频繁，请稍后再试"});
    let retry_after = [(header::RETRY_AFTER, "1")];
    (StatusCode::TOO_MANY_REQUESTS, retry_after, Json(answer)).into_response()
}

/// Returns the name under which a request is counted, and whether it is a login. SOAP puts all
/// operations behind one path, so the action belongs to the name.
fn describe(request: &Request) -> (String, bool) {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(request.uri().path(), MatchedPath::as_str);
    let action = request
        .headers()
        .get("soapaction")
        .and_then(|action| action.to_str().ok())
        .and_then(|action| action.trim_matches('"').rsplit_once('#'))
        .map(|(_, operation)| operation);
    let is_login = path == "/oauth/token" || action == Some("Login");
    let route = match action {
        Some(operation) => format!("{} {path}#{operation}", request.method()),
        None => format!("{} {path}", request.method()),
    };
    (route, is_login)
}

/// Returns the misbehaviour for this request and uses up one of its times.
fn take_turn(desk: &Desk, is_login: bool) -> Option<Misbehaviour> {
    let mut slot = desk.misbehaviour();
    let current = slot.as_mut()?;
    if is_login && current.mode != Mode::Maintenance {
        return None;
    }
    let turn = current.clone();
    if let Some(times) = &mut current.times {
        *times = times.saturating_sub(1);
    }
    if current.times == Some(0) {
        *slot = None;
    }
    Some(turn)
}

/// Answers without serving. The body is read to its end first: a server that answers early makes
/// some clients see a broken connection instead of the answer.
async fn unsaved(request: Request, answer: impl IntoResponse) -> Response {
    drop(to_bytes(request.into_body(), BODY_BYTES_MAX).await);
    answer.into_response()
}

fn garbage() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    (StatusCode::OK, kind, GARBAGE).into_response()
}

fn bad_signature() -> Response {
    let answer = json!({"error": "bad_signature", "message": "签名不正确"});
    (StatusCode::UNAUTHORIZED, Json(answer)).into_response()
}

async fn truncated(answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let whole = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let mut half = cut_off(&whole[..whole.len() / 2], whole.len());
    *half.status_mut() = parts.status;
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        half.headers_mut()
            .insert(header::CONTENT_TYPE, kind.clone());
    }
    half
}

/// Returns an answer that promises more bytes than `sent` and ends in a cut connection.
fn cut_off(sent: &[u8], promised_bytes: usize) -> Response {
    let sent = (!sent.is_empty()).then(|| Ok(Bytes::copy_from_slice(sent)));
    let cut = stream::once(async {
        // Gives the server time to flush what was sent; without it the cut swallows that too.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let mut answer = match sent {
        Some(sent) => Body::from_stream(stream::iter([sent]).chain(cut)),
        None => Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::from(
            std::io::ErrorKind::ConnectionAborted,
        ))])),
    }
    .into_response();
    let promised = HeaderValue::from(promised_bytes as u64);
    answer
        .headers_mut()
        .insert(header::CONTENT_LENGTH, promised);
    answer
}
