//! The queues on the broker: names, arguments, declaration.
//!
//! Every process declares the same; a queue that exists with other arguments is refused by the
//! broker, and a person must delete it (nothing is lost by that).

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Queue};

/// What nobody can do anything with goes here.
pub(super) const PARKING: &str = "synchub.parking";
/// How often a message is given to senders again before it is put aside.
const DELIVERY_LIMIT: i64 = 20;
/// Messages a queue holds; more are refused and stay for the sweep.
const LENGTH_MAX: i64 = 10_000;
/// Messages kept aside; the oldest go first.
const PARKED_MAX: i64 = 10_000;

/// Returns the name of a platform's queue.
pub(super) fn queue_of(platform: &str) -> String {
    format!("synchub.deliver.{platform}")
}

/// Returns the platform that a queue or routing key belongs to.
pub(super) fn platform_of(queue: &str) -> Option<&str> {
    queue.strip_prefix("synchub.deliver.")
}

/// Declares the queue of `platform`, and where its dead letters go; says how many messages wait.
pub(super) async fn declare(channel: &Channel, platform: &str) -> lapin::Result<Queue> {
    declare_parking(channel).await?;
    let arguments = table([
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
        ("x-max-length", AMQPValue::LongLongInt(LENGTH_MAX)),
        ("x-overflow", text("reject-publish")),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(PARKING)),
    ]);
    channel
        .queue_declare(
            queue_of(platform).into(),
            QueueDeclareOptions::durable(),
            arguments,
        )
        .await
}

/// Declares the parking queue. A classic one: it is looked at by fetching and giving back, which
/// a quorum queue counts, and newer brokers drop a message after a count.
pub(super) async fn declare_parking(channel: &Channel) -> lapin::Result<Queue> {
    let arguments = table([
        ("x-queue-type", text("classic")),
        ("x-max-length", AMQPValue::LongLongInt(PARKED_MAX)),
    ]);
    channel
        .queue_declare(PARKING.into(), QueueDeclareOptions::durable(), arguments)
        .await
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}
