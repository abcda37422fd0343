//! Corrections, conflicts, the same document twice, and looking again at what is public.

use crate::hub::{Hub, project, sample};
use serde_json::{Value, json};

fn entry(source_id: &str, revision: i64) -> Value {
    let mut submission = sample("10-A4-choujian-gonggao.json");
    submission["source_id"] = json!(source_id);
    submission["revision"] = json!(revision);
    submission
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_correction_changed_is_kept_and_a_conflict_says_what_differs() {
    let hub = Hub::start(&[]);
    hub.submit(&entry("OA-1", 1)).await;
    let mut corrected = entry("OA-1", 2);
    corrected["entry"]["written_on"] = json!("2014年9月29日");
    let id = hub.submit(&corrected).await["record_id"]
        .as_str()
        .expect("text")
        .to_owned();
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    let changes = &record["versions"][0]["changes"];
    assert_eq!(changes[0]["pointer"], "/written_on", "{changes}");
    assert_eq!(changes[0]["after"], "2014-09-29");
    assert_eq!(changes.as_array().expect("a list").len(), 1);
    assert_eq!(record["versions"][1]["changes"], json!([]));
    let trace = hub.cli(&["trace", "OA-1"]);
    let trace = String::from_utf8_lossy(&trace.stdout).into_owned();
    assert!(
        trace.contains("/written_on") && trace.contains("2014-09-29"),
        "{trace}"
    );

    let mut conflict = entry("OA-1", 2);
    conflict["entry"]["title"] = json!("另一个标题13800138000");
    let (status, problem) = hub.post(conflict.to_string()).await;
    assert_eq!(status, 409);
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| error["pointer"].as_str().expect("text"))
        .collect();
    assert_eq!(pointers, ["/revision", "/entry/title", "/entry/written_on"]);
    assert!(!problem.to_string().contains("13800138000"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_withdrawal_only_a_newer_revision_brings_a_record_back() {
    let hub = Hub::start(&[]);
    let id = hub.submit(&entry("OA-1", 1)).await["record_id"].clone();
    let withdrawal =
        json!({"source_id": "OA-1", "revision": 2, "action": "withdraw", "reason": "有误"});
    assert_eq!(hub.submit(&withdrawal).await["state"], "withdrawn");
    let (status, _) = hub.post(entry("OA-1", 1).to_string()).await;
    assert_eq!(status, 409, "an old post arrives late");
    let (status, _) = hub.post(entry("OA-1", 2).to_string()).await;
    assert_eq!(status, 409, "the revision of the withdrawal says otherwise");
    let (status, again) = hub.post(withdrawal.to_string()).await;
    assert_eq!((status, &again["changed"]), (200, &json!(false)));
    let back = hub.submit(&entry("OA-1", 3)).await;
    assert_eq!((&back["record_id"], &back["state"]), (&id, &json!("live")));
    assert_eq!(back["version"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_document_from_two_sources_is_visible_from_both() {
    let hub = Hub::start(&[]);
    let first = hub.submit(&entry("OA-1", 1)).await;
    assert_eq!(first["warnings"], json!([]));
    let second = hub.submit(&entry("OLD-77", 1)).await;
    assert_ne!(first["record_id"], second["record_id"]);
    let told = &second["warnings"][0];
    assert_eq!(told["code"], "same_document");
    assert!(
        told["detail"].as_str().expect("text").contains("OA-1"),
        "{told}"
    );
    let id = first["record_id"].as_str().expect("text");
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    assert_eq!(record["same_document"][0]["source_id"], "OLD-77");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_rules_change_everything_public_is_looked_at_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = std::fs::read_to_string(project().join("connectors/screening/rules.toml"))
        .expect("readable");
    let write = |allowed: &str| {
        let rules = rules.replace("allowed = []", &format!("allowed = [{allowed}]"));
        std::fs::write(folder.path().join("rules.toml"), rules).expect("written");
    };
    write("\"13800138000\", \"13900139000\"");
    let folder_name = folder.path().display().to_string();
    let hub = Hub::start(&[("SYNCHUB__CONNECTORS__SCREENING".to_owned(), folder_name)]);
    let with_number = |source_id: &str, number: &str| {
        let mut submission = entry(source_id, 1);
        submission["entry"]["title"] = json!(format!("公告 {source_id}"));
        submission["entry"]["body"] =
            json!({"format": "text", "content": format!("热线{number}。")});
        submission
    };
    let leak = hub.submit(&with_number("OA-1", "13800138000")).await;
    hub.submit(&with_number("OA-2", "0751-8000808")).await;
    let held = hub.submit(&with_number("OA-3", "13700137000")).await;
    assert_eq!(
        (&leak["state"], &held["state"]),
        (&json!("live"), &json!("held"))
    );
    let released = held["record_id"].as_str().expect("text");
    let path = format!("/v1/records/{released}/release");
    let (status, _) = hub
        .operate(&path, json!({"reason": "单位已书面同意公开"}))
        .await;
    assert_eq!(status, 202);

    write("");
    let listed = hub.cli(&["screen", "--rescan", "--json"]);
    assert_eq!(
        listed.status.code(),
        Some(1),
        "something is public that should not be"
    );
    let lines: Vec<Value> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let leaked = lines
        .iter()
        .find(|it| it["source_id"] == "OA-1")
        .expect("listed");
    assert_eq!(leaked["holds"][0]["code"], "personal_data");
    assert_eq!(leaked["findings"][0]["excerpt_masked"], "138****8000");
    assert_eq!(leaked["withdrawn"], false);

    let done = hub.cli(&[
        "screen",
        "--rescan",
        "--yes",
        "--reason",
        "复查发现个人信息",
    ]);
    assert!(done.status.success());
    let state = async |id: &Value| {
        let id = id.as_str().expect("text");
        hub.get(&format!("/v1/records/{id}")).await.1["state"].clone()
    };
    assert_eq!(state(&leak["record_id"]).await, "withdrawn");
    assert_eq!(
        state(&held["record_id"]).await,
        "live",
        "an operator knew and released it"
    );

    let page = hub.get("/v1/screening/rescan?limit=1").await;
    assert_eq!(page.0, 200);
    assert_eq!(page.1["scanned"], 1);
    assert!(page.1["next_cursor"].is_string(), "{}", page.1);
}

#[test]
fn files_are_screened_before_they_are_posted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("名单.csv");
    std::fs::write(&file, "姓名,手机\n张三,13800138000\n").expect("written");
    let run = |path: &std::path::Path| {
        std::process::Command::new(crate::hub::SYNCHUB)
            .args(["screen", "--json"])
            .arg(path)
            .current_dir(project())
            .output()
            .expect("it runs")
    };
    let output = run(&file);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["findings"][0]["code"], "mobile");
    assert!(!told.to_string().contains("13800138000"));
    std::fs::write(&file, "姓名,手机\n张三,138****8000\n").expect("written");
    assert!(run(&file).status.success());
}
