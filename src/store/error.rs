//! What can go wrong in the store, for callers who decide.

use std::sync::Arc;

/// Why the store could not do what was asked. Never contains an address or a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The URL names no engine that the hub knows, or cannot be read.
    #[error("the store address is not usable: {reason}")]
    Address {
        /// What is wrong with it, without repeating it.
        reason: String,
    },
    /// The database does not answer, or refused for a reason that may pass.
    #[error("the database is not available while it should {doing}")]
    Unavailable {
        /// What the store was about to do, as a verb.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// The database was migrated by a newer release; running on could lose data.
    #[error(
        "the database schema is at {current}, newer than {newest}, the newest this release knows"
    )]
    NewerSchema {
        /// The version found.
        current: i64,
        /// The newest version this release knows.
        newest: i64,
    },
    /// A migration could not be applied.
    #[error("the database schema could not be brought up to date")]
    Migration {
        /// What the migrator said.
        #[source]
        source: Arc<sqlx::migrate::MigrateError>,
    },
    /// Something stored cannot be read back.
    #[error("stored data cannot be understood: {what}")]
    Corrupt {
        /// Which table and column, and the id of the row.
        what: String,
    },
    /// Another process kept changing the same rows.
    #[error("the same rows were changed by another process again and again")]
    Contended,
    /// A file of a submission is not in the object store any more: it waited too long.
    #[error("a file of the submission was removed before its commit")]
    FileGone,
    /// An operator's act would touch more rows than one act may.
    #[error("{found} deliveries match, more than the {limit} that one replay may take")]
    TooMany {
        /// How many matched.
        found: i64,
        /// How many are allowed.
        limit: i64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Returns a wrapper for driver errors met while the store should do `doing`.
    pub(super) fn while_doing(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Unavailable {
            doing,
            source: Arc::new(source),
        }
    }

    /// Returns the error for a stored word that is none of ours.
    pub(super) fn corrupt(column: &str, id: &str) -> Self {
        Self::Corrupt {
            what: format!("{column} of {id}"),
        }
    }

    /// Returns whether another process was in the way, so that trying again may succeed.
    pub(super) fn is_conflict(&self) -> bool {
        match self {
            Self::Contended => true,
            Self::FileGone => false,
            Self::Unavailable { source, .. } => source.as_database_error().is_some_and(|error| {
                error.is_unique_violation()
                    || error
                        .code()
                        .is_some_and(|code| CONFLICT_CODES.contains(&code.as_ref()))
            }),
            Self::Address { .. }
            | Self::NewerSchema { .. }
            | Self::Migration { .. }
            | Self::Corrupt { .. }
            | Self::TooMany { .. }
            | Self::Closed => false,
        }
    }

    /// Returns whether one item of a batch may be to blame, rather than the database as a whole.
    pub(super) fn concerns_one_item(&self) -> bool {
        match self {
            Self::Contended | Self::Corrupt { .. } | Self::FileGone => true,
            Self::Unavailable { source, .. } => source.as_database_error().is_some(),
            Self::Address { .. }
            | Self::NewerSchema { .. }
            | Self::Migration { .. }
            | Self::TooMany { .. }
            | Self::Closed => false,
        }
    }
}

/// PostgreSQL: serialisation failure, deadlock. SQLite: busy with an old snapshot.
const CONFLICT_CODES: [&str; 3] = ["40001", "40P01", "517"];
