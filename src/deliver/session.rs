//! Logs in to platforms that want it: one login at a time, shared by all senders of a platform.
//!
//! A refused login is not repeated by every delivery that waits, which would lock the account:
//! all of them are told when the next login will be tried.

use super::too_many::TooMany;
use super::transport::Transport;
use crate::backoff::Schedule;
use crate::clock::now_ms;
use crate::connector::{Connector, Facts, Moment, Session, Verdict};
use crate::failpoint::{Point, reach};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The session of one platform.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Current>,
    refusals: usize,
    refused: Option<LoginRefused>,
}

/// A session and its number, by which a sender says which one was refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Current {
    pub(super) number: u64,
    pub(super) session: Arc<Session>,
}

/// No session can be had for now.
#[derive(Debug, Clone)]
pub(super) struct LoginRefused {
    /// What the platform or the transport said; secrets masked.
    pub(super) problem: String,
    /// When the next login will be tried, ms since 1970.
    pub(super) try_at_ms: i64,
    /// Whether it was told before and nothing was asked of the platform for it.
    pub(super) is_old: bool,
    /// What the platform asks for when it says "too many"; none otherwise.
    pub(super) too_many: Option<TooMany>,
}

const LOGIN_SCHEDULE: Schedule = Schedule {
    base: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_secs(300),
};

impl Sessions {
    /// Returns the current session, logging in if there is none.
    pub(super) async fn get(
        &self,
        connector: &Connector,
        transport: &Transport,
    ) -> Result<Current, LoginRefused> {
        if !connector.needs_session() {
            return Ok(Current::default());
        }
        let mut state = self.state.lock().await;
        let now = now_ms();
        if let Some(current) = &state.session
            && current
                .session
                .expires_at_ms
                .is_none_or(|expires_at| now < expires_at)
        {
            return Ok(current.clone());
        }
        if let Some(refused) = &state.refused
            && now < refused.try_at_ms
        {
            return Err(LoginRefused {
                is_old: true,
                ..refused.clone()
            });
        }
        let number = state.session.as_ref().map_or(0, |current| current.number) + 1;
        reach(Point::LoginBegins);
        let logged_in = log_in(connector, transport).await;
        reach(Point::LoginEnded);
        match logged_in {
            Ok(session) => {
                let current = Current {
                    number,
                    session: Arc::new(session),
                };
                *state = State {
                    session: Some(current.clone()),
                    ..State::default()
                };
                Ok(current)
            }
            Err(problem) => {
                // Several processes that were refused at once do not come back at once, and none
                // comes back so soon that the account could be locked.
                let asked = problem
                    .too_many
                    .and_then(TooMany::asked)
                    .unwrap_or_default();
                let wait = LOGIN_SCHEDULE.half_delay(state.refusals).max(asked);
                let refused = LoginRefused {
                    problem: connector.mask().apply(&problem.text),
                    try_at_ms: now_ms() + wait.as_millis() as i64,
                    is_old: false,
                    too_many: problem.too_many,
                };
                tracing::warn!(platform = %connector.id, problem = %refused.problem, "Login to {} failed; next one in {} s", connector.id, wait.as_secs());
                state.refusals += 1;
                state.refused = Some(refused.clone());
                Err(refused)
            }
        }
    }

    /// Forgets the session with this number; a newer one, got by another sender, stays.
    pub(super) async fn forget(&self, number: u64) {
        let mut state = self.state.lock().await;
        if let Some(current) = &mut state.session
            && current.number == number
        {
            // The number stays, so that the next session has another one.
            current.session = Arc::new(Session {
                expires_at_ms: Some(0),
                ..Session::default()
            });
        }
    }
}

/// Why there is no session, before its secrets are masked.
struct Problem {
    text: String,
    /// What the platform asks for when it says "too many"; none otherwise.
    too_many: Option<TooMany>,
}

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Self {
            text: error.to_string(),
            too_many: None,
        }
    }
}

async fn log_in(connector: &Connector, transport: &Transport) -> Result<Session, Problem> {
    let allows = |url: &url::Url| connector.allows(url);
    if let Some(request) = connector.token_request()? {
        let response = transport.send(&request, allows).await?;
        let session = connector.read_token(&response, now_ms());
        return session.ok_or_else(|| Problem {
            text: format!(
                "the token endpoint answered HTTP {} without a token",
                response.status
            ),
            // RFC 6585 §4: a token endpoint has no rules that say what it means.
            too_many: (response.status == 429)
                .then(|| TooMany::new(response.retry_after_ms(now_ms()))),
        });
    }
    let Some(step) = connector.login_step() else {
        return Ok(Session::default());
    };
    let request = connector.request(
        step,
        &Facts::default(),
        None,
        &Session::default(),
        &Moment::now(),
    )?;
    let response = transport.send(&request, allows).await?;
    let judgement = connector.judge(step, &response, now_ms());
    match judgement.verdict {
        Verdict::Ok => Ok(connector.session_of(judgement.captured, now_ms())),
        verdict => Err(Problem {
            too_many: TooMany::of(&judgement),
            text: format!(
                "the login was answered with {} {} {}",
                verdict.as_str(),
                judgement.code.unwrap_or_default(),
                judgement.message.unwrap_or_default()
            ),
        }),
    }
}
