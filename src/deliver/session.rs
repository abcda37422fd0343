//! Logs in to platforms that want it: one login at a time, shared by all senders of a platform.
//!
//! A refused login is not repeated by every delivery that waits, which would lock the account:
//! all of them are told when the next login will be tried.

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
                let wait = login_wait(state.refusals);
                let refused = LoginRefused {
                    problem: connector.mask().apply(&problem),
                    try_at_ms: now_ms() + wait.as_millis() as i64,
                    is_old: false,
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

/// Returns how long to wait after so many refusals before this one: between half of the step and
/// all of it. Several processes that were refused at once do not come back at once, and none comes
/// back so soon that the account could be locked.
fn login_wait(refusals: usize) -> Duration {
    let half = LOGIN_SCHEDULE.step(refusals) / 2;
    half + half.mul_f64(rand::random::<f64>())
}

async fn log_in(connector: &Connector, transport: &Transport) -> Result<Session, String> {
    let allows = |url: &url::Url| connector.allows(url);
    if let Some(request) = connector
        .token_request()
        .map_err(|error| error.to_string())?
    {
        let response = transport
            .send(&request, allows)
            .await
            .map_err(|error| error.to_string())?;
        return connector.read_token(&response, now_ms()).ok_or_else(|| {
            format!(
                "the token endpoint answered HTTP {} without a token",
                response.status
            )
        });
    }
    let Some(step) = connector.login_step() else {
        return Ok(Session::default());
    };
    let request = connector
        .request(
            step,
            &Facts::default(),
            None,
            &Session::default(),
            &Moment::now(),
        )
        .map_err(|error| error.to_string())?;
    let response = transport
        .send(&request, allows)
        .await
        .map_err(|error| error.to_string())?;
    let judgement = connector.judge(step, &response, now_ms());
    match judgement.verdict {
        Verdict::Ok => Ok(connector.session_of(judgement.captured, now_ms())),
        verdict => Err(format!(
            "the login was answered with {} {} {}",
            verdict.as_str(),
            judgement.code.unwrap_or_default(),
            judgement.message.unwrap_or_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_spread_and_never_come_back_at_once() {
        for (refusals, step_s) in [(0, 1), (1, 2), (4, 16), (20, 300)] {
            let step = Duration::from_secs(step_s);
            let waits: Vec<Duration> = (0..200).map(|_| login_wait(refusals)).collect();
            let (least, most) = (waits.iter().min(), waits.iter().max());
            assert!(least.is_some_and(|it| *it >= step / 2 && *it < step * 6 / 10));
            assert!(most.is_some_and(|it| *it <= step && *it > step * 9 / 10));
        }
    }
}
