//! Group commit: one task per store gathers what many callers hand over into one transaction.
//!
//! While one commit is on its way the next batch gathers. A batch that meets a conflict with
//! another process is tried again as a whole, then one by one, so that an error of one item never
//! loses the others. Nobody hears "done" before the commit.

use super::claim::{ClaimRequest, Renewal, claim, renew};
use super::db::{Pools, Tx};
use super::event::tell_settlements;
use super::settle::{ProgressUpdate, release, save_progress, settle};
use super::submit::submit;
use super::{Claim, NewSubmission, Settlement, StoreError, SubmitOutcome};
use crate::record::DeliveryId;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How many commands may wait; more make the caller wait.
const WAITING_MAX: usize = 1024;
/// How many commands one transaction takes.
const BATCH_MAX: usize = 256;
/// How often a conflict is tried again before it is reported.
const CONFLICT_TRIES_MAX: usize = 3;

/// What can be asked of the writer.
pub(super) enum Command {
    Submit(Box<NewSubmission>),
    Settle(Box<Settlement>),
    Progress(ProgressUpdate),
    Release(Vec<(DeliveryId, i64)>),
    Renew(Renewal),
    Claim(ClaimRequest),
}

/// What the writer answers, in the same words.
pub(super) enum Answer {
    Submit(Box<SubmitOutcome>),
    Settle(bool),
    Progress(bool),
    Release,
    Renew,
    Claim(Vec<Claim>),
}

type Reply = oneshot::Sender<Result<Answer, StoreError>>;

enum Message {
    Work(Command, Reply),
    Close,
}

/// The handle of the task.
pub(super) struct Writer {
    messages: mpsc::Sender<Message>,
}

impl Writer {
    /// Starts the task; it ends when all handles are gone, or at [`Writer::close`].
    pub(super) fn start(pools: Arc<Pools>) -> Self {
        let (messages, inbox) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(pools, inbox));
        Self { messages }
    }

    /// Hands a command over, in call order; the answer comes after the commit.
    pub(super) async fn enqueue(
        &self,
        command: Command,
    ) -> Result<impl Future<Output = Result<Answer, StoreError>> + use<>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.messages
            .send(Message::Work(command, reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        Ok(async move { answer.await.unwrap_or(Err(StoreError::Closed)) })
    }

    /// Hands a command over and waits for its answer.
    pub(super) async fn ask(&self, command: Command) -> Result<Answer, StoreError> {
        self.enqueue(command).await?.await
    }

    /// Commits what was handed over so far and ends the task.
    pub(super) async fn close(&self) {
        // An error means that the task has ended already.
        let _ = self.messages.send(Message::Close).await;
        self.messages.closed().await;
    }
}

async fn run(pools: Arc<Pools>, mut inbox: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(BATCH_MAX);
    let mut closing = false;
    while !closing && inbox.recv_many(&mut messages, BATCH_MAX).await > 0 {
        let mut commands = Vec::with_capacity(messages.len());
        let mut replies = Vec::with_capacity(messages.len());
        for message in messages.drain(..) {
            match message {
                Message::Work(command, reply) => {
                    commands.push(command);
                    replies.push(reply);
                }
                Message::Close => closing = true,
            }
        }
        let answers = answer_all(&pools, &commands).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            // The caller may have gone away; what it asked for is done all the same.
            let _ = reply.send(answer);
        }
    }
}

/// Answers every command, each with its own result.
async fn answer_all(pools: &Pools, commands: &[Command]) -> Vec<Result<Answer, StoreError>> {
    let all: Vec<&Command> = commands.iter().collect();
    match commit_with_retries(pools, &all).await {
        Ok(answers) => return answers.into_iter().map(Ok).collect(),
        Err(error) if commands.len() == 1 || !error.concerns_one_item() => {
            return commands.iter().map(|_| Err(error.clone())).collect();
        }
        Err(_) => {}
    }
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        let answer = commit_with_retries(pools, &[command]).await;
        answers.push(answer.map(|mut answers| answers.remove(0)));
    }
    answers
}

async fn commit_with_retries(
    pools: &Pools,
    commands: &[&Command],
) -> Result<Vec<Answer>, StoreError> {
    let mut tries = 1;
    loop {
        match commit(pools, commands).await {
            Err(error) if error.is_conflict() && tries < CONFLICT_TRIES_MAX => tries += 1,
            result => return result,
        }
    }
}

async fn commit(pools: &Pools, commands: &[&Command]) -> Result<Vec<Answer>, StoreError> {
    let mut tx = pools
        .writer
        .begin_write()
        .await
        .map_err(StoreError::while_doing("begin a transaction"))?;
    let answers = answer_in(&mut tx, commands, pools.writes_events()).await?;
    tx.commit()
        .await
        .map_err(StoreError::while_doing("commit a transaction"))?;
    Ok(answers)
}

/// Does the commands of one kind together, first what frees deliveries, last what takes them.
/// Answers come in the order of the commands.
async fn answer_in(
    tx: &mut Tx,
    commands: &[&Command],
    events: bool,
) -> Result<Vec<Answer>, StoreError> {
    let mut progress = Vec::new();
    let mut settlements = Vec::new();
    let mut released = Vec::new();
    let mut submissions: Vec<&NewSubmission> = Vec::new();
    for command in commands {
        match command {
            Command::Progress(update) => progress.push(update),
            Command::Settle(settlement) => settlements.push(&**settlement),
            Command::Release(claims) => released.extend(claims),
            Command::Submit(new) => submissions.push(new),
            Command::Renew(_) | Command::Claim(_) => {}
        }
    }
    let mut progressed = save_progress(tx, &progress).await?.into_iter();
    let settled = settle(tx, &settlements).await?;
    if events {
        tell_settlements(tx, &settlements, &settled).await?;
    }
    let mut settled = settled.into_iter();
    release(tx, &released).await?;
    let mut submitted = submit(tx, &submissions, events).await?.into_iter();
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        const ONE_EACH: &str = "each kind answers as many as it was asked";
        answers.push(match command {
            Command::Progress(_) => Answer::Progress(progressed.next().expect(ONE_EACH)),
            Command::Settle(_) => Answer::Settle(settled.next().expect(ONE_EACH)),
            Command::Release(_) => Answer::Release,
            Command::Renew(renewal) => {
                renew(tx, renewal).await?;
                Answer::Renew
            }
            Command::Submit(_) => Answer::Submit(Box::new(submitted.next().expect(ONE_EACH))),
            Command::Claim(request) => Answer::Claim(claim(tx, request).await?),
        });
    }
    Ok(answers)
}
