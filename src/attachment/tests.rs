//! Keeping, reading and removing files in a folder.

use super::*;
use crate::store::NewSubmission;
use crate::store::tests::{Fresh, sample};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

struct Place {
    store: Fresh,
    folder: tempfile::TempDir,
    attachments: Attachments,
}

impl Place {
    /// Files that no record refers to may be removed at once.
    async fn without_grace() -> Self {
        Self::with(Duration::ZERO).await
    }

    async fn with(grace: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("files").display().to_string();
        Self::at(url, folder, S3Access::default(), grace).await
    }

    async fn at(url: String, folder: tempfile::TempDir, s3: S3Access, grace: Duration) -> Self {
        let store = Fresh::open().await;
        let options = Options {
            url,
            s3,
            hosts: Vec::new(),
            limits: Limits::default(),
            fetch_timeout: Duration::from_secs(1),
            grace,
        };
        let attachments = Attachments::open(&store.store, options).unwrap();
        Self {
            store,
            folder,
            attachments,
        }
    }

    async fn keep(&self, text: &str) -> String {
        let sha256 = hex::encode(Sha256::digest(text));
        let content = Blob::from(text.as_bytes().to_vec());
        self.attachments.keep(&sha256, &content).await.unwrap();
        sha256
    }

    async fn refer_to(&self, source_id: &str, sha256: &str) {
        let new = NewSubmission {
            files: vec![sha256.to_owned()],
            ..sample(source_id, 1)
        };
        self.store.store.submit(new).await.unwrap();
    }

    /// Keeps a file of 20 MB and reads it back from where it lies.
    async fn keeps_a_large_file(&self) {
        let mut receiver = self.attachments.receiver();
        let piece: Vec<u8> = (0..1_000_003_u32).map(|at| (at % 241) as u8).collect();
        // More than two parts of an upload.
        for _ in 0..20 {
            receiver.take(&piece).unwrap();
        }
        let received = receiver.finish();
        let (sha256, content) = (&received.sha256, &received.content);
        self.attachments.keep(sha256, content).await.unwrap();
        self.refer_to("large", sha256).await;
        let read = self.attachments.read(sha256).await.unwrap();
        assert!(matches!(read, Blob::Disk(_)));
        let mut hash = Sha256::new();
        for piece in read.pieces() {
            hash.update(piece.unwrap());
        }
        assert_eq!(&hex::encode(hash.finalize()), sha256);
    }

    async fn tidy(&self) -> Vec<String> {
        self.tidied(false).await
    }

    async fn tidied(&self, dry_run: bool) -> Vec<String> {
        // Times are whole milliseconds, and only what is older goes.
        let began = now_ms();
        while now_ms() == began {
            tokio::task::yield_now().await;
        }
        let mut removed = Vec::new();
        let told = |file: &Removable| removed.push(file.sha256.clone());
        self.attachments.tidy(dry_run, told).await.unwrap();
        removed
    }

    /// All files under the folder.
    fn files(&self) -> Vec<PathBuf> {
        fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => collect(&path, found),
                    false => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        collect(self.folder.path(), &mut found);
        found
    }
}

#[tokio::test]
async fn a_file_is_kept_once_and_read_back() {
    let place = Place::without_grace().await;
    for source_id in ["a", "b"] {
        let sha256 = place.keep("abc").await;
        place.refer_to(source_id, &sha256).await;
        let read = place.attachments.read(&sha256).await.unwrap();
        assert_eq!(read.whole(3).unwrap().unwrap().as_ref(), b"abc");
    }
    assert_eq!(place.files().len(), 1);
    let missing = place.attachments.read("00").await.unwrap_err();
    assert!(matches!(missing, AttachmentError::Missing(_)), "{missing}");
}

#[tokio::test]
async fn a_large_file_is_read_where_it_lies() {
    let place = Place::without_grace().await;
    place.keeps_a_large_file().await;
}

#[tokio::test]
async fn only_what_no_record_refers_to_is_removed() {
    let place = Place::without_grace().await;
    let kept = place.keep("kept").await;
    place.refer_to("a", &kept).await;
    let loose = place.keep("loose").await;
    let all = place.files();
    let shelf = all[0].parent().unwrap().with_file_name("ab");
    std::fs::create_dir_all(&shelf).unwrap();
    std::fs::write(shelf.join("ab".repeat(32)), "put there by hand").unwrap();
    std::fs::write(shelf.join("ef".repeat(32)), "not ours: on another shelf").unwrap();
    let torn = all[0].with_file_name(format!("{}#1", "cd".repeat(32)));
    std::fs::write(&torn, "half").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(200);
    let file = std::fs::File::options().write(true).open(&torn).unwrap();
    file.set_modified(long_ago).unwrap();
    std::fs::write(
        all[0].with_file_name(format!("{}#1", "ee".repeat(32))),
        "young",
    )
    .unwrap();
    let dry = place.tidied(true).await;
    assert_eq!(place.files().len(), 6);
    let removed = place.tidy().await;
    assert_eq!(removed, dry);
    let expected = [loose, "ab".repeat(32), format!("{}#1", "cd".repeat(32))];
    assert_eq!(removed, expected);
    assert_eq!(place.files().len(), 3);
    assert!(place.attachments.read(&kept).await.is_ok());
    assert_eq!(place.tidy().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_young_is_left_alone() {
    let place = Place::with(Duration::from_secs(60)).await;
    place.keep("loose").await;
    let shelf = place.files()[0].parent().unwrap().with_file_name("ab");
    std::fs::create_dir_all(&shelf).unwrap();
    std::fs::write(shelf.join("ab".repeat(32)), "young").unwrap();
    assert_eq!(place.tidy().await, Vec::<String>::new());
    assert_eq!(place.files().len(), 2);
}

#[tokio::test]
async fn a_file_that_comes_while_it_is_removed_is_there_afterwards() {
    let place = Place::without_grace().await;
    let sha256 = place.keep("abc").await;
    // Another process has claimed it and is about to remove the object.
    let store = &place.store.store;
    let later = now_ms() + 1;
    assert!(
        store
            .condemn_attachment(&sha256, later, later)
            .await
            .unwrap()
    );
    let again = tokio::spawn({
        let (attachments, sha256) = (place.attachments.clone(), sha256.clone());
        async move {
            attachments
                .keep(&sha256, &Blob::from(b"abc".to_vec()))
                .await
        }
    });
    place
        .attachments
        .inner
        .objects
        .remove(&sha256)
        .await
        .unwrap();
    assert!(!again.is_finished());
    store.forget_attachment(&sha256).await.unwrap();
    again.await.unwrap().unwrap();
    place.refer_to("a", &sha256).await;
    let read = place.attachments.read(&sha256).await.unwrap();
    assert_eq!(read.len(), 3);
}

/// Posting and removing the same few contents at once, again and again: what was committed is
/// there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_committed_is_lost_in_a_race() {
    let place = Place::without_grace().await;
    let ending = tokio_util::sync::CancellationToken::new();
    let tidying = tokio::spawn({
        let (attachments, ending) = (place.attachments.clone(), ending.clone());
        async move {
            while !ending.is_cancelled() {
                attachments.tidy(false, |_| {}).await.unwrap();
            }
        }
    });
    let mut committed = Vec::new();
    for round in 0..40 {
        let text = format!("content {}", round / 2);
        let sha256 = place.keep(&text).await;
        let new = NewSubmission {
            files: vec![sha256.clone()],
            ..sample(&round.to_string(), 1)
        };
        match place.store.store.submit(new).await {
            Ok(_) => committed.push(sha256),
            // Without a grace time it may be gone before the commit; then it is said.
            Err(error) => assert!(matches!(error, StoreError::FileGone), "{error}"),
        }
    }
    ending.cancel();
    tidying.await.unwrap();
    for sha256 in &committed {
        assert!(place.attachments.read(sha256).await.is_ok(), "{sha256}");
    }
}

/// A bucket `synchub-test` at the service that the environment names.
async fn in_service(prefix: &str) -> Place {
    let endpoint = std::env::var("SYNCHUB_TEST_S3_ENDPOINT").expect("SYNCHUB_TEST_S3_ENDPOINT");
    let secret = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
    let access = S3Access {
        endpoint,
        region: "us-east-1".to_owned(),
        access_key_id: secret("SYNCHUB_TEST_S3_KEY_ID"),
        secret_access_key: secret("SYNCHUB_TEST_S3_KEY"),
    };
    let url = format!("s3://synchub-test/{prefix}-{}", uuid::Uuid::now_v7());
    let folder = tempfile::tempdir().unwrap();
    Place::at(url, folder, access, Duration::ZERO).await
}

#[tokio::test]
#[ignore = "needs an S3-compatible service; `tests/run s3` provides it"]
async fn s3_keeps_small_and_large_files() {
    let place = in_service("keep").await;
    let small = place.keep("abc").await;
    place.refer_to("a", &small).await;
    let read = place.attachments.read(&small).await.unwrap();
    assert_eq!(read.whole(3).unwrap().unwrap().as_ref(), b"abc");
    place.keeps_a_large_file().await;
}

#[tokio::test]
#[ignore = "needs an S3-compatible service; `tests/run s3` provides it"]
async fn s3_forgets_what_no_record_refers_to() {
    let place = in_service("tidy").await;
    let kept = place.keep("kept").await;
    place.refer_to("a", &kept).await;
    let loose = place.keep("loose").await;
    let stray = hex::encode(Sha256::digest("stray"));
    let content = Blob::from(b"stray".to_vec());
    let objects = &place.attachments.inner.objects;
    objects.write(&stray, &content).await.unwrap();
    // The service tells times in whole seconds.
    let mut removed = std::collections::BTreeSet::new();
    let began = Instant::now();
    while removed.len() < 2 && began.elapsed() < Duration::from_secs(30) {
        removed.extend(place.tidy().await);
    }
    assert_eq!(removed, [loose.clone(), stray].into());
    let gone = objects.read(&loose).await.unwrap_err();
    assert!(matches!(gone, AttachmentError::Missing(_)), "{gone}");
    assert!(place.attachments.read(&kept).await.is_ok());
}
