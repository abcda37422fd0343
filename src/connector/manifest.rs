//! `connector.toml` as data: every key a connector may write, unknown keys refused.
//!
//! Only shapes live here. What they mean is told where they are carried out, in the
//! files `request`, `auth` and `classify` beside this one; `deploy/CONNECTORS.md` is the same list in prose.

use super::classify::Verdict;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The whole manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, address and what it takes.
    pub connector: About,
    /// Name → reference (`env:NAME`, `file:PATH`); seen in templates as `secret.NAME`.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Name → reference to what differs from site to site and is no secret, such as a user name;
    /// seen in templates as `setting.NAME`, never masked.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// How requests prove who we are.
    #[serde(default)]
    pub auth: Auth,
    /// How the platform recognises a record it already has.
    pub identity: Identity,
    /// What the platform bears.
    #[serde(default)]
    pub limits: Limits,
    /// When to try again.
    #[serde(default)]
    pub retry: Retry,
    /// When to leave a platform alone that does not answer at all.
    #[serde(default)]
    pub breaker: BreakerRule,
    /// When not to knock.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// Code tables: table → our word → their code; `*` is the default of a table.
    #[serde(default)]
    pub tables: BTreeMap<String, Map<String, Value>>,
    /// What can be done with a record.
    pub operations: Operations,
    /// How an answer is read.
    pub classify: Classify,
    /// When everything that is shown is looked at.
    #[serde(default)]
    pub verify: Verify,
    /// What the conformance kit shall not ask for.
    #[serde(default)]
    pub conform: Conform,
}

/// When everything that is shown is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// `HH:MM` in China Standard Time, each day; none = only when asked for.
    pub at: Option<String>,
    /// Whether what is missing or stale is sent again, and what came back taken down again.
    pub repair: bool,
}

/// What the conformance kit shall not ask for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conform {
    /// Case → why this platform cannot have it.
    pub waive: BTreeMap<String, String>,
}

/// Name, address and what it takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Name a person reads.
    pub name: String,
    /// Raised with each change of the folder.
    pub version: u32,
    /// Expression over `record`: does this record belong on the platform?
    pub takes: String,
    /// Reference or literal: where the platform is, such as `env:PLATFORM_URL`.
    pub base_url: String,
    /// Further hosts (`host` or `host:port`) that requests and redirects may reach.
    #[serde(default)]
    pub hosts: Vec<String>,
}

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

/// How the platform recognises a record it already has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Which of the three ways.
    pub mode: IdentityMode,
    /// Header of `publish` steps that carries `delivery.key`; needed by `idempotency_header`.
    #[serde(default)]
    pub header: Option<String>,
    /// After a lost answer, wait so long before looking up: the platform may still be saving.
    #[serde(default = "settle_ms_default")]
    pub settle_ms: u64,
    /// What a re-publish after a withdrawal meets.
    #[serde(default)]
    pub after_withdraw: AfterWithdraw,
}

fn settle_ms_default() -> u64 {
    1_000
}

/// How the platform recognises a record it already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityMode {
    /// Our id is the key: the same request again changes nothing.
    ClientId,
    /// The platform remembers a key in a header.
    IdempotencyHeader,
    /// Neither: ask for our key before each create.
    LookUp,
}

/// What a re-publish after a withdrawal meets on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterWithdraw {
    /// The same object, which comes back.
    #[default]
    Reuse,
    /// Nothing: a new object is made.
    New,
}

/// What the platform bears.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests a second.
    pub rate_per_s: u32,
    /// Records in flight at once.
    pub concurrency: usize,
    /// Milliseconds for one request with its answer.
    pub timeout_ms: u64,
    /// Largest request body in bytes.
    pub request_bytes_max: usize,
    /// Largest answer in bytes.
    pub response_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate_per_s: 100,
            concurrency: 8,
            timeout_ms: 15_000,
            request_bytes_max: 64 << 20,
            response_bytes_max: 1 << 20,
        }
    }
}

/// When to try again: full jitter between 0 and a delay that grows from `base_ms` to `max_ms`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// First delay in milliseconds.
    pub base_ms: u64,
    /// Growth from one delay to the next.
    pub factor: f32,
    /// Longest delay in milliseconds.
    pub max_ms: u64,
    /// After so many tries a person is needed.
    pub tries_max: i64,
    /// After so many seconds since the first try a person is needed.
    pub age_max_s: i64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            base_ms: 1_000,
            factor: 2.0,
            max_ms: 600_000,
            tries_max: 30,
            age_max_s: 3 * 86_400,
        }
    }
}

/// When to leave a platform alone that does not answer at all. Deliveries wait without losing a
/// try, and their age does not count the outage.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerRule {
    /// After so many failures in a row, over all records, nothing more is sent; 0 = never.
    pub failures: usize,
    /// Milliseconds until one delivery is tried as a probe.
    pub pause_ms: u64,
    /// Each probe without success doubles the pause, up to this many milliseconds.
    pub pause_max_ms: u64,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            failures: 5,
            pause_ms: 2_000,
            pause_max_ms: 300_000,
        }
    }
}

/// When not to knock. Deliveries wait without losing a try.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Maintenance {
    /// Windows in China Standard Time.
    pub windows: Vec<Window>,
}

/// One daily window, possibly over midnight.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// `HH:MM`, included.
    pub from: String,
    /// `HH:MM`, not included.
    pub to: String,
    /// ISO week days, 1 = Monday; empty = every day. The day is that of `from`.
    #[serde(default)]
    pub days: Vec<i8>,
}

/// What can be done with a record on the platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// Makes the object.
    pub publish: Steps,
    /// Replaces it; absent = `publish` does.
    #[serde(default)]
    pub update: Option<Steps>,
    /// Takes it down.
    #[serde(default)]
    pub withdraw: Option<Steps>,
    /// Finds it by our key: captures `remote_id` when it is there, and `remote_version` if told.
    #[serde(default)]
    pub look_up: Option<Steps>,
    /// Fetches what the public sees.
    #[serde(default)]
    pub read_back: Option<ReadBack>,
}

/// The steps of an operation, in order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// At least one.
    pub steps: Vec<Step>,
}

/// The read-back and what it must find.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadBack {
    /// At least one.
    pub steps: Vec<Step>,
    /// Expression over `captured`, `record` and `remote`: what is shown equals the record.
    pub confirmed: String,
    /// Expression: it is not there; absent = nothing was captured.
    #[serde(default)]
    pub missing: Option<String>,
    /// Expression: this version is kept and not public yet.
    #[serde(default)]
    pub under_review: Option<String>,
    /// Expression: an older version is shown, or a part of this one. What is none of these was
    /// altered on the platform.
    #[serde(default)]
    pub stale: Option<String>,
    /// Milliseconds from delivery to the first look, and between looks at first.
    #[serde(default = "recheck_ms_default")]
    pub recheck_ms: u64,
    /// So many looks, then the delivery stays `delivered`.
    #[serde(default = "looks_max_default")]
    pub looks_max: i64,
}

fn recheck_ms_default() -> u64 {
    2_000
}

fn looks_max_default() -> i64 {
    20
}

/// One request (or, with `for_each`, one request per item).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique in its operation; shown in attempts.
    pub name: String,
    /// HTTP method.
    #[serde(default = "post")]
    pub method: String,
    /// Template: path from the base address, or a whole address on an allowed host.
    pub path: String,
    /// Header → template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the body is.
    #[serde(default)]
    pub body: BodyKind,
    /// File under `templates/`, for json, xml and text bodies.
    #[serde(default)]
    pub template: Option<String>,
    /// Name of the charset the body is written in, for xml, text and form bodies.
    #[serde(default = "utf8")]
    pub charset: String,
    /// What becomes of a character the charset lacks.
    #[serde(default)]
    pub unmappable: Unmappable,
    /// `Content-Type`, if the usual one of the body kind does not do.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Field → template, for form bodies.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// Parts in order, for multipart bodies.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Expression that gives a list: one request per item, seen as `item`.
    #[serde(default)]
    pub for_each: Option<String>,
    /// Expression: the step is left out when false.
    #[serde(default)]
    pub when: Option<String>,
    /// Name → expression over the answer.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
    /// Rules of this step, tried before those of the connector.
    #[serde(default)]
    pub classify: Classify,
}

fn post() -> String {
    "POST".to_owned()
}

fn utf8() -> String {
    "utf-8".to_owned()
}

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// None.
    #[default]
    None,
    /// RFC 8259; checked after rendering.
    Json,
    /// XML 1.0 in a declared charset; checked after rendering.
    Xml,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`, RFC 7578
    Multipart,
    /// Anything else.
    Text,
}

/// What becomes of a character the charset of a body lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmappable {
    /// The delivery fails and names the character.
    #[default]
    Refuse,
    /// A numeric character reference; right in XML text, garbage inside CDATA.
    Ncr,
    /// A question mark.
    QuestionMark,
}

/// One part of a multipart body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Form field name.
    pub name: String,
    /// Expression that gives a list: one part per item, seen as `item`.
    #[serde(default)]
    pub for_each: Option<String>,
    /// Template of the value; or `template`, or `file`.
    #[serde(default)]
    pub value: Option<String>,
    /// File under `templates/`.
    #[serde(default)]
    pub template: Option<String>,
    /// Template that gives the SHA-256 of an attachment: its bytes are the part.
    #[serde(default)]
    pub file: Option<String>,
    /// Template of the file name.
    #[serde(default)]
    pub filename: Option<String>,
    /// Template of the part's content type.
    #[serde(default)]
    pub media_type: Option<String>,
}

/// Ordered rules that read an answer: the body's first, then the status's; nothing matches = unknown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classify {
    /// Rules over the whole answer.
    pub body: Vec<BodyRule>,
    /// Rules over the status alone.
    pub status: Vec<StatusRule>,
}

/// One rule over the whole answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyRule {
    /// Expression over `status headers json xml text`.
    pub when: String,
    /// What the answer means.
    pub verdict: Verdict,
    /// Expression: the platform's own code.
    #[serde(default)]
    pub code: Option<String>,
    /// Expression: the platform's own words.
    #[serde(default)]
    pub message: Option<String>,
}

/// One rule over the status.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRule {
    /// `404`, `5xx` …
    pub status: StatusPattern,
    /// What the answer means.
    pub verdict: Verdict,
}

/// A status or a class of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StatusPattern {
    /// Exactly this one.
    Exactly(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl StatusPattern {
    /// Returns whether `status` fits.
    pub fn matches(self, status: u16) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == status,
            Self::Class(first) => status / 100 == first,
        }
    }
}

impl TryFrom<String> for StatusPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let class = text.strip_suffix("xx").and_then(|first| first.parse().ok());
        if let Some(first @ 1..=5) = class {
            return Ok(Self::Class(first));
        }
        match text.parse() {
            Ok(exactly @ 100..=599) => Ok(Self::Exactly(exactly)),
            _ => Err(format!(
                "status `{text}` is neither like \"404\" nor like \"5xx\""
            )),
        }
    }
}
