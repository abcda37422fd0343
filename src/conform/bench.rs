//! The hub that one case runs on: a store of its own, the real senders, the scripted platform.

use super::Kit;
use super::server::{listen, serve};
use super::world::{Object, Play, REASON, World};
use crate::attachment::Attachments;
use crate::blob::Blob;
use crate::clock::now_ms;
use crate::connector::{Connectors, Files, Operation};
use crate::deliver::{DeliverOptions, Deliverer};
use crate::queue::{EmbeddedQueue, Queue, SweepOptions};
use crate::record::{Action, Content, DeliveryState, Record, RecordId, SubmissionId};
use crate::store::{DeliveryView, NewSubmission, Reckoning, Store, SubmitOutcome};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for any case to end by itself on a busy machine.
const AGE_MAX_S: i64 = 3_600;
const SETTLE_MAX: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const SOURCE: &str = "conform";
/// Stands in for the bytes of each attachment.
const FILE: &[u8] = "附件样例".as_bytes();

pub(super) struct Bench {
    pub(super) world: Arc<World>,
    store: Store,
    attachments: Attachments,
    queue: Arc<dyn Queue>,
    connectors: Connectors,
    senders: Option<Deliverer>,
    content: Content,
    record_id: Option<RecordId>,
    revision: i64,
    _ending: DropGuard,
    _folder: TempDir,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Bench {
    pub(super) async fn open(kit: &Kit) -> Result<Self, String> {
        Self::open_with(kit, AGE_MAX_S).await
    }

    /// With a hub whose patience ends after so many seconds.
    pub(super) async fn open_with(kit: &Kit, age_max_s: i64) -> Result<Self, String> {
        let (listener, url) = listen().await.map_err(text)?;
        let connectors = Connectors::of(kit.connector(&url, age_max_s)?);
        let connector = connectors.iter().next().expect("the one just put in");
        let folder = tempfile::tempdir().map_err(text)?;
        let store = Store::open(&format!(
            "sqlite://{}",
            folder.path().join("hub.db").display()
        ))
        .await
        .map_err(text)?;
        store.migrate().await.map_err(text)?;
        let attachments = Attachments::in_folder(&store, &folder.path().join("files"));
        let (content, files) = with_files(&kit.record);
        let world = Arc::new(World::new(
            Arc::clone(connector),
            kit.samples.clone(),
            kit.login.clone(),
            files,
        ));
        let ending = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::clone(&world), ending.clone()));
        Ok(Self {
            world,
            store,
            attachments: attachments.map_err(text)?,
            queue: Arc::new(EmbeddedQueue::new()),
            senders: None,
            connectors,
            content,
            record_id: None,
            revision: 0,
            _ending: ending.drop_guard(),
            _folder: folder,
        })
    }

    /// What the first version says; change it before [`Bench::post`].
    pub(super) fn content(&mut self) -> &mut Content {
        &mut self.content
    }

    /// Takes the content in as the next revision, and starts the senders with the first one.
    pub(super) async fn post(&mut self) -> Result<(), String> {
        let content = self.content.clone();
        self.submit(Action::Publish, Some(content), self.revision + 1)
            .await?;
        self.start()
    }

    /// As [`Bench::post`], but nobody sends yet.
    pub(super) async fn post_quietly(&mut self) -> Result<(), String> {
        let content = self.content.clone();
        self.submit(Action::Publish, Some(content), self.revision + 1)
            .await
    }

    /// Posts what was posted last once more.
    pub(super) async fn post_again(&mut self) -> Result<(), String> {
        let content = self.content.clone();
        self.submit(Action::Publish, Some(content), self.revision)
            .await
    }

    pub(super) async fn withdraw(&mut self) -> Result<(), String> {
        self.submit(Action::Withdraw, None, self.revision + 1).await
    }

    async fn submit(
        &mut self,
        action: Action,
        content: Option<Content>,
        revision: i64,
    ) -> Result<(), String> {
        let document = json!([action.as_str(), &content, revision]).to_string();
        let digest = hex::encode(Sha256::digest(&document));
        if let (Some(content), Some(id)) = (&content, &self.record_id) {
            // Before the senders can know of it.
            self.world.expect(self.document(id, content, revision));
        }
        let sha256 = hex::encode(Sha256::digest(FILE));
        let file = Blob::from(FILE.to_vec());
        self.attachments.keep(&sha256, &file).await.map_err(text)?;
        let new = NewSubmission {
            id: SubmissionId::generate(),
            account_id: SOURCE.to_owned(),
            source: SOURCE.to_owned(),
            source_id: "CONFORM-1".to_owned(),
            revision,
            action,
            reason: (action == Action::Withdraw).then(|| REASON.to_owned()),
            body: document,
            body_sha256: digest.clone(),
            idempotency_key: None,
            received_at: now_ms(),
            content: content.clone().map(Box::new),
            content_sha256: digest,
            holds: Vec::new(),
            findings: Vec::new(),
            warnings: Vec::new(),
            platforms: match action {
                Action::Publish => vec![self.world.connector.id.clone()],
                Action::Withdraw => Vec::new(),
            },
            files: vec![sha256],
            ahead: false,
            revision_ahead_max: 10,
            reckoning: Reckoning::default(),
        };
        let head = match self.store.submit(new).await.map_err(text)? {
            SubmitOutcome::Changed(head) | SubmitOutcome::Unchanged(head) => head,
            other => return Err(format!("the hub does not take it in: {other:?}")),
        };
        self.revision = revision;
        if self.record_id.is_none()
            && let Some(content) = &content
        {
            // The hub may have given it an index number.
            let record = self.store.record(&head.record_id).await.map_err(text)?;
            self.content.index_no = record.and_then(|it| it.document.content.index_no);
            let content = Content {
                index_no: self.content.index_no.clone(),
                ..content.clone()
            };
            self.world
                .expect(self.document(&head.record_id, &content, revision));
        }
        self.record_id = Some(head.record_id);
        self.queue.offer(&self.world.connector.id, &[]);
        Ok(())
    }

    /// The canonical record as the hub will send it.
    fn document(&self, id: &RecordId, content: &Content, revision: i64) -> serde_json::Value {
        json!(Record {
            id: id.clone(),
            source: SOURCE.to_owned(),
            source_id: "CONFORM-1".to_owned(),
            revision,
            version: revision,
            content: content.clone(),
        })
    }

    /// Starts the senders; they may run already.
    pub(super) fn start(&mut self) -> Result<(), String> {
        if self.senders.is_none() {
            let options = DeliverOptions {
                lease: Duration::from_secs(20),
                sweep: SweepOptions {
                    interval: Duration::from_millis(10),
                    grace: Duration::from_secs(30),
                },
                beat: Duration::from_secs(1),
                look: Duration::from_secs(1),
            };
            let started = Deliverer::start(
                (&self.store, &self.attachments),
                &self.queue,
                &self.connectors,
                options,
            );
            self.senders = Some(started.map_err(text)?);
        }
        Ok(())
    }

    /// Claims what is due as a process that is gone by now, and never tells how it ended.
    pub(super) async fn claim_and_vanish(&self) -> Result<(), String> {
        let (platform, now) = (&self.world.connector.id, now_ms());
        let claims = self
            .store
            .claim(platform, None, 10, "gone", now, now + 1)
            .await;
        match claims.map_err(text)?.len() {
            1 => Ok(()),
            count => Err(format!("{count} deliveries were due instead of 1")),
        }
    }

    /// Waits until nothing is on its way any more.
    pub(super) async fn settled(&self) -> Result<DeliveryView, String> {
        let began = Instant::now();
        loop {
            let delivery = self.delivery().await?;
            if let Some(problem) = self.world.problems().first() {
                return Err(problem.clone());
            }
            if !delivery.state.is_on_its_way() {
                return Ok(delivery);
            }
            if began.elapsed() > SETTLE_MAX {
                return Err(format!("it does not settle: {}", shown(&delivery)));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(super) async fn delivery(&self) -> Result<DeliveryView, String> {
        let id = self.record_id.as_ref().ok_or("nothing was posted")?;
        let record = self.store.record(id).await.map_err(text)?;
        let deliveries = record.map(|record| record.deliveries).unwrap_or_default();
        deliveries.into_iter().next().ok_or("no delivery".into())
    }

    /// Settles and asks that the platform said yes to this version.
    pub(super) async fn delivered(&self, version: i64) -> Result<(), String> {
        let delivery = self.settled().await?;
        match delivery.state {
            DeliveryState::Delivered | DeliveryState::Confirmed => self.shows(version),
            _ => Err(format!("not delivered: {}", shown(&delivery))),
        }
    }

    /// Settles and asks that a person is needed, for a cause of one of these classes.
    pub(super) async fn failed(&self, classes: &[&str]) -> Result<(), String> {
        let delivery = self.settled().await?;
        let class = delivery.failure.as_ref().map(|it| it.class.as_str());
        match (delivery.state, class) {
            (DeliveryState::Failed, Some(class)) if classes.contains(&class) => Ok(()),
            _ => Err(format!(
                "expected a failure of class {}, got {}",
                classes.join(" or "),
                shown(&delivery)
            )),
        }
    }

    /// Asks that the platform shows exactly one object, of this version.
    pub(super) fn shows(&self, version: i64) -> Result<(), String> {
        match self.world.objects().as_slice() {
            [
                Object {
                    live: true,
                    version: shown,
                },
            ] if *shown == version => Ok(()),
            other => Err(format!(
                "the platform has {other:?} instead of one object of version {version}"
            )),
        }
    }

    /// Returns how many requests of this operation came, by their first steps.
    pub(super) fn count(&self, operation: Operation) -> usize {
        let first = |it: &&super::world::Seen| it.operation == operation && it.step == 0;
        self.world.seen().iter().filter(first).count()
    }

    /// Returns how many objects were ever made or replaced by request.
    pub(super) fn changes(&self) -> usize {
        let changes = [Operation::Publish, Operation::Update, Operation::Withdraw];
        changes.into_iter().map(|it| self.count(it)).sum()
    }

    /// Returns whether the hub would say before sending that something is missing.
    pub(super) fn breaks_the_contract(&self) -> bool {
        let document = self.document(&RecordId::generate(), &self.content, 1);
        let connector = &self.world.connector;
        !connector.contract_errors(&document).is_empty()
    }

    /// Returns the record as a dry run takes it.
    pub(super) fn record(&self) -> Result<Record, String> {
        let id = self.record_id.as_ref().ok_or("nothing was posted")?;
        serde_json::from_value(self.document(id, &self.content, self.revision)).map_err(text)
    }

    pub(super) fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.world.play(plays);
    }

    /// Returns how many attempts there were, those that only looked not counted.
    pub(super) async fn tries(&self) -> Result<usize, String> {
        let delivery = self.delivery().await?;
        let attempts = self.store.attempts(&delivery.id).await.map_err(text)?;
        let read_back = Operation::ReadBack.as_str();
        let tries = attempts.iter().filter(|it| it.operation != read_back);
        Ok(tries.count())
    }

    /// Returns every attempt as it is stored.
    pub(super) async fn attempts(&self) -> Result<String, String> {
        let delivery = self.delivery().await?;
        let attempts = self.store.attempts(&delivery.id).await.map_err(text)?;
        Ok(json!([attempts, delivery]).to_string())
    }

    /// Ends the hub.
    pub(super) async fn close(self) {
        if let Some(senders) = self.senders {
            senders.stop().await;
        }
        self.store.close().await;
    }
}

fn shown(delivery: &DeliveryView) -> String {
    match &delivery.failure {
        None => delivery.state.as_str().to_owned(),
        Some(failure) => format!(
            "{} ({} {} {}: {})",
            delivery.state.as_str(),
            failure.stage,
            failure.class,
            failure.code,
            failure.text
        ),
    }
}

/// The record of a sample names files without their bytes; a line stands in for each.
fn with_files(record: &Record) -> (Content, Files) {
    let sha256 = hex::encode(Sha256::digest(FILE));
    let mut content = record.content.clone();
    for attachment in &mut content.attachments {
        attachment.bytes = FILE.len() as u64;
        attachment.sha256.clone_from(&sha256);
    }
    (content, Files::from([(sha256, Blob::from(FILE.to_vec()))]))
}
