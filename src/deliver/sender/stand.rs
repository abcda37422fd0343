//! What a sender is given while it stands by: new deliveries, straight from the commit that opened
//! them (see [`crate::store::StandBy`]).

use super::leave::Leave;
use super::{Sender, Taken};
use crate::store::{Claim, Hands, InHand, StandBy};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

impl Sender {
    /// Enters the line of those who stand by, if the queue lets this process do so, and begins
    /// with what is given there until the line is left.
    pub(super) fn stand_by(self: &Arc<Self>) -> Option<(StandBy, JoinHandle<()>)> {
        if !self.surroundings.queue.lets_stand_by() {
            return None;
        }
        let (line, hands) = self.store.stand_by(
            &self.connector.id,
            Arc::clone(&self.in_hand),
            &self.surroundings.owner,
            self.surroundings.lease,
        );
        Some((line, tokio::spawn(Arc::clone(self).take_given(hands))))
    }

    async fn take_given(self: Arc<Self>, mut hands: Hands) {
        while let Some((given, committed_at)) = hands.next().await {
            // The switch may have been thrown since it was looked at. What is new was due now.
            let goes_on = !self.surroundings.shutdown.is_cancelled()
                && self.passage().await.is_some_and(Leave::is_everything);
            match goes_on {
                true => self.begin(given, committed_at),
                false => self.refuse(given).await,
            }
        }
    }

    fn begin(self: &Arc<Self>, given: Vec<InHand>, claimed_at: Instant) {
        for (claim, permit) in given {
            let taken = Taken {
                claim,
                claimed_at,
                is_probe: false,
            };
            self.spawn(taken, permit, Vec::new());
        }
    }

    /// Hands back what may not be sent, and lets whoever gave it find out why.
    async fn refuse(&self, given: Vec<InHand>) {
        let claims: Vec<Claim> = given.into_iter().map(|(claim, _)| claim).collect();
        self.hand_back(&claims).await;
        self.surroundings.queue.offer(&self.connector.id, &[]);
    }
}
