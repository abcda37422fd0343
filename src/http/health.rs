//! Liveness, readiness, metrics and the description of the door. None of them needs a key.

use super::App;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "The process answers", body = Object)))]
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// The hub can take submissions in and send them.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Ready", body = Object),
    (status = 503, description = "Not ready; `checks` says what is missing", body = Object),
))]
pub(super) async fn readyz(State(app): State<App>) -> Response {
    let store = app.intake.store.ping().await;
    let mut checks = vec![match &store {
        Ok(()) => json!({"name": "database", "ok": true}),
        Err(error) => json!({"name": "database", "ok": false, "problem": error.to_string()}),
    }];
    let queue = app.intake.queue.problem();
    checks.push(match &queue {
        None => json!({"name": "queue", "ok": true}),
        Some(problem) => json!({"name": "queue", "ok": false, "problem": problem}),
    });
    for connector in app.intake.connectors.iter() {
        let problems = connector.unresolved();
        checks.push(json!({"name": format!("connector {}", connector.id), "ok": problems.is_empty(), "problems": problems}));
    }
    for failure in app.intake.connectors.failures() {
        let name = failure
            .dir
            .file_name()
            .map(|it| it.to_string_lossy().into_owned());
        checks.push(json!({
            "name": format!("connector {}", name.unwrap_or_default()), "ok": false,
            "problems": ["does not load; `synchub connector check` says why"],
        }));
    }
    // A platform that is not set up must not take the hub out of service for the others.
    let ready = store.is_ok() && queue.is_none();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let complete = checks.iter().all(|check| check["ok"] == true);
    let body = json!({"ready": ready, "complete": complete, "checks": checks});
    (status, Json(body)).into_response()
}

/// Prometheus metrics.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "Prometheus text format", body = String)))]
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = app
        .metrics
        .as_ref()
        .map(|metrics| metrics.render())
        .unwrap_or_default();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi(State(app): State<App>) -> Json<Value> {
    Json(app.openapi.as_ref().clone())
}
