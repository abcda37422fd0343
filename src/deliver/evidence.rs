//! What is kept of each request and answer: enough to prove and to explain, nothing that leaks.

use super::transport::SendError;
use crate::connector::{Connector, Judgement, Mask, Request, Response, Session};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Longest excerpt of a body, in characters.
const EXCERPT_CHARS_MAX: usize = 2_000;

/// The exchanges of one attempt, in order.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    exchanges: Vec<Value>,
}

impl Evidence {
    /// Keeps one request with what came of it.
    pub(super) fn add(
        &mut self,
        connector: &Connector,
        session: &Session,
        step: &str,
        request: &Request,
        answer: Result<(&Response, &Judgement), &SendError>,
        took: Duration,
    ) {
        let mask = mask_of(connector, session);
        let mut exchange = json!({
            "step": step,
            "duration_ms": took.as_millis() as u64,
            "request": shown_request(request, &mask),
        });
        match answer {
            Ok((response, judgement)) => {
                exchange["response"] = shown_response(response, &mask);
                exchange["verdict"] = json!(judgement.verdict);
                exchange["code"] = json!(judgement.code);
                exchange["message"] = json!(judgement.message.as_deref().map(|it| mask.apply(it)));
            }
            Err(error) => exchange["error"] = json!(mask.apply(&error.to_string())),
        }
        self.exchanges.push(exchange);
    }

    /// Hands the exchanges over as JSON.
    pub(super) fn into_json(self) -> Value {
        Value::Array(self.exchanges)
    }
}

/// Returns the connector's mask with the values of the session added.
pub(super) fn mask_of(connector: &Connector, session: &Session) -> Mask {
    let mut mask = connector.mask().clone();
    for value in session.values.values() {
        if let Value::String(text) = value {
            mask.add(text);
        }
    }
    mask
}

/// Returns a request as it may be shown and stored.
pub(super) fn shown_request(request: &Request, mask: &Mask) -> Value {
    let headers: Map<String, Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), shown_header(name, value, mask)))
        .collect();
    json!({
        "method": request.method,
        "url": mask.apply(request.url.as_str()),
        "headers": headers,
        "body": excerpt(&request.shown_body, mask),
    })
}

/// Returns an answer as it may be shown and stored.
pub(super) fn shown_response(response: &Response, mask: &Mask) -> Value {
    let headers: Map<String, Value> = response
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), shown_header(name, value, mask)))
        .collect();
    json!({
        "status": response.status,
        "headers": headers,
        "body": excerpt(&response.text(), mask),
    })
}

/// Headers that prove who somebody is are never shown, whatever made them.
fn shown_header(name: &str, value: &str, mask: &Mask) -> Value {
    let name = name.to_ascii_lowercase();
    let is_proof = [
        "authorization",
        "cookie",
        "set-cookie",
        "proxy-authorization",
    ]
    .contains(&name.as_str())
        || ["token", "secret", "signature", "api-key", "apikey"]
            .iter()
            .any(|it| name.contains(it));
    match is_proof {
        true => json!("***"),
        false => json!(mask.apply(value)),
    }
}

fn excerpt(text: &str, mask: &Mask) -> String {
    // Masked first: a cut in the middle of a secret would leave its half unrecognised.
    let masked = mask.apply(text);
    let masked = crate::screen::mask(&masked);
    match masked.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &masked[..end]),
        None => masked.into_owned(),
    }
}
