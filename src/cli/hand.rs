//! `done`, `give-up` and `undo`: what a person decides about one delivery.

use super::hint::failure;
use super::hub;
use super::operations::{actor, named};
use super::output::Output;
use crate::config::Settings;
use crate::http::masked;
use crate::operator::{HandError, decide};
use crate::queue::EmbeddedQueue;
use crate::store::HandWork;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct DoneArgs {
    /// Id of the record, or the id that the OA uses
    record: String,
    /// The platform
    #[arg(long, value_name = "PLATFORM")]
    on: String,
    /// Who did what and when, or the number of a letter or a screenshot; stored and shown
    #[arg(long)]
    evidence: String,
    /// Where the public sees it
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// Id of the record, or the id that the OA uses
    record: String,
    /// The platform
    #[arg(long, value_name = "PLATFORM")]
    on: String,
    /// Why; stored and shown
    #[arg(long)]
    reason: String,
}

pub(super) async fn done(
    settings: &Settings,
    args: DoneArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let work = HandWork::Done {
        evidence: args.evidence,
        url: args.url,
    };
    work_on(settings, (&args.record, &args.on), work, output).await
}

pub(super) async fn give_up(
    settings: &Settings,
    args: DecideArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let work = HandWork::GiveUp {
        reason: args.reason,
    };
    work_on(settings, (&args.record, &args.on), work, output).await
}

pub(super) async fn undo(
    settings: &Settings,
    args: DecideArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let work = HandWork::Undo {
        reason: args.reason,
    };
    work_on(settings, (&args.record, &args.on), work, output).await
}

async fn work_on(
    settings: &Settings,
    (record, platform): (&str, &str),
    work: HandWork,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let found = named(&store, record).await?;
    let delivery = found
        .deliveries
        .iter()
        .find(|it| it.platform == platform)
        .ok_or_else(|| {
            let on: Vec<&str> = found
                .deliveries
                .iter()
                .map(|it| it.platform.as_str())
                .collect();
            failure(
                format!("the record is not on `{platform}`"),
                format!("it is on: {}", on.join(", ")),
            )
        })?;
    let decided = decide(&store, &EmbeddedQueue::new(), &delivery.id, &work, &actor()).await;
    let now = decided.map_err(|error| match error {
        HandError::Store(error) => error.into(),
        error => failure(
            error.to_string(),
            format!("`synchub why {record} --on {platform}` says where it stands"),
        ),
    })?;
    output.show(&masked(json!(now)), || {
        format!(
            "{} on {platform}: {} · {}",
            found.summary.id,
            now.state.as_str(),
            now.state.chinese()
        )
    });
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
