//! Looks again at what is public, with the rules of today.
//!
//! Page by page, one record and one attachment after the other, so memory stays bounded however
//! much is published. It changes nothing; taking a record down is an act of its own.

use crate::attachment::{AttachmentError, Attachments};
use crate::normalise::File;
use crate::record::{Finding, Hold, Warning};
use crate::screen::{Inspected, Rules, Screening, screen, screen_file};
use crate::store::{RecordFilter, RecordState, RecordSummary, RecordView, Store, StoreError};
use serde::Serialize;

/// Most records of one page.
pub const RESCAN_PAGE_MAX: i64 = 100;

/// A public record that the rules of today would hold, or whose files cannot be looked into.
#[derive(Debug, Clone, Serialize)]
pub struct Suspect {
    /// The record.
    #[serde(flatten)]
    pub record: RecordSummary,
    /// What would hold it.
    pub holds: Vec<Hold>,
    /// What was found where, masked.
    pub findings: Vec<Finding>,
    /// Attachments that could not be looked into.
    pub warnings: Vec<Warning>,
    /// Who released this version knowing why it was held; such a record stays as it is.
    pub released_by: Option<String>,
}

/// One page of a rescan.
#[derive(Debug, Clone, Serialize)]
pub struct RescanPage {
    /// The rules that were used.
    pub rules_version: u32,
    /// How many records were looked at.
    pub scanned: usize,
    /// Those that the rules would hold.
    pub suspects: Vec<Suspect>,
    /// Asks for the next page; none at the end.
    pub next_cursor: Option<String>,
}

/// Looks at a page of public records, the last changed first.
///
/// # Errors
/// When the store does not answer.
pub async fn rescan(
    (store, attachments): (&Store, &Attachments),
    rules: &Rules,
    cursor: Option<&str>,
    limit: i64,
) -> Result<RescanPage, StoreError> {
    let filter = RecordFilter {
        state: Some(RecordState::Live),
        ..RecordFilter::default()
    };
    let limit = limit.clamp(1, RESCAN_PAGE_MAX);
    let page = store.list_records(&filter, cursor, limit).await?;
    let mut suspects = Vec::new();
    for summary in &page.records {
        // It may be gone by now; then it is not public any more either.
        let Some(record) = store.record(&summary.id).await? else {
            continue;
        };
        let screening = screened(attachments, rules, &record).await?;
        if !screening.holds.is_empty() {
            let newest = record.versions.first();
            suspects.push(Suspect {
                released_by: newest.and_then(|version| version.released_by.clone()),
                record: record.summary,
                holds: screening.holds,
                findings: screening.findings,
                warnings: screening.warnings,
            });
        }
    }
    Ok(RescanPage {
        rules_version: rules.version,
        scanned: page.records.len(),
        suspects,
        next_cursor: page.next,
    })
}

async fn screened(
    attachments: &Attachments,
    rules: &Rules,
    record: &RecordView,
) -> Result<Screening, StoreError> {
    let content = &record.document.content;
    let mut whole = screen(
        &Inspected {
            content,
            declared: "",
            files: &[],
        },
        rules,
    );
    // One file after the other: together they may be larger than memory likes.
    for (place, attachment) in content.attachments.iter().enumerate() {
        let found = attachments.read(&attachment.sha256).await;
        let bytes = match found {
            Ok(bytes) => bytes,
            Err(AttachmentError::Store(error)) => return Err(error),
            Err(error) => {
                whole
                    .warnings
                    .push(unreadable(place, &attachment.name, &error));
                continue;
            }
        };
        let file = File {
            sha256: attachment.sha256.clone(),
            name: attachment.name.clone(),
            media_type: attachment.media_type.clone(),
            content: bytes,
        };
        whole.add(screen_file(place, &file, content.disclosure, rules));
    }
    Ok(whole)
}

/// Says that a file cannot be had at present, so that a person looks.
fn unreadable(place: usize, name: &str, error: &AttachmentError) -> Warning {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "A file cannot be looked into again"
    );
    Warning {
        platform: None,
        pointer: format!("/entry/attachments/{place}"),
        code: "attachment_unreadable".to_owned(),
        detail: format!("附件《{name}》暂时无法读取，未能检查，请检查附件存储后重新检查。"),
    }
}
