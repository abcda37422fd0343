//! What is kept of each request and answer: enough to prove and to explain, nothing that leaks.

use super::transport::SendError;
use crate::connector::{Connector, Judgement, Mask, Request, Response, Session, Verdict};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::borrow::Cow;
use std::time::Duration;

/// Longest excerpt of a body, in characters.
const EXCERPT_CHARS_MAX: usize = 2_000;
/// As above, of an exchange that went well. The version is stored anyway; size and hash of what
/// went out prove which bytes they were, at a third of the space of all else together.
const EXCERPT_OF_SUCCESS_CHARS_MAX: usize = 300;
/// Longer than any number that [`crate::screen::mask`] hides, in characters.
const NUMBER_CHARS_MAX: usize = 64;

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
        let chars_max = match answer {
            Ok((_, judgement)) if judgement.verdict == Verdict::Ok => EXCERPT_OF_SUCCESS_CHARS_MAX,
            Ok(_) | Err(_) => EXCERPT_CHARS_MAX,
        };
        let mut shown = shown_request_up_to(request, &mask, chars_max);
        shown["body_bytes"] = json!(request.body.len());
        shown["body_sha256"] = json!(request.body.digest::<Sha256>().ok().map(hex::encode));
        let mut exchange = json!({
            "step": step,
            "duration_ms": took.as_millis() as u64,
            "request": shown,
        });
        match answer {
            Ok((response, judgement)) => {
                exchange["response"] = shown_response_up_to(response, &mask, chars_max);
                exchange["verdict"] = json!(judgement.verdict);
                exchange["code"] = json!(judgement.code);
                exchange["message"] = json!(judgement.message.as_deref().map(|it| mask.apply(it)));
            }
            Err(error) => exchange["error"] = json!(mask.apply(&error.to_string())),
        }
        self.exchanges.push(exchange);
    }

    /// Hands the exchanges over as JSON text.
    pub(super) fn into_json(self) -> String {
        Value::Array(self.exchanges).to_string()
    }
}

/// Returns the connector's mask with the values of the session added.
pub(super) fn mask_of<'a>(connector: &'a Connector, session: &Session) -> Cow<'a, Mask> {
    let mut mask = Cow::Borrowed(connector.mask());
    for value in session.values.values() {
        if let Value::String(text) = value {
            mask.to_mut().add(text);
        }
    }
    mask
}

/// Returns a request as it may be shown and stored.
pub(super) fn shown_request(request: &Request, mask: &Mask) -> Value {
    shown_request_up_to(request, mask, EXCERPT_CHARS_MAX)
}

fn shown_request_up_to(request: &Request, mask: &Mask, chars_max: usize) -> Value {
    let headers: Map<String, Value> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), shown_header(name, value, mask)))
        .collect();
    json!({
        "method": request.method,
        "url": mask.apply(request.url.as_str()),
        "headers": headers,
        "body": excerpt(&request.shown_body, mask, chars_max),
    })
}

/// Returns an answer as it may be shown and stored.
pub(super) fn shown_response(response: &Response, mask: &Mask) -> Value {
    shown_response_up_to(response, mask, EXCERPT_CHARS_MAX)
}

fn shown_response_up_to(response: &Response, mask: &Mask, chars_max: usize) -> Value {
    let headers: Map<String, Value> = response
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), shown_header(name, value, mask)))
        .collect();
    json!({
        "status": response.status,
        "headers": headers,
        "body": excerpt(&response.text(), mask, chars_max),
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

/// Masks first and cuts then: a cut in the middle of a secret would leave its half unrecognised.
/// Of a long text no more is masked than is shown, and as much behind it as the longest secret
/// takes; what that cut may have halved is not shown.
fn excerpt(text: &str, mask: &Mask, chars_max: usize) -> String {
    let margin = mask.chars_max().max(NUMBER_CHARS_MAX);
    let (looked_at, is_cut) = match text.char_indices().nth(chars_max + margin) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    };
    let masked = mask.apply(looked_at);
    let masked = crate::screen::mask(&masked);
    let shown = match is_cut {
        true => masked.chars().count().saturating_sub(margin).min(chars_max),
        false => chars_max,
    };
    match masked.char_indices().nth(shown) {
        Some((end, _)) => format!("{}…", &masked[..end]),
        None => masked.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_part_of_a_secret_is_shown_wherever_the_cut_falls(
            before in 0_usize..60, count in 1_usize..12, chars_max in 1_usize..40
        ) {
            let secret = "sEcReT-of-the-portal".repeat(4);
            let mut mask = Mask::default();
            mask.add(&secret);
            let text = format!("{}{}", "文".repeat(before), format!("{secret}，").repeat(count));
            let shown = excerpt(&text, &mask, chars_max);
            prop_assert!(!shown.contains("sE"), "{}", shown);
            prop_assert!(shown.chars().count() <= chars_max + 1);
        }
    }

    #[test]
    fn a_number_of_a_person_at_the_cut_is_masked() {
        let text = format!("{}13800138000", "文".repeat(8));
        let shown = excerpt(&text, &Mask::default(), 15);
        assert_eq!(shown, format!("{}138****…", "文".repeat(8)));
    }
}
