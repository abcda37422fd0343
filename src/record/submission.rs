//! A native submission after its JSON has been checked against `schemas/submission.schema.json`.

use super::Action;
use crate::blob::Received;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What the OA asks for: one revision of one entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The sender's id of the document.
    pub source_id: String,
    /// The sender's count of corrections, from 1.
    pub revision: i64,
    /// Publish or withdraw.
    pub action: Action,
    /// Why it is withdrawn.
    #[serde(default)]
    pub reason: Option<String>,
    /// The entry; may be absent in a withdrawal.
    #[serde(default)]
    pub entry: Option<Entry>,
}

/// The entry as the clerk wrote it, nothing mended yet.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 标题
    pub title: String,
    /// 文号
    #[serde(default)]
    pub doc_no: Option<String>,
    /// 发布机构; several, divided by 、, for a joint document.
    pub unit: String,
    /// 成文日期
    pub written_on: String,
    /// 公开方式
    #[serde(default)]
    pub disclosure: Option<String>,
    /// 重点领域
    #[serde(default)]
    pub area: Option<String>,
    /// 栏目
    #[serde(default)]
    pub column: Option<String>,
    /// 体裁
    #[serde(default)]
    pub genre: Option<String>,
    /// 主题词
    #[serde(default)]
    pub keywords: Vec<String>,
    /// 内容概述
    #[serde(default, rename = "abstract")]
    pub summary: Option<String>,
    /// 索引号
    #[serde(default)]
    pub index_no: Option<String>,
    /// 正文
    pub body: EntryBody,
    /// 附件
    #[serde(default)]
    pub attachments: Vec<EntryAttachment>,
    /// 工程建设项目
    #[serde(default)]
    pub project: Option<EntryProject>,
    /// 信用信息
    #[serde(default)]
    pub credit: Option<EntryCredit>,
}

/// The text of an entry as it was pasted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryBody {
    /// How to read `content`.
    pub format: BodyFormat,
    /// The text.
    pub content: String,
}

/// How the text of an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// HTML, as pasted from a word processor.
    Html,
    /// Plain text, line by line.
    Text,
}

/// A file that comes with an entry: inline, by address, or as a part of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryAttachment {
    /// File name.
    pub name: String,
    /// IANA media type, as claimed.
    #[serde(default)]
    pub media_type: Option<String>,
    /// The content.
    #[serde(default)]
    pub content_base64: Option<String>,
    /// Where to fetch the content, on a host of `attachments.hosts`.
    #[serde(default)]
    pub url: Option<String>,
    /// Hex SHA-256 the content must have.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The content as it was fetched or came as a part of its own; set by the hub.
    #[serde(skip)]
    pub received: Option<Received>,
}

/// Project part as sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryProject {
    /// 项目编码
    pub code: String,
    /// 项目名称
    pub name: String,
    /// 建设单位
    #[serde(default)]
    pub owner: Option<String>,
    /// P0–P11, L1–L3, M1–M4
    pub group: String,
    /// The group's fields.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// Credit part as sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryCredit {
    /// 主体名称
    pub subject: String,
    /// 统一社会信用代码
    #[serde(default)]
    pub uscc: Option<String>,
    /// 良好行为, 不良行为/行政处罚 …
    pub group: String,
    /// The group's fields.
    #[serde(default)]
    pub fields: Map<String, Value>,
}
