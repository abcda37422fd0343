//! Which files are in the object store, and which of them a record refers to.
//!
//! A row is `arriving` before its object is written, `kept` once a version refers to it, and
//! `removing` from before its object is removed until after. So a file that arrives again while
//! its object is being removed waits, and nothing that was committed is ever removed. The bytes
//! themselves live in [`crate::attachment`].

use super::db::{Tx, on, row};
use super::outage::{once, read};
use super::{Store, StoreError};

/// Objects of one page of what may be removed.
const LOOSE_PAGE: i64 = 200;

const EXPECT: &str = "INSERT INTO attachments (sha256, bytes, content, state, touched_at) \
     VALUES ($1, $2, $3, 'arriving', $4) ON CONFLICT (sha256) DO UPDATE \
     SET touched_at = excluded.touched_at WHERE attachments.state <> 'removing' \
     RETURNING state";
const KEEP: &str =
    "UPDATE attachments SET state = 'kept' WHERE sha256 = $1 AND state <> 'removing'";
const FIND: &str = "SELECT bytes, content, state FROM attachments WHERE sha256 = $1";
const KNOWN: &str = "SELECT COUNT(*) FROM attachments WHERE sha256 = $1";
const LOOSE: &str = "SELECT sha256, bytes FROM attachments \
     WHERE state <> 'kept' AND touched_at < $1 AND sha256 > $2 ORDER BY sha256 LIMIT $3";
const CONDEMN: &str = "UPDATE attachments SET state = 'removing', touched_at = $2 \
     WHERE sha256 = $1 AND state <> 'kept' AND touched_at < $3";
const CONDEMN_UNKNOWN: &str = "INSERT INTO attachments (sha256, bytes, content, state, touched_at) \
     VALUES ($1, 0, $2, 'removing', $3) ON CONFLICT (sha256) DO NOTHING";
const FORGET: &str = "DELETE FROM attachments WHERE sha256 = $1 AND state = 'removing'";

#[cfg(test)]
pub(super) const SHARED: [&str; 8] = [
    EXPECT,
    KEEP,
    FIND,
    KNOWN,
    LOOSE,
    CONDEMN,
    CONDEMN_UNKNOWN,
    FORGET,
];

row! {
    struct FileRow { bytes: i64, content: Vec<u8>, state: String }
}

row! {
    struct LooseRow { sha256: String, bytes: i64 }
}

/// What is known of a file that is about to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A version refers to it already; its content is there.
    Kept,
    /// Its object has to be written.
    Write,
    /// Its object is being removed this moment; ask again.
    BeingRemoved,
}

/// Where the content of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptFile {
    /// In the object store.
    Object {
        /// Its size.
        bytes: u64,
    },
    /// In the database, where files were kept before.
    Row(Vec<u8>),
}

impl Store {
    /// Announces a file of `bytes` bytes before its object is written; from `now` on it is safe
    /// from removal for the grace time.
    pub async fn expect_attachment(
        &self,
        sha256: &str,
        bytes: u64,
        now: i64,
    ) -> Result<Expected, StoreError> {
        let wait = self.inner.limits.wait;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let state: Option<(String,)> = once!(self, wait, "announce a file", |c| {
            sqlx::query_as(EXPECT)
                .bind(sha256)
                .bind(bytes)
                .bind(Vec::<u8>::new())
                .bind(now)
                .fetch_optional(c)
                .await
        })?;
        Ok(match state {
            None => Expected::BeingRemoved,
            Some((state,)) if state == "kept" => Expected::Kept,
            Some(_) => Expected::Write,
        })
    }

    /// Returns where a file is that a version refers to, by its lower-case hex SHA-256.
    pub async fn attachment(&self, sha256: &str) -> Result<Option<KeptFile>, StoreError> {
        let row: Option<FileRow> = read!(self, "find a file", |c| sqlx::query_as(FIND)
            .bind(sha256)
            .fetch_optional(c)
            .await)?;
        Ok(row
            .filter(|row| row.state == "kept")
            .map(|row| match row.content.is_empty() {
                true => KeptFile::Object {
                    bytes: u64::try_from(row.bytes).unwrap_or_default(),
                },
                false => KeptFile::Row(row.content),
            }))
    }

    /// Returns whether there is a row of a file, whatever its state.
    pub async fn attachment_known(&self, sha256: &str) -> Result<bool, StoreError> {
        let (count,): (i64,) = read!(self, "look for a file", |c| sqlx::query_as(KNOWN)
            .bind(sha256)
            .fetch_one(c)
            .await)?;
        Ok(count > 0)
    }

    /// Returns files behind `after` that no version refers to and that were not announced since
    /// `before`, as (SHA-256, bytes), in the order of their digests, a page at a time.
    pub async fn loose_attachments(
        &self,
        before: i64,
        after: &str,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let rows: Vec<LooseRow> = read!(self, "find loose files", |c| sqlx::query_as(LOOSE)
            .bind(before)
            .bind(after)
            .bind(LOOSE_PAGE)
            .fetch_all(c)
            .await)?;
        Ok(rows
            .into_iter()
            .map(|row| (row.sha256, row.bytes))
            .collect())
    }

    /// Claims a loose file for removal at `now`; `false` when somebody needs it after all, or
    /// another process removes it.
    pub async fn condemn_attachment(
        &self,
        sha256: &str,
        before: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        let wait = self.inner.limits.wait;
        once!(self, wait, "claim a file for removal", |c| sqlx::query(
            CONDEMN
        )
        .bind(sha256)
        .bind(now)
        .bind(before)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
    }

    /// Claims an object for removal of which no row knows; `false` when one does.
    pub async fn condemn_unknown_attachment(
        &self,
        sha256: &str,
        now: i64,
    ) -> Result<bool, StoreError> {
        let wait = self.inner.limits.wait;
        once!(self, wait, "claim an object for removal", |c| sqlx::query(
            CONDEMN_UNKNOWN
        )
        .bind(sha256)
        .bind(Vec::<u8>::new())
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected() == 1))
    }

    /// Forgets a file whose object is removed.
    pub async fn forget_attachment(&self, sha256: &str) -> Result<(), StoreError> {
        let wait = self.inner.limits.wait;
        once!(self, wait, "forget a file", |c| sqlx::query(FORGET)
            .bind(sha256)
            .execute(c)
            .await
            .map(drop))
    }
}

/// Notes that a version refers to a file, in the transaction that writes the version.
pub(super) async fn keep(tx: &mut Tx, sha256: &str) -> Result<(), StoreError> {
    let kept = on!(&mut *tx, |c| sqlx::query(KEEP)
        .bind(sha256)
        .execute(&mut **c)
        .await
        .map(|done| done.rows_affected()))
    .map_err(StoreError::while_doing("keep a file"))?;
    match kept {
        1 => Ok(()),
        _ => Err(StoreError::FileGone),
    }
}
