//! A platform that says "too many requests" slows the platform, not one delivery, and one that
//! comes back is not given everything at once.

use crate::backend::Backend;
use crate::hub::{ALL, Hub, Platforms, eventually, project, shows_once};
use serde_json::{Value, json};
use std::path::Path;

/// One without a login, so that each request is for a record.
const PLATFORM: &str = ALL[2];
/// Requests in flight that its connector allows.
const CONCURRENCY: usize = 8;
/// More than may be in flight at once, so that some wait.
const RECORDS: usize = 20;

fn status(hub: &Hub) -> Value {
    hub.platform(PLATFORM)
}

/// Waits until the platform has said so `times` times in a row.
async fn asked_to_wait(hub: &Hub, times: i64) -> Value {
    eventually(|| async {
        let status = status(hub);
        let outage = &status["outage"];
        let enough =
            outage["probes"].as_i64() >= Some(times - 1) && outage["next_probe_at"].is_string();
        match status["status"] == "too_many_requests" && enough {
            true => Ok(status),
            false => Err(status.to_string()),
        }
    })
    .await
}

/// The delivery of each record to the platform, with its attempts.
async fn deliveries(hub: &Hub, records: &[String]) -> Vec<Value> {
    let mut found = Vec::new();
    for record in records {
        let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
        let mut deliveries = record["deliveries"].as_array().expect("a list").iter();
        let mine = deliveries.find(|it| it["platform"] == PLATFORM);
        let id = mine.expect("routed")["id"].as_str().expect("text");
        found.push(hub.get(&format!("/v1/deliveries/{id}")).await.1);
    }
    found
}

fn attempts(deliveries: &[Value]) -> Vec<Value> {
    let each = deliveries.iter().flat_map(|it| it["attempts"].as_array());
    each.flatten().cloned().collect()
}

fn told_too_many(deliveries: &[Value]) -> usize {
    let attempts = attempts(deliveries);
    let told = attempts.iter().filter(|it| it["verdict"] == "rate_limited");
    told.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_says_too_many_is_left_alone_and_costs_no_try() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(PLATFORM, json!({"mode": "too_many"}))
        .await;
    let records = hub.submit_for_all(RECORDS).await;
    let stopped = asked_to_wait(&hub, 3).await;
    let until = stopped["until"].as_str().expect("until when");
    assert_eq!(stopped["outage"]["next_probe_at"], until);
    assert_eq!(stopped["outage"]["kind"], "too_many");
    assert_eq!(stopped["outage"]["waiting"], RECORDS);
    let reason = stopped["reason"].as_str().expect("text");
    assert!(
        reason.contains("要求放慢") && reason.contains("HTTP 429"),
        "{reason}"
    );
    assert_eq!(
        hub.gauge("synchub_too_many_requests", PLATFORM)
            .await
            .as_deref(),
        Some("1")
    );
    assert_eq!(
        hub.gauge("synchub_breaker_open", PLATFORM).await.as_deref(),
        Some("0")
    );

    // What was in flight heard it, and then one each time: all others were not sent.
    let times = stopped["outage"]["probes"].as_u64().expect("a number") as usize;
    let waiting = deliveries(&hub, &records).await;
    let told = told_too_many(&waiting);
    assert!(told > 1, "evidence is kept");
    // One more may have been asked since.
    assert!(told <= CONCURRENCY + times + 1, "{told} after {times} more");
    for delivery in &waiting {
        assert_eq!(
            (&delivery["state"], &delivery["tries"]),
            (&json!("queued"), &json!(0))
        );
    }
    let why = hub.cli_json(&["why", &records[RECORDS - 1], "--on", PLATFORM]);
    let said = &why["platforms"][0];
    let (cause, next) = (said["cause"].as_str(), said["next"].as_str());
    assert!(cause.is_some_and(|it| it.contains("要求放慢")), "{said}");
    assert!(
        next.is_some_and(|it| it.contains("不计重试次数") && it.contains("72 小时")),
        "{said}"
    );
    for record in &records {
        shows_once(&platforms, ALL[1], record, 1).await;
    }

    platforms.behave(PLATFORM).await;
    for record in &records {
        shows_once(&platforms, PLATFORM, record, 1).await;
    }
    eventually(|| async {
        let status = status(&hub);
        match status["status"] == "sending" && status["outage"].is_null() {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
    .await;
    assert_eq!(
        hub.gauge("synchub_too_many_requests", PLATFORM)
            .await
            .as_deref(),
        Some("0")
    );
    let log = hub.log();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(
        lines("asks for fewer requests"),
        1 + lines("still asks for fewer requests")
    );
    assert_eq!(lines("answers again"), 1);
}

/// Copies the platform's connector, with `from` in it replaced by `to`, and starts a hub with it.
fn hub_with(folder: &Path, platforms: &Platforms, from: &str, to: &str) -> Hub {
    let site = folder.join(PLATFORM);
    crate::conform::copy_folder(&project().join("connectors").join(PLATFORM), &site);
    let manifest = site.join("connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    assert!(text.contains(from));
    std::fs::write(&manifest, text.replace(from, to)).expect("written");
    let mut hub = Hub::prepare(Backend::chosen(), &platforms.environment);
    let dirs = format!("connectors,{}", folder.display());
    assert!(hub.run_with("SYNCHUB__CONNECTORS__DIR", &dirs));
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_never_says_anything_else_is_not_waited_for_for_ever() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    platforms
        .misbehave(PLATFORM, json!({"mode": "too_many"}))
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub_with(
        folder.path(),
        &platforms,
        "age_max_s = 259200",
        "age_max_s = 2",
    );
    let records = hub.submit_for_all(1).await;
    let failed = eventually(|| async {
        let delivery = deliveries(&hub, &records).await.remove(0);
        match delivery["state"] == "failed" {
            true => Ok(delivery),
            false => Err(delivery.to_string()),
        }
    })
    .await;
    let failure = &failed["failure"];
    assert_eq!(failure["class"], "rate_limited");
    let text = failure["text"].as_str().expect("text");
    assert!(text.contains("期限已过"), "{text}");
    // Once a second, as it was asked for, and not a try of them counts but the last.
    let told = told_too_many(std::slice::from_ref(&failed));
    assert!((2..=4).contains(&told), "{told}");
    let why = hub.cli_json(&["why", &records[0], "--on", PLATFORM]);
    let cause = why["platforms"][0]["cause"].as_str().expect("text");
    assert!(cause.contains("期限已过"), "{cause}");
}

/// Beginning and end of each attempt that went well, read-backs left out, by beginning.
fn spans(attempts: &[Value]) -> Vec<(i64, i64)> {
    let ms = |at: &Value| match at.as_str() {
        Some(text) => text.parse().map(jiff::Timestamp::as_millisecond).ok(),
        None => at.as_i64(),
    };
    let mut spans: Vec<(i64, i64)> = attempts
        .iter()
        .filter(|it| it["verdict"] == "ok" && it["operation"] != "read_back")
        .map(|it| {
            let began = ms(&it["started_at"]).expect("a time");
            (began, began + it["duration_ms"].as_i64().expect("a number"))
        })
        .collect();
    spans.sort_unstable();
    spans
}

/// How many are in flight when each of `spans` begins, itself included.
fn in_flight(spans: &[(i64, i64)]) -> Vec<usize> {
    let at = |time| {
        spans
            .iter()
            .filter(move |(from, to)| *from <= time && time < *to)
    };
    spans.iter().map(|(began, _)| at(*began).count()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_comes_back_is_given_little_at_first() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(PLATFORM, json!({"mode": "error_500"}))
        .await;
    let records = hub.submit_for_all(3 * RECORDS).await;
    eventually(|| async {
        let status = status(&hub);
        match status["status"] == "out" {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
    .await;
    platforms
        .misbehave(PLATFORM, json!({"mode": "slow", "ms": 100}))
        .await;
    for record in &records {
        shows_once(&platforms, PLATFORM, record, 1).await;
    }
    let spans = eventually(|| async {
        let spans = spans(&attempts(&deliveries(&hub, &records).await));
        match spans.len() == records.len() {
            true => Ok(spans),
            false => Err(format!("{} of {}", spans.len(), records.len())),
        }
    })
    .await;
    let flying = in_flight(&spans);
    // The probe, then one by one, then two, and in the end as many as ever.
    assert!(flying[..3].iter().all(|it| *it == 1), "{flying:?}");
    assert!(flying[..5].iter().all(|it| *it <= 2), "{flying:?}");
    assert!(flying.iter().any(|it| *it > CONCURRENCY / 2), "{flying:?}");
}
