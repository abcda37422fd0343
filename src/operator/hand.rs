//! What an operator decides about one delivery: done by hand, given up, undone.

use crate::queue::Queue;
use crate::record::DeliveryId;
use crate::store::{DeliveryView, HandOutcome, HandWork, Store, StoreError};

/// Longest address that is kept.
const URL_BYTES_MAX: usize = 2_000;

/// Longest evidence or reason.
const WORDS_CHARS_MAX: usize = 500;

/// Why a decision was refused; nothing happened.
#[derive(Debug, thiserror::Error)]
pub enum HandError {
    /// There is no such delivery.
    #[error("没有找到这条推送")]
    Unknown,
    /// It is not open for a decision.
    #[error("这条推送现在是“{0}”，不能登记；只有等待中、重试中和失败的可以")]
    NotOpen(&'static str),
    /// Nothing was decided, or the record changed since.
    #[error("没有可撤销的登记：未登记过，或信息此后已有变化")]
    NothingToUndo,
    /// Neither evidence nor reason, or too much of it.
    #[error("请填写依据或原因（1 至 {WORDS_CHARS_MAX} 字）")]
    Words,
    /// The address is no address of a page.
    #[error("“{0}”不是网页地址")]
    Address(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out `work` on `delivery` for `actor`; returns the delivery as it is then.
///
/// # Errors
/// See [`HandError`].
pub async fn decide(
    store: &Store,
    queue: &dyn Queue,
    delivery: &DeliveryId,
    work: &HandWork,
    actor: &str,
) -> Result<DeliveryView, HandError> {
    let words = work.words();
    if words.trim().is_empty() || words.chars().count() > WORDS_CHARS_MAX {
        return Err(HandError::Words);
    }
    if let HandWork::Done { url: Some(url), .. } = work
        && (url.len() > URL_BYTES_MAX
            || !(url.starts_with("https://") || url.starts_with("http://"))
            || url.contains(char::is_whitespace))
    {
        return Err(HandError::Address(url.chars().take(100).collect()));
    }
    let outcome = store.work_by_hand(delivery, work, actor).await?;
    let now = store.delivery(delivery).await?.ok_or(HandError::Unknown)?;
    match (outcome, work) {
        (HandOutcome::Changed, _) => {
            tracing::info!(delivery.id = %delivery, actor, state = now.state.as_str(), "{actor} decided about {delivery} by hand");
            queue.offer(&now.platform, std::slice::from_ref(delivery));
            Ok(now)
        }
        (HandOutcome::NotFound, _) => Err(HandError::Unknown),
        (HandOutcome::Refused, HandWork::Undo { .. }) => Err(HandError::NothingToUndo),
        (HandOutcome::Refused, HandWork::Done { .. } | HandWork::GiveUp { .. }) => {
            Err(HandError::NotOpen(now.state.chinese()))
        }
    }
}
