//! What intake hands to the store and what it hears back.

use crate::record::{
    Action, Content, DeliveryId, DeliveryState, FieldChange, Finding, Hold, RecordId, SubmissionId,
    Wanted, Warning,
};
use serde::{Deserialize, Serialize};

/// One submission, normalised, screened and routed, ready to be committed.
#[derive(Debug, Clone)]
pub struct NewSubmission {
    /// Id made by intake.
    pub id: SubmissionId,
    /// The account that sent it.
    pub account_id: String,
    /// The source system, named by the account.
    pub source: String,
    /// The sender's id of the document.
    pub source_id: String,
    /// The sender's count of corrections.
    pub revision: i64,
    /// Publish or withdraw.
    pub action: Action,
    /// Why it is withdrawn.
    pub reason: Option<String>,
    /// The body as received.
    pub body: String,
    /// Lower-case hex SHA-256 of the body as received.
    pub body_sha256: String,
    /// The sender's key that makes repeating harmless.
    pub idempotency_key: Option<String>,
    /// When it arrived, unix milliseconds.
    pub received_at: i64,
    /// The canonical content; none for a withdrawal without an entry.
    pub content: Option<Box<Content>>,
    /// Lower-case hex SHA-256 of the canonical content, before an index number is allocated.
    pub content_sha256: String,
    /// Why it must not go out; empty when it may.
    pub holds: Vec<Hold>,
    /// What screening found, masked.
    pub findings: Vec<Finding>,
    /// What the clerk should mend.
    pub warnings: Vec<Warning>,
    /// The platforms that shall show it.
    pub platforms: Vec<String>,
    /// The attachments by their lower-case hex SHA-256; each must be in the object store.
    pub files: Vec<String>,
    /// Whether it may go ahead of what waits longer: its unit has not sent many lately.
    pub ahead: bool,
    /// How far a revision may be ahead of the newest one that is stored.
    pub revision_ahead_max: i64,
    /// What the registry makes of the content.
    pub reckoning: Reckoning,
}

/// What the registry makes of a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reckoning {
    /// The version of the registry; none when it is not known.
    pub catalogue_version: Option<i64>,
    /// The first moment at which it is too late to make the content public, unix milliseconds.
    pub due_at: Option<i64>,
    /// Whether that was reckoned without a holiday notice.
    pub due_provisional: bool,
}

/// What became of a submission. All but the refusals are committed when this is returned.
#[derive(Debug, Clone, PartialEq)]
pub enum SubmitOutcome {
    /// There is a new version.
    Changed(RecordHead),
    /// Nothing new; the record as it stands now.
    Unchanged(RecordHead),
    /// Refused: a newer revision is stored.
    Older {
        /// The record as it stands.
        head: RecordHead,
    },
    /// Refused: this revision is stored with another content or action.
    RevisionReused {
        /// The record as it stands.
        head: RecordHead,
        /// What differs from it.
        changes: Vec<FieldChange>,
    },
    /// Refused: the revision leaps ahead, most likely a slip of the sender.
    RevisionAhead {
        /// The newest revision stored; 0 when the record is unknown.
        newest: i64,
    },
    /// Refused: a withdrawal without an entry of something never seen.
    UnknownRecord,
    /// Refused: the idempotency key was used with another body.
    KeyReused {
        /// The record that the key belongs to.
        record_id: RecordId,
    },
}

/// Where a record stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// Its newest version may be shown.
    Live,
    /// Its newest version is held.
    Held,
    /// It is withdrawn.
    Withdrawn,
}

impl RecordState {
    /// Returns the word used in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Held => "held",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Returns the state with this word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::Held, Self::Withdrawn]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// The short answer about a record: what a 202 or 200 carries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordHead {
    /// Id made by the hub.
    pub record_id: RecordId,
    /// The newest revision of the sender.
    pub revision: i64,
    /// The newest version of the hub.
    pub version: i64,
    /// Where it stands.
    pub state: RecordState,
    /// Why the newest version is held; empty when it is not, or was released.
    pub holds: Vec<Hold>,
    /// What the clerk should mend in the newest version.
    pub warnings: Vec<Warning>,
    /// One per platform, ordered by platform.
    pub deliveries: Vec<DeliveryHead>,
}

impl RecordHead {
    /// Returns what is due now as (platform, delivery), for the queue.
    pub fn due(&self) -> impl Iterator<Item = (&str, &DeliveryId)> {
        self.deliveries
            .iter()
            .filter(|delivery| delivery.state == DeliveryState::Queued)
            .map(|delivery| (delivery.platform.as_str(), &delivery.id))
    }
}

/// The short answer about one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryHead {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// The platform.
    pub platform: String,
    /// What the platform shall show.
    pub wanted: Wanted,
    /// The version it shall show, or be told to take down.
    pub version: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// The version that the platform shows, as far as the hub knows.
    pub shown_version: Option<i64>,
    /// Where the public sees it.
    pub remote_url: Option<String>,
    /// When it last changed, unix milliseconds.
    pub updated_at: i64,
}
