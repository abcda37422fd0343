//! The store through its public door.

use super::*;
use crate::record::*;

mod claiming;
mod events;
mod lanes;
mod life;
mod moving;
mod operating;
mod outages;
mod redirecting;
mod registry;
mod replaying;
mod standing_by;
mod statements;
mod submitting;
mod turns;
mod verifying;

/// A submission of one publishable entry for two platforms.
pub(crate) fn sample(source_id: &str, revision: i64) -> NewSubmission {
    let content = Content {
        title: format!("关于{source_id}的通知"),
        doc_no: Some("韶财〔2014〕1号".to_owned()),
        doc_no_raw: None,
        unit: Unit {
            code: "11440200006998012A".to_owned(),
            name: "韶关市财政局".to_owned(),
            division: "440200".to_owned(),
        },
        joint_units: Vec::new(),
        written_on: "2014-09-18".to_owned(),
        written_on_raw: "2014年9月18日".to_owned(),
        disclosure: Disclosure::Proactive,
        area: Some("A2".to_owned()),
        area_name: None,
        column: Some("部门预算".to_owned()),
        genre: None,
        keywords: Vec::new(),
        summary: None,
        index_no: None,
        body: Body {
            html: format!("<p>第{revision}版</p>"),
        },
        attachments: Vec::new(),
        project: None,
        credit: None,
    };
    NewSubmission {
        id: SubmissionId::generate(),
        account_id: "account".to_owned(),
        source: "oa".to_owned(),
        source_id: source_id.to_owned(),
        revision,
        action: Action::Publish,
        reason: None,
        body: format!("body {source_id} {revision}"),
        body_sha256: format!("body-sha-{source_id}-{revision}"),
        idempotency_key: None,
        received_at: 1_000 + revision,
        content: Some(Box::new(content)),
        content_sha256: format!("content-sha-{source_id}-{revision}"),
        holds: Vec::new(),
        findings: Vec::new(),
        warnings: Vec::new(),
        platforms: vec!["gazette".to_owned(), "portal".to_owned()],
        files: Vec::new(),
        ahead: false,
        revision_ahead_max: 100,
        reckoning: Reckoning::default(),
    }
}

/// A fresh store of its own: a new SQLite file, or with `SYNCHUB_TEST_STORE=postgres` a new
/// database on the server that `SYNCHUB_TEST_POSTGRES_URL` names.
pub(crate) struct Fresh {
    pub(crate) store: Store,
    pub(super) url: String,
    _home: Home,
}

/// Where a fresh store lives; it is removed with it.
enum Home {
    Folder(#[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir),
    Postgres(#[expect(dead_code, reason = "removed when dropped")] PostgresDatabase),
}

impl Fresh {
    pub(crate) async fn open() -> Self {
        let fresh = Self::unmigrated().await;
        fresh.migrate().await.unwrap();
        fresh
    }

    pub(super) async fn unmigrated() -> Self {
        let (url, home) = match std::env::var("SYNCHUB_TEST_STORE").as_deref() {
            Ok("postgres") => {
                let database = PostgresDatabase::create().await;
                (database.url.clone(), Home::Postgres(database))
            }
            Ok("sqlite") | Err(_) => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}/hub.db", folder.path().display());
                (url, Home::Folder(folder))
            }
            Ok(other) => panic!("SYNCHUB_TEST_STORE is sqlite or postgres, not {other}"),
        };
        let store = Store::open(&url).await.unwrap();
        Self {
            store,
            url,
            _home: home,
        }
    }
}

/// A database of its own on the test server, removed at the end.
pub(super) struct PostgresDatabase {
    pub(super) url: String,
    server: String,
    name: String,
}

impl PostgresDatabase {
    pub(super) async fn create() -> Self {
        let server = std::env::var("SYNCHUB_TEST_POSTGRES_URL").expect(
            "SYNCHUB_TEST_POSTGRES_URL names a server; `tests/run postgres` starts one and sets it",
        );
        let name = format!("synchub_t_{}", uuid::Uuid::now_v7().simple());
        administer(&server, &format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        Self {
            url: format!("{base}/{name}"),
            server,
            name,
        }
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let server = std::mem::take(&mut self.server);
        let text = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A thread of its own, since nothing can be awaited here.
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(sqlx::Error::Io)?
                .block_on(administer(&server, &text))
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

async fn administer(server: &str, text: &str) -> Result<(), sqlx::Error> {
    use sqlx::{AssertSqlSafe, Connection};
    let mut connection = sqlx::PgConnection::connect(server).await?;
    sqlx::query(AssertSqlSafe(text))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

impl std::ops::Deref for Fresh {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

/// A moment after everything that the tests submit, also by the real clock.
pub(super) fn later() -> i64 {
    crate::clock::now_ms() + 1_000_000
}

/// Takes the one due delivery of `platform` for one second.
pub(super) async fn claim_one(store: &Store, platform: &str, now: i64) -> Claim {
    let mut claims = store
        .claim(platform, None, 10, "sender", now, now + 1_000)
        .await
        .unwrap();
    assert_eq!(claims.len(), 1, "one due delivery: {claims:?}");
    claims.remove(0)
}

/// Settles `claim`, as sent in the version it was claimed for.
pub(super) async fn settle(store: &Store, claim: &Claim, outcome: Settled, now: i64) -> bool {
    store.settle(settlement(claim, outcome, now)).await.unwrap()
}

pub(super) fn settlement(claim: &Claim, outcome: Settled, now: i64) -> Settlement {
    Settlement {
        delivery: claim.delivery.clone(),
        token: claim.token,
        sent_version: claim.version,
        outcome,
        attempt: NewAttempt {
            id: AttemptId::generate(),
            operation: "publish".to_owned(),
            started_at: now - 10,
            duration_ms: 10,
            verdict: "ok".to_owned(),
            stage: "send".to_owned(),
            code: "0".to_owned(),
            message: "done".to_owned(),
            exchanges: r#"[{"status":200}]"#.to_owned(),
        },
        progress: None,
        now,
    }
}

pub(super) fn shown(remote_id: &str) -> Settled {
    Settled::Shown {
        remote_id: Some(remote_id.to_owned()),
        remote_url: Some(format!("https://example.org/{remote_id}")),
        check_at: None,
    }
}

pub(super) fn failed(group: &str) -> Settled {
    Settled::Failed {
        stage: "send".to_owned(),
        class: "reject".to_owned(),
        code: "E1".to_owned(),
        text: "no such column".to_owned(),
        group: group.to_owned(),
        in_doubt: false,
    }
}

pub(super) fn hold(code: HoldCode) -> Hold {
    Hold {
        code,
        detail: "…".to_owned(),
    }
}

/// A withdrawal without an entry.
pub(super) fn withdrawal(source_id: &str, revision: i64) -> NewSubmission {
    NewSubmission {
        action: Action::Withdraw,
        reason: Some("错误".to_owned()),
        content: None,
        content_sha256: String::new(),
        ..sample(source_id, revision)
    }
}

/// Submits what must make a version, and returns the answer.
pub(super) async fn change(store: &Store, new: NewSubmission) -> RecordHead {
    match store.submit(new).await.unwrap() {
        SubmitOutcome::Changed(head) => head,
        other => panic!("a new version, not {other:?}"),
    }
}

/// Returns the delivery of a record on one platform.
pub(super) async fn delivery(store: &Store, record: &RecordId, platform: &str) -> DeliveryView {
    let view = store.record(record).await.unwrap().unwrap();
    view.deliveries
        .into_iter()
        .find(|delivery| delivery.platform == platform)
        .unwrap()
}
