//! Signed requests: HMAC-SM3 over method, address, time, nonce and body digest.
//!
//! Owns the check and the memory of used nonces. Never reads the meaning of a body; see
//! [`super::item`].

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::{HeaderMap, Method};
use hmac::{Hmac, KeyInit, Mac};
use sm3::{Digest, Sm3};

use crate::sandbox::desk::unpoisoned;

/// Why a request is not accepted: the stable word and the message.
pub(super) type Refusal = (&'static str, &'static str);

/// Checks signatures of one client.
pub(super) struct Guard {
    app_id: &'static str,
    secret: String,
    skew_s: u64,
    /// Used nonces with the time they carried.
    nonces: Mutex<HashMap<String, i64>>,
}

/// What is signed of a request.
pub(super) struct Signed<'a> {
    pub(super) method: &'a Method,
    /// The path, with `?` and the query if there is one, exactly as sent.
    pub(super) address: &'a str,
    pub(super) body: &'a [u8],
}

impl Guard {
    pub(super) fn new(app_id: &'static str, secret: String, skew_s: u64) -> Guard {
        Guard {
            app_id,
            secret,
            skew_s,
            nonces: Mutex::default(),
        }
    }

    /// Accepts a request once, if its signature fits and its time is near `now_s`.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        signed: &Signed<'_>,
        now_s: i64,
    ) -> Result<(), Refusal> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default()
        };
        if header("x-app-id") != self.app_id {
            return Err(("unknown_app", "应用标识不存在"));
        }
        let timestamp = header("x-timestamp");
        let sent_s: i64 = timestamp
            .parse()
            .map_err(|_| ("clock_skew", "缺少时间戳或格式不正确"))?;
        if now_s.abs_diff(sent_s) > self.skew_s {
            return Err(("clock_skew", "时间戳与服务器时间相差过大"));
        }
        let nonce = header("x-nonce");
        let mac = mac(&self.secret, &text_to_sign(signed, timestamp, nonce));
        let signature = hex::decode(header("x-signature")).unwrap_or_default();
        let is_lower = !header("x-signature").contains(|letter: char| letter.is_ascii_uppercase());
        if nonce.is_empty() || !is_lower || mac.verify_slice(&signature).is_err() {
            return Err(("bad_signature", "签名不正确"));
        }
        let mut nonces = unpoisoned(&self.nonces);
        nonces.retain(|_, used_s| now_s.abs_diff(*used_s) <= self.skew_s);
        if nonces.insert(nonce.to_owned(), sent_s).is_some() {
            return Err(("nonce_reused", "随机串已经使用过"));
        }
        Ok(())
    }
}

fn text_to_sign(signed: &Signed<'_>, timestamp: &str, nonce: &str) -> String {
    let digest = hex::encode(Sm3::digest(signed.body));
    let Signed {
        method, address, ..
    } = signed;
    format!("{method}\n{address}\n{timestamp}\n{nonce}\n{digest}")
}

fn mac(secret: &str, text: &str) -> Hmac<Sm3> {
    let mut mac =
        Hmac::<Sm3>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac
}

/// Returns the signature that a client sends.
#[cfg(test)]
pub(super) fn sign(secret: &str, signed: &Signed<'_>, timestamp: &str, nonce: &str) -> String {
    let mac = mac(secret, &text_to_sign(signed, timestamp, nonce));
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_411_000_000;

    fn headers(guard: &Guard, signed: &Signed<'_>, sent_s: i64) -> HeaderMap {
        let timestamp = sent_s.to_string();
        let signature = sign(&guard.secret, signed, &timestamp, "n1");
        let mut headers = HeaderMap::new();
        headers.insert("x-app-id", "app".parse().unwrap());
        headers.insert("x-timestamp", timestamp.parse().unwrap());
        headers.insert("x-nonce", "n1".parse().unwrap());
        headers.insert("x-signature", signature.parse().unwrap());
        headers
    }

    fn example() -> (Guard, Signed<'static>) {
        let signed = Signed {
            method: &Method::GET,
            address: "/api/items?externalId=%E4%B8%80",
            body: b"",
        };
        (Guard::new("app", "key".to_owned(), 300), signed)
    }

    #[test]
    fn hmac_sm3_agrees_with_a_known_value() {
        let known = "28e63256e7c5a087b1f073265dc53092163f7b82729735d06f28f10af9d52393";
        assert_eq!(
            hex::encode(mac("key", "abc").finalize().into_bytes()),
            known
        );
    }

    #[test]
    fn a_signed_request_is_accepted_once() {
        let (guard, signed) = example();
        let headers = headers(&guard, &signed, NOW_S);
        assert_eq!(guard.check(&headers, &signed, NOW_S), Ok(()));
        let again = guard.check(&headers, &signed, NOW_S).unwrap_err();
        assert_eq!(again.0, "nonce_reused");
    }

    #[test]
    fn the_clock_may_be_off_by_the_limit_and_no_more() {
        for (off_s, accepted) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let (guard, signed) = example();
            let headers = headers(&guard, &signed, NOW_S + off_s);
            let outcome = guard.check(&headers, &signed, NOW_S);
            assert_eq!(outcome.is_ok(), accepted, "{off_s}");
            if let Err((word, _)) = outcome {
                assert_eq!(word, "clock_skew");
            }
        }
    }

    #[test]
    fn every_signed_part_matters() {
        let (guard, signed) = example();
        let good = headers(&guard, &signed, NOW_S);
        for changed in [
            Signed {
                method: &Method::PUT,
                ..signed
            },
            Signed {
                address: "/api/items",
                ..signed
            },
            Signed {
                body: b"x",
                ..signed
            },
        ] {
            let refused = guard.check(&good, &changed, NOW_S).unwrap_err();
            assert_eq!(refused.0, "bad_signature");
        }
        for (name, value, word) in [
            ("x-app-id", "other", "unknown_app"),
            ("x-nonce", "n2", "bad_signature"),
            ("x-nonce", "", "bad_signature"),
            ("x-signature", "zz", "bad_signature"),
            ("x-timestamp", "now", "clock_skew"),
        ] {
            let mut changed = good.clone();
            changed.insert(name, value.parse().unwrap());
            let refused = guard.check(&changed, &signed, NOW_S).unwrap_err();
            assert_eq!(refused.0, word, "{name}");
        }
    }
}
