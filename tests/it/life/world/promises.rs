//! The promises, asked after each step and at the end.

use super::{World, text};
use crate::life::model::Wish;
use crate::life::{ONE_AT_A_TIME, PLATFORMS};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use synchub::record::{DeliveryState, Wanted};
use synchub::store::DeliveryView;

/// What is in hand for longer is looked at again before it is sent: a tenth of a second, and the
/// time in which a sender may not know yet that it has it.
const FRESH: Duration = Duration::from_millis(150);

/// A delivery that a sender has in hand, for as long as nothing else is seen of it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct InHand {
    token: i64,
    /// Requests about it that have arrived.
    asked: usize,
    since: Instant,
}

impl World {
    /// Takes note of what may not be saved any more, wherever no sender is at work on an older
    /// word: what is superseded, held or withdrawn.
    pub(super) fn raise_floors(&mut self) -> Result<(), String> {
        let mut raised = Vec::new();
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
                    raised.push((place, floor));
                }
            }
        }
        // What ended while the rows were read was begun before.
        self.check_saved()?;
        self.floors.extend(raised);
        Ok(())
    }

    /// Returns whether a sender that has the delivery in hand must ask before it sends it: it
    /// has it for long, and the only place in flight is taken by another.
    pub(super) fn waits(&mut self, place: (usize, &'static str), delivery: &DeliveryView) -> bool {
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
    pub(super) fn check(&self) -> Result<(), String> {
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

    pub(super) fn check_delivery(
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

    pub(super) fn hand_mark(&self, delivery: &DeliveryView) -> Result<bool, String> {
        let hub = self.hub();
        let mark = hub.runtime.block_on(hub.store.hand_mark(&delivery.id));
        Ok(mark.map_err(text)?.is_some())
    }

    /// Checks what was saved since the last time: only what has passed the gate, never an older
    /// version after a newer one, and nothing that was superseded, held or withdrawn before a
    /// sender began with it.
    pub(super) fn check_saved(&mut self) -> Result<(), String> {
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

    /// Asks that each platform shows what the records say, and nothing else.
    pub(super) fn check_shelves(&self) -> Result<(), String> {
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
