//! Switches of platforms, and what a person decides about one delivery.

use crate::hub::{
    ALL, Hub, Platforms, entry_for_all, eventually, shows_nothing, shows_once, state_on,
};
use serde_json::{Value, json};

async fn submit(hub: &Hub, source_id: &str) -> String {
    let answer = hub.submit(&entry_for_all(source_id, 1)).await;
    answer["record_id"].as_str().expect("text").to_owned()
}

async fn state(hub: &Hub, record: &str) -> String {
    let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
    state_on(&record, ALL[0]).to_owned()
}

async fn confirmed(hub: &Hub, record: &str) {
    eventually(|| async {
        match state(hub, record).await.as_str() {
            "confirmed" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
}

fn status(hub: &Hub) -> Value {
    hub.platform(ALL[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_platform_gets_what_was_due_and_a_moved_one_gets_all_of_it_anew() {
    let old = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&old.environment);
    let shown = submit(&hub, "OA-1").await;
    shows_once(&old, ALL[0], &shown, 1).await;
    confirmed(&hub, &shown).await;
    hub.cli_json(&["pause", ALL[0], "--mode", "stop", "--reason", "先停"]);
    let due = submit(&hub, "OA-2").await;
    shows_once(&old, ALL[1], &due, 1).await;
    assert_eq!(
        (
            status(&hub)["status"].as_str(),
            state(&hub, &due).await.as_str()
        ),
        (Some("paused"), "queued")
    );
    hub.cli_json(&["pause", ALL[0], "--mode", "drain", "--reason", "迁移"]);
    assert_eq!(status(&hub)["status"], "draining");
    let later = submit(&hub, "OA-3").await;
    shows_once(&old, ALL[1], &later, 1).await;
    shows_once(&old, ALL[0], &due, 1).await;
    // It came after the drain began. A sender may have had it in hand for a moment.
    eventually(|| async {
        match state(&hub, &later).await.as_str() {
            "queued" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;

    // The platform moves; its new home knows nothing.
    let new = Platforms::start(&["--review-ms", "0"]);
    hub.kill();
    for (name, value) in &new.environment {
        hub.set(name, value);
    }
    hub.run();
    let (code, answer) = hub
        .operate(
            &format!("/v1/platforms/{}/resume", ALL[0]),
            json!({"reason": "已迁移", "rate": 20}),
        )
        .await;
    assert_eq!((code, &answer["rate"]), (200, &json!(20)));
    assert_eq!(status(&hub)["rate_per_s"], 20);
    shows_once(&new, ALL[0], &later, 1).await;
    for record in [&due, &later] {
        hub.settled(record).await;
    }
    confirmed(&hub, &later).await;
    shows_nothing(&old, ALL[0], &later).await;
    let refill = json!({"way": "refill", "filter": {"platform": ALL[0]}, "reason": "补送"});
    eventually(|| async {
        let mut look = refill.clone();
        look["dry_run"] = json!(true);
        let (_, seen) = hub.operate("/v1/replays", look).await;
        match seen["count"] == 3 {
            true => Ok(()),
            false => Err(seen.to_string()),
        }
    })
    .await;
    let replay = hub.replay(refill).await;
    assert_eq!(replay["count"], 3);
    for record in [&shown, &due, &later] {
        shows_once(&new, ALL[0], record, 1).await;
    }
    let id = replay["id"].as_str().expect("text");
    hub.replay_is_done(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_by_hand_is_said_with_its_evidence_and_can_be_undone() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let mut long = entry_for_all("OA-1", 1);
    long["entry"]["title"] = json!("题".repeat(130));
    let answer = hub.submit(&long).await;
    let record = answer["record_id"].as_str().expect("text").to_owned();
    hub.settled(&record).await;
    assert_eq!(state(&hub, &record).await, "failed");
    let groups = || {
        let failures = hub.cli_json(&["failures"]);
        let items = failures.as_array().expect("a list").iter();
        items.filter(|it| it["platform"] == ALL[0]).count()
    };
    assert_eq!(groups(), 1);
    let on = ["OA-1", "--on", ALL[0]];
    let run = |verb: &str, more: &[&str]| hub.cli_json(&[&[verb], &on[..], more].concat());
    run("give-up", &["--reason", "平台停用"]);
    assert_eq!(
        (state(&hub, &record).await.as_str(), groups()),
        ("skipped", 0)
    );
    run("undo", &["--reason", "平台恢复"]);
    assert_eq!(
        (state(&hub, &record).await.as_str(), groups()),
        ("failed", 1)
    );
    let (_, shown) = hub.get(&format!("/v1/records/{record}")).await;
    let delivery = shown["deliveries"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["platform"] == ALL[0])
        .and_then(|it| it["id"].as_str())
        .expect("there")
        .to_owned();
    let path = format!("/v1/deliveries/{delivery}/done");
    let (code, problem) = hub.operate(&path, json!({"evidence": " "})).await;
    assert_eq!(code, 400, "{problem:#}");
    let url = "https://www.example.gov.cn/a/1.html";
    let done = json!({"evidence": "值班员已在后台录入，截图17", "url": url});
    let (code, answer) = hub.operate(&path, done.clone()).await;
    assert_eq!(
        (code, &answer["state"], &answer["remote_url"]),
        (200, &json!("delivered"), &json!(url))
    );
    let (code, problem) = hub.operate(&path, done).await;
    assert_eq!(code, 409, "it is done: {problem:#}");
    let why =
        String::from_utf8_lossy(&hub.cli(&["why", "OA-1", "--on", ALL[0]]).stdout).into_owned();
    assert!(
        why.contains("已人工完成") && why.contains("截图17") && why.contains("test-operator"),
        "{why}"
    );
    assert!(
        platforms.articles(ALL[0]).await.is_empty(),
        "the hub sent nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_platform_gets_a_field_in_other_words_until_the_unit_corrects_it() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let mut long = entry_for_all("OA-1", 1);
    long["entry"]["title"] = json!("题".repeat(130));
    let answer = hub.submit(&long).await;
    let record = answer["record_id"].as_str().expect("text").to_owned();
    hub.settled(&record).await;
    assert_eq!(state(&hub, &record).await, "failed");
    let look = [
        "override",
        "OA-1",
        "--on",
        ALL[0],
        "--field",
        "/title",
        "--value",
        "短标题",
    ];
    let seen = hub.cli_json(&look);
    assert_eq!(
        (&seen["applied"], &seen["after"]),
        (&json!(false), &json!("短标题"))
    );
    let errors = |preview: &Value, key: &str| preview[key].as_array().expect("a list").len();
    assert_eq!(
        (
            errors(&seen, "errors_before"),
            errors(&seen, "errors_after")
        ),
        (1, 0)
    );
    assert_eq!(
        state(&hub, &record).await,
        "failed",
        "a dry run changes nothing"
    );
    for (field, value) in [
        ("/title", "张三 440203199001011004"),
        ("/disclosure", "主动公开"),
        ("/title", "[1]"),
    ] {
        let wrong = [
            "override", "OA-1", "--on", ALL[0], "--field", field, "--value", value,
        ];
        assert!(
            !hub.cli(&[&wrong[..], &["--yes", "--reason", "x"]].concat())
                .status
                .success(),
            "{value}"
        );
    }
    hub.cli_json(&[&look[..], &["--yes", "--reason", "平台限120字"]].concat());
    shows_once(&platforms, ALL[0], &record, 1).await;
    confirmed(&hub, &record).await;
    let titles = |platform: &'static str| {
        let platforms = &platforms;
        async move { platforms.articles(platform).await[0]["title"].clone() }
    };
    assert_eq!(titles(ALL[0]).await, "短标题");
    shows_once(&platforms, ALL[2], &record, 1).await;
    assert_ne!(titles(ALL[2]).await, "短标题", "only this platform");
    hub.submit(&entry_for_all("OA-1", 2)).await;
    shows_once(&platforms, ALL[0], &record, 2).await;
    assert_ne!(titles(ALL[0]).await, "短标题", "the unit's last word wins");
}
