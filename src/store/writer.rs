//! Group commit: a task gathers what many callers hand over into one transaction.
//!
//! SQLite has one writer, and so one task. On PostgreSQL a second one settles what went out while
//! the first accepts what comes in ([`Command::comes_in`]), so that the server works on one
//! transaction while the hub prepares the other. They meet in the database like two processes do.
//!
//! While one commit is on its way the next batch gathers. A batch that meets a conflict with
//! another process is tried again as a whole, then one by one, so that an error of one item never
//! loses the others. Nobody hears "done" before the commit.
//!
//! While the database does not answer, the task keeps what waits and tries again until it does.
//! A caller of the hub waits [`Limits::wait`] and is then told to come back; an outcome of a
//! delivery waits for as long as it takes, since it is known nowhere else. What was being claimed
//! when the connection broke may or may not be claimed; the first transaction after an outage
//! hands it back and renews the leases of what is in hand ([`Leases`]).

mod command;
mod leases;

use super::claim::{ClaimRequest, claim, renew};
use super::db::{Db, Pools, Tx, on};
use super::event::tell_settlements;
use super::outage::Health;
use super::settle::{abandon, release, save_progress, settle};
use super::standby::{Handover, Standbys};
use super::submit::submit;
use super::{Claim, NewSubmission, StoreError};
use crate::failpoint::{self, Point};
pub(super) use command::{Answer, Command};
#[cfg(test)]
pub(super) use leases::SHARED;
use leases::{Known, Leases};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many commands may wait; more make the caller wait.
const WAITING_MAX: usize = 1024;
/// How many commands one transaction takes.
const BATCH_MAX: usize = 256;
/// How often a conflict is tried again before it is reported.
const CONFLICT_TRIES_MAX: usize = 3;
/// Pause between two tries while the database does not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// What breaks off sooner may be a single connection.
const HICCUP_MAX: Duration = Duration::from_secs(1);
/// A transaction that takes longer hangs; slow is not hanging.
const TRANSACTION_MAX: Duration = Duration::from_secs(30);
/// How long a store that is being closed waits for a database that does not answer.
const CLOSING_WAIT: Duration = Duration::from_secs(5);

/// Writes what changes nothing, to learn whether the database can write at all: the header of the
/// file, or no more than a lock that a read-only server refuses.
const PROBE_SQLITE: &str = "PRAGMA user_version = 1";
const PROBE_POSTGRES: &str = "LOCK TABLE accounts IN ROW EXCLUSIVE MODE";
#[cfg(test)]
pub(super) const SQLITE: [&str; 1] = [PROBE_SQLITE];
#[cfg(test)]
pub(super) const POSTGRES: [&str; 1] = [PROBE_POSTGRES];

type Reply = oneshot::Sender<Result<Answer, StoreError>>;

struct Waiting {
    command: Command,
    /// When it was asked for; leases count from when it is done.
    since: Instant,
    reply: Reply,
}

enum Message {
    Work(Waiting),
    Close,
}

/// How long callers wait, and what ends their wait early.
#[derive(Clone)]
pub(super) struct Limits {
    pub(super) wait: Duration,
    pub(super) closing: CancellationToken,
}

impl Limits {
    /// Waits for `work`; what must be kept has no limit until the store is being closed.
    async fn hold<T>(
        &self,
        kept: bool,
        since: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let enough = async {
            match kept {
                false => tokio::time::sleep_until((since + self.wait).into()).await,
                true => {
                    self.closing.cancelled().await;
                    tokio::time::sleep(CLOSING_WAIT).await;
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = enough => None,
        }
    }
}

/// The handle of the tasks.
pub(super) struct Writer {
    lanes: Vec<mpsc::Sender<Message>>,
    limits: Limits,
}

/// What the tasks of one writer share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) pools: Arc<Pools>,
    pub(super) health: Arc<Health>,
    pub(super) standbys: Arc<Standbys>,
}

impl Writer {
    /// Starts the tasks; they end when all handles are gone, or at [`Writer::close`].
    pub(super) fn start(shared: &Shared, limits: Limits) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let lanes = (0..shared.pools.writes_at_once()).map(|_| {
            let (messages, inbox) = mpsc::channel(WAITING_MAX);
            let task = Task {
                shared: shared.clone(),
                inbox,
                waiting: VecDeque::new(),
                leases: Leases::knowing(Arc::clone(&known)),
                broken: false,
                closing: None,
            };
            tokio::spawn(task.run());
            messages
        });
        Self {
            lanes: lanes.collect(),
            limits,
        }
    }

    /// Returns the lane of `command`: the first for what comes in, the last for what goes out.
    fn lane(&self, command: &Command) -> Option<&mpsc::Sender<Message>> {
        match command.comes_in() {
            true => self.lanes.first(),
            false => self.lanes.last(),
        }
    }

    /// Hands a command over, in call order; the answer comes after the commit.
    pub(super) async fn enqueue(
        &self,
        command: Command,
    ) -> Result<impl Future<Output = Result<Answer, StoreError>> + use<>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let (kept, since) = (command.must_be_kept(), Instant::now());
        let lane = self.lane(&command).ok_or(StoreError::Closed)?;
        let message = Message::Work(Waiting {
            command,
            since,
            reply,
        });
        self.limits
            .hold(kept, since, lane.send(message))
            .await
            .ok_or_else(|| StoreError::not_in_time("take work in"))?
            .map_err(|_| StoreError::Closed)?;
        let limits = self.limits.clone();
        Ok(async move {
            match limits.hold(kept, since, answer).await {
                Some(answer) => answer.unwrap_or(Err(StoreError::Closed)),
                None => Err(StoreError::not_in_time("commit in time")),
            }
        })
    }

    /// Hands a command over and waits for its answer.
    pub(super) async fn ask(&self, command: Command) -> Result<Answer, StoreError> {
        self.enqueue(command).await?.await
    }

    /// Commits what was handed over so far and ends the tasks.
    pub(super) async fn close(&self) {
        for lane in &self.lanes {
            // An error means that the task has ended already.
            let _ = lane.send(Message::Close).await;
        }
        for lane in &self.lanes {
            lane.closed().await;
        }
    }
}

/// Gathers and commits what comes down one lane.
struct Task {
    shared: Shared,
    inbox: mpsc::Receiver<Message>,
    /// Taken out of the inbox and not answered yet, in order.
    waiting: VecDeque<Waiting>,
    leases: Leases,
    /// The last transaction broke off. One that did so alone is tried again at once and without a
    /// word: somebody ended a connection.
    broken: bool,
    /// When closing began.
    closing: Option<Instant>,
}

impl Task {
    async fn run(mut self) {
        loop {
            let goes_on = match self.shared.health.trouble() {
                None => self.gather().await,
                Some(trouble) => self.gather_in_trouble(&trouble).await,
            };
            if !goes_on {
                return;
            }
            let count = self.waiting.len().min(BATCH_MAX);
            let batch: Vec<Waiting> = self.waiting.drain(..count).collect();
            self.answer(batch).await;
        }
    }

    /// Waits for work. Returns false when there will be none.
    async fn gather(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        if self.closing.is_some() {
            return false;
        }
        let mut messages = Vec::new();
        if self.inbox.recv_many(&mut messages, BATCH_MAX).await == 0 {
            return false;
        }
        for message in messages {
            self.take(message);
        }
        true
    }

    /// Lets a moment pass and gives up what cannot wait. Returns false when it is time to end.
    async fn gather_in_trouble(&mut self, trouble: &StoreError) -> bool {
        tokio::time::sleep(RETRY_PAUSE).await;
        while self.waiting.len() < WAITING_MAX {
            match self.inbox.try_recv() {
                Ok(message) => self.take(message),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.closing.get_or_insert_with(Instant::now);
                    break;
                }
            }
        }
        let too_late = self
            .closing
            .is_some_and(|since| since.elapsed() > CLOSING_WAIT);
        for waiting in std::mem::take(&mut self.waiting) {
            // Who posted and went away was told to come back, and will.
            let gone = waiting.reply.is_closed() && !waiting.command.must_be_kept();
            if too_late || waiting.command.cannot_wait() {
                let _ = waiting.reply.send(Err(trouble.clone()));
            } else if !gone {
                self.waiting.push_back(waiting);
            }
        }
        !too_late && (self.closing.is_none() || !self.waiting.is_empty())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Work(waiting) => self.waiting.push_back(waiting),
            Message::Close => self.closing = Some(Instant::now()),
        }
    }

    /// Answers every command with its own result; in an outage, keeps what was not answered.
    async fn answer(&mut self, mut batch: Vec<Waiting>) {
        if self.shared.pools.writes_at_once() > 1 {
            let opens = batch.iter().flat_map(|waiting| waiting.command.opens());
            self.shared.standbys.until_room(opens).await;
        }
        let began = Instant::now();
        for waiting in &mut batch {
            let waited = began - std::mem::replace(&mut waiting.since, began);
            self.leases.note(&mut waiting.command, waited);
        }
        let commands: Vec<&Command> = batch.iter().map(|waiting| &waiting.command).collect();
        let mut handover = self.shared.standbys.hand_over(
            commands.iter().flat_map(|command| command.opens()),
            |platform, until| self.leases.own_end(platform, until),
        );
        let (answers, outage) = self.answer_all(&commands, &mut handover).await;
        if let Some(error) = outage {
            let unknown = commands.iter().skip(answers.len()).copied();
            self.leases.doubt(unknown);
            self.leases.doubt_handed(&handover);
            if self.broken || began.elapsed() > HICCUP_MAX {
                self.shared.health.failed(&error);
            }
            self.broken = true;
        } else {
            self.leases.settled();
            self.shared.health.answered();
            self.broken = false;
        }
        let left = handover.deliver(began);
        self.hand_back(left);
        let mut answers = answers.into_iter();
        let mut kept = Vec::new();
        for waiting in batch {
            match answers.next() {
                // The caller may have gone away; what it asked for is done all the same.
                Some(answer) => {
                    if let Err(Ok(Answer::Claim(claims))) = waiting.reply.send(answer) {
                        self.hand_back(claims);
                    }
                }
                None => kept.push(waiting),
            }
        }
        for waiting in kept.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
    }

    /// Releases claims that came after their caller's wait: nobody would send them, and their
    /// leases would be renewed for as long as the process lives.
    fn hand_back(&mut self, claims: Vec<Claim>) {
        if claims.is_empty() {
            return;
        }
        let ids = claims
            .into_iter()
            .map(|claim| (claim.delivery, claim.token))
            .collect();
        let (reply, _) = oneshot::channel();
        self.waiting.push_back(Waiting {
            command: Command::Release(ids),
            since: Instant::now(),
            reply,
        });
    }

    /// Returns the answers so far, and what ended them early if it was an outage.
    async fn answer_all(
        &self,
        commands: &[&Command],
        handover: &mut Handover,
    ) -> (Vec<Result<Answer, StoreError>>, Option<StoreError>) {
        let mut answers = Vec::with_capacity(commands.len());
        match self.commit_with_retries(commands, handover).await {
            Ok(done) => return (done.into_iter().map(Ok).collect(), None),
            Err(error) if error.is_outage() => return (answers, Some(error)),
            Err(error) if commands.len() == 1 || !error.concerns_one_item() => {
                let refused = commands.iter().map(|_| Err(error.clone())).collect();
                return (refused, None);
            }
            Err(_) => {}
        }
        for command in commands {
            match self.commit_with_retries(&[command], handover).await {
                Ok(mut done) => answers.push(Ok(done.remove(0))),
                Err(error) if error.is_outage() => return (answers, Some(error)),
                Err(error) => answers.push(Err(error)),
            }
        }
        (answers, None)
    }

    async fn commit_with_retries(
        &self,
        commands: &[&Command],
        handover: &mut Handover,
    ) -> Result<Vec<Answer>, StoreError> {
        let mut tries = 1;
        loop {
            let committed = tokio::time::timeout(TRANSACTION_MAX, self.commit(commands, handover))
                .await
                .unwrap_or_else(|_| Err(StoreError::not_in_time("commit a transaction")));
            match committed {
                Err(error)
                    if error.is_conflict() && !error.is_outage() && tries < CONFLICT_TRIES_MAX =>
                {
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn commit(
        &self,
        commands: &[&Command],
        handover: &mut Handover,
    ) -> Result<Vec<Answer>, StoreError> {
        handover.begin();
        let pools = &self.shared.pools;
        let mut tx = pools
            .writer
            .begin_write()
            .await
            .map_err(StoreError::while_doing("begin a transaction"))?;
        if self.broken {
            probe(&mut tx).await?;
            self.leases.recover(&mut tx).await?;
        }
        let answers = answer_in(&mut tx, commands, pools.writes_events(), handover).await?;
        reach_each(commands, Command::committing);
        tx.commit()
            .await
            .map_err(StoreError::while_doing("commit a transaction"))?;
        self.shared
            .standbys
            .committed(handover, found(commands, &answers));
        reach_each(commands, Command::committed);
        Ok(answers)
    }
}

/// Returns each claim with how many deliveries it found.
fn found<'a>(
    commands: &'a [&Command],
    answers: &'a [Answer],
) -> impl Iterator<Item = (&'a ClaimRequest, usize)> {
    commands
        .iter()
        .zip(answers)
        .filter_map(|(command, answer)| match (command, answer) {
            (Command::Claim(request), Answer::Claim(claims)) => Some((request, claims.len())),
            _ => None,
        })
}

/// Says for each of `commands` that the process got to its `point`.
fn reach_each(commands: &[&Command], point: fn(&Command) -> Option<Point>) {
    if failpoint::is_armed() {
        for point in commands.iter().filter_map(|command| point(command)) {
            failpoint::reach(point);
        }
    }
}

/// Asks for a write, so that "it answers" means that it can keep something.
async fn probe(tx: &mut Tx) -> Result<(), StoreError> {
    let text = match tx {
        Db::Sqlite(_) => PROBE_SQLITE,
        Db::Postgres(_) => PROBE_POSTGRES,
    };
    on!(tx, |c| sqlx::raw_sql(text)
        .execute(&mut **c)
        .await
        .map(drop))
    .map_err(StoreError::while_doing("write"))
}

/// Does the commands of one kind together, first what frees deliveries, last what takes them.
/// Answers come in the order of the commands.
async fn answer_in(
    tx: &mut Tx,
    commands: &[&Command],
    events: bool,
    handover: &mut Handover,
) -> Result<Vec<Answer>, StoreError> {
    let mut progress = Vec::new();
    let mut settlements = Vec::new();
    let mut released = Vec::new();
    let mut abandoned = Vec::new();
    let mut submissions: Vec<&NewSubmission> = Vec::new();
    for command in commands {
        match command {
            Command::Progress(update) => progress.push(update),
            Command::Settle(settlement) => settlements.push(&**settlement),
            Command::Release(claims) => released.extend(claims),
            Command::Abandon(claim) => abandoned.push(claim),
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
    abandon(tx, &abandoned).await?;
    let mut submitted = submit(tx, &submissions, events, handover)
        .await?
        .into_iter();
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        const ONE_EACH: &str = "each kind answers as many as it was asked";
        answers.push(match command {
            Command::Progress(_) => Answer::Progress(progressed.next().expect(ONE_EACH)),
            Command::Settle(_) => Answer::Settle(settled.next().expect(ONE_EACH)),
            Command::Release(_) => Answer::Release,
            Command::Abandon(_) => Answer::Abandon,
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
