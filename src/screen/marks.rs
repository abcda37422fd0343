//! Marks that a text bears about itself: of secrecy, and against publication.
//!
//! All patterns are one regular expression, so a text is read once however many rules there are.

use super::rules::{MarkRule, RulesError};
use super::{Code, Found};
use regex::Regex;
use serde::Deserialize;

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MarkCode {
    /// The document is secret or for internal use.
    Secrecy,
    /// The document is not 主动公开.
    Contradiction,
}

/// Most marks that are told of one text.
const MARKS_MAX: usize = 20;

/// All patterns, compiled.
#[derive(Debug)]
pub(super) struct Marks {
    letters: Vec<char>,
    pattern: Regex,
    /// What each group of the pattern says.
    codes: Vec<MarkCode>,
}

impl Marks {
    pub(super) fn compile(letters: String, rules: Vec<MarkRule>) -> Result<Self, RulesError> {
        let mut alternatives = Vec::with_capacity(rules.len());
        for rule in &rules {
            let problem = match Regex::new(&rule.pattern) {
                Ok(pattern) if pattern.captures_len() == 2 => None,
                Ok(_) => Some("needs exactly one group".to_owned()),
                Err(error) => Some(format!("does not compile: {error}")),
            };
            if let Some(problem) = problem {
                return Err(RulesError::Pattern {
                    about: rule.about.clone(),
                    problem,
                });
            }
            alternatives.push(format!("(?:{})", rule.pattern));
        }
        let pattern = Regex::new(&alternatives.join("|")).map_err(|error| RulesError::Pattern {
            about: "all together".to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            letters: letters.chars().collect(),
            pattern,
            codes: rules.into_iter().map(|rule| rule.code).collect(),
        })
    }

    /// Returns the marks of `text`, in its order.
    pub(super) fn find(&self, text: &str) -> Vec<Found> {
        if !text.contains(self.letters.as_slice()) {
            return Vec::new();
        }
        self.pattern
            .captures_iter(text)
            .take(MARKS_MAX)
            .filter_map(|found| {
                let (code, group) = self
                    .codes
                    .iter()
                    .enumerate()
                    .find_map(|(rule, code)| Some((*code, found.get(rule + 1)?)))?;
                Some(Found {
                    code: match code {
                        MarkCode::Secrecy => Code::Secrecy,
                        MarkCode::Contradiction => Code::Contradiction,
                    },
                    start: group.start(),
                    end: group.end(),
                    shown: group.as_str().split_whitespace().collect(),
                })
            })
            .collect()
    }
}
