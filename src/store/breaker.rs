//! Outages of platforms: the breaker's state over all processes.
//!
//! A platform whose breaker is open has one row without an end, whether it does not answer or asks
//! for fewer requests ([`OutageKind`]). Taking the probe moves `probe_at` beyond the time that a
//! probe may take, in one statement that only one process can win; if that process vanishes, the
//! next probe is due by itself. (An outage of the database is another thing: [`super::outage`].)
//!
//! What ended is kept for a while, because it is left out of the age of a delivery
//! ([`super::pause`]).

use super::db::{Tx, on, row};
use super::outage::{once, read};
use super::platform::{PlatformSwitch, SwitchRow};
use super::{Store, StoreError};
use serde::Serialize;
use std::time::Duration;

/// How long one of these statements may take; the next turn asks again.
const WAIT: Duration = Duration::from_secs(5);
/// What ended so long ago is forgotten: longer than a connector's patience should ever be.
pub(super) const KEEP_MS: i64 = 90 * 86_400_000;
/// Longest cause that is kept, in characters.
const CAUSE_CHARS_MAX: usize = 300;

row! {
    /// An outage that lasts.
    struct OutageRow {
        platform: String,
        kind: String,
        began_at: i64,
        cause: String,
        probes: i64,
        probe_at: i64,
        probed_by: Option<String>,
    }
}

row! {
    /// Switch and outage of one platform; either may be missing.
    struct StandingRow {
        id: Option<String>,
        paused: Option<bool>,
        mode: Option<String>,
        pause_reason: Option<String>,
        paused_by: Option<String>,
        paused_until: Option<i64>,
        rate_per_s: Option<i64>,
        changed_at: Option<i64>,
        version: Option<i64>,
        retired_at: Option<i64>,
        platform: Option<String>,
        kind: Option<String>,
        began_at: Option<i64>,
        cause: Option<String>,
        probes: Option<i64>,
        probe_at: Option<i64>,
        probed_by: Option<String>,
    }
}

/// Why nothing is sent to a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageKind {
    /// It does not answer, or nothing that can be used.
    Out,
    /// It says that it gets too many requests.
    TooMany,
}

impl OutageKind {
    /// Returns the word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::TooMany => "too_many",
        }
    }

    fn parse(word: &str, platform: &str) -> Result<Self, StoreError> {
        [Self::Out, Self::TooMany]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| StoreError::corrupt("outages.kind", platform))
    }
}

/// A platform to which nothing is sent, why, since when and how it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The platform.
    pub platform: String,
    /// Why.
    pub kind: OutageKind,
    /// When the breaker opened, unix milliseconds.
    pub began_at: i64,
    /// What the last failure said; secrets masked.
    pub cause: String,
    /// Probes that found that it lasts.
    pub probes: i64,
    /// When the next probe may begin; while one runs, when it counts as lost.
    pub probe_at: i64,
    /// The process that probes now.
    pub probed_by: Option<String>,
}

/// What a sender must know of its platform before it takes anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The operators' switch, if it was ever touched.
    pub switch: Option<PlatformSwitch>,
    /// The outage that lasts.
    pub outage: Option<Outage>,
}

const STANDING: &str = "SELECT p.id, p.paused, p.mode, p.pause_reason, p.paused_by, \
     p.paused_until, p.rate_per_s, p.changed_at, p.version, p.retired_at, \
     o.platform, o.kind, o.began_at, o.cause, o.probes, o.probe_at, o.probed_by \
     FROM (SELECT CAST($1 AS TEXT) AS id) AS asked \
     LEFT JOIN platforms p ON p.id = asked.id \
     LEFT JOIN outages o ON o.platform = asked.id AND o.ended_at IS NULL";
const OUTAGES: &str = "SELECT platform, kind, began_at, cause, probes, probe_at, probed_by \
     FROM outages WHERE ended_at IS NULL ORDER BY platform";
/// The first of several processes opens it; there is one without an end at most. One that asks for
/// more time than another who heard "too many" gets it.
const OPEN: &str = "INSERT INTO outages (id, platform, kind, began_at, cause, probes, probe_at) \
     VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (platform) WHERE ended_at IS NULL \
     DO UPDATE SET probe_at = excluded.probe_at \
     WHERE outages.kind = 'too_many' AND excluded.kind = 'too_many' \
     AND outages.probed_by IS NULL AND outages.probe_at < excluded.probe_at RETURNING id";
const FORGET: &str = "DELETE FROM outages WHERE platform = $1 AND began_at < $2 AND ended_at < $2";
const TAKE_PROBE: &str = "UPDATE outages SET probe_at = $1, probed_by = $2 \
     WHERE platform = $3 AND ended_at IS NULL AND probe_at <= $4";
const PUT_OFF: &str = "UPDATE outages SET probe_at = $1, probed_by = NULL, probes = probes + 1, \
     cause = $2 WHERE platform = $3 AND ended_at IS NULL AND probed_by = $4";
const RETURN_PROBE: &str = "UPDATE outages SET probe_at = $1, probed_by = NULL \
     WHERE platform = $2 AND ended_at IS NULL AND probed_by = $3";
const END: &str = "UPDATE outages SET ended_at = $1, ended_by = $2, probed_by = NULL \
     WHERE platform = $3 AND ended_at IS NULL";

#[cfg(test)]
pub(super) const SHARED: [&str; 8] = [
    STANDING,
    OUTAGES,
    OPEN,
    FORGET,
    TAKE_PROBE,
    PUT_OFF,
    RETURN_PROBE,
    END,
];

impl Store {
    /// Returns the switch and the outage of `platform`, in one statement.
    pub async fn standing(&self, platform: &str) -> Result<Standing, StoreError> {
        let row: StandingRow = read!(self, "read how a platform stands", |c| sqlx::query_as(
            STANDING
        )
        .bind(platform)
        .fetch_one(c)
        .await)?;
        row.understand()
    }

    /// Returns the outages that last, by platform.
    pub async fn outages(&self) -> Result<Vec<Outage>, StoreError> {
        let rows: Vec<OutageRow> = read!(self, "read outages", |c| sqlx::query_as(OUTAGES)
            .fetch_all(c)
            .await)?;
        rows.into_iter().map(OutageRow::understand).collect()
    }

    /// Opens the breaker of `platform`; returns whether it was closed until now. The first probe
    /// may begin at `probe_at`, or later when another process has heard so.
    pub async fn begin_outage(
        &self,
        platform: &str,
        kind: OutageKind,
        cause: &str,
        (now, probe_at): (i64, i64),
    ) -> Result<bool, StoreError> {
        let id = uuid::Uuid::now_v7().to_string();
        let cause = shortened(cause);
        let found: Option<(String,)> = once!(self, WAIT, "open a breaker", |c| {
            sqlx::query_as(OPEN)
                .bind(&id)
                .bind(platform)
                .bind(kind.as_str())
                .bind(now)
                .bind(&cause)
                .bind(probe_at)
                .fetch_optional(c)
                .await
        })?;
        let opened = found.is_some_and(|(found,)| found == id);
        if opened {
            once!(self, WAIT, "forget old outages", |c| sqlx::query(FORGET)
                .bind(platform)
                .bind(now - KEEP_MS)
                .execute(c)
                .await
                .map(drop))?;
        }
        Ok(opened)
    }

    /// Takes the probe of `platform` if it is due at `now`; returns whether `owner` has it. It
    /// counts as lost at `until`.
    pub async fn take_probe(
        &self,
        platform: &str,
        owner: &str,
        now: i64,
        until: i64,
    ) -> Result<bool, StoreError> {
        once!(self, WAIT, "take a probe", |c| sqlx::query(TAKE_PROBE)
            .bind(until)
            .bind(owner)
            .bind(platform)
            .bind(now)
            .execute(c)
            .await
            .map(|done| done.rows_affected() == 1))
    }

    /// Notes that the probe of `owner` found that the outage lasts; the next one is due at
    /// `probe_at`.
    pub async fn put_probe_off(
        &self,
        platform: &str,
        owner: &str,
        cause: &str,
        probe_at: i64,
    ) -> Result<(), StoreError> {
        let cause = shortened(cause);
        once!(self, WAIT, "put a probe off", |c| sqlx::query(PUT_OFF)
            .bind(probe_at)
            .bind(&cause)
            .bind(platform)
            .bind(owner)
            .execute(c)
            .await
            .map(drop))
    }

    /// Gives back a probe for which nothing was asked of the platform; it is due again at once.
    pub async fn return_probe(
        &self,
        platform: &str,
        owner: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        once!(self, WAIT, "give a probe back", |c| sqlx::query(
            RETURN_PROBE
        )
        .bind(now)
        .bind(platform)
        .bind(owner)
        .execute(c)
        .await
        .map(drop))
    }

    /// Closes the breaker of `platform`; returns whether it was open.
    pub async fn end_outage(
        &self,
        platform: &str,
        ended_by: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        once!(self, WAIT, "close a breaker", |c| sqlx::query(END)
            .bind(now)
            .bind(ended_by)
            .bind(platform)
            .execute(c)
            .await
            .map(|done| done.rows_affected() > 0))
    }
}

/// Closes the breaker of `platform` in the same transaction.
pub(super) async fn end_in(
    tx: &mut Tx,
    platform: &str,
    ended_by: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    on!(tx, |c| sqlx::query(END)
        .bind(now)
        .bind(ended_by)
        .bind(platform)
        .execute(&mut **c)
        .await
        .map(drop))
}

fn shortened(cause: &str) -> String {
    cause.chars().take(CAUSE_CHARS_MAX).collect()
}

impl OutageRow {
    fn understand(self) -> Result<Outage, StoreError> {
        Ok(Outage {
            kind: OutageKind::parse(&self.kind, &self.platform)?,
            platform: self.platform,
            began_at: self.began_at,
            cause: self.cause,
            probes: self.probes,
            probe_at: self.probe_at,
            probed_by: self.probed_by,
        })
    }
}

impl StandingRow {
    fn understand(self) -> Result<Standing, StoreError> {
        let switch = match (self.id, self.paused, self.mode, self.changed_at) {
            (Some(id), Some(paused), Some(mode), Some(changed_at)) => Some(
                SwitchRow {
                    id,
                    paused,
                    mode,
                    pause_reason: self.pause_reason,
                    paused_by: self.paused_by,
                    paused_until: self.paused_until,
                    rate_per_s: self.rate_per_s,
                    changed_at,
                    version: self.version,
                    retired_at: self.retired_at,
                }
                .understand()?,
            ),
            _ => None,
        };
        let outage = match (self.platform, self.kind, self.began_at, self.probe_at) {
            (Some(platform), Some(kind), Some(began_at), Some(probe_at)) => Some(
                OutageRow {
                    platform,
                    kind,
                    began_at,
                    cause: self.cause.unwrap_or_default(),
                    probes: self.probes.unwrap_or_default(),
                    probe_at,
                    probed_by: self.probed_by,
                }
                .understand()?,
            ),
            _ => None,
        };
        Ok(Standing { switch, outage })
    }
}
