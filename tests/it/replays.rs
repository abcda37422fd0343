//! Replays under control: look, press, watch; stop and go on; nothing twice.

use crate::hub::{
    ALL, Hub, Platforms, entry_for_all, eventually, project, shows_nothing, shows_once, state_on,
};
use serde_json::{Value, json};
use std::path::Path;

/// Copies the connectors; the first platform's contract takes only the shortest titles.
fn strict_connectors(folder: &Path) -> String {
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(project().join("connectors"))
        .arg(folder)
        .status()
        .expect("cp runs");
    assert!(copied.success());
    let dir = folder.join("connectors");
    let contract = dir.join(ALL[0]).join("contract.schema.json");
    let text = std::fs::read_to_string(&contract).expect("readable");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    schema["properties"]["title"]["maxLength"] = json!(2);
    std::fs::write(&contract, schema.to_string()).expect("written");
    dir.display().to_string()
}

/// Submits `count` entries that fail on the first platform; returns their record ids.
async fn fail(hub: &Hub, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let answer = hub.submit(&entry_for_all(&format!("OA-{number}"), 1)).await;
        ids.push(answer["record_id"].as_str().expect("text").to_owned());
    }
    for id in &ids {
        let record = hub.settled(id).await;
        assert_eq!(state_on(&record, ALL[0]), "failed");
    }
    ids
}

async fn replay_until(hub: &Hub, id: &str, state: &str) -> Value {
    eventually(|| async {
        let (_, replay) = hub.get(&format!("/v1/replays/{id}")).await;
        match replay["state"] == state {
            true => Ok(replay),
            false => Err(replay.to_string()),
        }
    })
    .await
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list["items"].as_array().expect("a list").iter();
    let mut texts: Vec<String> = items
        .map(|it| it[key].as_str().expect("text").to_owned())
        .collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_tries_one_first_stops_survives_a_restart_and_sends_what_was_shown_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut environment = platforms.environment.clone();
    let strict = strict_connectors(folder.path());
    environment.push(("SYNCHUB__CONNECTORS__DIR".into(), strict));
    let mut hub = Hub::start(&environment);
    let records = fail(&hub, 4).await;
    let look = json!({"filter": {"platform": ALL[0], "state": "failed"}, "dry_run": true});
    let (_, seen) = hub.operate("/v1/replays", look).await;
    assert_eq!(
        (&seen["count"], &seen["by_group"][0]["count"]),
        (&json!(4), &json!(4))
    );
    let press = json!({"filter": {"platform": ALL[0], "state": "failed"}, "ramp": [1, 2],
        "selection_hash": seen["selection_hash"], "reason": "先试一条"});
    let (status, replay) = hub.operate("/v1/replays", press.clone()).await;
    assert_eq!((status, &replay["count"]), (202, &json!(4)));
    let id = replay["id"].as_str().expect("text").to_owned();
    let stopped = replay_until(&hub, &id, "stopped").await;
    assert_eq!(
        (
            &stopped["outcomes"]["failed"],
            &stopped["outcomes"]["waiting"]
        ),
        (&json!(1), &json!(3))
    );
    assert_eq!(stopped["failed_again"][0]["count"], 1);

    hub.kill();
    hub.set("SYNCHUB__CONNECTORS__DIR", "connectors");
    hub.run();
    let (_, after) = hub.get(&format!("/v1/replays/{id}")).await;
    assert_eq!(after, stopped, "as it was before the restart");
    let (status, again) = hub.operate("/v1/replays", press).await;
    assert_eq!(
        (status, &again["id"], &again["repeated"]),
        (200, &json!(id), &json!(true))
    );
    hub.cli_json(&["replays", "resume", &id, "--reason", "规则已放宽"]);
    let done = replay_until(&hub, &id, "done").await;
    let sent = &done["outcomes"];
    let good = sent["delivered"].as_i64().zip(sent["confirmed"].as_i64());
    assert_eq!(good.map(|(one, other)| one + other), Some(3), "{sent}");
    let (_, items) = hub.get(&format!("/v1/replays/{id}/items")).await;
    let mut expected = records.clone();
    expected.sort();
    assert_eq!(
        texts(&items, "record_id"),
        expected,
        "the set shown is the set acted on"
    );
    let rest = hub.replay(json!({"filter": {"platform": ALL[0]}})).await;
    assert_eq!(rest["count"], 1, "the one that failed again");
    for record in &records {
        shows_once(&platforms, ALL[0], record, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_selection_is_refused_and_a_cancelled_replay_sends_nothing_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut environment = platforms.environment.clone();
    let strict = strict_connectors(folder.path());
    environment.push(("SYNCHUB__CONNECTORS__DIR".into(), strict));
    let mut hub = Hub::start(&environment);
    let records = fail(&hub, 2).await;
    let seen = hub.cli_json(&["replay", "--platform", ALL[0]]);
    let hash = seen["selection_hash"].as_str().expect("text");
    hub.submit(&entry_for_all("OA-1", 2)).await;
    hub.settled(&records[1]).await;
    let press = ["replay", "--platform", ALL[0], "--yes", "--selection", hash];
    let refused = hub.cli(&press);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && errors.contains("hint: run `synchub replay"),
        "{errors}"
    );
    assert_eq!(
        hub.cli_json(&["replays", "list"]),
        json!([]),
        "nothing happened"
    );

    // Mended, and paused before anything is tried: all of it goes back to what it was.
    hub.kill();
    hub.set("SYNCHUB__CONNECTORS__DIR", "connectors");
    hub.run();
    hub.cli_json(&["pause", ALL[0], "--reason", "先停一下"]);
    let id = hub.replay(json!({"filter": {"platform": ALL[0]}})).await["id"].clone();
    let id = id.as_str().expect("text").to_owned();
    eventually(|| async {
        let (_, record) = hub.get(&format!("/v1/records/{}", records[0])).await;
        match state_on(&record, ALL[0]) {
            "queued" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    let cancelled = hub.cli_json(&["replays", "cancel", &id, "--reason", "不再需要"]);
    assert_eq!(
        (&cancelled["state"], &cancelled["outcomes"]["cancelled"]),
        (&json!("cancelled"), &json!(2))
    );
    hub.cli_json(&["resume", ALL[0]]);
    hub.cli_json(&["doctor"]);
    for record in &records {
        let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
        assert_eq!(state_on(&record, ALL[0]), "failed");
    }
    shows_nothing(&platforms, ALL[0], &records[0]).await;
}

/// Replays everything on a platform identically; returns the outcomes.
async fn replay_identically(hub: &Hub, platform: &str) -> Value {
    let replay = hub
        .replay(
            json!({"filter": {"platform": platform, "state": "confirmed"},
            "way": "identical", "reason": "平台要求补发"}),
        )
        .await;
    assert_eq!(replay["count"], 1);
    let id = replay["id"].as_str().expect("text").to_owned();
    replay_until(hub, &id, "done").await["outcomes"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_replay_sends_the_same_bytes_or_nothing() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let answer = hub.submit(&entry_for_all("OA-1", 1)).await;
    let id = answer["record_id"].as_str().expect("text").to_owned();
    eventually(|| async {
        let record = hub.settled(&id).await;
        let is_confirmed = |platform: &&str| state_on(&record, platform) == "confirmed";
        match ALL.iter().all(is_confirmed) {
            true => Ok(()),
            false => Err(record["deliveries"].to_string()),
        }
    })
    .await;
    let sent = replay_identically(&hub, ALL[0]).await;
    assert_eq!(sent["failed"], 0, "{sent}");
    let record = hub.settled(&id).await;
    let delivery = |platform: &str| {
        let deliveries = record["deliveries"].as_array().expect("a list").iter();
        let found = deliveries.clone().find(|it| it["platform"] == platform);
        found.expect("there")["id"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let (_, seen) = hub
        .get(&format!("/v1/deliveries/{}", delivery(ALL[0])))
        .await;
    let attempts = seen["attempts"].as_array().expect("a list");
    let bodies: Vec<&Value> = attempts
        .iter()
        .flat_map(|it| it["exchanges"].as_array().expect("a list"))
        .filter(|it| it["request"]["body_bytes"] != 0)
        .map(|it| &it["request"]["body_sha256"])
        .collect();
    assert!(bodies.len() == 2 && bodies[0] == bodies[1], "{attempts:#?}");

    // The second platform's requests hold a session: there is no sending them again.
    let sent = replay_identically(&hub, ALL[1]).await;
    assert_eq!(sent["failed"], 1, "{sent}");
    let (_, refused) = hub
        .get(&format!("/v1/deliveries/{}", delivery(ALL[1])))
        .await;
    assert_eq!(refused["failure"]["code"], "bytes_differ", "{refused:#}");
    let last = refused["attempts"]
        .as_array()
        .expect("a list")
        .last()
        .cloned();
    assert_eq!(
        last.expect("one")["exchanges"],
        json!([]),
        "nothing was sent"
    );
    shows_once(&platforms, ALL[1], &id, 1).await;
    // What was refused is still known to be shown.
    let path = format!("/v1/records/{id}/withdraw");
    let (status, answer) = hub.operate(&path, json!({"reason": "误发"})).await;
    assert_eq!(status, 202, "{answer:#}");
    for platform in ALL {
        shows_nothing(&platforms, platform, &id).await;
    }
}
