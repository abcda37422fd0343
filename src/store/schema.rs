//! Brings the schema up to date, forward only.
//!
//! The files under `schemas/sql/` are compiled in; their checksums are kept in the database, so
//! that a file that was applied can never be changed afterwards unnoticed.

use super::db::{Pool, on};
use super::{Store, StoreError};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::sync::Arc;
use std::time::Duration;

/// All migrations in order; a test compares this with the folder.
const MIGRATIONS: [(i64, &str, &str); 16] = [
    (
        1,
        "initial",
        include_str!("../../schemas/sql/0001_initial.sql"),
    ),
    (
        2,
        "offers",
        include_str!("../../schemas/sql/0002_offers.sql"),
    ),
    (
        3,
        "events",
        include_str!("../../schemas/sql/0003_events.sql"),
    ),
    (
        6,
        "verifications",
        include_str!("../../schemas/sql/0006_verifications.sql"),
    ),
    (
        7,
        "replays",
        include_str!("../../schemas/sql/0007_replays.sql"),
    ),
    (
        8,
        "failure_groups",
        include_str!("../../schemas/sql/0008_failure_groups.sql"),
    ),
    (
        9,
        "switches",
        include_str!("../../schemas/sql/0009_switches.sql"),
    ),
    (
        10,
        "hand_work",
        include_str!("../../schemas/sql/0010_hand_work.sql"),
    ),
    (
        11,
        "overrides",
        include_str!("../../schemas/sql/0011_overrides.sql"),
    ),
    (
        12,
        "corrections",
        include_str!("../../schemas/sql/0012_corrections.sql"),
    ),
    (
        13,
        "patience",
        include_str!("../../schemas/sql/0013_patience.sql"),
    ),
    (
        14,
        "too_many",
        include_str!("../../schemas/sql/0014_too_many.sql"),
    ),
    (
        15,
        "registry",
        include_str!("../../schemas/sql/0015_registry.sql"),
    ),
    (
        17,
        "attachments",
        include_str!("../../schemas/sql/0017_attachments.sql"),
    ),
    (
        18,
        "redirects",
        include_str!("../../schemas/sql/0018_redirects.sql"),
    ),
    (
        19,
        "decisions_and_returns",
        include_str!("../../schemas/sql/0019_decisions_and_returns.sql"),
    ),
];
const CURRENT: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
#[cfg(test)]
pub(super) const SHARED: [&str; 1] = [CURRENT];
#[cfg(test)]
pub(super) const SQLITE: [&str; 1] = [EXISTS_SQLITE];
#[cfg(test)]
pub(super) const POSTGRES: [&str; 1] = [EXISTS_POSTGRES];
const EXISTS_SQLITE: &str =
    "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
const EXISTS_POSTGRES: &str = "SELECT COUNT(*) FROM information_schema.tables \
     WHERE table_name = '_sqlx_migrations' AND table_schema = CURRENT_SCHEMA()";

const UNBOUNDED: &str = "SET statement_timeout = 0";
const MIGRATION_TRIES_MAX: usize = 5;
const MIGRATION_PAUSE: Duration = Duration::from_millis(200);

/// How far the schema of the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationState {
    /// The version of the database; 0 when it is empty.
    pub current: i64,
    /// The newest version this release knows.
    pub newest: i64,
}

impl MigrationState {
    /// Returns whether nothing is left to apply.
    pub fn is_current(&self) -> bool {
        self.current == self.newest
    }

    /// Returns the files that are left to apply, in order.
    pub fn pending(&self) -> Vec<String> {
        MIGRATIONS
            .iter()
            .filter(|(version, _, _)| *version > self.current)
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect()
    }
}

impl Store {
    /// Applies what is missing; several processes may do so at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migration_state().await?;
        let migrations = MIGRATIONS
            .into_iter()
            .map(|(version, name, text)| {
                Migration::new(
                    version,
                    name.into(),
                    MigrationType::Simple,
                    text.into_sql_str(),
                    false,
                )
            })
            .collect();
        let migrator = Migrator::with_migrations(migrations);
        let mut tries = 1;
        loop {
            match self.apply(&migrator).await {
                Ok(()) => return Ok(()),
                // SQLite has no lock to wait for; another process may have been faster.
                Err(_) if tries < MIGRATION_TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(MIGRATION_PAUSE).await;
                    if self.migration_state().await?.is_current() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs what is missing. On PostgreSQL the migrator holds an advisory lock meanwhile, and both
    /// the wait for it and a migration may take longer than any other statement.
    async fn apply(&self, migrator: &Migrator) -> Result<(), StoreError> {
        let failed = StoreError::while_doing("begin to migrate");
        let migrated = match &self.pools().writer {
            Pool::Sqlite(pool) => migrator.run(pool).await,
            Pool::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(&failed)?;
                sqlx::raw_sql(UNBOUNDED)
                    .execute(&mut *connection)
                    .await
                    .map_err(&failed)?;
                let migrated = migrator.run(&mut *connection).await;
                // Not given back, so that no other statement goes without a bound.
                connection.close_on_drop();
                migrated
            }
        };
        migrated.map_err(|source| StoreError::Migration {
            source: Arc::new(source),
        })
    }

    /// Returns how far the database is; an error when it is ahead of this release.
    pub async fn migration_state(&self) -> Result<MigrationState, StoreError> {
        let newest = MIGRATIONS[MIGRATIONS.len() - 1].0;
        let current = current(&self.pools().reader)
            .await
            .map_err(StoreError::while_doing("read the schema version"))?;
        if current > newest {
            return Err(StoreError::NewerSchema { current, newest });
        }
        Ok(MigrationState { current, newest })
    }
}

async fn current(pool: &Pool) -> Result<i64, sqlx::Error> {
    let exists: (i64,) = match pool {
        Pool::Sqlite(c) => sqlx::query_as(EXISTS_SQLITE).fetch_one(c).await?,
        Pool::Postgres(c) => sqlx::query_as(EXISTS_POSTGRES).fetch_one(c).await?,
    };
    if exists.0 == 0 {
        return Ok(0);
    }
    let (version,): (i64,) = on!(pool, |c| sqlx::query_as(CURRENT).fetch_one(c).await)?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sql");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        assert_eq!(files, listed);
    }
}
