//! The looks: columns, style sheets and templates of the public pages.
//!
//! Owns the embedded templates. Everything is escaped except the body of an article, which a page
//! shows with its mark-up but without scripts (see [`CONTENT_SECURITY_POLICY`]). Never reads the
//! shelf; see [`super::page`].

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use encoding_rs::GB18030;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value as TemplateValue};
use serde_json::{Value, json};

use super::desk::Identity;

/// Articles come from outside: pages run no script and load nothing from elsewhere.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'none'";

/// How the pages of one platform look.
pub(super) struct Look {
    pub(super) style: &'static str,
    pub(super) motto: &'static str,
    /// Whether the first page is a table by column instead of cards.
    pub(super) as_table: bool,
    pub(super) charset: Charset,
    pub(super) columns: &'static [Column],
}

/// A column of a platform.
pub(super) struct Column {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    /// The heading under which the first page lists it.
    pub(super) family: &'static str,
}

/// The charset in which pages are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    Gb18030,
}

impl Look {
    /// Returns the column's name, or its id when there is no such column.
    pub(super) fn column_name<'a>(&self, id: &'a str) -> &'a str {
        let found = self.columns.iter().find(|column| column.id == id);
        found.map_or(id, |column| column.name)
    }

    /// Returns whether there is such a column.
    pub(super) fn has_column(&self, id: &str) -> bool {
        self.columns.iter().any(|column| column.id == id)
    }
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in [
        ("layout.html", include_str!("page/layout.html")),
        ("list.html", include_str!("page/list.html")),
        ("index.html", include_str!("page/index.html")),
        ("column.html", include_str!("page/column.html")),
        ("article.html", include_str!("page/article.html")),
        ("project.html", include_str!("page/project.html")),
        ("missing.html", include_str!("page/missing.html")),
        ("login.html", include_str!("page/login.html")),
        ("maintenance.html", include_str!("page/maintenance.html")),
    ] {
        environment
            .add_template(name, source)
            .expect("the embedded templates compile, as a test shows");
    }
    environment
});

/// Returns a page in the charset of the platform.
pub(super) fn render(identity: &Identity, template: &str, mut content: Value) -> Response {
    let look = &identity.look;
    let charset = match look.charset {
        Charset::Utf8 => "utf-8",
        Charset::Gb18030 => "GB18030",
    };
    content["site"] = json!({
        "id": identity.id,
        "title": identity.title,
        "motto": look.motto,
        "style": look.style,
        "as_table": look.as_table,
        "charset": charset,
    });
    let page = TEMPLATES
        .get_template(template)
        .and_then(|template| template.render(TemplateValue::from(Serde(content))));
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            tracing::error!(%error, "Cannot render the sandbox page {template}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let bytes = match look.charset {
        Charset::Utf8 => page.into_bytes(),
        Charset::Gb18030 => GB18030.encode(&page).0.into_owned(),
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            format!("text/html; charset={charset}"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY.to_owned(),
        ),
    ];
    (headers, bytes).into_response()
}
