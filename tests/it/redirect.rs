//! A platform moves to a new address while work goes on: nothing lost, nothing twice.

use crate::hub::{
    ALL, Hub, Platforms, client, entry_for_all, eventually, project, shows_nothing, shows_once,
    state_on,
};
use serde_json::{Value, json};
use std::path::Path;

/// The version before, as the hub calls it.
fn before() -> String {
    format!("{}@1", ALL[0])
}

/// Prepares the move as the runbook says: the old folder stays under its version, the new one has
/// the next version and references of its own. Returns the setting.
fn prepare(site: &Path) -> String {
    let old = project().join("connectors").join(ALL[0]);
    for name in [ALL[0].to_owned(), before()] {
        crate::conform::copy_folder(&old, &site.join(name));
    }
    let manifest = site.join(ALL[0]).join("connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    let references = regex::Regex::new("\"env:([A-Z_]+)\"").expect("a pattern");
    let text = references.replace_all(&text, "\"env:NEW_$1\"");
    let moved = text.replacen("version = 1", "version = 2", 1);
    assert_ne!(moved, text);
    std::fs::write(&manifest, moved).expect("written");
    format!("connectors,{}", site.display())
}

async fn reaches(hub: &Hub, record: &str, on: &str, states: &[&str]) {
    eventually(|| async {
        let (_, record) = hub.get(&format!("/v1/records/{record}")).await;
        let state = state_on(&record, on);
        match states.contains(&state) {
            true => Ok(()),
            false => Err(format!("{on}: {state}")),
        }
    })
    .await;
}

async fn submit(hub: &Hub, source_id: &str, revision: i64) -> String {
    let answer = hub.submit(&entry_for_all(source_id, revision)).await;
    answer["record_id"].as_str().expect("text").to_owned()
}

/// Posts entries, as the OA goes on to do, until told to stop; returns the records.
async fn keep_posting(
    url: String,
    key: String,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Vec<String> {
    let mut records = Vec::new();
    while stop.try_recv().is_err() {
        let entry = entry_for_all(&format!("OA-LOAD-{}", records.len()), 1);
        let answer = client()
            .post(format!("{url}/v1/submissions"))
            .bearer_auth(&key)
            .body(entry.to_string())
            .send()
            .await
            .expect("the hub answers");
        assert_eq!(answer.status().as_u16(), 202);
        let answer = answer.bytes().await.expect("a body");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        records.push(answer["record_id"].as_str().expect("text").to_owned());
    }
    records
}

/// Asserts that no platform ever kept a record twice.
async fn nothing_twice(platforms: &Platforms) {
    let mut ids: Vec<String> = platforms
        .articles(ALL[0])
        .await
        .iter()
        .map(|it| it["record_id"].as_str().expect("text").to_owned())
        .collect();
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an article is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_under_load_loses_nothing_doubles_nothing_and_ends_what_was_begun_at_the_old_address()
 {
    let site = tempfile::tempdir().expect("a folder");
    let old = Platforms::start(&["--review-ms", "0"]);
    let new = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&old.environment);
    let mut shown = Vec::new();
    for number in 0..4 {
        let record = submit(&hub, &format!("OA-SHOWN-{number}"), 1).await;
        reaches(&hub, &record, ALL[0], &["confirmed"]).await;
        shown.push(record);
    }
    // One was saved and its answer is lost, one was refused for now: both stay with the old one.
    old.misbehave(ALL[0], json!({"mode": "drop_after_save"}))
        .await;
    let doubtful = submit(&hub, "OA-DOUBT", 1).await;
    reaches(&hub, &doubtful, ALL[0], &["retrying"]).await;
    old.misbehave(ALL[0], json!({"mode": "error_500"})).await;
    let retried = submit(&hub, "OA-RETRY", 1).await;
    reaches(&hub, &retried, ALL[0], &["retrying"]).await;

    let connectors = prepare(site.path());
    hub.set("SYNCHUB__CONNECTORS__DIR", &connectors);
    for (name, value) in &new.environment {
        hub.set(&format!("NEW_{name}"), value);
    }
    // The process that runs still has the old folder and would go on sending to the old address.
    let press = ["redirect", ALL[0], "--yes", "--reason", "迁移到新地址"];
    let refused = hub.cli(&press);
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && errors.contains("hint: restart"),
        "{errors}"
    );
    assert!(hub.terminate());
    hub.run();
    assert_eq!(hub.platform(ALL[0])["status"], "awaits_redirect");
    let waiting = submit(&hub, "OA-WAITING", 1).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let load = tokio::spawn(keep_posting(hub.url.clone(), hub.oa_key.clone(), stopped));
    // The other platforms do not wait for this one, and nothing has gone to either address.
    shows_once(&old, ALL[1], &waiting, 1).await;
    reaches(&hub, &waiting, ALL[0], &["queued"]).await;
    assert!(new.articles(ALL[0]).await.is_empty());
    shows_nothing(&old, ALL[0], &waiting).await;

    let seen = hub.cli_json(&["redirect", ALL[0]]);
    assert_eq!(
        (
            &seen["done"],
            &seen["stays"]["confirmed"],
            &seen["from"],
            &seen["to"]
        ),
        (&json!(false), &json!(4), &json!(1), &json!(2)),
        "{seen:#}"
    );
    assert!(
        seen["goes_over"].as_i64().is_some_and(|it| it > 0),
        "{seen:#}"
    );
    assert_eq!(
        hub.platform(ALL[0])["status"],
        "awaits_redirect",
        "a dry run changes nothing"
    );
    let path = format!("/v1/platforms/{}/redirect", ALL[0]);
    let (code, problem) = hub.operate(&path, json!({"reason": " "})).await;
    assert_eq!(code, 400, "{problem:#}");
    let (code, done) = hub.operate(&path, json!({"reason": "迁移到新地址"})).await;
    assert_eq!((code, &done["done"]), (200, &json!(true)), "{done:#}");
    assert_eq!(done["moved"], 6, "what was shown or tried: {done:#}");
    let (code, again) = hub.operate(&path, json!({"reason": "再按一次"})).await;
    assert_eq!(code, 409, "{again:#}");

    // What was begun ends where it was begun.
    old.behave(ALL[0]).await;
    for record in [&doubtful, &retried] {
        shows_once(&old, ALL[0], record, 1).await;
        reaches(&hub, record, &before(), &["confirmed"]).await;
        shows_nothing(&new, ALL[0], record).await;
    }
    shows_once(&new, ALL[0], &waiting, 1).await;
    stop.send(()).expect("it goes on");
    let loaded = load.await.expect("no panic");
    assert!(loaded.len() > 5, "{}", loaded.len());
    for record in &loaded {
        shows_once(&new, ALL[0], record, 1).await;
        shows_nothing(&old, ALL[0], record).await;
    }

    follows_what_happens_to_the_records(&hub, (&old, &new), &shown).await;

    // What only the old address shows is brought over, and no more than that.
    let previous = before();
    let retire = format!("/v1/platforms/{previous}/retire");
    let (code, problem) = hub.operate(&retire, json!({"reason": "旧站关闭"})).await;
    assert_eq!(code, 409, "three are only there: {problem:#}");
    assert!(
        problem["type"]
            .as_str()
            .is_some_and(|it| it.ends_with("version-in-use"))
            && problem["detail"]
                .as_str()
                .is_some_and(|it| it.contains("3 条只在旧版本上")),
        "{problem:#}"
    );
    let wrong = json!({"way": "move", "filter": {"platform": ALL[0]}, "dry_run": true});
    assert_eq!(hub.operate("/v1/replays", wrong).await.0, 400);
    let request = json!({"way": "move", "filter": {"platform": previous}, "reason": "搬到新地址"});
    let replay = hub.replay(request).await;
    // With the corrected one, which is there already.
    assert_eq!(
        (&replay["count"], &replay["way"]),
        (&json!(4), &json!("move"))
    );
    let id = replay["id"].as_str().expect("text");
    hub.replay_is_done(id).await;
    let (_, items) = hub.get(&format!("/v1/replays/{id}/items")).await;
    for item in items["items"].as_array().expect("a list") {
        assert_eq!(
            item["platform"], ALL[0],
            "the outcome is that of the new one"
        );
    }
    for record in [&shown[2], &doubtful, &retried] {
        shows_once(&new, ALL[0], record, 1).await;
        shows_once(&old, ALL[0], record, 1).await;
        reaches(&hub, record, ALL[0], &["confirmed"]).await;
    }
    withdraw(&hub, &shown[2]).await;
    for platforms in [&old, &new] {
        shows_nothing(platforms, ALL[0], &shown[2]).await;
    }
    reaches(&hub, &shown[2], &previous, &["withdrawn"]).await;
    reaches(&hub, &shown[0], ALL[0], &["confirmed"]).await;

    let left = hub.cli_json(&["retire", &previous]);
    assert_eq!(
        (&left["done"], &left["only_there"], &left["also_shown"]),
        (&json!(false), &json!(0), &json!(3)),
        "{left:#}"
    );
    hub.cli_json(&["retire", &previous, "--yes", "--reason", "旧站关闭"]);
    assert_eq!(hub.platform(&previous)["status"], "retired");
    // The folder may go; what happens from now on concerns the new address only.
    std::fs::remove_dir_all(site.path().join(&previous)).expect("removed");
    assert!(hub.terminate());
    hub.run();
    submit(&hub, "OA-RETRY", 2).await;
    shows_once(&new, ALL[0], &retried, 2).await;
    shows_once(&old, ALL[0], &retried, 1).await;
    reaches(&hub, &retried, &previous, &["withdrawn"]).await;
    assert_eq!(hub.platform(&previous)["status"], "retired");
    nothing_twice(&old).await;
    nothing_twice(&new).await;
}

async fn withdraw(hub: &Hub, record: &str) {
    let path = format!("/v1/records/{record}/withdraw");
    let (code, answer) = hub.operate(&path, json!({"reason": "错发"})).await;
    assert_eq!(code, 202, "{answer:#}");
}

/// A correction reaches both addresses, a withdrawal every address that shows the record, and what
/// comes back afterwards only the new one.
async fn follows_what_happens_to_the_records(
    hub: &Hub,
    (old, new): (&Platforms, &Platforms),
    shown: &[String],
) {
    submit(hub, "OA-SHOWN-0", 2).await;
    for platforms in [old, new] {
        shows_once(platforms, ALL[0], &shown[0], 2).await;
    }
    withdraw(hub, &shown[1]).await;
    shows_nothing(old, ALL[0], &shown[1]).await;
    reaches(hub, &shown[1], &before(), &["withdrawn"]).await;
    withdraw(hub, &shown[3]).await;
    shows_nothing(old, ALL[0], &shown[3]).await;
    submit(hub, "OA-SHOWN-3", 2).await;
    shows_once(new, ALL[0], &shown[3], 3).await;
    reaches(hub, &shown[3], ALL[0], &["confirmed"]).await;
    for platforms in [old, new] {
        shows_nothing(platforms, ALL[0], &shown[1]).await;
    }
    shows_nothing(old, ALL[0], &shown[3]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL; `tests/run postgres` provides it"]
async fn processes_are_restarted_one_by_one_and_an_old_one_never_sends_to_the_wrong_address() {
    let site = tempfile::tempdir().expect("a folder");
    let old = Platforms::start(&["--review-ms", "0"]);
    let new = Platforms::start(&["--review-ms", "0"]);
    let mut hub = Hub::start(&old.environment);
    let (second, _) = hub.another(&[]);
    let connectors = prepare(site.path());
    hub.set("SYNCHUB__CONNECTORS__DIR", &connectors);
    for (name, value) in &new.environment {
        hub.set(&format!("NEW_{name}"), value);
    }
    assert!(hub.terminate());
    hub.run();
    assert_eq!(hub.platform(ALL[0])["status"], "awaits_redirect");
    // The old process goes on as before; nobody may press while it does.
    let meanwhile = submit(&hub, "OA-MEANWHILE", 1).await;
    shows_once(&old, ALL[0], &meanwhile, 1).await;
    let path = format!("/v1/platforms/{}/redirect", ALL[0]);
    let press = async || hub.operate(&path, json!({"reason": "迁移到新地址"})).await;
    let (code, problem) = press().await;
    assert_eq!(code, 409, "{problem:#}");
    let kind = problem["type"].as_str().expect("text");
    assert!(kind.ends_with("processes-outdated"), "{problem:#}");
    assert!(second.terminate());
    let (code, done) = press().await;
    assert_eq!((code, &done["done"]), (200, &json!(true)), "{done:#}");
    assert_eq!(done["moved"], 1);

    // One that is started with the old folder all the same sends nothing there.
    let stale = [("SYNCHUB__CONNECTORS__DIR", "connectors")];
    let stale = hub.try_another(&["--role", "deliver"], &stale);
    let (stale, _) = stale.unwrap_or_else(|log| panic!("{log}"));
    let mut records = Vec::new();
    for number in 0..12 {
        records.push(submit(&hub, &format!("OA-{number}"), 1).await);
    }
    for record in &records {
        shows_once(&new, ALL[0], record, 1).await;
        shows_nothing(&old, ALL[0], record).await;
    }
    eventually(|| async {
        let log = stale.log();
        match log.contains("was redirected to version 2") {
            true => Ok(()),
            false => Err(log),
        }
    })
    .await;
    shows_once(&old, ALL[0], &meanwhile, 1).await;
    shows_nothing(&new, ALL[0], &meanwhile).await;
}
