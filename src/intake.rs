//! takes submissions in.

mod schema;

pub use schema::{RECORD_SCHEMA, SUBMISSION_SCHEMA, parse_submission};
