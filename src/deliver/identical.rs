//! A version that is sent once more byte for byte: what was sent of it, and whether a request is
//! the same.
//!
//! An operator who replays `identical` wants what was sent, not what a connector that has changed
//! meanwhile, or a clock in its text, makes of it today. So each body is compared with the hashes
//! that the attempts keep ([`super::evidence`]) before it goes out.

use crate::connector::{Body, Connector, Operation};
use crate::record::Wanted;
use crate::store::{AttemptView, Claim, Store, StoreError};
use serde_json::Value;
use sha2::Sha256;
use std::collections::HashSet;

/// The bodies that were sent to show one version.
#[derive(Debug)]
pub(super) struct Sent {
    /// Steps that change something; questions are asked as ever.
    changing: HashSet<String>,
    /// Those of them that were sent.
    steps: HashSet<String>,
    /// Lower-case hex SHA-256 of their bodies.
    bodies: HashSet<String>,
}

impl Sent {
    /// Reads what was sent of the version of `claim`, if it shall be sent identically.
    pub(super) async fn read(
        store: &Store,
        connector: &Connector,
        claim: &Claim,
    ) -> Result<Option<Self>, StoreError> {
        let asked = claim.progress.as_ref().and_then(asked_version);
        if claim.wanted != Wanted::Shown || asked != Some(claim.version) {
            return Ok(None);
        }
        let attempts = store.attempts(&claim.delivery).await?;
        let operations = [Operation::Publish, Operation::Update];
        let changing = operations
            .iter()
            .flat_map(|operation| connector.steps(*operation))
            .map(|step| step.name.clone())
            .collect();
        Ok(Some(Self::of(changing, &attempts, claim.version)))
    }

    fn of(changing: HashSet<String>, attempts: &[AttemptView], version: i64) -> Self {
        let mut sent = Self {
            changing,
            steps: HashSet::new(),
            bodies: HashSet::new(),
        };
        let of_version = attempts.iter().filter(|it| it.version == version);
        for exchange in of_version.flat_map(|it| it.exchanges.as_array().into_iter().flatten()) {
            let step = exchange["step"].as_str().unwrap_or_default();
            if let Some(body) = exchange["request"]["body_sha256"].as_str()
                && sent.changing.contains(step)
            {
                sent.steps.insert(step.to_owned());
                sent.bodies.insert(body.to_owned());
            }
        }
        sent
    }

    /// Whether a request may go out. What was never sent cannot differ: a version of which nothing
    /// was sent, or the steps behind those that are `begun`.
    pub(super) fn allows(&self, step: &str, begun: bool, body: &Body) -> bool {
        !self.changing.contains(step)
            || self.steps.is_empty()
            || begun && !self.steps.contains(step)
            || self.has(body)
    }
}

impl Sent {
    /// A body that cannot be read is none of those that were sent.
    fn has(&self, body: &Body) -> bool {
        let digest = body.digest::<Sha256>().map(hex::encode);
        digest.is_ok_and(|digest| self.bodies.contains(&digest))
    }
}

/// Returns the version that a replay wants to be sent identically, as it notes in the progress.
pub(super) fn asked_version(progress: &Value) -> Option<i64> {
    progress.get("identical")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest as _;

    fn sent(bodies: &[(&str, &str)]) -> Sent {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
        Sent {
            changing: names(&["article", "file"]),
            steps: bodies.iter().map(|(step, _)| (*step).to_owned()).collect(),
            bodies: bodies
                .iter()
                .map(|(_, body)| hex::encode(Sha256::digest(body)))
                .collect(),
        }
    }

    #[test]
    fn only_what_was_sent_goes_out_again() {
        let once = sent(&[("article", "甲")]);
        assert!(once.allows("article", false, &Body::from("甲")));
        assert!(!once.allows("article", false, &Body::from("乙")));
        assert!(
            !once.allows("file", false, &Body::from("f")),
            "another operation"
        );
        assert!(
            once.allows("file", true, &Body::from("f")),
            "the step that failed"
        );
        assert!(once.allows("find", false, &Body::from("q")), "a question");
        assert!(
            sent(&[]).allows("article", false, &Body::from("x")),
            "nothing was sent"
        );
        let both = sent(&[("article", "甲"), ("file", "f")]);
        assert!(!both.allows("file", true, &Body::from("g")));
    }

    #[test]
    fn a_progress_tells_what_was_asked() {
        let asked = |text: &str| asked_version(&serde_json::from_str(text).unwrap());
        assert_eq!(asked(r#"{"identical":3}"#), Some(3));
        assert_eq!(
            asked(r#"{"version":3,"operation":"publish","done":{}}"#),
            None
        );
        assert_eq!(asked("null"), None);
    }
}
