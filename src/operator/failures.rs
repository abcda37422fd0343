//! Failures by cause, with the next thing to do.

use crate::clock::rfc3339;
use crate::store::{FailureGroup, Store, StoreError};
use serde::Serialize;

/// A group of failures with one cause.
#[derive(Debug, Clone, Serialize)]
pub struct FailureStatus {
    /// Name of the group; what `replay --group` takes.
    pub group: String,
    /// The platform.
    pub platform: String,
    /// The step that failed.
    pub stage: String,
    /// The class of the verdict.
    pub class: String,
    /// The platform's or the hub's code.
    pub code: String,
    /// The example's own words.
    pub cause: String,
    /// How many.
    pub count: i64,
    /// When the first failed.
    pub first: String,
    /// When the last failed.
    pub last: String,
    /// A record to look at.
    pub example_record: String,
    /// A delivery to look at.
    pub example_delivery: String,
    /// The command to run next.
    pub next: String,
}

/// Returns the groups, the largest first.
///
/// # Errors
/// When the store does not answer.
pub async fn failures(store: &Store) -> Result<Vec<FailureStatus>, StoreError> {
    Ok(store
        .failures()
        .await?
        .into_iter()
        .map(FailureStatus::of)
        .collect())
}

impl FailureStatus {
    fn of(group: FailureGroup) -> Self {
        // What the unit or the connector must mend is looked at first; the rest may be sent again.
        let next = match group.class.as_str() {
            "contract" | "reject" | "render" | "unknown" | "stale" => {
                format!(
                    "synchub why {} --on {}",
                    group.example_record, group.platform
                )
            }
            _ => format!("synchub replay --group {}", group.group),
        };
        Self {
            platform: group.platform,
            stage: group.stage,
            class: group.class,
            code: group.code,
            cause: crate::screen::mask(&group.text).into_owned(),
            count: group.count,
            first: rfc3339(group.first_at),
            last: rfc3339(group.last_at),
            example_record: group.example_record.to_string(),
            example_delivery: group.example_delivery.to_string(),
            group: group.group,
            next,
        }
    }
}
