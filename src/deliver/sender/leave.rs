//! Whether a sender may send now: what operators, the connector and the breaker let through, and
//! what its attempts tell the breaker.

use super::Sender;
use crate::clock::now_ms;
use crate::connector::Turn;
use crate::deliver::attempt::Attempted;
use crate::deliver::sign::Sign;
use crate::store::{Claim, Outage, OutageKind, Passage, PauseMode, Standing};
use std::sync::atomic::Ordering;

/// A probe that nobody took for so long means that nothing waits there: whoever looks at what is
/// shown may find out that the platform is back.
const NOBODY_PROBES_MS: i64 = 10_000;
/// A probe may take so many times the longest request before it counts as lost.
const PROBE_REQUESTS: i64 = 6;

/// Leave to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// By when a delivery must have been due.
    pub(super) due_by: i64,
    /// Since when a probe is due, while the breaker is open: one delivery may go, for whoever
    /// takes the probe.
    probe_since: Option<i64>,
}

impl Leave {
    /// Returns how many deliveries may be taken when there is room for `room`.
    pub(super) fn most(self, room: usize) -> usize {
        match self.probe_since {
            Some(_) => room.min(1),
            None => room,
        }
    }

    /// Returns whether nothing is kept back.
    pub(super) fn is_everything(self) -> bool {
        self.due_by == i64::MAX && !self.is_probe()
    }

    pub(super) fn is_probe(self) -> bool {
        self.probe_since.is_some()
    }
}

impl Sender {
    /// Returns what may be sent now; `None` when nothing.
    pub(super) async fn passage(&self) -> Option<Leave> {
        if !self.pace.sends() || !self.connector.unresolved().is_empty() {
            return None;
        }
        let now = now_ms();
        if self.connector.maintenance_until(now).is_some() {
            return None;
        }
        let standing = self.standing().await?;
        if !self.has_turn(&standing) {
            return None;
        }
        let due_by = match switched(&standing) {
            Passage::Closed(_) => return None,
            Passage::DueBy(due_by) => due_by,
            Passage::Open => i64::MAX,
        };
        let probe_since = standing.outage.map(|outage| outage.probe_at);
        match probe_since.is_some_and(|since| since > now) {
            true => None,
            false => Some(Leave {
                due_by,
                probe_since,
            }),
        }
    }

    /// Returns whether it is this version's turn to send, while a platform moves.
    fn has_turn(&self, standing: &Standing) -> bool {
        let switch = standing.switch.as_ref();
        let redirected_to = switch.and_then(|it| it.version);
        let is_retired = switch.is_some_and(|it| it.retired_at.is_some());
        let turn = self.connector.turn(redirected_to, is_retired);
        let waits = turn != Turn::Sends;
        let platform = &self.connector.id;
        match (self.out_of_turn.swap(waits, Ordering::Relaxed), waits) {
            (false, true) => tracing::warn!(
                platform,
                "Version {} of {platform} sends nothing: {turn}",
                self.connector.version()
            ),
            (true, false) => tracing::info!(
                platform,
                "Version {} of {platform} sends from now on",
                self.connector.version()
            ),
            _ => {}
        }
        !waits
    }

    /// Returns whether what is shown may be looked at now.
    pub(super) async fn may_look(&self) -> bool {
        self.passage().await.is_some_and(|leave| {
            leave
                .probe_since
                .is_none_or(|since| since < now_ms() - NOBODY_PROBES_MS)
        })
    }

    /// Returns whether a claim that waited for its turn must not be sent any more.
    pub(super) async fn is_stopped(&self, is_probe: bool) -> bool {
        match self.standing().await {
            // What is in hand is still sent.
            None => false,
            Some(standing) => {
                !self.has_turn(&standing)
                    || switched(&standing) == Passage::Closed(PauseMode::Stop)
                    || !is_probe && standing.outage.is_some()
            }
        }
    }

    /// Reads how the platform stands, and takes over the rate that operators allow and the state
    /// of the breaker; `None` when the store does not answer.
    async fn standing(&self) -> Option<Standing> {
        match self.store.standing(&self.connector.id).await {
            Ok(standing) => {
                let switch = standing.switch.as_ref();
                self.pace.cap(switch.and_then(|it| it.rate_per_s));
                let outage = standing.outage.as_ref();
                if let Some(outage) = outage {
                    self.breaker.expect_probe(outage.probe_at);
                }
                self.take_over_breaker(outage.map(|it| it.kind));
                Some(standing)
            }
            Err(error) => {
                tracing::warn!(%error, platform = %self.connector.id, "Cannot read how {} stands", self.connector.id);
                None
            }
        }
    }

    fn take_over_breaker(&self, kind: Option<OutageKind>) {
        if self.breaker.is_news(kind) {
            self.show(kind);
            if kind.is_none() {
                self.pace.begin_slowly();
            }
        }
    }

    /// Takes the probe of the platform; of all processes one gets it.
    pub(super) async fn take_probe(&self) -> bool {
        let now = now_ms();
        let lease_ms = self.surroundings.lease.as_millis() as i64;
        let requests_ms = self.connector.limits().timeout_ms as i64 * PROBE_REQUESTS;
        let until = now + lease_ms + requests_ms;
        let (platform, owner) = (&self.connector.id, &self.surroundings.owner);
        match self.store.take_probe(platform, owner, now, until).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, platform, "Cannot take the probe of {platform}");
                false
            }
        }
    }

    /// Gives the probe back if this was it: it told nothing about the platform.
    pub(super) async fn leave_probe(&self, is_probe: bool) {
        if is_probe {
            self.return_probe().await;
        }
    }

    /// Gives the probe back: the platform was not asked.
    pub(super) async fn return_probe(&self) {
        let (platform, owner) = (&self.connector.id, &self.surroundings.owner);
        if let Err(error) = self.store.return_probe(platform, owner, now_ms()).await {
            tracing::warn!(%error, platform, "Cannot give back the probe of {platform}; it will run out");
        }
    }

    /// Tells the breaker how an attempt at `claim` ended; returns whether it has to be opened.
    pub(super) fn hear(&self, claim: &Claim, sign: Sign, is_probe: bool) -> bool {
        self.pace.heed(sign);
        !is_probe && self.breaker.note(sign, &claim.delivery)
    }

    /// Lets all processes know what an attempt told of the platform.
    pub(super) async fn heed(&self, attempted: &Attempted, is_probe: bool, opens: bool) {
        let sign = attempted.sign;
        match (is_probe, sign) {
            (true, Sign::None) => self.return_probe().await,
            (true, Sign::Alive) => self.answered().await,
            (true, Sign::Out | Sign::Ailing | Sign::Odd | Sign::TooMany(_)) => {
                self.not_yet(sign, &attempted.cause()).await;
            }
            (false, _) if opens => self.open(sign, &attempted.cause()).await,
            (false, _) => {}
        }
    }

    /// Opens the breaker for everybody.
    pub(super) async fn open(&self, sign: Sign, cause: &str) {
        let platform = &self.connector.id;
        let (now, pause_ms, kind) = (now_ms(), self.breaker.pause_ms(sign, 0), sign.kind());
        let opened = self
            .store
            .begin_outage(platform, kind, cause, (now, now + pause_ms))
            .await;
        match opened {
            Ok(opened) => {
                if opened {
                    // Who looked before it was stored may have thought that it is closed.
                    self.take_over_breaker(Some(kind));
                    self.show(Some(kind));
                }
                match (opened, kind) {
                    // Another process has opened it, maybe for another reason.
                    (false, _) => drop(self.standing().await),
                    (true, OutageKind::Out) => tracing::warn!(
                        platform,
                        cause,
                        pause_ms,
                        "{platform} does not answer ({cause}): nothing is sent to it, the first probe follows in {pause_ms} ms"
                    ),
                    (true, OutageKind::TooMany) => tracing::warn!(
                        platform,
                        cause,
                        pause_ms,
                        "{platform} asks for fewer requests ({cause}): nothing is sent to it for {pause_ms} ms"
                    ),
                }
            }
            Err(error) => {
                tracing::warn!(%error, platform, "Cannot open the breaker of {platform}; the next failures will");
            }
        }
    }

    /// Lets everybody know that a probe had no success.
    pub(super) async fn not_yet(&self, sign: Sign, cause: &str) {
        let platform = &self.connector.id;
        let outage: Option<Outage> = self.standing().await.and_then(|it| it.outage);
        let kind = sign.kind();
        if outage.as_ref().is_some_and(|it| it.kind != kind) {
            // It is another trouble than before, with a time of its own.
            let owner = &self.surroundings.owner;
            if let Err(error) = self.store.end_outage(platform, owner, now_ms()).await {
                tracing::warn!(%error, platform, "Cannot put off the probe of {platform}; it will run out");
                return;
            }
            return self.open(sign, cause).await;
        }
        let probes = outage.map_or(1, |it| it.probes + 1);
        let pause_ms = self.breaker.pause_ms(sign, probes);
        let owner = &self.surroundings.owner;
        let put_off = self
            .store
            .put_probe_off(platform, owner, cause, now_ms() + pause_ms)
            .await;
        let trouble = match kind {
            OutageKind::Out => "still does not answer",
            OutageKind::TooMany => "still asks for fewer requests",
        };
        match put_off {
            Ok(()) => {
                tracing::info!(
                    platform,
                    cause,
                    probes,
                    pause_ms,
                    "{platform} {trouble} ({cause}): the next probe follows in {pause_ms} ms"
                );
            }
            Err(error) => {
                tracing::warn!(%error, platform, "Cannot put off the probe of {platform}; it will run out");
            }
        }
    }

    /// Closes the breaker and wakes the senders.
    pub(super) async fn answered(&self) {
        let platform = &self.connector.id;
        let owner = &self.surroundings.owner;
        match self.store.end_outage(platform, owner, now_ms()).await {
            Ok(ended) => {
                self.take_over_breaker(None);
                if ended {
                    tracing::info!(platform, "{platform} answers again; what waited is sent");
                }
                self.surroundings.queue.offer(platform, &[]);
            }
            Err(error) => {
                tracing::warn!(%error, platform, "Cannot close the breaker of {platform}; the next probe will");
            }
        }
    }

    /// Shows the breaker in the metrics.
    pub(super) fn show(&self, open: Option<OutageKind>) {
        for (name, kind) in [
            ("synchub_breaker_open", OutageKind::Out),
            ("synchub_too_many_requests", OutageKind::TooMany),
        ] {
            metrics::gauge!(name, "platform" => self.connector.id.clone())
                .set(if open == Some(kind) { 1.0 } else { 0.0 });
        }
    }
}

fn switched(standing: &Standing) -> Passage {
    standing
        .switch
        .as_ref()
        .map_or(Passage::Open, |switch| switch.passage(now_ms()))
}
