//! The only home of SQL: submissions, records, versions, deliveries, attempts, replays.
//!
//! Owns every table and every transaction. It never decides what is shown where (that is
//! [`crate::route`] and [`crate::screen`]) and never talks to a platform; it makes sure that what
//! was accepted is kept ([`Store::submit`]), that one delivery has one sender at a time
//! ([`Store::claim`]), and that the newest version wins. [`crate::queue`] only wakes senders up;
//! the `deliveries` table is the queue of record.

mod delivery;
mod error;
mod submission;

pub use delivery::{Claim, NewAttempt, Settled, Settlement};
pub use error::StoreError;
pub use submission::{DeliveryHead, NewSubmission, RecordHead, RecordState, SubmitOutcome};

use crate::record::{DeliveryId, Wanted};
use serde_json::Value;

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {}

/// How far the schema of the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationState {
    /// The version of the database; 0 when it is empty.
    pub current: i64,
    /// The newest version this release knows.
    pub newest: i64,
}

#[allow(unused_variables, missing_docs, clippy::todo)]
impl Store {
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        todo!()
    }
    pub async fn migrate(&self) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn migration_state(&self) -> Result<MigrationState, StoreError> {
        todo!()
    }
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn close(&self) {
        todo!()
    }
    pub async fn submit(&self, new: NewSubmission) -> Result<SubmitOutcome, StoreError> {
        todo!()
    }
    pub async fn enqueue_submit(
        &self,
        new: NewSubmission,
    ) -> Result<impl Future<Output = Result<SubmitOutcome, StoreError>> + use<>, StoreError> {
        Ok(std::future::ready(Err(StoreError::Closed)))
    }
    pub async fn claim(
        &self,
        platform: &str,
        ids: Option<&[DeliveryId]>,
        limit: i64,
        lease_owner: &str,
        now: i64,
        lease_until: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        todo!()
    }
    pub async fn renew(&self, lease_owner: &str, lease_until: i64) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn release(&self, claims: &[(DeliveryId, i64)]) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn wanted_now(
        &self,
        delivery: &DeliveryId,
    ) -> Result<Option<(Wanted, i64, i64)>, StoreError> {
        todo!()
    }
    pub async fn save_progress(
        &self,
        delivery: &DeliveryId,
        token: i64,
        progress: Value,
        remote_id: Option<String>,
        remote_url: Option<String>,
    ) -> Result<bool, StoreError> {
        todo!()
    }
    pub async fn settle(&self, settlement: Settlement) -> Result<bool, StoreError> {
        todo!()
    }
    pub async fn due_platforms(&self, now: i64) -> Result<Vec<(String, i64)>, StoreError> {
        todo!()
    }
    pub async fn attachment(&self, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }
    pub async fn is_paused(&self, platform: &str, now: i64) -> Result<bool, StoreError> {
        todo!()
    }
    pub async fn next_due_at(&self) -> Result<Option<i64>, StoreError> {
        todo!()
    }
}
