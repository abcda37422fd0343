//! The admin calls of a practice platform: look at what is shown, make it fail, edit by hand.
//!
//! Owns `/admin/*`, which is the same on every platform. No real platform has these calls, so the
//! connectors never use them; tests and the demo do.

use std::io;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::Desk;
use super::misbehave::{MODES, Misbehaviour};
use super::shelf::{Article, Edition, Standing};

/// Returns the admin calls that every platform has.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/admin/articles", get(list))
        .route(
            "/admin/misbehave",
            get(misbehaviour).post(misbehave).delete(behave),
        )
        .route("/admin/reset", post(reset))
        .route("/admin/requests", get(requests))
        .route("/admin/edit/{remote_id}", post(edit))
        .with_state(desk)
}

/// Returns the calls of a platform that reviews before it shows.
pub(super) fn review_routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/admin/review", post(set_review))
        .route("/admin/review/approve", post(approve))
        .with_state(desk)
}

#[derive(Deserialize)]
struct ListOptions {
    #[serde(default)]
    all: bool,
}

async fn list(State(desk): State<Arc<Desk>>, Query(options): Query<ListOptions>) -> Json<Value> {
    let shelf = desk.shelf();
    let mut entries = Vec::new();
    for article in shelf.all() {
        if let Some(edition) = article.visible() {
            entries.push(entry(&desk, article, edition, "visible"));
        }
        if options.all {
            entries.extend(hidden(&desk, article));
        }
    }
    Json(json!({"platform": desk.identity.id, "articles": entries}))
}

/// Returns what the public does not see of an article: one entry at most, as an edition under
/// review is only listed beside the one still shown while the article is live.
fn hidden(desk: &Desk, article: &Article) -> Option<Value> {
    let (edition, state) = match article.standing {
        Standing::Live => (article.pending.as_ref()?, "pending"),
        Standing::Revoked => (article.newest()?, "revoked"),
        Standing::Deleted => (article.newest()?, "deleted"),
    };
    Some(entry(desk, article, edition, state))
}

fn entry(desk: &Desk, article: &Article, edition: &Edition, state: &str) -> Value {
    let attachments: Vec<Value> = edition
        .attachments
        .iter()
        .map(|file| json!({"name": file.name, "bytes": file.bytes.len(), "sha256": file.sha256}))
        .collect();
    json!({
        "remote_id": article.remote_id,
        "record_id": article.record_id,
        "version": edition.version,
        "title": edition.title,
        "doc_no": edition.doc_no,
        "column": edition.column,
        "state": state,
        "url": desk.article_url(&article.remote_id),
        "attachments": attachments,
        "html": edition.html,
        "saved_at_ms": edition.saved_at_ms,
    })
}

async fn misbehaviour(State(desk): State<Arc<Desk>>) -> Json<Value> {
    Json(match desk.misbehaviour().clone() {
        Some(current) => json!(current),
        None => json!({"mode": null}),
    })
}

async fn misbehave(State(desk): State<Arc<Desk>>, Json(wish): Json<Value>) -> Response {
    match serde_json::from_value::<Misbehaviour>(wish) {
        Ok(wish) => {
            let answer = Json(json!(wish)).into_response();
            *desk.misbehaviour() = (wish.times != Some(0)).then_some(wish);
            answer
        }
        Err(error) => {
            let answer = json!({
                "error": "unknown_mode",
                "message": error.to_string(),
                "modes": MODES,
            });
            (StatusCode::BAD_REQUEST, Json(answer)).into_response()
        }
    }
}

async fn behave(State(desk): State<Arc<Desk>>) -> Json<Value> {
    *desk.misbehaviour() = None;
    Json(json!({"mode": null}))
}

async fn reset(State(desk): State<Arc<Desk>>) -> Response {
    answer(desk.reset().map(|()| json!({"reset": true})))
}

async fn requests(State(desk): State<Arc<Desk>>) -> Json<Value> {
    Json(json!({"counts": desk.request_counts()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandEdit {
    title: Option<String>,
    html: Option<String>,
    #[serde(default)]
    delete: bool,
}

async fn edit(
    State(desk): State<Arc<Desk>>,
    Path(remote_id): Path<String>,
    Json(wish): Json<HandEdit>,
) -> Response {
    let mut shelf = desk.shelf();
    let found = shelf
        .by_remote_id(&remote_id)
        .filter(|article| article.standing != Standing::Deleted)
        .cloned();
    let Some(mut article) = found else {
        let missing = json!({"error": "not_found", "message": "没有这条信息"});
        return (StatusCode::NOT_FOUND, Json(missing)).into_response();
    };
    if wish.delete {
        article.standing = Standing::Deleted;
    }
    let edition = article.shown.as_mut().or(article.pending.as_mut());
    if let Some(edition) = edition {
        if let Some(title) = wish.title {
            edition.title = title;
        }
        if let Some(html) = wish.html {
            edition.html = html;
        }
    }
    answer(shelf.put(article).map(|()| json!({"edited": true})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    auto_ms: Option<u64>,
}

async fn set_review(State(desk): State<Arc<Desk>>, Json(review): Json<Review>) -> Json<Value> {
    desk.set_review_ms(review.auto_ms);
    Json(json!({"auto_ms": review.auto_ms}))
}

async fn approve(State(desk): State<Arc<Desk>>) -> Response {
    answer(desk.approve_all().map(|count| json!({"approved": count})))
}

fn answer(outcome: io::Result<Value>) -> Response {
    match outcome {
        Ok(value) => Json(value).into_response(),
        Err(error) => {
            let answer = json!({"error": "storage", "message": error.to_string()});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(answer)).into_response()
        }
    }
}
