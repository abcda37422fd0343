//! The operator's hand: find out in one step, switch, replay without fear, and the command line.

use crate::hub::{
    ALL, Hub, Platforms, SYNCHUB, entry_for_all, eventually, project, sample, shows_once, state_on,
};
use serde_json::{Value, json};
use std::process::Command;

fn id_of(answer: &Value) -> String {
    answer["record_id"].as_str().expect("text").to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_platform_waits_and_the_others_do_not() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    hub.cli_json(&["pause", ALL[0], "--reason", "平台升级"]);
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    shows_once(&platforms, ALL[1], &id, 1).await;
    shows_once(&platforms, ALL[2], &id, 1).await;
    assert!(platforms.articles(ALL[0]).await.is_empty());
    let paused = hub.platform(ALL[0]);
    assert_eq!(paused["status"], "paused");
    assert!(
        paused["reason"]
            .as_str()
            .is_some_and(|it| it.contains("平台升级"))
    );
    let why = text(&hub.cli(&["why", "OA-1", "--on", ALL[0]]).stdout);
    assert!(
        why.contains("暂停") && why.contains(&format!("synchub resume {}", ALL[0])),
        "{why}"
    );
    hub.cli_json(&["resume", ALL[0]]);
    shows_once(&platforms, ALL[0], &id, 1).await;
    let record = hub.settled(&id).await;
    let delivery = record["deliveries"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["platform"] == ALL[0]);
    assert_eq!(delivery.expect("there")["tries"], 0, "a pause costs no try");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_failure_group_whose_replay_acts_on_what_it_showed() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    // A platform that does not know our key refuses the login of all.
    let mut environment = platforms.environment.clone();
    let hub = {
        for (name, value) in &mut environment {
            if name == "ENGINEERING_PROJECTS_SECRET" {
                *value = "not-the-secret".into();
            }
        }
        Hub::start(&environment)
    };
    let mut long = entry_for_all("OA-1", 1);
    long["entry"]["title"] = json!("题".repeat(130));
    let answer = hub.submit(&long).await;
    let warned: Vec<&str> = answer["warnings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["platform"].as_str())
        .collect();
    assert!(
        warned.contains(&ALL[0]),
        "the clerk hears of it at once: {:#}",
        answer["warnings"]
    );
    let id = id_of(&answer);
    eventually(|| async {
        let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
        match state_on(&record, ALL[0]) {
            "failed" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    let (_, failures) = hub.get("/v1/failures").await;
    let group = failures["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["platform"] == ALL[0])
        .expect("a group")
        .clone();
    assert_eq!(
        (group["count"].as_i64(), group["stage"].as_str()),
        (Some(1), Some("contract"))
    );
    assert_eq!(
        (group["owner"].as_str(), group["total"].as_i64()),
        (Some("unit"), Some(1))
    );
    let pattern = group["pattern"].as_str().expect("text");
    assert!(
        !pattern.contains(|it: char| it.is_ascii_digit()),
        "{pattern}"
    );
    let next: Vec<&str> = group["next"]
        .as_str()
        .expect("text")
        .split(' ')
        .skip(1)
        .collect();
    let told = text(&hub.cli(&next).stdout);
    assert!(
        told.contains("不符合平台要求") && told.contains("报送单位"),
        "{next:?}: {told}"
    );
    assert!(told.lines().count() <= 24, "one screen: {told}");
    let name = group["group"].as_str().expect("text");
    let preview = hub.cli_json(&["replay", "--group", name]);
    assert_eq!(preview["count"], 1);
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    assert_eq!(
        state_on(&record, ALL[0]),
        "failed",
        "a dry run changes nothing"
    );
    let unseen = hub.cli(&["replay", "--group", name, "--yes"]);
    assert!(!unseen.status.success() && text(&unseen.stderr).contains("hint: run `synchub replay"));
    let hash = preview["selection_hash"].as_str().expect("text");
    let press = [
        "replay",
        "--group",
        name,
        "--yes",
        "--selection",
        hash,
        "--reason",
        "演练",
    ];
    let replay = hub.cli_json(&press);
    assert_eq!(
        (&replay["count"], &replay["selection_hash"]),
        (&json!(1), &json!(hash))
    );
    let replay_id = replay["id"].as_str().expect("text").to_owned();
    eventually(|| async {
        let (_, replay) = hub.get(&format!("/v1/replays/{replay_id}")).await;
        if replay["outcomes"]["failed"] == 1 {
            Ok(())
        } else {
            Err(replay["outcomes"].to_string())
        }
    })
    .await;
    let why = text(&hub.cli(&["why", &id, "--on", ALL[0]]).stdout);
    assert!(
        why.contains("不符合平台要求") && why.contains("标题"),
        "{why}"
    );
    let why = text(&hub.cli(&["why", &id, "--on", ALL[2]]).stdout);
    assert!(why.contains("bad_signature"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_record_goes_out_only_after_a_release_and_never_when_it_is_not_public() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let leak = id_of(&hub.submit(&sample("09-A3-held-peizu-mingdan.json")).await);
    let secret = id_of(&hub.submit(&sample("22-A8-held-yishenqing.json")).await);
    let why = text(&hub.cli(&["why", &leak]).stdout);
    assert!(why.contains("身份证"), "{why}");

    let (status, problem) = hub
        .operate(
            &format!("/v1/records/{secret}/release"),
            json!({"reason": "误判"}),
        )
        .await;
    assert_eq!(status, 409, "{problem:#}");
    let (status, problem) = hub
        .operate(
            &format!("/v1/records/{leak}/release"),
            json!({"reason": " "}),
        )
        .await;
    assert_eq!(status, 400, "{problem:#}");
    let (status, answer) = hub
        .operate(
            &format!("/v1/records/{leak}/release"),
            json!({"reason": "已核实可公开"}),
        )
        .await;
    assert_eq!(status, 202, "{answer:#}");
    shows_once(&platforms, ALL[0], &leak, 1).await;
    assert_eq!(platforms.articles(ALL[0]).await.len(), 1);
    let (_, record) = hub.get(&format!("/v1/records/{leak}")).await;
    assert_eq!(record["versions"][0]["released_by"], "test-operator");
    assert_eq!(record["versions"][0]["release_reason"], "已核实可公开");
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_tells_everything_in_order() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(ALL[1], json!({"mode": "error_500", "times": 1}))
        .await;
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    hub.settled(&id).await;
    hub.submit(&entry_for_all("OA-1", 2)).await;
    hub.settled(&id).await;
    let shown = text(&hub.cli(&["trace", "OA-1"]).stdout);
    for line in [
        "revision 1 → v1",
        "revision 2 → v2",
        "publish",
        "update",
        "retry",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    let trace = hub.cli_json(&["trace", &id]);
    let times: Vec<i64> = trace["attempts"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["started_at"].as_i64())
        .collect();
    assert!(times.is_sorted() && times.len() >= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_submitted_through_the_same_door() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("entry.json");
    std::fs::write(&file, entry_for_all("CLI-1", 1).to_string()).expect("written");
    let path = file.to_str().expect("a path");
    let submitted = hub.cli(&["submit", path, "--json"]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let answer: Value = serde_json::from_slice(&submitted.stdout).expect("JSON");
    shows_once(&platforms, ALL[1], &id_of(&answer), 1).await;
    std::fs::write(
        &file,
        r#"{"source_id": "CLI-2", "revision": 1, "action": "publish"}"#,
    )
    .expect("written");
    let refused = hub.cli(&["submit", path]);
    assert!(!refused.status.success());
    assert!(
        text(&refused.stdout).contains("/entry"),
        "{}",
        text(&refused.stdout)
    );
}

#[test]
fn the_doctor_names_what_is_missing_and_migrate_what_it_would_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = format!("sqlite://{}", folder.path().join("hub.db").display());
    let run = |arguments: &[&str]| {
        Command::new(SYNCHUB)
            .args(arguments)
            .env("SYNCHUB__STORE__URL", &database)
            .current_dir(project())
            .output()
            .expect("it runs")
    };
    let check = run(&["migrate", "--check"]);
    assert!(
        !check.status.success() && text(&check.stdout).contains("would"),
        "{}",
        text(&check.stdout)
    );
    let doctor = text(&run(&["doctor"]).stdout);
    assert!(
        doctor.contains("GOV_INFO_URL") && doctor.contains("hint:"),
        "{doctor}"
    );
    assert!(run(&["migrate"]).status.success());
    assert!(run(&["migrate", "--check"]).status.success());
}

#[test]
fn errors_end_with_a_hint() {
    for (arguments, environment, word) in [
        (vec!["why", "none"], vec![], "id"),
        (
            vec!["platforms"],
            vec![("SYNCHUB__STORE__URL", "mysql://x")],
            "sqlite://",
        ),
        (
            vec!["platforms"],
            vec![("SYNCHUB__STORE__URLL", "x")],
            "synchub.example.toml",
        ),
        (
            vec!["connector", "check", "nowhere"],
            vec![],
            "connector new",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = format!("sqlite://{}", folder.path().join("hub.db").display());
        let output = Command::new(SYNCHUB)
            .args(&arguments)
            .env("SYNCHUB__STORE__URL", database)
            .envs(environment)
            .current_dir(project())
            .output()
            .expect("it runs");
        let errors = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        let (_, hint) = errors
            .split_once("hint: ")
            .unwrap_or_else(|| panic!("{arguments:?}: {errors}"));
        assert!(hint.contains(word), "{arguments:?}: {hint}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_connector_is_checked_tested_and_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("a path");
    let run = |arguments: &[&str]| {
        Command::new(SYNCHUB)
            .args(arguments)
            .env("FIFTH_ONE_TOKEN", "a-token-nobody-may-see")
            .current_dir(project())
            .output()
            .expect("it runs")
    };
    let made = run(&["connector", "new", "fifth-one", "--dir", dir]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let path = folder.path().join("fifth-one");
    let connector = path.to_str().expect("a path");
    assert!(run(&["connector", "check", connector]).status.success());
    assert!(run(&["connector", "test", connector]).status.success());

    // A practice platform that is not the right one answers with what no rule knows.
    let platforms = Platforms::start(&[]);
    let tried = run(&["connector", "try", connector, "--to", platforms.url(ALL[0])]);
    let shown = text(&tried.stdout);
    assert!(!tried.status.success());
    assert!(
        shown.contains("PUT") && shown.contains("/articles/"),
        "{shown}"
    );
    assert!(
        !shown.contains("a-token-nobody-may-see") && shown.contains("***"),
        "{shown}"
    );

    let template = path.join("templates/article.json.j2");
    let good = std::fs::read_to_string(&template).expect("readable");
    std::fs::write(&template, good.replace("record.title", "record.titel")).expect("written");
    let broken = run(&["connector", "check", connector]);
    let shown = text(&broken.stdout);
    assert!(
        !broken.status.success() && shown.contains("article.json.j2"),
        "{shown}"
    );
    std::fs::write(&template, good).expect("written");
    let manifest = path.join("connector.toml");
    let good = std::fs::read_to_string(&manifest).expect("readable");
    std::fs::write(&manifest, good.replace("timeout_ms", "timeout_sm")).expect("written");
    let shown = text(&run(&["connector", "check", connector]).stdout);
    assert!(
        shown.contains("timeout_sm") && shown.contains("line"),
        "{shown}"
    );
}
