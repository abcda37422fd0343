//! Deadlines of records and versions of the registry, in the store.

use super::*;
use crate::catalogue::Catalogue;
use crate::clock::now_ms;
use std::path::Path;

/// A submission that came in at `at` and was due at `due`.
fn due(source_id: &str, at: i64, due: i64) -> NewSubmission {
    NewSubmission {
        received_at: at,
        reckoning: Reckoning {
            catalogue_version: Some(7),
            due_at: Some(due),
            due_provisional: source_id == "provisional",
        },
        ..sample(source_id, 1)
    }
}

fn held(new: NewSubmission) -> NewSubmission {
    NewSubmission {
        holds: vec![Hold {
            code: HoldCode::PersonalData,
            detail: "含有个人信息".to_owned(),
        }],
        ..new
    }
}

async fn listed(store: &Store, filter: RecordFilter) -> Vec<String> {
    let page = store.list_records(&filter, None, 50).await.unwrap();
    let mut ids: Vec<String> = page.records.into_iter().map(|it| it.source_id).collect();
    ids.sort();
    ids
}

fn late(late: bool, at: i64) -> RecordFilter {
    RecordFilter {
        late: Some(Lateness { late, at }),
        ..RecordFilter::default()
    }
}

#[tokio::test]
async fn late_is_what_could_be_seen_too_late_or_is_held_past_its_day() {
    let fresh = Fresh::open().await;
    let store = &fresh.store;
    let day = 1_414_000_000_000;
    for new in [
        due("in time", day - 1, day),
        due("late", day, day),
        held(due("held", day - 1, day)),
        held(due("held for later", day - 1, now_ms() + 1_000_000)),
        due("provisional", day - 1, day),
        sample("no deadline", 1),
    ] {
        store.submit(new).await.unwrap();
    }
    let now = now_ms();
    assert_eq!(listed(store, late(true, now)).await, ["held", "late"]);
    assert_eq!(
        listed(store, late(false, now)).await,
        ["held for later", "in time", "no deadline", "provisional"]
    );
    assert_eq!(
        listed(store, late(true, day - 1)).await,
        Vec::<String>::new()
    );
    let before = |due_before| RecordFilter {
        due_before: Some(due_before),
        ..RecordFilter::default()
    };
    assert_eq!(
        listed(store, before(day)).await,
        ["held", "in time", "late", "provisional"]
    );
    assert_eq!(listed(store, before(day - 1)).await, Vec::<String>::new());
    let found = store
        .find_record("oa", "provisional")
        .await
        .unwrap()
        .unwrap();
    assert!(found.due_provisional && !found.late);
    let found = store.find_record("oa", "late").await.unwrap().unwrap();
    assert!(found.late);
    assert_eq!(found.due_on, Some(crate::clock::day_before(day)));
    let shown = store.record(&found.id).await.unwrap().unwrap();
    assert_eq!(shown.versions[0].catalogue_version, Some(7));
}

#[tokio::test]
async fn a_release_and_a_correction_count_from_when_it_could_first_be_seen() {
    let fresh = Fresh::open().await;
    let store = &fresh.store;
    let day = 1_414_000_000_000;
    let is_late = async |source_id: &str| {
        let found = store.find_record("oa", source_id).await.unwrap();
        found.unwrap().late
    };
    for new in [
        held(due("released", day - 1, day)),
        held(due("corrected", day - 1, day)),
        due("shown", day - 1, day),
    ] {
        store.submit(new).await.unwrap();
    }
    let id = store
        .find_record("oa", "released")
        .await
        .unwrap()
        .unwrap()
        .id;
    store
        .release_record(&id, "核对无误", "operator")
        .await
        .unwrap();
    assert!(is_late("released").await, "it could be seen only now");
    for source_id in ["corrected", "shown"] {
        let correction = NewSubmission {
            revision: 2,
            body_sha256: "another".to_owned(),
            content_sha256: "another".to_owned(),
            ..due(source_id, day + 5, day)
        };
        store.submit(correction).await.unwrap();
    }
    assert!(is_late("corrected").await);
    assert!(!is_late("shown").await, "the public saw it in time");
    // A withdrawal of what was never to be seen is not late.
    store
        .submit(held(due("withdrawn", day - 1, day)))
        .await
        .unwrap();
    store.submit(withdrawal("withdrawn", 2)).await.unwrap();
    assert!(!is_late("withdrawn").await);
}

#[tokio::test]
async fn the_same_bytes_stay_the_same_when_the_registry_reads_them_anew() {
    let fresh = Fresh::open().await;
    fresh.store.submit(sample("a", 1)).await.unwrap();
    let read_anew = NewSubmission {
        content_sha256: "with the unit's new name".to_owned(),
        ..sample("a", 1)
    };
    let outcome = fresh.store.submit(read_anew).await.unwrap();
    assert!(
        matches!(outcome, SubmitOutcome::Unchanged(_)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn each_content_of_the_registry_has_one_version_whoever_brings_it() {
    let fresh = Fresh::open().await;
    let store = &fresh.store;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/catalogue");
    let first = Catalogue::load(&shipped).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for file in ["divisions.csv", "units.csv", "areas.toml", "columns.toml"] {
        std::fs::copy(shipped.join(file), folder.path().join(file)).unwrap();
    }
    let second = Catalogue::load(folder.path()).unwrap();
    assert_eq!(store.find_catalogue(&first.sha256()).await.unwrap(), None);
    let both = tokio::join!(store.note_catalogue(&first), store.note_catalogue(&first));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (1, 1));
    assert_eq!(store.note_catalogue(&second).await.unwrap(), 2);
    assert_eq!(store.note_catalogue(&first).await.unwrap(), 1, "back again");
    let history = store.catalogues().await.unwrap();
    assert_eq!(history.len(), 2);
    assert!(history[1].changes.is_empty());
    let gone = &history[0].changes[0];
    assert_eq!(
        (gone.section.as_str(), gone.change.as_str()),
        ("calendar", "removed")
    );
}

#[tokio::test]
async fn late_records_are_read_by_their_own_index() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/hub.db", folder.path().display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let crate::store::db::Db::Sqlite(pool) = &store.pools().writer else {
        unreachable!("opened above")
    };
    let (text, _) = crate::store::record::list_text(&late(true, 1), None, None, 10);
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")))
            .fetch_all(pool)
            .await
            .unwrap();
    assert!(
        plan.iter().any(|it| it.3.contains("records_late")),
        "{plan:?}"
    );
}
