//! The life of a delivery: from where it stands and what happens to it to where it stands then.
//!
//! The one place that decides. [`next`] is pure; the store asks it where it decides row by row,
//! and where one statement moves many rows by itself, a test holds the statement against it.
//!
//! What happens is in the first column, where the delivery stands in the first line; an empty
//! cell means that nothing changes, because it cannot happen or is refused. A test makes this
//! table from the code.
//!
//! | | held | queued | sending | retrying | delivered | confirmed | failed | withdrawn | skipped |
//! |---|---|---|---|---|---|---|---|---|---|
//! | posted, corrected or released | queued | queued | sending | queued | queued | queued | queued | queued | queued |
//! | withdrawn, or routed elsewhere | queued | queued | sending | queued | queued | queued | queued | withdrawn | queued |
//! | … that never left | skipped | skipped |  |  |  |  |  |  | skipped |
//! | … that is taken down | queued | queued | sending | queued |  |  | queued | withdrawn | skipped |
//! | … whose take-down was given up | queued | queued | sending | queued |  |  | queued |  | queued |
//! | held | held | held | sending | held | held | held | held | held | held |
//! | … that never left | held | held |  |  |  |  |  |  | held |
//! | … that is to be gone |  |  |  |  |  |  |  | held | held |
//! | no longer public | queued | queued | sending | queued | queued | queued | queued | held | queued |
//! | … that never left | held | held |  |  |  |  |  |  | held |
//! | claimed |  | sending | sending | sending | sending |  |  |  |  |
//! | settled: accepted |  |  | delivered |  |  |  |  |  |  |
//! | settled: read back, equal |  |  | confirmed |  |  |  |  |  |  |
//! | settled: read back, not visible |  |  | delivered |  |  |  |  |  |  |
//! | settled: taken down |  |  | withdrawn |  |  |  |  |  |  |
//! | settled: nothing to send |  |  | skipped |  |  |  |  |  |  |
//! | settled: try again |  |  | retrying |  |  |  |  |  |  |
//! | settled: not tried |  |  | queued |  |  |  |  |  |  |
//! | settled: refused or unknown |  |  | failed |  |  |  |  |  |  |
//! | settled, and there is a newer version |  |  | queued |  |  |  |  |  |  |
//! | settled, and held meanwhile |  |  | held |  |  |  |  |  |  |
//! | handed back |  |  | queued |  |  |  |  |  |  |
//! | handed back, and held meanwhile |  |  | held |  |  |  |  |  |  |
//! | broke off |  |  | sending |  |  |  |  |  |  |
//! | replayed |  |  |  | queued | queued | queued | queued | queued |  |
//! | replay taken back from a failure |  | failed |  |  |  |  |  |  |  |
//! | looked at: equal |  |  |  |  | confirmed |  |  |  |  |
//! | looked at: different |  |  |  |  |  | delivered |  |  |  |
//! | looked at: missing or stale, to be mended |  |  |  |  | queued | queued |  |  |  |
//! | looked at: back again, to be taken down |  |  |  |  |  |  |  | queued |  |
//! | done by hand |  | delivered |  | delivered |  |  | delivered |  |  |
//! | … that is to be gone |  | withdrawn |  | withdrawn |  |  | withdrawn |  |  |
//! | given up |  | skipped |  | skipped |  |  | skipped |  |  |
//! | decision undone, of a failure |  |  |  |  | failed |  |  | failed | failed |
//! | decision undone, of another |  |  |  |  | queued |  |  | queued | queued |
//! | overridden |  | queued |  | queued | queued | queued | queued |  | queued |
//!
//! A pause, a maintenance window and a breaker are no events of a delivery: they keep senders from
//! claiming. A lost wake-up is none either: what is due stays due. A lease that ran out is seen
//! at the next claim, which finds the delivery in `sending`.

#[cfg(test)]
pub(crate) mod table;

use super::{DeliveryState, Wanted};

/// Where a delivery stands, as far as it decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: DeliveryState,
    /// What the platform shall show.
    pub wanted: Wanted,
    /// Nothing more is sent until a person releases the record.
    pub held: bool,
    /// A sender has had it, a person has done it by hand, or something of it is shown: the
    /// platform may know of it.
    pub ever_left: bool,
    /// The platform is known to show some version.
    pub shows_some: bool,
    /// The platform is known to show the very version that is wanted.
    pub is_shown: bool,
    /// This version was tried without success.
    pub was_tried: bool,
    /// The platform's id of the object is known.
    pub has_remote: bool,
}

/// What a change of the record means for its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Routed platforms show the new version, others nothing.
    Show,
    /// No platform shows anything.
    Gone,
    /// Nothing is sent until a person releases the record. A version that passed the gate
    /// earlier and is (or may be) shown stays as it is.
    Hold,
    /// As `Hold`, but the document is no longer public: what is shown is taken down.
    Seal,
}

/// How a sender's work on a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The platform said yes.
    Accepted,
    /// It was read back and is equal.
    Confirmed,
    /// It was read back and is not to be seen yet.
    NotVisible,
    /// It is taken down, or was never there.
    TakenDown {
        /// The platform's id of the object is of no more use.
        forget_remote: bool,
    },
    /// Nothing had to be sent.
    NotNeeded,
    /// Another try may succeed.
    TryAgain {
        /// It counts as a try: a probe of a platform that does not answer does not.
        counts: bool,
        /// The platform may have acted all the same.
        in_doubt: bool,
    },
    /// It was not tried.
    NotTried,
    /// Refused, not understood, or tried too often: only a person knows what to do.
    NeedsPerson {
        /// The platform may have acted all the same.
        in_doubt: bool,
    },
}

/// What was seen of a delivery without claiming it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is shown as it should be.
    Equal,
    /// It is not, and nothing is done about it.
    Different,
    /// It is not, and sending it again mends that.
    ToMend {
        /// The platform has nothing of it any more.
        missing: bool,
    },
    /// It was taken down and is shown again, and taking it down once more mends that.
    ToTakeDown,
}

/// Everything that can happen to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The record was posted, corrected, withdrawn, held or released.
    RecordChanged {
        /// What that means.
        intent: Intent,
        /// Whether the record belongs on this platform.
        routed: bool,
    },
    /// A sender takes it. One that is in `sending` was left by a sender that vanished.
    Claimed,
    /// The sender that holds it says how its work ended.
    Settled {
        /// How.
        outcome: Outcome,
        /// The record has a newer version than the one that was sent.
        overtaken: bool,
    },
    /// Its sender has not begun and gives it back.
    HandedBack,
    /// Its sender's work broke off in the middle.
    BrokeOff,
    /// An operator's replay makes it due.
    Replayed {
        /// It is sent although it is shown already.
        again: bool,
        /// The platform has lost what it had.
        lost: bool,
    },
    /// The replay was stopped before any sender took it.
    TakenBack {
        /// Where it stood before the replay.
        before: DeliveryState,
    },
    /// A verification has looked at it.
    LookedAt(Sight),
    /// A person has done at the platform what was wanted.
    DoneByHand,
    /// A person decides that it is not sent.
    GivenUp,
    /// A person takes the last decision by hand back.
    Undone {
        /// Where it stood before that decision.
        before: DeliveryState,
    },
    /// A person has put a field in other words for this platform.
    Overridden,
}

/// Where a delivery goes, and what that does to its other columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The state.
    pub state: DeliveryState,
    /// What the platform shall show.
    pub wanted: Wanted,
    /// Whether the record is held.
    pub held: bool,
    /// Whether it is about the record's newest version now, or about the same as before.
    pub newest: bool,
    /// When it may be claimed.
    pub due: Due,
    /// The tries of this version without success.
    pub tries: Tries,
    /// The claims that are accounted for.
    pub claims: Claims,
    /// What the platform shows, as far as is known.
    pub shows: Shows,
}

/// What an outcome means by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The state; none when it was not tried: it rests where it belongs.
    pub state: Option<DeliveryState>,
    /// When it may be claimed again.
    pub due: Due,
    /// The tries of this version without success.
    pub tries: Tries,
    /// The claims that are accounted for.
    pub claims: Claims,
    /// What the platform shows, as far as is known.
    pub shows: Shows,
}

/// When a delivery may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Not before something happens to it.
    Never,
    /// At once.
    Now,
    /// When the lease of the sender that holds it runs out.
    LeaseEnd,
    /// When the outcome says; that may be never.
    AsTold,
    /// As it was, or as it was before what is taken back.
    Same,
}

/// What becomes of the count of tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// It starts from zero.
    None,
    /// One more.
    More,
    /// It stays.
    Same,
}

/// What becomes of the claims that never told how they ended: while there is one besides the
/// newest, the delivery is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claims {
    /// All are accounted for.
    AllSettled,
    /// One more is, as if it had not been.
    OneSettled,
    /// Nothing changes.
    Same,
    /// One is open at least, so that the next sender looks first.
    InDoubt,
}

/// What becomes of what is known about the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// It shows the version that was sent.
    This,
    /// It shows nothing, or nobody knows what.
    Nothing,
    /// As `Nothing`, and its id of the object is void.
    Forget,
    /// Nothing changes.
    Same,
}

/// Returns where a delivery goes; `None` when the event does not concern it.
pub fn next(now: &Standing, event: Event) -> Option<Step> {
    match event {
        Event::RecordChanged { intent, routed } => record_changed(now, intent, routed),
        Event::Claimed => claimed(now),
        Event::Settled { outcome, overtaken } => settled(now, outcome, overtaken),
        Event::HandedBack => is_sending(now).then(|| Step {
            state: resting(now),
            due: unless_held(now, Due::Now),
            claims: Claims::OneSettled,
            ..unchanged(now)
        }),
        Event::BrokeOff => is_sending(now).then(|| Step {
            due: unless_held(now, Due::Now),
            ..unchanged(now)
        }),
        Event::Replayed { again, lost } => replayed(now, again, lost),
        Event::TakenBack { before } => {
            (now.state == DeliveryState::Queued && !now.held).then(|| Step {
                state: before,
                ..unchanged(now)
            })
        }
        Event::LookedAt(sight) => looked_at(now, sight),
        Event::DoneByHand => may_be_decided(now).then(|| done_by_hand(now)),
        Event::GivenUp => may_be_decided(now).then(|| Step {
            state: DeliveryState::Skipped,
            due: Due::Never,
            ..unchanged(now)
        }),
        Event::Undone { before } => undone(now, before),
        Event::Overridden => overridden(now),
    }
}

/// Returns whether a change of the record concerns a delivery on the version that its platform had
/// before: what is shown or waits there follows the record, but nothing begins there anew.
pub fn concerns_previous(now: &Standing, intent: Intent, routed: bool) -> bool {
    let takes_down = match intent {
        Intent::Gone | Intent::Seal => true,
        Intent::Show => !routed,
        Intent::Hold => false,
    };
    match now.state {
        DeliveryState::Withdrawn => false,
        // A person may have given it up although it had come through.
        DeliveryState::Skipped => takes_down && now.ever_left,
        DeliveryState::Held
        | DeliveryState::Queued
        | DeliveryState::Sending
        | DeliveryState::Retrying
        | DeliveryState::Delivered
        | DeliveryState::Confirmed
        | DeliveryState::Failed => true,
    }
}

/// Returns the state of a delivery that begins with this change of its record.
pub fn opened(intent: Intent) -> DeliveryState {
    match intent {
        Intent::Show | Intent::Gone => DeliveryState::Queued,
        Intent::Hold | Intent::Seal => DeliveryState::Held,
    }
}

/// Returns what an outcome means for a delivery to which nothing else has happened meanwhile.
pub fn ended(outcome: Outcome) -> Ending {
    let plain = |state| Ending {
        state: Some(state),
        due: Due::Never,
        tries: Tries::None,
        claims: Claims::AllSettled,
        shows: Shows::Same,
    };
    let claims = |in_doubt| match in_doubt {
        true => Claims::Same,
        false => Claims::AllSettled,
    };
    match outcome {
        Outcome::Accepted => Ending {
            due: Due::AsTold,
            shows: Shows::This,
            ..plain(DeliveryState::Delivered)
        },
        Outcome::Confirmed => Ending {
            shows: Shows::This,
            ..plain(DeliveryState::Confirmed)
        },
        Outcome::NotVisible => Ending {
            due: Due::AsTold,
            tries: Tries::More,
            ..plain(DeliveryState::Delivered)
        },
        Outcome::TakenDown { forget_remote } => Ending {
            shows: match forget_remote {
                true => Shows::Forget,
                false => Shows::Nothing,
            },
            ..plain(DeliveryState::Withdrawn)
        },
        Outcome::NotNeeded => plain(DeliveryState::Skipped),
        Outcome::TryAgain {
            counts: false,
            in_doubt,
        } => Ending {
            state: None,
            due: Due::AsTold,
            tries: Tries::Same,
            claims: claims(in_doubt),
            shows: Shows::Same,
        },
        Outcome::TryAgain { in_doubt, .. } => Ending {
            due: Due::AsTold,
            tries: Tries::More,
            claims: claims(in_doubt),
            ..plain(DeliveryState::Retrying)
        },
        Outcome::NotTried => Ending {
            state: None,
            due: Due::AsTold,
            tries: Tries::Same,
            claims: Claims::OneSettled,
            shows: Shows::Same,
        },
        Outcome::NeedsPerson { in_doubt } => Ending {
            tries: Tries::More,
            claims: claims(in_doubt),
            ..plain(DeliveryState::Failed)
        },
    }
}

/// What stays as it is but for what a caller says.
fn unchanged(now: &Standing) -> Step {
    Step {
        state: now.state,
        wanted: now.wanted,
        held: now.held,
        newest: false,
        due: Due::Same,
        tries: Tries::Same,
        claims: Claims::Same,
        shows: Shows::Same,
    }
}

fn is_sending(now: &Standing) -> bool {
    now.state == DeliveryState::Sending
}

fn unless_held(now: &Standing, due: Due) -> Due {
    match now.held {
        true => Due::Never,
        false => due,
    }
}

/// Where a delivery belongs that nobody works on and nothing has come of.
fn resting(now: &Standing) -> DeliveryState {
    if now.held {
        DeliveryState::Held
    } else if now.is_shown {
        DeliveryState::Delivered
    } else if now.was_tried {
        DeliveryState::Retrying
    } else {
        DeliveryState::Queued
    }
}

fn record_changed(now: &Standing, intent: Intent, routed: bool) -> Option<Step> {
    // A take-down that was given up is skipped, too, and what it should remove is still there.
    let is_over = matches!(now.state, DeliveryState::Withdrawn | DeliveryState::Skipped);
    let taken_down = now.wanted == Wanted::Gone && is_over && !now.shows_some;
    match intent {
        Intent::Show if routed => Some(send(now, Wanted::Shown)),
        Intent::Show | Intent::Gone if taken_down => Some(Step {
            newest: true,
            tries: Tries::None,
            ..unchanged(now)
        }),
        Intent::Show | Intent::Gone if now.ever_left => Some(send(now, Wanted::Gone)),
        Intent::Show | Intent::Gone => Some(Step {
            state: DeliveryState::Skipped,
            wanted: Wanted::Gone,
            held: false,
            newest: true,
            due: Due::Never,
            tries: Tries::None,
            ..unchanged(now)
        }),
        Intent::Hold | Intent::Seal if taken_down && !routed => None,
        Intent::Hold | Intent::Seal if taken_down || !now.ever_left => Some(hold(now, true)),
        Intent::Seal => Some(send(now, Wanted::Gone)),
        // A take-down that is still on its way must go on.
        Intent::Hold if now.wanted == Wanted::Gone => None,
        Intent::Hold => Some(hold(now, false)),
    }
}

/// Due at once; what a sender holds right now stays with that sender, who will find at settling
/// that there is something newer.
fn send(now: &Standing, wanted: Wanted) -> Step {
    let (state, due) = match is_sending(now) {
        true => (DeliveryState::Sending, Due::LeaseEnd),
        false => (DeliveryState::Queued, Due::Now),
    };
    Step {
        state,
        wanted,
        held: false,
        newest: true,
        due,
        tries: Tries::None,
        ..unchanged(now)
    }
}

/// Never due; what a sender does right now ends in `held`.
fn hold(now: &Standing, newest: bool) -> Step {
    Step {
        state: match is_sending(now) {
            true => DeliveryState::Sending,
            false => DeliveryState::Held,
        },
        wanted: Wanted::Shown,
        held: true,
        newest,
        due: Due::Never,
        tries: Tries::None,
        ..unchanged(now)
    }
}

fn claimed(now: &Standing) -> Option<Step> {
    use DeliveryState as State;
    let tries = match now.state {
        // So that a record that kills its senders does not do so for ever.
        State::Sending => Tries::More,
        State::Queued | State::Retrying | State::Delivered => Tries::Same,
        State::Held | State::Confirmed | State::Failed | State::Withdrawn | State::Skipped => {
            return None;
        }
    };
    (!now.held).then(|| Step {
        state: State::Sending,
        due: Due::LeaseEnd,
        tries,
        ..unchanged(now)
    })
}

fn settled(now: &Standing, outcome: Outcome, overtaken: bool) -> Option<Step> {
    if !is_sending(now) {
        return None;
    }
    let ending = ended(outcome);
    let step = Step {
        state: ending.state.unwrap_or_else(|| resting(now)),
        due: ending.due,
        tries: match overtaken {
            true => Tries::None,
            false => ending.tries,
        },
        claims: ending.claims,
        shows: ending.shows,
        ..unchanged(now)
    };
    Some(match (now.held, overtaken) {
        (true, _) => Step {
            state: DeliveryState::Held,
            due: Due::Never,
            ..step
        },
        (false, true) => Step {
            state: DeliveryState::Queued,
            due: Due::Now,
            ..step
        },
        (false, false) => step,
    })
}

fn replayed(now: &Standing, again: bool, lost: bool) -> Option<Step> {
    use DeliveryState as State;
    let may = match now.state {
        State::Retrying | State::Delivered | State::Confirmed | State::Failed => true,
        State::Withdrawn => true,
        State::Held | State::Queued | State::Sending | State::Skipped => false,
    };
    // What shall be gone has nothing to repeat and is missed by nobody.
    let wanted = now.wanted == Wanted::Shown || !(again || lost);
    (may && wanted && !now.held).then(|| Step {
        shows: match (again, lost) {
            (_, true) => Shows::Forget,
            (true, false) => Shows::Nothing,
            (false, false) => Shows::Same,
        },
        claims: match lost {
            true => Claims::InDoubt,
            false => Claims::Same,
        },
        ..sent_once_more(now)
    })
}

/// As if it had never been tried.
fn sent_once_more(now: &Standing) -> Step {
    Step {
        state: DeliveryState::Queued,
        due: Due::Now,
        tries: Tries::None,
        ..unchanged(now)
    }
}

fn looked_at(now: &Standing, sight: Sight) -> Option<Step> {
    if now.held {
        return None;
    }
    if now.wanted == Wanted::Gone {
        let is_back = sight == Sight::ToTakeDown && now.state == DeliveryState::Withdrawn;
        // Under which id it came back is not known.
        return is_back.then(|| Step {
            claims: Claims::InDoubt,
            ..sent_once_more(now)
        });
    }
    match (now.state, sight) {
        (DeliveryState::Delivered, Sight::Equal) => Some(Step {
            state: DeliveryState::Confirmed,
            due: Due::Never,
            tries: Tries::None,
            ..unchanged(now)
        }),
        (DeliveryState::Confirmed, Sight::Different) => Some(Step {
            state: DeliveryState::Delivered,
            ..unchanged(now)
        }),
        (DeliveryState::Delivered | DeliveryState::Confirmed, Sight::ToMend { missing }) => {
            // A platform may err: what it misses is looked up before it is made again.
            let (shows, claims) = match missing {
                true => (Shows::Forget, Claims::InDoubt),
                false => (Shows::Nothing, Claims::Same),
            };
            Some(Step {
                shows,
                claims,
                ..sent_once_more(now)
            })
        }
        _ => None,
    }
}

/// What is being sent right now, held, or well already is none of a person's business.
fn may_be_decided(now: &Standing) -> bool {
    use DeliveryState as State;
    !now.held && matches!(now.state, State::Queued | State::Retrying | State::Failed)
}

/// What was made by hand has an id that the hub may not know, so the next sender looks first.
fn done_by_hand(now: &Standing) -> Step {
    let (state, shows, claims) = match (now.wanted, now.has_remote) {
        (Wanted::Shown, true) => (DeliveryState::Delivered, Shows::This, Claims::AllSettled),
        (Wanted::Shown, false) => (DeliveryState::Delivered, Shows::Nothing, Claims::InDoubt),
        (Wanted::Gone, _) => (DeliveryState::Withdrawn, Shows::Forget, Claims::AllSettled),
    };
    Step {
        state,
        due: Due::Never,
        tries: Tries::None,
        claims,
        shows,
        ..unchanged(now)
    }
}

fn undone(now: &Standing, before: DeliveryState) -> Option<Step> {
    use DeliveryState as State;
    let was_decided = matches!(
        now.state,
        State::Delivered | State::Withdrawn | State::Skipped
    );
    let (state, due) = match before {
        State::Failed => (State::Failed, Due::Never),
        _ => (State::Queued, Due::Now),
    };
    // What a person has made is there all the same, so the next sender looks first.
    let by_unknown_id = now.state == State::Delivered && !now.has_remote;
    (was_decided && !now.held).then(|| Step {
        state,
        due,
        claims: match by_unknown_id {
            true => Claims::InDoubt,
            false => Claims::Same,
        },
        ..unchanged(now)
    })
}

fn overridden(now: &Standing) -> Option<Step> {
    let may = now.wanted == Wanted::Shown && !now.held && !is_sending(now);
    may.then(|| Step {
        shows: Shows::Nothing,
        claims: match now.ever_left && !now.has_remote {
            true => Claims::InDoubt,
            false => Claims::Same,
        },
        ..sent_once_more(now)
    })
}
