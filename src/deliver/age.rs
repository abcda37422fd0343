//! For how long a delivery has been tried: the time in which the hub itself would not send is not
//! its age.
//!
//! The age counts from the first try. What operators' pauses, maintenance windows and outages of
//! the platform cover of it is left out, each moment once. The time in which a platform says "too
//! many requests" counts, or a platform that says nothing else would keep its deliveries for ever.
//!
//! It is worked out only when the plain age may end a delivery's patience, so that no try costs a
//! question more.

use crate::connector::Connector;
use crate::store::{Claim, Store, StoreError};

/// Returns for how long, in milliseconds, `claim` has been tried at `now_ms`.
pub(super) async fn age_ms(
    store: &Store,
    connector: &Connector,
    claim: &Claim,
    now_ms: i64,
) -> Result<i64, StoreError> {
    let since = claim.first_tried_at.unwrap_or(now_ms);
    let age_ms = now_ms - since;
    if age_ms / 1_000 < connector.retry().age_max_s {
        return Ok(age_ms);
    }
    let mut closed = store.closed_spans(&connector.id, since, now_ms).await?;
    closed.extend(connector.maintenance_spans(since, now_ms));
    Ok(age_ms - covered_ms(closed, since, now_ms))
}

/// Returns how much of the time between `since` and `until` lies in one of `spans` at least.
fn covered_ms(mut spans: Vec<(i64, i64)>, since: i64, until: i64) -> i64 {
    spans.sort_unstable();
    let mut covered = 0;
    // Up to here everything is counted.
    let mut counted = since;
    for (from, to) in spans {
        let (from, to) = (from.max(counted), to.min(until));
        if from < to {
            covered += to - from;
            counted = to;
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::{Connectors, References};
    use crate::record::{DeliveryId, RecordId, Wanted};
    use crate::store::{Document, OutageKind, PauseMode};
    use std::sync::Arc;

    const HOUR_MS: i64 = 3_600_000;

    /// A connector whose patience ends after three hours, with a window at noon, an hour long.
    fn connectors(folder: &std::path::Path) -> Connectors {
        let from = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/life/connectors/asked"
        );
        let to = folder.join("asked");
        std::fs::create_dir_all(to.join("templates")).unwrap();
        let template = "templates/article.json.j2";
        std::fs::copy(format!("{from}/{template}"), to.join(template)).unwrap();
        let text = std::fs::read_to_string(format!("{from}/connector.toml")).unwrap();
        let text = text.replace("age_max_s = 259200", "age_max_s = 10800");
        let noon = "\n[[maintenance.windows]]\nfrom = \"12:00\"\nto = \"13:00\"\n";
        std::fs::write(to.join("connector.toml"), text + noon).unwrap();
        let address = ("LIFE_URL".to_owned(), "http://127.0.0.1:9".to_owned());
        let connectors =
            Connectors::load(&[folder.to_owned()], &References::with_overrides([address]));
        assert!(connectors.failures().is_empty(), "{connectors:?}");
        connectors
    }

    fn tried_since(first_tried_at: i64) -> Claim {
        Claim {
            delivery: DeliveryId::generate(),
            record_id: RecordId::generate(),
            platform: "asked".to_owned(),
            wanted: Wanted::Shown,
            version: 1,
            token: 1,
            in_doubt: false,
            was_delivered: false,
            tries: 1,
            first_tried_at: Some(first_tried_at),
            delivered_at: None,
            reworded: false,
            progress: None,
            document: Arc::new(Document::new("{}".to_owned())),
            reason: None,
            remote_id: None,
            remote_url: None,
            shown_version: None,
        }
    }

    #[tokio::test]
    async fn what_the_hub_itself_did_not_send_is_not_the_age_of_a_delivery() {
        let folder = tempfile::tempdir().unwrap();
        let connectors = connectors(folder.path());
        let connector = connectors.get("asked").unwrap();
        let url = format!("sqlite://{}/hub.db", folder.path().display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        // Eight in the morning, in China, of a day not long ago.
        let days = crate::clock::now_ms() / (24 * HOUR_MS) - 3;
        let morning = days * 24 * HOUR_MS;
        let claim = tried_since(morning);
        let age_at = async |now| age_ms(&store, connector, &claim, now).await.unwrap();
        let age = async |hours| age_at(morning + hours * HOUR_MS).await / HOUR_MS;
        assert_eq!(age(2).await, 2);
        assert_eq!(age(4).await, 4);
        assert_eq!(age(6).await, 5, "the window at noon");
        for (kind, from, to) in [
            (OutageKind::Out, 1, 3),
            (OutageKind::TooMany, 3, 4),
            // In the window at noon.
            (OutageKind::Out, 4, 5),
        ] {
            let (from, to) = (morning + from * HOUR_MS, morning + to * HOUR_MS);
            store
                .begin_outage("asked", kind, "x", (from, from))
                .await
                .unwrap();
            store.end_outage("asked", "a", to).await.unwrap();
        }
        assert_eq!(
            age(6).await,
            3,
            "its outages, but not that it asked for less"
        );
        // Paused from now on, for good.
        let paused = crate::clock::now_ms();
        let pause = store.pause_platform("asked", PauseMode::Hold, "升级", "值班", None);
        pause.await.unwrap();
        let before = age_at(paused).await;
        let after = age_at(paused + 500 * HOUR_MS).await;
        assert!(
            (before..before + HOUR_MS / 60).contains(&after),
            "{before} {after}"
        );
    }

    #[test]
    fn a_moment_that_several_spans_cover_counts_once_and_only_within_the_time() {
        for (spans, ms) in [
            (vec![], 0),
            (vec![(0, 1_000)], 100),
            (vec![(0, 110), (190, 900)], 20),
            (vec![(120, 140), (110, 130), (125, 128)], 30),
            (vec![(150, 160), (110, 120), (150, 160)], 20),
            (vec![(0, 100), (200, 300), (150, 150)], 0),
        ] {
            assert_eq!(covered_ms(spans.clone(), 100, 200), ms, "{spans:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_is_what_counting_moment_by_moment_gives(
            spans in proptest::collection::vec((0_i64..60, 0_i64..60), 0..8)
        ) {
            let (since, until) = (10, 50);
            let counted = (since..until)
                .filter(|at| spans.iter().any(|(from, to)| from <= at && at < to))
                .count() as i64;
            proptest::prop_assert_eq!(covered_ms(spans, since, until), counted);
        }
    }
}
