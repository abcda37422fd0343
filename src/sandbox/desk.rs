//! What every practice platform has behind its counter: a name, a shelf, sessions, a tally.
//!
//! Owns the state that the interface, the public pages and the admin calls of one platform share.
//! Never speaks HTTP; see [`super::admin`] and [`super::page`] for the doors that are alike
//! everywhere.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::look::Look;
use super::misbehave::Misbehaviour;
use super::shelf::{Edition, Shelf};

/// What sets one platform apart from the others.
pub(super) struct Identity {
    /// The connector's id; also the name of the journal.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) look: Look,
    /// Whether clients hold a session or token that can run out.
    pub(super) has_sessions: bool,
    /// Whether saved editions wait for review before the public sees them.
    pub(super) reviews: bool,
}

/// The shared state of one platform.
pub(super) struct Desk {
    pub(super) identity: Identity,
    /// `http://127.0.0.1:port`, without a slash at the end.
    pub(super) address: String,
    shelf: Mutex<Shelf>,
    sessions: Mutex<HashMap<String, Instant>>,
    misbehaviour: Mutex<Option<Misbehaviour>>,
    requests: Mutex<BTreeMap<String, u64>>,
    /// How long a saved edition waits until it is shown; `None` = until somebody approves.
    review_ms: Mutex<Option<u64>>,
}

impl Desk {
    /// Opens the desk with the journal in `dir`.
    pub(super) fn open(
        identity: Identity,
        address: String,
        dir: &Path,
        review_ms: u64,
    ) -> io::Result<Desk> {
        let shelf = Shelf::open(&dir.join(format!("{}.ndjson", identity.id)))?;
        Ok(Desk {
            identity,
            address,
            shelf: Mutex::new(shelf),
            sessions: Mutex::default(),
            misbehaviour: Mutex::default(),
            requests: Mutex::default(),
            review_ms: Mutex::new(Some(review_ms)),
        })
    }

    /// Returns the shelf, with every edition whose review time has passed already shown.
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        let mut shelf = unpoisoned(&self.shelf);
        let review_ms = *unpoisoned(&self.review_ms);
        if let Some(review_ms) = review_ms {
            let latest_ms = crate::clock::now_ms().saturating_sub_unsigned(review_ms);
            if let Err(error) = show_reviewed(&mut shelf, latest_ms) {
                tracing::error!(%error, "Cannot write the sandbox journal of {}", self.identity.id);
            }
        }
        shelf
    }

    /// Shows every edition that waits for review; returns how many.
    pub(super) fn approve_all(&self) -> io::Result<usize> {
        show_reviewed(&mut self.shelf(), i64::MAX)
    }

    /// Sets how long editions wait; `None` = until somebody approves.
    pub(super) fn set_review_ms(&self, review_ms: Option<u64>) {
        // What is due under the old rule is shown before the new one begins.
        drop(self.shelf());
        *unpoisoned(&self.review_ms) = review_ms;
    }

    /// Opens a session that lasts `ttl_ms` and returns its token.
    pub(super) fn open_session(&self, ttl_ms: u64) -> String {
        let token = random_hex();
        let now = Instant::now();
        let mut sessions = unpoisoned(&self.sessions);
        sessions.retain(|_, ends| *ends > now);
        sessions.insert(token.clone(), now + Duration::from_millis(ttl_ms));
        token
    }

    /// Returns whether the token belongs to a session that has not run out.
    pub(super) fn knows_session(&self, token: &str) -> bool {
        unpoisoned(&self.sessions)
            .get(token)
            .is_some_and(|ends| *ends > Instant::now())
    }

    /// Ends all sessions at once.
    pub(super) fn end_sessions(&self) {
        unpoisoned(&self.sessions).clear();
    }

    /// Returns the slot for the misbehaviour in force.
    pub(super) fn misbehaviour(&self) -> MutexGuard<'_, Option<Misbehaviour>> {
        unpoisoned(&self.misbehaviour)
    }

    /// Counts one request by its route.
    pub(super) fn count_request(&self, route: String) {
        *unpoisoned(&self.requests).entry(route).or_default() += 1;
    }

    /// Returns how often each route was called.
    pub(super) fn request_counts(&self) -> BTreeMap<String, u64> {
        unpoisoned(&self.requests).clone()
    }

    /// Empties shelf and tally.
    pub(super) fn reset(&self) -> io::Result<()> {
        self.shelf().clear()?;
        unpoisoned(&self.requests).clear();
        Ok(())
    }

    /// Returns the public address of an article.
    pub(super) fn article_url(&self, remote_id: &str) -> String {
        format!("{}/articles/{remote_id}", self.address)
    }
}

/// Returns 128 random bits in hex.
pub(super) fn random_hex() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Returns the lock's content also after a panic elsewhere: each change of these maps is whole.
pub(super) fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show_reviewed(shelf: &mut Shelf, latest_ms: i64) -> io::Result<usize> {
    let is_due = |edition: &Edition| edition.saved_at_ms <= latest_ms;
    let due: Vec<_> = shelf
        .under_review()
        .filter(|article| article.pending.as_ref().is_some_and(is_due))
        .cloned()
        .collect();
    let count = due.len();
    for mut article in due {
        article.shown = article.pending.take();
        shelf.put(article)?;
    }
    Ok(count)
}
