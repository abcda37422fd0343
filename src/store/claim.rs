//! Takes due deliveries for one sender, and the fencing that keeps it the only one.
//!
//! `claimed` counts the claims of a delivery and is the token of the newest; `settled` counts
//! those that are accounted for. A gap of more than one at a claim means that an earlier sender
//! vanished and may have acted.
//!
//! # Whose turn it is
//! The longest due goes first, so nothing waits for ever: what failed comes back with a later
//! time and stands behind what was due before it. But ten thousand entries of one unit, or a
//! crowd that comes back from an outage, would keep everybody waiting who comes after them.
//! So half of a claim is for what may go ahead (`ahead`): what comes in from a unit that has not
//! sent many lately, or what a person asked for, once. The other half is for the longest due,
//! whatever it is; what one half does not need the other takes. `ahead` is spent by the claim: who
//! fails waits its turn among all others. Rows that may go ahead have an index of their own, which
//! is small because bulk and retries are not in it.

use super::bulk::{Bulk, Kind, cells};
use super::db::{Db, Tx, on, row};
use super::outage::read;
use super::overriding::{patched, patches};
use super::steer::parse_wanted;
use super::submit::parse_json;
use super::writer::{Answer, Command};
use super::{Claim, Document, Store, StoreError};
use crate::clock::now_ms;
use crate::record::{DeliveryId, Wanted};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many deliveries one claim may take.
const CLAIMS_MAX: i64 = 1000;

/// One wish for work.
#[derive(Debug, Clone)]
pub(super) struct ClaimRequest {
    pub(super) platform: String,
    pub(super) ids: Option<Vec<DeliveryId>>,
    pub(super) limit: i64,
    pub(super) lease_owner: String,
    pub(super) now: i64,
    /// Only what was due by then; not after `now`.
    pub(super) due_by: i64,
    pub(super) lease_until: i64,
}

#[cfg(test)]
impl ClaimRequest {
    pub(super) fn for_test(platform: &str, lease_owner: &str, lease_until: i64) -> Self {
        Self {
            platform: platform.to_owned(),
            ids: None,
            limit: 1,
            lease_owner: lease_owner.to_owned(),
            now: 0,
            due_by: 0,
            lease_until,
        }
    }
}

/// A claim faster than this is never late, however short its lease.
const LATE_MIN: Duration = Duration::from_secs(1);

/// One wish for more time.
#[derive(Debug, Clone)]
pub(super) struct Renewal {
    pub(super) lease_owner: String,
    pub(super) lease_until: i64,
}

row! {
    /// A delivery just claimed.
    struct ClaimRow {
        id: String,
        record_id: String,
        platform: String,
        wanted: String,
        version: i64,
        claimed: i64,
        settled: i64,
        tries: i64,
        first_tried_at: Option<i64>,
        delivered_at: Option<i64>,
        progress: Option<String>,
        remote_id: Option<String>,
        remote_url: Option<String>,
        shown_version: Option<i64>,
        overridden: bool,
    }
}

row! {
    /// What a claimed delivery is to say.
    struct DocumentRow { id: String, document: Option<String>, reason: Option<String> }
}

/// What a claim does to a row. A row still in `sending` was left by a sender that vanished: that
/// counts as a try, so that a record that kills its senders does not do so for ever. Progress
/// belongs to the version of the last claim.
macro_rules! take {
    ($now:literal, $lease_owner:literal, $lease_until:literal) => {
        concat!(
            "UPDATE deliveries SET \
             progress = CASE WHEN claimed_version = version THEN progress ELSE NULL END, \
             tries = CASE WHEN state = 'sending' AND claimed_version = version THEN tries + 1 \
             ELSE tries END, \
             first_tried_at = CASE WHEN state = 'sending' AND claimed_version = version \
             THEN COALESCE(first_tried_at, ",
            $now,
            ") ELSE first_tried_at END, \
             ahead = FALSE, state = 'sending', claimed = claimed + 1, claimed_version = version, \
             lease_owner = ",
            $lease_owner,
            ", lease_until = ",
            $lease_until,
            ", due_at = ",
            $lease_until,
            ", updated_at = ",
            $now,
            " "
        )
    };
}
macro_rules! taken {
    () => {
        " RETURNING deliveries.id, record_id, platform, wanted, version, claimed, settled, tries, \
         first_tried_at, delivered_at, progress, remote_id, remote_url, shown_version, overridden"
    };
}

/// SQLite has one writer at a time, so what was selected is still so when it is updated. The
/// update finds its rows by id alone: by platform and time it would read the whole backlog. A bare
/// parameter as limit makes SQLite (3.48 and later) plan anew at each execution; a sum does not.
const CLAIM: &str = concat!(
    "WITH first AS MATERIALIZED (SELECT id FROM deliveries INDEXED BY deliveries_ahead \
     WHERE platform = $4 AND ahead AND due_at <= $6 ORDER BY due_at LIMIT ($5 + 1) / 2) ",
    take!("$1", "$2", "$3"),
    "WHERE id IN (SELECT id FROM first UNION ALL SELECT id FROM (SELECT id FROM deliveries \
     WHERE platform = $4 AND due_at <= $6 AND id NOT IN (SELECT id FROM first) \
     ORDER BY due_at LIMIT $5 + 0) LIMIT $5 + 0)",
    taken!()
);
/// Locked while selected, so that two processes can never take the same row; they step over each
/// other's rows instead of waiting. The array keeps the planner from reading the whole table.
const CLAIM_POSTGRES: &str = concat!(
    "WITH first AS MATERIALIZED (SELECT id FROM deliveries \
     WHERE platform = $4 AND ahead AND due_at <= $6 ORDER BY due_at LIMIT ($5 + 1) / 2 \
     FOR UPDATE SKIP LOCKED) ",
    take!("$1", "$2", "$3"),
    "WHERE id = ANY (ARRAY (SELECT id FROM first UNION ALL SELECT id FROM (SELECT id \
     FROM deliveries WHERE platform = $4 AND due_at <= $6 \
     AND id <> ALL (ARRAY (SELECT id FROM first)) ORDER BY due_at LIMIT $5 \
     FOR UPDATE SKIP LOCKED) AS rest LIMIT $5))",
    taken!()
);
/// Named deliveries are taken in two steps, because a statement over many rows cannot lock inside:
/// first those that nobody else changes right now, then those of them that are due. What is asked
/// besides the id is said so that PostgreSQL does not look for it by platform and time, through
/// all that was ever due.
static FREE: Bulk = Bulk::locking(
    &[
        ("id", Kind::Text),
        ("platform", Kind::Text),
        ("due_by", Kind::Int),
    ],
    "SELECT d.id FROM given JOIN deliveries d ON d.id = given.id \
     WHERE (d.platform = given.platform AND d.due_at <= given.due_by) IS TRUE",
    " FOR UPDATE OF d SKIP LOCKED",
);
static TAKE: Bulk = Bulk::new(
    &[
        ("id", Kind::Text),
        ("now", Kind::Int),
        ("owner", Kind::Text),
        ("until", Kind::Int),
        ("due_by", Kind::Int),
    ],
    concat!(
        take!("given.now", "given.owner", "given.until"),
        "FROM given WHERE deliveries.id = given.id AND (due_at <= given.due_by) IS TRUE",
        taken!()
    ),
);

/// What shall be shown says the wanted version; what shall be gone, the version that is or may
/// be shown: never one that a gate holds.
static DOCUMENTS: Bulk = Bulk::new(
    &[("id", Kind::Text)],
    "SELECT d.id, shown.document, w.reason FROM given \
     JOIN deliveries d ON d.id = given.id \
     JOIN versions w ON w.record_id = d.record_id AND w.version = d.version \
     LEFT JOIN versions shown ON shown.record_id = d.record_id AND shown.version = \
     CASE WHEN d.wanted = 'shown' THEN d.version ELSE COALESCE(d.shown_version, \
     (SELECT MAX(p.version) FROM versions p WHERE p.record_id = d.record_id \
     AND p.action = 'publish' AND (p.holds = '[]' OR p.released_at IS NOT NULL))) END",
);

const RENEW: &str = "UPDATE deliveries SET lease_until = CAST($1 AS BIGINT), \
     due_at = CASE WHEN held THEN NULL ELSE CAST($1 AS BIGINT) END \
     WHERE state = 'sending' AND lease_owner = $2";
const WANTED_NOW: &str = "SELECT wanted, version, claimed FROM deliveries \
     WHERE id = $1 AND NOT held";

#[cfg(test)]
pub(super) const SHARED: [&str; 2] = [RENEW, WANTED_NOW];
#[cfg(test)]
pub(super) const SQLITE: [&str; 1] = [CLAIM];
#[cfg(test)]
pub(super) const POSTGRES: [&str; 1] = [CLAIM_POSTGRES];
#[cfg(test)]
pub(super) static BULKS: [&Bulk; 3] = [&DOCUMENTS, &FREE, &TAKE];

impl Store {
    /// Takes up to `limit` due deliveries of `platform`, the longest due first, of `ids` only
    /// when given. Each belongs to `lease_owner` until `lease_until`, or until it is settled or
    /// released. A paused platform is the caller's concern.
    pub async fn claim(
        &self,
        platform: &str,
        ids: Option<&[DeliveryId]>,
        limit: i64,
        lease_owner: &str,
        now: i64,
        lease_until: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        let request = ClaimRequest {
            platform: platform.to_owned(),
            ids: ids.map(<[DeliveryId]>::to_vec),
            limit: limit.min(CLAIMS_MAX),
            lease_owner: lease_owner.to_owned(),
            now,
            due_by: now,
            lease_until,
        };
        self.claim_by(request).await
    }

    /// As [`Store::claim`], what was due by `due_by` only.
    pub async fn claim_due_by(
        &self,
        due_by: i64,
        platform: &str,
        ids: Option<&[DeliveryId]>,
        limit: i64,
        lease_owner: &str,
        (now, lease_until): (i64, i64),
    ) -> Result<Vec<Claim>, StoreError> {
        let request = ClaimRequest {
            platform: platform.to_owned(),
            ids: ids.map(<[DeliveryId]>::to_vec),
            limit: limit.min(CLAIMS_MAX),
            lease_owner: lease_owner.to_owned(),
            now,
            due_by: due_by.min(now),
            lease_until,
        };
        self.claim_by(request).await
    }

    async fn claim_by(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let (now, lease_until) = (request.now, request.lease_until);
        let lease_owner = request.lease_owner.clone();
        let asked_at = Instant::now();
        let claims = match self.writer().ask(Command::Claim(request)).await? {
            Answer::Claim(claims) => claims,
            _ => unreachable!("a claim is answered by claims"),
        };
        let lease = Duration::from_millis(lease_until.saturating_sub(now).max(0) as u64);
        self.in_time(claims, asked_at, &lease_owner, lease).await
    }

    /// Returns `claims` if what is left of their `lease`, which began at `asked_at`, is enough to
    /// work on them.
    pub(super) async fn in_time(
        &self,
        claims: Vec<Claim>,
        asked_at: Instant,
        lease_owner: &str,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        if claims.is_empty() || asked_at.elapsed() <= (lease / 2).max(LATE_MIN) {
            return Ok(claims);
        }
        // A slow commit used much of the lease up. It is renewed; if that is too late as well,
        // sending now could overlap with the next owner.
        let renewed = match asked_at.elapsed() < lease {
            true => {
                let until = now_ms() + lease.as_millis() as i64;
                self.renew(lease_owner, until).await.is_ok()
            }
            false => false,
        };
        if renewed && asked_at.elapsed() < lease {
            return Ok(claims);
        }
        let late: Vec<_> = claims
            .into_iter()
            .map(|claim| (claim.delivery, claim.token))
            .collect();
        self.release(&late).await?;
        Err(StoreError::not_in_time("claim deliveries"))
    }

    /// Extends all leases of `lease_owner`.
    pub async fn renew(&self, lease_owner: &str, lease_until: i64) -> Result<(), StoreError> {
        let command = Command::Renew(Renewal {
            lease_owner: lease_owner.to_owned(),
            lease_until,
        });
        match self.writer().ask(command).await? {
            Answer::Renew => Ok(()),
            _ => unreachable!("a renewal is answered by its end"),
        }
    }

    /// Returns what is wanted of a delivery now, the version and the newest token; `None` when
    /// nothing may be sent because its record is held. A cheap look before sending.
    pub async fn wanted_now(
        &self,
        delivery: &DeliveryId,
    ) -> Result<Option<(Wanted, i64, i64)>, StoreError> {
        let found: Option<(String, i64, i64)> =
            read!(self, "read what is wanted", |c| sqlx::query_as(WANTED_NOW)
                .bind(delivery.as_str())
                .fetch_optional(c)
                .await)?;
        found
            .map(|(wanted, version, token)| {
                Ok((parse_wanted(&wanted, delivery.as_str())?, version, token))
            })
            .transpose()
    }
}

/// Extends leases. Goes through the one writer, so that it never waits crosswise with a batch
/// that settles the same rows.
pub(super) async fn renew(tx: &mut Tx, renewal: &Renewal) -> Result<(), StoreError> {
    on!(tx, |c| sqlx::query(RENEW)
        .bind(renewal.lease_until)
        .bind(&renewal.lease_owner)
        .execute(&mut **c)
        .await
        .map(drop))
    .map_err(StoreError::while_doing("renew leases"))
}

/// Takes deliveries and reads what they are to say.
pub(super) async fn claim(tx: &mut Tx, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
    let failed = StoreError::while_doing("claim deliveries");
    let rows = match &request.ids {
        None => claim_due(tx, request).await.map_err(&failed)?,
        Some(ids) => claim_these(tx, request, ids).await.map_err(&failed)?,
    };
    let given: Vec<_> = rows.iter().map(|row| cells![&row.id]).collect();
    let documents: Vec<DocumentRow> = DOCUMENTS.fetch(tx, &given).await.map_err(&failed)?;
    let mut documents: HashMap<String, DocumentRow> = documents
        .into_iter()
        .map(|row| (row.id.clone(), row))
        .collect();
    let overridden: Vec<(&str, i64)> = rows
        .iter()
        .filter(|row| row.overridden)
        .map(|row| (row.id.as_str(), row.version))
        .collect();
    let patches = match overridden.is_empty() {
        true => HashMap::new(),
        false => patches(tx, &overridden).await?,
    };
    let mut claims = Vec::with_capacity(rows.len());
    for row in rows {
        let document = documents.remove(&row.id);
        let patches = patches.get(&row.id).map_or(&[][..], Vec::as_slice);
        claims.push(row.understand(document, patches)?);
    }
    Ok(claims)
}

async fn claim_due(tx: &mut Tx, request: &ClaimRequest) -> Result<Vec<ClaimRow>, sqlx::Error> {
    let text = match tx {
        Db::Sqlite(_) => CLAIM,
        Db::Postgres(_) => CLAIM_POSTGRES,
    };
    let mut rows: Vec<ClaimRow> = on!(tx, |c| sqlx::query_as(text)
        .bind(request.now)
        .bind(&request.lease_owner)
        .bind(request.lease_until)
        .bind(&request.platform)
        .bind(request.limit)
        .bind(request.due_by)
        .fetch_all(&mut **c)
        .await)?;
    // Ids sort by time, so older records go first.
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rows)
}

async fn claim_these(
    tx: &mut Tx,
    request: &ClaimRequest,
    ids: &[DeliveryId],
) -> Result<Vec<ClaimRow>, sqlx::Error> {
    let mut ids: Vec<&str> = ids.iter().map(DeliveryId::as_str).collect();
    // One order for everybody; also, the same row twice in one statement is taken once.
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(request.limit.max(0) as usize);
    let given: Vec<_> = ids
        .into_iter()
        .map(|id| cells![id, &request.platform, request.due_by])
        .collect();
    let free: Vec<(String,)> = FREE.fetch(tx, &given).await?;
    let given: Vec<_> = free
        .iter()
        .map(|(id,)| {
            cells![
                id,
                request.now,
                &request.lease_owner,
                request.lease_until,
                request.due_by
            ]
        })
        .collect();
    let mut rows: Vec<ClaimRow> = TAKE.fetch(tx, &given).await?;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rows)
}

impl ClaimRow {
    fn understand(
        self,
        document: Option<DocumentRow>,
        patches: &[(String, Value)],
    ) -> Result<Claim, StoreError> {
        let wanted = parse_wanted(&self.wanted, &self.id)?;
        let missing = || StoreError::corrupt("versions.document for delivery", &self.id);
        let said = document.ok_or_else(missing)?;
        Ok(Claim {
            wanted,
            version: self.version,
            token: self.claimed,
            in_doubt: self.claimed - self.settled > 1,
            was_delivered: wanted == Wanted::Shown && self.shown_version == Some(self.version),
            tries: self.tries,
            first_tried_at: self.first_tried_at,
            delivered_at: self.delivered_at,
            reworded: self.overridden,
            progress: self
                .progress
                .as_deref()
                .map(|text| parse_json(text, "deliveries.progress", &self.id))
                .transpose()?,
            document: Arc::new(Document::new(patched(
                said.document.ok_or_else(missing)?,
                patches,
                &self.id,
            )?)),
            reason: said.reason,
            delivery: self.id.into(),
            record_id: self.record_id.into(),
            platform: self.platform,
            remote_id: self.remote_id,
            remote_url: self.remote_url,
            shown_version: self.shown_version,
        })
    }
}
