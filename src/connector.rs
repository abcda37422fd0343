//! Teaches the hub a platform from a folder: manifest, templates, contract, samples.
//!
//! Owns everything that is different from platform to platform: which records it takes, how a
//! request is rendered and signed, how an answer is read. It sends nothing and keeps nothing;
//! [`crate::deliver`] does, and [`crate::store`]. No platform's name occurs in the code.

mod address;
mod appearance;
mod auth;
mod body;
pub mod check;
mod classify;
mod compiled;
mod facts;
mod load;
mod maintenance;
pub mod manifest;
mod registry;
mod render;
mod request;
mod response;
mod secret;
pub mod skeleton;
mod succession;
mod template;
mod unit_codes;

pub use auth::{Moment, Session};
pub use body::{Body, BodyPieces};
pub use classify::{Judgement, Verdict};
pub use compiled::{CompiledStep, Operation};
pub use facts::{Facts, idempotency_key};
pub use manifest::{AfterWithdraw, BreakerRule, IdentityMode, Limits, Retry};
pub use registry::{Connectors, LoadFailure};
pub use request::{Files, RenderError, Request};
pub use response::Response;
pub use secret::{Mask, References};
pub use succession::Turn;

use crate::record::FieldError;
use auth::CompiledAuth;
use compiled::{CompiledOperations, CompiledRules};
use manifest::Manifest;
use minijinja::{Value, context};
use serde_json::Map;
use std::collections::BTreeMap;
use template::{TemplateId, Templates};
use unit_codes::UnitCodes;
use url::Url;

/// A platform the hub knows, ready to be used by any number of deliveries at once.
#[derive(Debug)]
pub struct Connector {
    /// The folder's name; also the platform's in rows, paths and logs.
    pub id: String,
    manifest: Manifest,
    templates: Templates,
    takes: TemplateId,
    auth: CompiledAuth,
    operations: CompiledOperations,
    rules: CompiledRules,
    contract: Option<jsonschema::Validator>,
    tables: Value,
    unit_codes: Value,
    secrets: Value,
    settings: Value,
    base_url: Option<Url>,
    mask: Mask,
    unresolved: Vec<String>,
    uses_attachment_bytes: bool,
    /// The newest version before this one that lies beside it.
    replaces: Option<u32>,
}
/// One thing wrong with a connector's folder, with the way to mend it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// File in the folder.
    pub file: String,
    /// Place in the file: a key, or line and column.
    pub place: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}
impl Connector {
    /// Returns the name a person reads.
    pub fn name(&self) -> &str {
        &self.manifest.connector.name
    }

    /// Returns the connector's own version.
    pub fn version(&self) -> u32 {
        self.manifest.connector.version
    }

    /// Returns what the platform bears.
    pub fn limits(&self) -> &Limits {
        &self.manifest.limits
    }

    /// Returns when to try again.
    pub fn retry(&self) -> &Retry {
        &self.manifest.retry
    }

    /// Returns when to leave a platform alone that does not answer at all.
    pub fn breaker(&self) -> &BreakerRule {
        &self.manifest.breaker
    }

    /// Returns how the platform recognises a record it has.
    pub fn identity(&self) -> IdentityMode {
        self.manifest.identity.mode
    }

    /// Returns how long (ms) to wait before looking up after a lost answer.
    pub fn settle_ms(&self) -> u64 {
        self.manifest.identity.settle_ms
    }

    /// Returns what a re-publish after a withdrawal meets.
    pub fn after_withdraw(&self) -> AfterWithdraw {
        self.manifest.identity.after_withdraw
    }

    /// Returns when to look whether the public sees it: first wait in ms and number of looks.
    pub fn read_back_schedule(&self) -> Option<(u64, i64)> {
        self.manifest
            .operations
            .read_back
            .as_ref()
            .map(|it| (it.recheck_ms, it.looks_max))
    }

    /// Returns the references that lead nowhere; nothing is sent while there are any.
    pub fn unresolved(&self) -> &[String] {
        &self.unresolved
    }

    /// Returns why the conformance kit shall not run this case, if the manifest says so.
    pub fn waiver(&self, case: &str) -> Option<&str> {
        self.manifest.conform.waive.get(case).map(String::as_str)
    }

    /// Returns the cases that the manifest waives.
    pub fn waived(&self) -> impl Iterator<Item = &str> {
        self.manifest.conform.waive.keys().map(String::as_str)
    }

    /// Returns the connector with waits so short that a minute of trouble is played in a second,
    /// for the conformance kit; `age_max_s` ends its patience.
    #[must_use]
    pub fn hurried(mut self, age_max_s: i64) -> Self {
        let manifest = &mut self.manifest;
        manifest.limits.rate_per_s = 1_000;
        manifest.limits.timeout_ms = 2_500;
        manifest.retry = Retry {
            base_ms: 20,
            factor: 2.0,
            max_ms: 100,
            tries_max: 1_000,
            age_max_s,
        };
        manifest.identity.settle_ms = 20;
        // Each case has one record and waits for no other.
        manifest.breaker.failures = 0;
        manifest.maintenance.windows.clear();
        if let Some(read_back) = &mut manifest.operations.read_back {
            read_back.recheck_ms = 20;
            read_back.looks_max = 3;
        }
        self
    }

    /// Takes over what the platform calls the units: unit's own code → its code there.
    fn take_unit_codes(&mut self, codes: BTreeMap<String, String>) {
        self.unit_codes = Value::from_object(UnitCodes::Known(codes));
    }

    /// Returns whether requests carry the bytes of attachments.
    pub fn uses_attachment_bytes(&self) -> bool {
        self.uses_attachment_bytes
    }

    /// Returns the mask of this connector's secrets.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Returns the end of the maintenance window that `now_ms` lies in, in ms since 1970.
    pub fn maintenance_until(&self, now_ms: i64) -> Option<i64> {
        maintenance::until(&self.manifest.maintenance.windows, now_ms)
    }

    /// Returns the maintenance windows that reach into the time between `since_ms` and `now_ms`,
    /// from beginning to end, in ms since 1970.
    pub fn maintenance_spans(&self, since_ms: i64, now_ms: i64) -> Vec<(i64, i64)> {
        maintenance::spans(&self.manifest.maintenance.windows, since_ms, now_ms)
    }

    /// Returns whether the record (as JSON) belongs on this platform.
    pub fn takes(&self, record: &Value) -> bool {
        self.templates
            .evaluate(&self.takes, &context! { record => record })
            .is_ok_and(|answer| answer.is_true())
    }

    /// Returns what the platform will not accept in this record, by its contract.
    pub fn contract_errors(&self, record: &serde_json::Value) -> Vec<FieldError> {
        let Some(contract) = &self.contract else {
            return Vec::new();
        };
        if contract.is_valid(record) {
            return Vec::new();
        }
        contract
            .iter_errors(record)
            .flat_map(|error| crate::schema::entry_errors(&error))
            .collect()
    }

    /// Returns the steps of an operation; empty when the connector has none.
    /// `update` without steps of its own is `publish`.
    pub fn steps(&self, operation: Operation) -> &[CompiledStep] {
        let operations = &self.operations;
        match operation {
            Operation::Publish => &operations.publish,
            Operation::Update => operations.update.as_ref().unwrap_or(&operations.publish),
            Operation::Withdraw => operations.withdraw.as_deref().unwrap_or_default(),
            Operation::LookUp => operations.look_up.as_deref().unwrap_or_default(),
            Operation::ReadBack => operations
                .read_back
                .as_ref()
                .map(|it| it.steps.as_slice())
                .unwrap_or_default(),
        }
    }

    /// Returns whether an update is another request than a publish.
    pub fn updates_by_itself(&self) -> bool {
        self.operations.update.is_some()
    }

    /// Returns whether the connector can do this.
    pub fn can(&self, operation: Operation) -> bool {
        !self.steps(operation).is_empty()
    }

    /// Returns the step that logs in, when the platform has sessions of its own kind.
    pub fn login_step(&self) -> Option<&CompiledStep> {
        match &self.auth {
            CompiledAuth::Session { login, .. } => Some(login),
            _ => None,
        }
    }

    /// Returns whether requests need a [`Session`] got beforehand.
    pub fn needs_session(&self) -> bool {
        matches!(
            self.auth,
            CompiledAuth::Session { .. } | CompiledAuth::Oauth2 { .. }
        )
    }

    /// Reads the answer to a token request (RFC 6749 §5.1).
    pub fn read_token(&self, response: &Response, now_ms: i64) -> Option<Session> {
        let answer: Map<String, serde_json::Value> = serde_json::from_str(&response.text()).ok()?;
        answer.get("access_token")?.as_str()?;
        // A tenth of the life is left unused, so that a token does not expire on its way.
        let life_ms = answer
            .get("expires_in")
            .and_then(serde_json::Value::as_f64)
            .map(|s| (s * 900.0) as i64);
        Some(Session {
            values: answer,
            expires_at_ms: life_ms.map(|life_ms| now_ms + life_ms),
        })
    }

    /// Makes a session of what the login step captured.
    pub fn session_of(&self, captured: Map<String, serde_json::Value>, now_ms: i64) -> Session {
        let ttl_ms = match &self.auth {
            CompiledAuth::Session { ttl_ms, .. } => *ttl_ms,
            _ => None,
        };
        Session {
            values: captured,
            expires_at_ms: ttl_ms.map(|ttl_ms| now_ms + ttl_ms as i64),
        }
    }

    /// Reads the answer to a step.
    pub fn judge(&self, step: &CompiledStep, response: &Response, now_ms: i64) -> Judgement {
        classify::judge(&self.templates, step, &self.rules, response, now_ms)
    }

    /// Returns mistakes in the rules and captures of a step, found on a sample answer.
    fn mistakes(&self, step: &CompiledStep, response: &Response) -> Vec<String> {
        classify::mistakes(&self.templates, step, &self.rules, response)
    }
}
