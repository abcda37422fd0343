//! Who may post: accounts of source systems and of operators.

use super::db::{on, row};
use super::outage::read;
use super::submit::parse_json;
use super::{Store, StoreError};
use serde::Serialize;

/// An account as it is created.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Id made by the caller.
    pub id: String,
    /// A name that people know it by.
    pub name: String,
    /// The source system it speaks for.
    pub source: String,
    /// Lower-case hex SHA-256 of its key; the key itself is never stored.
    pub key_sha256: String,
    /// Codes of the units it may publish for, or `*`.
    pub units: Vec<String>,
    /// Whether it may do what operators do.
    pub operator: bool,
    /// When it is created, unix milliseconds.
    pub created_at: i64,
}

/// An account as it is stored, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Id made by the hub.
    pub id: String,
    /// A name that people know it by.
    pub name: String,
    /// The source system it speaks for.
    pub source: String,
    /// Codes of the units it may publish for, or `*`.
    pub units: Vec<String>,
    /// Whether it may do what operators do.
    pub operator: bool,
    /// When it was created, unix milliseconds.
    pub created_at: i64,
    /// When it was revoked; none while it is good.
    pub revoked_at: Option<i64>,
}

impl Account {
    /// Returns whether it may publish for every unit.
    pub fn may_post_for_all(&self) -> bool {
        self.units.iter().any(|unit| unit == "*")
    }

    /// Returns whether it may publish for the unit with this code.
    pub fn may_post_for(&self, unit_code: &str) -> bool {
        self.may_post_for_all() || self.units.iter().any(|unit| unit == unit_code)
    }
}

row! {
    /// A row of `accounts`.
    struct AccountRow {
        id: String,
        name: String,
        source: String,
        units: String,
        operator: bool,
        created_at: i64,
        revoked_at: Option<i64>,
    }
}

const FIND: &str = "SELECT id, name, source, units, operator, created_at, revoked_at \
     FROM accounts WHERE key_sha256 = $1 AND revoked_at IS NULL";
const LIST: &str = "SELECT id, name, source, units, operator, created_at, revoked_at \
     FROM accounts ORDER BY name";
const ADD: &str = "INSERT INTO accounts (id, name, source, key_sha256, units, operator, \
     created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
const REVOKE: &str = "UPDATE accounts SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL";

#[cfg(test)]
pub(super) const SHARED: [&str; 4] = [FIND, LIST, ADD, REVOKE];

impl Store {
    /// Returns the account with this key, unless it is unknown or revoked.
    pub async fn find_account_by_key_sha256(
        &self,
        key_sha256: &str,
    ) -> Result<Option<Account>, StoreError> {
        let found: Option<AccountRow> = read!(self, "find an account", |c| sqlx::query_as(FIND)
            .bind(key_sha256)
            .fetch_optional(c)
            .await)?;
        found.map(AccountRow::understand).transpose()
    }

    /// Adds an account. Returns false when its name, id or key is taken.
    pub async fn add_account(&self, new: &NewAccount) -> Result<bool, StoreError> {
        let units = serde_json::Value::from(new.units.clone()).to_string();
        let added = on!(&self.pools().writer, |c| sqlx::query(ADD)
            .bind(&new.id)
            .bind(&new.name)
            .bind(&new.source)
            .bind(&new.key_sha256)
            .bind(units)
            .bind(new.operator)
            .bind(new.created_at)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(StoreError::while_doing("add an account"))?;
        Ok(added == 1)
    }

    /// Returns all accounts by name, revoked ones too.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows: Vec<AccountRow> = read!(self, "list accounts", |c| sqlx::query_as(LIST)
            .fetch_all(c)
            .await)?;
        rows.into_iter().map(AccountRow::understand).collect()
    }

    /// Revokes the account with this name. Returns false when there is no good one.
    pub async fn revoke_account(&self, name: &str, now: i64) -> Result<bool, StoreError> {
        let revoked = on!(&self.pools().writer, |c| sqlx::query(REVOKE)
            .bind(name)
            .bind(now)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))
        .map_err(StoreError::while_doing("revoke an account"))?;
        Ok(revoked == 1)
    }
}

impl AccountRow {
    fn understand(self) -> Result<Account, StoreError> {
        Ok(Account {
            units: parse_json(&self.units, "accounts.units", &self.id)?,
            id: self.id,
            name: self.name,
            source: self.source,
            operator: self.operator,
            created_at: self.created_at,
            revoked_at: self.revoked_at,
        })
    }
}
