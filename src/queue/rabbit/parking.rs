//! Looks at the messages that were put aside, without taking them away.

use super::link::Link;
use super::topology::Topology;
use crate::clock::now_ms;
use crate::queue::{Parked, QueueError};
use lapin::message::Delivery;
use lapin::options::BasicGetOptions;
use lapin::types::{AMQPValue, FieldTable};
use std::time::Duration;

/// Messages that are looked at.
const LOOKED_AT_MAX: usize = 200;
/// Characters of an example.
const EXAMPLE_MAX: usize = 80;
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns what was put aside, by queue and reason; of the oldest 200 messages.
pub(super) async fn peek(link: &Link, topology: &Topology) -> Result<Vec<Parked>, QueueError> {
    match tokio::time::timeout(PATIENCE, fetch(link, topology)).await {
        Ok(Ok(messages)) => Ok(gather(&messages)),
        Ok(Err(error)) => Err(QueueError::Away(error.to_string())),
        Err(_) => Err(QueueError::Away(
            link.problem()
                .unwrap_or_else(|| "no answer in time".to_owned()),
        )),
    }
}

async fn fetch(link: &Link, topology: &Topology) -> lapin::Result<Vec<Delivery>> {
    let channel = link.channel().await;
    topology.declare_parking(&channel).await?;
    let parking = topology.parking();
    let mut messages = Vec::new();
    while messages.len() < LOOKED_AT_MAX {
        let options = BasicGetOptions { no_ack: false };
        match channel.basic_get(parking.as_str().into(), options).await? {
            Some(message) => messages.push(message.delivery),
            None => break,
        }
    }
    // Not acknowledged, so closing the channel puts them back where they were.
    channel.close(200, "OK".into()).await?;
    Ok(messages)
}

fn gather(messages: &[Delivery]) -> Vec<Parked> {
    let mut groups: Vec<Parked> = Vec::new();
    for message in messages {
        let (queue, reason, at) = origin(message);
        let known = groups
            .iter_mut()
            .find(|group| group.queue == queue && group.reason == reason);
        match known {
            Some(group) => {
                group.count += 1;
                group.first_at = group.first_at.min(at);
                group.last_at = group.last_at.max(at);
            }
            None => groups.push(Parked {
                queue,
                reason,
                count: 1,
                first_at: at,
                last_at: at,
                example: String::from_utf8_lossy(&message.data)
                    .chars()
                    .take(EXAMPLE_MAX)
                    .collect(),
            }),
        }
    }
    groups
}

/// Returns queue, reason and time of what the broker wrote about a dead letter.
fn origin(message: &Delivery) -> (String, String, i64) {
    let unknown = || {
        let queue = message.routing_key.as_str().to_owned();
        (queue, "unknown".to_owned(), now_ms())
    };
    let death = message
        .properties
        .headers()
        .as_ref()
        .and_then(|headers| headers.inner().get("x-death"))
        .and_then(|deaths| match deaths {
            AMQPValue::FieldArray(deaths) => deaths.as_slice().first(),
            _ => None,
        });
    let Some(AMQPValue::FieldTable(death)) = death else {
        return unknown();
    };
    let at = match death.inner().get("time") {
        Some(AMQPValue::Timestamp(seconds)) => (*seconds as i64) * 1000,
        _ => now_ms(),
    };
    (text(death, "queue"), text(death, "reason"), at)
}

fn text(table: &FieldTable, name: &str) -> String {
    match table.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        Some(AMQPValue::ShortString(text)) => text.as_str().to_owned(),
        _ => "unknown".to_owned(),
    }
}
