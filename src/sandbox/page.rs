//! The public pages: what a citizen sees of a practice platform in a browser.
//!
//! Owns the public addresses and what each page says. Never changes what is stored, and never
//! decides on colours; see [`super::look`].

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::{Desk, Identity};
use super::look::{Look, render};
use super::shelf::{Article, Edition, Standing};

/// How many articles the first page lists.
const NEWEST_MAX: usize = 20;
/// How many articles one page of a column lists.
const COLUMN_PAGE: usize = 50;

/// Returns the public pages and the answer to every address that is none.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(first_page))
        .route("/columns/{id}", get(column_page))
        .route("/articles/{remote_id}", get(article_page))
        .route("/articles/{remote_id}/files/{name}", get(file))
        .route("/projects/{code}", get(project_page))
        .fallback(no_such_page)
        .with_state(desk)
}

/// Returns the answer of a platform that is closed for maintenance.
pub(super) fn maintenance(identity: &Identity) -> Response {
    let page = render(identity, "maintenance.html", json!({}));
    (StatusCode::SERVICE_UNAVAILABLE, page).into_response()
}

/// Returns the page that asks to log in, sent with 200 as old systems do.
pub(super) fn login(identity: &Identity) -> Response {
    render(identity, "login.html", json!({}))
}

async fn first_page(State(desk): State<Arc<Desk>>) -> Response {
    let shelf = desk.shelf();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for edition in shelf.all().filter_map(Article::visible) {
        *counts.entry(&edition.column).or_default() += 1;
    }
    let mut families: Vec<Value> = Vec::new();
    for columns in desk
        .identity
        .look
        .columns
        .chunk_by(|a, b| a.family == b.family)
    {
        let entries: Vec<Value> = columns
            .iter()
            .map(|column| {
                let count = counts.get(column.id).copied().unwrap_or(0);
                json!({"id": column.id, "name": column.name, "count": count})
            })
            .collect();
        families.push(json!({"name": columns[0].family, "columns": entries}));
    }
    let newest = listing(&desk.identity.look, newest_first(shelf.all())).take(NEWEST_MAX);
    let content = json!({
        "families": families,
        "total": counts.values().sum::<usize>(),
        "articles": newest.collect::<Vec<_>>(),
    });
    drop(shelf);
    render(&desk.identity, "index.html", content)
}

#[derive(Deserialize)]
struct PageNumber {
    #[serde(default)]
    page: usize,
}

async fn column_page(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    Query(number): Query<PageNumber>,
) -> Response {
    let look = &desk.identity.look;
    if !look.has_column(&id) {
        return missing(&desk.identity, "没有这个栏目。");
    }
    let shelf = desk.shelf();
    let in_column = |article: &&Article| article.visible().is_some_and(|seen| seen.column == id);
    let total = shelf.all().filter(in_column).count();
    let page = number.page.max(1);
    let articles: Vec<Value> = listing(look, newest_first(shelf.all().filter(in_column)))
        .skip((page - 1).saturating_mul(COLUMN_PAGE))
        .take(COLUMN_PAGE)
        .collect();
    drop(shelf);
    let content = json!({
        "column": {"id": id, "name": look.column_name(&id)},
        "articles": articles,
        "total": total,
        "page": page,
        "pages": total.div_ceil(COLUMN_PAGE).max(1),
    });
    render(&desk.identity, "column.html", content)
}

async fn article_page(State(desk): State<Arc<Desk>>, Path(remote_id): Path<String>) -> Response {
    let shelf = desk.shelf();
    let article = shelf.by_remote_id(&remote_id).cloned();
    drop(shelf);
    let Some(article) = article else {
        return missing(&desk.identity, "没有这条信息。");
    };
    let Some(edition) = article.visible() else {
        return missing(&desk.identity, why_hidden(&article));
    };
    let files: Vec<Value> = edition
        .attachments
        .iter()
        .map(|file| {
            json!({"name": file.name, "size": readable_size(file.bytes.len()), "sha256": file.sha256})
        })
        .collect();
    let content = json!({
        "article": brief(&desk.identity.look, &article, edition),
        "facts": edition.facts,
        "html": edition.html,
        "files": files,
        "project_code": edition.form["projectCode"].as_str(),
    });
    render(&desk.identity, "article.html", content)
}

fn why_hidden(article: &Article) -> &'static str {
    match article.standing {
        Standing::Live => "这条信息正在审核，尚未公开。",
        Standing::Revoked => "这条信息已经撤销。",
        Standing::Deleted => "这条信息已经删除。",
    }
}

async fn file(
    State(desk): State<Arc<Desk>>,
    Path((remote_id, name)): Path<(String, String)>,
) -> Response {
    let shelf = desk.shelf();
    let found = shelf
        .by_remote_id(&remote_id)
        .and_then(Article::visible)
        .and_then(|edition| edition.attachments.iter().find(|file| file.name == name))
        .cloned();
    drop(shelf);
    let Some(file) = found else {
        return missing(&desk.identity, "没有这个附件。");
    };
    let escaped: String = url::form_urlencoded::byte_serialize(file.name.as_bytes()).collect();
    let disposition = format!(
        "attachment; filename*=UTF-8''{}",
        escaped.replace('+', "%20")
    );
    let headers = [
        (header::CONTENT_TYPE, media_type(&file.media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, file.bytes).into_response()
}

/// Returns the sender's media type when it can stand in a header.
fn media_type(declared: &str) -> String {
    let is_plain = declared.contains('/') && declared.bytes().all(|byte| byte.is_ascii_graphic());
    let usable = if is_plain {
        declared
    } else {
        "application/octet-stream"
    };
    usable.to_owned()
}

/// All items of one project, in the order in which a project runs.
async fn project_page(State(desk): State<Arc<Desk>>, Path(code): Path<String>) -> Response {
    let shelf = desk.shelf();
    let mut name = String::new();
    let mut stages: Vec<Value> = Vec::new();
    for column in desk.identity.look.columns {
        let of_stage = shelf.all().filter(|article| {
            article.visible().is_some_and(|seen| {
                seen.column == column.id && seen.form["projectCode"].as_str() == Some(&code)
            })
        });
        let items: Vec<&Article> = of_stage.collect();
        if let Some(named) = items.iter().find_map(|item| project_name(item)) {
            name = named;
        }
        let articles: Vec<Value> = listing(&desk.identity.look, items.into_iter()).collect();
        stages.push(json!({
            "id": column.id, "name": column.name, "family": column.family, "articles": articles,
        }));
    }
    drop(shelf);
    stages.retain(|stage| {
        stage["family"] == "项目信息" || !stage["articles"].as_array().is_none_or(Vec::is_empty)
    });
    if name.is_empty() {
        return missing(&desk.identity, "没有这个项目的公开信息。");
    }
    let content = json!({"code": code, "name": name, "stages": stages});
    render(&desk.identity, "project.html", content)
}

fn project_name(article: &Article) -> Option<String> {
    let name = article.visible()?.form["projectName"].as_str()?;
    Some(name.to_owned())
}

async fn no_such_page(State(desk): State<Arc<Desk>>) -> Response {
    missing(&desk.identity, "您访问的页面不存在。")
}

fn missing(identity: &Identity, reason: &str) -> Response {
    let page = render(identity, "missing.html", json!({"reason": reason}));
    (StatusCode::NOT_FOUND, page).into_response()
}

/// Returns the visible articles with those first that were saved last, corrections included.
fn newest_first<'a>(
    articles: impl Iterator<Item = &'a Article>,
) -> impl Iterator<Item = &'a Article> {
    let mut visible: Vec<(i64, &Article)> = articles
        .filter_map(|article| Some((article.visible()?.saved_at_ms, article)))
        .collect();
    visible.sort_by_key(|(saved_at_ms, article)| std::cmp::Reverse((*saved_at_ms, article.number)));
    visible.into_iter().map(|(_, article)| article)
}

fn listing<'a>(
    look: &'a Look,
    articles: impl Iterator<Item = &'a Article>,
) -> impl Iterator<Item = Value> {
    articles.filter_map(|article| Some(brief(look, article, article.visible()?)))
}

fn brief(look: &Look, article: &Article, edition: &Edition) -> Value {
    json!({
        "id": article.remote_id,
        "title": edition.title,
        "doc_no": edition.doc_no,
        "column": {"id": edition.column, "name": look.column_name(&edition.column)},
        "saved": readable_time(edition.saved_at_ms),
    })
}

fn readable_time(time_ms: i64) -> String {
    let time = crate::clock::rfc3339(time_ms).replacen('T', " ", 1);
    time.chars().take("2014-09-18 10:00".len()).collect()
}

fn readable_size(bytes: usize) -> String {
    if bytes < 1024 {
        return format!("{bytes} 字节");
    }
    format!("{:.1} KB", bytes as f64 / 1024.0)
}
