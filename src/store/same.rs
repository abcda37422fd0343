//! What the store knows of documents that are about to come: their own records, and others of the
//! same document. Reads only; what is decided at the commit is decided again there.

use super::bulk::{Bulk, Kind, cells};
use super::db::row;
use super::submit::document_key;
use super::{NewSubmission, Store, StoreError};
use crate::record::Action;
use std::collections::HashMap;

row! {
    /// The record with the source and id of a submission.
    struct OwnRow {
        source_id: String,
        id: String,
        revision: i64,
        action: String,
        content_sha256: String,
    }
}

row! {
    /// A record of a document.
    struct SameRow {
        document_key: String,
        id: String,
        source: String,
        source_id: String,
    }
}

static OWN: Bulk = Bulk::new(
    &[("source", Kind::Text), ("source_id", Kind::Text)],
    "SELECT r.source_id, r.id, r.revision, r.action, r.content_sha256 FROM given \
     JOIN records r ON r.source = given.source AND r.source_id = given.source_id",
);

/// The oldest is told: it was there first.
static SAME: Bulk = Bulk::new(
    &[("document_key", Kind::Text)],
    "SELECT r.document_key, r.id, r.source, r.source_id FROM given \
     JOIN records r ON r.id = (SELECT o.id FROM records o \
     WHERE o.document_key = given.document_key AND o.state <> 'withdrawn' ORDER BY o.id LIMIT 1)",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 2] = [&OWN, &SAME];

/// The record that a submission would become a version of.
#[derive(Debug, Clone)]
pub struct OwnRecord {
    /// Its id.
    pub id: String,
    /// The newest revision of the sender.
    pub revision: i64,
    /// Whether the sender's last word was to withdraw it.
    pub withdrawn: bool,
    /// Digest of its content.
    pub content_sha256: String,
}

/// A record of the same document.
#[derive(Debug, Clone)]
pub struct SameDocument {
    /// Its id.
    pub id: String,
    /// Who sent it.
    pub source: String,
    /// Under which id.
    pub source_id: String,
}

/// What the store knows of some submissions.
#[derive(Debug, Default)]
pub struct KnownDocuments {
    own: HashMap<String, OwnRecord>,
    same: HashMap<String, SameDocument>,
}

impl KnownDocuments {
    /// Returns the record that a submission would become a version of.
    pub fn own(&self, new: &NewSubmission) -> Option<&OwnRecord> {
        self.own.get(&new.source_id)
    }

    /// Returns the oldest record of the same document that is not withdrawn, be it its own.
    pub fn same(&self, new: &NewSubmission) -> Option<&SameDocument> {
        self.same.get(&new.document_key()?)
    }
}

impl NewSubmission {
    /// Returns what submissions of the same document share: date, number or unit, and title; none
    /// without a content.
    pub fn document_key(&self) -> Option<String> {
        self.content.as_deref().map(document_key)
    }
}

impl Store {
    /// Looks for what is known of some submissions of one source.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn known_documents(
        &self,
        source: &str,
        submissions: &[&NewSubmission],
    ) -> Result<KnownDocuments, StoreError> {
        let failed = StoreError::while_doing("look for documents that are known");
        let keys: Vec<String> = submissions
            .iter()
            .filter_map(|new| new.document_key())
            .collect();
        let names: Vec<_> = submissions
            .iter()
            .map(|new| cells![source, new.source_id.as_str()])
            .collect();
        let given: Vec<_> = keys.iter().map(|key| cells![key]).collect();
        let mut tx = self.pools().reader.begin_read().await.map_err(&failed)?;
        let own: Vec<OwnRow> = OWN.fetch(&mut tx, &names).await.map_err(&failed)?;
        let same: Vec<SameRow> = SAME.fetch(&mut tx, &given).await.map_err(&failed)?;
        tx.commit().await.map_err(&failed)?;
        Ok(KnownDocuments {
            own: own.into_iter().map(OwnRow::understood).collect(),
            same: same.into_iter().map(SameRow::understood).collect(),
        })
    }
}

impl OwnRow {
    fn understood(self) -> (String, OwnRecord) {
        let record = OwnRecord {
            id: self.id,
            revision: self.revision,
            withdrawn: self.action == Action::Withdraw.as_str(),
            content_sha256: self.content_sha256,
        };
        (self.source_id, record)
    }
}

impl SameRow {
    fn understood(self) -> (String, SameDocument) {
        let record = SameDocument {
            id: self.id,
            source: self.source,
            source_id: self.source_id,
        };
        (self.document_key, record)
    }
}
