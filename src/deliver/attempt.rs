//! One attempt at one delivery: plan, exchange, outcome, until there is a row to settle.

use super::age::age_ms;
use super::evidence::Evidence;
use super::exchange::{Exchange, Progress};
use super::identical::Sent;
use super::outcome::{BYTES_DIFFER, Cause, Ruling, again, due_again, not_so_fast, ruling};
use super::plan::{Abilities, LookedUp, Next, Situation, next};
use super::sender::Sender;
use super::sign::Sign;
use crate::attachment::AttachmentError;
use crate::clock::now_ms;
use crate::connector::{AfterWithdraw, Connector, Facts, Files, Operation, idempotency_key};
use crate::record::{Appearance, AttemptId, Wanted};
use crate::store::{Claim, NewAttempt, Settled, Settlement, StoreError};
use serde_json::Value;

/// Look up, publish, update, and once more: no honest platform needs as many.
const OPERATIONS_MAX: usize = 6;
/// How long a delivery waits for an object store that does not answer.
const FILES_AGAIN_MS: i64 = 15_000;

/// How an attempt ended.
pub(super) struct Attempted {
    pub(super) settlement: Settlement,
    /// What it says about the platform.
    pub(super) sign: Sign,
}

impl Attempted {
    /// Returns the cause in one line; secrets masked.
    pub(super) fn cause(&self) -> String {
        let attempt = &self.settlement.attempt;
        let (stage, class) = (&attempt.stage, &attempt.verdict);
        Cause::new(stage, class, &attempt.code, attempt.message.as_str()).in_one_line()
    }
}

/// Tries `claim` once; a probe that the platform does not answer loses no try. `None` when
/// somebody else holds the delivery by now.
pub(super) async fn attempt(
    sender: &Sender,
    claim: &Claim,
    is_probe: bool,
) -> Result<Option<Attempted>, StoreError> {
    let started_at = now_ms();
    let record = match claim.document.json() {
        Ok(record) => record,
        Err(error) => {
            let cause = Cause::new("render", "render", "document", error.to_string());
            return Ok(Some(unsent(sender, claim, cause, started_at)));
        }
    };
    // A withdrawal must get through even when the contract has changed meanwhile.
    if claim.wanted == Wanted::Shown
        && !claim.was_delivered
        && let Some(error) = sender.connector.contract_errors(record).first()
    {
        let text = format!("{}（{}）", error.detail, error.pointer);
        let cause = Cause::new("contract", "contract", &error.code, text);
        return Ok(Some(unsent(sender, claim, cause, started_at)));
    }
    let files = match attachments(sender, claim, record).await {
        Ok(files) => files,
        Err(AttachmentError::Store(error)) => return Err(error),
        Err(error) => return Ok(Some(without_files(sender, claim, &error, started_at))),
    };
    let progress = Progress::of(claim);
    let sent = Sent::read(&sender.store, &sender.connector, claim).await?;
    let mut run = Attempt {
        claim,
        connector: &sender.connector,
        looked_up: None,
        operation: Operation::Publish,
        is_probe,
        sign: Sign::None,
        cause: None,
        exchange: Exchange {
            store: &sender.store,
            connector: &sender.connector,
            transport: &sender.transport,
            sessions: &sender.sessions,
            pace: &sender.pace,
            claim,
            facts: facts(claim, record, files, &progress),
            progress,
            evidence: Evidence::default(),
            sent,
        },
    };
    let Some(outcome) = run.until_settled().await? else {
        return Ok(None);
    };
    let sign = run.sign;
    Ok(Some(Attempted {
        settlement: run.settlement(outcome, started_at),
        sign,
    }))
}

pub(super) fn facts(claim: &Claim, record: &Value, files: Files, progress: &Progress) -> Facts {
    let mut captured = serde_json::Map::new();
    for values in progress.done.values().filter_map(Value::as_object) {
        captured.extend(values.clone());
    }
    Facts {
        record: minijinja::Value::from(minijinja::value::Serde(record)),
        key: idempotency_key(&claim.record_id),
        version: claim.version,
        remote_id: claim.remote_id.clone(),
        remote_url: claim.remote_url.clone(),
        reason: claim.reason.clone(),
        captured,
        files,
    }
}

async fn attachments(
    sender: &Sender,
    claim: &Claim,
    record: &Value,
) -> Result<Files, AttachmentError> {
    let mut files = Files::new();
    // What is to be taken down or only looked at carries no files.
    let carries = claim.wanted == Wanted::Shown && !claim.was_delivered;
    if !carries || !sender.connector.uses_attachment_bytes() {
        return Ok(files);
    }
    let digests = record["attachments"].as_array().into_iter().flatten();
    for sha256 in digests.filter_map(|attachment| attachment["sha256"].as_str()) {
        if !files.contains_key(sha256) {
            let content = sender.attachments.read(sha256).await?;
            files.insert(sha256.to_owned(), content);
        }
    }
    Ok(files)
}

/// Returns the settlement of a delivery whose files cannot be had: tried again when the object
/// store is to blame, a matter for a person when a file is lost.
fn without_files(
    sender: &Sender,
    claim: &Claim,
    error: &AttachmentError,
    started_at: i64,
) -> Attempted {
    tracing::warn!(
        error = error as &dyn std::error::Error, platform = %claim.platform,
        "The files of {} cannot be read", claim.delivery
    );
    let is_lost = matches!(error, AttachmentError::Missing(_));
    let text = match is_lost {
        true => "附件在存储中找不到，请检查附件存储，恢复后重放",
        false => "附件存储暂时不可用，稍后自动重试",
    };
    let code = if is_lost { "missing" } else { "unavailable" };
    let cause = Cause::new("render", "attachment", code, text);
    let mut attempted = unsent(sender, claim, cause, started_at);
    if !is_lost {
        let due_at = now_ms() + FILES_AGAIN_MS;
        attempted.settlement.outcome = Settled::Postponed { due_at };
    }
    attempted
}

/// Returns the settlement of a delivery that cannot even be tried.
fn unsent(sender: &Sender, claim: &Claim, cause: Cause, started_at: i64) -> Attempted {
    let attempt = NewAttempt {
        id: AttemptId::generate(),
        operation: Operation::Publish.as_str().to_owned(),
        started_at,
        duration_ms: now_ms() - started_at,
        verdict: cause.class.clone(),
        stage: cause.stage.clone(),
        code: cause.code.clone(),
        message: cause.text.clone(),
        exchanges: "[]".to_owned(),
    };
    Attempted {
        settlement: Settlement {
            delivery: claim.delivery.clone(),
            token: claim.token,
            sent_version: claim.version,
            outcome: cause.failed(&sender.connector.id, claim.in_doubt),
            attempt,
            progress: None,
            now: now_ms(),
        },
        sign: Sign::None,
    }
}

struct Attempt<'a> {
    claim: &'a Claim,
    connector: &'a Connector,
    exchange: Exchange<'a>,
    looked_up: Option<LookedUp>,
    /// The operation that ran last.
    operation: Operation,
    is_probe: bool,
    /// What the last operation says about the platform.
    sign: Sign,
    cause: Option<Cause>,
}

impl Attempt<'_> {
    async fn until_settled(&mut self) -> Result<Option<Settled>, StoreError> {
        for _ in 0..OPERATIONS_MAX {
            let operation = match next(&self.situation()) {
                Next::Do(operation) => operation,
                Next::AlreadyShown => return Ok(Some(self.shown())),
                Next::AlreadyGone => return Ok(Some(self.gone())),
                Next::NothingToDo => return Ok(Some(Settled::Skipped)),
                Next::CannotWithdraw => {
                    let text = "平台不支持自动撤下，请人工到平台撤下后登记";
                    return Ok(Some(self.fail(Cause::new(
                        "withdraw",
                        "reject",
                        "withdraw_unsupported",
                        text,
                    ))));
                }
                Next::CannotTell => {
                    let text = "上次推送没有收到回执，平台又不支持查询，请人工核对";
                    return Ok(Some(self.fail(Cause::new(
                        "withdraw",
                        "unknown",
                        "no_look_up",
                        text,
                    ))));
                }
            };
            self.operation = operation;
            let ended = self.exchange.run(operation).await?;
            self.sign = Sign::of(&ended);
            match ruling(self.connector, operation, ended) {
                Ruling::LeaseLost => return Ok(None),
                Ruling::Done | Ruling::Duplicate if operation == Operation::LookUp => {
                    self.note_look_up()
                }
                Ruling::Done => return Ok(Some(self.done(operation))),
                Ruling::Duplicate => {
                    // There, but maybe in an older version: bring it up to date if that is possible.
                    let can_update = operation == Operation::Publish
                        && self.connector.updates_by_itself()
                        && self.exchange.facts.remote_id.is_some();
                    if !can_update {
                        return Ok(Some(self.done(operation)));
                    }
                    self.looked_up = Some(LookedUp {
                        found: true,
                        version: None,
                    });
                }
                Ruling::Unknown(cause) => return self.resolve_unknown(operation, cause).await,
                Ruling::Again {
                    cause,
                    wait,
                    in_doubt,
                } => {
                    let again = self.again(operation, cause, wait, in_doubt).await?;
                    return Ok(Some(again));
                }
                Ruling::Later { cause, at_ms } => {
                    self.cause = Some(cause);
                    return Ok(Some(Settled::Postponed { due_at: at_ms }));
                }
                Ruling::Failed(cause) => return Ok(Some(self.fail(cause))),
            }
        }
        let text = "平台的回答前后矛盾，请人工核对";
        Ok(Some(self.fail(Cause::new(
            self.operation.as_str(),
            "unknown",
            "no_end",
            text,
        ))))
    }

    fn situation(&self) -> Situation {
        let claim = self.claim;
        Situation {
            wanted: claim.wanted,
            version: claim.version,
            was_delivered: claim.was_delivered,
            in_doubt: claim.in_doubt,
            remote_known: self.exchange.facts.remote_id.is_some(),
            ever_shown: claim.shown_version.is_some(),
            begun: self.exchange.progress.begun(),
            looked_up: self.looked_up,
            abilities: Abilities {
                identity: self.connector.identity(),
                look_up: self.connector.can(Operation::LookUp),
                withdraw: self.connector.can(Operation::Withdraw),
            },
        }
    }

    fn note_look_up(&mut self) {
        let captured = self
            .exchange
            .progress
            .done
            .values()
            .filter_map(Value::as_object);
        let version = captured
            .filter_map(|values| values.get("remote_version"))
            .find_map(|value| {
                value
                    .as_i64()
                    .or_else(|| value.as_str()?.trim().parse().ok())
            })
            .filter(|_| !self.claim.reworded);
        let found = self.exchange.progress.done.values().any(|values| {
            values
                .get("remote_id")
                .is_some_and(|id| !id.is_null() && id != "")
        });
        self.looked_up = Some(LookedUp { found, version });
        // A look-up is asked anew each time; it is no progress to resume.
        self.exchange.progress = Progress::default();
    }

    /// An answer that no rule recognises: the platform itself is asked what became of it.
    async fn resolve_unknown(
        &mut self,
        operation: Operation,
        cause: Cause,
    ) -> Result<Option<Settled>, StoreError> {
        if !operation.changes_something() {
            let settle = std::time::Duration::from_millis(self.connector.settle_ms());
            let again = self.again(operation, cause, settle, false).await?;
            return Ok(Some(again));
        }
        if self.connector.can(Operation::LookUp) {
            let ended = self.exchange.run(Operation::LookUp).await?;
            self.sign = Sign::of(&ended);
            match ruling(self.connector, Operation::LookUp, ended) {
                Ruling::LeaseLost => return Ok(None),
                Ruling::Done | Ruling::Duplicate => {
                    self.note_look_up();
                    match next(&self.situation()) {
                        Next::AlreadyShown => return Ok(Some(self.shown())),
                        Next::AlreadyGone => return Ok(Some(self.gone())),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        self.looked_up = None;
        let text = match cause.text.is_empty() {
            true => "平台的回答无法识别，查询后仍不能确认，请人工核对".to_owned(),
            false => cause.text.clone(),
        };
        Ok(Some(self.fail(Cause { text, ..cause })))
    }

    fn done(&mut self, operation: Operation) -> Settled {
        match operation {
            Operation::Publish | Operation::Update | Operation::LookUp => self.shown(),
            Operation::Withdraw => self.gone(),
            Operation::ReadBack => self.read_back(),
        }
    }

    fn shown(&self) -> Settled {
        let facts = &self.exchange.facts;
        let check_at = self
            .connector
            .read_back_schedule()
            .map(|(wait_ms, _)| now_ms() + wait_ms as i64);
        Settled::Shown {
            remote_id: facts.remote_id.clone(),
            remote_url: facts.remote_url.clone(),
            check_at,
        }
    }

    fn gone(&self) -> Settled {
        Settled::Gone {
            forget_remote: self.connector.after_withdraw() == AfterWithdraw::New,
        }
    }

    fn read_back(&mut self) -> Settled {
        let facts = &self.exchange.facts;
        let appearance = self.connector.appearance(Operation::ReadBack, facts);
        if appearance == Appearance::Confirmed {
            return Settled::Confirmed {
                remote_id: facts.remote_id.clone(),
                remote_url: facts.remote_url.clone(),
            };
        }
        let word = appearance.as_str();
        self.cause = Some(Cause::new("read_back", word, "", appearance.text()));
        self.look_again()
    }

    /// Looks again later and later, until the connector's number of looks is used up.
    fn look_again(&self) -> Settled {
        let looks = self.claim.tries + 1;
        let check_at = self
            .connector
            .read_back_schedule()
            .and_then(|(wait_ms, looks_max)| {
                let growth = 1_u64 << looks.clamp(0, 10);
                (looks < looks_max).then(|| now_ms() + wait_ms.saturating_mul(growth) as i64)
            });
        Settled::StillUnderReview { check_at }
    }

    async fn again(
        &mut self,
        operation: Operation,
        cause: Cause,
        wait: std::time::Duration,
        in_doubt: bool,
    ) -> Result<Settled, StoreError> {
        self.cause = Some(cause.clone());
        let in_doubt = in_doubt || self.is_still_in_doubt();
        let now_ms = now_ms();
        let (store, claim) = (self.exchange.store, self.claim);
        let is_look = operation == Operation::ReadBack;
        if let Sign::TooMany(_) = self.sign {
            let age_ms = age_ms(store, self.connector, claim, now_ms).await?;
            let times = (age_ms, now_ms);
            let row = not_so_fast(self.connector, claim, &cause, wait, in_doubt, times);
            if !is_look || matches!(row, Settled::Retry { .. }) {
                return Ok(row);
            }
        }
        if is_look {
            return Ok(self.look_again());
        }
        if self.is_probe && self.sign.is_bad() {
            // The outage is to blame, however often and however long.
            return Ok(Settled::Retry {
                due_at: due_again(self.connector, claim, wait, now_ms),
                counts: false,
                in_doubt,
            });
        }
        let age_ms = age_ms(store, self.connector, claim, now_ms).await?;
        Ok(again(
            self.connector,
            claim,
            cause,
            wait,
            in_doubt,
            (age_ms, now_ms),
        ))
    }

    fn fail(&mut self, cause: Cause) -> Settled {
        self.cause = Some(cause.clone());
        if self.operation == Operation::ReadBack {
            return self.look_again();
        }
        // What was sent before may be there: a withdrawal must not take it for never shown.
        let in_doubt =
            cause.class == "unknown" || cause.code == BYTES_DIFFER || self.is_still_in_doubt();
        cause.failed(&self.connector.id, in_doubt)
    }

    /// A doubt ends only with the answer that there is nothing. What was found is known to this
    /// attempt alone, so that the next one has to ask again.
    fn is_still_in_doubt(&self) -> bool {
        match self.looked_up {
            Some(looked_up) => looked_up.found,
            None => self.claim.in_doubt,
        }
    }

    fn settlement(self, outcome: Settled, started_at: i64) -> Settlement {
        let cause = self
            .cause
            .unwrap_or_else(|| Cause::new(self.operation.as_str(), "ok", "", ""));
        let finished = matches!(
            outcome,
            Settled::Shown { .. }
                | Settled::Gone { .. }
                | Settled::Confirmed { .. }
                | Settled::Skipped
        );
        let progress = match finished {
            true => Some(Value::Null),
            false => serde_json::to_value(&self.exchange.progress).ok(),
        };
        let now = now_ms();
        Settlement {
            delivery: self.claim.delivery.clone(),
            token: self.claim.token,
            sent_version: self.claim.version,
            outcome,
            attempt: NewAttempt {
                id: AttemptId::generate(),
                operation: self.operation.as_str().to_owned(),
                started_at,
                duration_ms: now - started_at,
                verdict: cause.class,
                stage: cause.stage,
                code: cause.code,
                message: cause.text,
                exchanges: self.exchange.evidence.into_json(),
            },
            progress,
            now,
        }
    }
}
