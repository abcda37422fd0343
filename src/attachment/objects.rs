//! The object store: a folder, or an S3-compatible service. Objects are named by their content.

use super::AttachmentError;
use crate::blob::{Blob, IN_MEMORY_BYTES_MAX, Receiver};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetResultPayload, ObjectStore, ObjectStoreExt as _, WriteMultipart,
};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A larger file is written in parts; S3 wants parts of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts under way at once.
const PARTS_IN_FLIGHT: usize = 2;
/// First folder of all objects.
const SHELF: &str = "sha256";

/// How an S3-compatible service is reached.
#[derive(Clone, Default)]
pub struct S3Access {
    /// Such as `https://s3.example.gov.cn`; empty for that of the region.
    pub endpoint: String,
    /// Such as `cn-north-1`.
    pub region: String,
    /// Name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
}

impl std::fmt::Debug for S3Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the keys.
        formatter
            .debug_struct("S3Access")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Why the object store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither a folder nor `s3://bucket`.
    #[error("the address of the object store is neither a folder nor s3://bucket/prefix")]
    Address,
    /// The library refuses the settings.
    #[error("the object store cannot be set up")]
    Objects(#[from] object_store::Error),
    /// The HTTP client cannot be set up.
    #[error("the client that fetches files cannot be set up")]
    Client(#[from] reqwest::Error),
}

pub(super) struct Objects {
    place: Place,
    prefix: Path,
}

enum Place {
    /// Made when the first file comes.
    Folder(PathBuf),
    Service(Arc<dyn ObjectStore>),
}

/// An object as the store lists it.
pub(super) struct Listed {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

fn failed(doing: &'static str) -> impl Fn(object_store::Error) -> AttachmentError {
    move |source| AttachmentError::Objects { doing, source }
}

impl Objects {
    pub(super) fn open(url: &str, s3: &S3Access) -> Result<Self, OpenError> {
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return Ok(Self {
                place: Place::Service(Arc::new(service(bucket, s3)?)),
                prefix: Path::from(prefix),
            });
        }
        let folder = url.strip_prefix("file://").unwrap_or(url);
        if folder.is_empty() || folder.contains("://") {
            return Err(OpenError::Address);
        }
        Ok(Self {
            place: Place::Folder(PathBuf::from(folder)),
            prefix: Path::default(),
        })
    }

    fn store(&self) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        match &self.place {
            Place::Service(service) => Ok(Arc::clone(service)),
            Place::Folder(folder) => {
                // An error here is told by the next line in its own words.
                let _ = std::fs::create_dir_all(folder);
                // A file counts as kept only when it survives a power cut.
                let local = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                Ok(Arc::new(local))
            }
        }
    }

    fn path(&self, sha256: &str) -> Path {
        path(&self.prefix, sha256)
    }
    /// Writes an object; it is there whole or not at all.
    pub(super) async fn write(&self, sha256: &str, content: &Blob) -> Result<(), AttachmentError> {
        let failed = failed("write a file");
        let (store, path) = (self.store().map_err(&failed)?, self.path(sha256));
        if let Some(bytes) = content.whole(PART_BYTES as u64)? {
            store.put(&path, bytes.into()).await.map_err(&failed)?;
            return Ok(());
        }
        let upload = store.put_multipart(&path).await.map_err(&failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        for piece in content.pieces() {
            let written = match piece {
                Ok(piece) => {
                    let room = upload.wait_for_capacity(PARTS_IN_FLIGHT).await;
                    room.map(|()| upload.put(piece)).map_err(&failed)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = written {
                // The first error is the one to tell.
                let _ = upload.abort().await;
                return Err(error);
            }
        }
        upload.finish().await.map_err(&failed)?;
        Ok(())
    }

    /// Reads an object; a large one of a folder is opened where it lies, one of a service comes
    /// to disk first.
    pub(super) async fn read(&self, sha256: &str) -> Result<Blob, AttachmentError> {
        let failed = failed("read a file");
        let path = self.path(sha256);
        let got = self.store().map_err(&failed)?.get(&path).await;
        let got = match got {
            Err(object_store::Error::NotFound { .. }) => {
                return Err(AttachmentError::Missing(sha256.to_owned()));
            }
            got => got.map_err(&failed)?,
        };
        let bytes = got.meta.size;
        match got.payload {
            GetResultPayload::File(file, _) => {
                let blob = Blob::of_file(file, bytes);
                Ok(match blob.whole(IN_MEMORY_BYTES_MAX as u64)? {
                    Some(bytes) => Blob::Memory(bytes),
                    None => blob,
                })
            }
            GetResultPayload::Stream(mut pieces) => {
                let mut receiver = Receiver::new(bytes);
                while let Some(piece) = pieces.try_next().await.map_err(&failed)? {
                    receiver.take(&piece).map_err(std::io::Error::other)?;
                }
                Ok(receiver.finish().content)
            }
        }
    }

    /// Removes an object; one that is not there is as good.
    pub(super) async fn remove(&self, sha256: &str) -> Result<(), AttachmentError> {
        let failed = failed("remove a file");
        let store = self.store().map_err(&failed)?;
        match store.delete(&self.path(sha256)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            done => done.map_err(failed),
        }
    }

    /// Returns every object that was written more than `grace` ago.
    pub(super) fn old(
        &self,
        grace: Duration,
    ) -> Result<BoxStream<'static, Result<Listed, AttachmentError>>, AttachmentError> {
        if matches!(&self.place, Place::Folder(folder) if !folder.exists()) {
            return Ok(futures_util::stream::empty().boxed());
        }
        let before = SystemTime::now().checked_sub(grace);
        let store = self.store().map_err(failed("list the files"))?;
        let prefix = self.prefix.clone();
        let listed = store.list(Some(&prefix));
        let old = listed.try_filter_map(move |object| {
            let name = object.location.filename().unwrap_or_default();
            let is_digest = name.len() == 64 && name.bytes().all(|it| it.is_ascii_hexdigit());
            let is_ours = is_digest && object.location == path(&prefix, name);
            let written = SystemTime::from(object.last_modified);
            let is_old = before.is_some_and(|before| written < before);
            let listed = (is_ours && is_old).then(|| Listed {
                sha256: name.to_owned(),
                bytes: object.size,
            });
            std::future::ready(Ok(listed))
        });
        Ok(old.map_err(failed("list the files")).boxed())
    }

    /// Returns what a process that was killed left half written in a folder, more than `grace`
    /// ago. A service forgets such parts by a rule of its bucket.
    pub(super) fn torn(&self, grace: Duration) -> Result<Vec<PathBuf>, AttachmentError> {
        let Place::Folder(folder) = &self.place else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let before = SystemTime::now().checked_sub(grace);
        let shelves = match std::fs::read_dir(folder.join(SHELF)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            shelves => shelves?,
        };
        for shelf in shelves {
            for entry in std::fs::read_dir(shelf?.path())? {
                let entry = entry?;
                // The library writes `NAME#1` and renames it.
                if !entry.file_name().to_string_lossy().contains('#') {
                    continue;
                }
                let written = match entry.metadata() {
                    // Since the folder was listed, its writer has renamed it.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    metadata => metadata?.modified()?,
                };
                if before.is_some_and(|before| written < before) {
                    found.push(entry.path());
                }
            }
        }
        Ok(found)
    }
}

/// Two letters of the digest make a folder, so that none grows too large.
fn path(prefix: &Path, sha256: &str) -> Path {
    let parts = prefix.parts().map(|it| it.as_ref().to_owned());
    let shelf = sha256.get(..2).unwrap_or("xx").to_owned();
    Path::from_iter(parts.chain([SHELF.to_owned(), shelf, sha256.to_owned()]))
}

fn service(
    bucket: &str,
    access: &S3Access,
) -> Result<object_store::aws::AmazonS3, object_store::Error> {
    // The first caller wins; the provider is the same for all of them.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let allow_http = access.endpoint.starts_with("http://");
    let client = ClientOptions::new()
        .with_allow_http(allow_http)
        .with_timeout(Duration::from_secs(60))
        .with_connect_timeout(Duration::from_secs(5));
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client);
    if !access.endpoint.is_empty() {
        builder = builder.with_endpoint(&access.endpoint);
    }
    if !access.region.is_empty() {
        builder = builder.with_region(&access.region);
    }
    if !access.access_key_id.is_empty() {
        builder = builder
            .with_access_key_id(&access.access_key_id)
            .with_secret_access_key(&access.secret_access_key);
    }
    builder.build()
}
