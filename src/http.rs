//! The HTTP door: JSON in and out, described by `/openapi.json`.
//!
//! Owns status codes, keys and limits of requests. What is done lives below it: [`crate::intake`]
//! takes submissions in, [`crate::operator`] shows and switches, [`crate::replay`] acts in bulk.

mod answer;
mod caller;
mod catalogue;
mod description;
mod hand;
mod health;
mod operations;
mod problem;
mod records;
mod redirects;
mod replays;
mod screening;
mod submissions;
mod verifications;

pub(crate) use answer::masked;
pub use caller::{hash_of, new_key};

use crate::intake::{Begun, Incoming, Intake, Profile};
use crate::store::Account;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use caller::{Caller, Callers};
use metrics_exporter_prometheus::PrometheusHandle;
use problem::Problem;

use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A body larger than this is checked and cleaned away from the tasks that answer others.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Which calls a process answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// All of them.
    All,
    /// Only those about itself: health, readiness, metrics.
    Health,
}

/// What all handlers share.
#[derive(Clone)]
pub struct App {
    intake: Intake,
    callers: Arc<Callers>,
    in_flight: Arc<Semaphore>,
    body_bytes_max: usize,
    timeout: Duration,
    metrics: Option<PrometheusHandle>,
    openapi: Arc<Value>,
    calls: Calls,
}

impl App {
    /// Makes the door to `intake` that answers `calls`.
    pub fn new(
        calls: Calls,
        intake: Intake,
        settings: &crate::config::Http,
        metrics: Option<PrometheusHandle>,
    ) -> Self {
        Self {
            intake,
            callers: Arc::default(),
            in_flight: Arc::new(Semaphore::new(settings.in_flight_max)),
            body_bytes_max: settings.body_bytes_max,
            timeout: Duration::from_millis(settings.timeout_ms),
            metrics,
            openapi: Arc::new(description::complete(api().split_for_parts().1)),
            calls,
        }
    }

    /// Checks a submission and puts it in line; a large one away from the tasks of others.
    async fn begin(&self, caller: &Caller, received: Received) -> Result<Begun, Problem> {
        if received.body.len() <= INLINE_BYTES_MAX {
            return Ok(received.begin(&self.intake, &caller.0).await);
        }
        let (intake, account) = (self.intake.clone(), Arc::clone(&caller.0));
        let runtime = tokio::runtime::Handle::current();
        let begun = tokio::task::spawn_blocking(move || {
            runtime.block_on(received.begin(&intake, &account))
        });
        begun.await.map_err(|_| Problem::internal())
    }
}

/// A submission as it arrived.
#[derive(Debug, Default)]
struct Received {
    body: Bytes,
    content_type: String,
    /// The source profile that the caller chose.
    profile: Option<Arc<Profile>>,
    idempotency_key: Option<String>,
}

impl Received {
    async fn begin(self, intake: &Intake, account: &Account) -> Begun {
        let incoming = Incoming {
            body: &self.body,
            content_type: &self.content_type,
            profile: self.profile.as_ref(),
        };
        intake.begin(account, incoming, self.idempotency_key).await
    }
}

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(description::begin())
        .routes(routes!(submissions::post_submission))
        .routes(routes!(records::list))
        .routes(routes!(records::show))
        .routes(routes!(records::withdraw))
        .routes(routes!(records::release))
        .routes(routes!(operations::delivery))
        .routes(routes!(operations::why))
        .routes(routes!(hand::done))
        .routes(routes!(hand::give_up))
        .routes(routes!(hand::undo))
        .routes(routes!(hand::override_field))
        .routes(routes!(operations::failures))
        .routes(routes!(operations::platforms))
        .routes(routes!(operations::pause))
        .routes(routes!(operations::resume))
        .routes(routes!(redirects::redirect))
        .routes(routes!(redirects::retire))
        .routes(routes!(verifications::verify))
        .routes(routes!(verifications::list))
        .routes(routes!(verifications::show))
        .routes(routes!(verifications::cancel))
        .routes(routes!(replays::replay))
        .routes(routes!(replays::list_replays))
        .routes(routes!(replays::show_replay))
        .routes(routes!(replays::replay_items))
        .routes(routes!(replays::pause_replay))
        .routes(routes!(replays::resume_replay))
        .routes(routes!(replays::cancel_replay))
        .routes(routes!(screening::rescan))
        .routes(routes!(catalogue::show))
        .routes(routes!(submissions::post_batch))
        .merge(health_api())
}

fn health_api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(health::openapi))
}

/// Returns the routes of the door.
pub fn router(app: App) -> Router {
    let (routes, _) = match app.calls {
        Calls::All => api().split_for_parts(),
        Calls::Health => health_api().split_for_parts(),
    };
    let request_id = HeaderName::from_static("x-request-id");
    routes
        .fallback(async || Problem::not_found("这个地址"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The address does not take this method",
                "这个地址不支持这种请求方法",
            )
        })
        .layer(from_fn_with_state(app.clone(), within_time))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::internal().into_response()
        }))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
        .with_state(app)
}

/// Ends a request that takes too long; a batch is as long as it is.
async fn within_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let batch = request.uri().path().ends_with("/batch");
    let mut response = match batch {
        true => next.run(request).await,
        false => tokio::time::timeout(app.timeout, next.run(request))
            .await
            .unwrap_or_else(|_| Problem::timeout().into_response()),
    };
    if says_it_in_plain_text(&response) {
        response = as_problem(response).await;
    }
    let headers = response.headers_mut();
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

/// Whether the library itself refused a request, before a handler saw it.
fn says_it_in_plain_text(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    response.status().is_client_error()
        && media_type.is_some_and(|it| it.as_bytes().starts_with(b"text/plain"))
}

/// All errors are problems, also those about addresses and parameters that cannot be read.
async fn as_problem(response: Response) -> Response {
    const WORDS_BYTES_MAX: usize = 4096;
    let words = axum::body::to_bytes(response.into_body(), WORDS_BYTES_MAX).await;
    let words = words.unwrap_or_default();
    parameter(&String::from_utf8_lossy(&words)).into_response()
}

/// Serves until `shutdown`, then lets open requests end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(app))
        .with_graceful_shutdown(shutdown)
        .await
}

/// A JSON body of an operator's call; errors are problems like all others.
struct JsonBody<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let body = submissions::read_body(request.into_body(), app.body_bytes_max).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let place = format!("第 {} 行第 {} 列", error.line(), error.column());
            Problem::bad_request("", "json", format!("请求内容不正确（{place}）：{error}"))
        })
    }
}

fn parameter(text: &str) -> Problem {
    Problem::bad_request("", "parameter", format!("查询参数不正确：{text}"))
}
