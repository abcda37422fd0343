//! The broker forgets, stops and dies; processes die. Nothing is lost, nothing is doubled.

use super::{all_shown_once, post_batch, prepare, ready, soon};
use crate::backend::{Backend, needed};
use crate::crash::wait_for;
use crate::hub::{ALL, Hub, Platforms};
use crate::servers::rabbitmq::{RabbitMq, delete, purge};

const ENTRIES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn queues_that_are_purged_or_deleted_under_load_lose_nothing() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = prepare(&platforms);
    hub.run();
    let (_second, second_url) = hub.another(&[]);
    let broker = needed("SYNCHUB_TEST_AMQP_URL");
    let (queues, _) = hub.backend().queues();
    ready(&hub.url, 200).await;
    ready(&second_url, 200).await;
    let url = hub.url.clone();
    post_batch(&hub, &url, 0, ENTRIES).await;
    wait_for(&hub, ALL[1], 20).await;
    purge(&broker, &queues).await;
    post_batch(&hub, &second_url, ENTRIES, 2 * ENTRIES).await;
    delete(&broker, &queues).await;
    post_batch(&hub, &url, 2 * ENTRIES, 3 * ENTRIES).await;
    all_shown_once(&hub, &platforms, 3 * ENTRIES).await;
    ready(&hub.url, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn a_broker_that_stops_or_dies_and_comes_back_needs_no_restart_of_the_hub() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut broker = tokio::task::block_in_place(RabbitMq::start_new);
    let backend = Backend::on_broker(&broker.url());
    let hub = Hub::start_on(backend, &soon(&platforms));
    ready(&hub.url, 200).await;
    let url = hub.url.clone();
    let mut posted = 0;
    for fault in [RabbitMq::stop, RabbitMq::kill] {
        post_batch(&hub, &url, posted, posted + ENTRIES).await;
        wait_for(&hub, ALL[1], posted + 20).await;
        tokio::task::block_in_place(|| fault(&mut broker));
        ready(&hub.url, 503).await;
        // Taking in needs no broker.
        post_batch(&hub, &url, posted + ENTRIES, posted + ENTRIES + 50).await;
        posted += ENTRIES + 50;
        tokio::task::block_in_place(|| broker.start());
        ready(&hub.url, 200).await;
        all_shown_once(&hub, &platforms, posted).await;
    }
    let log = hub.log();
    assert!(log.contains("No connection to the broker"), "{log}");
    assert!(log.contains("Connected to the broker"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn processes_killed_under_load_lose_and_double_nothing() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = prepare(&platforms);
    hub.run();
    let mut others = vec![hub.another(&[]), hub.another(&["--role", "deliver"])];
    ready(&hub.url, 200).await;
    let url = hub.url.clone();
    post_batch(&hub, &url, 0, 2 * ENTRIES).await;
    for done in [60, 140, 220] {
        wait_for(&hub, ALL[1], done).await;
        let (process, _) = others.remove(0);
        process.kill();
        others.push(hub.another(&[]));
    }
    hub.kill();
    hub.run();
    all_shown_once(&hub, &platforms, 2 * ENTRIES).await;
}
