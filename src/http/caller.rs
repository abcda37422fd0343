//! Who is calling: the account behind an API key.

use super::App;
use super::problem::Problem;
use crate::store::Account;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long a revoked key may still be honoured.
const REMEMBERED: Duration = Duration::from_secs(2);
/// More keys than any city has systems.
const REMEMBERED_MAX: usize = 1_000;

/// The account behind the `Authorization: Bearer` key of a request.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Arc<Account>);

impl Caller {
    /// Returns the account, if it may do what operators do.
    pub(super) fn operator(&self) -> Result<&Account, Problem> {
        match self.0.operator {
            true => Ok(&self.0),
            false => Err(Problem::operator_only()),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let key = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| {
                let (scheme, key) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
            })
            .filter(|key| !key.is_empty())
            .ok_or_else(Problem::unauthorized)?;
        let key_sha256 = hash_of(key);
        if let Some(account) = app.callers.remembered(&key_sha256) {
            return Ok(Self(account));
        }
        let account = app
            .intake
            .store
            .find_account_by_key_sha256(&key_sha256)
            .await?
            .ok_or_else(Problem::unauthorized)?;
        let account = Arc::new(account);
        app.callers.remember(key_sha256, &account);
        Ok(Self(account))
    }
}

/// Returns how a key is stored. A key is 256 random bits, so that a fast hash is enough.
pub fn hash_of(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

/// Accounts seen a moment ago, so that a busy OA does not cost a read per request.
#[derive(Debug, Default)]
pub(super) struct Callers {
    seen: RwLock<HashMap<String, (Instant, Arc<Account>)>>,
}

impl Callers {
    fn remembered(&self, key_sha256: &str) -> Option<Arc<Account>> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let (at, account) = seen.get(key_sha256)?;
        (at.elapsed() < REMEMBERED).then(|| Arc::clone(account))
    }

    fn remember(&self, key_sha256: String, account: &Arc<Account>) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED_MAX {
            seen.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        }
        if seen.len() < REMEMBERED_MAX {
            seen.insert(key_sha256, (Instant::now(), Arc::clone(account)));
        }
    }
}

/// Makes a key of 256 random bits, in a form that survives copying.
pub fn new_key() -> String {
    let bits: [u8; 32] = rand::random();
    format!("shk_{}", hex::encode(bits))
}
