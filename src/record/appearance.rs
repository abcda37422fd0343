//! What a platform shows of a record, compared with what it shall show.

use serde::{Deserialize, Serialize};

/// How a platform shows a version that it has said yes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// As the record says.
    Confirmed,
    /// Kept, and not public yet.
    UnderReview,
    /// Not there.
    Missing,
    /// An older version, or a part of it.
    Stale,
    /// Something else: somebody changed it there.
    Altered,
    /// The platform did not say.
    Unanswered,
    /// Shown again although it was withdrawn and taken down.
    Returned,
}

impl Appearance {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Confirmed,
        Self::UnderReview,
        Self::Missing,
        Self::Stale,
        Self::Altered,
        Self::Unanswered,
        Self::Returned,
    ];

    /// Returns the word used in JSON, SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::UnderReview => "under_review",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Altered => "altered",
            Self::Unanswered => "unanswered",
            Self::Returned => "returned",
        }
    }

    /// Returns what a clerk reads.
    pub fn text(self) -> &'static str {
        match self {
            Self::Confirmed => "平台显示的与本系统一致",
            Self::UnderReview => "平台尚未公开显示这一版本",
            Self::Missing => "平台上没有这条信息",
            Self::Stale => "平台显示的是旧版本或不完整",
            Self::Altered => "平台显示的内容被改动过",
            Self::Unanswered => "平台没有回答",
            Self::Returned => "已撤回的信息又出现在平台上",
        }
    }

    /// Returns what a look at a platform means when the record was taken down there.
    pub fn of_withdrawn(self) -> Self {
        match self {
            // Nobody sees it, as it should be.
            Self::Missing | Self::UnderReview => Self::Confirmed,
            Self::Confirmed | Self::Stale | Self::Altered | Self::Returned => Self::Returned,
            Self::Unanswered => Self::Unanswered,
        }
    }

    /// Returns the one of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Returns whether sending again mends it: the version, or its take-down.
    pub fn is_mended_by_sending(self) -> bool {
        match self {
            Self::Missing | Self::Stale | Self::Returned => true,
            Self::Confirmed | Self::UnderReview | Self::Altered | Self::Unanswered => false,
        }
    }
}
