//! `connector.toml` as data: every key a connector may write, unknown keys refused.
//!
//! Only shapes live here. What they mean is told where they are carried out, in the
//! files `request`, `auth` and `classify` beside this one; `deploy/CONNECTORS.md` is the same list in prose.

mod answer;
mod auth;
mod operation;
mod patience;

pub use answer::{BodyRule, Classify, StatusPattern, StatusRule};
pub use auth::{Auth, Digest, Encoding};
pub use operation::{BodyKind, Operations, Part, ReadBack, Step, Steps, Unmappable};
pub use patience::{BreakerRule, Limits, Maintenance, Retry, Window};

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
