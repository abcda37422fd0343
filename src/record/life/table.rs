//! The table in the module's text is made from the code, and what must hold of all of it does.

use super::*;

/// One line of the table: what happens, and what is special about where the delivery stands.
struct Line {
    name: &'static str,
    event: Event,
    stands: fn(Standing) -> Standing,
}

fn line(name: &'static str, event: Event) -> Line {
    Line {
        name,
        event,
        stands: |standing| standing,
    }
}

fn changed(intent: Intent, routed: bool) -> Event {
    Event::RecordChanged { intent, routed }
}

fn settled(outcome: Outcome) -> Event {
    Event::Settled {
        outcome,
        overtaken: false,
    }
}

fn never_left(standing: Standing) -> Standing {
    Standing {
        ever_left: false,
        ..standing
    }
}

fn to_be_gone(standing: Standing) -> Standing {
    Standing {
        wanted: Wanted::Gone,
        is_shown: false,
        shows_some: false,
        ..standing
    }
}

fn left_there(standing: Standing) -> Standing {
    Standing {
        shows_some: true,
        ..to_be_gone(standing)
    }
}

fn held(standing: Standing) -> Standing {
    Standing {
        held: true,
        ..standing
    }
}

fn lines() -> Vec<Line> {
    let unsure = Outcome::NeedsPerson { in_doubt: true };
    let gone = Outcome::TakenDown {
        forget_remote: false,
    };
    let again = Outcome::TryAgain {
        counts: true,
        in_doubt: false,
    };
    let overtaken = Event::Settled {
        outcome: Outcome::Accepted,
        overtaken: true,
    };
    let of = |name, event, stands| Line {
        name,
        event,
        stands,
    };
    vec![
        line("posted, corrected or released", changed(Intent::Show, true)),
        line(
            "withdrawn, or routed elsewhere",
            changed(Intent::Gone, false),
        ),
        of(
            "… that never left",
            changed(Intent::Gone, false),
            never_left,
        ),
        of(
            "… that is taken down",
            changed(Intent::Gone, false),
            to_be_gone,
        ),
        of(
            "… whose take-down was given up",
            changed(Intent::Gone, false),
            left_there,
        ),
        line("held", changed(Intent::Hold, true)),
        of("… that never left", changed(Intent::Hold, true), never_left),
        of(
            "… that is to be gone",
            changed(Intent::Hold, true),
            to_be_gone,
        ),
        line("no longer public", changed(Intent::Seal, true)),
        of("… that never left", changed(Intent::Seal, true), never_left),
        line("claimed", Event::Claimed),
        line("settled: accepted", settled(Outcome::Accepted)),
        line("settled: read back, equal", settled(Outcome::Confirmed)),
        line(
            "settled: read back, not visible",
            settled(Outcome::NotVisible),
        ),
        line("settled: taken down", settled(gone)),
        line("settled: nothing to send", settled(Outcome::NotNeeded)),
        line("settled: try again", settled(again)),
        line("settled: not tried", settled(Outcome::NotTried)),
        line("settled: refused or unknown", settled(unsure)),
        line("settled, and there is a newer version", overtaken),
        of(
            "settled, and held meanwhile",
            settled(Outcome::Accepted),
            held,
        ),
        line("handed back", Event::HandedBack),
        of("handed back, and held meanwhile", Event::HandedBack, held),
        line("broke off", Event::BrokeOff),
        line(
            "replayed",
            Event::Replayed {
                again: false,
                lost: false,
            },
        ),
        line(
            "replay taken back from a failure",
            Event::TakenBack {
                before: DeliveryState::Failed,
            },
        ),
        line("looked at: equal", Event::LookedAt(Sight::Equal)),
        line("looked at: different", Event::LookedAt(Sight::Different)),
        line(
            "looked at: missing or stale, to be mended",
            Event::LookedAt(Sight::ToMend { missing: true }),
        ),
        line(
            "looked at: back again, to be taken down",
            Event::LookedAt(Sight::ToTakeDown),
        ),
        line("done by hand", Event::DoneByHand),
        of("… that is to be gone", Event::DoneByHand, to_be_gone),
        line("given up", Event::GivenUp),
        line(
            "decision undone, of a failure",
            Event::Undone {
                before: DeliveryState::Failed,
            },
        ),
        line(
            "decision undone, of another",
            Event::Undone {
                before: DeliveryState::Retrying,
            },
        ),
        line("overridden", Event::Overridden),
    ]
}

/// A usual delivery in this state.
fn usual(state: DeliveryState) -> Standing {
    use DeliveryState as State;
    Standing {
        state,
        wanted: match state {
            State::Withdrawn => Wanted::Gone,
            _ => Wanted::Shown,
        },
        held: state == State::Held,
        ever_left: true,
        shows_some: matches!(state, State::Delivered | State::Confirmed),
        is_shown: matches!(state, State::Delivered | State::Confirmed),
        was_tried: state == State::Retrying,
        has_remote: true,
    }
}

/// Returns whether a delivery can stand so.
fn is_possible(standing: &Standing) -> bool {
    use DeliveryState as State;
    let Standing {
        state,
        wanted,
        held,
        ever_left,
        shows_some,
        is_shown,
        ..
    } = *standing;
    let holds = match state {
        State::Held => held,
        State::Sending => true,
        _ => !held,
    };
    let leaves = match state {
        State::Held | State::Queued | State::Skipped => true,
        _ => ever_left,
    };
    let shows =
        (!is_shown || (shows_some && wanted == Wanted::Shown)) && (!shows_some || ever_left);
    let well = match state {
        State::Delivered | State::Confirmed => wanted == Wanted::Shown,
        State::Withdrawn => wanted == Wanted::Gone && !shows_some,
        _ => true,
    };
    holds && leaves && shows && well
}

fn table() -> String {
    let mut text = String::from("//! | |");
    for state in DeliveryState::ALL {
        text.push_str(&format!(" {} |", state.as_str()));
    }
    text.push_str("\n//! |---|---|---|---|---|---|---|---|---|---|\n");
    for Line {
        name,
        event,
        stands,
    } in lines()
    {
        text.push_str(&format!("//! | {name} |"));
        for state in DeliveryState::ALL {
            let standing = stands(usual(state));
            let step = next(&standing, event).filter(|_| is_possible(&standing));
            let word = step.map_or("", |step| step.state.as_str());
            text.push_str(&format!(" {word} |"));
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_table_in_the_text_is_what_the_code_does() {
    let source = include_str!("../life.rs");
    let written: String = source
        .lines()
        .filter(|line| line.starts_with("//! |"))
        .map(|line| format!("{line}\n"))
        .collect();
    let made = table();
    assert!(
        written == made,
        "the table in src/record/life.rs must read\n\n{made}"
    );
}

/// Every way in which a delivery can stand.
pub(crate) fn standings() -> Vec<Standing> {
    let both = [false, true];
    let mut all = Vec::new();
    for state in DeliveryState::ALL {
        for wanted in [Wanted::Shown, Wanted::Gone] {
            for bits in 0..64_usize {
                let bit = |place: usize| both[(bits >> place) & 1];
                all.push(Standing {
                    state,
                    wanted,
                    held: bit(0),
                    ever_left: bit(1),
                    shows_some: bit(2),
                    is_shown: bit(3),
                    was_tried: bit(4),
                    has_remote: bit(5),
                });
            }
        }
    }
    all.retain(is_possible);
    all
}

/// All outcomes.
pub(crate) fn outcomes() -> Vec<Outcome> {
    let mut all = vec![
        Outcome::Accepted,
        Outcome::Confirmed,
        Outcome::NotVisible,
        Outcome::NotNeeded,
        Outcome::NotTried,
    ];
    for bit in [false, true] {
        all.push(Outcome::TakenDown { forget_remote: bit });
        for counts in [false, true] {
            all.push(Outcome::TryAgain {
                counts,
                in_doubt: bit,
            });
        }
        all.push(Outcome::NeedsPerson { in_doubt: bit });
    }
    all
}

/// Everything that can happen.
pub(crate) fn events() -> Vec<Event> {
    let mut all = vec![
        Event::Claimed,
        Event::HandedBack,
        Event::BrokeOff,
        Event::LookedAt(Sight::Equal),
        Event::LookedAt(Sight::Different),
        Event::LookedAt(Sight::ToTakeDown),
        Event::DoneByHand,
        Event::GivenUp,
        Event::Overridden,
    ];
    for bit in [false, true] {
        for intent in [Intent::Show, Intent::Gone, Intent::Hold, Intent::Seal] {
            all.push(changed(intent, bit));
        }
        for outcome in outcomes() {
            all.push(Event::Settled {
                outcome,
                overtaken: bit,
            });
        }
        all.push(Event::LookedAt(Sight::ToMend { missing: bit }));
        all.push(Event::Replayed {
            again: true,
            lost: bit,
        });
    }
    all.push(Event::Replayed {
        again: false,
        lost: false,
    });
    for before in [DeliveryState::Failed, DeliveryState::Retrying] {
        all.push(Event::TakenBack { before });
        all.push(Event::Undone { before });
    }
    all
}

/// Every step from anywhere.
fn steps() -> impl Iterator<Item = (Standing, Event, Step)> {
    standings().into_iter().flat_map(|standing| {
        events()
            .into_iter()
            .filter_map(move |event| Some((standing, event, next(&standing, event)?)))
    })
}

#[test]
fn what_is_held_is_never_due_and_is_sent_to_nobody() {
    for (from, event, to) in steps() {
        let what = format!("{from:?} {event:?} {to:?}");
        if to.held {
            assert_eq!(to.due, Due::Never, "{what}");
            let stays = from.state == DeliveryState::Sending;
            assert!(to.state == DeliveryState::Held || stays, "{what}");
        } else {
            assert_ne!(to.state, DeliveryState::Held, "{what}");
        }
        // Only the record itself ends a hold.
        let by_record = matches!(event, Event::RecordChanged { .. });
        assert!(to.held == from.held || by_record, "{what}");
    }
}

#[test]
fn what_waits_for_a_sender_is_due_and_what_has_ended_is_not() {
    use DeliveryState as State;
    for (from, event, to) in steps() {
        let what = format!("{from:?} {event:?} {to:?}");
        let taken_back = matches!(event, Event::TakenBack { .. });
        match to.state {
            State::Queued | State::Retrying => assert_ne!(to.due, Due::Never, "{what}"),
            State::Sending | State::Delivered => {}
            State::Held | State::Confirmed | State::Failed | State::Withdrawn | State::Skipped => {
                // What rested before rests again.
                let rests = to.due == Due::Never || to.due == Due::Same;
                assert!(rests || taken_back, "{what}");
            }
        }
    }
}

#[test]
fn only_a_yes_makes_a_delivery_delivered() {
    for (from, event, to) in steps() {
        let well = matches!(
            to.state,
            DeliveryState::Delivered | DeliveryState::Confirmed
        );
        let said_yes = match event {
            Event::Settled { outcome, .. } => {
                let yes = [Outcome::Accepted, Outcome::Confirmed, Outcome::NotVisible];
                yes.contains(&outcome) || from.is_shown
            }
            Event::DoneByHand => true,
            _ => {
                let was_well = matches!(
                    from.state,
                    DeliveryState::Delivered | DeliveryState::Confirmed
                );
                from.is_shown || was_well
            }
        };
        assert!(!well || said_yes, "{from:?} {event:?} {to:?}");
        let learns = to.shows == Shows::This;
        let told = matches!(event, Event::Settled { .. } | Event::DoneByHand);
        assert!(!learns || told, "{from:?} {event:?} {to:?}");
    }
}

#[test]
fn only_a_claim_begins_to_send_and_only_a_sender_settles() {
    for (from, event, to) in steps() {
        let begins = to.state == DeliveryState::Sending && from.state != DeliveryState::Sending;
        assert!(!begins || event == Event::Claimed, "{from:?} {event:?}");
        if matches!(event, Event::Settled { .. } | Event::HandedBack) {
            assert_eq!(from.state, DeliveryState::Sending, "{event:?}");
            assert_ne!(to.state, DeliveryState::Sending, "{event:?}");
        }
    }
}

#[test]
fn a_newer_version_or_a_withdrawal_is_never_dropped() {
    use DeliveryState as State;
    for (from, event, to) in steps() {
        let what = format!("{from:?} {event:?} {to:?}");
        if let Event::RecordChanged { intent, routed } = event {
            match intent {
                Intent::Show if routed => {
                    assert_eq!((to.wanted, to.newest), (Wanted::Shown, true), "{what}");
                    assert!(to.state.is_on_its_way(), "{what}");
                }
                Intent::Show | Intent::Gone => {
                    assert_eq!((to.wanted, to.newest), (Wanted::Gone, true), "{what}");
                    let ends = matches!(to.state, State::Withdrawn | State::Skipped);
                    assert!(ends || to.state.is_on_its_way(), "{what}");
                }
                Intent::Hold | Intent::Seal => {}
            }
        }
        if let Event::Settled {
            overtaken: true, ..
        } = event
        {
            assert!(matches!(to.state, State::Queued | State::Held), "{what}");
        }
    }
}

#[test]
fn nothing_begins_anew_on_the_version_that_a_platform_had_before() {
    use DeliveryState as State;
    for standing in standings() {
        let shows = standing.shows_some;
        for intent in [Intent::Show, Intent::Gone, Intent::Hold, Intent::Seal] {
            for routed in [false, true] {
                let concerned = concerns_previous(&standing, intent, routed);
                let what = format!("{standing:?} {intent:?} {routed}");
                let is_over = matches!(standing.state, State::Withdrawn | State::Skipped);
                assert!(is_over || concerned, "{what}");
                let takes_down = matches!(intent, Intent::Gone | Intent::Seal);
                assert!(!(shows && takes_down) || concerned, "{what}");
                let comes_back = is_over && intent == Intent::Show && routed;
                assert!(!(comes_back && concerned), "{what}");
            }
        }
    }
}
