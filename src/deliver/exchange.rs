//! Runs the steps of one operation against a platform, one request after the other.
//!
//! Steps that are done are never done again: their captured values are stored before the next
//! step begins, so that a crash or a failure resumes where it stopped.

use super::evidence::{Evidence, mask_of};
use super::identical::{Sent, asked_version};
use super::pace::Pace;
use super::session::{Current, LoginRefused, Sessions};
use super::transport::{SendError, Transport};
use crate::clock::now_ms;
use crate::connector::{
    CompiledStep, Connector, Facts, Judgement, Moment, Operation, RenderError, Verdict,
};
use crate::failpoint::{Point, reach};
use crate::record::Wanted;
use crate::store::{Claim, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Instant;

/// How an operation ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The platform answered; of several steps, the one that decided.
    Judged { step: String, judgement: Judgement },
    /// The request could not be made.
    Unrendered { step: String, error: RenderError },
    /// The request is not the one that was sent before, as an operator wants it.
    Differs { step: String },
    /// No answer.
    Unanswered { step: String, error: SendError },
    /// No session could be had.
    NoSession(LoginRefused),
    /// Somebody else holds the delivery by now; stop without a word.
    LeaseLost,
}

/// The finished steps of one version, as stored with the delivery.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) version: i64,
    pub(super) operation: String,
    /// Step (with `#index` in a `for_each`) → what it captured.
    pub(super) done: Map<String, Value>,
    /// The version that shall be sent as it was sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identical: Option<i64>,
}

impl Progress {
    /// Returns the progress of a claim as far as it still counts: of this version, and to show it.
    pub(super) fn of(claim: &Claim) -> Self {
        claim
            .progress
            .clone()
            .and_then(|value| serde_json::from_value::<Self>(value).ok())
            .filter(|progress| progress.version == claim.version && claim.wanted == Wanted::Shown)
            .unwrap_or_default()
    }

    /// Returns the operation that was begun and not finished.
    pub(super) fn begun(&self) -> Option<Operation> {
        match self.done.is_empty() {
            true => None,
            false => Operation::parse(&self.operation).filter(|it| it.changes_something()),
        }
    }
}

/// All that one attempt at one delivery needs.
pub(super) struct Exchange<'a> {
    pub(super) store: &'a Store,
    pub(super) connector: &'a Connector,
    pub(super) transport: &'a Transport,
    pub(super) sessions: &'a Sessions,
    pub(super) pace: &'a Pace,
    pub(super) claim: &'a Claim,
    pub(super) facts: Facts,
    pub(super) progress: Progress,
    pub(super) evidence: Evidence,
    /// What was sent of this version, when nothing else may be.
    pub(super) sent: Option<Sent>,
}

impl Exchange<'_> {
    /// Runs `operation` from its first step that is not done.
    pub(super) async fn run(&mut self, operation: Operation) -> Result<Ended, StoreError> {
        // A question is asked anew each time; only what changes something is resumed.
        if self.progress.operation != operation.as_str() || !operation.changes_something() {
            self.progress = Progress {
                version: self.claim.version,
                operation: operation.as_str().to_owned(),
                done: Map::new(),
                identical: self.claim.progress.as_ref().and_then(asked_version),
            };
        }
        let connector = self.connector;
        let steps = connector.steps(operation);
        let mut last = None;
        for (index, step) in steps.iter().enumerate() {
            let items = match connector.items(step, &self.facts) {
                Ok(items) => items,
                Err(error) => {
                    return Ok(Ended::Unrendered {
                        step: step.name.clone(),
                        error,
                    });
                }
            };
            let count = items.len();
            for (number, item) in items.into_iter().enumerate() {
                let key = match &item {
                    Some(_) => format!("{}#{number}", step.name),
                    None => step.name.clone(),
                };
                if self.progress.done.contains_key(&key) {
                    continue;
                }
                let judgement = match self.step(step, item.as_ref()).await {
                    Ok(judgement) => judgement,
                    Err(ended) => return Ok(ended),
                };
                let is_duplicate = judgement.verdict == Verdict::Duplicate;
                // A duplicate of the object itself is the caller's to judge; one of a later step,
                // such as a file that is already there, is as good as done.
                let goes_on = judgement.verdict == Verdict::Ok || is_duplicate && index > 0;
                if goes_on || is_duplicate {
                    self.keep(key, &judgement.captured);
                }
                if !goes_on {
                    return Ok(Ended::Judged {
                        step: step.name.clone(),
                        judgement,
                    });
                }
                let more = number + 1 < count || index + 1 < steps.len();
                if more && operation.changes_something() && !self.save().await? {
                    return Ok(Ended::LeaseLost);
                }
                last = Some((step.name.clone(), judgement));
            }
        }
        // Every step was done before or left out: nothing more to ask.
        let (step, judgement) = last.unwrap_or_else(|| (String::new(), done_before()));
        Ok(Ended::Judged { step, judgement })
    }

    /// Keeps what a finished step captured, for the steps after it and for the next try.
    fn keep(&mut self, key: String, captured: &Map<String, Value>) {
        self.facts.take_over(captured);
        let address = self.facts.remote_url.as_deref();
        self.facts.remote_url = address.map(|it| self.connector.public_address(it));
        self.progress
            .done
            .insert(key, Value::Object(captured.clone()));
    }

    async fn save(&self) -> Result<bool, StoreError> {
        let progress = serde_json::to_value(&self.progress).unwrap_or(Value::Null);
        self.store
            .save_progress(
                &self.claim.delivery,
                self.claim.token,
                progress,
                self.facts.remote_id.clone(),
                self.facts.remote_url.clone(),
            )
            .await
    }

    /// Sends one request; when the session has expired, logs in once and sends it again.
    async fn step(
        &mut self,
        step: &CompiledStep,
        item: Option<&minijinja::Value>,
    ) -> Result<Judgement, Ended> {
        let mut logged_in_anew = false;
        loop {
            let current = self
                .sessions
                .get(self.connector, self.transport)
                .await
                .map_err(Ended::NoSession)?;
            let judgement = self.once(step, item, &current).await?;
            let may_log_in = self.connector.needs_session() && !logged_in_anew;
            if judgement.verdict != Verdict::Auth || !may_log_in {
                return Ok(judgement);
            }
            self.sessions.forget(current.number).await;
            logged_in_anew = true;
        }
    }

    async fn once(
        &mut self,
        step: &CompiledStep,
        item: Option<&minijinja::Value>,
        current: &Current,
    ) -> Result<Judgement, Ended> {
        let connector = self.connector;
        self.pace.turn().await;
        // Rendered after the wait: a signature carries the time.
        let large = self.facts.has_large_files();
        let made = aside(large, || {
            connector.request(step, &self.facts, item, &current.session, &Moment::now())
        });
        let request = made.map_err(|error| Ended::Unrendered {
            step: step.name.clone(),
            error,
        })?;
        let begun = !self.progress.done.is_empty();
        let sent = self.sent.as_ref();
        if sent.is_some_and(|sent| !aside(large, || sent.allows(&step.name, begun, &request.body)))
        {
            return Err(Ended::Differs {
                step: step.name.clone(),
            });
        }
        let began = Instant::now();
        reach(Point::SendBegins);
        let answer = self
            .transport
            .send(&request, |url| connector.allows(url))
            .await;
        reach(Point::SendAnswered);
        let took = began.elapsed();
        metrics::histogram!("synchub_request_seconds", "platform" => connector.id.clone())
            .record(took.as_secs_f64());
        let judged = answer.map(|response| {
            let judgement = connector.judge(step, &response, now_ms());
            (response, judgement)
        });
        aside(large, || {
            self.evidence.add(
                connector,
                &current.session,
                &step.name,
                &request,
                judged
                    .as_ref()
                    .map(|(response, judgement)| (response, judgement)),
                took,
            );
        });
        match judged {
            Ok((_, mut judgement)) => {
                let mask = mask_of(connector, &current.session);
                judgement.message = judgement.message.map(|message| mask.apply(&message));
                Ok(judgement)
            }
            Err(error) => Err(Ended::Unanswered {
                step: step.name.clone(),
                error,
            }),
        }
    }
}

/// Runs `work`; when it reads large files, so that the tasks of others go on meanwhile.
fn aside<T>(reads_files: bool, work: impl FnOnce() -> T) -> T {
    match reads_files {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

fn done_before() -> Judgement {
    Judgement {
        verdict: Verdict::Ok,
        code: None,
        message: None,
        captured: Map::new(),
        retry_after_ms: None,
    }
}
