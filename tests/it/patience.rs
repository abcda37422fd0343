//! Who waits, for what, and what it costs: maintenance windows, and turns among the units.

use crate::hub::{ALL, Hub, Platforms, entry_for_all, eventually, project, shows_once};
use serde_json::{Value, json};
use std::path::Path;

/// One without a login and without a read-back, so that each request is for a record.
const PLATFORM: &str = ALL[2];

fn id_of(answer: &Value) -> String {
    answer["record_id"].as_str().expect("text").to_owned()
}

async fn delivery(hub: &Hub, record: &str) -> Value {
    let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
    let mut deliveries = record["deliveries"].as_array().expect("a list").iter();
    let mine = deliveries.find(|it| it["platform"] == PLATFORM);
    mine.expect("routed").clone()
}

/// How many deliveries of the platform are in one of these states.
async fn count(hub: &Hub, states: &[&str]) -> i64 {
    let (_, list) = hub.get("/v1/platforms").await;
    let mut items = list["items"].as_array().expect("a list").iter();
    let platform = items.find(|it| it["id"] == PLATFORM).expect("known");
    let counts = &platform["deliveries"];
    states
        .iter()
        .filter_map(|state| counts[state].as_i64())
        .sum()
}

/// Starts a hub with the platform's connector, with `more` at the end of it.
fn hub_with(folder: &Path, platforms: &Platforms, more: &str) -> Hub {
    let site = folder.join(PLATFORM);
    crate::conform::copy_folder(&project().join("connectors").join(PLATFORM), &site);
    let manifest = site.join("connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    std::fs::write(&manifest, format!("{text}\n{more}")).expect("written");
    let mut hub = Hub::prepare(crate::backend::Backend::chosen(), &platforms.environment);
    let dirs = format!("connectors,{}", folder.display());
    assert!(hub.run_with("SYNCHUB__CONNECTORS__DIR", &dirs));
    hub
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_window_costs_no_try() {
    let folder = tempfile::tempdir().expect("a folder");
    let always = "[[maintenance.windows]]\nfrom = \"00:00\"\nto = \"00:00\"\n";
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = hub_with(folder.path(), &platforms, always);
    let record = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    shows_once(&platforms, ALL[1], &record, 1).await;
    let (_, list) = hub.get("/v1/platforms").await;
    let mut items = list["items"].as_array().expect("a list").iter();
    let platform = items.find(|it| it["id"] == PLATFORM).expect("known");
    assert_eq!(platform["status"], "maintenance");
    let waiting = delivery(&hub, &record).await;
    assert_eq!(
        (&waiting["state"], &waiting["tries"]),
        (&json!("queued"), &json!(0))
    );
    let path = format!("/v1/deliveries/{}", waiting["id"].as_str().expect("text"));
    let (_, seen) = hub.get(&path).await;
    assert_eq!(seen["attempts"], json!([]), "nobody knocked");
    assert!(hub.terminate());
    hub.run();
    shows_once(&platforms, PLATFORM, &record, 1).await;
}

/// Entries of a unit that imports: far more than a slow platform takes in a moment.
const MANY: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_with_many_entries_does_not_hold_back_one_of_another() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let pause = format!("/v1/platforms/{PLATFORM}/pause");
    hub.operate(&pause, json!({"reason": "先收齐"})).await;
    let many: String = (0..MANY)
        .map(|number| format!("{}\n", entry_for_all(&format!("OA-{number}"), 1)))
        .collect();
    let path = "/v1/submissions/batch";
    let (status, _) = hub
        .call(&hub.oa_key, reqwest::Method::POST, path, many)
        .await;
    assert_eq!(status, 200);
    let mut one = entry_for_all("OA-one", 1);
    one["entry"]["unit"] = json!("市财政局");
    let one = id_of(&hub.submit(&one).await);
    platforms
        .misbehave(PLATFORM, json!({"mode": "slow", "ms": 300}))
        .await;
    let resume = format!("/v1/platforms/{PLATFORM}/resume");
    hub.operate(&resume, json!({"reason": "开始"})).await;
    shows_once(&platforms, PLATFORM, &one, 1).await;
    let waiting = count(&hub, &["queued"]).await;
    assert!(waiting > MANY as i64 / 3, "only {waiting} still wait");
    platforms.behave(PLATFORM).await;
    eventually(|| async {
        match count(&hub, &["delivered", "confirmed"]).await {
            all if all == MANY as i64 + 1 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_always_fail_do_not_keep_others_from_their_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = hub_with(folder.path(), &platforms, "[breaker]\nfailures = 0\n");
    platforms
        .misbehave(PLATFORM, json!({"mode": "error_500", "times": 200}))
        .await;
    // All of them fail, come back, and fail again; none of them is an outage.
    for number in 0..60 {
        hub.submit(&entry_for_all(&format!("OA-{number}"), 1)).await;
    }
    eventually(|| async {
        match count(&hub, &["retrying"]).await {
            enough if enough > 20 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
    let mut one = entry_for_all("OA-one", 1);
    one["entry"]["unit"] = json!("市财政局");
    let one = id_of(&hub.submit(&one).await);
    shows_once(&platforms, PLATFORM, &one, 1).await;
    eventually(|| async {
        match count(&hub, &["delivered", "confirmed"]).await {
            61 => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
}
