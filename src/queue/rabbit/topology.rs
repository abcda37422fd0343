//! The queues on the broker: names, arguments, declaration.
//!
//! Every process declares the same; a queue that exists with other arguments is refused by the
//! broker, and a person must delete it (nothing is lost by that).

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Queue};
use std::sync::Arc;

/// How often a message is given to senders again before it is put aside.
const DELIVERY_LIMIT: i64 = 20;
/// Messages a queue holds; more are refused and stay for the sweep.
const LENGTH_MAX: i64 = 10_000;
/// Messages kept aside; the oldest go first.
const PARKED_MAX: i64 = 10_000;

/// The names of one hub's queues.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    prefix: Arc<str>,
}

impl Topology {
    /// Names that begin with `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// Returns the name of a platform's queue.
    pub(super) fn queue_of(&self, platform: &str) -> String {
        format!("{}.deliver.{platform}", self.prefix)
    }

    /// Returns the platform that a queue belongs to.
    pub(super) fn platform_of<'a>(&self, queue: &'a str) -> Option<&'a str> {
        queue.strip_prefix(&*self.prefix)?.strip_prefix(".deliver.")
    }

    /// Returns the name of the queue for what nobody can do anything with.
    pub(super) fn parking(&self) -> String {
        format!("{}.parking", self.prefix)
    }

    /// Declares the queue of `platform`, and where its dead letters go; says how many messages
    /// wait.
    pub(super) async fn declare(&self, channel: &Channel, platform: &str) -> lapin::Result<Queue> {
        self.declare_parking(channel).await?;
        let arguments = table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
            ("x-max-length", AMQPValue::LongLongInt(LENGTH_MAX)),
            ("x-overflow", text("reject-publish")),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&self.parking())),
        ]);
        let name = self.queue_of(platform);
        channel
            .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
            .await
    }

    /// Declares the parking queue. A classic one: it is looked at by fetching and giving back,
    /// which a quorum queue counts, and newer brokers drop a message after a count.
    pub(super) async fn declare_parking(&self, channel: &Channel) -> lapin::Result<Queue> {
        let arguments = table([
            ("x-queue-type", text("classic")),
            ("x-max-length", AMQPValue::LongLongInt(PARKED_MAX)),
        ]);
        channel
            .queue_declare(
                self.parking().into(),
                QueueDeclareOptions::durable(),
                arguments,
            )
            .await
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_tells_its_platform_and_no_other_queue_does() {
        let topology = Topology::new("synchub");
        let queue = topology.queue_of("portal");
        assert_eq!(queue, "synchub.deliver.portal");
        assert_eq!(topology.platform_of(&queue), Some("portal"));
        assert_eq!(topology.platform_of("other.deliver.portal"), None);
        assert_eq!(topology.platform_of("synchub.parking"), None);
    }
}
