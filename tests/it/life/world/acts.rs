//! What the OA, operators and people at the platforms do, and what the records say then.

use super::hub::SWEEP;
use super::{ME, World, text};
use crate::hub::PATIENCE;
use crate::life::PLATFORMS;
use crate::life::model::{Gate, publication, withdrawal};
use std::time::Instant;
use synchub::clock::now_ms;
use synchub::record::{DeliveryState, Wanted};
use synchub::store::{
    HandOutcome, HandWork, NewOverride, NewReplay, NewSubmission, NewVerification, ReplaySelection,
    ReplayWay, SubmitOutcome, VerificationState,
};

impl World {
    pub(super) fn submit(&self, new: NewSubmission) -> Result<SubmitOutcome, String> {
        let hub = self.hub();
        let outcome = hub.runtime.block_on(hub.store.submit(new));
        for platform in PLATFORMS {
            hub.wake(platform);
        }
        outcome.map_err(text)
    }

    pub(super) fn post_everywhere(&mut self, record: usize, gate: Gate) -> Result<(), String> {
        self.models[record].routed = PLATFORMS.to_vec();
        self.post(record, gate)
    }

    pub(super) fn post(&mut self, record: usize, gate: Gate) -> Result<(), String> {
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

    pub(super) fn withdraw(&mut self, record: usize) -> Result<(), String> {
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

    pub(super) fn resume(&self, platform: &str) -> Result<(), String> {
        let hub = self.hub();
        let resumed = hub.store.resume_platform(platform, None, "", ME);
        hub.runtime.block_on(resumed).map_err(text)
    }

    pub(super) fn replay(
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

    pub(super) fn by_hand(
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

    /// A person does what is wanted, if the hub takes their word for it.
    pub(super) fn do_by_hand(&mut self, record: usize, platform: usize) -> Result<(), String> {
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
    pub(super) fn reword(
        &mut self,
        record: usize,
        at: &'static str,
        own: bool,
    ) -> Result<(), String> {
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

    pub(super) fn verify(&self, platform: &str) -> Result<(), String> {
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
    pub(super) fn until_verified(&self, platform: &str) -> Result<(), String> {
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
}
