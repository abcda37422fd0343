//! A platform that does not answer is left alone until a probe is answered.

use crate::hub::{ALL, Hub, Platforms, eventually, shows_once};
use serde_json::{Value, json};

/// One without a login, so that every failure is of a record.
const PLATFORM: &str = ALL[2];
/// More than may be in flight at once, so that some wait.
const RECORDS: usize = 20;
const GAUGE: &str = "synchub_breaker_open";
/// What the log says when a breaker opens.
const OPENED: &str = "nothing is sent to it, the first probe";

fn status(hub: &Hub) -> Value {
    hub.platform(PLATFORM)
}

async fn out_for(hub: &Hub, probes: i64) -> Value {
    eventually(|| async {
        let status = status(hub);
        let outage = &status["outage"];
        let enough =
            outage["probes"].as_i64() >= Some(probes) && outage["next_probe_at"].is_string();
        match status["status"] == "out" && enough {
            true => Ok(status),
            false => Err(status.to_string()),
        }
    })
    .await
}

async fn sends_again(hub: &Hub) {
    eventually(|| async {
        let status = status(hub);
        match status["status"] == "sending" && status["outage"].is_null() {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
    .await;
}

/// Tries of each record at the first platform.
async fn tries(hub: &Hub, records: &[String]) -> Vec<i64> {
    let mut tries = Vec::new();
    for record in records {
        let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
        let mut deliveries = record["deliveries"].as_array().expect("a list").iter();
        let mine = deliveries.find(|it| it["platform"] == PLATFORM);
        tries.push(mine.expect("routed")["tries"].as_i64().expect("a number"));
    }
    tries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_out_is_probed_and_costs_no_tries() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    assert_eq!(hub.gauge(GAUGE, PLATFORM).await.as_deref(), Some("0"));
    platforms
        .misbehave(PLATFORM, json!({"mode": "maintenance"}))
        .await;
    let records = hub.submit_for_all(RECORDS).await;
    let out = out_for(&hub, 1).await;
    let before = tries(&hub, &records).await;
    // Two more probes, of which none counts as a try; only what was in flight when it opened did.
    let probes = out["outage"]["probes"].as_i64().expect("a number");
    let later = out_for(&hub, probes + 2).await;
    assert_eq!(tries(&hub, &records).await, before);
    let in_flight_once = before.iter().all(|tries| *tries <= 2);
    assert!(in_flight_once && before.contains(&0), "{before:?}");
    assert_eq!(later["outage"]["since"], out["outage"]["since"]);
    assert_eq!(later["outage"]["waiting"], RECORDS);
    assert_eq!(hub.gauge(GAUGE, PLATFORM).await.as_deref(), Some("1"));

    // Everybody who asks is told; the other platforms do not notice.
    let why = hub.cli_json(&["why", &records[RECORDS - 1], "--on", PLATFORM]);
    let said = &why["platforms"][0];
    let cause = said["cause"].as_str().expect("text");
    assert!(
        cause.contains("没有正常应答") && cause.contains("20 条等待"),
        "{cause}"
    );
    assert_eq!(said["command"], format!("synchub resume {PLATFORM}"));
    let (code, listed) = hub.get("/v1/platforms").await;
    let listed = listed["items"].as_array().expect("a list").clone();
    let listed = listed
        .iter()
        .find(|it| it["id"] == PLATFORM)
        .expect("known");
    assert_eq!((code, &listed["status"]), (200, &json!("out")));
    let text = hub.cli(&["platforms"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("没有正常应答"));
    for record in &records {
        shows_once(&platforms, ALL[1], record, 1).await;
    }

    platforms.behave(PLATFORM).await;
    for record in &records {
        shows_once(&platforms, PLATFORM, record, 1).await;
    }
    sends_again(&hub).await;
    assert_eq!(hub.gauge(GAUGE, PLATFORM).await.as_deref(), Some("0"));
    let log = hub.log();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!((lines(OPENED), lines("answers again")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_knows_better_need_not_wait_for_a_probe() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(PLATFORM, json!({"mode": "error_500"}))
        .await;
    let records = hub.submit_for_all(RECORDS).await;
    // The next pause is long enough to tell the two ends apart.
    let out = out_for(&hub, 3).await;
    let next = out["outage"]["next_probe_at"].as_str().expect("a time");
    platforms.behave(PLATFORM).await;
    let path = format!("/v1/platforms/{PLATFORM}/resume");
    let (code, _) = hub.operate(&path, json!({"reason": "已修复"})).await;
    assert_eq!(code, 200);
    for record in &records {
        shows_once(&platforms, PLATFORM, record, 1).await;
    }
    let now = jiff::Timestamp::now();
    assert!(now < next.parse().expect("a time"), "before {next}");
    sends_again(&hub).await;
    assert!(!hub.log().contains("answers again"), "no probe closed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_breaks_its_platform_and_a_platform_in_a_hurry_are_no_outage() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(PLATFORM, json!({"mode": "error_500", "times": 5}))
        .await;
    let records = hub.submit_for_all(1).await;
    shows_once(&platforms, PLATFORM, &records[0], 1).await;
    assert_eq!(tries_seen(&hub, &records[0]).await, 6);
    platforms
        .misbehave(PLATFORM, json!({"mode": "too_many", "times": 12}))
        .await;
    for record in hub.submit_for_all(RECORDS).await {
        shows_once(&platforms, PLATFORM, &record, 1).await;
    }
    assert!(!hub.log().contains(OPENED));
}

/// Attempts at a record that are kept for the first platform, read-backs left out.
async fn tries_seen(hub: &Hub, record: &str) -> usize {
    let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
    let mut deliveries = record["deliveries"].as_array().expect("a list").iter();
    let id = deliveries
        .find(|it| it["platform"] == PLATFORM)
        .expect("routed")["id"]
        .clone();
    let (_, delivery) = hub
        .get(&format!("/v1/deliveries/{}", id.as_str().expect("text")))
        .await;
    let attempts = delivery["attempts"].as_array().expect("a list");
    let of_publishing = |it: &&Value| it["operation"] != "read_back";
    attempts.iter().filter(of_publishing).count()
}
