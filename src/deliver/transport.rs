//! Sends one request and says what is known when no answer came.
//!
//! The whole point of [`SendError`] is the difference between "was not sent" and "may have been
//! carried out": only the first may simply be repeated on a platform without idempotency.

use crate::connector::{Body, BodyPieces, Request, Response};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection came about; nothing was carried out.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The request went out and its answer did not come; it may have been carried out.
    #[error("no answer: {0}")]
    Lost(String),
    /// The platform sends us to a host that is not on the allow-list.
    #[error("the platform redirects to `{0}`, which is not on the connector's allow-list")]
    RedirectRefused(String),
    /// The answer is larger than the limit; it may have been carried out.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub struct Transport {
    client: reqwest::Client,
    timeout: Duration,
    response_bytes_max: usize,
}

const REDIRECTS_MAX: usize = 3;
/// Pieces of a body that are read before they are sent.
const PIECES_AHEAD: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Transport {
    /// Makes a pool whose requests take at most `timeout` and whose answers have at most
    /// `response_bytes_max` bytes.
    ///
    /// # Errors
    /// When the TLS back end cannot be set up.
    pub fn new(timeout: Duration, response_bytes_max: usize) -> Result<Self, reqwest::Error> {
        // The first caller wins; the provider is the same for all of them.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            // Redirects are followed below, where the allow-list is known.
            .redirect(reqwest::redirect::Policy::none())
            // The count of attempts must be the truth, and no proxy of the environment is asked.
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("synchub/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            timeout,
            response_bytes_max,
        })
    }

    /// Sends `request`; follows a redirect only where `allows` says so and the method survives it.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        request: &Request,
        allows: impl Fn(&Url) -> bool,
    ) -> Result<Response, SendError> {
        let exchange = async {
            let mut url = request.url.clone();
            let mut redirects = 0;
            loop {
                let response = self.once(request, &url).await?;
                let Some(target) = redirect(request, &response, &url) else {
                    return Ok(response);
                };
                if !allows(&target) {
                    let host = target.host_str().unwrap_or_default().to_owned();
                    return Err(SendError::RedirectRefused(host));
                }
                redirects += 1;
                if redirects > REDIRECTS_MAX {
                    return Ok(response);
                }
                url = target;
            }
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| {
                Err(SendError::Lost(format!(
                    "nothing came within {} ms",
                    self.timeout.as_millis()
                )))
            })
    }

    async fn once(&self, request: &Request, url: &Url) -> Result<Response, SendError> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|error| SendError::NotSent(error.to_string()))?;
        let mut builder = self.client.request(method, url.clone());
        let same_origin = url.origin() == request.url.origin();
        for (name, value) in &request.headers {
            // What proves who we are does not follow to another origin.
            let is_proof =
                ["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str());
            if same_origin || !is_proof {
                builder = builder.header(name, value);
            }
        }
        let builder = match &request.body {
            Body::Whole(bytes) => builder.body(bytes.clone()),
            // Many old servers take no chunked bodies, so the length is told beforehand.
            streamed @ Body::Streamed(_) => builder
                .header(reqwest::header::CONTENT_LENGTH, streamed.len())
                .body(reqwest::Body::wrap_stream(read_ahead(streamed.pieces()))),
        };
        let response = builder.send().await.map_err(|error| {
            let text = causes(&error);
            match error.is_connect() || error.is_builder() {
                true => SendError::NotSent(text),
                false => SendError::Lost(text),
            }
        })?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        Ok(Response {
            status,
            headers,
            body: self.read(response).await?,
        })
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, SendError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| SendError::Lost(causes(&error)))?
        {
            if body.len() + chunk.len() > self.response_bytes_max {
                return Err(SendError::TooLarge(self.response_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Reads a body from disk on a thread of its own, a few pieces ahead of the connection.
fn read_ahead(pieces: BodyPieces) -> impl Stream<Item = std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        for piece in pieces {
            // The connection is gone: nobody wants the rest.
            if sender.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
}

/// Returns where an answer sends us, when the same request may be repeated there: 307 and 308
/// keep the method (RFC 9110 §15.4); 301, 302 and 303 are only followed for GET.
fn redirect(request: &Request, response: &Response, url: &Url) -> Option<Url> {
    let keeps_method = match response.status {
        307 | 308 => true,
        301..=303 => request.method == "GET",
        _ => return None,
    };
    let target = url.join(response.header("location")?).ok()?;
    // A login page or the like: what a POST is sent to by 302 is an answer, not a way.
    keeps_method.then_some(target)
}

fn causes(error: &reqwest::Error) -> String {
    // The address may carry a key in its query.
    let mut texts = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    match texts.is_empty() {
        true if error.is_timeout() => "timed out".to_owned(),
        true => "the connection broke".to_owned(),
        false => texts.join(": "),
    }
}
