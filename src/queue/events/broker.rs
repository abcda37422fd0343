//! One connection to the broker, for publishing events with confirms.
//!
//! It does not mend itself: after an error it is thrown away and another one is made, so that
//! there is one way to come back from everything. A confirm that never came means "unknown", and
//! the event is sent again.

use super::{EventOptions, PublishError};
use futures_util::poll;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use std::str::FromStr;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// Seconds of silence after which the connection counts as broken, unless the address says.
const HEARTBEAT_S: u16 = 10;
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
        options: &EventOptions,
        patience: Duration,
    ) -> Result<Self, PublishError> {
        // TLS needs to know its provider; an error means that it does already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        timeout(patience, open(options, patience))
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
        let mut sending = Vec::with_capacity(messages.len());
        for message in messages {
            let mut sent = Box::pin(self.channel.basic_publish(
                self.exchange.clone(),
                message.routing_key.as_str().into(),
                // Not mandatory: nobody has to listen.
                BasicPublishOptions::default(),
                &message.body,
                properties(message),
            ));
            // Polled once, it is in line. Waiting until each is written would be two changes of
            // threads per event, and what is in line together is written together.
            let begun = poll!(&mut sent);
            sending.push((begun, sent));
        }
        let mut confirms = Vec::with_capacity(messages.len());
        let mut broken = None;
        for (begun, sent) in sending {
            let sent = match begun {
                Poll::Ready(sent) => sent,
                Poll::Pending => sent.await,
            };
            match sent {
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

async fn open(options: &EventOptions, patience: Duration) -> Result<Broker, PublishError> {
    // The parser's own text could repeat the password, so it is dropped.
    let mut uri = AMQPUri::from_str(&options.url).map_err(|_| PublishError::Address)?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    let tls = OwnedTLSConfig {
        identity: None,
        cert_chain: match &options.ca_file {
            None => None,
            // Read at each try, so that a renewed certificate needs no restart.
            Some(path) => Some(tokio::fs::read_to_string(path).await?),
        },
    };
    // Trying again is the caller's concern: another process may do better.
    let properties = ConnectionProperties::default()
        .with_connection_name("synchub events".into())
        .configure_backoff(|backoff| backoff.with_max_times(0));
    let runtime = lapin::runtime::default_runtime()?;
    let connection = Connection::connect_uri_with_config(uri, properties, tls, runtime).await?;
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
            options.exchange.as_str().into(),
            ExchangeKind::Topic,
            durable,
            FieldTable::default(),
        )
        .await?;
    Ok(Broker {
        connection,
        channel,
        exchange: options.exchange.as_str().into(),
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
