//! The demo's caller: the hub's door with a key, and the public side of the platforms.

use super::super::hint::failure;
use crate::connector::{Request, Response};
use crate::deliver::Transport;
use anyhow::Context as _;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// Talks to one hub with one key.
pub(super) struct Client {
    transport: Transport,
    base: String,
    key: String,
}

/// An answer of the hub or of a platform.
pub(super) struct Answer {
    pub(super) status: u16,
    response: Response,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        self.response.text()
    }

    /// Returns the body of a success as JSON.
    pub(super) fn json(&self) -> anyhow::Result<Value> {
        if self.status != 200 {
            return Err(failure(
                format!("HTTP {}: {}", self.status, self.text()),
                "SYNCHUB__LOG__LEVEL=info shows what the hub says",
            ));
        }
        serde_json::from_slice(&self.response.body).context("read an answer")
    }
}

impl Client {
    pub(super) fn new(base: String, key: String) -> anyhow::Result<Self> {
        const ANSWER_BYTES_MAX: usize = 64 << 20;
        Ok(Self {
            transport: Transport::new(Duration::from_secs(30), ANSWER_BYTES_MAX)?,
            base,
            key,
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) async fn post(&self, path: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        self.send("POST", &format!("{}{path}", self.base), body, true)
            .await
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", &format!("{}{path}", self.base), Vec::new(), true)
            .await
    }

    /// Tells a practice platform to misbehave.
    pub(super) async fn misbehave(&self, platform: &str, how: Value) -> anyhow::Result<()> {
        let url = format!("{platform}/admin/misbehave");
        self.send("POST", &url, how.to_string().into_bytes(), false)
            .await
            .map(drop)
    }

    /// Tells a practice platform to behave again.
    pub(super) async fn behave(&self, platform: &str) -> anyhow::Result<()> {
        let url = format!("{platform}/admin/misbehave");
        self.send("DELETE", &url, Vec::new(), false).await.map(drop)
    }

    /// Returns what a practice platform shows.
    pub(super) async fn articles(&self, platform: &str) -> anyhow::Result<Vec<Value>> {
        let url = format!("{platform}/admin/articles");
        let mut list = self.send("GET", &url, Vec::new(), false).await?.json()?;
        match list["articles"].take() {
            Value::Array(articles) => Ok(articles),
            _ => Ok(Vec::new()),
        }
    }

    async fn send(
        &self,
        method: &str,
        url: &str,
        body: Vec<u8>,
        with_key: bool,
    ) -> anyhow::Result<Answer> {
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        if with_key {
            headers.push(("Authorization".to_owned(), format!("Bearer {}", self.key)));
        }
        let request = Request {
            method: method.to_owned(),
            url: Url::parse(url)?,
            headers,
            body: body.into(),
            shown_body: String::new(),
        };
        let response = self
            .transport
            .send(&request, |_| false)
            .await
            .with_context(|| format!("{method} {url}"))?;
        Ok(Answer {
            status: response.status,
            response,
        })
    }
}
