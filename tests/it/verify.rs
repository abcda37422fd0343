//! Looking at what platforms show: every way in which it may differ, and what sending mends.

use crate::hub::{
    ALL, Hub, Platforms, entry_for_all, eventually, project, shows_nothing, shows_once, state_on,
};
use crate::servers::free_port;
use serde_json::{Value, json};
use std::path::Path;

const PORTAL: &str = ALL[1];

async fn posted(hub: &Hub, source_id: &str, revision: i64) -> String {
    let answer = hub.submit(&entry_for_all(source_id, revision)).await;
    let id = answer["record_id"].as_str().expect("text").to_owned();
    confirmed(hub, &id).await;
    id
}

/// Waits until the hub itself has read a record back everywhere.
async fn confirmed(hub: &Hub, id: &str) {
    eventually(|| async {
        let record = hub.settled(id).await;
        let states = ALL.map(|platform| state_on(&record, platform).to_owned());
        match states.iter().all(|state| state == "confirmed") {
            true => Ok(()),
            false => Err(states.join(", ")),
        }
    })
    .await;
}

/// Takes the newest state of a record out of what a platform keeps, as a restored backup would.
fn forget_newest(dir: &Path, platform: &str, record_id: &str) {
    let path = dir.join(format!("{platform}.ndjson"));
    let text = std::fs::read_to_string(&path).expect("a journal");
    let mut lines: Vec<&str> = text.lines().collect();
    let newest = lines.iter().rposition(|line| line.contains(record_id));
    lines.remove(newest.expect("it is there"));
    std::fs::write(&path, lines.join("\n") + "\n").expect("written");
}

/// Runs `synchub verify`, which ends when everything is looked at.
fn verify(hub: &Hub, arguments: &[&str]) -> (bool, Value) {
    let output = hub.cli(&[&["verify", "--json"], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.success(), report)
}

fn found(report: &Value, verdict: &str) -> Vec<String> {
    let findings = report["findings"].as_array().expect("a list");
    let mine = findings.iter().filter(|it| it["verdict"] == verdict);
    mine.map(|it| it["record_id"].as_str().expect("text").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_stale_or_altered_is_told_and_what_sending_mends_is_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, port) = (
        folder.path().to_str().expect("a path"),
        free_port().to_string(),
    );
    let kept = ["--dir", dir, "--port", &port, "--review-ms", "0"];
    let platforms = Platforms::start(&kept);
    let hub = Hub::start(&platforms.environment);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(posted(&hub, &format!("OA-{number}"), 1).await);
    }
    posted(&hub, "OA-0", 2).await;
    let [corrected, deleted, edited, ..] = ids.as_slice() else {
        unreachable!("five were posted");
    };
    for platform in ALL {
        platforms
            .edit(platform, deleted, json!({"delete": true}))
            .await;
    }
    platforms
        .edit(PORTAL, edited, json!({"title": "改过的标题"}))
        .await;
    platforms.stop();
    forget_newest(folder.path(), PORTAL, corrected);
    let platforms = Platforms::start(&kept);

    let (clean, report) = verify(&hub, &[PORTAL]);
    assert!(!clean, "{report:#}");
    assert_eq!(found(&report, "missing"), std::slice::from_ref(deleted));
    assert_eq!(found(&report, "stale"), std::slice::from_ref(corrected));
    assert_eq!(found(&report, "altered"), std::slice::from_ref(edited));
    let counts = &report["counts"];
    assert_eq!(
        [&counts["looked"], &counts["confirmed"], &counts["repaired"]],
        [5, 2, 0],
        "{report:#}"
    );

    // Looking changed nothing; mending does, on each platform in its own way.
    for platform in ALL {
        let (_, report) = verify(&hub, &[platform, "--repair", "--reason", "每日核对"]);
        assert!(found(&report, "missing").contains(deleted), "{report:#}");
        let repaired = if platform == PORTAL { 2 } else { 1 };
        assert_eq!(report["counts"]["repaired"], repaired, "{report:#}");
        assert_eq!(report["reason"], "每日核对");
    }
    for platform in ALL {
        shows_once(&platforms, platform, deleted, 1).await;
        shows_once(&platforms, platform, corrected, 2).await;
    }
    confirmed(&hub, deleted).await;
    confirmed(&hub, corrected).await;
    let (_, report) = verify(&hub, &[PORTAL]);
    let counts = &report["counts"];
    assert_eq!(
        [&counts["confirmed"], &counts["altered"]],
        [4, 1],
        "{report:#}"
    );

    // The report stays and can be asked for one kind of finding.
    let id = report["id"].as_str().expect("text");
    let (status, altered) = hub
        .get(&format!("/v1/verifications/{id}?verdict=altered"))
        .await;
    assert_eq!((status, found(&altered, "altered").len()), (200, 1));
    let (_, none) = hub
        .get(&format!("/v1/verifications/{id}?verdict=stale"))
        .await;
    assert_eq!(none["findings"], json!([]));
    let (_, list) = hub.get("/v1/verifications").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_under_review_is_no_failure_and_asking_twice_looks_once() {
    let platforms = Platforms::start(&["--review-ms", "3600000"]);
    let hub = Hub::start(&platforms.environment);
    let answer = hub.submit(&entry_for_all("OA-1", 1)).await;
    let id = answer["record_id"].as_str().expect("text").to_owned();
    hub.settled(&id).await;
    let (clean, report) = verify(&hub, &[ALL[0], "--repair"]);
    assert!(clean, "{report:#}");
    assert_eq!(found(&report, "under_review"), [id]);
    assert_eq!(report["counts"]["repaired"], 0);

    hub.cli_json(&["pause", ALL[0], "--reason", "演练"]);
    let ask = || async {
        hub.operate(&format!("/v1/platforms/{}/verify", ALL[0]), json!({}))
            .await
    };
    let ((first, one), (second, other)) = (ask().await, ask().await);
    assert_eq!((first, second), (202, 202));
    assert_eq!(one["id"], other["id"]);
    assert_eq!(one["state"], "waiting");
    let path = format!(
        "/v1/verifications/{}/cancel",
        one["id"].as_str().expect("text")
    );
    let (status, ended) = hub.operate(&path, json!({"reason": "演练结束"})).await;
    assert_eq!((status, &ended["state"]), (200, &json!("cancelled")));

    let (status, _) = hub.operate("/v1/platforms/nowhere/verify", json!({})).await;
    assert_eq!(status, 404);
    let path = format!("/v1/platforms/{}/verify", ALL[0]);
    let (status, _) = hub
        .call(&hub.oa_key, reqwest::Method::POST, &path, "{}")
        .await;
    assert_eq!(status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_verified_by_its_own_schedule_once_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().join(PORTAL);
    crate::conform::copy_folder(&project().join("connectors").join(PORTAL), &site);
    let manifest = site.join("connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    // Midnight is always past; a hub that was down then looks when it is up again.
    let text = format!("{text}\n[verify]\nat = \"00:00\"\nrepair = true\n");
    std::fs::write(&manifest, text).expect("written");

    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&platforms.environment);
    let id = posted(&hub, "OA-1", 1).await;
    platforms.edit(PORTAL, &id, json!({"delete": true})).await;
    assert!(hub.terminate());
    let dirs = format!("connectors,{}", folder.path().display());
    for _ in 0..2 {
        assert!(hub.run_with("SYNCHUB__CONNECTORS__DIR", &dirs));
        shows_once(&platforms, PORTAL, &id, 1).await;
        hub.settled(&id).await;
        eventually(|| async {
            let (_, list) = hub.get("/v1/verifications").await;
            let items = list["items"].as_array().expect("a list");
            // One, also after the second start.
            assert_eq!(items.len(), 1, "{list:#}");
            match items[0]["state"] == "done" {
                true => Ok(()),
                false => Err(items[0]["state"].to_string()),
            }
        })
        .await;
        assert!(hub.terminate());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_withdrawn_and_comes_back_with_a_restored_backup_is_taken_down_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, port) = (
        folder.path().to_str().expect("a path"),
        free_port().to_string(),
    );
    let kept = ["--dir", dir, "--port", &port, "--review-ms", "0"];
    let platforms = Platforms::start(&kept);
    let hub = Hub::start(&platforms.environment);
    let (back, gone) = (posted(&hub, "OA-1", 1).await, posted(&hub, "OA-2", 1).await);
    for id in [&back, &gone] {
        let path = format!("/v1/records/{id}/withdraw");
        hub.operate(&path, json!({"reason": "错发"})).await;
        hub.settled(id).await;
    }
    for platform in ALL {
        let (clean, report) = verify(&hub, &[platform]);
        assert!(clean, "{report:#}");
        let counts = &report["counts"];
        assert_eq!(
            [&counts["looked"], &counts["confirmed"]],
            [2, 2],
            "{report:#}"
        );
    }
    platforms.stop();
    for platform in ALL {
        forget_newest(folder.path(), platform, &back);
    }
    let platforms = Platforms::start(&kept);
    for platform in ALL {
        shows_once(&platforms, platform, &back, 1).await;
        let (clean, report) = verify(&hub, &[platform]);
        assert!(!clean, "{report:#}");
        assert_eq!(
            found(&report, "returned"),
            std::slice::from_ref(&back),
            "{report:#}"
        );
        assert_eq!(report["counts"]["repaired"], 0);
        shows_once(&platforms, platform, &back, 1).await;
        let (clean, report) = verify(&hub, &[platform, "--repair"]);
        assert!(clean, "{report:#}");
        assert_eq!(report["counts"]["repaired"], 1, "{report:#}");
        shows_nothing(&platforms, platform, &back).await;
        let record = hub.settled(&back).await;
        assert_eq!(state_on(&record, platform), "withdrawn");
        let (clean, report) = verify(&hub, &[platform]);
        assert!(clean && report["counts"]["confirmed"] == 2, "{report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_with_other_words_is_held_against_those_words() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let id = posted(&hub, "OA-1", 1).await;
    let title = platforms.articles(PORTAL).await[0]["title"].clone();
    let field = ["--on", PORTAL, "--field", "/title", "--value", "短标题"];
    let press = ["--yes", "--reason", "平台限字数"];
    hub.cli_json(&[&["override", "OA-1"], &field[..], &press].concat());
    eventually(|| async {
        let shown = platforms.articles(PORTAL).await[0]["title"].clone();
        match shown == "短标题" {
            true => Ok(()),
            false => Err(shown.to_string()),
        }
    })
    .await;
    confirmed(&hub, &id).await;
    let (clean, report) = verify(&hub, &[PORTAL]);
    assert!(clean && report["counts"]["confirmed"] == 1, "{report:#}");
    // The record's own words are the wrong ones there.
    platforms.edit(PORTAL, &id, json!({"title": title})).await;
    let (clean, report) = verify(&hub, &[PORTAL]);
    assert!(!clean, "{report:#}");
    assert_eq!(found(&report, "altered"), [id]);
}
