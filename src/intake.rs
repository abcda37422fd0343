//! Takes submissions in: decode, normalise, screen, route, and one commit for all of it.
//!
//! Owns the order of these steps and the words of the answer to the OA. A success is told only
//! after the commit (promise 1). It never talks to a platform: [`crate::deliver`] does, and both
//! meet in [`crate::store`].

mod answer;
mod examine;
mod format;
mod gather;
mod labels;
mod native;
mod profile;
mod read;
mod ready;
mod registry;
mod schema;
mod turn;

pub use answer::{in_words, sentence};
pub use examine::{Examined, examine};
pub use format::Format;
pub use labels::{Guard, LABELS_FILE, LabelledField, Labels, LabelsError};
pub use profile::{
    Answer, Profile, ProfileFailure, ProfileReport, Profiles, Told, check as check_profile,
    folders as profile_folders,
};
pub use read::{Incoming, Reading, Translation};
pub use ready::Ready;
pub use registry::RegistryVersion;
pub use schema::{RECORD_SCHEMA, SUBMISSION_SCHEMA, parse_submission};
pub use turn::Turns;

use crate::attachment::Attachments;
use crate::catalogue::Catalogue;
use crate::clock::now_ms;
use crate::connector::Connectors;
use crate::failpoint::{Point, reach};
use crate::queue::Queue;
use crate::record::{
    Action, Entry, FieldChange, FieldError, Finding, Hold, Submission, SubmissionId, Warning,
};
use crate::screen::Rules;
use crate::store::{Account, NewSubmission, RecordHead, Store, StoreError, SubmitOutcome};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The door that all submissions come through, whatever brought them.
#[derive(Clone)]
pub struct Intake {
    /// Where they are committed.
    pub store: Store,
    /// Where their files are kept.
    pub attachments: Attachments,
    /// What wakes the senders.
    pub queue: Arc<dyn Queue>,
    /// Units and areas.
    pub catalogue: Arc<Catalogue>,
    /// The platforms.
    pub connectors: Arc<Connectors>,
    /// What may not go out.
    pub rules: Arc<Rules>,
    /// What the sources send.
    pub profiles: Arc<Profiles>,
    /// Which units may go ahead.
    pub turns: Arc<Turns>,
    /// How far a revision may be ahead of the stored one.
    pub revision_ahead_max: i64,
    /// The version of the registry, once it was asked for.
    pub registry: RegistryVersion,
}

/// A submission that was taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Whether there is a new version; false when the same was there already.
    pub changed: bool,
    /// The record as it stands after the commit.
    pub head: RecordHead,
}

/// Why a submission was not taken in. Nothing of it is stored.
#[derive(Debug)]
pub enum Refusal {
    /// Wrong fields.
    Fields(Vec<FieldError>),
    /// A file could not be fetched or kept for a reason that may pass.
    Unfetched(FieldError),
    /// The account may not post for this unit.
    UnitNotAllowed {
        /// Full name of the unit.
        unit: String,
    },
    /// A newer revision is stored.
    Older(RecordHead),
    /// This revision is stored with another content.
    RevisionReused(RecordHead, Vec<FieldChange>),
    /// The idempotency key was used for another body.
    KeyReused,
    /// A withdrawal of something never seen.
    UnknownRecord,
    /// The store does not answer.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A submission that was read, and what it was read from.
struct Read<'a> {
    submission: Submission,
    warnings: Vec<Warning>,
    incoming: Incoming<'a>,
}

/// What became of a submission so far; made by [`Intake::begin`].
pub struct Begun {
    /// The source profile that read it, whose sender may expect an answer of another shape.
    pub profile: Option<Arc<Profile>>,
    /// The submission in line, or why it is not.
    pub pending: Result<Pending, Refusal>,
}

/// A submission that waits for its commit; made by [`Intake::begin`].
pub struct Pending {
    outcome: futures_util::future::BoxFuture<'static, Result<SubmitOutcome, StoreError>>,
    queue: Arc<dyn Queue>,
    entry_errors: Vec<FieldError>,
}

impl Pending {
    /// Waits for the commit, then wakes the senders.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn finish(self) -> Result<Accepted, Refusal> {
        let (changed, head) = match self.outcome.await? {
            SubmitOutcome::Changed(head) => (true, head),
            SubmitOutcome::Unchanged(head) => (false, head),
            SubmitOutcome::Older { head } => return Err(Refusal::Older(head)),
            SubmitOutcome::RevisionReused { head, changes } => {
                return Err(Refusal::RevisionReused(head, changes));
            }
            SubmitOutcome::RevisionAhead { newest } => {
                return Err(Refusal::Fields(vec![revision_ahead(newest)]));
            }
            SubmitOutcome::KeyReused { .. } => return Err(Refusal::KeyReused),
            // A withdrawal whose entry could not be read, of something never seen: say what is
            // wrong with the entry.
            SubmitOutcome::UnknownRecord if !self.entry_errors.is_empty() => {
                return Err(Refusal::Fields(self.entry_errors));
            }
            SubmitOutcome::UnknownRecord => return Err(Refusal::UnknownRecord),
        };
        if changed {
            wake(self.queue.as_ref(), &head);
            reach(Point::SubmitOffered);
        }
        metrics::counter!("synchub_submissions_total", "changed" => if changed { "yes" } else { "no" })
            .increment(1);
        Ok(Accepted { changed, head })
    }
}

fn wake(queue: &dyn Queue, head: &RecordHead) {
    for (platform, delivery) in head.due() {
        queue.offer(platform, std::slice::from_ref(delivery));
    }
}

fn revision_ahead(newest: i64) -> FieldError {
    let detail = match newest {
        0 => "修订号过大：这条信息还没有报送过，请从 1 开始".to_owned(),
        newest => format!("修订号跳跃过大：系统中最新的是第 {newest} 版，请按顺序递增"),
    };
    FieldError::new("/revision", "revision_ahead", detail)
}

impl Intake {
    /// Takes one submission in.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn accept(
        &self,
        account: &Account,
        incoming: Incoming<'_>,
        idempotency_key: Option<String>,
    ) -> Result<Accepted, Refusal> {
        let begun = self.begin(account, incoming, idempotency_key).await;
        begun.pending?.finish().await
    }

    /// Checks a submission and puts it in line for the commit. Submissions of one caller are
    /// committed in the order in which `begin` returned.
    pub async fn begin(
        &self,
        account: &Account,
        incoming: Incoming<'_>,
        idempotency_key: Option<String>,
    ) -> Begun {
        let Reading {
            profile,
            submission,
        } = self.profiles.read(incoming);
        let pending = match submission {
            Ok((submission, warnings)) => {
                let read = Read {
                    submission,
                    warnings,
                    incoming,
                };
                self.put_in_line(account, read, idempotency_key).await
            }
            Err(errors) => Err(Refusal::Fields(errors)),
        };
        Begun { profile, pending }
    }

    async fn put_in_line(
        &self,
        account: &Account,
        read: Read<'_>,
        idempotency_key: Option<String>,
    ) -> Result<Pending, Refusal> {
        let (new, entry_errors) = self.prepare(account, read, idempotency_key).await?;
        self.hand_over(Ready { new, entry_errors }).await
    }

    /// Wakes the senders of all that is due of a record.
    pub fn wake(&self, head: &RecordHead) {
        wake(self.queue.as_ref(), head);
    }

    async fn prepare(
        &self,
        account: &Account,
        read: Read<'_>,
        idempotency_key: Option<String>,
    ) -> Result<(NewSubmission, Vec<FieldError>), Refusal> {
        let Read {
            mut submission,
            warnings,
            incoming,
        } = read;
        let mut entry_errors = Vec::new();
        let understood = match &mut submission.entry {
            None => None,
            Some(entry) => {
                // Nothing that has to be waited for may hold up a withdrawal.
                if submission.action == Action::Publish {
                    gather::gather(&self.attachments, &mut entry.attachments).await?;
                }
                match self.examine(entry, submission.action).await {
                    Ok(examined) => {
                        gather::keep(&self.attachments, &examined.files).await?;
                        Some(Understood::from(examined))
                    }
                    // What is wrong with the entry must not keep a record from being taken down.
                    Err(errors) if submission.action == Action::Withdraw => {
                        entry_errors = errors;
                        None
                    }
                    Err(errors) => return Err(Refusal::Fields(errors)),
                }
            }
        };
        self.check_unit(account, &submission, understood.as_ref())
            .await?;
        let received_at = now_ms();
        let mut understood = understood.unwrap_or_default();
        understood.warnings.splice(0..0, warnings);
        let reckoning = self.reckon(understood.content.as_deref()).await?;
        let unit = understood.content.as_ref().map(|it| &it.unit.code);
        let new = NewSubmission {
            id: SubmissionId::generate(),
            account_id: account.id.clone(),
            source: account.source.clone(),
            source_id: submission.source_id,
            revision: submission.revision,
            action: submission.action,
            reason: submission.reason,
            body: kept(incoming),
            body_sha256: hex::encode(Sha256::digest(incoming.body)),
            idempotency_key,
            received_at,
            ahead: unit.is_some_and(|code| self.turns.take(code)),
            content_sha256: understood.content_sha256,
            content: understood.content,
            holds: understood.holds,
            findings: understood.findings,
            warnings: understood.warnings,
            platforms: understood.platforms,
            files: understood.files,
            revision_ahead_max: self.revision_ahead_max,
            reckoning,
        };
        Ok((new, entry_errors))
    }

    /// Examines an entry; one whose files are large, away from the tasks of others.
    async fn examine(&self, entry: &Entry, action: Action) -> Result<Examined, Vec<FieldError>> {
        let look = move |intake: &Self, entry: &Entry| {
            examine(
                entry,
                action,
                &intake.catalogue,
                &intake.connectors,
                &intake.rules,
            )
        };
        if entry.attachments.iter().all(|it| it.received.is_none()) {
            return look(self, entry);
        }
        let (intake, entry) = (self.clone(), entry.clone());
        let examined = tokio::task::spawn_blocking(move || look(&intake, &entry)).await;
        examined.unwrap_or_else(|_| {
            let detail = "附件检查时出现内部错误，请联系信息中心。";
            Err(vec![FieldError::new(
                "/entry/attachments",
                "internal",
                detail,
            )])
        })
    }

    /// An account posts for its own units only, and withdraws only what is theirs.
    async fn check_unit(
        &self,
        account: &Account,
        submission: &Submission,
        understood: Option<&Understood>,
    ) -> Result<(), Refusal> {
        if account.may_post_for_all() {
            return Ok(());
        }
        if let Some(content) = understood.and_then(|it| it.content.as_ref())
            && !account.may_post_for(&content.unit.code)
        {
            return Err(Refusal::UnitNotAllowed {
                unit: content.unit.name.clone(),
            });
        }
        let stored = self
            .store
            .find_record(&account.source, &submission.source_id)
            .await?;
        match stored {
            Some(stored) if !account.may_post_for(&stored.unit_code) => {
                Err(Refusal::UnitNotAllowed {
                    unit: stored.unit_name,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Returns a body as it is kept: text as it is, what no text column can hold as a `data:` URL
/// (RFC 2397).
fn kept(incoming: Incoming<'_>) -> String {
    match std::str::from_utf8(incoming.body) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        Ok(_) | Err(_) => {
            let encoded = BASE64_STANDARD.encode(incoming.body);
            format!("data:{};base64,{encoded}", incoming.content_type)
        }
    }
}

/// A content with all that was found out about it.
#[derive(Default)]
struct Understood {
    content: Option<Box<crate::record::Content>>,
    content_sha256: String,
    holds: Vec<Hold>,
    findings: Vec<Finding>,
    warnings: Vec<Warning>,
    platforms: Vec<String>,
    files: Vec<String>,
}

impl From<Examined> for Understood {
    fn from(examined: Examined) -> Self {
        let json = serde_json::to_vec(&examined.content).unwrap_or_default();
        Self {
            content_sha256: hex::encode(Sha256::digest(json)),
            content: Some(Box::new(examined.content)),
            holds: examined.holds,
            findings: examined.findings,
            warnings: examined.warnings,
            platforms: examined.platforms,
            files: examined.files.into_iter().map(|file| file.sha256).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_byte_for_byte() {
        let kept = |body: &[u8]| {
            kept(Incoming {
                body,
                content_type: "a/b; c=d",
                profile: None,
            })
        };
        assert_eq!(kept("{\"题\":1}".as_bytes()), "{\"题\":1}");
        for body in [b"\xb9\xd8".as_slice(), b"a\0b"] {
            let url = kept(body);
            let encoded = url.strip_prefix("data:a/b; c=d;base64,").unwrap();
            assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), body);
        }
    }
}
