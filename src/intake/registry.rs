//! Which version of the registry entries are read with, and until when they are due.

use super::Intake;
use crate::clock::end_of_day;
use crate::record::Content;
use crate::store::{Reckoning, StoreError};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The number of the registry's version, asked for once.
#[derive(Debug, Clone, Default)]
pub struct RegistryVersion(Arc<OnceCell<i64>>);

impl Intake {
    /// Returns the number of the version of the registry in use; keeps the registry when the
    /// database has not seen it yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn registry_version(&self) -> Result<i64, StoreError> {
        let note = || self.store.note_catalogue(&self.catalogue);
        self.registry.0.get_or_try_init(note).await.copied()
    }

    /// Returns what the registry makes of a content.
    pub(super) async fn reckon(&self, content: Option<&Content>) -> Result<Reckoning, StoreError> {
        let due = content.and_then(|content| self.catalogue.due(content));
        Ok(Reckoning {
            catalogue_version: Some(self.registry_version().await?),
            due_at: due.and_then(|due| end_of_day(due.date)),
            due_provisional: due.is_some_and(|due| due.provisional),
        })
    }
}
