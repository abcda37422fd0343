//! Messages that nobody can do anything with go aside and are shown.

use super::{all_shown_once, post_batch, prepare, ready};
use crate::backend::needed;
use crate::hub::{Hub, Platforms, eventually};
use crate::servers::rabbitmq::connect;
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicNackOptions};
use serde_json::Value;

/// The parked groups that operators are shown, as `(queue, code, count)`.
async fn parked(hub: &Hub) -> Vec<(String, String, i64)> {
    let (status, failures) = hub.get("/v1/failures").await;
    assert_eq!(status, 200, "{failures:#}");
    let items = failures["items"].as_array().expect("a list").iter();
    items.filter_map(group).collect()
}

fn group(failure: &Value) -> Option<(String, String, i64)> {
    let text = |name: &str| failure[name].as_str().map(ToOwned::to_owned);
    (failure["class"] == "parked")
        .then(|| Some((text("platform")?, text("code")?, failure["count"].as_i64()?)))?
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn messages_that_are_not_ours_are_parked_and_shown() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = prepare(&platforms);
    hub.run();
    ready(&hub.url, 200).await;
    let url = hub.url.clone();
    let (queues, _) = hub.backend().queues();
    post_batch(&hub, &url, 0, 5).await;
    all_shown_once(&hub, &platforms, 5).await;
    let connection = connect(&needed("SYNCHUB_TEST_AMQP_URL"))
        .await
        .expect("it answers");
    let channel = connection.create_channel().await.expect("a channel");
    for body in [&b"\xff\x00 rubbish"[..], b"{\"ids\":[1]}", b"[]"] {
        let published = channel.basic_publish(
            "".into(),
            queues[0].as_str().into(),
            Default::default(),
            body,
            Default::default(),
        );
        published.await.expect("published");
    }
    let wanted = vec![(queues[0].clone(), "rejected".to_owned(), 3)];
    eventually(|| async {
        let parked = parked(&hub).await;
        (parked == wanted)
            .then_some(())
            .ok_or(format!("{parked:?}"))
    })
    .await;
    // Looking does not take them away, and the command line shows the same.
    assert_eq!(parked(&hub).await, wanted);
    let shown = hub.cli_json(&["failures"]);
    let shown: Vec<_> = shown
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(group)
        .collect();
    assert_eq!(shown, wanted);
    // The work goes on beside them.
    post_batch(&hub, &url, 5, 10).await;
    all_shown_once(&hub, &platforms, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and RabbitMQ: tests/run rabbitmq"]
async fn a_message_that_always_comes_back_is_parked_and_its_deliveries_are_made() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let mut hub = prepare(&platforms);
    let (intake, intake_url) = hub.another(&["--role", "intake"]);
    post_batch(&hub, &intake_url, 0, 1).await;
    let (queues, _) = hub.backend().queues();
    let connection = connect(&needed("SYNCHUB_TEST_AMQP_URL"))
        .await
        .expect("it answers");
    // A consumer that breaks at this message again and again.
    let consumer = eventually(|| async {
        let channel = connection.create_channel().await.expect("a channel");
        channel
            .basic_consume(
                queues[0].as_str().into(),
                "broken".into(),
                BasicConsumeOptions::default(),
                Default::default(),
            )
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    let breaking = tokio::spawn(async move {
        let mut messages = consumer;
        while let Some(Ok(message)) = messages.next().await {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            if message.nack(options).await.is_err() {
                return;
            }
        }
    });
    hub.url = intake_url;
    let wanted = vec![(queues[0].clone(), "delivery_limit".to_owned(), 1)];
    eventually(|| async {
        let parked = parked(&hub).await;
        (parked == wanted)
            .then_some(())
            .ok_or(format!("{parked:?}"))
    })
    .await;
    breaking.abort();
    connection.close(200, "OK".into()).await.expect("it closes");
    hub.run();
    all_shown_once(&hub, &platforms, 1).await;
    assert!(intake.terminate(), "it ends well");
}
