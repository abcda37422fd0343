//! How each platform stands, and its switch.

use crate::clock::{now_ms, rfc3339};
use crate::connector::{Connector, Connectors, Turn};
use crate::queue::Queue;
use crate::record::{is_previous, platform_of};
use crate::store::{Outage, OutageKind, PauseMode, PlatformSwitch, Store, StoreError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a platform stands.
#[derive(Debug, Clone, Serialize)]
pub struct PlatformStatus {
    /// The platform.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `sending`, `paused`, `draining`, `maintenance`, `out`, `too_many_requests`,
    /// `not_configured`, `not_loaded`, `awaits_redirect`, `outdated` or `retired`.
    pub status: &'static str,
    /// The connector's version.
    pub connector_version: Option<u32>,
    /// The platform that had this version before, if this is one.
    pub previous_of: Option<String>,
    /// What keeps it from sending, in words; empty when nothing does.
    pub reason: String,
    /// Until when (RFC 3339), if that is known.
    pub until: Option<String>,
    /// How it is paused, if it is.
    pub pause_mode: Option<PauseMode>,
    /// Requests a second that an operator allows, if less than the connector.
    pub rate_per_s: Option<i64>,
    /// Why the hub itself sends nothing, if the platform does not answer or asks for fewer requests.
    pub outage: Option<OutageStatus>,
    /// State → number of deliveries.
    pub deliveries: BTreeMap<&'static str, i64>,
}

/// A platform that does not answer, or that asks for fewer requests: nothing is sent to it until a
/// probe is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutageStatus {
    /// `out` or `too_many`.
    pub kind: OutageKind,
    /// Since when (RFC 3339).
    pub since: String,
    /// What the last failure said.
    pub cause: String,
    /// Probes that were not answered.
    pub probes: i64,
    /// When the next probe follows (RFC 3339); none while one is on its way.
    pub next_probe_at: Option<String>,
    /// Deliveries that wait, without losing a try.
    pub waiting: i64,
}

impl OutageStatus {
    /// Says how `outage` stands, with `waiting` deliveries.
    pub(super) fn of(outage: &Outage, waiting: i64) -> Self {
        let probing = outage.probed_by.is_some() && outage.probe_at > now_ms();
        Self {
            kind: outage.kind,
            since: rfc3339(outage.began_at),
            cause: crate::screen::mask(&outage.cause).into_owned(),
            probes: outage.probes,
            next_probe_at: (!probing).then(|| rfc3339(outage.probe_at)),
            waiting,
        }
    }

    /// Says it in one sentence.
    pub(super) fn in_words(&self) -> String {
        let next = match &self.next_probe_at {
            None => "正在试探".to_owned(),
            Some(at) => format!("下次试探 {at}"),
        };
        match self.kind {
            OutageKind::Out => format!(
                "平台自 {} 起没有正常应答（{}），已暂停推送；试探 {} 次未成功，{next}；{} 条等待",
                self.since, self.cause, self.probes, self.waiting
            ),
            OutageKind::TooMany => format!(
                "平台自 {} 起要求放慢（{}），已暂停推送；连续 {} 次这样要求，{next}；{} 条等待",
                self.since,
                self.cause,
                self.probes + 1,
                self.waiting
            ),
        }
    }

    /// Returns the word for a platform that stands so.
    fn as_status(&self) -> &'static str {
        match self.kind {
            OutageKind::Out => "out",
            OutageKind::TooMany => "too_many_requests",
        }
    }
}

/// Returns how each platform stands, by platform.
///
/// # Errors
/// When the store does not answer.
pub async fn platforms(
    store: &Store,
    connectors: &Connectors,
) -> Result<Vec<PlatformStatus>, StoreError> {
    let switches = store.platform_switches().await?;
    let outages = store.outages().await?;
    let counts = store.count_deliveries().await?;
    let mut ids: Vec<&str> = connectors
        .iter()
        .map(|connector| connector.id.as_str())
        .collect();
    // A platform whose folder is gone still has its deliveries.
    ids.extend(counts.iter().map(|count| count.platform.as_str()));
    ids.sort_unstable();
    ids.dedup();
    Ok(ids
        .into_iter()
        .map(|id| {
            let switch = switches.iter().find(|switch| switch.id == id);
            let deliveries = counts
                .iter()
                .filter(|count| count.platform == id)
                .map(|count| (count.state.as_str(), count.count))
                .collect();
            let outage = outages.iter().find(|outage| outage.platform == id);
            status_of(id, connectors, (switch, outage), deliveries)
        })
        .collect())
}

fn status_of(
    id: &str,
    connectors: &Connectors,
    (switch, outage): (Option<&PlatformSwitch>, Option<&Outage>),
    deliveries: BTreeMap<&'static str, i64>,
) -> PlatformStatus {
    let now = now_ms();
    let connector = connectors.get(id);
    let maintenance = connector.and_then(|connector| connector.maintenance_until(now));
    let waiting = ["queued", "sending", "retrying"].map(|state| deliveries.get(state).copied());
    let told = outage.map(|it| OutageStatus::of(it, waiting.into_iter().flatten().sum::<i64>()));
    let turn = turn(connector, switch).filter(|it| *it != Turn::Sends);
    let (status, reason, until) = match (connector, switch) {
        _ if turn.is_some() => {
            let (word, reason) = turn.map(|it| out_of_turn(id, it)).unwrap_or_default();
            (word, reason, None)
        }
        (None, _) => (
            "not_loaded",
            "连接器没有加载，运行 synchub doctor".to_owned(),
            None,
        ),
        (Some(connector), _) if !connector.unresolved().is_empty() => {
            ("not_configured", connector.unresolved().join("；"), None)
        }
        (_, Some(switch)) if switch.is_paused(now) => (
            match switch.mode {
                PauseMode::Drain => "draining",
                PauseMode::Hold | PauseMode::Stop => "paused",
            },
            format!(
                "{}（{}）",
                switch.pause_reason.as_deref().unwrap_or_default(),
                switch.paused_by.as_deref().unwrap_or_default()
            ),
            switch.paused_until,
        ),
        _ if maintenance.is_some() => ("maintenance", "维护时段".to_owned(), maintenance),
        _ => match &told {
            Some(it) => (it.as_status(), it.in_words(), until_asked(it.kind, outage)),
            None => ("sending", String::new(), None),
        },
    };
    PlatformStatus {
        id: id.to_owned(),
        name: connector.map_or_else(|| id.to_owned(), |it| it.name().to_owned()),
        status,
        connector_version: connector.map(|connector| connector.version()),
        previous_of: is_previous(id).then(|| platform_of(id).to_owned()),
        reason,
        until: until.map(rfc3339),
        pause_mode: switch.filter(|it| it.is_paused(now)).map(|it| it.mode),
        rate_per_s: switch.and_then(|it| it.rate_per_s),
        outage: told,
        deliveries,
    }
}

/// Returns until when a platform that says how long it wants to be left alone is left alone.
fn until_asked(kind: OutageKind, outage: Option<&Outage>) -> Option<i64> {
    let asked = outage.filter(|it| kind == OutageKind::TooMany && it.probed_by.is_none());
    asked.map(|it| it.probe_at)
}

/// Returns whether it is the turn of a version to send; `None` when it did not load.
pub(super) fn turn(
    connector: Option<&Arc<Connector>>,
    switch: Option<&PlatformSwitch>,
) -> Option<Turn> {
    let is_retired = switch.is_some_and(|it| it.retired_at.is_some());
    if is_retired {
        // Its folder may be gone.
        return Some(Turn::Retired);
    }
    let redirected_to = switch.and_then(|it| it.version);
    connector.map(|it| it.turn(redirected_to, is_retired))
}

/// Says in a word and a sentence why a version does not send, as far as its turn decides.
pub(super) fn out_of_turn(id: &str, turn: Turn) -> (&'static str, String) {
    match turn {
        Turn::AwaitsRedirect { from } => (
            "awaits_redirect",
            format!("等待切换：旧版本 {from} 在旁，运行 synchub redirect {id}"),
        ),
        Turn::Outdated { to } => (
            "outdated",
            format!("平台已切换到连接器版本 {to}，装载的版本较旧"),
        ),
        Turn::Retired => ("retired", "旧版本已停用，不再推送".to_owned()),
        Turn::Sends => ("sending", String::new()),
    }
}

/// Stops sending to a platform, until `until_ms` (ms since 1970) when given. What comes in waits
/// without losing a try; `mode` says what becomes of what waits already.
///
/// # Errors
/// When the store does not answer.
pub async fn pause(
    store: &Store,
    platform: &str,
    mode: PauseMode,
    (reason, actor): (&str, &str),
    until_ms: Option<i64>,
) -> Result<(), StoreError> {
    store
        .pause_platform(platform, mode, reason, actor, until_ms)
        .await
}

/// Goes on sending to a platform, also to one that did not answer, at most `rate_per_s` requests a second when given, until it is
/// resumed once more without a rate.
///
/// # Errors
/// When the store does not answer.
pub async fn resume(
    store: &Store,
    queue: &dyn Queue,
    platform: &str,
    rate_per_s: Option<u32>,
    (reason, actor): (&str, &str),
) -> Result<(), StoreError> {
    store
        .resume_platform(platform, rate_per_s, reason, actor)
        .await?;
    queue.offer(platform, &[]);
    Ok(())
}
