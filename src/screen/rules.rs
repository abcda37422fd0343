//! What may not leave the hub, as data: `connectors/screening/rules.toml`.
//!
//! Owns the reading and compiling of the rules. What is computed (check digits, birthdays) is code;
//! what is a matter of words is data, with its tests in `samples.toml` beside it.

use super::look;
use super::marks::Marks;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

/// Rules that the hub was built with: those that come with it.
const BUILT_IN: &str = include_str!("../../connectors/screening/rules.toml");
/// Name of the rules in their folder.
const RULES_FILE: &str = "rules.toml";
/// Name of the tests in the same folder.
const SAMPLES_FILE: &str = "samples.toml";
/// Largest file of rules or samples.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The rules, compiled.
#[derive(Debug)]
pub struct Rules {
    /// Counts the changes of the rules.
    pub version: u32,
    pub(super) marks: Marks,
    pub(super) numbers: Numbers,
    pub(super) list: ListRules,
}

/// Words around numbers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Numbers {
    pub(super) other_numbers: Vec<String>,
    pub(super) phone_labels: Vec<String>,
    pub(super) card_words: Vec<String>,
    pub(super) allowed: Vec<String>,
}

/// What makes rows a list of persons.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRules {
    pub(super) rows_min: usize,
    pub(super) digits_min: usize,
    pub(super) name_headers: Vec<String>,
    pub(super) number_headers: Vec<String>,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read, or is too large.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no TOML, or has an unknown or missing key.
    #[error("{file}: {source}")]
    Toml {
        /// The file.
        file: String,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A pattern does not compile, or has not exactly one group.
    #[error("the pattern of the mark `{about}` {problem}")]
    Pattern {
        /// What the pattern is about.
        about: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A sample is not judged as it says.
    #[error("sample {text:?} gives {found:?}, and should give {expected:?}")]
    Sample {
        /// The text.
        text: String,
        /// What was found.
        found: Vec<&'static str>,
        /// What it should be.
        expected: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    version: u32,
    words: BTreeMap<String, String>,
    marks: MarkSettings,
    mark: Vec<MarkRule>,
    numbers: Numbers,
    list: ListRules,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkSettings {
    letters: String,
}

/// One pattern.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkRule {
    pub(super) code: super::MarkCode,
    pub(super) about: String,
    pub(super) pattern: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplesFile {
    #[serde(default)]
    found: Vec<FoundSample>,
    #[serde(default)]
    quiet: Vec<QuietSamples>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundSample {
    codes: Vec<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuietSamples {
    texts: Vec<String>,
}

static RULES: LazyLock<Rules> = LazyLock::new(Rules::load_built_in);

impl Rules {
    /// Returns the rules that come with the hub.
    pub fn built_in() -> &'static Self {
        &RULES
    }

    /// Compiles the rules that come with the hub once more, to own them.
    pub fn load_built_in() -> Self {
        Self::parse(RULES_FILE, BUILT_IN).expect("the tests compile these rules")
    }

    /// Loads the rules of a folder.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(dir: &Path) -> Result<Self, RulesError> {
        let (file, text) = read(dir, RULES_FILE)?;
        Self::parse(&file, &text)
    }

    /// Judges the samples of a folder and returns how many there are.
    ///
    /// # Errors
    /// The first sample that is judged otherwise than it says.
    pub fn check_samples(&self, dir: &Path) -> Result<usize, RulesError> {
        let (file, text) = read(dir, SAMPLES_FILE)?;
        let samples: SamplesFile = parse_toml(&file, &text)?;
        let quiet = samples.quiet.into_iter().flat_map(|it| it.texts);
        let quiet = quiet.map(|text| FoundSample {
            codes: Vec::new(),
            text,
        });
        let mut count = 0;
        for sample in samples.found.into_iter().chain(quiet) {
            let found: Vec<_> = look(&sample.text, self)
                .into_iter()
                .map(|found| found.code.as_str())
                .collect();
            if found != sample.codes {
                return Err(RulesError::Sample {
                    text: sample.text,
                    found,
                    expected: sample.codes,
                });
            }
            count += 1;
        }
        Ok(count)
    }

    fn parse(file: &str, text: &str) -> Result<Self, RulesError> {
        let file: RulesFile = parse_toml(file, text)?;
        let rules = file.mark.into_iter().map(|rule| MarkRule {
            pattern: spelled_out(&rule.pattern, &file.words),
            ..rule
        });
        Ok(Self {
            version: file.version,
            marks: Marks::compile(file.marks.letters, rules.collect())?,
            numbers: file.numbers,
            list: file.list,
        })
    }
}

fn read(dir: &Path, name: &str) -> Result<(String, String), RulesError> {
    let path = dir.join(name);
    let file = path.display().to_string();
    let failed = |source| RulesError::Read {
        file: file.clone(),
        source,
    };
    let length = std::fs::metadata(&path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        let problem = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(failed(std::io::Error::other(problem)));
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    Ok((file, text))
}

fn parse_toml<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, RulesError> {
    toml::from_str(text).map_err(|error| RulesError::Toml {
        file: file.to_owned(),
        source: Box::new(error),
    })
}

/// Puts the patterns of words in the place of their names, also inside each other.
fn spelled_out(pattern: &str, words: &BTreeMap<String, String>) -> String {
    const NESTING_MAX: usize = 5;
    const PATTERN_BYTES_MAX: usize = 64 << 10;
    let mut pattern = pattern.to_owned();
    for _ in 0..NESTING_MAX {
        for (name, word) in words {
            if pattern.len() < PATTERN_BYTES_MAX {
                pattern = pattern.replace(&format!("%{name}%"), word);
            }
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/screening")
    }

    #[test]
    fn every_sample_is_judged_as_it_says() {
        let rules = Rules::load(&folder()).unwrap();
        assert!(rules.check_samples(&folder()).unwrap() > 60);
    }

    #[test]
    fn mistakes_in_rules_are_named() {
        let broken = BUILT_IN.replace("(%level%%gap%[★", "(%level%(%gap%[★");
        let problem = Rules::parse("rules.toml", &broken).unwrap_err().to_string();
        assert!(problem.contains("秘密★1年"), "{problem}");
        let unknown = format!("{BUILT_IN}\nrows_mim = 3\n");
        let problem = Rules::parse("rules.toml", &unknown)
            .unwrap_err()
            .to_string();
        assert!(problem.contains("rows_mim"), "{problem}");
        let problem = Rules::load(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(problem.contains("/nowhere/rules.toml"), "{problem}");
    }

    #[test]
    fn an_allowed_mobile_is_quiet() {
        let open = BUILT_IN.replace("allowed = []", "allowed = [\"13800138000\"]");
        let rules = Rules::parse("rules.toml", &open).unwrap();
        assert!(look("热线13800138000", &rules).is_empty());
        assert_eq!(look("热线13800138001", &rules).len(), 1);
    }
}
