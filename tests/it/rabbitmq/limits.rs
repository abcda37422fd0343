//! A platform's limits hold over all processes together.

use super::{all_shown_once, post_batch, ready, soon};
use crate::backend::{Backend, needed};
use crate::hub::{ALL, Hub, Platforms, project};
use serde_json::Value;
use std::path::Path;

const ENTRIES: usize = 80;
/// Requests a second that the connector keeps to, and that the platform bears: a process may send
/// a tenth of a second's requests at once, after a pause.
const RATE: u32 = 30;
const BORNE: u32 = 39;
const CONCURRENCY: usize = 3;

/// Copies the connectors and makes one of them slow.
fn careful_connectors(to: &Path, careful: &str) {
    for id in ALL {
        copy(&project().join("connectors").join(id), &to.join(id));
    }
    let path = to.join(careful).join("connector.toml");
    let text: String = std::fs::read_to_string(&path)
        .expect("readable")
        .lines()
        .map(|line| match line.split(" = ").next() {
            Some("rate_per_s") => format!("rate_per_s = {RATE}\n"),
            Some("concurrency") => format!("concurrency = {CONCURRENCY}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&path, text).expect("written");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(std::fs::copy(&path, &target).expect("copied")),
        }
    }
}

/// Everything that was tried on a platform.
async fn attempts(hub: &Hub, platform: &str) -> Vec<Value> {
    let mut attempts = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = hub.get(&format!("/v1/records?{cursor}")).await;
        for item in page["items"].as_array().expect("a list") {
            let id = item["id"].as_str().expect("an id");
            let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
            let deliveries = record["deliveries"].as_array().expect("a list").iter();
            for delivery in deliveries.filter(|it| it["platform"] == platform) {
                let id = delivery["id"].as_str().expect("an id");
                let (_, delivery) = hub.get(&format!("/v1/deliveries/{id}")).await;
                attempts.extend(delivery["attempts"].as_array().expect("a list").clone());
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("cursor={next}"),
            None => return attempts,
        }
    }
}

async fn three_processes(hub: &Hub) -> Vec<(crate::hub::Process, String)> {
    let processes = vec![hub.another(&[]), hub.another(&[]), hub.another(&[])];
    for (process, url) in &processes {
        ready(url, 200).await;
        // All of them know of each other before there is anything to send.
        crate::hub::eventually(|| async {
            let log = process.log();
            log.contains("Of 3 processes that send")
                .then_some(())
                .ok_or(log)
        })
        .await;
    }
    processes
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn the_rate_of_a_platform_holds_over_all_processes() {
    let careful = ALL[2];
    let borne = BORNE.to_string();
    let platforms = Platforms::start(&["--review-ms", "0", "--rate-per-s", &borne]);
    let folder = tempfile::tempdir().expect("a folder");
    careful_connectors(folder.path(), careful);
    let mut environment = soon(&platforms);
    let dir = folder.path().display().to_string();
    environment.push(("SYNCHUB__CONNECTORS__DIR".to_owned(), dir));
    let backend = Backend::on_broker(&needed("SYNCHUB_TEST_AMQP_URL"));
    let mut hub = Hub::prepare(backend, &environment);
    let processes = three_processes(&hub).await;
    hub.url = processes[0].1.clone();
    post_batch(&hub, &hub.url, 0, ENTRIES).await;
    all_shown_once(&hub, &platforms, ENTRIES).await;
    let attempts = attempts(&hub, careful).await;
    assert!(attempts.len() >= ENTRIES, "{}", attempts.len());
    let refused: Vec<&Value> = attempts
        .iter()
        .filter(|it| it["verdict"] == "rate_limited")
        .collect();
    assert!(
        refused.is_empty(),
        "{} refused: {:#}",
        refused.len(),
        refused[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn what_is_in_flight_to_a_platform_is_limited_over_all_processes() {
    let careful = ALL[0];
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let folder = tempfile::tempdir().expect("a folder");
    careful_connectors(folder.path(), careful);
    let mut environment = soon(&platforms);
    let dir = folder.path().display().to_string();
    environment.push(("SYNCHUB__CONNECTORS__DIR".to_owned(), dir));
    let backend = Backend::on_broker(&needed("SYNCHUB_TEST_AMQP_URL"));
    let mut hub = Hub::prepare(backend, &environment);
    let processes = three_processes(&hub).await;
    hub.url = processes[0].1.clone();
    let slow = serde_json::json!({"mode": "slow", "times": null, "ms": 100});
    platforms.misbehave(careful, slow).await;
    post_batch(&hub, &hub.url, 0, ENTRIES / 2).await;
    all_shown_once(&hub, &platforms, ENTRIES / 2).await;

    let mut edges: Vec<(i64, i64)> = Vec::new();
    for attempt in attempts(&hub, careful).await {
        let began = millis(&attempt["started_at"]);
        let duration = attempt["duration_ms"].as_i64().expect("a number");
        edges.push((began, 1));
        edges.push((began + duration, -1));
    }
    // An end and a beginning in the same millisecond: the end came first.
    edges.sort_unstable();
    let (mut flying, mut most) = (0, 0);
    for (_, change) in edges {
        flying += change;
        most = most.max(flying);
    }
    assert!(most <= CONCURRENCY as i64, "{most} at once");
    assert!(most > 1, "several processes send: {most}");
}

fn millis(at: &Value) -> i64 {
    match at.as_str() {
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .expect("a time")
            .as_millisecond(),
        None => at.as_i64().expect("a time"),
    }
}
