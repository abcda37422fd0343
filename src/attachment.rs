//! Keeps the files of records, once by content, and fetches those that are given by address.
//!
//! Owns the object store (a folder, or an S3-compatible service), the limits of files, the one
//! client that fetches from allowed hosts, and the removal of what no record refers to. Which
//! object belongs to whom is noted in [`crate::store`], always before it is written and after it
//! is removed. What a file says is looked at by [`crate::screen`].

mod address;
mod fetch;
mod host;
mod objects;
mod tidy;

pub use fetch::FetchError;
pub use host::{AllowedHost, HostError};
pub use objects::{OpenError, S3Access};
pub use tidy::{Removable, Tidied, keep_tidy};

use crate::blob::{Blob, Received, Receiver};
use crate::clock::now_ms;
use crate::store::{Expected, KeptFile, Store, StoreError};
use fetch::Fetcher;
use objects::Objects;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a file that arrives waits for the removal of the same content to end.
const REMOVAL_WAIT: Duration = Duration::from_secs(5);
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// How files are kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// `file:///folder`, `s3://bucket/prefix`, or a plain folder.
    pub url: String,
    /// How an S3-compatible service is reached; the rest comes from `url`.
    pub s3: S3Access,
    /// From where files may be fetched.
    pub hosts: Vec<AllowedHost>,
    /// What one submission may bring.
    pub limits: Limits,
    /// How long the files of one submission may take to be fetched, with all tries.
    pub fetch_timeout: Duration,
    /// How long an object that no record refers to is left alone.
    pub grace: Duration,
}

/// What one submission may bring along.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// All files together, in bytes.
    pub total_bytes_max: u64,
    /// Number of files.
    pub count_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes_max: 256 << 20,
            total_bytes_max: 512 << 20,
            count_max: 50,
        }
    }
}

/// Why files cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// The object store does not take or give a file.
    #[error("the object store failed while it should {doing}")]
    Objects {
        /// What it was about to do, as a verb.
        doing: &'static str,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// A record refers to a file that is not there.
    #[error("file {0} is not in the object store")]
    Missing(String),
    /// The same content is being removed and that does not end.
    #[error("file {0} is being removed")]
    BeingRemoved(String),
    /// The disk under the files cannot be read or written.
    #[error("a file cannot be read or written")]
    Disk(#[from] std::io::Error),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The files of all records; cheap to clone.
#[derive(Clone)]
pub struct Attachments {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    objects: Objects,
    fetcher: Fetcher,
    limits: Limits,
    fetch_timeout: Duration,
    grace: Duration,
}

impl Attachments {
    /// Opens the object store; makes nothing yet.
    ///
    /// # Errors
    /// An address that cannot be used, a client that cannot be set up.
    pub fn open(store: &Store, options: Options) -> Result<Self, OpenError> {
        Ok(Self {
            inner: Arc::new(Inner {
                store: store.clone(),
                objects: Objects::open(&options.url, &options.s3)?,
                fetcher: Fetcher::new(options.hosts)?,
                limits: options.limits,
                fetch_timeout: options.fetch_timeout,
                grace: options.grace,
            }),
        })
    }

    /// Opens a folder as object store; nothing is fetched.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub fn in_folder(store: &Store, folder: &Path) -> Result<Self, OpenError> {
        let options = Options {
            url: folder.display().to_string(),
            s3: S3Access::default(),
            hosts: Vec::new(),
            limits: Limits::default(),
            fetch_timeout: Duration::from_secs(20),
            grace: Duration::from_secs(3_600),
        };
        Self::open(store, options)
    }

    /// Returns what one submission may bring.
    pub fn limits(&self) -> Limits {
        self.inner.limits
    }

    /// Receives a file that comes in pieces, such as a part of a form.
    pub fn receiver(&self) -> Receiver {
        Receiver::new(self.inner.limits.file_bytes_max)
    }

    /// Returns until when the files of a submission that comes now must be fetched.
    pub fn fetch_deadline(&self) -> Instant {
        Instant::now() + self.inner.fetch_timeout
    }

    /// Fetches a file of at most `bytes_max` bytes from an allowed host, until `deadline`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(
        &self,
        url: &str,
        bytes_max: u64,
        deadline: Instant,
    ) -> Result<Received, FetchError> {
        let bytes_max = bytes_max.min(self.inner.limits.file_bytes_max);
        self.inner.fetcher.fetch(url, bytes_max, deadline).await
    }

    /// Keeps a file; when this returns, it survives a power cut. It is safe from removal for the
    /// grace time, in which a version must come to refer to it.
    ///
    /// # Errors
    /// See [`AttachmentError`].
    pub async fn keep(&self, sha256: &str, content: &Blob) -> Result<(), AttachmentError> {
        let store = &self.inner.store;
        let began = Instant::now();
        loop {
            let known = store
                .expect_attachment(sha256, content.len(), now_ms())
                .await?;
            match known {
                Expected::Kept => return Ok(()),
                Expected::Write => return self.inner.objects.write(sha256, content).await,
                Expected::BeingRemoved if began.elapsed() < REMOVAL_WAIT => {
                    tokio::time::sleep(REMOVAL_PAUSE).await;
                }
                Expected::BeingRemoved => {
                    return Err(AttachmentError::BeingRemoved(sha256.to_owned()));
                }
            }
        }
    }

    /// Returns the content of a file that a version refers to; a large one stays on disk.
    ///
    /// # Errors
    /// See [`AttachmentError`].
    pub async fn read(&self, sha256: &str) -> Result<Blob, AttachmentError> {
        let found = self.find(sha256).await?;
        found.ok_or_else(|| AttachmentError::Missing(sha256.to_owned()))
    }

    /// Returns a file with this digest when a version refers to it already.
    ///
    /// # Errors
    /// See [`AttachmentError`].
    pub async fn known(&self, sha256: &str) -> Result<Option<Received>, AttachmentError> {
        let found = self.find(sha256).await?;
        Ok(found.map(|content| Received {
            content,
            sha256: sha256.to_owned(),
        }))
    }

    async fn find(&self, sha256: &str) -> Result<Option<Blob>, AttachmentError> {
        Ok(match self.inner.store.attachment(sha256).await? {
            Some(KeptFile::Row(bytes)) => Some(Blob::from(bytes)),
            Some(KeptFile::Object { .. }) => Some(self.inner.objects.read(sha256).await?),
            None => None,
        })
    }
}

impl std::fmt::Debug for Attachments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Attachments")
            .finish_non_exhaustive()
    }
}

/// Returns a size in words, such as `256MB`.
pub fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes}字节"),
        megabytes => format!("{megabytes}MB"),
    }
}

#[cfg(test)]
mod tests;
