//! The integrity portal: SOAP in GB18030, a session cookie, and no idempotency at all.
//!
//! Owns `/services/ArticleService`. A lost session is answered with a login page and HTTP 200, a
//! failure with `Success` = false and HTTP 200, and saving with id 0 always makes another article.
//! Never parses envelopes or checks fields itself; see [`soap`] and [`form`].

mod form;
mod soap;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use self::soap::{Call, NAMESPACE, SoapFault, element};
use super::desk::{Desk, Identity};
use super::look::{Charset, Column, Look};
use super::page;
use super::shelf::{Article, Attachment, Edition, Standing, from_base64, is_file_name};
use super::{Prepared, Site};

const USER: &str = "synchub";
/// What the hub's senders put before their record id in `Source`.
const SOURCE_PREFIX: &str = "synchub:";

const IDENTITY: Identity = Identity {
    id: "integrity-portal",
    title: "党风廉政信息公开平台",
    look: Look {
        style: concat!(
            include_str!("page/base.css"),
            include_str!("page/integrity-portal.css")
        ),
        motto: "阳光用权 · 廉洁为民",
        as_table: false,
        charset: Charset::Gb18030,
        columns: COLUMNS,
    },
    has_sessions: true,
    reviews: false,
};

const COLUMNS: &[Column] = &[
    column("11", "三公经费"),
    column("12", "干部任免/任前公示"),
    column("13", "政府采购"),
    column("14", "工程招投标"),
    column("15", "行政审批"),
    column("16", "行政处罚"),
    column("17", "专项资金"),
    column("18", "土地出让"),
    column("19", "其他财务公开"),
];

const fn column(id: &'static str, name: &'static str) -> Column {
    Column {
        id,
        name,
        family: "公开栏目",
    }
}

struct IntegrityPortal {
    desk: Arc<Desk>,
    password: String,
    session_ttl_ms: u64,
}

/// What an operation answers when it cannot be done: code and message.
type Refusal = (&'static str, String);

pub(super) fn prepare(site: &mut Site<'_>) -> io::Result<Prepared> {
    let desk = site.desk(IDENTITY, 0)?;
    let password = site.secrets.get("INTEGRITY_PORTAL_PASSWORD");
    let settings = [
        ("INTEGRITY_PORTAL_URL", desk.address.as_str()),
        ("INTEGRITY_PORTAL_USER", USER),
        ("INTEGRITY_PORTAL_PASSWORD", &password),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let state = Arc::new(IntegrityPortal {
        desk: desk.clone(),
        password,
        session_ttl_ms: site.options.session_ttl_ms,
    });
    let router = Router::new()
        .route("/services/ArticleService", post(serve).get(describe))
        .with_state(state);
    Ok(Prepared {
        settings,
        desk,
        router,
    })
}

async fn describe(
    State(portal): State<Arc<IntegrityPortal>>,
    RawQuery(query): RawQuery,
) -> Response {
    if query.is_none_or(|query| !query.eq_ignore_ascii_case("wsdl")) {
        return (StatusCode::NOT_FOUND, "?wsdl").into_response();
    }
    let wsdl = include_str!("integrity_portal/articles.wsdl");
    soap::xml(&wsdl.replace("{address}", &portal.desk.address))
}

async fn serve(
    State(portal): State<Arc<IntegrityPortal>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match soap::open(&headers, &body) {
        Ok(call) => call,
        Err(fault) => return fault.into_response(),
    };
    if call.operation == "Login" {
        return portal.log_in(&call);
    }
    if !portal.is_logged_in(&headers) {
        return page::login(&IDENTITY);
    }
    let outcome = match call.operation.as_str() {
        "SaveArticle" => portal.save_article(&call),
        "SaveAttachment" => portal.save_attachment(&call),
        "FindArticles" => return portal.find_articles(&call),
        "DeleteArticle" => portal.delete_article(&call),
        unknown => {
            return SoapFault::client(&format!("没有操作 {unknown}")).into_response();
        }
    };
    respond(&call.operation, &result(outcome))
}

impl IntegrityPortal {
    fn log_in(&self, call: &Call) -> Response {
        if call.field("UserName") != USER || call.field("Password") != self.password {
            let refusal = ("E001", "用户名或密码不正确".to_owned());
            return respond("Login", &result(Err(refusal)));
        }
        let session = self.desk.open_session(self.session_ttl_ms);
        let inner = element("SessionId", &session) + &result(Ok(Vec::new()));
        let cookie = format!("JSESSIONID={session}; Path=/; HttpOnly");
        ([(header::SET_COOKIE, cookie)], respond("Login", &inner)).into_response()
    }

    fn is_logged_in(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().strip_prefix("JSESSIONID="))
            .any(|session| self.desk.knows_session(session))
    }

    /// Saves the text of an article. Its attachments are lost, as on the system this stands for:
    /// a sender has to send them again.
    fn save_article(&self, call: &Call) -> Result<Vec<(&'static str, String)>, Refusal> {
        form::check(call, &IDENTITY.look)?;
        let mut shelf = self.desk.shelf();
        let number = match call.field("ArticleId") {
            "0" => shelf.next_number(),
            id => {
                let known = shelf.by_remote_id(id).filter(|known| is_there(known));
                known.ok_or_else(no_such_article)?.number
            }
        };
        let source = call.field("Source").trim();
        let record_id = source.strip_prefix(SOURCE_PREFIX).unwrap_or_default();
        let article = Article {
            number,
            remote_id: number.to_string(),
            record_id: record_id.to_owned(),
            found_by: vec![source.to_owned()],
            standing: Standing::Live,
            shown: Some(form::edition(call)),
            pending: None,
        };
        let url = self.desk.article_url(&article.remote_id);
        shelf.put(article).map_err(storage)?;
        Ok(vec![("ArticleId", number.to_string()), ("Url", url)])
    }

    fn save_attachment(&self, call: &Call) -> Result<Vec<(&'static str, String)>, Refusal> {
        let name = call.field("FileName").trim();
        if !is_file_name(name) {
            return Err(("E103", "缺少必填字段 FileName，或文件名不可用".to_owned()));
        }
        let bytes = from_base64(call.field("ContentBase64"))
            .filter(|bytes| !bytes.is_empty())
            .ok_or_else(|| {
                (
                    "E103",
                    "缺少必填字段 ContentBase64，或不是有效的 BASE64".to_owned(),
                )
            })?;
        let mut shelf = self.desk.shelf();
        let known = shelf.by_remote_id(call.field("ArticleId"));
        let mut article = known
            .filter(|known| is_there(known))
            .cloned()
            .ok_or_else(no_such_article)?;
        let edition = article.shown.as_mut().ok_or_else(no_such_article)?;
        let media_type = call.field("MediaType").trim().to_owned();
        let file = Attachment::new(name.to_owned(), media_type, bytes);
        let files = &mut edition.attachments;
        let place = files.iter().position(|other| other.name == file.name);
        let place = place.unwrap_or(files.len());
        files.splice(place..(place + 1).min(files.len()), [file]);
        shelf.put(article).map_err(storage)?;
        Ok(vec![("AttachmentId", (place + 1).to_string())])
    }

    fn find_articles(&self, call: &Call) -> Response {
        let shelf = self.desk.shelf();
        let source = call.field("Source").trim();
        let found: Vec<String> = shelf
            .find(source)
            .filter(|article| is_there(article))
            .filter_map(|article| Some(self.entry(article, article.visible()?)))
            .collect();
        let result = result(Ok(vec![("Count", found.len().to_string())]));
        let articles = format!("{result}<Articles>{}</Articles>", found.concat());
        respond("FindArticles", &articles)
    }

    fn entry(&self, article: &Article, edition: &Edition) -> String {
        let text = |name: &str| edition.form[name].as_str().unwrap_or_default();
        let fields = [
            element("ArticleId", &article.remote_id),
            element("Title", &edition.title),
            element("Source", text("Source")),
            element("Remark", text("Remark")),
            element("Url", &self.desk.article_url(&article.remote_id)),
            element("AttachmentCount", &edition.attachments.len().to_string()),
        ];
        format!("<Article>{}</Article>", fields.concat())
    }

    fn delete_article(&self, call: &Call) -> Result<Vec<(&'static str, String)>, Refusal> {
        let mut shelf = self.desk.shelf();
        let known = shelf.by_remote_id(call.field("ArticleId"));
        let mut article = known
            .filter(|known| is_there(known))
            .cloned()
            .ok_or_else(no_such_article)?;
        article.standing = Standing::Deleted;
        shelf.put(article).map_err(storage)?;
        Ok(Vec::new())
    }
}

fn is_there(article: &Article) -> bool {
    article.standing == Standing::Live
}

fn no_such_article() -> Refusal {
    ("E104", "没有这篇文章".to_owned())
}

fn storage(error: io::Error) -> Refusal {
    tracing::error!(%error, "Cannot write the sandbox journal of {}", IDENTITY.id);
    ("E500", "内部错误".to_owned())
}

fn result(outcome: Result<Vec<(&'static str, String)>, Refusal>) -> String {
    let (success, values, (code, told)) = match outcome {
        Ok(values) => ("true", values, ("", String::new())),
        Err(refusal) => ("false", Vec::new(), refusal),
    };
    let mut inner = element("Success", success);
    for (name, value) in values {
        inner += &element(name, &value);
    }
    inner += &element("ErrorCode", code);
    inner += &element("ErrorMessage", &told);
    format!("<Result>{inner}</Result>")
}

fn respond(operation: &str, inner: &str) -> Response {
    soap::envelope(&format!(
        r#"<{operation}Response xmlns="{NAMESPACE}">{inner}</{operation}Response>"#
    ))
}

#[cfg(test)]
mod tests;
