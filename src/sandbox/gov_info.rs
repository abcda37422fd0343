//! The government-information platform: REST with JSON, a token, and a review before display.
//!
//! Owns `/oauth/token` and `/api/v1/articles/{key}`. It answers every call with HTTP 200 and says
//! in the body how it went, as many such platforms do. The key is the sender's own, so sending
//! twice shows once. Never checks fields itself; see [`form`].

mod form;

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use self::form::Fault;
use super::desk::{Desk, Identity};
use super::look::{Charset, Column, Look};
use super::shelf::{Article, Edition, Standing, sha256_hex};
use super::{Prepared, Site};

const CLIENT_ID: &str = "synchub";

const IDENTITY: Identity = Identity {
    id: "gov-info",
    title: "市政府信息公开平台",
    look: Look {
        style: concat!(
            include_str!("page/base.css"),
            include_str!("page/gov-info.css")
        ),
        motto: "公开是常态，不公开是例外",
        as_table: false,
        charset: Charset::Utf8,
        columns: COLUMNS,
    },
    has_sessions: true,
    reviews: true,
};

const KEY_AREAS: &str = "重点领域";
const INSTITUTIONS: &str = "公共企事业单位";
const OTHERS: &str = "其他";

const COLUMNS: &[Column] = &[
    column("1001", "行政审批和行政权力", KEY_AREAS),
    column("1002", "财政预算决算和“三公”经费", KEY_AREAS),
    column("1003", "保障性住房", KEY_AREAS),
    column("1004", "食品药品安全", KEY_AREAS),
    column("1005", "环境保护", KEY_AREAS),
    column("1006", "安全生产", KEY_AREAS),
    column("1007", "价格和收费", KEY_AREAS),
    column("1008", "征地拆迁和房屋征收", KEY_AREAS),
    column("1011", "高校", INSTITUTIONS),
    column("1012", "医疗卫生机构", INSTITUTIONS),
    column("1013", "科研机构", INSTITUTIONS),
    column("1014", "文化机构", INSTITUTIONS),
    column("1015", "国有企业", INSTITUTIONS),
    column("1021", "重大建设项目", OTHERS),
    column("1099", "其他政府信息", OTHERS),
];

const fn column(id: &'static str, name: &'static str, family: &'static str) -> Column {
    Column { id, name, family }
}

struct GovInfo {
    desk: Arc<Desk>,
    client_secret: String,
    token_ttl_ms: u64,
}

pub(super) fn prepare(site: &mut Site<'_>) -> io::Result<Prepared> {
    let desk = site.desk(IDENTITY, site.options.review_ms)?;
    let client_secret = site.secrets.get("GOV_INFO_CLIENT_SECRET");
    let settings = [
        ("GOV_INFO_URL", desk.address.as_str()),
        ("GOV_INFO_CLIENT_ID", CLIENT_ID),
        ("GOV_INFO_CLIENT_SECRET", &client_secret),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let state = Arc::new(GovInfo {
        desk: desk.clone(),
        client_secret,
        token_ttl_ms: site.options.session_ttl_ms,
    });
    let router = Router::new()
        .route("/oauth/token", post(token))
        .route(
            "/api/v1/articles/{key}",
            put(save).get(look_up).delete(withdraw),
        )
        .with_state(state);
    Ok(Prepared {
        settings,
        desk,
        router,
    })
}

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    client_id: String,
    client_secret: String,
}

async fn token(
    State(platform): State<Arc<GovInfo>>,
    request: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = request else {
        let refusal = Json(json!({"error": "invalid_request"}));
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    };
    if request.grant_type != "client_credentials" {
        let refusal = Json(json!({"error": "unsupported_grant_type"}));
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    }
    if request.client_id != CLIENT_ID || request.client_secret != platform.client_secret {
        let refusal = Json(json!({"error": "invalid_client"}));
        return (StatusCode::UNAUTHORIZED, refusal).into_response();
    }
    let token = platform.desk.open_session(platform.token_ttl_ms);
    Json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": (platform.token_ttl_ms / 1_000).max(1),
    }))
    .into_response()
}

async fn save(
    State(platform): State<Arc<GovInfo>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    answer(platform.authorize(&headers).and_then(|()| {
        let edition = form::read(&body, &IDENTITY.look)?;
        platform.keep(key, edition)
    }))
}

async fn look_up(
    State(platform): State<Arc<GovInfo>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Json<Value> {
    answer(platform.authorize(&headers).and_then(|()| {
        let shelf = platform.desk.shelf();
        let article = shelf.find(&key).find(|article| is_there(article));
        let (article, newest) = article
            .and_then(|article| Some((article, article.newest()?)))
            .ok_or_else(not_found)?;
        let mut data = platform.summary(article, newest);
        data["shownRevision"] = json!(article.visible().map(|edition| edition.version));
        data["title"] = json!(newest.title);
        data["sha256"] = json!(sha256_hex(newest.html.as_bytes()));
        Ok(data)
    }))
}

async fn withdraw(
    State(platform): State<Arc<GovInfo>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Json<Value> {
    answer(platform.authorize(&headers).and_then(|()| {
        let mut shelf = platform.desk.shelf();
        let found = shelf.find(&key).find(|article| is_there(article)).cloned();
        let mut article = found.ok_or_else(not_found)?;
        article.standing = Standing::Deleted;
        let id = article.remote_id.clone();
        shelf.put(article).map_err(storage)?;
        Ok(json!({"id": id}))
    }))
}

impl GovInfo {
    fn authorize(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| self.desk.knows_session(token)) {
            return Ok(());
        }
        Err(Fault::new(40101, "访问令牌无效或已过期"))
    }

    /// Puts the edition under review, unless the same was saved before.
    fn keep(&self, key: String, edition: Edition) -> Result<Value, Fault> {
        let mut shelf = self.desk.shelf();
        let before = shelf.find(&key).next().cloned();
        let mut article = before.unwrap_or_else(|| {
            let number = shelf.next_number();
            Article {
                number,
                remote_id: format!("G-{number:06}"),
                record_id: key.clone(),
                found_by: vec![key],
                standing: Standing::Live,
                shown: None,
                pending: None,
            }
        });
        if let Some(newest) = article.newest() {
            if edition.version < newest.version {
                let told = format!("版本号 {} 低于已保存的 {}", edition.version, newest.version);
                return Err(Fault::new(40901, &told));
            }
            if is_there(&article) && newest.says_the_same_as(&edition) {
                return Ok(self.summary(&article, newest));
            }
        }
        if !is_there(&article) {
            article.standing = Standing::Live;
            article.shown = None;
        }
        article.pending = Some(edition);
        let number = article.number;
        shelf.put(article).map_err(storage)?;
        drop(shelf);
        // Taking the shelf again lets a review time of zero show the edition at once.
        let shelf = self.desk.shelf();
        let saved = shelf.by_number(number).ok_or_else(not_found)?;
        let newest = saved.newest().ok_or_else(not_found)?;
        Ok(self.summary(saved, newest))
    }

    fn summary(&self, article: &Article, newest: &Edition) -> Value {
        let status = if article.is_under_review() {
            "pending"
        } else {
            "published"
        };
        json!({
            "id": article.remote_id,
            "url": self.desk.article_url(&article.remote_id),
            "status": status,
            "revision": newest.version,
        })
    }
}

fn is_there(article: &Article) -> bool {
    article.standing == Standing::Live
}

fn not_found() -> Fault {
    Fault::new(40401, "没有这条信息")
}

fn storage(error: io::Error) -> Fault {
    tracing::error!(%error, "Cannot write the sandbox journal of {}", IDENTITY.id);
    Fault::new(50001, "保存失败")
}

fn answer(outcome: Result<Value, Fault>) -> Json<Value> {
    Json(match outcome {
        Ok(data) => json!({"code": 0, "msg": "ok", "data": data}),
        Err(Fault {
            code,
            told,
            field: None,
        }) => json!({"code": code, "msg": told}),
        Err(Fault {
            code,
            told,
            field: Some(field),
        }) => json!({"code": code, "msg": told, "field": field}),
    })
}

#[cfg(test)]
mod tests;
