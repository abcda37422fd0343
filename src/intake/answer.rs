//! The one Chinese sentence that the clerk reads in the OA.

use super::Refusal;
use crate::connector::Connectors;
use crate::record::{DeliveryState, FieldError};
use crate::store::{RecordHead, RecordState, StoreError};

/// Returns what became of a submission in one sentence.
pub fn sentence(changed: bool, head: &RecordHead, connectors: &Connectors) -> String {
    let start = if changed {
        "已接收"
    } else {
        "内容与已报送的相同，未作改动"
    };
    let names = |wanted: &dyn Fn(DeliveryState) -> bool| {
        let names: Vec<&str> = head
            .deliveries
            .iter()
            .filter(|delivery| wanted(delivery.state))
            .map(|delivery| {
                connectors
                    .get(&delivery.platform)
                    .map_or(delivery.platform.as_str(), |it| it.name())
            })
            .collect();
        names.join("、")
    };
    match head.state {
        RecordState::Held => {
            let reasons: Vec<&str> = head.holds.iter().map(|hold| hold.detail.as_str()).collect();
            format!("{start}，但暂不公开：{}", reasons.join("；"))
        }
        RecordState::Withdrawn => match names(&|state| state != DeliveryState::Skipped) {
            names if names.is_empty() => format!("{start}，该信息已撤回，各平台均未显示。"),
            names => format!("{start}，该信息已撤回，正在从以下平台撤下：{names}。"),
        },
        RecordState::Live if head.deliveries.is_empty() => {
            format!("{start}，但没有平台接收这类信息，请检查重点领域和栏目。")
        }
        RecordState::Live => {
            let count = head.deliveries.len();
            let names = names(&|_| true);
            let hint = match head.warnings.len() {
                0 => String::new(),
                count => format!("有 {count} 处提醒，请查看 warnings。"),
            };
            format!("{start}，将在 {count} 个平台显示：{names}。{hint}")
        }
    }
}

/// Returns why a submission was refused: each wrong field, or one error about the whole.
///
/// # Errors
/// The store's, when it was the store that did not answer.
pub fn in_words(refusal: Refusal) -> Result<Vec<FieldError>, StoreError> {
    let (code, detail) = match refusal {
        Refusal::Fields(errors) => return Ok(errors),
        Refusal::Unfetched(error) => return Ok(vec![error]),
        Refusal::Older(head) => (
            "older_revision",
            format!("系统中已有更新的第 {} 版，未作改动", head.revision),
        ),
        Refusal::RevisionReused(head, _) => (
            "revision_reused",
            format!(
                "第 {} 版已报送过但内容不同；更正请增大修订号",
                head.revision
            ),
        ),
        Refusal::UnknownRecord => ("unknown_record", "没有找到要撤回的信息".to_owned()),
        Refusal::UnitNotAllowed { unit } => {
            ("unit_not_allowed", format!("无权以“{unit}”的名义报送"))
        }
        Refusal::KeyReused => (
            "idempotency_key_reused",
            "Idempotency-Key 已用于另一份内容".to_owned(),
        ),
        Refusal::Store(error) => return Err(error),
    };
    Ok(vec![FieldError::new("", code, detail)])
}
