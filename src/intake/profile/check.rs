//! Checks a profile: that it loads, and that its samples give what they say.
//!
//! A sample is `samples/CASE.body`, the bytes as they were sent, and `samples/CASE.expect.json`
//! with their `content_type` and either the `native` submission or the `errors` as
//! `{pointer, code}`.

use super::Profile;
use crate::connector::References;
use crate::intake::labels::Labels;
use crate::intake::profile::Profiles;
use crate::intake::read::Incoming;
use crate::intake::schema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A sample larger than this is none.
const SAMPLE_BYTES_MAX: u64 = 4 << 20;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileReport {
    /// The profile.
    pub profile: String,
    /// How many samples were played.
    pub samples: usize,
    /// What is wrong; nothing when it is well.
    pub findings: Vec<ProfileFinding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileFinding {
    /// The file concerned.
    pub file: String,
    /// What is wrong with it, and what was expected.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    content_type: String,
    native: Option<Value>,
    errors: Option<Vec<ExpectedError>>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ExpectedError {
    pointer: String,
    code: String,
}

/// Checks the profile in a folder, with the labels of the folder that holds it.
pub fn check(dir: &Path, labels: &Labels) -> ProfileReport {
    let id = super::id_of(dir);
    let mut report = ProfileReport {
        profile: id.clone(),
        samples: 0,
        findings: Vec::new(),
    };
    let profile = match Profile::load(dir, &References::placeholders()) {
        Ok(profile) => Arc::new(profile),
        Err(problem) => {
            report.find(super::PROFILE_FILE, problem);
            return report;
        }
    };
    let profiles = Profiles {
        profiles: vec![Arc::clone(&profile)],
        failures: Vec::new(),
        labels: labels.clone(),
    };
    for expectation in expectations(&dir.join("samples")) {
        report.samples += 1;
        if let Err(problem) = play(&profiles, &profile, &expectation) {
            let name = expectation.file_name().unwrap_or_default();
            report.find(&format!("samples/{}", name.to_string_lossy()), problem);
        }
    }
    if report.samples == 0 {
        report.find("samples", "there is no CASE.expect.json".to_owned());
    }
    report
}

impl ProfileReport {
    fn find(&mut self, file: &str, problem: String) {
        self.findings.push(ProfileFinding {
            file: file.to_owned(),
            problem,
        });
    }
}

fn expectations(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".expect.json"))
        .collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map(|it| it.len());
    match length.map_err(|error| format!("{}: {error}", path.display()))? {
        length if length > SAMPLE_BYTES_MAX => Err(format!("more than {SAMPLE_BYTES_MAX} bytes")),
        _ => std::fs::read(path).map_err(|error| format!("{}: {error}", path.display())),
    }
}

fn play(profiles: &Profiles, profile: &Arc<Profile>, path: &Path) -> Result<(), String> {
    let expected: Expectation =
        serde_json::from_slice(&read(path)?).map_err(|error| error.to_string())?;
    let shown = path.to_string_lossy();
    let body = PathBuf::from(shown.replace(".expect.json", ".body"));
    let body = read(&body)?;
    let translation = profiles.translate(Incoming {
        body: &body,
        content_type: &expected.content_type,
        profile: Some(profile),
    });
    let result = translation.native.and_then(|(value, _)| {
        schema::submission(value.clone())?;
        Ok(value)
    });
    match (result, expected.native, expected.errors) {
        (Ok(found), Some(native), None) => match difference("", &native, &found) {
            None => Ok(()),
            Some(difference) => Err(difference),
        },
        (Err(found), None, Some(errors)) => {
            let found: Vec<ExpectedError> = found
                .into_iter()
                .map(|error| ExpectedError {
                    pointer: error.pointer,
                    code: error.code,
                })
                .collect();
            match found == errors {
                true => Ok(()),
                false => Err(format!(
                    "expected errors {}, found {}",
                    json!(errors),
                    json!(found)
                )),
            }
        }
        (Ok(_), None, Some(_)) => Err("expected errors, found a submission".to_owned()),
        (Err(found), Some(_), None) => {
            Err(format!("expected a submission, found {}", json!(found)))
        }
        (_, Some(_), Some(_)) | (_, None, None) => {
            Err("either `native` or `errors` is expected".to_owned())
        }
    }
}

/// Returns the first place where two values differ, in words.
fn difference(pointer: &str, expected: &Value, found: &Value) -> Option<String> {
    if expected == found {
        return None;
    }
    if let (Value::Object(left), Value::Object(right)) = (expected, found) {
        let keys = left.keys().chain(right.keys());
        for key in keys {
            let pair = (
                left.get(key).unwrap_or(&Value::Null),
                right.get(key).unwrap_or(&Value::Null),
            );
            if let Some(difference) = difference(&format!("{pointer}/{key}"), pair.0, pair.1) {
                return Some(difference);
            }
        }
    }
    let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
    Some(format!(
        "{pointer} is expected to be {}, but is {}",
        short(expected),
        short(found)
    ))
}
