//! `kill -9` in the middle of the work: nothing is lost, nothing is doubled.

mod points;

use crate::hub::{ALL, Hub, Platforms, entry_for_all, eventually};
use std::collections::BTreeMap;

const ENTRIES: usize = 1_000;

/// Returns how many deliveries to a platform are in these states.
pub(crate) async fn count(hub: &Hub, platform: &str, states: &[&str]) -> i64 {
    let (_, list) = hub.get("/v1/platforms").await;
    let items = list["items"].as_array().expect("a list");
    let item = items
        .iter()
        .find(|it| it["id"] == platform)
        .expect("a known platform");
    states
        .iter()
        .filter_map(|state| item["deliveries"][state].as_i64())
        .sum()
}

pub(crate) async fn wait_for(hub: &Hub, platform: &str, wanted: usize) {
    eventually(|| async {
        let done = count(hub, platform, &["delivered", "confirmed"]).await;
        if done >= wanted as i64 {
            Ok(())
        } else {
            Err(format!("{done} done on {platform}"))
        }
    })
    .await;
}

pub(crate) async fn assert_each_once(platforms: &Platforms, platform: &str, wanted: usize) {
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
    assert_eq!(counts.len(), wanted, "{platform}");
}

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
    assert_eq!(answer.as_str().expect("NDJSON").lines().count(), ENTRIES);

    for already in [100, 300, 500] {
        wait_for(&hub, ALL[1], already).await;
        hub.kill();
        hub.run();
    }
    for platform in ALL {
        wait_for(&hub, platform, ENTRIES).await;
    }
    for platform in ALL {
        assert_each_once(&platforms, platform, ENTRIES).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_posted_while_the_hub_is_killed_are_there_when_their_answer_came() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&platforms.environment);
    let url = hub.url.clone();
    let key = hub.oa_key.clone();
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let poster = tokio::spawn(async move {
        for number in 0.. {
            let body = entry_for_all(&format!("OA-{number}"), 1).to_string();
            let sent = crate::hub::client()
                .post(format!("{url}/v1/submissions"))
                .bearer_auth(&key)
                .body(body)
                .send()
                .await;
            match sent {
                Ok(answer) if answer.status().as_u16() == 202 => {
                    answered
                        .send(format!("OA-{number}"))
                        .expect("the test waits");
                }
                _ => return,
            }
        }
    });
    let mut promised: Vec<String> = Vec::new();
    while promised.len() < 60 {
        promised.push(answers.recv().await.expect("the hub answers"));
    }
    hub.kill();
    poster.await.expect("it ends when the hub is gone");
    while let Some(source_id) = answers.recv().await {
        promised.push(source_id);
    }
    hub.run();
    for source_id in &promised {
        let (_, page) = hub.get(&format!("/v1/records?source_id={source_id}")).await;
        assert_eq!(
            page["items"].as_array().expect("a list").len(),
            1,
            "{source_id} was promised"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_asked_to_end_hands_back_what_it_did_not_start() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&platforms.environment);
    let slow = serde_json::json!({"mode": "slow", "times": null, "ms": 300});
    platforms.misbehave(ALL[1], slow).await;
    for number in 0..40 {
        hub.submit(&entry_for_all(&format!("OA-{number}"), 1)).await;
    }
    assert!(hub.terminate(), "it ends well");
    platforms.behave(ALL[1]).await;
    hub.run();
    wait_for(&hub, ALL[1], 40).await;
    assert_each_once(&platforms, ALL[1], 40).await;
}
