//! What an operator sees: why something is not where it should be, and how each platform stands.
//!
//! The HTTP door and the command line show the same answers, made here. It changes nothing but
//! the switches of platforms and what a person decides about one delivery; bulk acts are [`crate::replay`].

mod cause;
mod failures;
mod hand;
mod overrides;
mod platforms;
mod redirect;
mod rescan;
mod verifications;
mod why;

pub use cause::Owner;
pub use failures::{FailureStatus, failures};
pub use hand::{HandError, decide};
pub use overrides::{Desk, OverrideError, OverridePreview, OverrideRequest, override_field};
pub use platforms::{OutageStatus, PlatformStatus, pause, platforms, resume};
pub use redirect::{
    RedirectError, RedirectStatus, RetireStatus, preview_redirect, preview_retire, redirect, retire,
};
pub use rescan::{RESCAN_PAGE_MAX, RescanPage, Suspect, rescan};
pub use verifications::{VerifyError, verify};
pub use why::{LastAttempt, Why, WhyPlatform, why};

use crate::record::RecordId;
use crate::store::{RecordFilter, RecordView, Store, StoreError};

/// Why a record could not be named.
#[derive(Debug, thiserror::Error)]
pub enum NamedError {
    /// Neither an id nor a sender's id.
    #[error("no record has the id or the source id `{0}`")]
    Unknown(String),
    /// Several sources use this id.
    #[error("several records have the source id `{0}`: {1}")]
    Ambiguous(String, String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the record that `text` names: by its id, else by the sender's id.
///
/// # Errors
/// See [`NamedError`].
pub async fn record_named(store: &Store, text: &str) -> Result<RecordView, NamedError> {
    if let Some(record) = store.record(&RecordId::from(text.to_owned())).await? {
        return Ok(record);
    }
    let filter = RecordFilter {
        source_id: Some(text.to_owned()),
        ..RecordFilter::default()
    };
    let page = store.list_records(&filter, None, 5).await?;
    match page.records.as_slice() {
        [] => Err(NamedError::Unknown(text.to_owned())),
        [one] => {
            let record = store.record(&one.id).await?;
            record.ok_or_else(|| NamedError::Unknown(text.to_owned()))
        }
        several => {
            let ids: Vec<String> = several
                .iter()
                .map(|it| format!("{} ({})", it.id, it.source))
                .collect();
            Err(NamedError::Ambiguous(text.to_owned(), ids.join(", ")))
        }
    }
}
