//! `done`, `give-up`, `undo` and `override`: what a person decides about one delivery.

use super::hint::failure;
use super::hub;
use super::operations::{actor, connectors, named};
use super::output::Output;
use crate::config::Settings;
use crate::http::masked;
use crate::operator::{
    Desk, HandError, OverrideError, OverridePreview, OverrideRequest, decide, override_field,
};
use crate::queue::EmbeddedQueue;
use crate::store::{DeliveryView, HandWork, RecordView};
use clap::Args;
use serde_json::{Value, json};
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
    let delivery = on_platform(&found, platform)?;
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

fn on_platform<'a>(record: &'a RecordView, platform: &str) -> anyhow::Result<&'a DeliveryView> {
    let found = record.deliveries.iter().find(|it| it.platform == platform);
    found.ok_or_else(|| {
        let on: Vec<&str> = record
            .deliveries
            .iter()
            .map(|it| it.platform.as_str())
            .collect();
        failure(
            format!("the record is not on `{platform}`"),
            format!("it is on: {}", on.join(", ")),
        )
    })
}

#[derive(Debug, Args)]
pub(super) struct OverrideArgs {
    /// Id of the record, or the id that the OA uses
    record: String,
    /// The platform
    #[arg(long, value_name = "PLATFORM")]
    on: String,
    /// The field, as a JSON pointer into the record
    #[arg(long, value_name = "/title")]
    field: String,
    /// What the platform gets instead: JSON, or else plain text [default: the record's own words]
    #[arg(long)]
    value: Option<String>,
    /// Why; stored and shown
    #[arg(long, default_value = "")]
    reason: String,
    /// Really send it; needs --reason
    #[arg(long)]
    yes: bool,
}

pub(super) async fn override_one(
    settings: &Settings,
    args: OverrideArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let found = named(&store, &args.record).await?;
    let delivery = on_platform(&found, &args.on)?;
    let request = OverrideRequest {
        pointer: args.field,
        // A number in quotes is a text; everything that is no JSON is one as well.
        value: args
            .value
            .map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
        dry_run: !args.yes,
        reason: args.reason,
    };
    let (connectors, rules) = (connectors(settings), hub::rules(settings)?);
    let desk = Desk {
        store: &store,
        queue: &EmbeddedQueue::new(),
        connectors: &connectors,
        rules: &rules,
    };
    let preview = override_field(&desk, &delivery.id, request, &actor())
        .await
        .map_err(|error| match error {
            OverrideError::Store(error) => error.into(),
            error => failure(
                error.to_string(),
                format!(
                    "`synchub why {} --on {}` says where it stands",
                    args.record, args.on
                ),
            ),
        })?;
    output.show(&json!(preview), || override_in_words(&preview));
    if !preview.applied {
        output.note("This was a dry run; --yes --reason \"…\" sends it.");
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn override_in_words(preview: &OverridePreview) -> String {
    let mut text = format!(
        "{} of v{}\n  before  {}\n  after   {}\n",
        preview.pointer, preview.version, preview.before, preview.after
    );
    for (label, errors) in [
        ("contract before", &preview.errors_before),
        ("contract after", &preview.errors_after),
    ] {
        let said: Vec<&str> = errors.iter().map(|it| it.detail.as_str()).collect();
        let said = match said.is_empty() {
            true => "nothing wrong".to_owned(),
            false => said.join("；"),
        };
        text.push_str(&format!("  {label}: {said}\n"));
    }
    if preview.applied {
        text.push_str("It is on its way.\n");
    }
    text
}
