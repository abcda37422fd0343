//! A submission that was checked and is not yet handed over: what an import looks at first.

use super::{Incoming, Intake, Pending, Read, Refusal, parse_submission};
use crate::record::FieldError;
use crate::store::{Account, NewSubmission};
use std::sync::Arc;

/// A submission as it would be committed.
pub struct Ready {
    pub(super) new: NewSubmission,
    pub(super) entry_errors: Vec<FieldError>,
}

impl Ready {
    /// Returns what would be committed.
    pub fn submission(&self) -> &NewSubmission {
        &self.new
    }
}

impl Intake {
    /// Checks a native submission and hands nothing over; [`Intake::begin`] does both at once.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn make_ready(&self, account: &Account, body: &[u8]) -> Result<Ready, Refusal> {
        let submission = parse_submission(body).map_err(Refusal::Fields)?;
        let read = Read {
            submission,
            warnings: Vec::new(),
            incoming: Incoming::native(body),
        };
        let (new, entry_errors) = self.prepare(account, read, None).await?;
        Ok(Ready { new, entry_errors })
    }

    /// Puts a checked submission in line for the commit.
    ///
    /// # Errors
    /// Only [`Refusal::Store`].
    pub async fn hand_over(&self, ready: Ready) -> Result<Pending, Refusal> {
        let outcome = self.store.enqueue_submit(ready.new).await?;
        Ok(Pending {
            outcome: Box::pin(outcome),
            queue: Arc::clone(&self.queue),
            entry_errors: ready.entry_errors,
        })
    }
}
