//! The process dies at each failpoint of the code in turn, and is started again.

use crate::backend::Backend;
use crate::hub::{ALL, Hub, PATIENCE, Platforms, client, eventually};
use crate::story::{Caller, Story, audit};
use serde_json::json;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use synchub::failpoint::{Point, VARIABLE};

/// Acts in hand when a hub is asked to end, which leads to the last points.
const ACTS_AT_END: usize = 60;
/// How long a hub has for the others: it joins those that send, connects and renews meanwhile.
const WORK: Duration = Duration::from_secs(4);
/// How many acts it has at least, however slow the machine is.
const ACTS_MIN: usize = 150;
/// How `abort` ends a process: at once, no destructor, nothing flushed.
const SIGABRT: i32 = 6;

fn caller(hub: &Hub) -> Caller {
    Caller {
        client: client(),
        url: hub.url.clone(),
        oa_key: hub.oa_key.clone(),
        operator_key: hub.operator_key.clone(),
    }
}

/// Works on until the hub is dead; then it must have died at the point.
async fn work_until_death(hub: &mut Hub, story: &mut Story, platforms: &Platforms, wish: &str) {
    let began = Instant::now();
    let caller = caller(hub);
    // There is always something to look at.
    story.verify_all(&caller).await;
    let mut acts = 0;
    while began.elapsed() < WORK || acts < ACTS_MIN {
        if let Some(status) = hub.ended() {
            return assert_died_there(status, wish);
        }
        acts += 1;
        // No answer is what a dying hub gives; the story repeats itself after the restart.
        let _ = story.go_on(&caller).await;
    }
    // More in hand than can be sent at once, then the end: claims are handed back.
    for platform in ALL {
        let slow = json!({"mode": "slow", "times": null, "ms": 200});
        platforms.misbehave(platform, slow).await;
    }
    for _ in 0..ACTS_AT_END {
        let _ = story.go_on(&caller).await;
    }
    hub.ask_to_end();
    loop {
        if let Some(status) = hub.ended() {
            for platform in ALL {
                platforms.behave(platform).await;
            }
            return assert_died_there(status, wish);
        }
        assert!(began.elapsed() < PATIENCE, "{wish} was not reached");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn assert_died_there(status: ExitStatus, wish: &str) {
    assert_eq!(
        status.signal(),
        Some(SIGABRT),
        "the hub was to die at {wish}, and ended with {status}"
    );
}

/// Waits until nothing is on its way any more and nothing needs a person.
async fn all_quiet(hub: &Hub) {
    eventually(|| async {
        let (_, list) = hub.get("/v1/platforms").await;
        let items = list["items"].as_array().expect("a list");
        let open: Vec<String> = items
            .iter()
            .flat_map(|item| {
                ["held", "queued", "sending", "retrying", "failed"].map(|state| {
                    let count = item["deliveries"][state].as_i64().unwrap_or(0);
                    (count > 0).then(|| format!("{} {state} {count}", item["id"]))
                })
            })
            .flatten()
            .collect();
        match open.is_empty() {
            true => Ok(()),
            false => Err(open.join(", ")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_dies_at_any_point_loses_doubles_and_leaves_nothing_old() {
    // Sessions that run out soon, so that each hub logs in more than once.
    let platforms = Platforms::start(&["--review-ms", "0", "--session-ttl-ms", "600"]);
    let backend = Backend::chosen();
    let has_broker = backend.has_broker();
    let mut environment = platforms.environment.clone();
    for (name, value) in [
        ("SYNCHUB__DELIVER__LEASE_MS", "1000"),
        ("SYNCHUB__DELIVER__BEAT_MS", "200"),
        ("SYNCHUB__QUEUE__GRACE_MS", "1000"),
        ("SYNCHUB__EVENTS__LEASE_MS", "1000"),
    ] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let mut hub = Hub::prepare(backend, &environment);
    let mut story = Story::new("crash", 20_140_918);
    let points = Point::ALL
        .iter()
        .filter(|point| has_broker || !point.needs_broker());
    for (number, point) in points.enumerate() {
        // What a hub hands back while it ends may all go into one commit.
        let times = match point.name().starts_with("release.") {
            true => 1,
            false => 1 + number % 3,
        };
        let wish = format!("{}:{times}", point.name());
        hub.run_with(VARIABLE, &wish);
        work_until_death(&mut hub, &mut story, &platforms, &wish).await;
    }
    hub.run();
    let caller = caller(&hub);
    story.finish(&caller).await.expect("an answer");
    all_quiet(&hub).await;
    let findings = audit(&[&story], &platforms).await;
    assert!(findings.is_clean(), "{findings:#?}");
    assert!(story.entries() > Point::ALL.len(), "{:?}", story.acts);
}
