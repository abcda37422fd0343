//! What the catalogue says about a column: what it asks of an entry, until when, of whom and where.

use super::deadline::DeadlineRule;
use crate::record::Content;
use serde::{Deserialize, Serialize};

/// A 栏目.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Key of its area; none for a column that any entry may name.
    pub area: Option<String>,
    /// The name that is shown.
    pub name: String,
    /// Other spellings that mean this column.
    pub aliases: Vec<String>,
    /// 要素 that an entry must have.
    pub requires: Vec<Element>,
    /// 要素 that its text must name, each with its spellings divided by `|`.
    pub mentions: Vec<String>,
    /// By when it has to be public.
    pub deadline: DeadlineRule,
    /// Name of the unit that answers for the column.
    pub owner: Option<String>,
    /// Platforms that must show it.
    pub channels: Vec<String>,
}

/// A part that an entry has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// 文号
    DocNo,
    /// 索引号, given by the unit itself.
    IndexNo,
    /// 内容概述
    Abstract,
    /// 主题词
    Keywords,
    /// 体裁
    Genre,
    /// 附件
    Attachments,
    /// 项目信息
    Project,
    /// 信用信息
    Credit,
}

impl Element {
    /// Returns the field of an entry, as in its JSON pointer.
    pub fn field(self) -> &'static str {
        match self {
            Self::DocNo => "doc_no",
            Self::IndexNo => "index_no",
            Self::Abstract => "abstract",
            Self::Keywords => "keywords",
            Self::Genre => "genre",
            Self::Attachments => "attachments",
            Self::Project => "project",
            Self::Credit => "credit",
        }
    }

    /// Returns the name a clerk knows.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::DocNo => "文号",
            Self::IndexNo => "索引号",
            Self::Abstract => "内容概述",
            Self::Keywords => "主题词",
            Self::Genre => "体裁",
            Self::Attachments => "附件",
            Self::Project => "项目信息",
            Self::Credit => "信用信息",
        }
    }

    /// Returns whether `content` has it.
    pub fn is_in(self, content: &Content) -> bool {
        match self {
            Self::DocNo => content.doc_no.is_some(),
            Self::IndexNo => content.index_no.is_some(),
            Self::Abstract => content.summary.is_some(),
            Self::Keywords => !content.keywords.is_empty(),
            Self::Genre => content.genre.is_some(),
            Self::Attachments => !content.attachments.is_empty(),
            Self::Project => content.project.is_some(),
            Self::Credit => content.credit.is_some(),
        }
    }
}

/// What holds for entries of a column that says nothing else, and of no column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDefault {
    /// By when they have to be public.
    pub deadline: DeadlineRule,
    /// Platforms that must show them.
    #[serde(default)]
    pub channels: Vec<String>,
}

/// What a text means that should name a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedColumn<'a> {
    /// This column, of the area that was named or of any.
    Known(&'a Column),
    /// No area was named, and just this column is called so.
    WithoutArea(&'a Column),
    /// No area was named, and columns of several are called so.
    Ambiguous,
    /// Nothing that the area has, or the catalogue when none was named.
    Unknown,
}
