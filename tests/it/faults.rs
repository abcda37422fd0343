//! What the hub lives on breaks while it works: bounded answers, a clear log line, readiness that
//! flips and recovers, no restart, nothing lost, nothing twice.

mod postgres;
mod sqlite;

use crate::crash::{assert_each_once, wait_for};
use crate::hub::{ALL, Hub, Platforms, client, entry_for_all, eventually};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a hub of these tests lets a request wait, and how much longer an answer may take on a
/// busy machine.
const WAIT: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(5);
const POSTERS: usize = 4;
const TROUBLE: &str = "The database takes no commits";
const RECOVERY: &str = "The database takes commits again";

/// Settings for a hub that gives up soon.
fn impatient(platforms: &Platforms) -> Vec<(String, String)> {
    let mut environment = platforms.environment.clone();
    environment.push((
        "SYNCHUB__STORE__WAIT_MS".to_owned(),
        WAIT.as_millis().to_string(),
    ));
    environment
}

/// Callers that post one entry after the other, and each again until it is taken.
struct Callers {
    enough: Arc<AtomicBool>,
    posters: Vec<tokio::task::JoinHandle<Told>>,
}

/// What the callers were told.
#[derive(Debug, Default)]
struct Told {
    accepted: usize,
    refused: usize,
    longest: Duration,
}

impl Callers {
    fn start(hub: &Hub) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let posters = (0..POSTERS)
            .map(|poster| {
                let (url, key) = (hub.url.clone(), hub.oa_key.clone());
                let enough = Arc::clone(&enough);
                tokio::spawn(async move { post(poster, &url, &key, &enough).await })
            })
            .collect();
        Self { enough, posters }
    }

    /// Lets the callers finish what they are at.
    async fn stop(self) -> Told {
        self.enough.store(true, Ordering::Release);
        let mut told = Told::default();
        for poster in self.posters {
            let one = poster.await.expect("no panic in a caller");
            told.accepted += one.accepted;
            told.refused += one.refused;
            told.longest = told.longest.max(one.longest);
        }
        told
    }
}

async fn post(poster: usize, url: &str, key: &str, enough: &AtomicBool) -> Told {
    let client = client();
    let mut told = Told::default();
    for number in 0.. {
        if enough.load(Ordering::Acquire) {
            break;
        }
        let body = entry_for_all(&format!("OA-{poster}-{number}"), 1).to_string();
        loop {
            let began = Instant::now();
            let answer = client
                .post(format!("{url}/v1/submissions"))
                .bearer_auth(key)
                .body(body.clone())
                .send()
                .await
                .expect("the hub answers whatever happens");
            told.longest = told.longest.max(began.elapsed());
            match answer.status().as_u16() {
                200 | 202 => {
                    told.accepted += 1;
                    break;
                }
                503 => {
                    assert!(answer.headers().contains_key("retry-after"));
                    told.refused += 1;
                }
                other => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told
}

/// Waits until `/readyz` says so; each answer comes soon.
async fn readiness(hub: &Hub, ready: bool) {
    eventually(|| async {
        let began = Instant::now();
        let (status, answer) = hub.get("/readyz").await;
        assert!(
            began.elapsed() < SLACK,
            "/readyz took {:?}",
            began.elapsed()
        );
        match (status, ready) {
            (200, true) | (503, false) => Ok(()),
            _ => Err(format!("{status} {}", answer["checks"][0])),
        }
    })
    .await;
}

async fn log_says(hub: &Hub, text: &str) {
    eventually(|| async {
        let log = hub.log();
        match log.contains(text) {
            true => Ok(()),
            false => Err(format!("no {text:?} in:\n{log}")),
        }
    })
    .await;
}

/// Lets some work be done.
async fn some_deliveries(hub: &Hub, more: usize) {
    let (_, list) = hub.get("/v1/platforms").await;
    let done: i64 = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["id"] == ALL[0])
        .flat_map(|it| ["delivered", "confirmed"].map(|state| it["deliveries"][state].as_i64()))
        .flatten()
        .sum();
    wait_for(hub, ALL[0], done as usize + more).await;
}

/// All that was accepted is on each platform, once; nothing needs a person.
async fn nothing_lost_nothing_twice(hub: &Hub, platforms: &Platforms, told: &Told) {
    assert!(told.accepted > 0, "{told:?}");
    for platform in ALL {
        wait_for(hub, platform, told.accepted).await;
        assert_each_once(platforms, platform, told.accepted).await;
    }
    let (_, failures) = hub.get("/v1/failures").await;
    assert_eq!(
        failures["items"].as_array().map(Vec::len),
        Some(0),
        "{failures:#}"
    );
    let (_, page) = hub.get("/v1/records").await;
    assert!(
        page["items"]
            .as_array()
            .is_some_and(|it: &Vec<Value>| !it.is_empty())
    );
}

/// A hub of which the database is away for longer than a request waits.
async fn outage(hub: &Hub, callers: Callers, platforms: &Platforms, mut mend: impl FnMut()) {
    readiness(hub, false).await;
    log_says(hub, TROUBLE).await;
    // Longer than a request waits, so that callers are told to come back.
    tokio::time::sleep(WAIT + Duration::from_secs(1)).await;
    assert_eq!(hub.get("/healthz").await.0, 200);
    mend();
    readiness(hub, true).await;
    log_says(hub, RECOVERY).await;
    some_deliveries(hub, 10).await;
    let told = callers.stop().await;
    assert!(told.refused > 0, "{told:?}");
    assert!(told.longest < WAIT + SLACK, "{told:?}");
    nothing_lost_nothing_twice(hub, platforms, &told).await;
}
