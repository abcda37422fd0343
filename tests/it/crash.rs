//! `kill -9` in the middle of the work: nothing is lost, nothing is doubled.

use crate::hub::{ALL, Hub, Platforms, entry_for_all, eventually};
use serde_json::Value;
use std::collections::BTreeMap;

const ENTRIES: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_in_the_middle_of_1000_entries_delivers_all_of_them_once() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&platforms.environment);
    let lines: String = (0..ENTRIES)
        .map(|number| format!("{}\n", entry_for_all(&format!("OA-{number}"), 1)))
        .collect();
    let path = "/v1/submissions/batch";
    let (status, answer) = hub
        .call(&hub.oa_key, reqwest::Method::POST, path, lines)
        .await;
    assert_eq!(status, 200);
    let taken = answer.as_str().expect("NDJSON").lines().count();
    assert_eq!(taken, ENTRIES);

    for already in [100, 300, 500] {
        eventually(|| async {
            let count = platforms.articles(ALL[1]).await.len();
            if count >= already {
                Ok(())
            } else {
                Err(format!("{count} so far"))
            }
        })
        .await;
        hub.kill();
        hub.run();
    }
    eventually(|| async {
        for platform in ALL {
            let count = platforms.articles(platform).await.len();
            if count < ENTRIES {
                return Err(format!("{platform} shows {count}"));
            }
        }
        let (_, list) = hub.get("/v1/platforms").await;
        let open: i64 = list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|it| {
                ["queued", "sending", "retrying"].map(|state| it["deliveries"][state].as_i64())
            })
            .flatten()
            .sum();
        if open == 0 {
            Ok(())
        } else {
            Err(format!("{open} still on their way"))
        }
    })
    .await;
    for platform in ALL {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for article in platforms.articles(platform).await {
            *counts
                .entry(article["record_id"].as_str().expect("text").to_owned())
                .or_default() += 1;
        }
        let doubled: Vec<&String> = counts
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(id, _)| id)
            .collect();
        assert!(doubled.is_empty(), "{platform} shows twice: {doubled:?}");
        assert_eq!(counts.len(), ENTRIES, "{platform}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_asked_to_end_hands_back_what_it_did_not_start() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(
            ALL[1],
            serde_json::json!({"mode": "slow", "times": null, "ms": 300}),
        )
        .await;
    for number in 0..40 {
        hub.submit(&entry_for_all(&format!("OA-{number}"), 1)).await;
    }
    assert!(hub.terminate(), "it ends well");
    platforms.behave(ALL[1]).await;
    hub.run();
    eventually(|| async {
        let articles: Vec<Value> = platforms.articles(ALL[1]).await;
        if articles.len() >= 40 {
            Ok(())
        } else {
            Err(format!("{}", articles.len()))
        }
    })
    .await;
    assert_eq!(platforms.articles(ALL[1]).await.len(), 40);
}
