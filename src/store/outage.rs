//! What the store does while its database does not answer: it waits, tells, and notices the end.
//!
//! Owns the line between an outage, which passes, and an error, which does not; how long a caller
//! waits ([`Patience`]); and what is known of the present state ([`Health`]). The writer rides
//! outages out by itself ([`super::writer`]); readers do it through [`read!`].

use super::StoreError;
use sqlx::sqlite::SqliteError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Classes of PostgreSQL's codes that pass: connection lost, no resources, operator intervention,
/// system error.
const PASSING_CLASSES: [&str; 4] = ["08", "53", "57", "58"];
/// Single codes that pass: read-only since another server has taken over, idle transaction ended,
/// lock not available.
const PASSING_CODES: [&str; 3] = ["25006", "25P03", "55P03"];
/// Primary codes of SQLite that pass: busy, input or output failed, disk full, cannot open.
const PASSING_PRIMARY: [u32; 4] = [5, 10, 13, 14];
/// SQLite: busy since another process changed what this transaction had read; trying again at
/// once is enough.
const BUSY_SNAPSHOT: u32 = 517;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Returns whether `error` says that the database as a whole is in trouble, which may pass.
pub(super) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            match error.try_downcast_ref::<SqliteError>() {
                Some(_) => sqlite_passes(&code),
                None => postgres_passes(&code),
            }
        }
        _ => false,
    }
}

fn postgres_passes(code: &str) -> bool {
    PASSING_CLASSES.iter().any(|class| code.starts_with(class)) || PASSING_CODES.contains(&code)
}

fn sqlite_passes(code: &str) -> bool {
    // The lowest byte is the primary code, the rest says more about it.
    code.parse::<u32>()
        .is_ok_and(|code| code != BUSY_SNAPSHOT && PASSING_PRIMARY.contains(&(code & 0xff)))
}

/// Returns the error of something that did not answer in time.
pub(super) fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "no answer in time",
    ))
}

/// How long one call goes on trying.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
    closing: CancellationToken,
}

impl Patience {
    pub(super) fn new(wait: Duration, closing: &CancellationToken) -> Self {
        Self {
            until: Instant::now() + wait,
            pause: PAUSE_MIN,
            closing: closing.clone(),
        }
    }

    /// Returns how much time is left for the next try.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Waits a moment and returns true when another try is worth while after `error`.
    pub(super) async fn another_try(&mut self, error: &sqlx::Error) -> bool {
        if !is_outage(error) || self.closing.is_cancelled() || self.left() <= self.pause {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

/// Reads with any connection, `read!(store, "read a record", |c| query(SQL).fetch_one(c).await)`.
/// A connection that breaks is replaced and the statement asked again while there is time, so the
/// statement must change nothing.
macro_rules! read {
    ($store:expr, $doing:expr, |$c:ident| $body:expr) => {{
        let mut patience = $store.patience();
        loop {
            let left = patience.left();
            let result = $crate::store::db::on!(&$store.pools().reader, |pool| async {
                let mut connection = $crate::store::db::acquire(pool).await?;
                let asked = tokio::time::timeout(left, async {
                    let $c = &mut *connection;
                    $body
                });
                match asked.await {
                    Ok(result) => result,
                    Err(_) => {
                        // It may hang for as long as the network lets it; do without it.
                        connection.close_on_drop();
                        Err($crate::store::outage::no_answer())
                    }
                }
            }
            .await);
            match result {
                Ok(found) => break Ok(found),
                Err(error) if patience.another_try(&error).await => {}
                Err(error) => break Err($crate::store::StoreError::while_doing($doing)(error)),
            }
        }
    }};
}
pub(super) use read;

/// Runs one statement outside the writer, `once!(store, wait, "beat", |c| query(SQL)…)`. Nobody
/// waits for it, so it is given up after `wait`, and the next turn asks again.
macro_rules! once {
    ($store:expr, $wait:expr, $doing:expr, |$c:ident| $body:expr) => {{
        let result = $crate::store::db::on!(&$store.pools().writer, |pool| async {
            let Ok(acquired) = tokio::time::timeout($wait, $crate::store::db::acquire(pool)).await
            else {
                return Err($crate::store::outage::no_answer());
            };
            let mut connection = acquired?;
            let asked = tokio::time::timeout($wait, async {
                let $c = &mut *connection;
                $body
            });
            match asked.await {
                Ok(result) => result,
                Err(_) => {
                    connection.close_on_drop();
                    Err($crate::store::outage::no_answer())
                }
            }
        }
        .await);
        result.map_err($crate::store::StoreError::while_doing($doing))
    }};
}
pub(super) use once;

/// Whether commits succeed at present. Says so in the log once per outage.
#[derive(Default)]
pub(super) struct Health {
    failing: AtomicBool,
    began: Mutex<Option<(Instant, StoreError)>>,
}

impl Health {
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Returns why commits fail, while they do.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.as_ref().map(|(_, error)| error.clone())
    }

    pub(super) fn failed(&self, error: &StoreError) {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        if began.is_none() {
            *began = Some((Instant::now(), error.clone()));
            self.failing.store(true, Ordering::Release);
            let cause = std::error::Error::source(error)
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(
                cause,
                "The database takes no commits ({cause}); work waits for it and nothing is lost"
            );
        }
    }

    pub(super) fn answered(&self) {
        if !self.is_failing() {
            return;
        }
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, _)) = began.take() {
            self.failing.store(false, Ordering::Release);
            let outage_ms = since.elapsed().as_millis() as u64;
            tracing::info!(
                outage_ms,
                "The database takes commits again after {outage_ms} ms"
            );
        }
    }
}

impl StoreError {
    /// Returns whether the database as a whole is in trouble, which may pass.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { source, .. } if is_outage(source))
    }

    /// Returns the error of a caller that waited long enough.
    pub(super) fn not_in_time(doing: &'static str) -> Self {
        Self::Unavailable {
            doing,
            source: Arc::new(no_answer()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in [
            "57P01", "57P03", "57014", "53300", "53100", "08006", "25006",
        ] {
            assert!(postgres_passes(code), "{code}");
        }
        for code in ["23505", "42601", "40001", "40P01", "28P01", "22P02"] {
            assert!(!postgres_passes(code), "{code}");
        }
        // Full, write failed, sync failed, busy, busy while recovering, cannot open.
        for code in ["13", "778", "1034", "5", "261", "14"] {
            assert!(sqlite_passes(code), "{code}");
        }
        // Constraint, unique, busy snapshot, syntax, corrupt.
        for code in ["19", "2067", "517", "1", "11"] {
            assert!(!sqlite_passes(code), "{code}");
        }
    }

    #[test]
    fn an_outage_has_a_beginning_and_an_end() {
        let health = Health::default();
        assert!(!health.is_failing() && health.trouble().is_none());
        health.failed(&StoreError::not_in_time("commit"));
        health.failed(&StoreError::not_in_time("commit again"));
        assert!(health.is_failing());
        let trouble = health.trouble().map(|error| error.to_string());
        assert!(trouble.is_some_and(|text| text.ends_with("commit")));
        health.answered();
        assert!(!health.is_failing() && health.trouble().is_none());
    }

    #[tokio::test]
    async fn patience_ends_with_its_time_and_with_errors_that_do_not_pass() {
        let closing = CancellationToken::new();
        let mut patience = Patience::new(Duration::from_secs(60), &closing);
        assert!(!patience.another_try(&sqlx::Error::RowNotFound).await);
        assert!(patience.another_try(&no_answer()).await);
        closing.cancel();
        assert!(!patience.another_try(&no_answer()).await);
        let mut none = Patience::new(Duration::ZERO, &CancellationToken::new());
        assert!(!none.another_try(&no_answer()).await);
    }
}
