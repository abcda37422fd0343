//! Asks for a look at everything a platform shall show.

use crate::connector::Connectors;
use crate::store::{NewVerification, Store, StoreError, Verification};

/// Why a verification was refused.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such platform.
    #[error("没有“{0}”这个平台")]
    UnknownPlatform(String),
    /// The connector has neither `read_back` nor `look_up`.
    #[error("“{0}”的连接器没有可以查看平台的操作（read_back 或 look_up），只能到平台上人工核对")]
    CannotLook(String),
    /// Nothing is sent to this version of a platform any more, nor is it looked at.
    #[error("“{0}”已停用，不再核对")]
    Retired(String),
    /// Another one ended in the same moment.
    #[error("另一次核对刚刚结束，请再试一次")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks for a verification of `platform`; returns the one that is open already, if there is one.
/// A sender of the platform works it off, within the platform's limits.
///
/// # Errors
/// See [`VerifyError`].
pub async fn verify(
    store: &Store,
    connectors: &Connectors,
    platform: &str,
    repair: bool,
    reason: &str,
    actor: &str,
) -> Result<Verification, VerifyError> {
    let connector = connectors
        .get(platform)
        .ok_or_else(|| VerifyError::UnknownPlatform(platform.to_owned()))?;
    if connector.looks_by().is_none() {
        return Err(VerifyError::CannotLook(platform.to_owned()));
    }
    let switch = store.standing(platform).await?.switch;
    if switch.is_some_and(|it| it.retired_at.is_some()) {
        return Err(VerifyError::Retired(platform.to_owned()));
    }
    let new = NewVerification {
        platform: platform.to_owned(),
        repair,
        reason: reason.to_owned(),
        actor: actor.to_owned(),
        scheduled_for: None,
    };
    let open = store.request_verification(&new).await?;
    // None: the one in the way ended in the same moment.
    open.ok_or(VerifyError::Busy)
}
