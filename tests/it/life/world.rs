//! A hub on a runtime of its own, so that it stands still between steps and dies when dropped; the
//! platforms; and the promises.

use super::model::{Gate, Model, Wish, publication, withdrawal};
use super::platform::Platforms;
use super::{PLATFORMS, RECORDS, Step};
use crate::hub::{PATIENCE, project};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use synchub::attachment::Attachments;
use synchub::clock::{leap, now_ms};
use synchub::connector::{Connectors, References};
use synchub::deliver::{DeliverOptions, Deliverer};
use synchub::queue::{EmbeddedQueue, Queue, SweepOptions};
use synchub::record::{DeliveryState, SubmissionId, Wanted};
use synchub::store::{
    DeliveryView, HandWork, NewReplay, NewSubmission, ReleaseOutcome, ReplaySelection,
    ReplaySwitch, ReplayWay, Store, SubmitOutcome, WithdrawOutcome,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const LEASE: Duration = Duration::from_secs(20);
/// How often the hub looks for what became due.
const SWEEP: Duration = Duration::from_millis(4);
/// Rounds of waiting, looking and sending again until everything must be at rest.
const ROUNDS_MAX: usize = 60;
const ME: &str = "值班员";

/// A process: everything in it is gone when it is dropped.
struct Hub {
    runtime: Runtime,
    store: Store,
    queue: Arc<dyn Queue>,
    senders: Option<Deliverer>,
}

pub(super) struct World {
    platforms: Platforms,
    connectors: Connectors,
    /// A store without anything in it, to be copied.
    empty: TempDir,
    folder: TempDir,
    hub: Option<Hub>,
    models: Vec<Model>,
    /// What was saved on the platforms up to here has been checked.
    checked: usize,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Hub {
    fn start(folder: &Path, connectors: &Connectors) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let url = format!("sqlite://{}", folder.join("hub.db").display());
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::new());
        let (store, senders) = runtime.block_on(async {
            let store = Store::open(&url).await.expect("a store");
            let options = DeliverOptions {
                lease: LEASE,
                sweep: SweepOptions {
                    interval: SWEEP,
                    grace: Duration::from_secs(30),
                },
                beat: Duration::from_secs(1),
            };
            let attachments = Attachments::in_folder(&store, &folder.join("files"));
            let places = (&store, &attachments.expect("a folder"));
            let senders = Deliverer::start(places, &queue, connectors, options);
            (store, senders.expect("senders"))
        });
        Self {
            runtime,
            store,
            queue,
            senders: Some(senders),
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let platforms = Platforms::start();
        let references = References::with_overrides([("LIFE_URL".into(), platforms.url.clone())]);
        let dir = project().join("tests/it/life/connectors");
        let connectors = Connectors::load(&[dir], &references);
        assert!(connectors.failures().is_empty(), "{connectors:?}");
        assert_eq!(connectors.iter().count(), PLATFORMS.len());
        let empty = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", empty.path().join("hub.db").display());
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&url).await.expect("a store");
            store.migrate().await.expect("migrations");
            store.close().await;
        });
        Self {
            platforms,
            connectors,
            empty,
            folder: tempfile::tempdir().expect("a folder"),
            hub: None,
            models: Vec::new(),
            checked: 0,
        }
    }

    /// Begins with an empty hub and empty platforms.
    pub(super) fn begin(&mut self) {
        self.hub = None;
        self.platforms.until_quiet();
        self.platforms.clear();
        self.folder = tempfile::tempdir().expect("a folder");
        let to = self.folder.path().join("hub.db");
        std::fs::copy(self.empty.path().join("hub.db"), to).expect("copied");
        self.models = (0..RECORDS).map(|_| Model::default()).collect();
        self.checked = 0;
        self.hub = Some(Hub::start(self.folder.path(), &self.connectors));
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("begun")
    }

    /// Lets something happen, and checks every promise.
    pub(super) fn apply(&mut self, step: Step) -> Result<(), String> {
        let silent = self.silent()?;
        let spoken_to = self.happen(step)?;
        self.check()?;
        self.check_saved(&silent, spoken_to)
    }

    /// Lets something happen; returns the record that it let speak.
    fn happen(&mut self, step: Step) -> Result<Option<usize>, String> {
        match step {
            Step::Post { record, mask } => {
                self.models[record].routed = PLATFORMS
                    .into_iter()
                    .enumerate()
                    .filter(|(place, _)| (mask >> place) & 1 == 1)
                    .map(|(_, platform)| platform)
                    .collect();
                self.post(record, Gate::Open)?;
                return Ok(Some(record));
            }
            Step::PostHeld { record } => self.post_everywhere(record, Gate::Held)?,
            Step::PostSealed { record } => self.post_everywhere(record, Gate::Sealed)?,
            Step::Repeat { record } => {
                if let Some(last) = self.models[record].last.clone() {
                    let id = SubmissionId::generate();
                    match self.submit(NewSubmission { id, ..last })? {
                        SubmitOutcome::Unchanged(_) => {}
                        other => return Err(format!("posted again, it is {other:?}")),
                    }
                }
            }
            Step::PostOlder { record } => {
                let revision = self.models[record].revision - 1;
                if revision > 0 {
                    let new = publication(record, revision, Gate::Open, now_ms());
                    match self.submit(new)? {
                        SubmitOutcome::Older { .. } => {}
                        other => return Err(format!("an older revision is {other:?}")),
                    }
                }
            }
            Step::Withdraw { record } => self.withdraw(record)?,
            Step::WithdrawByHand { record } => {
                if let Some(id) = self.models[record].id.clone() {
                    let hub = self.hub();
                    let done = hub.store.withdraw_record(&id, "错发", ME);
                    let done = hub.runtime.block_on(done).map_err(text)?;
                    if let WithdrawOutcome::Withdrawn(head) = done {
                        self.models[record].withdrawn(head.version);
                    }
                }
            }
            Step::Release { record } => {
                if let Some(id) = self.models[record].id.clone() {
                    let hub = self.hub();
                    let done = hub.store.release_record(&id, "已核", ME);
                    let done = hub.runtime.block_on(done).map_err(text)?;
                    if let ReleaseOutcome::Released(_) = done {
                        self.models[record].released();
                        return Ok(Some(record));
                    }
                }
            }
            Step::Trouble { platform, fault } => self.platforms.play(PLATFORMS[platform], fault),
            Step::Pause { platform, mode } => {
                let hub = self.hub();
                let pause = hub
                    .store
                    .pause_platform(PLATFORMS[platform], mode, "", ME, None);
                hub.runtime.block_on(pause).map_err(text)?;
            }
            Step::Resume { platform } => self.resume(PLATFORMS[platform])?,
            Step::Replay { platform, way } => self.replay(PLATFORMS[platform], &[], way)?,
            Step::GiveUp { record, platform } => {
                let reason = "不再推送".to_owned();
                self.by_hand(record, platform, &HandWork::GiveUp { reason })?;
            }
            Step::Undo { record, platform } => {
                let reason = "误操作".to_owned();
                self.by_hand(record, platform, &HandWork::Undo { reason })?;
            }
            Step::WakeUp => {
                for platform in PLATFORMS.into_iter().cycle().take(9) {
                    self.hub().queue.offer(platform, &[]);
                }
            }
            Step::Work { ms } => self.work(Duration::from_millis(ms))?,
            Step::Leap { ms } => leap(ms),
            Step::Crash => {
                self.hub = None;
                // What was on its way arrives before the leases of the dead hub run out.
                self.platforms.until_quiet();
                self.hub = Some(Hub::start(self.folder.path(), &self.connectors));
            }
            Step::Restart => self.restart(),
        }
        Ok(None)
    }

    fn restart(&mut self) {
        let hub = self.hub.as_mut().expect("begun");
        let senders = hub.senders.take().expect("started");
        hub.runtime.block_on(senders.stop());
        hub.runtime.block_on(hub.store.close());
        self.hub = Some(Hub::start(self.folder.path(), &self.connectors));
    }

    fn submit(&self, new: NewSubmission) -> Result<SubmitOutcome, String> {
        let hub = self.hub();
        let outcome = hub.runtime.block_on(hub.store.submit(new));
        for platform in PLATFORMS {
            hub.queue.offer(platform, &[]);
        }
        outcome.map_err(text)
    }

    fn post_everywhere(&mut self, record: usize, gate: Gate) -> Result<(), String> {
        self.models[record].routed = PLATFORMS.to_vec();
        self.post(record, gate)
    }

    fn post(&mut self, record: usize, gate: Gate) -> Result<(), String> {
        let revision = self.models[record].revision + 1;
        let routed = self.models[record].routed.iter();
        let new = NewSubmission {
            platforms: routed.map(|it| (*it).to_owned()).collect(),
            ..publication(record, revision, gate, now_ms())
        };
        let head = match self.submit(new.clone())? {
            SubmitOutcome::Changed(head) => head,
            other => return Err(format!("a correction is {other:?}")),
        };
        let model = &mut self.models[record];
        model.id = Some(head.record_id);
        model.revision = revision;
        model.published(head.version, &new.content_sha256, gate);
        model.last = Some(new);
        Ok(())
    }

    fn withdraw(&mut self, record: usize) -> Result<(), String> {
        if self.models[record].id.is_none() {
            return Ok(());
        }
        let revision = self.models[record].revision + 1;
        let new = withdrawal(record, revision, now_ms());
        let version = match self.submit(new.clone())? {
            SubmitOutcome::Changed(head) => head.version,
            SubmitOutcome::Unchanged(_) => self.models[record].version,
            other => return Err(format!("a withdrawal is {other:?}")),
        };
        let model = &mut self.models[record];
        model.revision = revision;
        model.withdrawn(version);
        model.last = Some(new);
        Ok(())
    }

    fn resume(&self, platform: &str) -> Result<(), String> {
        let hub = self.hub();
        let resumed = hub.store.resume_platform(platform, None, "", ME);
        hub.runtime.block_on(resumed).map_err(text)
    }

    fn replay(
        &self,
        platform: &str,
        states: &[DeliveryState],
        way: ReplayWay,
    ) -> Result<(), String> {
        let hub = self.hub();
        let new = NewReplay {
            selection: ReplaySelection {
                platform: Some(platform.to_owned()),
                states: states.to_vec(),
                ..ReplaySelection::default()
            },
            way,
            expected_hash: None,
            reason: "重推".to_owned(),
            actor: ME.to_owned(),
            rate_per_s: None,
            ramp: Vec::new(),
            stop_percent: 100,
        };
        let frozen = hub.runtime.block_on(hub.store.freeze_replay(&new));
        frozen.map(drop).map_err(text)
    }

    fn by_hand(&self, record: usize, platform: usize, work: &HandWork) -> Result<(), String> {
        let deliveries = self.deliveries(record)?;
        let delivery = deliveries
            .iter()
            .find(|it| it.platform == PLATFORMS[platform]);
        if let Some(delivery) = delivery {
            let hub = self.hub();
            let done = hub.store.work_by_hand(&delivery.id, work, ME);
            hub.runtime.block_on(done).map_err(text)?;
        }
        Ok(())
    }

    /// Lets the hub work, replays included.
    fn work(&self, time: Duration) -> Result<(), String> {
        let hub = self.hub();
        hub.runtime.block_on(async {
            for id in hub.store.live_replays().await.map_err(text)? {
                let step = hub.store.step_replay(&id, now_ms(), 0).await;
                for (platform, ids) in step.map_err(text)?.into_iter().flat_map(|it| it.due) {
                    hub.queue.offer(&platform, &ids);
                }
            }
            tokio::time::sleep(time).await;
            Ok(())
        })
    }

    fn deliveries(&self, record: usize) -> Result<Vec<DeliveryView>, String> {
        let Some(id) = &self.models[record].id else {
            return Ok(Vec::new());
        };
        let hub = self.hub();
        let view = hub.runtime.block_on(hub.store.record(id)).map_err(text)?;
        let view = view.ok_or_else(|| format!("record {record} is lost"))?;
        if view.summary.version != self.models[record].version {
            return Err(format!(
                "record {record} is accepted in version {} and stored in {}",
                self.models[record].version, view.summary.version
            ));
        }
        Ok(view.deliveries)
    }

    /// Returns where nothing more may be shown of a record: it is held or withdrawn, and no sender
    /// has it in hand.
    fn silent(&self) -> Result<Vec<(usize, &'static str)>, String> {
        let mut silent = Vec::new();
        for (record, model) in self.models.iter().enumerate() {
            for delivery in self.deliveries(record)? {
                let at = PLATFORMS.into_iter().find(|it| delivery.platform == *it);
                let at = at.ok_or("a platform nobody knows")?;
                let speaks = matches!(model.wishes.get(at), Some(Wish::Shown(_)));
                if !speaks && delivery.state != DeliveryState::Sending {
                    silent.push((record, at));
                }
            }
        }
        Ok(silent)
    }

    /// Checks what the store says against the platforms.
    fn check(&self) -> Result<(), String> {
        for (record, model) in self.models.iter().enumerate() {
            let deliveries = self.deliveries(record)?;
            for (platform, wish) in &model.wishes {
                let delivery = deliveries.iter().find(|it| it.platform == *platform);
                let delivery = delivery
                    .ok_or_else(|| format!("record {record} has no delivery to {platform}"))?;
                self.check_delivery(record, *wish, delivery)
                    .map_err(|problem| {
                        let live = self.platforms.live(platform, delivery.record_id.as_str());
                        format!("record {record} on {platform}: {problem}\n  row: {delivery:?}\n  shown: {live:?}")
                    })?;
            }
        }
        match self.platforms.problems().first() {
            Some(problem) => Err(format!("the hub asks for {problem}")),
            None => Ok(()),
        }
    }

    fn check_delivery(
        &self,
        record: usize,
        wish: Wish,
        delivery: &DeliveryView,
    ) -> Result<(), String> {
        use DeliveryState as State;
        let shown = self
            .platforms
            .live(&delivery.platform, delivery.record_id.as_str());
        if shown.len() > 1 {
            return Err("it is shown twice".to_owned());
        }
        match wish {
            Wish::Shown(version) => {
                if (delivery.wanted, delivery.version) != (Wanted::Shown, version) {
                    return Err(format!("version {version} is forgotten"));
                }
            }
            Wish::Gone if delivery.state == State::Held => {}
            Wish::Gone => {
                if delivery.wanted != Wanted::Gone {
                    return Err("that it shall be gone is forgotten".to_owned());
                }
            }
            Wish::AsItWas => {}
        }
        match delivery.state {
            State::Queued | State::Retrying if delivery.due_at.is_none() => {
                Err("it waits and is never due".to_owned())
            }
            State::Sending if wish != Wish::AsItWas && delivery.due_at.is_none() => {
                match wish {
                    // Held before it was ever shown.
                    Wish::Gone if delivery.wanted == Wanted::Shown => Ok(()),
                    _ => Err("it is sent and its lease never ends".to_owned()),
                }
            }
            State::Delivered | State::Confirmed if delivery.wanted == Wanted::Shown => {
                let title = self.models[record]
                    .versions
                    .get(&delivery.version)
                    .map(|version| version.title.as_str());
                let there = shown
                    .first()
                    .map(|object| (object.version, object.title.as_str()));
                match there == title.map(|title| (delivery.version, title)) {
                    true => Ok(()),
                    false => Err(format!(
                        "it counts as {} and is not",
                        delivery.state.as_str()
                    )),
                }
            }
            State::Withdrawn if !shown.is_empty() => {
                Err("it counts as withdrawn and is shown".to_owned())
            }
            State::Skipped if delivery.wanted == Wanted::Gone && !shown.is_empty() => {
                // Given up: a person knows that it is still there.
                match self.hand_mark(delivery)? {
                    true => Ok(()),
                    false => Err("it counts as never sent and is shown".to_owned()),
                }
            }
            _ => Ok(()),
        }
    }

    fn hand_mark(&self, delivery: &DeliveryView) -> Result<bool, String> {
        let hub = self.hub();
        let mark = hub.runtime.block_on(hub.store.hand_mark(&delivery.id));
        Ok(mark.map_err(text)?.is_some())
    }

    /// Checks what was saved since the last time: only what has passed the gate, never an older
    /// version after a newer one, and nothing where silence was wanted.
    fn check_saved(
        &mut self,
        silent: &[(usize, &'static str)],
        spoken_to: Option<usize>,
    ) -> Result<(), String> {
        let saved = self.platforms.saved();
        let mut newest: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (number, save) in saved.iter().enumerate() {
            let key = (save.platform.as_str(), save.key.as_str());
            let before = newest.insert(key, save.version).unwrap_or(0);
            if number < self.checked {
                continue;
            }
            let found = self.models.iter().position(|model| {
                let id = model.id.as_ref();
                id.is_some_and(|id| id.as_str() == save.key)
            });
            let record = found.ok_or_else(|| format!("nobody knows {save:?}"))?;
            if before > save.version {
                return Err(format!("an older version overtakes {before}: {save:?}"));
            }
            match self.models[record].versions.get(&save.version) {
                Some(version) if version.passed && version.title == save.title => {}
                version => return Err(format!("{save:?} leaks: {version:?}")),
            }
            let wanted_silent = silent
                .iter()
                .any(|(it, platform)| *it == record && *platform == save.platform);
            if wanted_silent && spoken_to != Some(record) {
                return Err(format!("held or withdrawn, and then shown: {save:?}"));
            }
        }
        self.checked = saved.len();
        Ok(())
    }

    /// Lets everything come to rest, and compares the platforms with the records.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.platforms.behave();
        for platform in PLATFORMS {
            self.resume(platform)?;
        }
        self.end_replays()?;
        for record in 0..RECORDS {
            for platform in 0..PLATFORMS.len() {
                let reason = "误操作".to_owned();
                self.by_hand(record, platform, &HandWork::Undo { reason })?;
            }
        }
        // What a hub that lives has in hand is settled; what is left was left by a dead one.
        self.restart();
        leap(LEASE.as_millis() as i64 + 1);
        for _ in 0..ROUNDS_MAX {
            self.until_idle()?;
            self.check()?;
            self.check_saved(&[], None)?;
            let failed = self.all()?.into_iter();
            let failed: Vec<DeliveryView> = failed
                .filter(|it| it.state == DeliveryState::Failed)
                .collect();
            for delivery in &failed {
                let states = [DeliveryState::Failed];
                self.replay(&delivery.platform, &states, ReplayWay::Current)?;
            }
            let hub = self.hub();
            let next = hub.runtime.block_on(hub.store.next_due_at());
            match next.map_err(text)? {
                Some(due_at) => leap((due_at - now_ms() + 1).max(0)),
                None if failed.is_empty() => return self.check_shelves(),
                None => {}
            }
        }
        Err(format!("it does not come to rest: {:?}", self.all()?))
    }

    fn end_replays(&self) -> Result<(), String> {
        let hub = self.hub();
        hub.runtime.block_on(async {
            for id in hub.store.live_replays().await.map_err(text)? {
                let cancel = hub.store.switch_replay(&id, ReplaySwitch::Cancel, "", ME);
                cancel.await.map_err(text)?;
            }
            Ok(())
        })
    }

    fn all(&self) -> Result<Vec<DeliveryView>, String> {
        let mut all = Vec::new();
        for record in 0..RECORDS {
            all.extend(self.deliveries(record)?);
        }
        Ok(all)
    }

    /// Lets the hub work until nothing is due and nothing is being sent.
    fn until_idle(&self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            self.work(SWEEP)?;
            let busy = self.all()?.into_iter().any(|it| {
                let sending = it.state == DeliveryState::Sending && it.due_at.is_some();
                sending || it.due_at.is_some_and(|due_at| due_at <= now_ms())
            });
            if !busy {
                return Ok(());
            }
        }
        Err(format!("it stays busy: {:?}", self.all()?))
    }

    /// Asks that each platform shows what the records say, and nothing else.
    fn check_shelves(&self) -> Result<(), String> {
        for (record, model) in self.models.iter().enumerate() {
            let Some(id) = &model.id else { continue };
            for (platform, wish) in &model.wishes {
                let shown = self.platforms.live(platform, id.as_str());
                let well = match (wish, shown.as_slice()) {
                    (Wish::Shown(version), [only]) => {
                        only.version == *version && only.title == model.versions[version].title
                    }
                    (Wish::Gone | Wish::AsItWas, []) => true,
                    (Wish::AsItWas, [only]) => model.versions[&only.version].passed,
                    _ => false,
                };
                if !well {
                    let rows = self.deliveries(record)?;
                    return Err(format!(
                        "record {record} on {platform} should be {wish:?}, shown is {shown:?}\n  {rows:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}
