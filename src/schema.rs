//! Turns JSON Schema errors into one sentence per field for a clerk.

use crate::record::FieldError;

/// Returns the error about a canonical record as one about the entry it came from.
pub fn entry_error(error: &jsonschema::ValidationError<'_>) -> FieldError {
    FieldError::new(
        format!("/entry{}", error.instance_path()),
        "contract",
        error.to_string(),
    )
}
