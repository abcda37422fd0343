//! Several processes on one PostgreSQL and one RabbitMQ: they share the work, and whatever
//! happens to the broker, its queues or the processes, each entry is shown once.

mod faults;
mod limits;
mod parking;

use crate::backend::{Backend, needed};
use crate::crash::{assert_each_once, wait_for};
use crate::hub::{ALL, Hub, Platforms, client, entry_for_all, eventually};
use serde_json::{Value, json};

/// Settings that let a test see within seconds what takes half a minute by default.
fn soon(platforms: &Platforms) -> Vec<(String, String)> {
    let mut environment = platforms.environment.clone();
    for (name, value) in [
        ("SYNCHUB__QUEUE__GRACE_MS", "1500"),
        ("SYNCHUB__DELIVER__BEAT_MS", "500"),
    ] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    environment
}

/// A hub of which no process runs yet, on the shared servers.
fn prepare(platforms: &Platforms) -> Hub {
    let backend = Backend::on_broker(&needed("SYNCHUB_TEST_AMQP_URL"));
    Hub::prepare(backend, &soon(platforms))
}

/// Posts entries number `from` to `to` in one batch to a process.
async fn post_batch(hub: &Hub, url: &str, from: usize, to: usize) {
    let lines: String = (from..to)
        .map(|number| format!("{}\n", entry_for_all(&format!("OA-{number}"), 1)))
        .collect();
    let answer = client()
        .post(format!("{url}/v1/submissions/batch"))
        .bearer_auth(&hub.oa_key)
        .body(lines)
        .send()
        .await
        .expect("the hub answers");
    assert_eq!(answer.status().as_u16(), 200);
    let text = answer.text().await.expect("NDJSON");
    let accepted = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["status"] == 202)
        .count();
    assert_eq!(accepted, to - from, "{:?}", text.lines().last());
}

async fn all_shown_once(hub: &Hub, platforms: &Platforms, count: usize) {
    for platform in ALL {
        wait_for(hub, platform, count).await;
    }
    for platform in ALL {
        assert_each_once(platforms, platform, count).await;
    }
}

async fn status_of(url: &str) -> (u16, Value) {
    let answer = client().get(url).send().await.expect("it answers");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn ready(url: &str, wanted: u16) {
    eventually(|| async {
        match status_of(&format!("{url}/readyz")).await {
            (status, body) if status == wanted => Ok(body),
            (status, body) => Err(format!("{status} {body:#}")),
        }
    })
    .await;
}

/// How many attempts a process has made, by its own count.
async fn attempts_of(url: &str) -> u64 {
    let answer = client().get(format!("{url}/metrics")).send().await;
    let text = answer.expect("answers").text().await.expect("text");
    text.lines()
        .filter(|line| line.starts_with("synchub_attempts_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn three_processes_share_the_work() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = prepare(&platforms);
    hub.run();
    let others = [hub.another(&[]), hub.another(&["--role", "deliver"])];
    let mut urls = vec![hub.url.clone()];
    urls.extend(others.iter().map(|(_, url)| url.clone()));
    for url in &urls {
        ready(url, 200).await;
    }
    // Each process counts itself in within a few beats; until then it leaves the work to others.
    let mut posted = 0;
    eventually(|| {
        let from = posted;
        posted += 60;
        let (hub, urls) = (&hub, &urls);
        async move {
            post_batch(hub, &urls[from / 60 % 2], from, from + 60).await;
            for platform in ALL {
                wait_for(hub, platform, from + 60).await;
            }
            let mut attempts = Vec::new();
            for url in urls {
                attempts.push(attempts_of(url).await);
            }
            match attempts.iter().all(|count| *count > 0) {
                true => Ok(()),
                false => Err(format!("{attempts:?}")),
            }
        }
    })
    .await;
    all_shown_once(&hub, &platforms, posted).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn the_first_messages_for_new_queues_arrive_without_the_sweep() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let backend = Backend::on_broker(&needed("SYNCHUB_TEST_AMQP_URL"));
    let mut environment = platforms.environment.clone();
    // What was offered once is not offered again by the sweep while this test runs.
    environment.push(("SYNCHUB__QUEUE__GRACE_MS".to_owned(), "600000".to_owned()));
    let mut hub = Hub::prepare(backend, &environment);
    // It makes the queues with the first messages for them.
    let (_intake, url) = hub.another(&["--role", "intake"]);
    hub.url = url;
    for number in 0..5 {
        post_batch(&hub, &hub.url, number, number + 1).await;
    }
    let _deliver = hub.another(&["--role", "deliver"]);
    all_shown_once(&hub, &platforms, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn a_process_does_what_its_role_says() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = prepare(&platforms);
    let (_intake, intake_url) = hub.another(&["--role", "intake"]);
    ready(&intake_url, 200).await;
    post_batch(&hub, &intake_url, 0, 20).await;
    // It has published what it took in, and nobody has fetched it.
    let (queues, _) = hub.backend().queues();
    eventually(|| async {
        let connection = crate::servers::rabbitmq::connect(&needed("SYNCHUB_TEST_AMQP_URL"))
            .await
            .map_err(|error| error.to_string())?;
        let channel = connection.create_channel().await.expect("a channel");
        let options = lapin::options::QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let queue = channel
            .queue_declare(queues[0].as_str().into(), options, Default::default())
            .await
            .map_err(|error| error.to_string())?;
        match queue.message_count() {
            0 => Err("nothing waits".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    assert_eq!(attempts_of(&intake_url).await, 0);

    let (deliver, deliver_url) = hub.another(&["--role", "deliver"]);
    ready(&deliver_url, 200).await;
    for path in ["/v1/platforms", "/v1/submissions"] {
        let (status, _) = status_of(&format!("{deliver_url}{path}")).await;
        assert_eq!(status, 404, "{path}");
    }
    let (status, _) = status_of(&format!("{deliver_url}/healthz")).await;
    assert_eq!(status, 200);
    let mut hub = hub;
    hub.url = intake_url;
    all_shown_once(&hub, &platforms, 20).await;
    assert!(deliver.terminate(), "it ends well");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn a_process_that_ends_gives_back_what_it_holds() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = prepare(&platforms);
    hub.run();
    ready(&hub.url, 200).await;
    let slow = json!({"mode": "slow", "times": null, "ms": 300});
    platforms.misbehave(ALL[1], slow).await;
    let url = hub.url.clone();
    post_batch(&hub, &url, 0, 60).await;
    wait_for(&hub, ALL[1], 2).await;
    assert!(hub.terminate(), "it ends well");
    platforms.behave(ALL[1]).await;
    hub.run();
    all_shown_once(&hub, &platforms, 60).await;
}
