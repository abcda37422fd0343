//! What to do next with a claimed delivery: pure decisions, one function, all of them tested.
//!
//! | wanted | known | next |
//! |---|---|---|
//! | shown | already delivered | read back |
//! | shown | some steps of this version are done | go on with that operation |
//! | shown | an answer was lost, look-up possible and our id is not the key | look up first |
//! | shown | the platform's id | update |
//! | shown | nothing, platform without idempotency | look up, then update or publish |
//! | shown | nothing | publish |
//! | gone | the platform's id, or that something is shown | withdraw |
//! | gone | nothing was ever carried out | nothing to do |
//! | gone | an answer was lost, look-up possible and our id is not the key | look up, then withdraw |

use crate::connector::{IdentityMode, Operation};
use crate::record::Wanted;

/// All that a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Situation {
    pub(super) wanted: Wanted,
    pub(super) version: i64,
    pub(super) was_delivered: bool,
    pub(super) in_doubt: bool,
    pub(super) remote_known: bool,
    pub(super) ever_shown: bool,
    /// The operation whose first steps are done for this version.
    pub(super) begun: Option<Operation>,
    pub(super) looked_up: Option<LookedUp>,
    pub(super) abilities: Abilities,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LookedUp {
    pub(super) found: bool,
    /// The version that is there, if the platform tells.
    pub(super) version: Option<i64>,
}

/// What a connector can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) identity: IdentityMode,
    pub(super) look_up: bool,
    pub(super) withdraw: bool,
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Run this operation.
    Do(Operation),
    /// What is wanted is already shown.
    AlreadyShown,
    /// Nothing of it is on the platform any more.
    AlreadyGone,
    /// It never left.
    NothingToDo,
    /// The platform cannot take anything down: a person must.
    CannotWithdraw,
    /// An answer was lost and the platform cannot be asked: a person must look.
    CannotTell,
}

pub(super) fn next(situation: &Situation) -> Next {
    if situation.was_delivered {
        return Next::Do(Operation::ReadBack);
    }
    match situation.wanted {
        Wanted::Shown => next_to_show(situation),
        Wanted::Gone => next_to_remove(situation),
    }
}

fn next_to_show(situation: &Situation) -> Next {
    let abilities = &situation.abilities;
    if let Some(looked_up) = situation.looked_up {
        return match looked_up {
            LookedUp {
                found: true,
                version,
            } if version == Some(situation.version) => Next::AlreadyShown,
            LookedUp { found: true, .. } => Next::Do(Operation::Update),
            LookedUp { found: false, .. } => Next::Do(Operation::Publish),
        };
    }
    if let Some(operation) = situation.begun {
        return Next::Do(operation);
    }
    // The lost answer may be that of a take-down: the id that is known may be void by now.
    if situation.in_doubt && may_look(abilities) {
        return Next::Do(Operation::LookUp);
    }
    if situation.remote_known || situation.ever_shown {
        return Next::Do(Operation::Update);
    }
    match abilities.identity {
        IdentityMode::LookUp => Next::Do(Operation::LookUp),
        IdentityMode::IdempotencyHeader if situation.in_doubt && abilities.look_up => {
            Next::Do(Operation::LookUp)
        }
        IdentityMode::IdempotencyHeader | IdentityMode::ClientId => Next::Do(Operation::Publish),
    }
}

/// Returns whether a look-up tells more than our own id, which is the key where it can be.
fn may_look(abilities: &Abilities) -> bool {
    abilities.look_up && abilities.identity != IdentityMode::ClientId
}

fn next_to_remove(situation: &Situation) -> Next {
    let abilities = &situation.abilities;
    if let Some(LookedUp { found: false, .. }) = situation.looked_up {
        return Next::AlreadyGone;
    }
    let may_be_there = situation.remote_known || situation.ever_shown || situation.in_doubt;
    if !may_be_there {
        return Next::NothingToDo;
    }
    if !abilities.withdraw {
        return Next::CannotWithdraw;
    }
    // The lost answer may be that of a publish under another id.
    if situation.in_doubt && situation.looked_up.is_none() && may_look(abilities) {
        return Next::Do(Operation::LookUp);
    }
    let can_name_it = situation.remote_known || abilities.identity == IdentityMode::ClientId;
    match (can_name_it, abilities.look_up) {
        (true, _) => Next::Do(Operation::Withdraw),
        (false, true) => Next::Do(Operation::LookUp),
        (false, false) => Next::CannotTell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(identity: IdentityMode) -> Situation {
        Situation {
            wanted: Wanted::Shown,
            version: 2,
            was_delivered: false,
            in_doubt: false,
            remote_known: false,
            ever_shown: false,
            begun: None,
            looked_up: None,
            abilities: Abilities {
                identity,
                look_up: true,
                withdraw: true,
            },
        }
    }

    #[test]
    fn a_platform_without_idempotency_is_asked_before_anything_is_created() {
        let situation = fresh(IdentityMode::LookUp);
        assert_eq!(next(&situation), Next::Do(Operation::LookUp));
        let after = |found, version| {
            next(&Situation {
                looked_up: Some(LookedUp { found, version }),
                remote_known: found,
                ..situation
            })
        };
        assert_eq!(after(false, None), Next::Do(Operation::Publish));
        assert_eq!(after(true, Some(1)), Next::Do(Operation::Update));
        assert_eq!(after(true, None), Next::Do(Operation::Update));
        assert_eq!(after(true, Some(2)), Next::AlreadyShown);
    }

    #[test]
    fn a_lost_answer_is_looked_up_where_our_id_is_not_the_key() {
        let lost = |identity| {
            next(&Situation {
                in_doubt: true,
                ..fresh(identity)
            })
        };
        assert_eq!(
            lost(IdentityMode::IdempotencyHeader),
            Next::Do(Operation::LookUp)
        );
        assert_eq!(lost(IdentityMode::LookUp), Next::Do(Operation::LookUp));
        assert_eq!(lost(IdentityMode::ClientId), Next::Do(Operation::Publish));
    }

    #[test]
    fn a_known_id_is_not_trusted_after_a_lost_answer() {
        let lost = |wanted, identity| {
            next(&Situation {
                wanted,
                in_doubt: true,
                remote_known: true,
                ever_shown: true,
                ..fresh(identity)
            })
        };
        for wanted in [Wanted::Shown, Wanted::Gone] {
            for identity in [IdentityMode::LookUp, IdentityMode::IdempotencyHeader] {
                assert_eq!(lost(wanted, identity), Next::Do(Operation::LookUp));
            }
        }
        let ours = IdentityMode::ClientId;
        assert_eq!(lost(Wanted::Shown, ours), Next::Do(Operation::Update));
        assert_eq!(lost(Wanted::Gone, ours), Next::Do(Operation::Withdraw));
    }

    #[test]
    fn finished_steps_are_not_done_again() {
        let situation = Situation {
            begun: Some(Operation::Publish),
            remote_known: true,
            ..fresh(IdentityMode::LookUp)
        };
        assert_eq!(next(&situation), Next::Do(Operation::Publish));
    }

    #[test]
    fn what_never_left_needs_no_withdrawal() {
        for identity in [
            IdentityMode::LookUp,
            IdentityMode::ClientId,
            IdentityMode::IdempotencyHeader,
        ] {
            let situation = Situation {
                wanted: Wanted::Gone,
                ..fresh(identity)
            };
            assert_eq!(next(&situation), Next::NothingToDo);
        }
    }

    #[test]
    fn a_withdrawal_after_a_lost_answer_finds_out_what_to_remove() {
        let situation = Situation {
            wanted: Wanted::Gone,
            in_doubt: true,
            ..fresh(IdentityMode::LookUp)
        };
        assert_eq!(next(&situation), Next::Do(Operation::LookUp));
        let found = Situation {
            looked_up: Some(LookedUp {
                found: true,
                version: None,
            }),
            remote_known: true,
            ..situation
        };
        assert_eq!(next(&found), Next::Do(Operation::Withdraw));
        let missing = Situation {
            looked_up: Some(LookedUp {
                found: false,
                version: None,
            }),
            ..situation
        };
        assert_eq!(next(&missing), Next::AlreadyGone);
        let by_our_id = Situation {
            abilities: Abilities {
                identity: IdentityMode::ClientId,
                ..situation.abilities
            },
            ..situation
        };
        assert_eq!(next(&by_our_id), Next::Do(Operation::Withdraw));
        let blind = Situation {
            abilities: Abilities {
                look_up: false,
                ..situation.abilities
            },
            ..situation
        };
        assert_eq!(next(&blind), Next::CannotTell);
        let mute = Situation {
            abilities: Abilities {
                withdraw: false,
                ..situation.abilities
            },
            ..situation
        };
        assert_eq!(next(&mute), Next::CannotWithdraw);
    }
}
