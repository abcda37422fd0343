//! What becomes of submissions.

use super::*;

#[tokio::test]
async fn a_publication_makes_a_record_with_due_deliveries() {
    let store = Fresh::open().await;
    let head = change(&store, sample("a", 1)).await;
    assert_eq!((head.version, head.state), (1, RecordState::Live));
    let platforms: Vec<&str> = head.due().map(|(platform, _)| platform).collect();
    assert_eq!(platforms, ["gazette", "portal"]);
    let found = store.find_record("oa", "a").await.unwrap().unwrap();
    assert_eq!(found.id, head.record_id);
    let view = store.record(&found.id).await.unwrap().unwrap();
    assert_eq!(view.summary, found);
    assert_eq!(view.document.version, 1);
    assert_eq!(view.versions.len(), 1);
    assert_eq!(view.deliveries[0].id, head.deliveries[0].id);
}

#[tokio::test]
async fn repeating_changes_nothing() {
    let store = Fresh::open().await;
    let first = change(&store, sample("a", 1)).await;
    let again = store.submit(sample("a", 1)).await.unwrap();
    assert_eq!(again, SubmitOutcome::Unchanged(first));
}

#[tokio::test]
async fn the_same_key_answers_the_same_or_is_refused_for_another_body() {
    let store = Fresh::open().await;
    let keyed = |new: NewSubmission| NewSubmission {
        idempotency_key: Some("k".to_owned()),
        ..new
    };
    let first = change(&store, keyed(sample("a", 1))).await;
    let again = store.submit(keyed(sample("a", 1))).await.unwrap();
    assert_eq!(again, SubmitOutcome::Unchanged(first.clone()));
    let other = store.submit(keyed(sample("b", 1))).await.unwrap();
    assert_eq!(
        other,
        SubmitOutcome::KeyReused {
            record_id: first.record_id
        }
    );
    let stranger = NewSubmission {
        account_id: "another".to_owned(),
        ..keyed(sample("b", 1))
    };
    change(&store, stranger).await;
}

#[tokio::test]
async fn a_correction_keeps_what_it_changed_and_a_conflict_says_what_differs() {
    let store = Fresh::open().await;
    let first = change(&store, sample("a", 1)).await;
    let mut second = sample("a", 2);
    second.content.as_mut().unwrap().title = "关于更正的通知".to_owned();
    change(&store, second).await;
    let view = store.record(&first.record_id).await.unwrap().unwrap();
    let pointers: Vec<&str> = view.versions[0]
        .changes
        .iter()
        .map(|change| change.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/title", "/body/html"]);
    assert_eq!(view.versions[1].changes, []);
    let mut conflict = sample("a", 2);
    conflict.content_sha256 = "other".to_owned();
    conflict.body_sha256 = "other".to_owned();
    match store.submit(conflict).await.unwrap() {
        SubmitOutcome::RevisionReused { changes, .. } => {
            assert_eq!(changes[0].before.as_deref(), Some("关于更正的通知"));
            assert_eq!(changes.len(), 1);
        }
        other => panic!("a conflict, not {other:?}"),
    }
    assert_eq!(
        view.versions.len(),
        store
            .record(&first.record_id)
            .await
            .unwrap()
            .unwrap()
            .versions
            .len()
    );
}

#[tokio::test]
async fn the_same_document_from_two_sources_is_told_and_never_merged() {
    let store = Fresh::open().await;
    let first = change(&store, sample("a", 1)).await;
    assert_eq!(first.warnings, []);
    let twin = || NewSubmission {
        source: "old-oa".to_owned(),
        source_id: "b".to_owned(),
        ..sample("a", 1)
    };
    let second = change(&store, twin()).await;
    assert_ne!(first.record_id, second.record_id);
    assert_eq!(second.warnings[0].code, "same_document");
    assert!(second.warnings[0].detail.contains("oa 报送的 a"));
    for (one, other) in [(&first, &second), (&second, &first)] {
        let view = store.record(&one.record_id).await.unwrap().unwrap();
        assert_eq!(view.same_document.len(), 1);
        assert_eq!(view.same_document[0].id, other.record_id.as_str());
    }
    // What is withdrawn is shown no more, so there is nothing to warn of.
    store.submit(withdrawal("a", 2)).await.unwrap();
    let third = change(
        &store,
        NewSubmission {
            source_id: "c".to_owned(),
            source: "third".to_owned(),
            ..sample("a", 1)
        },
    )
    .await;
    assert!(third.warnings[0].detail.contains("old-oa 报送的 b"));
}

#[tokio::test]
async fn the_same_document_twice_in_one_commit_is_told_as_well() {
    let store = Fresh::open().await;
    let other = NewSubmission {
        source: "old-oa".to_owned(),
        ..sample("a", 1)
    };
    let waiting = [
        store.enqueue_submit(sample("a", 1)).await.unwrap(),
        store.enqueue_submit(other).await.unwrap(),
    ];
    let mut warned = 0;
    for outcome in waiting {
        match outcome.await.unwrap() {
            SubmitOutcome::Changed(head) => warned += head.warnings.len(),
            other => panic!("a new version, not {other:?}"),
        }
    }
    assert_eq!(warned, 1);
}

#[tokio::test]
async fn refusals() {
    let store = Fresh::open().await;
    let first = change(&store, sample("a", 5)).await;
    let older = store.submit(sample("a", 4)).await.unwrap();
    assert_eq!(
        older,
        SubmitOutcome::Older {
            head: first.clone()
        }
    );
    let reused = NewSubmission {
        content_sha256: "other".to_owned(),
        body_sha256: "other".to_owned(),
        ..sample("a", 5)
    };
    assert_eq!(
        store.submit(reused).await.unwrap(),
        SubmitOutcome::RevisionReused {
            head: first.clone(),
            changes: Vec::new(),
        }
    );
    assert_eq!(
        store.submit(withdrawal("a", 5)).await.unwrap(),
        SubmitOutcome::RevisionReused {
            head: first,
            changes: Vec::new(),
        }
    );
    assert_eq!(
        store.submit(sample("a", 106)).await.unwrap(),
        SubmitOutcome::RevisionAhead { newest: 5 }
    );
    assert_eq!(
        store.submit(sample("new", 101)).await.unwrap(),
        SubmitOutcome::RevisionAhead { newest: 0 }
    );
    assert_eq!(
        store.submit(withdrawal("unknown", 1)).await.unwrap(),
        SubmitOutcome::UnknownRecord
    );
    assert!(store.find_record("oa", "unknown").await.unwrap().is_none());
}

#[tokio::test]
async fn a_higher_revision_with_the_same_content_only_raises_it() {
    let store = Fresh::open().await;
    let first = change(&store, sample("a", 1)).await;
    let raised = NewSubmission {
        content_sha256: sample("a", 1).content_sha256,
        ..sample("a", 3)
    };
    let SubmitOutcome::Unchanged(head) = store.submit(raised).await.unwrap() else {
        panic!("nothing new");
    };
    assert_eq!((head.revision, head.version), (3, 1));
    assert_eq!(head.deliveries, first.deliveries);
    let older = store.submit(sample("a", 2)).await.unwrap();
    assert!(matches!(older, SubmitOutcome::Older { .. }), "{older:?}");
}

#[tokio::test]
async fn a_withdrawal_with_an_entry_of_an_unknown_record_is_remembered() {
    let store = Fresh::open().await;
    let tombstone = NewSubmission {
        action: Action::Withdraw,
        ..sample("a", 2)
    };
    let head = change(&store, tombstone).await;
    assert_eq!((head.version, head.state), (1, RecordState::Withdrawn));
    assert!(head.deliveries.is_empty());
    let late = store.submit(sample("a", 1)).await.unwrap();
    assert!(matches!(late, SubmitOutcome::Older { .. }), "{late:?}");
    let head = change(&store, sample("a", 3)).await;
    assert_eq!((head.version, head.due().count()), (2, 2));
}

#[tokio::test]
async fn two_revisions_in_one_batch_behave_as_one_after_the_other() {
    let store = Fresh::open().await;
    let mut waiting = Vec::new();
    for new in [
        sample("a", 1),
        sample("a", 2),
        sample("b", 1),
        sample("a", 1),
    ] {
        waiting.push(store.enqueue_submit(new).await.unwrap());
    }
    let outcomes = futures_util::future::try_join_all(waiting).await.unwrap();
    let versions: Vec<i64> = outcomes
        .iter()
        .map(|outcome| match outcome {
            SubmitOutcome::Changed(head) => head.version,
            SubmitOutcome::Older { .. } => 0,
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(versions, [1, 2, 1, 0]);
    let claim = store
        .claim("portal", None, 10, "sender", later(), later() + 1)
        .await
        .unwrap();
    assert_eq!(claim.len(), 2, "one per record, not per version");
}

#[tokio::test]
async fn many_at_once_of_one_entry_make_one_record() {
    let store = Fresh::open().await;
    let other_process = Store::open(&store.url).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|index| {
            let store = if index % 2 == 0 {
                store.store.clone()
            } else {
                other_process.clone()
            };
            tokio::spawn(async move { store.submit(sample("a", 1)).await.unwrap() })
        })
        .collect();
    let mut changed = 0;
    let mut ids = std::collections::HashSet::new();
    for task in tasks {
        match task.await.unwrap() {
            SubmitOutcome::Changed(head) => {
                changed += 1;
                ids.insert(head.record_id);
            }
            SubmitOutcome::Unchanged(head) => {
                ids.insert(head.record_id);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!((changed, ids.len()), (1, 1));
}

#[tokio::test]
async fn many_different_entries_at_once_from_two_processes() {
    let store = Fresh::open().await;
    let other_process = Store::open(&store.url).await.unwrap();
    let tasks: Vec<_> = (0..300)
        .map(|index| {
            let store = if index % 2 == 0 {
                store.store.clone()
            } else {
                other_process.clone()
            };
            tokio::spawn(async move { change(&store, sample(&format!("e{index}"), 1)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut numbers = std::collections::BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = store
            .list_records(&RecordFilter::default(), cursor.as_deref(), 70)
            .await
            .unwrap();
        numbers.extend(
            page.records
                .into_iter()
                .map(|record| record.index_no.unwrap()),
        );
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(
        numbers.len(),
        300,
        "no number twice, no record left out of the pages"
    );
    assert_eq!(
        numbers.last().map(String::as_str),
        Some("11440200006998012A/2014-00300")
    );
}

#[tokio::test]
async fn an_index_number_is_kept_and_never_one_that_exists() {
    let store = Fresh::open().await;
    let mut own = sample("own", 1);
    own.content.as_mut().unwrap().index_no = Some("11440200006998012A/2014-00001".to_owned());
    let mut waiting = Vec::new();
    // In one batch: the number given by hand must be known before others are allocated.
    for new in [sample("a", 1), own, sample("b", 1)] {
        waiting.push(store.enqueue_submit(new).await.unwrap());
    }
    futures_util::future::try_join_all(waiting).await.unwrap();
    change(&store, sample("a", 2)).await;
    for (source_id, number) in [("own", "00001"), ("a", "00002"), ("b", "00003")] {
        let found = store.find_record("oa", source_id).await.unwrap().unwrap();
        let view = store.record(&found.id).await.unwrap().unwrap();
        let expected = format!("11440200006998012A/2014-{number}");
        assert_eq!(
            view.summary.index_no.as_ref(),
            Some(&expected),
            "{source_id}"
        );
        assert_eq!(view.document.content.index_no, Some(expected));
    }
}

#[tokio::test]
async fn files_are_kept_once_by_content() {
    let store = Fresh::open().await;
    for (source_id, expected) in [("a", Expected::Write), ("b", Expected::Kept)] {
        let known = store.expect_attachment("f00d", 5, 1).await.unwrap();
        assert_eq!(known, expected);
        let new = NewSubmission {
            files: vec!["f00d".to_owned()],
            ..sample(source_id, 1)
        };
        change(&store, new).await;
    }
    let kept = store.attachment("f00d").await.unwrap();
    assert_eq!(kept, Some(KeptFile::Object { bytes: 5 }));
    assert_eq!(store.attachment("beef").await.unwrap(), None);
}

#[tokio::test]
async fn what_a_version_refers_to_is_never_removed() {
    let store = Fresh::open().await;
    for sha256 in ["aa", "bb"] {
        store.expect_attachment(sha256, 5, 1_000).await.unwrap();
    }
    let new = NewSubmission {
        files: vec!["aa".to_owned()],
        ..sample("a", 1)
    };
    change(&store, new).await;
    let loose = store.loose_attachments(2_000, "").await.unwrap();
    assert_eq!(loose, [("bb".to_owned(), 5)]);
    assert!(!store.condemn_attachment("aa", 2_000, 3_000).await.unwrap());
    assert!(!store.condemn_attachment("bb", 1_000, 3_000).await.unwrap());
    assert!(store.condemn_attachment("bb", 2_000, 3_000).await.unwrap());
    // Another process that saw the same list comes too late.
    assert!(!store.condemn_attachment("bb", 2_000, 3_000).await.unwrap());
}

#[tokio::test]
async fn a_file_that_is_being_removed_cannot_be_kept() {
    let store = Fresh::open().await;
    store.expect_attachment("bb", 5, 1_000).await.unwrap();
    assert!(store.condemn_attachment("bb", 2_000, 3_000).await.unwrap());
    let again = store.expect_attachment("bb", 5, 3_000).await.unwrap();
    assert_eq!(again, Expected::BeingRemoved);
    let new = NewSubmission {
        files: vec!["bb".to_owned()],
        ..sample("a", 1)
    };
    let refused = store.submit(new).await.unwrap_err();
    assert!(matches!(refused, StoreError::FileGone), "{refused}");
    assert!(!store.condemn_unknown_attachment("bb", 3_000).await.unwrap());
    store.forget_attachment("bb").await.unwrap();
    let again = store.expect_attachment("bb", 5, 3_000).await.unwrap();
    assert_eq!(again, Expected::Write);
}

#[tokio::test]
async fn an_item_that_cannot_be_stored_does_not_lose_the_others() {
    let store = Fresh::open().await;
    let id = SubmissionId::generate();
    let mut waiting = Vec::new();
    for source_id in ["a", "b", "c"] {
        let mut new = sample(source_id, 1);
        if source_id != "c" {
            new.id = id.clone();
        }
        waiting.push(store.enqueue_submit(new).await.unwrap());
    }
    let outcomes = futures_util::future::join_all(waiting).await;
    assert!(outcomes[0].is_ok());
    assert!(outcomes[1].is_err(), "the same submission id twice");
    assert!(outcomes[2].is_ok());
    assert!(store.find_record("oa", "b").await.unwrap().is_none());
}

#[tokio::test]
async fn closing_commits_what_was_handed_over() {
    let store = Fresh::open().await;
    let mut waiting = Vec::new();
    for index in 0..50 {
        let new = sample(&format!("e{index}"), 1);
        waiting.push(store.enqueue_submit(new).await.unwrap());
    }
    store.close().await;
    for outcome in waiting {
        assert!(matches!(outcome.await.unwrap(), SubmitOutcome::Changed(_)));
    }
    let late = store.submit(sample("late", 1)).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    let reopened = Store::open(&store.url).await.unwrap();
    assert!(reopened.find_record("oa", "e49").await.unwrap().is_some());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let store = Fresh::unmigrated().await;
    let state = store.migration_state().await.unwrap();
    assert_eq!((state.current, state.is_current()), (0, false));
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    assert!(store.migration_state().await.unwrap().is_current());
    on!(&store.pools().writer, |c| sqlx::query(
        "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1"
    )
    .execute(c)
    .await
    .map(drop))
    .unwrap();
    let refused = store.migrate().await;
    assert!(
        matches!(refused, Err(StoreError::NewerSchema { current: 9999, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_wrong_address_is_refused_without_repeating_it() {
    for url in [
        "mysql://u:secret@host/db",
        "no address",
        "postgres://u:secret@host:notaport/db",
    ] {
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::Address { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
