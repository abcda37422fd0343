//! Failures by cause, with the next thing to do.

use crate::clock::rfc3339;
use crate::queue::{Parked, Queue};
use crate::store::{FailureGroup, Store, StoreError};
use serde::Serialize;

/// A group of failures with one cause.
#[derive(Debug, Clone, Serialize)]
pub struct FailureStatus {
    /// Name of the group; what `replay --group` takes. Empty for messages of the queue.
    pub group: String,
    /// The platform; for messages of the queue, the queue.
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

/// Returns the groups, the largest first, then the messages that `queue` put aside.
///
/// # Errors
/// When the store does not answer. A queue that does not answer is only logged: what is due does
/// not depend on it.
pub async fn failures(store: &Store, queue: &dyn Queue) -> Result<Vec<FailureStatus>, StoreError> {
    let mut failures: Vec<FailureStatus> = store
        .failures()
        .await?
        .into_iter()
        .map(FailureStatus::of)
        .collect();
    match queue.parked().await {
        Ok(parked) => failures.extend(parked.into_iter().map(FailureStatus::parked)),
        Err(error) => {
            tracing::warn!(%error, "Cannot look at the messages that were put aside: {error}");
        }
    }
    Ok(failures)
}

impl FailureStatus {
    /// A message lost its meaning, never a delivery: what is due is in the database.
    fn parked(parked: Parked) -> Self {
        let cause = match parked.reason.as_str() {
            "rejected" => "队列中有不认识的消息，已移到一旁，不影响推送",
            "delivery_limit" => "队列消息反复退回，已移到一旁；推送由数据库补发，不会丢失",
            _ => "队列消息被移到一旁，不影响推送",
        };
        let example = crate::screen::mask(&parked.example).into_owned();
        Self {
            group: String::new(),
            platform: parked.queue,
            stage: "queue".to_owned(),
            class: "parked".to_owned(),
            code: parked.reason,
            cause: format!("{cause}：{example}"),
            count: parked.count,
            first: rfc3339(parked.first_at),
            last: rfc3339(parked.last_at),
            example_record: String::new(),
            example_delivery: String::new(),
            next: "rabbitmqctl purge_queue synchub.parking".to_owned(),
        }
    }

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
