//! Removes files that no record refers to: of submissions that broke off or were refused.
//!
//! What was announced within the grace time stays, so that a submission that is under way never
//! loses its file. A file is claimed in the store first, then its object is removed, then its row:
//! whoever posts the same content meanwhile waits, and a process that ends in between leaves a
//! claim that the next one takes over.

use super::{AttachmentError, Attachments};
use crate::clock::now_ms;
use futures_util::TryStreamExt as _;
use serde::Serialize;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The first look of a process that has just started.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// A file that was not written to for so long is not being written any more.
const TORN_AFTER: Duration = Duration::from_secs(120);
/// How long a claim may be acted upon; shorter than any grace time of the settings.
const CLAIM_LIFE: Duration = Duration::from_secs(60);

/// A file that is not needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removable {
    /// Lower-case hex SHA-256; of a half-written file its name.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What a removal did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tidied {
    /// Files that were removed, or would be.
    pub files: u64,
    /// Their size in all.
    pub bytes: u64,
}

impl Tidied {
    fn count(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl Attachments {
    /// Removes what no record refers to and is older than the grace time; with `dry_run` only says
    /// what. Each one is told to `each`.
    ///
    /// # Errors
    /// See [`AttachmentError`]; what was removed before stays removed.
    pub async fn tidy(
        &self,
        dry_run: bool,
        mut each: impl FnMut(&Removable) + Send,
    ) -> Result<Tidied, AttachmentError> {
        let grace = self.inner.grace;
        let before = now_ms() - i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let mut tidied = Tidied::default();
        let mut tell = |sha256: String, bytes: u64| {
            tidied.count(bytes);
            each(&Removable { sha256, bytes });
        };
        let mut after = String::new();
        loop {
            let page = self.inner.store.loose_attachments(before, &after).await?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after.clone_from(last);
            for (sha256, bytes) in page {
                if dry_run || self.remove_loose(&sha256, before).await? {
                    tell(sha256, u64::try_from(bytes).unwrap_or_default());
                }
            }
        }
        let mut objects = self.inner.objects.old(grace)?;
        while let Some(object) = objects.try_next().await? {
            let known = self.inner.store.attachment_known(&object.sha256).await?;
            if !known && (dry_run || self.remove_unknown(&object.sha256).await?) {
                tell(object.sha256, object.bytes);
            }
        }
        for path in self.inner.objects.torn(grace.max(TORN_AFTER))? {
            let bytes = path.metadata().map_or(0, |it| it.len());
            if !dry_run {
                match std::fs::remove_file(&path) {
                    // Another process was quicker.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    removed => removed?,
                }
            }
            let name = path.file_name().unwrap_or_default();
            tell(name.to_string_lossy().into_owned(), bytes);
        }
        Ok(tidied)
    }

    async fn remove_loose(&self, sha256: &str, before: i64) -> Result<bool, AttachmentError> {
        let (store, claimed_at) = (&self.inner.store, Instant::now());
        if !store.condemn_attachment(sha256, before, now_ms()).await? {
            return Ok(false);
        }
        self.remove_claimed(sha256, claimed_at).await
    }

    async fn remove_unknown(&self, sha256: &str) -> Result<bool, AttachmentError> {
        let (store, claimed_at) = (&self.inner.store, Instant::now());
        if !store.condemn_unknown_attachment(sha256, now_ms()).await? {
            return Ok(false);
        }
        self.remove_claimed(sha256, claimed_at).await
    }

    /// A claim is taken over after the grace time, so one that has become old is left to others.
    async fn remove_claimed(
        &self,
        sha256: &str,
        claimed_at: Instant,
    ) -> Result<bool, AttachmentError> {
        if claimed_at.elapsed() > CLAIM_LIFE {
            return Ok(false);
        }
        self.inner.objects.remove(sha256).await?;
        self.inner.store.forget_attachment(sha256).await?;
        Ok(true)
    }
}

/// Removes what no record refers to, again and again, until `ending`.
pub async fn keep_tidy(attachments: Attachments, interval: Duration, ending: CancellationToken) {
    let mut wait = FIRST_LOOK.min(interval);
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = interval;
        match attachments.tidy(false, |_| {}).await {
            Ok(Tidied { files: 0, .. }) => {}
            Ok(tidied) => tracing::info!(
                files = tidied.files,
                bytes = tidied.bytes,
                "Removed {} files that no record refers to",
                tidied.files
            ),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Files that no record refers to could not be removed"
            ),
        }
    }
}
