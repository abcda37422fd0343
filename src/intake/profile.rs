//! Source profiles: what an OA sends, as a native submission. One folder each, data only.
//!
//! Owns `profile.toml` and its samples. A profile says where the fields lie in a document, which
//! native field each of them is, and what the sender's hook expects to hear. It never mends a
//! value: that is [`crate::normalise`].

mod answer;
mod attachment;
mod check;
mod detail;
mod fill;
mod given;
mod manifest;
mod place;

pub use answer::{Answer, Told};
pub use check::{ProfileReport, check};

use super::format::{Document, Format};
use super::labels::{Labels, LabelsError};
use super::schema::strict;
use crate::connector::References;
use crate::record::{FieldError, Warning};
use manifest::Manifest;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that makes a folder a profile.
const PROFILE_FILE: &str = "profile.toml";
/// A profile larger than this is none that a person wrote.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One source profile.
#[derive(Debug)]
pub struct Profile {
    /// Name of its folder.
    pub id: String,
    manifest: Manifest,
    answer: Option<Answer>,
    /// What stands before addresses of files that name no host; none when it is not configured.
    base: Option<String>,
}

/// All profiles of a folder, and the labels that they share.
#[derive(Debug)]
pub struct Profiles {
    profiles: Vec<Arc<Profile>>,
    failures: Vec<ProfileFailure>,
    labels: Labels,
}

/// A folder that holds no usable profile.
#[derive(Debug)]
pub struct ProfileFailure {
    /// Name of the folder.
    pub id: String,
    /// What is wrong, with file and line where there is one.
    pub problem: String,
}

impl Profiles {
    /// Loads the labels and every profile under `dir`. A bad profile is a failure of its own and
    /// stops no other.
    ///
    /// # Errors
    /// Labels that cannot be used.
    pub fn load(dir: &Path, references: &References) -> Result<Self, LabelsError> {
        let labels = Labels::load(dir)?;
        let mut profiles = Vec::new();
        let mut failures = Vec::new();
        for folder in folders(dir) {
            match Profile::load(&folder, references) {
                Ok(profile) => profiles.push(Arc::new(profile)),
                Err(problem) => failures.push(ProfileFailure {
                    id: id_of(&folder),
                    problem,
                }),
            }
        }
        Ok(Self {
            profiles,
            failures,
            labels,
        })
    }

    /// Returns the profile of this name.
    pub fn get(&self, id: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| profile.id == id)
    }

    /// Returns the names of all profiles.
    pub fn ids(&self) -> Vec<&str> {
        self.profiles.iter().map(|it| it.id.as_str()).collect()
    }

    /// Returns the folders that hold no usable profile.
    pub fn failures(&self) -> &[ProfileFailure] {
        &self.failures
    }

    /// Returns the one profile that knows a document as its own; none when several do.
    pub(super) fn recognise(&self, document: &Document) -> Option<&Arc<Profile>> {
        let mut knowing = self
            .profiles
            .iter()
            .filter(|profile| profile.knows(document));
        let first = knowing.next()?;
        knowing.next().is_none().then_some(first)
    }

    /// Returns the native submission that a document means to a profile, and what should be
    /// mended.
    pub(super) fn fill(
        &self,
        profile: &Profile,
        document: Document,
    ) -> Result<(Value, Vec<Warning>), Vec<FieldError>> {
        if !profile.manifest.formats.contains(&document.format) {
            let takes: Vec<&str> = profile
                .manifest
                .formats
                .iter()
                .map(|it| it.chinese())
                .collect();
            let detail = format!(
                "来源方案“{}”只接收{}，收到的是{}，请检查来源方案和 Content-Type。",
                profile.id,
                takes.join("、"),
                document.format.chinese()
            );
            return Err(vec![FieldError::new("", "format_not_taken", detail)]);
        }
        let mut tree = document.tree;
        for pointer in &profile.manifest.json_strings {
            open_json(pointer, &mut tree)?;
        }
        fill::fill(profile, &self.labels, &tree)
    }
}

/// Puts the JSON value of a text in its place.
fn open_json(pointer: &str, tree: &mut Value) -> Result<(), Vec<FieldError>> {
    let Some(place) = tree.pointer_mut(pointer) else {
        return Ok(());
    };
    let Value::String(text) = place else {
        return Ok(());
    };
    if text.trim().is_empty() {
        *place = Value::Null;
        return Ok(());
    }
    *place = strict::parse(text).map_err(|errors| {
        let inside = |error: FieldError| FieldError {
            pointer: format!("{pointer}{}", error.pointer),
            ..error
        };
        errors.into_iter().map(inside).collect::<Vec<_>>()
    })?;
    Ok(())
}

impl Profile {
    /// Loads the profile in a folder.
    ///
    /// # Errors
    /// The first thing that is wrong, with file and place.
    pub fn load(dir: &Path, references: &References) -> Result<Self, String> {
        let path = dir.join(PROFILE_FILE);
        let told = |problem: String| format!("{}: {problem}", path.display());
        let length = std::fs::metadata(&path).map(|it| it.len());
        if length.map_err(|error| told(error.to_string()))? > FILE_BYTES_MAX {
            return Err(told(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| told(error.to_string()))?;
        Self::parse(id_of(dir), &text, references).map_err(told)
    }

    fn parse(id: String, text: &str, references: &References) -> Result<Self, String> {
        let is_id = !id.is_empty()
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_id {
            return Err(format!(
                "a profile is named with lower-case letters, digits and `-`, not {id:?}"
            ));
        }
        let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(problem) = manifest.problem() {
            return Err(problem);
        }
        let answer = manifest.answer.as_ref().map(|file| file.compile());
        let base = manifest.attachments.as_ref().and_then(|it| it.base.clone());
        Ok(Self {
            id,
            answer: answer.transpose()?,
            base: base.and_then(|base| references.resolve_address(&base).ok()),
            manifest,
        })
    }

    /// Returns what people call it.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// Returns its edition.
    pub fn version(&self) -> u32 {
        self.manifest.version
    }

    /// Returns what it takes.
    pub fn formats(&self) -> &[Format] {
        &self.manifest.formats
    }

    /// Returns what the sender's hook expects to hear, if it is not what everybody hears.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    fn knows(&self, document: &Document) -> bool {
        let has_all = |places: &Vec<place::Pointer>| {
            let mut places = places.iter();
            places.len() > 0 && places.all(|it| it.leads_somewhere(&document.tree))
        };
        self.manifest.formats.contains(&document.format)
            && self.manifest.recognise.iter().any(has_all)
    }

    /// Whether a rule names this field of the document, so that its label does not count.
    fn is_named(&self, name: &str) -> bool {
        let rules = self.manifest.fields.values();
        rules.flat_map(|rule| &rule.from).any(|known| known == name)
    }
}

fn id_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Returns the folders of profiles under `dir`, in order.
pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join(PROFILE_FILE).is_file())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests;
