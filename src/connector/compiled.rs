//! A manifest whose templates and expressions are compiled: what runs.

use super::classify::Verdict;
use super::manifest::{
    BodyKind, Classify, Manifest, Part, ReadBack, StatusPattern, Step, Unmappable,
};
use super::template::{TemplateError, TemplateId, Templates};
use std::collections::BTreeMap;
use std::path::Path;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// An operation of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Makes the object.
    Publish,
    /// Replaces it.
    Update,
    /// Takes it down.
    Withdraw,
    /// Finds it by our key.
    LookUp,
    /// Fetches what the public sees.
    ReadBack,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 5] = [
        Self::Publish,
        Self::Update,
        Self::Withdraw,
        Self::LookUp,
        Self::ReadBack,
    ];

    /// Returns the word used in manifests, JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Update => "update",
            Self::Withdraw => "withdraw",
            Self::LookUp => "look_up",
            Self::ReadBack => "read_back",
        }
    }

    /// Returns the operation of this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == word)
    }

    /// Returns whether the operation changes what the platform shows.
    pub fn changes_something(self) -> bool {
        match self {
            Self::Publish | Self::Update | Self::Withdraw => true,
            Self::LookUp | Self::ReadBack => false,
        }
    }
}

/// A step ready to run.
#[derive(Debug)]
pub struct CompiledStep {
    /// Its name in the manifest.
    pub name: String,
    pub(super) method: String,
    pub(super) path: TemplateId,
    pub(super) headers: Vec<(String, TemplateId)>,
    pub(super) body: BodyKind,
    pub(super) template: Option<TemplateId>,
    pub(super) charset: String,
    pub(super) unmappable: Unmappable,
    pub(super) content_type: Option<String>,
    pub(super) form: Vec<(String, TemplateId)>,
    pub(super) parts: Vec<CompiledPart>,
    pub(super) for_each: Option<TemplateId>,
    pub(super) when: Option<TemplateId>,
    pub(super) capture: Vec<(String, TemplateId)>,
    pub(super) rules: CompiledRules,
}

impl CompiledStep {
    /// Returns the names of the headers that the step itself sets.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }
}

#[derive(Debug)]
pub(super) struct CompiledPart {
    pub(super) name: String,
    pub(super) for_each: Option<TemplateId>,
    pub(super) value: Option<TemplateId>,
    pub(super) file: Option<TemplateId>,
    pub(super) filename: Option<TemplateId>,
    pub(super) media_type: Option<TemplateId>,
}

/// Ordered rules, compiled.
#[derive(Debug, Default)]
pub(super) struct CompiledRules {
    pub(super) body: Vec<CompiledBodyRule>,
    pub(super) status: Vec<CompiledStatusRule>,
}

#[derive(Debug)]
pub(super) struct CompiledBodyRule {
    pub(super) when: TemplateId,
    pub(super) verdict: Verdict,
    pub(super) code: Option<TemplateId>,
    pub(super) message: Option<TemplateId>,
}

#[derive(Debug)]
pub(super) struct CompiledStatusRule {
    pub(super) status: StatusPattern,
    pub(super) verdict: Verdict,
}

/// All operations of a connector, compiled.
#[derive(Debug, Default)]
pub(super) struct CompiledOperations {
    pub(super) publish: Vec<CompiledStep>,
    pub(super) update: Option<Vec<CompiledStep>>,
    pub(super) withdraw: Option<Vec<CompiledStep>>,
    pub(super) look_up: Option<Vec<CompiledStep>>,
    pub(super) read_back: Option<CompiledReadBack>,
}

/// The read-back with its questions, compiled.
#[derive(Debug)]
pub(super) struct CompiledReadBack {
    pub(super) steps: Vec<CompiledStep>,
    pub(super) confirmed: TemplateId,
    pub(super) missing: Option<TemplateId>,
    pub(super) under_review: Option<TemplateId>,
    pub(super) stale: Option<TemplateId>,
}

/// Compiles while collecting every mistake with its place.
pub(super) struct Compiler<'a> {
    pub(super) folder: &'a Path,
    pub(super) templates: Templates,
    /// `(place, problem)`
    pub(super) mistakes: Vec<(String, String)>,
    /// Template files that are used.
    pub(super) files: Vec<String>,
    pub(super) uses_attachment_bytes: bool,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            templates: Templates::default(),
            mistakes: Vec::new(),
            files: Vec::new(),
            uses_attachment_bytes: false,
        }
    }

    pub(super) fn operations(&mut self, manifest: &Manifest) -> CompiledOperations {
        let operations = &manifest.operations;
        let optional = |compiler: &mut Self, name: &str, steps: Option<&Vec<Step>>| {
            steps.map(|steps| compiler.steps(&format!("operations.{name}"), steps))
        };
        CompiledOperations {
            publish: self.steps("operations.publish", &operations.publish.steps),
            update: optional(
                self,
                "update",
                operations.update.as_ref().map(|it| &it.steps),
            ),
            withdraw: optional(
                self,
                "withdraw",
                operations.withdraw.as_ref().map(|it| &it.steps),
            ),
            look_up: optional(
                self,
                "look_up",
                operations.look_up.as_ref().map(|it| &it.steps),
            ),
            read_back: operations.read_back.as_ref().map(|it| self.read_back(it)),
        }
    }

    fn read_back(&mut self, read_back: &ReadBack) -> CompiledReadBack {
        let place = "operations.read_back";
        let mut optional = |name: &str, text: &Option<String>| {
            let place = format!("{place}.{name}");
            text.as_ref().map(|text| self.question(&place, text))
        };
        CompiledReadBack {
            missing: optional("missing", &read_back.missing),
            under_review: optional("under_review", &read_back.under_review),
            stale: optional("stale", &read_back.stale),
            steps: self.steps(place, &read_back.steps),
            confirmed: self.question(&format!("{place}.confirmed"), &read_back.confirmed),
        }
    }

    fn steps(&mut self, place: &str, steps: &[Step]) -> Vec<CompiledStep> {
        if steps.is_empty() {
            self.mistake(place, "an operation needs at least one step");
        }
        let mut names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != steps.len() {
            self.mistake(
                place,
                "two steps have the same name; progress could not be told apart",
            );
        }
        steps
            .iter()
            .map(|step| self.step(&format!("{place}.{}", step.name), step))
            .collect()
    }

    pub(super) fn step(&mut self, place: &str, step: &Step) -> CompiledStep {
        self.check_body(place, step);
        CompiledStep {
            name: step.name.clone(),
            method: step.method.to_ascii_uppercase(),
            path: self.text(&format!("{place}.path"), &step.path),
            headers: self.texts(&format!("{place}.headers"), &step.headers),
            body: step.body,
            template: step.template.as_ref().map(|file| self.file(place, file)),
            charset: step.charset.clone(),
            unmappable: step.unmappable,
            content_type: step.content_type.clone(),
            form: self.texts(&format!("{place}.form"), &step.form),
            parts: step
                .parts
                .iter()
                .map(|part| self.part(place, part))
                .collect(),
            for_each: self.optional_expression(&format!("{place}.for_each"), &step.for_each),
            when: self.optional_expression(&format!("{place}.when"), &step.when),
            capture: step
                .capture
                .iter()
                .map(|(name, text)| {
                    (
                        name.clone(),
                        self.question(&format!("{place}.capture.{name}"), text),
                    )
                })
                .collect(),
            rules: self.rules(&format!("{place}.classify"), &step.classify),
        }
    }

    fn check_body(&mut self, place: &str, step: &Step) {
        let needs_template = matches!(step.body, BodyKind::Json | BodyKind::Xml | BodyKind::Text);
        if needs_template && step.template.is_none() {
            self.mistake(place, "this body kind needs `template = \"FILE\"`");
        }
        if step.body == BodyKind::Form && step.form.is_empty() {
            self.mistake(place, "a form body needs fields under `form`");
        }
        if step.body == BodyKind::Multipart && step.parts.is_empty() {
            self.mistake(place, "a multipart body needs `parts`");
        }
        if super::response::encoding_named(&step.charset).is_none() {
            self.mistake(
                &format!("{place}.charset"),
                "no charset of this name is known",
            );
        }
        if !METHODS.contains(&step.method.to_ascii_uppercase().as_str()) {
            self.mistake(
                &format!("{place}.method"),
                format!("one of {}", METHODS.join(", ")),
            );
        }
    }

    fn part(&mut self, place: &str, part: &Part) -> CompiledPart {
        let place = format!("{place}.parts.{}", part.name);
        let sources = [&part.value, &part.template, &part.file];
        if sources.into_iter().flatten().count() != 1 {
            self.mistake(
                &place,
                "a part has exactly one of `value`, `template` and `file`",
            );
        }
        self.uses_attachment_bytes |= part.file.is_some();
        let template = part.template.as_ref().map(|file| self.file(&place, file));
        CompiledPart {
            name: part.name.clone(),
            for_each: self.optional_expression(&format!("{place}.for_each"), &part.for_each),
            value: template.or_else(|| self.optional_text(&place, &part.value)),
            file: self.optional_text(&format!("{place}.file"), &part.file),
            filename: self.optional_text(&format!("{place}.filename"), &part.filename),
            media_type: self.optional_text(&format!("{place}.media_type"), &part.media_type),
        }
    }

    pub(super) fn rules(&mut self, place: &str, classify: &Classify) -> CompiledRules {
        let body = classify.body.iter().enumerate().map(|(index, rule)| {
            let place = format!("{place}.body[{index}]");
            CompiledBodyRule {
                when: self.question(&format!("{place}.when"), &rule.when),
                verdict: rule.verdict,
                code: rule
                    .code
                    .as_ref()
                    .map(|it| self.question(&format!("{place}.code"), it)),
                message: rule
                    .message
                    .as_ref()
                    .map(|it| self.question(&format!("{place}.message"), it)),
            }
        });
        CompiledRules {
            body: body.collect(),
            status: classify
                .status
                .iter()
                .map(|rule| CompiledStatusRule {
                    status: rule.status,
                    verdict: rule.verdict,
                })
                .collect(),
        }
    }

    pub(super) fn mistake(&mut self, place: &str, problem: impl Into<String>) {
        self.mistakes.push((place.to_owned(), problem.into()));
    }

    pub(super) fn text(&mut self, place: &str, source: &str) -> TemplateId {
        self.uses_attachment_bytes |= source.contains("files[");
        let result = self.templates.add_text(source);
        self.noted(place, result)
    }

    pub(super) fn texts(
        &mut self,
        place: &str,
        sources: &BTreeMap<String, String>,
    ) -> Vec<(String, TemplateId)> {
        sources
            .iter()
            .map(|(name, source)| (name.clone(), self.text(&format!("{place}.{name}"), source)))
            .collect()
    }

    fn optional_text(&mut self, place: &str, source: &Option<String>) -> Option<TemplateId> {
        source.as_ref().map(|source| self.text(place, source))
    }

    pub(super) fn expression(&mut self, place: &str, source: &str) -> TemplateId {
        let result = self.templates.add_expression(source);
        self.noted(place, result)
    }

    fn optional_expression(&mut self, place: &str, source: &Option<String>) -> Option<TemplateId> {
        source.as_ref().map(|source| self.expression(place, source))
    }

    fn question(&mut self, place: &str, source: &str) -> TemplateId {
        let result = self.templates.add_question(source);
        self.noted(place, result)
    }

    fn file(&mut self, place: &str, name: &str) -> TemplateId {
        let path = self.folder.join("templates").join(name);
        let is_plain = Path::new(name).components().count() == 1 && !name.starts_with('.');
        let source = match is_plain {
            true => std::fs::read_to_string(&path).map_err(|error| error.to_string()),
            false => Err("a template is a file directly under templates/".to_owned()),
        };
        match source {
            Ok(source) => {
                self.uses_attachment_bytes |= source.contains("files[");
                self.files.push(name.to_owned());
                let result = self.templates.add_file(name, source);
                self.noted(&format!("templates/{name}"), result)
            }
            Err(error) => {
                self.mistake(place, format!("template `{name}`: {error}"));
                self.text(place, "")
            }
        }
    }

    fn noted(&mut self, place: &str, result: Result<TemplateId, TemplateError>) -> TemplateId {
        match result {
            Ok(id) => id,
            Err(error) => {
                self.mistake(place, error.to_string());
                TemplateId::broken()
            }
        }
    }
}
