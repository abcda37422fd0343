//! The Chinese names of fields: one table, as data, for forms of the OA and for sheets.
//!
//! Owns `labels.toml` of the folder of source profiles. It says what a label means; what is done
//! with the value is its caller's business: profiles and imports.

use super::native;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization as _;

/// The file in the folder of source profiles.
pub const LABELS_FILE: &str = "labels.toml";
/// A table larger than this is none that a person wrote.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A longer text is no label.
const LABEL_CHARS_MAX: usize = 40;

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TOML is not what it should be; the source names line and column.
    #[error("{path} is no table of labels: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// One line contradicts another, or means nothing.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A field of a native submission, with what people call it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledField {
    /// Pointer into a native submission, such as `/entry/title`.
    #[serde(rename = "field")]
    pub pointer: String,
    /// What people call it; the first is the name to show.
    pub labels: Vec<String>,
    /// What people write in it → what it means.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// A label whose value decides whether the entry may be sent at all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    labels: Vec<String>,
    passes: Vec<String>,
    /// Stable code of the refusal.
    pub code: String,
    /// What the clerk reads, after the label and what was written.
    pub detail: String,
}

impl Guard {
    /// Whether what was written lets the entry pass; a blank does.
    pub fn lets_pass(&self, written: &str) -> bool {
        let written = folded(written);
        written.is_empty() || self.passes.iter().any(|it| folded(it) == written)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelsFile {
    #[expect(
        dead_code,
        reason = "names the edition for people; nothing depends on it yet"
    )]
    version: u32,
    field: Vec<LabelledField>,
    #[serde(default)]
    guard: Vec<Guard>,
}

/// What a label leads to.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Field(usize),
    Guard(usize),
}

/// The table, read and checked.
#[derive(Debug, Clone)]
pub struct Labels {
    fields: Vec<LabelledField>,
    guards: Vec<Guard>,
    index: HashMap<String, Meaning>,
}

impl Labels {
    /// Reads `labels.toml` in the folder `dir`.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key or field, a label that means two fields.
    pub fn load(dir: &Path) -> Result<Self, LabelsError> {
        let path = dir.join(LABELS_FILE);
        let failed = |source| LabelsError::Read {
            path: path.clone(),
            source,
        };
        if std::fs::metadata(&path).map_err(failed)?.len() > FILE_BYTES_MAX {
            let problem = format!("it has more than {FILE_BYTES_MAX} bytes");
            return Err(failed(std::io::Error::other(problem)));
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, LabelsError> {
        let file: LabelsFile = toml::from_str(text).map_err(|source| LabelsError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let mut labels = Self {
            fields: file.field,
            guards: file.guard,
            index: HashMap::new(),
        };
        labels
            .fill_index()
            .map_err(|problem| LabelsError::Content {
                path: path.to_owned(),
                problem,
            })?;
        Ok(labels)
    }

    fn fill_index(&mut self) -> Result<(), String> {
        let mut index = HashMap::new();
        let mut enter = |label: &str, meaning| {
            let folded = folded(label);
            if folded.is_empty() || folded.chars().count() > LABEL_CHARS_MAX {
                return Err(format!("{label:?} cannot be a label"));
            }
            match index.insert(folded, meaning) {
                Some(_) => Err(format!("{label:?} is there twice")),
                None => Ok(()),
            }
        };
        for (place, field) in self.fields.iter().enumerate() {
            if !native::is_field(&field.pointer) {
                return Err(format!("a submission has no field {:?}", field.pointer));
            }
            for name in native::names(&field.pointer) {
                enter(&name, Meaning::Field(place))?;
            }
            for label in &field.labels {
                enter(label, Meaning::Field(place))?;
            }
        }
        for (place, guard) in self.guards.iter().enumerate() {
            for label in &guard.labels {
                enter(label, Meaning::Guard(place))?;
            }
        }
        self.index = index;
        Ok(())
    }

    /// Returns the field that people call `label`; blanks, width, colons, stars and remarks in
    /// brackets do not matter.
    pub fn field(&self, label: &str) -> Option<&LabelledField> {
        match self.index.get(&folded(label))? {
            Meaning::Field(place) => self.fields.get(*place),
            Meaning::Guard(_) => None,
        }
    }

    /// Returns the guard that people call `label`.
    pub fn guard(&self, label: &str) -> Option<&Guard> {
        match self.index.get(&folded(label))? {
            Meaning::Guard(place) => self.guards.get(*place),
            Meaning::Field(_) => None,
        }
    }

    /// Returns the field at this pointer of a native submission.
    pub fn at(&self, pointer: &str) -> Option<&LabelledField> {
        self.fields.iter().find(|field| field.pointer == pointer)
    }
}

impl LabelledField {
    /// Returns what is meant by what was written.
    pub fn meaning<'a>(&'a self, written: &'a str) -> &'a str {
        if self.values.is_empty() {
            return written;
        }
        let wanted = folded(written);
        let known = self.values.iter().find(|(text, _)| folded(text) == wanted);
        known.map_or(written, |(_, meaning)| meaning)
    }
}

/// Returns a label as labels are compared.
fn folded(label: &str) -> String {
    let mut folded: String = label
        .nfkc()
        .filter(|letter| !letter.is_whitespace() && crate::normalise::text::is_shown(*letter))
        .flat_map(char::to_lowercase)
        .take(2 * LABEL_CHARS_MAX)
        .collect();
    loop {
        let length = folded.len();
        let bare = folded.trim_matches(['*', ':', '_']).len();
        if bare < length {
            folded = folded.trim_matches(['*', ':', '_']).to_owned();
        }
        // 标题（必填）
        if folded.ends_with(')')
            && let Some(start) = folded.rfind('(').filter(|start| *start > 0)
        {
            folded.truncate(start);
        }
        if folded.len() == length {
            return folded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Labels {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/oa");
        Labels::load(&dir).unwrap()
    }

    fn parse(text: &str) -> Result<Labels, String> {
        Labels::parse(Path::new("labels.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_are_known_however_they_are_written() {
        let labels = shipped();
        for (label, pointer) in [
            ("标　　题", "/entry/title"),
            ("* 标题（必填）：", "/entry/title"),
            ("发文字号", "/entry/doc_no"),
            ("公开主体", "/entry/unit"),
            ("索 引 号", "/entry/index_no"),
            ("\u{feff}信息内容", "/entry/body/content"),
            ("Title", "/entry/title"),
            ("entry.doc_no", "/entry/doc_no"),
            ("project.code", "/entry/project/code"),
            ("流水号", "/source_id"),
        ] {
            let field = labels.field(label).map(|field| field.pointer.as_str());
            assert_eq!(field, Some(pointer), "{label}");
        }
        assert!(labels.field("序号").is_none());
        assert!(labels.field("（）").is_none());
    }

    #[test]
    fn values_are_told_in_the_words_of_the_hub() {
        let labels = shipped();
        let action = labels.at("/action").unwrap();
        assert_eq!(action.meaning("撤 回"), "withdraw");
        assert_eq!(action.meaning("publish"), "publish");
        assert_eq!(labels.at("/entry/title").unwrap().meaning("撤回"), "撤回");
    }

    #[test]
    fn a_secret_is_guarded() {
        let guard = shipped().guard("涉密状态").cloned().unwrap();
        for (written, passes) in [
            ("非涉密", true),
            ("", true),
            ("秘密", false),
            ("涉密", false),
        ] {
            assert_eq!(guard.lets_pass(written), passes, "{written}");
        }
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        let field = "version = 1\n[[field]]\nfield = \"/entry/title\"\nlabels = [\"标题\"]\n";
        assert!(parse(field).is_ok());
        for (wrong, told) in [
            (
                format!("{field}[[field]]\nfield = \"/entry/doc_no\"\nlabels = [\"标 题\"]\n"),
                "twice",
            ),
            (field.replace("/entry/title", "/entry/titel"), "titel"),
            (format!("{field}lables = []\n"), "lables"),
        ] {
            let error = parse(&wrong).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
