//! The states of a delivery and what a platform is wanted to show.

use serde::{Deserialize, Serialize};

/// Where the delivery of one record to one platform stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// The record is held; nothing goes out.
    Held,
    /// Due, waiting for its turn.
    Queued,
    /// A worker holds the lease.
    Sending,
    /// A try did not succeed; another one is due.
    Retrying,
    /// The platform said yes.
    Delivered,
    /// Read back and equal.
    Confirmed,
    /// Needs a person.
    Failed,
    /// Taken down, as wanted.
    Withdrawn,
    /// Nothing had to be sent: withdrawn before it ever left.
    Skipped,
}

impl DeliveryState {
    /// All states, in the order of a delivery's life.
    pub const ALL: [Self; 9] = [
        Self::Held,
        Self::Queued,
        Self::Sending,
        Self::Retrying,
        Self::Delivered,
        Self::Confirmed,
        Self::Failed,
        Self::Withdrawn,
        Self::Skipped,
    ];

    /// Returns whether a sender has it or will take it by itself.
    pub fn is_on_its_way(self) -> bool {
        match self {
            Self::Queued | Self::Sending | Self::Retrying => true,
            Self::Held
            | Self::Delivered
            | Self::Confirmed
            | Self::Failed
            | Self::Withdrawn
            | Self::Skipped => false,
        }
    }

    /// Returns the word used in JSON, SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the state with this word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Returns the word a clerk reads.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Held => "暂扣，未推送",
            Self::Queued => "等待推送",
            Self::Sending => "正在推送",
            Self::Retrying => "推送未成功，稍后自动重试",
            Self::Delivered => "平台已接收",
            Self::Confirmed => "平台已公开显示",
            Self::Failed => "推送失败，需人工处理",
            Self::Withdrawn => "已从平台撤下",
            Self::Skipped => "无需推送",
        }
    }
}

/// What a platform is wanted to show of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The newest version.
    Shown,
    /// Nothing.
    Gone,
}

impl Wanted {
    /// Returns the word used in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Gone => "gone",
        }
    }

    /// Returns the value with this word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Shown, Self::Gone]
            .into_iter()
            .find(|wanted| wanted.as_str() == word)
    }
}
