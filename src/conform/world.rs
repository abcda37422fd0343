//! The scripted platform: one object, made, replaced and removed by whatever requests the
//! connector makes, answered from the connector's own samples.
//!
//! It knows a request by making the same one: each step of the connector is rendered for what the
//! hub may want to say right now, and the one that fits is the one that came. Nothing here knows
//! any platform.

mod identify;

use super::server::{Raw, Reaction};
use crate::connector::check::Sample;
use crate::connector::{
    Connector, Facts, Files, IdentityMode, Judgement, Operation, Response, Session, Verdict,
};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Longer than any sender waits.
const SILENCE: Duration = Duration::from_secs(30);
/// What a withdrawal by the kit says.
pub(super) const REASON: &str = "内容有误";
/// The token of the scripted platform; a secret like any other.
const TOKEN: &str = "conform-token-0b51f3a2c4";

/// What happens to the next request that would change something.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// Nothing is saved, and this is the answer.
    Say(Response),
    /// It is saved, and this is the answer.
    SaveAndSay(Response),
    /// It is saved, and no answer comes.
    SaveAndSilence,
    /// It is saved, and half of the answer comes.
    SaveAndHalf,
    /// It is saved and answered after a while.
    Slow(Duration),
}

/// One request that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) operation: Operation,
    pub(super) step: usize,
    /// The version it was made of.
    pub(super) version: i64,
}

/// An object on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) live: bool,
    pub(super) version: i64,
}

pub(super) struct World {
    pub(super) connector: Arc<Connector>,
    samples: Vec<Sample>,
    login: Option<Response>,
    session: Session,
    files: Files,
    state: Mutex<State>,
    seen: watch::Sender<Vec<Seen>>,
}

#[derive(Default)]
struct State {
    documents: Vec<Value>,
    objects: Vec<Object>,
    remote_ids: Vec<String>,
    remote_url: Option<String>,
    script: VecDeque<Play>,
    always: Option<Play>,
    /// Everything is answered with what was sent.
    echo: bool,
    logins: usize,
    /// What the kit itself could not do.
    problems: Vec<String>,
}

/// What a request is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Login,
    Step(Seen),
}

impl World {
    pub(super) fn new(
        connector: Arc<Connector>,
        samples: Vec<Sample>,
        login: Option<Response>,
        files: Files,
    ) -> Self {
        let session = match (&login, connector.login_step()) {
            (Some(answer), Some(step)) => {
                let captured = connector.judge(step, answer, 0).captured;
                connector.session_of(captured, 0)
            }
            _ => connector.read_token(&token_answer(), 0).unwrap_or_default(),
        };
        Self {
            connector,
            samples,
            login,
            session,
            files,
            state: Mutex::default(),
            seen: watch::Sender::new(Vec::new()),
        }
    }

    /// Says what the hub may want to show from now on.
    pub(super) fn expect(&self, document: Value) {
        self.state().documents.push(document);
    }

    /// Plays these for the next requests that change something, in order.
    pub(super) fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.state().script.extend(plays);
    }

    /// Plays this for all requests that change something.
    pub(super) fn always(&self, play: Play) {
        self.state().always = Some(play);
    }

    /// Answers whatever would change something with what was sent, secrets and all.
    pub(super) fn echo(&self) {
        self.state().echo = true;
    }

    /// Puts an object there, as a sender did that died before it could say so.
    pub(super) fn put(&self, version: i64) {
        self.state().objects.push(Object {
            live: true,
            version,
        });
    }

    pub(super) fn objects(&self) -> Vec<Object> {
        self.state().objects.clone()
    }

    pub(super) fn logins(&self) -> usize {
        self.state().logins
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.state().problems.clone()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until a request has come that changes something.
    pub(super) async fn until_change(&self) {
        let mut seen = self.seen.subscribe();
        let changed = |seen: &Vec<Seen>| seen.iter().any(|it| it.operation.changes_something());
        // An error cannot be: `self` holds the other end.
        let _ = seen.wait_for(changed).await;
    }

    /// Returns whether `text` shows a secret of the connector or of the session.
    pub(super) fn shows_a_secret(&self, text: &str) -> bool {
        let mut mask = self.connector.mask().clone();
        for value in self.session.values.values().filter_map(Value::as_str) {
            // Words such as "bearer" belong to the token answer and are no secrets.
            if value.len() >= 8 {
                mask.add(value);
            }
        }
        mask.apply(text) != text
    }

    /// Reads a request, does what it asks for, and says how it is answered.
    pub(super) async fn react(&self, raw: &Raw) -> Reaction {
        let Some(kind) = self.identify(raw) else {
            let problem = format!("no step makes the request {} {}", raw.method, raw.target);
            self.state().problems.push(problem);
            return Reaction::Answer(plain(404, "text/plain", "no such address"));
        };
        let seen = match kind {
            Kind::Login => {
                self.state().logins += 1;
                return Reaction::Answer(self.login.clone().unwrap_or_else(token_answer));
            }
            Kind::Step(seen) => seen,
        };
        let play = match seen.operation.changes_something() {
            true => {
                let mut state = self.state();
                let next = state.script.pop_front();
                next.or_else(|| state.always.clone())
            }
            false => None,
        };
        self.seen.send_modify(|all| all.push(seen));
        if seen.operation.changes_something() && self.state().echo {
            let text = format!("{raw:?}\n{}", String::from_utf8_lossy(&raw.body));
            return Reaction::Answer(plain(200, "text/plain", &text));
        }
        match play {
            None => Reaction::Answer(self.carry_out(seen)),
            Some(Play::Say(answer)) => Reaction::Answer(answer),
            Some(Play::SaveAndSay(answer)) => {
                self.carry_out(seen);
                Reaction::Answer(answer)
            }
            Some(Play::SaveAndSilence) => {
                self.carry_out(seen);
                Reaction::Silence(SILENCE)
            }
            Some(Play::SaveAndHalf) => Reaction::Half(self.carry_out(seen)),
            Some(Play::Slow(time)) => {
                tokio::time::sleep(time).await;
                Reaction::Answer(self.carry_out(seen))
            }
        }
    }

    /// Returns the answer that a sample gives for a step, when the connector reads it as `fits`.
    pub(super) fn sampled(
        &self,
        operation: Operation,
        step: usize,
        fits: impl Fn(&Sample, &Judgement) -> bool,
    ) -> Option<Response> {
        let compiled = self.connector.steps(operation).get(step)?;
        let own = |sample: &&Sample| sample.operation == operation;
        let publish = |sample: &&Sample| {
            operation == Operation::Update && sample.operation == Operation::Publish
        };
        let all = self.samples.iter().filter(own);
        all.chain(self.samples.iter().filter(publish))
            .find_map(|sample| {
                let answer = sample.answers.get(step)?;
                let judgement = self.connector.judge(compiled, answer, 0);
                fits(sample, &judgement).then(|| self.about_our_record(sample, answer))
            })
    }

    /// The answer of a sample, about the record of this case.
    fn about_our_record(&self, sample: &Sample, answer: &Response) -> Response {
        let state = self.state();
        let ours = state.documents.last().and_then(|it| it["id"].as_str());
        let body = match (ours, sample.record["id"].as_str()) {
            (Some(ours), Some(theirs)) => replaced(&answer.body, theirs, ours),
            _ => answer.body.to_vec(),
        };
        Response {
            body: Bytes::from(body),
            ..answer.clone()
        }
    }

    /// Does what a request asks for and returns the answer.
    fn carry_out(&self, seen: Seen) -> Response {
        let ok = |_: &Sample, judgement: &Judgement| judgement.verdict == Verdict::Ok;
        let is_gone = |sample: &Sample| sample.case.contains("gone");
        let has_id = |it: &Judgement| it.captured.get("remote_id").is_some_and(|id| !id.is_null());
        let was_live = self.objects().iter().any(|object| object.live);
        let answer = match seen.operation {
            Operation::Publish if seen.step == 0 && !self.make(seen.version) => self
                .sampled(seen.operation, 0, |_, it| it.verdict == Verdict::Duplicate)
                .or_else(|| self.sampled(seen.operation, 0, ok)),
            Operation::Publish => self.sampled(seen.operation, seen.step, ok),
            Operation::Update => {
                self.replace(seen.version);
                self.sampled(seen.operation, seen.step, ok)
            }
            Operation::Withdraw => {
                self.state()
                    .objects
                    .iter_mut()
                    .for_each(|it| it.live = false);
                let fits =
                    |sample: &Sample, it: &Judgement| ok(sample, it) && is_gone(sample) != was_live;
                self.sampled(seen.operation, seen.step, fits)
                    .or_else(|| self.sampled(seen.operation, seen.step, ok))
            }
            Operation::LookUp => self.sampled(seen.operation, seen.step, |sample, it| {
                ok(sample, it) && has_id(it) == was_live
            }),
            Operation::ReadBack => self.sampled(seen.operation, seen.step, ok),
        };
        let Some(answer) = answer else {
            let (operation, step) = (seen.operation.as_str(), seen.step + 1);
            let which = match (seen.operation, was_live) {
                (Operation::LookUp, true) => " that finds the object",
                (Operation::LookUp, false) => " that does not find the object",
                _ => " that ends well",
            };
            let problem = format!("there is no sample of `{operation}`, request {step},{which}");
            self.state().problems.push(problem);
            return plain(501, "text/plain", "no sample");
        };
        self.remember(seen, &answer);
        answer
    }

    /// Makes an object, if the platform does not know that it has it. Returns whether it did.
    fn make(&self, version: i64) -> bool {
        let mut state = self.state();
        let known = state.objects.first().copied();
        match (self.connector.identity(), known) {
            (IdentityMode::IdempotencyHeader, Some(_)) => false,
            (IdentityMode::ClientId, Some(_)) => {
                state.objects[0] = Object {
                    live: true,
                    version,
                };
                true
            }
            (IdentityMode::LookUp, _) | (_, None) => {
                state.objects.push(Object {
                    live: true,
                    version,
                });
                true
            }
        }
    }

    fn replace(&self, version: i64) {
        if let Some(object) = self.state().objects.last_mut() {
            *object = Object {
                live: true,
                version,
            };
        }
    }

    /// Remembers the ids that an answer hands out: the hub will name the object by them.
    fn remember(&self, seen: Seen, answer: &Response) {
        let Some(step) = self.connector.steps(seen.operation).get(seen.step) else {
            return;
        };
        let mut facts = Facts::default();
        facts.take_over(&self.connector.judge(step, answer, 0).captured);
        let mut state = self.state();
        if let Some(id) = facts.remote_id
            && !state.remote_ids.contains(&id)
        {
            state.remote_ids.push(id);
        }
        state.remote_url = facts
            .remote_url
            .map(|url| self.connector.public_address(&url))
            .or(state.remote_url.take());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replaced(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        match rest.strip_prefix(from.as_bytes()) {
            Some(after) if !from.is_empty() => {
                out.extend_from_slice(to.as_bytes());
                rest = after;
            }
            _ => {
                out.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    out
}

/// Makes an answer of text.
pub(super) fn plain(status: u16, kind: &str, text: &str) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: Bytes::from(text.to_owned()),
    }
}

fn token_answer() -> Response {
    let token = json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3_600});
    plain(200, "application/json", &token.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_replaced_in_bytes_of_any_charset() {
        assert_eq!(
            replaced(b"\x81\x30id-1\x81", "id-1", "id-22"),
            b"\x81\x30id-22\x81"
        );
    }
}
