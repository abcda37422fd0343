//! What a sender gets when it claims a delivery, and what it hands back.

use crate::record::life::Outcome;
use crate::record::{AttemptId, DeliveryId, RecordId, Wanted};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// One delivery claimed by one sender. Only the holder of `token` may settle it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its record; also our key on the platform.
    pub record_id: RecordId,
    /// Its platform.
    pub platform: String,
    /// What the platform shall show.
    pub wanted: Wanted,
    /// The version to show, or the one that says it shall be gone.
    pub version: i64,
    /// The fencing token: the count of claims of this delivery.
    pub token: i64,
    /// An earlier claim never told how it ended: look up before creating anything.
    pub in_doubt: bool,
    /// The platform already said yes to this version: read it back.
    pub was_delivered: bool,
    /// Tries of this version that did not succeed so far.
    pub tries: i64,
    /// When the first of those tries began.
    pub first_tried_at: Option<i64>,
    /// When the platform last said yes.
    pub delivered_at: Option<i64>,
    /// It was put in other words, or in its own again: of a version that is there, nobody knows
    /// in which words.
    pub reworded: bool,
    /// Finished steps of this version and the values they captured.
    pub progress: Option<Value>,
    /// The platform's id of the object, once known.
    pub remote_id: Option<String>,
    /// Where the public sees it, once known.
    pub remote_url: Option<String>,
    /// The version that the platform shows, as far as the hub knows.
    pub shown_version: Option<i64>,
    /// Record JSON of `version`; if it shall be gone, of the version that is or may be shown.
    /// Never of a version that is held.
    pub document: Arc<Document>,
    /// Why it is withdrawn.
    pub reason: Option<String>,
}

/// Record JSON as it is stored, read at most once for all who share it.
#[derive(Debug)]
pub struct Document {
    text: String,
    json: OnceLock<Value>,
}

impl Document {
    /// Takes the stored text.
    pub fn new(text: String) -> Self {
        Self {
            text,
            json: OnceLock::new(),
        }
    }

    /// Returns the stored text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the record as JSON.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn json(&self) -> Result<&Value, serde_json::Error> {
        if let Some(json) = self.json.get() {
            return Ok(json);
        }
        let json = serde_json::from_str(&self.text)?;
        Ok(self.json.get_or_init(|| json))
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// How one claim ended. The attempt is stored in any case.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The token of the claim.
    pub token: i64,
    /// The version that was sent.
    pub sent_version: i64,
    /// What became of it.
    pub outcome: Settled,
    /// The row that proves it.
    pub attempt: NewAttempt,
    /// Finished steps, kept for the next try. `None` leaves what is stored.
    pub progress: Option<Value>,
    /// The time of settling, unix milliseconds.
    pub now: i64,
}

/// What became of a claimed delivery; where it goes from there is told by [`crate::record::life`].
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// The platform said yes: `delivered`.
    Shown {
        /// The platform's id of the object; `None` keeps the one that is stored.
        remote_id: Option<String>,
        /// Where the public sees it; `None` keeps the one that is stored.
        remote_url: Option<String>,
        /// When to read it back; `None` never.
        check_at: Option<i64>,
    },
    /// Read back and equal: `confirmed`.
    Confirmed {
        /// As for `Shown`.
        remote_id: Option<String>,
        /// As for `Shown`.
        remote_url: Option<String>,
    },
    /// Read back, not visible yet: stays `delivered`; counts as a try.
    StillUnderReview {
        /// When to look again; `None` never.
        check_at: Option<i64>,
    },
    /// Taken down, or never there: `withdrawn`.
    Gone {
        /// Whether the platform's id is of no more use, because a new publish makes a new object.
        forget_remote: bool,
    },
    /// Nothing had to be sent: `skipped`.
    Skipped,
    /// Try again: `retrying` when it counts as a try, else where it was before the claim.
    Retry {
        /// When.
        due_at: i64,
        /// Whether it counts as a try: a probe of a platform that does not answer does not.
        counts: bool,
        /// Whether the platform may have acted all the same. If the claim was in doubt and the
        /// look-up did not answer, this must stay true.
        in_doubt: bool,
    },
    /// Nothing was tried (pause, maintenance, breaker): due again later; not a try, and a doubt
    /// of earlier claims stays.
    Postponed {
        /// When.
        due_at: i64,
    },
    /// Needs a person: `failed`.
    Failed {
        /// The step or phase.
        stage: String,
        /// The class of the verdict.
        class: String,
        /// The platform's or the hub's code.
        code: String,
        /// One sentence, secrets masked.
        text: String,
        /// The group of failures with the same cause.
        group: String,
        /// Whether the platform may have acted all the same.
        in_doubt: bool,
    },
}

impl Settled {
    /// Returns what kind of outcome it is; [`crate::record::life`] knows what that means.
    pub fn kind(&self) -> Outcome {
        match self {
            Self::Shown { .. } => Outcome::Accepted,
            Self::Confirmed { .. } => Outcome::Confirmed,
            Self::StillUnderReview { .. } => Outcome::NotVisible,
            Self::Gone { forget_remote } => Outcome::TakenDown {
                forget_remote: *forget_remote,
            },
            Self::Skipped => Outcome::NotNeeded,
            Self::Retry {
                counts, in_doubt, ..
            } => Outcome::TryAgain {
                counts: *counts,
                in_doubt: *in_doubt,
            },
            Self::Postponed { .. } => Outcome::NotTried,
            Self::Failed { in_doubt, .. } => Outcome::NeedsPerson {
                in_doubt: *in_doubt,
            },
        }
    }
}

/// One try as it will be stored. Secrets are masked by the sender.
#[derive(Debug, Clone)]
pub struct NewAttempt {
    /// Id made by the sender.
    pub id: AttemptId,
    /// publish, update, withdraw, look_up, read_back …
    pub operation: String,
    /// When it began, unix milliseconds.
    pub started_at: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// The verdict's word.
    pub verdict: String,
    /// The step or phase that decided.
    pub stage: String,
    /// The platform's or the hub's code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Requests and responses, as JSON text.
    pub exchanges: String,
}
