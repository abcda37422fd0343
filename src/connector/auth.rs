//! Proves to a platform who we are: what is added to a request before it goes.
//!
//! Sessions (a token or a cookie got by a login request) are only used here; who logs in, and
//! when, is decided in [`crate::deliver`].

use super::body::Body;
use super::compiled::{CompiledStep, Compiler};
use super::manifest::{Auth, Digest, Encoding};
use super::request::Request;
use super::template::{TemplateError, TemplateId, Templates};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use minijinja::{Value, context};
use serde_json::Map;

/// What a login gave us.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    /// Captured values, seen in templates as `session`.
    pub values: Map<String, serde_json::Value>,
    /// Milliseconds since 1970 after which it is not to be used.
    pub expires_at_ms: Option<i64>,
}

/// The time and the random part of one request; fixed in tests so that signatures compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// Used once.
    pub nonce: String,
}

impl Moment {
    /// Returns the present moment with a fresh nonce of 128 bits.
    pub fn now() -> Self {
        let nonce: [u8; 16] = rand::random();
        Self {
            now_ms: crate::clock::now_ms(),
            nonce: hex::encode(nonce),
        }
    }
}

#[derive(Debug)]
pub(super) enum CompiledAuth {
    None,
    Basic {
        username: TemplateId,
        password: TemplateId,
    },
    Bearer {
        token: TemplateId,
    },
    ApiKey {
        header: Option<String>,
        query: Option<String>,
        value: TemplateId,
    },
    Oauth2 {
        token_path: TemplateId,
        client_id: TemplateId,
        client_secret: TemplateId,
        scope: Option<String>,
    },
    Hmac {
        algorithm: Digest,
        encoding: Encoding,
        secret: TemplateId,
        string_to_sign: TemplateId,
        headers: Vec<(String, TemplateId)>,
    },
    Wsse {
        username: TemplateId,
        password: TemplateId,
        digest: bool,
    },
    Session {
        login: Box<CompiledStep>,
        headers: Vec<(String, TemplateId)>,
        ttl_ms: Option<u64>,
    },
}

impl CompiledAuth {
    pub(super) fn compile(auth: &Auth, compiler: &mut Compiler<'_>) -> Self {
        let mut text = |name: &str, source: &str| compiler.text(&format!("auth.{name}"), source);
        match auth {
            Auth::None => Self::None,
            Auth::Basic { username, password } => Self::Basic {
                username: text("username", username),
                password: text("password", password),
            },
            Auth::Bearer { token } => Self::Bearer {
                token: text("token", token),
            },
            Auth::ApiKey {
                header,
                query,
                value,
            } => {
                if header.is_some() == query.is_some() {
                    compiler.mistake(
                        "auth",
                        "an API key goes either into `header` or into `query`",
                    );
                }
                let value = compiler.text("auth.value", value);
                Self::ApiKey {
                    header: header.clone(),
                    query: query.clone(),
                    value,
                }
            }
            Auth::Oauth2 {
                token_path,
                client_id,
                client_secret,
                scope,
            } => Self::Oauth2 {
                token_path: text("token_path", token_path),
                client_id: text("client_id", client_id),
                client_secret: text("client_secret", client_secret),
                scope: scope.clone(),
            },
            Auth::Hmac {
                algorithm,
                secret,
                string_to_sign,
                encoding,
                headers,
            } => Self::Hmac {
                algorithm: *algorithm,
                encoding: *encoding,
                secret: text("secret", secret),
                string_to_sign: text("string_to_sign", string_to_sign),
                headers: compiler.texts("auth.headers", headers),
            },
            Auth::Wsse {
                username,
                password,
                digest,
            } => Self::Wsse {
                username: text("username", username),
                password: text("password", password),
                digest: *digest,
            },
            Auth::Session {
                login,
                headers,
                ttl_ms,
            } => Self::Session {
                login: Box::new(compiler.step("auth.login", login)),
                headers: compiler.texts("auth.headers", headers),
                ttl_ms: *ttl_ms,
            },
        }
    }

    /// Returns what `wsse` is in a body template: empty unless the platform asks for it.
    pub(super) fn wsse(
        &self,
        templates: &Templates,
        context: &Value,
        moment: &Moment,
    ) -> Result<Value, TemplateError> {
        let Self::Wsse {
            username,
            password,
            digest,
        } = self
        else {
            return Ok(Value::from(""));
        };
        let username = templates.render(username, context)?;
        let password = templates.render(password, context)?;
        Ok(Value::from_safe_string(username_token(
            &username, &password, *digest, moment,
        )))
    }

    /// Adds headers or parameters to a finished request.
    pub(super) fn apply(
        &self,
        templates: &Templates,
        context: &Value,
        moment: &Moment,
        request: &mut Request,
    ) -> Result<(), TemplateError> {
        match self {
            Self::None | Self::Wsse { .. } => {}
            Self::Basic { username, password } => {
                let pair = format!(
                    "{}:{}",
                    templates.render(username, context)?,
                    templates.render(password, context)?
                );
                let value = format!("Basic {}", BASE64.encode(pair));
                request.headers.push(("Authorization".to_owned(), value));
            }
            Self::Bearer { token } => {
                let value = format!("Bearer {}", templates.render(token, context)?);
                request.headers.push(("Authorization".to_owned(), value));
            }
            Self::ApiKey {
                header,
                query,
                value,
            } => {
                let value = templates.render(value, context)?;
                if let Some(header) = header {
                    request.headers.push((header.clone(), value));
                } else if let Some(query) = query {
                    request.url.query_pairs_mut().append_pair(query, &value);
                }
            }
            Self::Oauth2 { .. } => {
                let token = context.get_attr("session")?.get_attr("access_token")?;
                request
                    .headers
                    .push(("Authorization".to_owned(), format!("Bearer {token}")));
            }
            Self::Session { headers, .. } => {
                for (name, template) in headers {
                    request
                        .headers
                        .push((name.clone(), templates.render(template, context)?));
                }
            }
            Self::Hmac { .. } => self.sign(templates, context, moment, request)?,
        }
        Ok(())
    }

    fn sign(
        &self,
        templates: &Templates,
        base: &Value,
        moment: &Moment,
        request: &mut Request,
    ) -> Result<(), TemplateError> {
        let Self::Hmac {
            algorithm,
            encoding,
            secret,
            string_to_sign,
            headers,
        } = self
        else {
            return Ok(());
        };
        let path = match request.url.query() {
            Some(query) => format!("{}?{query}", request.url.path()),
            None => request.url.path().to_owned(),
        };
        let signed = context! {
            method => request.method.as_str(),
            path => path,
            timestamp => moment.now_ms / 1_000,
            timestamp_ms => moment.now_ms,
            nonce => moment.nonce.as_str(),
            body_digest => hex::encode(digest(*algorithm, &request.body)?),
            ..base.clone()
        };
        let key = templates.render(secret, &signed)?;
        let text = templates.render(string_to_sign, &signed)?;
        let signature = keyed_digest(*algorithm, key.as_bytes(), text.as_bytes());
        let signature = match encoding {
            Encoding::Hex => hex::encode(signature),
            Encoding::Base64 => BASE64.encode(signature),
        };
        let signed = context! { signature => signature, ..signed };
        for (name, template) in headers {
            request
                .headers
                .push((name.clone(), templates.render(template, &signed)?));
        }
        Ok(())
    }
}

fn digest(algorithm: Digest, body: &Body) -> Result<Vec<u8>, TemplateError> {
    let digest = match algorithm {
        Digest::Sha256 => body.digest::<sha2::Sha256>(),
        Digest::Sm3 => body.digest::<sm3::Sm3>(),
    };
    digest.map_err(TemplateError::unreadable)
}

fn keyed_digest(algorithm: Digest, key: &[u8], text: &[u8]) -> Vec<u8> {
    const ANY_LENGTH: &str = "HMAC takes keys of any length";
    match algorithm {
        Digest::Sha256 => {
            let mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect(ANY_LENGTH);
            mac.chain_update(text).finalize().into_bytes().to_vec()
        }
        Digest::Sm3 => {
            let mac = Hmac::<sm3::Sm3>::new_from_slice(key).expect(ANY_LENGTH);
            mac.chain_update(text).finalize().into_bytes().to_vec()
        }
    }
}

/// The header of WS-Security UsernameToken Profile 1.0 §3.1:
/// PasswordDigest = Base64(SHA-1(nonce + created + password)).
fn username_token(username: &str, password: &str, digest: bool, moment: &Moment) -> String {
    const SECURITY: &str =
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
    const UTILITY: &str =
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
    const PROFILE: &str =
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0";
    let created = jiff::Timestamp::from_second(moment.now_ms / 1_000)
        .map(|timestamp| timestamp.to_string())
        .unwrap_or_default();
    let nonce = moment.nonce.as_bytes();
    let (kind, shown) = if digest {
        let mut hash = <sha1::Sha1 as sha1::Digest>::new();
        sha1::Digest::update(&mut hash, nonce);
        sha1::Digest::update(&mut hash, created.as_bytes());
        sha1::Digest::update(&mut hash, password.as_bytes());
        (
            "PasswordDigest",
            BASE64.encode(sha1::Digest::finalize(hash)),
        )
    } else {
        ("PasswordText", escaped(password))
    };
    format!(
        "<wsse:Security xmlns:wsse=\"{SECURITY}\" xmlns:wsu=\"{UTILITY}\"><wsse:UsernameToken>\
         <wsse:Username>{}</wsse:Username>\
         <wsse:Password Type=\"{PROFILE}#{kind}\">{shown}</wsse:Password>\
         <wsse:Nonce>{}</wsse:Nonce><wsu:Created>{created}</wsu:Created>\
         </wsse:UsernameToken></wsse:Security>",
        escaped(username),
        BASE64.encode(nonce),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standards() {
        // GB/T 32905-2016 annex A example 1.
        assert_eq!(
            hex::encode(digest(Digest::Sm3, &Body::from(&b"abc"[..])).unwrap()),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        assert_eq!(
            hex::encode(keyed_digest(Digest::Sm3, b"key", b"abc")),
            "28e63256e7c5a087b1f073265dc53092163f7b82729735d06f28f10af9d52393"
        );
        // RFC 4231 test case 2.
        assert_eq!(
            hex::encode(keyed_digest(
                Digest::Sha256,
                b"Jefe",
                b"what do ya want for nothing?"
            )),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_password_digest_never_shows_the_password() {
        let moment = Moment {
            now_ms: 1_411_000_000_000,
            nonce: "n".into(),
        };
        let header = username_token("u<1>", "geheim", true, &moment);
        assert!(!header.contains("geheim"));
        assert!(header.contains("u&lt;1&gt;") && header.contains("2014-09-18T00:26:40Z"));
        roxmltree::Document::parse(&header).expect("well-formed");
        assert!(username_token("u", "geheim", false, &moment).contains(">geheim<"));
    }
}
