//! One connection to the broker, for publishing events with confirms.
//!
//! It does not mend itself: after an error it is thrown away and another one is made, so that
//! there is one way to come back from everything. A confirm that never came means "unknown", and
//! the event is sent again.

use super::PublishError;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use std::time::Duration;
use tokio::time::timeout;

const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
const GOODBYE: Duration = Duration::from_secs(2);

/// One event as the broker gets it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) routing_key: String,
    /// Unix seconds.
    pub(super) at: u64,
    pub(super) body: Vec<u8>,
}

/// A connection with its channel and the exchange.
pub(super) struct Broker {
    connection: Connection,
    channel: Channel,
    exchange: ShortString,
    patience: Duration,
}

impl Broker {
    /// Connects and declares the exchange; nothing may take longer than `patience`.
    pub(super) async fn connect(
        url: &str,
        exchange: &str,
        patience: Duration,
    ) -> Result<Self, PublishError> {
        // TLS needs to know its provider; an error means that it does already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        timeout(patience, open(url, exchange, patience))
            .await
            .map_err(|_| PublishError::Slow("connect"))?
    }

    /// Publishes `messages` in order, all on their way at once. Returns how many of the first are
    /// confirmed without a gap.
    pub(super) async fn publish(&self, messages: &[Message]) -> (usize, Result<(), PublishError>) {
        let mut confirmed = 0;
        let result = timeout(self.patience, self.send(messages, &mut confirmed))
            .await
            .unwrap_or(Err(PublishError::Slow("confirm events")));
        (confirmed, result)
    }

    async fn send(&self, messages: &[Message], confirmed: &mut usize) -> Result<(), PublishError> {
        let mut confirms = Vec::with_capacity(messages.len());
        let mut broken = None;
        for message in messages {
            let sent = self.channel.basic_publish(
                self.exchange.clone(),
                message.routing_key.as_str().into(),
                // Not mandatory: nobody has to listen.
                BasicPublishOptions::default(),
                &message.body,
                properties(message),
            );
            match sent.await {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        for confirm in confirms {
            match confirm.await? {
                Confirmation::Ack(_) => *confirmed += 1,
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    return Err(PublishError::Refused);
                }
            }
        }
        broken.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Says goodbye, if anybody still listens.
    pub(super) async fn close(self) {
        let goodbye = self.connection.close(200, "events end".into());
        // Whether it went well does not matter any more.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

async fn open(url: &str, exchange: &str, patience: Duration) -> Result<Broker, PublishError> {
    let properties = ConnectionProperties::default().with_connection_name("synchub events".into());
    let connection = Connection::connect(url, properties).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            exchange.into(),
            ExchangeKind::Topic,
            durable,
            FieldTable::default(),
        )
        .await?;
    Ok(Broker {
        connection,
        channel,
        exchange: exchange.into(),
        patience,
    })
}

fn properties(message: &Message) -> BasicProperties {
    BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.id.as_str().into())
        .with_type(message.kind.as_str().into())
        .with_timestamp(message.at)
        .with_app_id("synchub".into())
}
