//! The words of the house: what a record, a delivery and a hold are.
//!
//! Owns the canonical types that every other module speaks in and that SQL, JSON, logs and the
//! command line spell the same way. It reads and writes nothing; see [`crate::normalise`] for how
//! a [`Content`] comes to be and [`crate::store`] for where it is kept.

mod appearance;
mod change;
mod id;
pub mod life;
mod state;
mod submission;
mod succession;

pub use appearance::Appearance;
pub use change::{FieldChange, changes};
pub use id::{AttemptId, DeliveryId, RecordId, ReplayId, SubmissionId, VerificationId};
pub use state::{DeliveryState, Wanted};
pub use submission::{
    BodyFormat, Entry, EntryAttachment, EntryBody, EntryCredit, EntryProject, Submission,
};
pub use succession::{NoVersion, is_previous, platform_of, previous_id, previous_version};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a submission asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Show this entry, or replace what is shown by it.
    Publish,
    /// Take the record down everywhere.
    Withdraw,
}

impl Action {
    /// Returns the word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Withdraw => "withdraw",
        }
    }
}

/// 公开方式: whether a document may leave the hub. Only [`Disclosure::Proactive`] may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// 主动公开
    Proactive,
    /// 依申请公开
    OnRequest,
    /// 不予公开
    Withheld,
    /// Left blank, or a word that is none of the three.
    Undeclared,
}

impl Disclosure {
    /// Returns the word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proactive => "proactive",
            Self::OnRequest => "on_request",
            Self::Withheld => "withheld",
            Self::Undeclared => "undeclared",
        }
    }
}

/// A 责任主体单位 as the catalogue knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// 统一社会信用代码 of the unit, 18 characters.
    pub code: String,
    /// Full standard name.
    pub name: String,
    /// GB/T 2260 code of its division, six digits.
    pub division: String,
}

/// The text of an entry after the sanitiser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Clean HTML: only elements and attributes of the allow-list.
    pub html: String,
}

/// A file that belongs to a record; its bytes are kept once by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// File name as the clerk sees it, without folders.
    pub name: String,
    /// IANA media type.
    pub media_type: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
}

/// 工程建设项目 part of an entry: one item of one project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Project code as written, blanks and full-width digits mended.
    pub code: String,
    /// 1 (2011 rules), 2 (2016 to October 2020) or 3 (GB/T 40058-2021); none when not recognised.
    pub generation: Option<u8>,
    /// Project name.
    pub name: String,
    /// 建设单位.
    pub owner: String,
    /// Item group: P0–P11, L1–L3, M1–M4.
    pub group: String,
    /// The group's own fields.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// 信用信息 part of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// The company or person it is about.
    pub subject: String,
    /// 统一社会信用代码 of the subject, if given.
    pub uscc: Option<String>,
    /// Group, such as 良好行为 or 不良行为/行政处罚.
    pub group: String,
    /// The group's own fields.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// The canonical content of an entry: what `normalise` makes and platforms are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Full title.
    pub title: String,
    /// Canonical document number such as 韶财〔2014〕1号; none when the document bears none.
    pub doc_no: Option<String>,
    /// The document number as it was written.
    pub doc_no_raw: Option<String>,
    /// The publishing unit; of a joint document the one that leads.
    pub unit: Unit,
    /// All units of a joint document, the lead first; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joint_units: Vec<Unit>,
    /// 成文日期: `2014-09-18`, or `2023-09` when only the month is known.
    pub written_on: String,
    /// The date as it was written.
    pub written_on_raw: String,
    /// Whether it may be shown.
    pub disclosure: Disclosure,
    /// Key of the 重点领域 such as `A2`; none outside the key areas.
    pub area: Option<String>,
    /// Name of the area in the catalogue.
    pub area_name: Option<String>,
    /// 栏目.
    pub column: Option<String>,
    /// 体裁.
    pub genre: Option<String>,
    /// 主题词.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// 内容概述.
    #[serde(rename = "abstract")]
    pub summary: Option<String>,
    /// 索引号; given by the unit, else allocated by the hub once.
    pub index_no: Option<String>,
    /// The cleaned text.
    pub body: Body,
    /// Files, in the order given.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Present for an item of a construction project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// Present for an item of credit information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<Credit>,
}

/// One version of the canonical record, as stored, shown, and given to templates as `record`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Id made by the hub; also our key on the platforms.
    pub id: RecordId,
    /// The system that sent it, named by its account.
    pub source: String,
    /// The id that system uses.
    pub source_id: String,
    /// The sender's own count of corrections.
    pub revision: i64,
    /// The hub's count of versions: 1, 2, 3 …
    pub version: i64,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// Why a record does not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCode {
    /// 依申请公开
    OnRequest,
    /// 不予公开
    Withheld,
    /// 公开方式 left blank or not understood.
    Undeclared,
    /// The text says something else than the field.
    Contradiction,
    /// The text bears a secrecy mark.
    Secrecy,
    /// Identity cards, mobiles, bank cards or lists of names in text or files.
    PersonalData,
}

impl HoldCode {
    /// Returns the word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnRequest => "on_request",
            Self::Withheld => "withheld",
            Self::Undeclared => "undeclared",
            Self::Contradiction => "contradiction",
            Self::Secrecy => "secrecy",
            Self::PersonalData => "personal_data",
        }
    }
}

/// One reason why a record is held, in words a clerk understands. Personal data in it is masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which gate held it.
    pub code: HoldCode,
    /// One Chinese sentence: what was found, where, and what to do.
    pub detail: String,
}

/// One thing that screening found in a record; nothing in it names a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code: id_card, mobile, bank_card, name_list, secrecy, contradiction.
    pub code: String,
    /// Where it is, in words: 正文, 附件《名单.xlsx》.
    pub place: String,
    /// First character, counted from 0, in the plain text of that place.
    pub start: u64,
    /// Character behind the last one.
    pub end: u64,
    /// What it is, masked.
    pub excerpt_masked: String,
}

/// Something wrong with one field of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// RFC 6901 JSON pointer into the submission, such as `/entry/title`.
    pub pointer: String,
    /// Stable code such as `required`, `unknown_unit`.
    pub code: String,
    /// One Chinese sentence for the clerk.
    pub detail: String,
}

impl FieldError {
    /// Makes an error about the field at `pointer`.
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.into(),
            detail: detail.into(),
        }
    }
}

/// Something that does not stop the submission but should be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The platform that will complain; none when the warning is the hub's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// RFC 6901 JSON pointer into the submission.
    pub pointer: String,
    /// Stable code.
    pub code: String,
    /// One Chinese sentence for the clerk.
    pub detail: String,
}
