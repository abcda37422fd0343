//! The engineering-projects platform: REST with multipart, signed requests and a rate limit.
//!
//! Owns `/api/items`. It uses HTTP status codes as they are meant, keeps an idempotency key per
//! item, and remembers what was revoked. Never checks signatures or fields itself; see
//! [`signature`] and [`item`].

mod identity;
mod item;
mod rate;
mod signature;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use self::identity::IDENTITY;
use self::item::Item;
use self::rate::Rate;
use self::signature::{Guard, Signed};
use super::desk::Desk;
use super::misbehave::too_many;
use super::shelf::{Article, Edition, Shelf, Standing};
use super::{BODY_BYTES_MAX, Prepared, Site};

const APP_ID: &str = "synchub";

struct EngineeringProjects {
    desk: Arc<Desk>,
    guard: Guard,
    rate: Rate,
}

pub(super) fn prepare(site: &mut Site<'_>) -> io::Result<Prepared> {
    let desk = site.desk(IDENTITY, 0)?;
    let secret = site.secrets.get("ENGINEERING_PROJECTS_SECRET");
    let settings = [
        ("ENGINEERING_PROJECTS_URL", desk.address.as_str()),
        ("ENGINEERING_PROJECTS_APP_ID", APP_ID),
        ("ENGINEERING_PROJECTS_SECRET", &secret),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let state = Arc::new(EngineeringProjects {
        desk: desk.clone(),
        guard: Guard::new(APP_ID, secret, site.options.skew_s),
        rate: Rate::new(site.options.rate_per_s),
    });
    let admit = axum::middleware::from_fn_with_state(state.clone(), admit);
    let router = Router::new()
        .route("/api/items", post(create).get(find))
        .route("/api/items/{id}", get(read).put(replace))
        .route("/api/items/{id}/revoke", post(revoke))
        .layer(admit)
        .with_state(state);
    Ok(Prepared {
        settings,
        desk,
        router,
    })
}

/// Lets a request through when it keeps to the rate and carries a good signature.
async fn admit(
    State(platform): State<Arc<EngineeringProjects>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let told = json!({"error": "too_large", "message": "请求过大或不完整"});
        return (StatusCode::PAYLOAD_TOO_LARGE, Json(told)).into_response();
    };
    if !platform.rate.admits(Instant::now()) {
        return too_many();
    }
    let signed = Signed {
        method: &parts.method,
        address: parts.uri.path_and_query().map_or("/", |all| all.as_str()),
        body: &body,
    };
    let now_s = crate::clock::now_ms() / 1_000;
    if let Err((error, message)) = platform.guard.check(&parts.headers, &signed, now_s) {
        let told = json!({"error": error, "message": message});
        return (StatusCode::UNAUTHORIZED, Json(told)).into_response();
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

async fn create(
    State(platform): State<Arc<EngineeringProjects>>,
    headers: HeaderMap,
    parts: Result<Multipart, MultipartRejection>,
) -> Response {
    let item = match item::read(parts, &IDENTITY.look).await {
        Ok(item) => item,
        Err(mistakes) => return invalid(&mistakes),
    };
    let key = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .map(idempotency_key);
    let mut shelf = platform.desk.shelf();
    if let Some(known) = key.as_deref().and_then(|key| first_there(&shelf, key)) {
        let mut told = platform.brief(known);
        told["duplicate"] = json!(true);
        return Json(told).into_response();
    }
    let number = shelf.next_number();
    let mut found_by = vec![external_key(&item.external_id)];
    found_by.extend(key);
    let article = Article {
        number,
        remote_id: format!("E-{number}"),
        record_id: item.external_id,
        found_by,
        standing: Standing::Live,
        shown: Some(item.edition),
        pending: None,
    };
    let told = platform.brief(&article);
    save(&mut shelf, article, (StatusCode::CREATED, Json(told)))
}

async fn replace(
    State(platform): State<Arc<EngineeringProjects>>,
    Path(id): Path<String>,
    parts: Result<Multipart, MultipartRejection>,
) -> Response {
    let Item {
        external_id,
        edition,
    } = match item::read(parts, &IDENTITY.look).await {
        Ok(item) => item,
        Err(mistakes) => return invalid(&mistakes),
    };
    let mut shelf = platform.desk.shelf();
    let Some(mut article) = shelf.by_remote_id(&id).filter(is_there).cloned() else {
        return not_found();
    };
    let stored = article.newest().map_or(0, |newest| newest.version);
    if edition.version < stored {
        let told = json!({
            "error": "stale",
            "message": format!("版本 {} 低于已保存的 {stored}", edition.version),
        });
        return (StatusCode::CONFLICT, Json(told)).into_response();
    }
    article.found_by[0] = external_key(&external_id);
    article.record_id = external_id;
    article.standing = Standing::Live;
    article.shown = Some(edition);
    let told = platform.brief(&article);
    save(&mut shelf, article, Json(told))
}

#[derive(Deserialize)]
struct Revocation {
    #[serde(default)]
    reason: String,
}

async fn revoke(
    State(platform): State<Arc<EngineeringProjects>>,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Response {
    let sent = serde_json::from_slice::<Revocation>(&body);
    if sent.map_or(true, |sent| sent.reason.trim().is_empty()) {
        return invalid(&[("reason", "不能为空".to_owned())]);
    }
    let mut shelf = platform.desk.shelf();
    let Some(mut article) = shelf.by_remote_id(&id).filter(is_there).cloned() else {
        return not_found();
    };
    if article.standing == Standing::Revoked {
        let told = json!({"error": "gone", "message": "已经撤销"});
        return (StatusCode::GONE, Json(told)).into_response();
    }
    article.standing = Standing::Revoked;
    save(&mut shelf, article, Json(json!({"revoked": true})))
}

#[derive(Deserialize)]
struct Search {
    #[serde(rename = "externalId", default)]
    external_id: String,
}

async fn find(
    State(platform): State<Arc<EngineeringProjects>>,
    Query(search): Query<Search>,
) -> Response {
    if search.external_id.is_empty() {
        return invalid(&[("externalId", "不能为空".to_owned())]);
    }
    let shelf = platform.desk.shelf();
    let items: Vec<Value> = shelf
        .find(&external_key(&search.external_id))
        .filter(is_there)
        .map(|article| {
            let mut told = platform.brief(article);
            told["title"] = json!(article.newest().map(|newest| &newest.title));
            told["revoked"] = json!(article.standing == Standing::Revoked);
            told
        })
        .collect();
    Json(json!({"items": items})).into_response()
}

async fn read(
    State(platform): State<Arc<EngineeringProjects>>,
    Path(id): Path<String>,
) -> Response {
    let shelf = platform.desk.shelf();
    let found = shelf.by_remote_id(&id).filter(is_there);
    let Some((article, edition)) = found.and_then(|found| Some((found, found.newest()?))) else {
        return not_found();
    };
    let mut told = platform.brief(article);
    told["revoked"] = json!(article.standing == Standing::Revoked);
    if let Some(form) = edition.form.as_object() {
        for (name, value) in form {
            told[name] = value.clone();
        }
    }
    // Title and body may have been edited by hand since the form came.
    told["title"] = json!(edition.title);
    told["html"] = json!(edition.html);
    let files = edition
        .attachments
        .iter()
        .map(|file| json!({"name": file.name, "bytes": file.bytes.len(), "sha256": file.sha256}));
    told["files"] = files.collect();
    Json(told).into_response()
}

impl EngineeringProjects {
    fn brief(&self, article: &Article) -> Value {
        json!({
            "itemId": article.remote_id,
            "url": self.desk.article_url(&article.remote_id),
            "version": article.newest().map(|newest: &Edition| newest.version),
        })
    }
}

fn first_there<'a>(shelf: &'a Shelf, key: &str) -> Option<&'a Article> {
    shelf.find(key).find(is_there)
}

/// A revoked item is still there; only what somebody deleted by hand is not.
fn is_there(article: &&Article) -> bool {
    article.standing != Standing::Deleted
}

fn external_key(external_id: &str) -> String {
    format!("external {external_id}")
}

fn idempotency_key(key: &str) -> String {
    format!("idempotency {key}")
}

fn save(shelf: &mut Shelf, article: Article, answer: impl IntoResponse) -> Response {
    if let Err(error) = shelf.put(article) {
        tracing::error!(%error, "Cannot write the sandbox journal of {}", IDENTITY.id);
        let told = json!({"error": "internal", "message": "保存失败"});
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(told)).into_response();
    }
    answer.into_response()
}

fn invalid(mistakes: &[item::Mistake]) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(item::told(mistakes))).into_response()
}

fn not_found() -> Response {
    let told = json!({"error": "not_found", "message": "没有这条信息"});
    (StatusCode::NOT_FOUND, Json(told)).into_response()
}

#[cfg(test)]
mod tests;
