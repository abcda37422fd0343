//! Teaches the hub a platform from a folder: manifest, templates, contract, samples.
//!
//! Owns everything that is different from platform to platform: which records it takes, how a
//! request is rendered and signed, how an answer is read. It sends nothing and keeps nothing;
//! [`crate::deliver`] does, and [`crate::store`]. No platform's name occurs in the code.

mod auth;
pub mod check;
mod classify;
mod compiled;
mod maintenance;
pub mod manifest;
mod registry;
mod request;
mod response;
mod secret;
pub mod skeleton;
mod template;

pub use auth::{Moment, Session};
pub use classify::{Judgement, Verdict};
pub use compiled::{CompiledStep, Operation};
pub use manifest::{AfterWithdraw, IdentityMode, Limits, Retry};
pub use registry::{Connectors, LoadFailure};
pub use request::{Files, RenderError, Request};
pub use response::Response;
pub use secret::{Mask, References};

use crate::record::{FieldError, RecordId};
use auth::CompiledAuth;
use bytes::Bytes;
use compiled::{CompiledOperations, CompiledRules, Compiler};
use manifest::Manifest;
use minijinja::{Value, context};
use request::{Renderer, with_item};
use serde_json::Map;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use template::{TemplateId, Templates};
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
    secrets: Value,
    settings: Value,
    base_url: Option<Url>,
    mask: Mask,
    unresolved: Vec<String>,
    uses_attachment_bytes: bool,
}

/// What templates know of the delivery at hand.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The canonical record, as JSON.
    pub record: Value,
    /// The same text for each try of this delivery: the idempotency key.
    pub key: String,
    /// The version to be shown.
    pub version: i64,
    /// The platform's id of the object, if known.
    pub remote_id: Option<String>,
    /// The platform's address of the object, if known.
    pub remote_url: Option<String>,
    /// Why it is withdrawn.
    pub reason: Option<String>,
    /// Values captured by the finished steps.
    pub captured: Map<String, serde_json::Value>,
    /// Bytes of the attachments; only filled when [`Connector::uses_attachment_bytes`].
    pub files: Files,
}

impl Facts {
    /// Takes over what a finished step captured, for the steps after it.
    pub fn take_over(&mut self, captured: &Map<String, serde_json::Value>) {
        let text = |name: &str| match captured.get(name) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        self.remote_id = text("remote_id").or(self.remote_id.take());
        self.remote_url = text("remote_url").or(self.remote_url.take());
        self.captured.extend(captured.clone());
    }
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
    /// Loads the folder `dir`, whose name becomes the platform's id.
    ///
    /// A reference that leads nowhere does not stop the load; it is listed by
    /// [`Connector::unresolved`] and nothing is sent until it is mended.
    ///
    /// # Errors
    /// Everything that is wrong with the manifest, the templates and the contract, at once.
    pub fn load(dir: &Path, references: &References) -> Result<Self, Vec<Finding>> {
        let finding = |file: &str, place: &str, problem: String| Finding {
            file: file.to_owned(),
            place: place.to_owned(),
            problem,
        };
        let id = dir
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let text = std::fs::read_to_string(dir.join("connector.toml"))
            .map_err(|error| vec![finding("connector.toml", "", error.to_string())])?;
        let manifest: Manifest = toml::from_str(&text).map_err(|error| {
            vec![finding(
                "connector.toml",
                &line_of(&text, &error),
                error.message().to_owned(),
            )]
        })?;

        let mut compiler = Compiler::new(dir);
        let takes = compiler.expression("connector.takes", &manifest.connector.takes);
        let auth = CompiledAuth::compile(&manifest.auth, &mut compiler);
        let operations = compiler.operations(&manifest);
        let rules = compiler.rules("classify", &manifest.classify);
        for (place, problem) in check::contradictions(&manifest) {
            compiler.mistake(place, problem);
        }
        let mut findings: Vec<Finding> = compiler
            .mistakes
            .drain(..)
            .map(|(place, problem)| finding("connector.toml", &place, problem))
            .collect();
        let contract = load_contract(dir).unwrap_or_else(|problem| {
            findings.push(finding("contract.schema.json", "", problem));
            None
        });
        if !findings.is_empty() {
            return Err(findings);
        }
        let resolved = Resolved::of(&manifest, references);
        Ok(Self {
            id,
            tables: Value::from(minijinja::value::Serde(&manifest.tables)),
            uses_attachment_bytes: compiler.uses_attachment_bytes,
            templates: compiler.templates,
            manifest,
            takes,
            auth,
            operations,
            rules,
            contract,
            secrets: resolved.secrets,
            settings: resolved.settings,
            base_url: resolved.base_url,
            mask: resolved.mask,
            unresolved: resolved.unresolved,
        })
    }

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
                .map(|(steps, _)| steps.as_slice())
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

    /// Returns the items of a step: one `None` without `for_each`, none when `when` is false.
    ///
    /// # Errors
    /// An expression that fails.
    pub fn items(
        &self,
        step: &CompiledStep,
        facts: &Facts,
    ) -> Result<Vec<Option<Value>>, RenderError> {
        let context = self.context(facts, &Session::default());
        let failed = |error: template::TemplateError| RenderError::Template {
            step: step.name.clone(),
            problem: error.to_string(),
        };
        if let Some(when) = &step.when
            && !self
                .templates
                .evaluate(when, &context)
                .map_err(failed)?
                .is_true()
        {
            return Ok(Vec::new());
        }
        let Some(for_each) = &step.for_each else {
            return Ok(vec![None]);
        };
        let list = self
            .templates
            .evaluate(for_each, &context)
            .map_err(failed)?;
        let list = list.try_iter().map_err(|error| failed(error.into()))?;
        Ok(list.map(Some).collect())
    }

    /// Renders and signs the request of a step.
    ///
    /// # Errors
    /// See [`RenderError`]; nothing was sent.
    pub fn request(
        &self,
        step: &CompiledStep,
        facts: &Facts,
        item: Option<&Value>,
        session: &Session,
        moment: &Moment,
    ) -> Result<Request, RenderError> {
        let mut context = self.context(facts, session);
        if let Some(item) = item {
            context = with_item(&context, item.clone());
        }
        let failed = |error: template::TemplateError| RenderError::Template {
            step: step.name.clone(),
            problem: error.to_string(),
        };
        let wsse = self
            .auth
            .wsse(&self.templates, &context, moment)
            .map_err(failed)?;
        let context = context! { wsse => wsse, ..context };
        let renderer = Renderer {
            templates: &self.templates,
            step,
            context: &context,
            files: &facts.files,
        };
        let url = self.address(&renderer, &step.path)?;
        let body = renderer.body()?;
        let max = self.manifest.limits.request_bytes_max;
        if body.bytes.len() > max {
            return Err(RenderError::TooLarge {
                step: step.name.clone(),
                bytes: body.bytes.len(),
                max,
            });
        }
        let mut request = Request {
            method: step.method.clone(),
            url,
            headers: Vec::new(),
            body: Bytes::from(body.bytes),
            shown_body: body.shown,
        };
        if let Some(content_type) = step.content_type.clone().or(body.content_type) {
            request
                .headers
                .push(("Content-Type".to_owned(), content_type));
        }
        if let Some(header) = self.idempotency_header(step) {
            request.headers.push((header.to_owned(), facts.key.clone()));
        }
        for (name, template) in &step.headers {
            request
                .headers
                .push((name.clone(), renderer.text(template)?));
        }
        let is_login = self
            .login_step()
            .is_some_and(|login| std::ptr::eq(login, step));
        if !is_login {
            self.auth
                .apply(&self.templates, &context, moment, &mut request)
                .map_err(failed)?;
        }
        Ok(request)
    }

    /// Returns the OAuth 2 token request, when that is how the platform wants it.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn token_request(&self) -> Result<Option<Request>, RenderError> {
        let CompiledAuth::Oauth2 {
            token_path,
            client_id,
            client_secret,
            scope,
        } = &self.auth
        else {
            return Ok(None);
        };
        let context = self.context(&Facts::default(), &Session::default());
        let failed = |error: template::TemplateError| RenderError::Template {
            step: "token".to_owned(),
            problem: error.to_string(),
        };
        let render = |id: &TemplateId| self.templates.render(id, &context).map_err(failed);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &render(client_id)?);
        form.append_pair("client_secret", &render(client_secret)?);
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        let body = form.finish();
        Ok(Some(Request {
            method: "POST".to_owned(),
            url: self.allowed("token", &render(token_path)?)?,
            headers: vec![(
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            )],
            body: Bytes::from(body.clone()),
            shown_body: body,
        }))
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

    /// Returns whether what the read-back captured equals the record.
    pub fn confirms(&self, facts: &Facts) -> bool {
        let Some((_, confirmed)) = &self.operations.read_back else {
            return false;
        };
        let context = self.context(facts, &Session::default());
        self.templates.ask(confirmed, &context).is_true()
    }

    /// Returns whether requests and redirects may reach this address.
    pub fn allows(&self, url: &Url) -> bool {
        let authority = authority(url);
        let is_base = self.base_url.as_ref().is_some_and(|base| {
            self::authority(base) == authority
                && (base.scheme() == url.scheme() || url.scheme() == "https")
        });
        is_base
            || self
                .manifest
                .connector
                .hosts
                .iter()
                .any(|host| *host == authority || url.host_str().is_some_and(|name| name == host))
    }

    /// Returns the address the public sees: one that a platform tells without a host is on it.
    pub fn public_address(&self, address: &str) -> String {
        let joined = self
            .base_url
            .as_ref()
            .and_then(|base| base.join(address).ok());
        joined.map_or_else(|| address.to_owned(), String::from)
    }

    /// Returns the base address, if its reference is resolved.
    pub fn base_url(&self) -> Option<&Url> {
        self.base_url.as_ref()
    }

    /// Only creating wants the key: a platform may answer anything else that bears it with what
    /// it answered to the create.
    fn idempotency_header(&self, step: &CompiledStep) -> Option<&str> {
        let identity = &self.manifest.identity;
        let creates = self
            .steps(Operation::Publish)
            .iter()
            .any(|publish| std::ptr::eq(publish, step));
        match identity.mode {
            IdentityMode::IdempotencyHeader if creates => identity.header.as_deref(),
            IdentityMode::IdempotencyHeader | IdentityMode::ClientId | IdentityMode::LookUp => None,
        }
    }

    fn address(&self, renderer: &Renderer<'_>, path: &TemplateId) -> Result<Url, RenderError> {
        self.allowed(&renderer.step.name, &renderer.text(path)?)
    }

    fn allowed(&self, step: &str, path: &str) -> Result<Url, RenderError> {
        let problem = |problem: String| RenderError::Template {
            step: step.to_owned(),
            problem,
        };
        let base = self
            .base_url
            .as_ref()
            .ok_or_else(|| problem("the platform's base_url is not resolved".to_owned()))?;
        let url = match path.contains("://") {
            true => Url::parse(path),
            // Joined as text: a base address may have a path of its own.
            false => Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))),
        };
        let url = url.map_err(|error| problem(format!("`{path}` is no address: {error}")))?;
        if !self.allows(&url) {
            return Err(RenderError::HostNotAllowed {
                step: step.to_owned(),
                host: authority(&url),
            });
        }
        Ok(url)
    }

    fn context(&self, facts: &Facts, session: &Session) -> Value {
        context! {
            record => facts.record.clone(),
            delivery => context! { key => facts.key.as_str(), version => facts.version },
            remote => context! { id => facts.remote_id.clone(), url => facts.remote_url.clone() },
            reason => facts.reason.as_deref().unwrap_or("信息已撤回"),
            captured => Value::from(minijinja::value::Serde(&facts.captured)),
            session => Value::from(minijinja::value::Serde(&session.values)),
            secret => self.secrets.clone(),
            setting => self.settings.clone(),
            table => self.tables.clone(),
            files => Value::from_object(InlineFiles(facts.files.clone())),
        }
    }
}

/// `files[SHA256]` in templates: the bytes in Base64, encoded only when a template asks for them.
#[derive(Debug)]
struct InlineFiles(Files);

impl minijinja::value::Object for InlineFiles {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        use base64::Engine as _;
        let bytes = self.0.get(key.as_str()?)?;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes.as_slice());
        Some(Value::from(text))
    }
}

/// The idempotency key of a record on any platform: the same for all tries and versions.
pub fn idempotency_key(record: &RecordId) -> String {
    record.to_string()
}

fn authority(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    }
}

fn line_of(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else {
        return String::new();
    };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    format!("line {line}, column {column}")
}

fn load_contract(dir: &Path) -> Result<Option<jsonschema::Validator>, String> {
    let path: PathBuf = dir.join("contract.schema.json");
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let schema: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    jsonschema::validator_for(&schema)
        .map(Some)
        .map_err(|error| error.to_string())
}

struct Resolved {
    secrets: Value,
    settings: Value,
    base_url: Option<Url>,
    mask: Mask,
    unresolved: Vec<String>,
}

impl Resolved {
    fn of(manifest: &Manifest, references: &References) -> Self {
        let mut unresolved = Vec::new();
        let mut mask = Mask::default();
        let mut secrets = std::collections::BTreeMap::new();
        for (name, reference) in &manifest.secrets {
            match references.resolve(reference) {
                Ok(value) => {
                    mask.add(&value);
                    secrets.insert(name.clone(), value);
                }
                Err(problem) => unresolved.push(format!("secrets.{name}: {problem}")),
            }
        }
        // A user name is often the sender's own name: masking it would blot out half of the evidence.
        let mut settings = std::collections::BTreeMap::new();
        for (name, reference) in &manifest.settings {
            match references.resolve(reference) {
                Ok(value) => {
                    settings.insert(name.clone(), value);
                }
                Err(problem) => unresolved.push(format!("settings.{name}: {problem}")),
            }
        }
        let address = references.resolve_address(&manifest.connector.base_url);
        let base_url = address.and_then(|address| {
            Url::parse(&address)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
                .ok_or_else(|| "not an http(s) address".to_owned())
        });
        let base_url = base_url
            .inspect_err(|problem| unresolved.push(format!("connector.base_url: {problem}")))
            .ok();
        Self {
            secrets: Value::from(minijinja::value::Serde(&secrets)),
            settings: Value::from(minijinja::value::Serde(&settings)),
            base_url,
            mask,
            unresolved,
        }
    }
}
