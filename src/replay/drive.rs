//! Takes the steps of all replays that are not at their end.

use crate::clock::now_ms;
use crate::queue::Queue;
use crate::store::{Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a step of one replay is apart from the next, over all processes.
const APART: Duration = Duration::from_millis(200);
/// How often it looks whether there is a replay at all.
const IDLE: Duration = Duration::from_millis(500);

/// Drives replays until it is stopped. Any number of processes may; a replay that one of them
/// leaves behind goes on with the others, or with the next start.
pub struct Driver {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Driver {
    /// Begins to drive the replays of `store`; what is made due is offered to `queue`.
    pub fn start(store: &Store, queue: &Arc<dyn Queue>) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(drive(store.clone(), Arc::clone(queue), shutdown.clone()));
        Self { shutdown, task }
    }

    /// Takes no further step.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "Driving replays broke off: {error}");
        }
    }
}

async fn drive(store: Store, queue: Arc<dyn Queue>, shutdown: CancellationToken) {
    let mut failing = false;
    while !shutdown.is_cancelled() {
        let wait = match turn(&store, queue.as_ref()).await {
            Ok(live) => {
                failing = false;
                if live { APART } else { IDLE }
            }
            Err(error) => {
                if !failing && !shutdown.is_cancelled() {
                    tracing::warn!(%error, "Replays cannot go on for now; they are asked for again");
                }
                failing = true;
                IDLE
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Takes one step of each replay; returns whether there is any.
async fn turn(store: &Store, queue: &dyn Queue) -> Result<bool, StoreError> {
    let live = store.live_replays().await?;
    for id in &live {
        let step = store
            .step_replay(id, now_ms(), APART.as_millis() as i64)
            .await?;
        for (platform, ids) in step.into_iter().flat_map(|it| it.due) {
            queue.offer(&platform, &ids);
        }
    }
    Ok(!live.is_empty())
}
