//! Loads a folder: manifest, templates, contract; then the references, which may lead nowhere yet.

use super::auth::CompiledAuth;
use super::check;
use super::compiled::Compiler;
use super::manifest::Manifest;
use super::secret::{Mask, References};
use super::unit_codes::UnitCodes;
use super::{Connector, Finding};
use crate::record::previous_version;
use minijinja::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use url::Url;

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

        let named = previous_version(&id);
        let version = manifest.connector.version;
        if !matches!(named, Ok(named) if named.is_none_or(|it| it == version)) {
            let problem = format!(
                "the folder's name and the version differ: NAME@{version} is version {version} of the platform NAME, kept beside the newer one"
            );
            return Err(vec![finding(
                "connector.toml",
                "connector.version",
                problem,
            )]);
        }

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
            unit_codes: Value::from_object(match references.are_placeholders() {
                true => UnitCodes::Own,
                false => UnitCodes::Known(BTreeMap::new()),
            }),
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
            replaces: None,
        })
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
        let mut secrets = BTreeMap::new();
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
        let mut settings = BTreeMap::new();
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
