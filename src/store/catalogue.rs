//! The versions of the registry: each content once, with when it was first seen.

use super::db::{on, row};
use super::outage::read;
use super::submit::parse_json;
use super::{Store, StoreError};
use crate::catalogue::{Catalogue, CatalogueChange, catalogue_changes};
use crate::clock::now_ms;
use serde::Serialize;
use serde_json::Value;

/// How many versions a list shows, the newest.
const LISTED_MAX: i64 = 50;
/// How often another process may be faster with a number before we give up.
const TRIES_MAX: usize = 20;

/// One version of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogueVersion {
    /// 1, 2, 3 …
    pub version: i64,
    /// Lower-case hex SHA-256 of its content.
    pub sha256: String,
    /// When a hub first used it, unix milliseconds.
    pub first_seen_at: i64,
    /// What differs from the version before; empty for the first.
    pub changes: Vec<CatalogueChange>,
}

row! {
    /// A row of `catalogues`, without the content.
    struct VersionRow { version: i64, sha256: String, first_seen_at: i64, changes: String }
}

const FIND: &str = "SELECT version FROM catalogues WHERE sha256 = $1";
const LATEST: &str = "SELECT version, content FROM catalogues ORDER BY version DESC LIMIT 1";
const INSERT: &str = "INSERT INTO catalogues (version, sha256, content, changes, first_seen_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
const LIST: &str = "SELECT version, sha256, first_seen_at, changes FROM catalogues \
     ORDER BY version DESC LIMIT $1";

#[cfg(test)]
pub(super) const SHARED: [&str; 4] = [FIND, LATEST, INSERT, LIST];

impl Store {
    /// Returns the number of the version that `catalogue` is; keeps it when it was never used.
    pub async fn note_catalogue(&self, catalogue: &Catalogue) -> Result<i64, StoreError> {
        let content = catalogue.content();
        let sha256 = catalogue.sha256();
        for _ in 0..TRIES_MAX {
            if let Some(version) = self.find_catalogue(&sha256).await? {
                return Ok(version);
            }
            let latest = self.latest_catalogue().await?;
            let new = CatalogueVersion {
                version: latest.as_ref().map_or(1, |(version, _)| version + 1),
                sha256: sha256.clone(),
                first_seen_at: now_ms(),
                changes: latest.map_or_else(Vec::new, |(_, old)| catalogue_changes(&old, &content)),
            };
            if self.insert_catalogue(&new, &content).await? {
                return Ok(new.version);
            }
        }
        Err(StoreError::corrupt("catalogues.version", &sha256))
    }

    /// Returns the version whose content has this digest, if it was ever used.
    pub async fn find_catalogue(&self, sha256: &str) -> Result<Option<i64>, StoreError> {
        let found: Option<(i64,)> = read!(self, "find the catalogue", |c| sqlx::query_as(FIND)
            .bind(sha256)
            .fetch_optional(c)
            .await)?;
        Ok(found.map(|(version,)| version))
    }

    /// Returns the newest version with its content; none in a new database.
    async fn latest_catalogue(&self) -> Result<Option<(i64, Value)>, StoreError> {
        let found: Option<(i64, String)> =
            read!(self, "read the catalogue", |c| sqlx::query_as(LATEST)
                .fetch_optional(c)
                .await)?;
        found
            .map(|(version, content)| {
                let content = parse_json(&content, "catalogues.content", &version.to_string())?;
                Ok((version, content))
            })
            .transpose()
    }

    /// Keeps a version of the catalogue; false when another process was faster with this number or
    /// this content.
    async fn insert_catalogue(
        &self,
        new: &CatalogueVersion,
        content: &Value,
    ) -> Result<bool, StoreError> {
        let changes = serde_json::to_string(&new.changes).unwrap_or_else(|_| "[]".to_owned());
        let content = content.to_string();
        let inserted = on!(&self.pools().writer, |c| sqlx::query(INSERT)
            .bind(new.version)
            .bind(new.sha256.as_str())
            .bind(content.as_str())
            .bind(changes.as_str())
            .bind(new.first_seen_at)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(StoreError::while_doing("keep the catalogue"))?;
        Ok(inserted == 1)
    }

    /// Returns the versions of the catalogue, the newest first, up to 50.
    pub async fn catalogues(&self) -> Result<Vec<CatalogueVersion>, StoreError> {
        let rows: Vec<VersionRow> = read!(self, "list the catalogues", |c| sqlx::query_as(LIST)
            .bind(LISTED_MAX)
            .fetch_all(c)
            .await)?;
        rows.into_iter()
            .map(|row| {
                let id = row.version.to_string();
                Ok(CatalogueVersion {
                    changes: parse_json(&row.changes, "catalogues.changes", &id)?,
                    version: row.version,
                    sha256: row.sha256,
                    first_seen_at: row.first_seen_at,
                })
            })
            .collect()
    }
}
