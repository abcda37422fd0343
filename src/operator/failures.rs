//! Failures by cause, with the next thing to do.

use super::cause::{Owner, diagnose};
use crate::clock::rfc3339;
use crate::deliver::pattern;
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
    /// What all of them have in common: the text without digits and ids.
    pub pattern: String,
    /// Who must act.
    pub owner: Owner,
    /// How many stand failed with it now.
    pub count: i64,
    /// How often anything failed so, ever.
    pub total: i64,
    /// When anything first failed so.
    pub first: String,
    /// When anything last failed so.
    pub last: String,
    /// A record to look at.
    pub example_record: String,
    /// A delivery to look at.
    pub example_delivery: String,
    /// What to do, in one sentence.
    pub advice: String,
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
            pattern: cause.to_owned(),
            owner: Owner::Us,
            count: parked.count,
            total: parked.count,
            first: rfc3339(parked.first_at),
            last: rfc3339(parked.last_at),
            example_record: String::new(),
            example_delivery: String::new(),
            advice: "推送不受影响；查看后清空即可".to_owned(),
            next: "rabbitmqctl purge_queue synchub.parking".to_owned(),
        }
    }

    fn of(group: FailureGroup) -> Self {
        let diagnosis = diagnose(&group.class, &group.code);
        let record = group.example_record.as_str();
        let next = diagnosis.command_for_group(&group.group, record, &group.platform);
        let cause = crate::screen::mask(&group.text).into_owned();
        Self {
            platform: group.platform,
            stage: group.stage,
            class: group.class,
            code: group.code,
            pattern: pattern(&cause),
            cause,
            owner: diagnosis.owner,
            advice: diagnosis.advice.to_owned(),
            count: group.count,
            total: group.total,
            first: rfc3339(group.first_at),
            last: rfc3339(group.last_at),
            example_record: group.example_record.to_string(),
            example_delivery: group.example_delivery.to_string(),
            group: group.group,
            next,
        }
    }
}
