//! What is to be looked at, page by page.
//!
//! What was taken down is looked at as well: a restored backup or an editor may have brought it
//! back. A page ends after so many records, however few of them are on the platform, so that no
//! statement takes longer the rarer a platform is.

use super::super::db::row;
use super::super::outage::read;
use super::super::steer::parse_wanted;
use super::super::{Claim, Document, Store, StoreError};
use crate::record::{DeliveryId, RecordId};
use std::sync::Arc;

row! {
    /// Where one delivery stands, to be looked at.
    struct ShownRow {
        id: String,
        record_id: String,
        platform: String,
        wanted: String,
        version: i64,
        claimed: i64,
        tries: i64,
        delivered_at: Option<i64>,
        remote_id: Option<String>,
        remote_url: Option<String>,
        document: Option<String>,
    }
}

/// How many records one page looks through.
const PAGE_RECORDS: i64 = 5_000;

/// What the platform said yes to and shall still show, and what was taken down there.
macro_rules! shown {
    () => {
        "NOT d.held AND ((d.wanted = 'shown' AND d.state IN ('delivered', 'confirmed') \
         AND d.shown_version = d.version) \
         OR (d.wanted = 'gone' AND d.state = 'withdrawn' AND d.claimed > 0))"
    };
}
/// The last of the next records.
const PAGE_END: &str = "SELECT MAX(id) AS id FROM (SELECT id FROM records WHERE id > $1 \
     ORDER BY id LIMIT $2 + 0) AS next";
/// By record, through the index of records and platforms.
const PAGE: &str = concat!(
    "SELECT d.record_id, d.id FROM deliveries d WHERE d.record_id > $2 AND d.record_id <= $3 \
     AND d.platform = $1 AND ",
    shown!(),
    " ORDER BY d.record_id LIMIT $4"
);
/// What was taken down says what was shown, as far as there is such a version.
const SHOWN: &str = concat!(
    "SELECT d.id, d.record_id, d.platform, d.wanted, d.version, d.claimed, d.tries, \
     d.delivered_at, d.remote_id, d.remote_url, v.document FROM deliveries d JOIN versions v \
     ON v.record_id = d.record_id AND v.version = CASE WHEN d.wanted = 'shown' THEN d.version \
     ELSE (SELECT MAX(p.version) FROM versions p WHERE p.record_id = d.record_id \
     AND p.action = 'publish' AND (p.holds = '[]' OR p.released_at IS NOT NULL)) END \
     WHERE d.id = $1 AND ",
    shown!()
);
#[cfg(test)]
pub(super) const SHARED: [&str; 3] = [PAGE_END, PAGE, SHOWN];

/// Some of what is to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownPage {
    /// Records and their deliveries; may be none although there are more pages.
    pub ids: Vec<(RecordId, DeliveryId)>,
    /// The record after which the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl Store {
    /// Returns the next page of what is to be looked at on `platform`, up to `limit`, by record,
    /// after the record `after`.
    pub async fn shown_after(
        &self,
        platform: &str,
        after: &str,
        limit: i64,
    ) -> Result<ShownPage, StoreError> {
        self.page_of(platform, after, limit, PAGE_RECORDS).await
    }

    /// As [`Store::shown_after`], looking through `records` at most.
    pub(in crate::store) async fn page_of(
        &self,
        platform: &str,
        after: &str,
        limit: i64,
        records: i64,
    ) -> Result<ShownPage, StoreError> {
        let (end,): (Option<String>,) = read!(self, "find the end of a page", |c| {
            sqlx::query_as(PAGE_END)
                .bind(after)
                .bind(records)
                .fetch_one(c)
                .await
        })?;
        let Some(end) = end else {
            return Ok(ShownPage::default());
        };
        let rows: Vec<(String, String)> =
            read!(self, "page through what is shown", |c| sqlx::query_as(PAGE)
                .bind(platform)
                .bind(after)
                .bind(&end)
                .bind(limit)
                .fetch_all(c)
                .await)?;
        let is_full = rows.len() as i64 == limit;
        let last = rows.last().map(|(record, _)| record.clone());
        Ok(ShownPage {
            next: last.filter(|_| is_full).or(Some(end)),
            ids: rows
                .into_iter()
                .map(|(record, delivery)| (record.into(), delivery.into()))
                .collect(),
        })
    }

    /// Returns what has to be known to look at a delivery; `None` when nothing of it shall be
    /// shown or gone just now. Claims nothing.
    pub async fn shown(&self, delivery: &DeliveryId) -> Result<Option<Claim>, StoreError> {
        let row: Option<ShownRow> = read!(self, "read what is shown", |c| sqlx::query_as(SHOWN)
            .bind(delivery.as_str())
            .fetch_optional(c)
            .await)?;
        let Some(row) = row else { return Ok(None) };
        let mut claim = row.understand()?;
        let document = self
            .in_other_words(delivery.as_str(), claim.document.text().to_owned())
            .await?;
        claim.document = Arc::new(Document::new(document));
        Ok(Some(claim))
    }
}

impl ShownRow {
    fn understand(self) -> Result<Claim, StoreError> {
        let missing = || StoreError::corrupt("versions.document for delivery", &self.id);
        Ok(Claim {
            document: Arc::new(Document::new(self.document.clone().ok_or_else(missing)?)),
            wanted: parse_wanted(&self.wanted, &self.id)?,
            delivery: self.id.into(),
            record_id: self.record_id.into(),
            platform: self.platform,
            version: self.version,
            token: self.claimed,
            in_doubt: false,
            was_delivered: true,
            tries: self.tries,
            first_tried_at: None,
            delivered_at: self.delivered_at,
            // What is only looked at is compared word by word.
            reworded: false,
            progress: None,
            remote_id: self.remote_id,
            remote_url: self.remote_url,
            shown_version: Some(self.version),
            reason: None,
        })
    }
}
