//! The door for native submissions: JSON that is what `schemas/submission.schema.json` says.
//!
//! Owns the way from bytes to a [`Submission`] and the Chinese sentences about what is wrong with
//! them. It never mends anything; that is [`crate::normalise`].

pub(super) mod strict;

use super::format::text;
use crate::record::{FieldError, Submission};
use crate::schema::field_errors;
use jsonschema::Validator;
use serde_json::Value;
use std::sync::LazyLock;

/// JSON Schema of a native submission.
pub const SUBMISSION_SCHEMA: &str = include_str!("../../schemas/submission.schema.json");
/// JSON Schema of a record as it is stored and shown.
pub const RECORD_SCHEMA: &str = include_str!("../../schemas/record.schema.json");

/// How many errors of one submission are told; a clerk mends them in one go, a machine gone wrong
/// does not need ten thousand.
const ERRORS_MAX: usize = 100;

static SUBMISSION_VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value =
        serde_json::from_str(SUBMISSION_SCHEMA).expect("the schema is JSON that the tests parse");
    jsonschema::validator_for(&schema).expect("the schema is one that the tests compile")
});

/// Reads a native submission.
///
/// # Errors
/// One error for each wrong field; for a body that is no JSON one error with an empty pointer.
pub fn parse_submission(body: &[u8]) -> Result<Submission, Vec<FieldError>> {
    submission(strict::parse(&text("", body)?)?)
}

/// Checks a native submission.
///
/// # Errors
/// One error for each wrong field.
pub(super) fn submission(value: Value) -> Result<Submission, Vec<FieldError>> {
    if !SUBMISSION_VALIDATOR.is_valid(&value) {
        return Err(schema_errors(&value));
    }
    serde_json::from_value(value).map_err(|error| {
        // The schema is as strict as the type, so this only speaks when the two fall apart.
        let detail = format!("提交内容与接口规范不符：{error}。");
        vec![FieldError::new("", "type", detail)]
    })
}

fn schema_errors(value: &Value) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = Vec::new();
    for error in SUBMISSION_VALIDATOR.iter_errors(value) {
        for error in field_errors(&error) {
            let is_new = !errors.iter().any(|known| known.pointer == error.pointer);
            if is_new && errors.len() < ERRORS_MAX {
                errors.push(error);
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests;
