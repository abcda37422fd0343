//! What the log and the metrics say about an outcome.

use crate::store::{Claim, Settled};

/// Counts and logs what became of a claim.
pub(super) fn note(platform: &str, claim: &Claim, outcome: &Settled) {
    let word = match outcome {
        Settled::Shown { .. } => "delivered",
        Settled::Confirmed { .. } => "confirmed",
        Settled::StillUnderReview { .. } => "under_review",
        Settled::Gone { .. } => "withdrawn",
        Settled::Skipped => "skipped",
        Settled::Retry { .. } => "retry",
        Settled::Postponed { .. } => "postponed",
        Settled::Failed { .. } => "failed",
    };
    metrics::counter!("synchub_attempts_total", "platform" => platform.to_owned(), "outcome" => word)
        .increment(1);
    match outcome {
        Settled::Failed {
            stage,
            class,
            code,
            text,
            ..
        } => tracing::warn!(
            delivery.id = %claim.delivery, record.id = %claim.record_id, platform, stage, class, code,
            "Delivery {} to {platform} needs a person: {text}", claim.delivery
        ),
        Settled::Retry { due_at, .. } => tracing::info!(
            delivery.id = %claim.delivery, platform, due_at,
            "Delivery {} to {platform} will be tried again", claim.delivery
        ),
        _ => tracing::debug!(
            delivery.id = %claim.delivery, platform, outcome = word,
            "Delivery {} to {platform}: {word}", claim.delivery
        ),
    }
}
