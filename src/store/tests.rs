//! The store through its public door.

use super::*;
use crate::record::*;

mod statements;

/// A submission of one publishable entry for two platforms.
pub(super) fn sample(source_id: &str, revision: i64) -> NewSubmission {
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
        warnings: Vec::new(),
        platforms: vec!["gazette".to_owned(), "portal".to_owned()],
        files: Vec::new(),
        revision_ahead_max: 100,
    }
}

/// A fresh store of its own. `SYNCHUB_TEST_STORE=postgres` together with
/// `SYNCHUB_TEST_POSTGRES_URL` runs every test here on a new PostgreSQL database instead of a new
/// SQLite file.
pub(super) struct Fresh {
    pub(super) store: Store,
    pub(super) url: String,
    _folder: tempfile::TempDir,
}

impl Fresh {
    pub(super) async fn open() -> Self {
        let fresh = Self::unmigrated().await;
        fresh.migrate().await.unwrap();
        fresh
    }

    pub(super) async fn unmigrated() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match (std::env::var("SYNCHUB_TEST_STORE"), postgres_url()) {
            (Ok(engine), Some(url)) if engine == "postgres" => new_postgres_database(&url).await,
            _ => format!("sqlite://{}/hub.db", folder.path().display()),
        };
        let store = Store::open(&url).await.unwrap();
        Self {
            store,
            url,
            _folder: folder,
        }
    }
}

/// The URL of a PostgreSQL server where databases may be created, without a database name.
pub(super) fn postgres_url() -> Option<String> {
    std::env::var("SYNCHUB_TEST_POSTGRES_URL").ok()
}

/// Creates a database beside the one in `url` and returns its URL.
pub(super) async fn new_postgres_database(url: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection};
    let name = format!("t_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut connection)
        .await
        .unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

impl std::ops::Deref for Fresh {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

#[tokio::test]
async fn a_submission_makes_a_record_with_due_deliveries() {
    let store = Fresh::open().await;
    let SubmitOutcome::Changed(head) = store.submit(sample("a", 1)).await.unwrap() else {
        panic!("a new record");
    };
    assert_eq!((head.version, head.state), (1, RecordState::Live));
    let platforms: Vec<&str> = head.due().map(|(platform, _)| platform).collect();
    assert_eq!(platforms, ["gazette", "portal"]);
    let claims = store
        .claim("portal", None, 10, "me", 5_000, 6_000)
        .await
        .unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!((claims[0].version, claims[0].token), (1, 1));
    let record: Record = serde_json::from_str(&claims[0].document).unwrap();
    assert_eq!(record.id, head.record_id);
    assert_eq!(
        record.content.index_no.as_deref(),
        Some("11440200006998012A/2014-00001")
    );
}
