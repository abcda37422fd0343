//! Errors of the HTTP door: RFC 9457 problem+json with a stable `type`, and the one place where
//! status codes are chosen.

use crate::intake::{Answer, Refusal, Told};
use crate::record::{FieldChange, FieldError};
use crate::screen::mask;
use crate::store::StoreError;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Codes of what is wrong with a body as a whole.
const UNREADABLE: [&str; 11] = [
    "encoding",
    "json_invalid",
    "xml_invalid",
    "xml_dtd",
    "form_invalid",
    "multipart_invalid",
    "too_deep",
    "too_many_fields",
    "duplicate_key",
    "format_not_taken",
    "profile_needed",
];

/// An error as the caller sees it. Internals never get into it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Stable identifier of the kind of problem, a URN.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in English.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What happened and what to do, in Chinese.
    pub detail: String,
    /// One entry per field that is wrong.
    #[schema(value_type = Vec<Object>)]
    pub errors: Vec<FieldError>,
    /// The record concerned, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// The newest revision stored, when the one sent is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

impl Problem {
    /// Makes a problem without field errors.
    pub(super) fn new(
        status: StatusCode,
        id: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("urn:synchub:problem:{id}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            record_id: None,
            revision: None,
            retry_after_s: None,
        }
    }

    /// Makes the problem of wrong fields.
    pub(super) fn fields(errors: Vec<FieldError>) -> Self {
        let unreadable = errors
            .iter()
            .any(|error| UNREADABLE.contains(&error.code.as_str()));
        let (status, id, title) = match unreadable {
            true => (
                StatusCode::BAD_REQUEST,
                "unreadable",
                "The body cannot be read",
            ),
            false => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Some fields are not right",
            ),
        };
        let mut detail: Vec<&str> = errors.iter().take(3).map(|it| it.detail.as_str()).collect();
        if errors.len() > 3 {
            detail.push("……");
        }
        let detail = format!(
            "报送内容有 {} 处需要修改：{}",
            errors.len(),
            detail.join("；")
        );
        Self {
            errors,
            ..Self::new(status, id, title, detail)
        }
    }

    /// The one field or body is larger than the limit.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let detail = format!(
            "报送内容超过上限 {} MB，请压缩附件或分开报送",
            bytes_max >> 20
        );
        Self {
            errors: vec![FieldError::new("", "too_large", detail.clone())],
            ..Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                detail,
            )
        }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "An API key is needed",
            "请求没有携带有效的接口密钥（Authorization: Bearer …），请向信息中心申请或检查是否已停用",
        )
    }

    pub(super) fn operator_only() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "operator-only",
            "Only an operator may do this",
            "该操作仅限信息中心运维账号",
        )
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("没有找到{what}"),
        )
    }

    pub(super) fn bad_request(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            errors: vec![FieldError::new(pointer, code, detail.clone())],
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "invalid-parameter",
                "A parameter is not right",
                detail,
            )
        }
    }

    pub(super) fn busy() -> Self {
        Self {
            retry_after_s: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too many requests at once",
                "系统繁忙，请 1 秒后重试；重复报送不会产生重复信息",
            )
        }
    }

    pub(super) fn timeout() -> Self {
        Self {
            retry_after_s: Some(2),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "The request took too long",
                "处理超时，请稍后重试；重复报送不会产生重复信息",
            )
        }
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "系统内部错误，信息中心已有记录；请稍后重试",
        )
    }

    fn unavailable() -> Self {
        Self {
            retry_after_s: Some(2),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                "The store does not answer",
                "数据库暂时不可用，请稍后重试；重复报送不会产生重复信息",
            )
        }
    }

    /// Answers in the shape that the hook of a sender expects.
    pub(super) fn in_shape(self, answer: &Answer) -> Response {
        let code = self.kind.rsplit(':').next().unwrap_or_default().to_owned();
        let told = Told {
            success: false,
            status: self.status,
            code,
            message: self.detail.clone(),
            record_id: self.record_id.clone().unwrap_or_default(),
            revision: self.revision,
            ..Told::default()
        };
        let mut response = super::submissions::in_shape(answer, told);
        self.add_headers(response.headers_mut());
        response
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }

    /// Returns the problem as JSON, for lines of a batch.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::Closed | StoreError::FileGone => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "A caller was told to come back: {error}"
                );
                Self::unavailable()
            }
            _ => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "The store failed: {error}"
                );
                Self::internal()
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fields(errors) => Self::fields(errors),
            Refusal::Store(error) => error.into(),
            Refusal::Unfetched(error) => Self {
                retry_after_s: Some(30),
                detail: error.detail.clone(),
                errors: vec![error],
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "attachment-unavailable",
                    "An attachment cannot be fetched or kept at present",
                    "",
                )
            },
            Refusal::UnitNotAllowed { unit } => {
                let detail = format!("该接口账号无权以“{unit}”的名义报送，请向信息中心申请");
                Self {
                    errors: vec![FieldError::new(
                        "/entry/unit",
                        "unit_not_allowed",
                        detail.clone(),
                    )],
                    ..Self::new(
                        StatusCode::FORBIDDEN,
                        "unit-not-allowed",
                        "The account may not post for this unit",
                        detail,
                    )
                }
            }
            Refusal::Older(head) => {
                let detail = format!(
                    "系统中已有更新的第 {} 版，本次报送的修订号较旧，未作改动",
                    head.revision
                );
                Self {
                    record_id: Some(head.record_id.to_string()),
                    revision: Some(head.revision),
                    errors: vec![FieldError::new(
                        "/revision",
                        "older_revision",
                        detail.clone(),
                    )],
                    ..Self::new(
                        StatusCode::CONFLICT,
                        "older-revision",
                        "A newer revision is stored",
                        detail,
                    )
                }
            }
            Refusal::RevisionReused(head, changes) => {
                let detail = format!(
                    "第 {} 版已经报送过，但内容不同；更正请把修订号改为 {}",
                    head.revision,
                    head.revision + 1
                );
                Self {
                    record_id: Some(head.record_id.to_string()),
                    revision: Some(head.revision),
                    errors: reused(&detail, &changes),
                    ..Self::new(
                        StatusCode::CONFLICT,
                        "revision-reused",
                        "This revision is stored with another content",
                        detail,
                    )
                }
            }
            Refusal::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key was used for another body",
                "同一个 Idempotency-Key 已用于另一份内容，请换用新的值",
            ),
            Refusal::UnknownRecord => {
                let detail = "没有找到要撤回的信息：这个编号没有报送过";
                Self {
                    errors: vec![FieldError::new("/source_id", "unknown_record", detail)],
                    ..Self::new(
                        StatusCode::NOT_FOUND,
                        "unknown-record",
                        "There is no such record",
                        detail,
                    )
                }
            }
        }
    }
}

/// Says what differs from the revision that is stored.
fn reused(detail: &str, changes: &[FieldChange]) -> Vec<FieldError> {
    let text = |part: &Option<String>| match part {
        Some(part) => format!("“{}”", mask(part)),
        None => "空白".to_owned(),
    };
    let differences = changes.iter().map(|change| {
        let detail = format!(
            "已报送的是{}，本次是{}",
            text(&change.before),
            text(&change.after)
        );
        FieldError::new(format!("/entry{}", change.pointer), "differs", detail)
    });
    std::iter::once(FieldError::new("/revision", "revision_reused", detail))
        .chain(differences)
        .collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        self.add_headers(headers);
        response
    }
}
