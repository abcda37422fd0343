//! The hub, the platforms and the records: what steps do to them, and how all comes to rest.

mod acts;
mod hub;
mod promises;

use super::model::{Gate, Model, publication};
use super::platform::Platforms;
use super::{PLATFORMS, RECORDS, Step};
use crate::hub::{PATIENCE, project};
use hub::{Hub, LEASE, SWEEP};
use promises::InHand;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use synchub::clock::{leap, now_ms};
use synchub::connector::{Connectors, References};
use synchub::record::{DeliveryState, SubmissionId, Wanted};
use synchub::store::{
    DeliveryView, HandWork, NewSubmission, ReleaseOutcome, ReplaySwitch, ReplayWay, Store,
    SubmitOutcome, WithdrawOutcome,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Rounds of waiting, looking and sending again until everything must be at rest.
const ROUNDS_MAX: usize = 60;
const ME: &str = "值班员";

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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
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

    fn delivery(&self, record: usize, platform: &str) -> Result<Option<DeliveryView>, String> {
        let mut deliveries = self.deliveries(record)?.into_iter();
        Ok(deliveries.find(|it| it.platform == platform))
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
                None if !failed.is_empty() => {}
                // What is being sent is not looked at: only now can all of it be mended.
                None => match self.lost()? {
                    Some(platform) => self.until_verified(platform)?,
                    None => return self.check_shelves(),
                },
            }
        }
        Err(format!("it does not come to rest: {:?}", self.all()?))
    }

    /// Returns a platform that has lost what it should show.
    fn lost(&self) -> Result<Option<&'static str>, String> {
        let mut all = self.all()?.into_iter();
        let lost = all.find(|it| {
            let key = it.record_id.as_str();
            let shown = matches!(
                it.state,
                DeliveryState::Delivered | DeliveryState::Confirmed
            );
            shown && it.wanted == Wanted::Shown && self.platforms.has_lost(&it.platform, key)
        });
        Ok(lost.and_then(|it| PLATFORMS.into_iter().find(|at| it.platform == *at)))
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
}
