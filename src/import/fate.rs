//! What becomes of a row, given the record it is about: pure decisions.

use super::Outcome;
use crate::record::Action;
use crate::store::{NewSubmission, OwnRecord};

/// What the record of a row asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The row says what is stored.
    Unchanged,
    /// Nothing can be done: code, and a sentence for the clerk.
    Refused(&'static str, &'static str),
    /// It goes on with the revision it has.
    AsItIs,
    /// It goes on as this revision.
    Revision(i64),
}

/// Decides about a row that does not count its own revisions; those that do are judged by them.
pub(super) fn fate(own: Option<&OwnRecord>, new: &NewSubmission, correct: bool) -> Fate {
    let Some(own) = own else { return Fate::AsItIs };
    let is_withdrawal = new.action == Action::Withdraw;
    if is_same(own, new) {
        Fate::Unchanged
    } else if is_withdrawal {
        Fate::Revision(own.revision + 1)
    } else if own.withdrawn {
        let detail = "这条信息已经撤回；确需重新公开的，请在“版本”一栏填写更大的修订号。";
        Fate::Refused("withdrawn", detail)
    } else if correct {
        Fate::Revision(own.revision + 1)
    } else {
        let detail = "这条信息已经报送过，但内容不同；确属更正的，请加 --correct 重新导入。";
        Fate::Refused("changed", detail)
    }
}

/// Returns what would become of a submission, or code and sentence of its refusal; the words of
/// the commit, which decides about the same.
pub(super) fn foreseen(
    own: Option<&OwnRecord>,
    new: &NewSubmission,
) -> Result<Outcome, (&'static str, &'static str)> {
    if let Some(own) = own {
        if new.revision < own.revision {
            return Err(("older_revision", "系统中已有更新的版本。"));
        }
        if new.revision == own.revision {
            let detail = "这一版已报送过但内容不同，更正请增大修订号。";
            return match is_same(own, new) {
                true => Ok(Outcome::Unchanged),
                false => Err(("revision_reused", detail)),
            };
        }
    }
    match (new.action, own) {
        (Action::Withdraw, None) if new.content.is_none() => {
            Err(("unknown_record", "没有找到要撤回的信息。"))
        }
        (Action::Withdraw, _) => Ok(Outcome::Withdrawn),
        (Action::Publish, _) if !new.holds.is_empty() => Ok(Outcome::Held),
        (Action::Publish, None) => Ok(Outcome::Created),
        (Action::Publish, Some(_)) => Ok(Outcome::Corrected),
    }
}

fn is_same(own: &OwnRecord, new: &NewSubmission) -> bool {
    let is_withdrawal = new.action == Action::Withdraw;
    let same_content = own.content_sha256 == new.content_sha256;
    own.withdrawn == is_withdrawal && (same_content || is_withdrawal && new.content.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::sample;

    fn own(revision: i64, withdrawn: bool, content_sha256: &str) -> OwnRecord {
        OwnRecord {
            id: "r".to_owned(),
            revision,
            withdrawn,
            content_sha256: content_sha256.to_owned(),
        }
    }

    #[test]
    fn a_row_is_new_the_same_or_another_word_about_its_record() {
        let new = sample("a", 1);
        let same = new.content_sha256.as_str();
        assert_eq!(fate(None, &new, false), Fate::AsItIs);
        assert_eq!(
            fate(Some(&own(3, false, same)), &new, true),
            Fate::Unchanged
        );
        let other = own(3, false, "other");
        assert!(matches!(
            fate(Some(&other), &new, false),
            Fate::Refused("changed", _)
        ));
        assert_eq!(fate(Some(&other), &new, true), Fate::Revision(4));
        let gone = own(2, true, same);
        assert!(matches!(
            fate(Some(&gone), &new, true),
            Fate::Refused("withdrawn", _)
        ));
        let mut withdrawal = sample("a", 1);
        withdrawal.action = Action::Withdraw;
        withdrawal.content = None;
        assert_eq!(fate(Some(&other), &withdrawal, false), Fate::Revision(4));
        assert_eq!(fate(Some(&gone), &withdrawal, false), Fate::Unchanged);
    }

    #[test]
    fn what_is_foreseen_is_what_the_commit_would_say() {
        let new = sample("a", 2);
        let same = new.content_sha256.as_str();
        let foresee = |own: &OwnRecord| foreseen(Some(own), &new).map_err(|(code, _)| code);
        assert_eq!(foreseen(None, &new), Ok(Outcome::Created));
        assert_eq!(foresee(&own(3, false, same)), Err("older_revision"));
        assert_eq!(foresee(&own(2, false, same)), Ok(Outcome::Unchanged));
        assert_eq!(foresee(&own(2, false, "other")), Err("revision_reused"));
        assert_eq!(foresee(&own(1, false, "other")), Ok(Outcome::Corrected));
        let mut withdrawal = sample("a", 2);
        withdrawal.action = Action::Withdraw;
        withdrawal.content = None;
        let unknown = foreseen(None, &withdrawal).map_err(|(code, _)| code);
        assert_eq!(unknown, Err("unknown_record"));
    }
}
