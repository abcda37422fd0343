//! Redirects a platform to its new address, and retires the version it had before.
//!
//! What goes where is told in [`crate::connector`] (`succession`); [`crate::store`] moves the
//! deliveries.

use crate::connector::{Connectors, Turn};
use crate::queue::Queue;
use crate::record::{is_previous, platform_of, previous_id};
use crate::store::{Redirect, RedirectCount, RedirectStep, Remainder, Store, StoreError};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Why a platform cannot be redirected, or a version not be retired; nothing happened.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// There is no such platform.
    #[error("没有“{0}”这个平台")]
    Unknown(String),
    /// No version before lies beside the connector, or it was redirected already.
    #[error(
        "“{0}”没有等待切换的旧版本：把旧连接器留作 {0}@旧版本号，新连接器改地址、升版本，重启后再切换"
    )]
    NothingBefore(String),
    /// Processes still send with other versions.
    #[error("还有进程装载着别的版本，没有切换：{}。请先重启这些进程", .0.join("；"))]
    Outdated(Vec<String>),
    /// Not a version that a platform had before.
    #[error("“{0}”不是旧版本，旧版本写作“平台@版本号”")]
    NotPrevious(String),
    /// The platform was not redirected yet.
    #[error("“{0}”还没有切换到新版本，旧版本不能停用")]
    NotRedirected(String),
    /// Something would be lost.
    #[error(
        "旧版本还不能停用：{} 条撤下尚未完成，{} 条正在推送，{} 条只在旧版本上（先用 move 重放搬到新版本）",
        .0.to_take_down, .0.sending, .0.only_there
    )]
    Remains(Remainder),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a redirect does, or has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RedirectStatus {
    /// The platform.
    pub platform: String,
    /// What its version before is called from now on.
    pub previous: String,
    /// The number of that version.
    pub from: u32,
    /// The version of the connector now.
    pub to: u32,
    /// What is still to be divided.
    #[serde(flatten)]
    pub count: RedirectCount,
    /// Deliveries that this call gave to the version before.
    pub moved: u64,
    /// Whether the platform is redirected; if not after a real run, there is more: ask again.
    pub done: bool,
}

/// What retiring a version does, or has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetireStatus {
    /// The version.
    pub id: String,
    /// What is left of it.
    #[serde(flatten)]
    pub left: Remainder,
    /// Whether it is retired.
    pub done: bool,
}

/// Returns what a redirect of `platform` would do, and changes nothing.
///
/// # Errors
/// See [`RedirectError`].
pub async fn preview_redirect(
    store: &Store,
    connectors: &Connectors,
    platform: &str,
) -> Result<RedirectStatus, RedirectError> {
    let redirect = awaited(store, connectors, platform).await?;
    let count = store.count_redirect(&redirect).await?;
    Ok(status(redirect, count, 0, false))
}

/// Gives what was begun at `platform` to the version before, then lets the new version send; goes
/// on for `patience` at most. What is left then is done by the next call.
///
/// # Errors
/// See [`RedirectError`].
pub async fn redirect(
    store: &Store,
    (connectors, queue): (&Connectors, &dyn Queue),
    platform: &str,
    (reason, actor): (&str, &str),
    patience: Duration,
) -> Result<RedirectStatus, RedirectError> {
    let redirect = awaited(store, connectors, platform).await?;
    let begun = Instant::now();
    let mut moved = 0;
    let mut done = false;
    while !done && begun.elapsed() < patience {
        match store.step_redirect(&redirect, reason, actor).await? {
            RedirectStep::Refused(outdated) => return Err(RedirectError::Outdated(outdated)),
            RedirectStep::Moved(count) => moved += count,
            RedirectStep::Done(count) => {
                moved += count;
                done = true;
            }
        }
    }
    if done {
        tracing::info!(
            platform,
            actor,
            from = redirect.from,
            to = redirect.to,
            "{actor} redirected {platform} from version {} to {}",
            redirect.from,
            redirect.to
        );
        queue.offer(platform, &[]);
        queue.offer(&redirect.previous, &[]);
    }
    let count = match done {
        true => RedirectCount::default(),
        false => store.count_redirect(&redirect).await?,
    };
    Ok(status(redirect, count, moved, done))
}

/// Returns the redirect that `platform` waits for.
async fn awaited(
    store: &Store,
    connectors: &Connectors,
    platform: &str,
) -> Result<Redirect, RedirectError> {
    let connector = connectors
        .get(platform)
        .ok_or_else(|| RedirectError::Unknown(platform.to_owned()))?;
    let switch = store.standing(platform).await?.switch;
    let (redirected_to, retired) = match &switch {
        Some(switch) => (switch.version, switch.retired_at.is_some()),
        None => (None, false),
    };
    match connector.turn(redirected_to, retired) {
        Turn::AwaitsRedirect { from } => Ok(Redirect {
            platform: platform.to_owned(),
            previous: previous_id(platform, from),
            from,
            to: connector.version(),
        }),
        Turn::Sends | Turn::Outdated { .. } | Turn::Retired => {
            Err(RedirectError::NothingBefore(platform.to_owned()))
        }
    }
}

fn status(redirect: Redirect, count: RedirectCount, moved: u64, done: bool) -> RedirectStatus {
    RedirectStatus {
        platform: redirect.platform,
        previous: redirect.previous,
        from: redirect.from,
        to: redirect.to,
        count,
        moved,
        done,
    }
}

/// Returns what is left of `previous`, and changes nothing.
///
/// # Errors
/// See [`RedirectError`].
pub async fn preview_retire(store: &Store, previous: &str) -> Result<RetireStatus, RedirectError> {
    let done = is_retired(store, previous).await?;
    Ok(RetireStatus {
        id: previous.to_owned(),
        left: store.remainder(previous).await?,
        done,
    })
}

/// Retires `previous`, a version that a platform had before: nothing is sent to its address any
/// more, neither corrections nor withdrawals. Refused while that would lose anything.
///
/// # Errors
/// See [`RedirectError`].
pub async fn retire(
    store: &Store,
    previous: &str,
    (reason, actor): (&str, &str),
) -> Result<RetireStatus, RedirectError> {
    // Pressed once more, it lets go of what a sender had in hand the first time.
    let mut left = store.remainder(previous).await?;
    if !is_retired(store, previous).await? {
        let (found, done) = store.retire(previous, reason, actor).await?;
        if !done {
            return Err(RedirectError::Remains(found));
        }
        tracing::info!(platform = previous, actor, "{actor} retired {previous}");
        left = found;
    }
    while store.let_go(previous).await? > 0 {}
    Ok(RetireStatus {
        id: previous.to_owned(),
        left,
        done: true,
    })
}

/// Returns whether `previous` is retired already.
async fn is_retired(store: &Store, previous: &str) -> Result<bool, RedirectError> {
    if !is_previous(previous) {
        return Err(RedirectError::NotPrevious(previous.to_owned()));
    }
    let platform = platform_of(previous);
    let switch = store.standing(platform).await?.switch;
    if switch.is_none_or(|it| it.version.is_none()) {
        return Err(RedirectError::NotRedirected(platform.to_owned()));
    }
    let own = store.standing(previous).await?.switch;
    Ok(own.is_some_and(|it| it.retired_at.is_some()))
}
