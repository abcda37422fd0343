//! A hub on a runtime of its own, so that it stands still between steps and dies when dropped; the
//! platforms; and the promises.

use super::model::{Gate, Model, Wish, publication, withdrawal};
use super::platform::Platforms;
use super::{ONE_AT_A_TIME, PLATFORMS, RECORDS, Step};
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
    DeliveryView, HandOutcome, HandWork, NewOverride, NewReplay, NewSubmission, NewVerification,
    ReleaseOutcome, ReplaySelection, ReplaySwitch, ReplayWay, Store, SubmitOutcome,
    VerificationState, WithdrawOutcome,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const LEASE: Duration = Duration::from_secs(20);
/// How often the hub looks for what became due.
const SWEEP: Duration = Duration::from_millis(4);
/// Rounds of waiting, looking and sending again until everything must be at rest.
const ROUNDS_MAX: usize = 60;
const ME: &str = "值班员";
/// What is in hand for longer is looked at again before it is sent.
const FRESH: Duration = Duration::from_millis(100);

/// A process: everything in it is gone when it is dropped.
struct Hub {
    runtime: Runtime,
    store: Store,
    queue: Arc<dyn Queue>,
    attachments: Attachments,
    senders: Option<Deliverer>,
    /// The senders of a second process, with a queue of their own, on the same store.
    others: Option<(Deliverer, Arc<dyn Queue>)>,
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
    /// Record and platform → nothing older than this version may be saved there any more.
    floors: BTreeMap<(usize, &'static str), i64>,
    /// The title has just been put in other words there: both were true a moment ago.
    reworded: Option<(usize, &'static str)>,
    /// What senders have in hand.
    in_hand: BTreeMap<(usize, &'static str), InHand>,
}

/// A delivery that a sender has in hand, for as long as nothing else is seen of it.
#[derive(Clone, Copy, PartialEq)]
struct InHand {
    token: i64,
    /// Requests about it that have arrived.
    asked: usize,
    since: Instant,
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
        let store = runtime.block_on(Store::open(&url)).expect("a store");
        let attachments = Attachments::in_folder(&store, &folder.join("files"));
        let mut hub = Self {
            runtime,
            store,
            queue,
            attachments: attachments.expect("a folder"),
            senders: None,
            others: None,
        };
        hub.senders = Some(hub.senders_with(&hub.queue, connectors));
        hub
    }

    fn senders_with(&self, queue: &Arc<dyn Queue>, connectors: &Connectors) -> Deliverer {
        let options = DeliverOptions {
            lease: LEASE,
            sweep: SweepOptions {
                interval: SWEEP,
                grace: Duration::from_secs(30),
            },
            beat: Duration::from_secs(1),
            look: SWEEP,
        };
        let places = (&self.store, &self.attachments);
        self.runtime
            .block_on(async { Deliverer::start(places, queue, connectors, options) })
            .expect("senders")
    }

    /// A second process begins to send.
    fn join(&mut self, connectors: &Connectors) {
        if self.others.is_none() {
            let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::new());
            self.others = Some((self.senders_with(&queue, connectors), queue));
        }
    }

    /// The second process ends well.
    fn part(&mut self) {
        if let Some((senders, _)) = self.others.take() {
            self.runtime.block_on(senders.stop());
        }
    }

    fn wake(&self, platform: &str) {
        self.queue.offer(platform, &[]);
        if let Some((_, queue)) = &self.others {
            queue.offer(platform, &[]);
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
            floors: BTreeMap::new(),
            reworded: None,
            in_hand: BTreeMap::new(),
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
        self.floors.clear();
        self.in_hand.clear();
        self.hub = Some(Hub::start(self.folder.path(), &self.connectors));
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("begun")
    }

    /// Lets something happen, and checks every promise.
    pub(super) fn apply(&mut self, step: Step) -> Result<(), String> {
        self.happen(step)?;
        self.check()?;
        self.check_saved()?;
        self.raise_floors()
    }

    fn happen(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Post { record, mask } => {
                self.models[record].routed = PLATFORMS
                    .into_iter()
                    .enumerate()
                    .filter(|(place, _)| (mask >> place) & 1 == 1)
                    .map(|(_, platform)| platform)
                    .collect();
                self.post(record, Gate::Open)?;
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
                        // It speaks again, at once.
                        self.floors.retain(|(it, _), _| *it != record);
                    }
                }
            }
            Step::Trouble { platform, fault } => self.platforms.play(PLATFORMS[platform], fault),
            Step::LetGo { platform } => self.platforms.let_go(PLATFORMS[platform]),
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
            Step::DoByHand { record, platform } => self.do_by_hand(record, platform)?,
            Step::Override {
                record,
                platform,
                own,
            } => self.reword(record, PLATFORMS[platform], own)?,
            Step::Lose { record, platform } => {
                if let Some(id) = &self.models[record].id {
                    self.platforms.lose(PLATFORMS[platform], id.as_str());
                }
            }
            Step::Verify { platform } => self.verify(PLATFORMS[platform])?,
            Step::Join => {
                let hub = self.hub.as_mut().expect("begun");
                hub.join(&self.connectors);
            }
            Step::Part => self.hub.as_mut().expect("begun").part(),
            Step::WakeUp => {
                for platform in PLATFORMS.into_iter().cycle().take(9) {
                    self.hub().wake(platform);
                }
            }
            Step::Work { ms } => self.work(Duration::from_millis(ms))?,
            // Of two processes both would renew their leases in so long a time.
            Step::Leap { .. } if self.hub().others.is_some() => {}
            Step::Leap { ms } => leap(ms),
            Step::Crash => {
                self.hub = None;
                // What was on its way arrives before the leases of the dead hub run out.
                self.platforms.until_quiet();
                self.hub = Some(Hub::start(self.folder.path(), &self.connectors));
            }
            Step::Restart => self.restart(),
        }
        Ok(())
    }

    fn restart(&mut self) {
        let hub = self.hub.as_mut().expect("begun");
        hub.part();
        let senders = hub.senders.take().expect("started");
        hub.runtime.block_on(senders.stop());
        hub.runtime.block_on(hub.store.close());
        self.hub = Some(Hub::start(self.folder.path(), &self.connectors));
    }

    fn submit(&self, new: NewSubmission) -> Result<SubmitOutcome, String> {
        let hub = self.hub();
        let outcome = hub.runtime.block_on(hub.store.submit(new));
        for platform in PLATFORMS {
            hub.wake(platform);
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

    fn by_hand(
        &self,
        record: usize,
        platform: usize,
        work: &HandWork,
    ) -> Result<Option<HandOutcome>, String> {
        let Some(delivery) = self.delivery(record, PLATFORMS[platform])? else {
            return Ok(None);
        };
        let hub = self.hub();
        let done = hub.store.work_by_hand(&delivery.id, work, ME);
        hub.runtime.block_on(done).map(Some).map_err(text)
    }

    fn delivery(&self, record: usize, platform: &str) -> Result<Option<DeliveryView>, String> {
        let mut deliveries = self.deliveries(record)?.into_iter();
        Ok(deliveries.find(|it| it.platform == platform))
    }

    /// A person does what is wanted, if the hub takes their word for it.
    fn do_by_hand(&mut self, record: usize, platform: usize) -> Result<(), String> {
        let at = PLATFORMS[platform];
        let Some(delivery) = self.delivery(record, at)? else {
            return Ok(());
        };
        let work = HandWork::Done {
            evidence: "截图".to_owned(),
            url: None,
        };
        if self.by_hand(record, platform, &work)? == Some(HandOutcome::Changed) {
            let title = self.models[record].title(at, delivery.version);
            let shown = match (delivery.wanted, title) {
                (Wanted::Gone, _) => None,
                (Wanted::Shown, Some(title)) => Some((delivery.version, title.to_owned())),
                (Wanted::Shown, None) => return Err("a version nobody knows".to_owned()),
            };
            let key = delivery.record_id.as_str();
            self.platforms.by_hand(at, key, shown);
        }
        Ok(())
    }

    /// An operator puts the title in other words, or in its own again.
    fn reword(&mut self, record: usize, at: &'static str, own: bool) -> Result<(), String> {
        let Some(delivery) = self.delivery(record, at)? else {
            return Ok(());
        };
        let version = delivery.version;
        let Some(before) = self.models[record].versions.get(&version) else {
            return Ok(());
        };
        let title = format!("{}（本平台用）", before.title);
        let new = NewOverride {
            delivery: delivery.id,
            version,
            pointer: "/title".to_owned(),
            before: before.title.clone().into(),
            value: (!own).then(|| title.clone().into()),
            reason: "平台限制字数".to_owned(),
            actor: ME.to_owned(),
        };
        let hub = self.hub();
        let done = hub.runtime.block_on(hub.store.override_field(&new));
        if done.map_err(text)? {
            self.hub().wake(at);
            self.reworded = Some((record, at));
            let overrides = &mut self.models[record].overrides;
            match own {
                true => overrides.remove(at),
                false => overrides.insert(at, (version, title)),
            };
        }
        Ok(())
    }

    fn verify(&self, platform: &str) -> Result<(), String> {
        let hub = self.hub();
        let new = NewVerification {
            platform: platform.to_owned(),
            repair: true,
            reason: "核对".to_owned(),
            actor: ME.to_owned(),
            scheduled_for: None,
        };
        let asked = hub.store.request_verification(&new);
        hub.runtime.block_on(asked).map(drop).map_err(text)
    }

    /// Waits until everything on a platform was looked at.
    fn until_verified(&self, platform: &str) -> Result<(), String> {
        self.verify(platform)?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            self.work(SWEEP)?;
            let hub = self.hub();
            let newest = hub.store.list_verifications(Some(platform), 1);
            let newest = hub.runtime.block_on(newest).map_err(text)?;
            if newest.iter().all(|it| it.state == VerificationState::Done) {
                return Ok(());
            }
        }
        Err(format!("nobody looks at {platform}"))
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

    /// Takes note of what may not be saved any more, wherever no sender is at work on an older
    /// word: what is superseded, held or withdrawn.
    fn raise_floors(&mut self) -> Result<(), String> {
        for record in 0..self.models.len() {
            for delivery in self.deliveries(record)? {
                let at = PLATFORMS.into_iter().find(|it| delivery.platform == *it);
                let place = (record, at.ok_or("a platform nobody knows")?);
                let free = delivery.state != DeliveryState::Sending || self.waits(place, &delivery);
                let model = &self.models[record];
                let floor = match model.wishes.get(place.1) {
                    Some(Wish::Shown(version)) => *version,
                    _ => model.version + 1,
                };
                if free {
                    self.floors.insert(place, floor);
                }
            }
        }
        Ok(())
    }

    /// Returns whether a sender that has the delivery in hand must ask before it sends it: it
    /// has it for long, and the only place in flight is taken by another.
    fn waits(&mut self, place: (usize, &'static str), delivery: &DeliveryView) -> bool {
        let key = delivery.record_id.as_str();
        let seen = InHand {
            token: delivery.claimed,
            asked: self.platforms.asked(place.1, key),
            since: Instant::now(),
        };
        let before = self.in_hand.get(&place);
        let same = before.filter(|it| (it.token, it.asked) == (seen.token, seen.asked));
        let seen = same.copied().unwrap_or(seen);
        self.in_hand.insert(place, seen);
        let stuck = self.platforms.stuck(place.1);
        self.hub().others.is_none()
            && place.1 == PLATFORMS[ONE_AT_A_TIME]
            && stuck.is_some_and(|stuck| stuck != key)
            && seen.since.elapsed() >= FRESH
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
                let key = delivery.record_id.as_str();
                if self.platforms.has_lost(&delivery.platform, key) {
                    return Ok(());
                }
                let title = self.models[record].title(&delivery.platform, delivery.version);
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
    /// version after a newer one, and nothing that was superseded, held or withdrawn before a
    /// sender began with it.
    fn check_saved(&mut self) -> Result<(), String> {
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
                Some(version) if version.passed => {
                    let said = self.models[record].title(&save.platform, save.version);
                    let reworded = self.reworded.is_some_and(|(it, at)| {
                        it == record && at == save.platform && version.title == save.title
                    });
                    if said != Some(&save.title) && !reworded {
                        return Err(format!("{save:?} says something else than {said:?}"));
                    }
                }
                version => return Err(format!("{save:?} leaks: {version:?}")),
            }
            let mut floors = self.floors.iter();
            let floor = floors.find(|((it, at), _)| *it == record && *at == save.platform);
            if floor.is_some_and(|(_, floor)| save.version < *floor) {
                return Err(format!(
                    "superseded, held or withdrawn, and then shown: {save:?}"
                ));
            }
        }
        self.checked = saved.len();
        self.reworded = None;
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
        for platform in PLATFORMS {
            self.until_verified(platform)?;
        }
        for _ in 0..ROUNDS_MAX {
            self.until_idle()?;
            self.check()?;
            self.check_saved()?;
            self.raise_floors()?;
            let failed = self.all()?.into_iter();
            let failed: Vec<DeliveryView> = failed
                .filter(|it| it.state == DeliveryState::Failed)
                .collect();
            for delivery in &failed {
                let states = [DeliveryState::Failed];
                let key = delivery.record_id.as_str();
                let way = match self.platforms.has_lost(&delivery.platform, key) {
                    true => ReplayWay::Refill,
                    false => ReplayWay::Current,
                };
                self.replay(&delivery.platform, &states, way)?;
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
                        let title = model.title(platform, *version);
                        only.version == *version && Some(only.title.as_str()) == title
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
