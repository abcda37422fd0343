//! How requests prove who we are: the shapes. What they mean is told in [`crate::connector`]'s `auth`.

use super::Step;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How requests prove who we are. All texts are templates that may use `secret` and `setting`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Nothing.
    #[default]
    None,
    /// RFC 7617.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// RFC 6750 with a token that never changes.
    Bearer {
        /// The token.
        token: String,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// Header name, if it goes there.
        #[serde(default)]
        header: Option<String>,
        /// Query parameter, if it goes there.
        #[serde(default)]
        query: Option<String>,
        /// The key.
        value: String,
    },
    /// RFC 6749 §4.4, client credentials.
    Oauth2 {
        /// Path or address of the token endpoint.
        token_path: String,
        /// Client id.
        client_id: String,
        /// Client secret.
        client_secret: String,
        /// Scope, if the server asks for one.
        #[serde(default)]
        scope: Option<String>,
    },
    /// RFC 2104 over a string made from the request; hash SHA-256 or SM3 (GB/T 32905).
    Hmac {
        /// Hash function.
        algorithm: Digest,
        /// Key.
        secret: String,
        /// Template over `method path timestamp timestamp_ms nonce body_digest`.
        string_to_sign: String,
        /// How the signature is written.
        #[serde(default)]
        encoding: Encoding,
        /// Header → template that may also use `signature`.
        headers: BTreeMap<String, String>,
    },
    /// OASIS WS-Security UsernameToken 1.0; XML templates print it by `{{ wsse }}`.
    Wsse {
        /// User name.
        username: String,
        /// Password.
        password: String,
        /// PasswordDigest (true) or PasswordText (false).
        #[serde(default = "yes")]
        digest: bool,
    },
    /// A login whose captured values go into headers, until an answer is classified `auth`.
    Session {
        /// The request that logs in; what it captures is `session` in templates.
        login: Box<Step>,
        /// Header → template over `session`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Milliseconds after which to log in anew without waiting for a refusal.
        #[serde(default)]
        ttl_ms: Option<u64>,
    },
}

fn yes() -> bool {
    true
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    /// FIPS 180-4
    Sha256,
    /// GB/T 32905-2016
    Sm3,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    #[default]
    Hex,
    /// RFC 4648 §4.
    Base64,
}
