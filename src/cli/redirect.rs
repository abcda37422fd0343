//! `redirect` and `retire`: a platform moves to a new address.

use super::hint::failure;
use super::hub;
use super::operations::{actor, connectors};
use super::output::{Output, table};
use crate::config::Settings;
use crate::operator::{
    RedirectError, RedirectStatus, RetireStatus, preview_redirect, preview_retire, redirect, retire,
};
use crate::queue::EmbeddedQueue;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How long one round goes on before it says how far it is.
const ROUND: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct RedirectArgs {
    /// The platform; its connector has a higher version than the folder PLATFORM@VERSION beside it
    platform: String,
    /// Really redirect
    #[arg(long, requires = "reason")]
    yes: bool,
    /// Why; stored and shown
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RetireArgs {
    /// The version that a platform had before, such as PLATFORM@1
    version: String,
    /// Really retire
    #[arg(long, requires = "reason")]
    yes: bool,
    /// Why; stored and shown
    #[arg(long)]
    reason: Option<String>,
}

pub(super) async fn redirect_one(
    settings: &Settings,
    args: RedirectArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let connectors = connectors(settings);
    let platform = args.platform.as_str();
    let status = match real(args.yes, args.reason) {
        None => preview_redirect(&store, &connectors, platform).await,
        Some(reason) => loop {
            let why = (reason.as_str(), actor());
            let tools = (&connectors, &EmbeddedQueue::new() as _);
            let status = redirect(&store, tools, platform, (why.0, &why.1), ROUND).await;
            match status {
                Ok(status) if !status.done => {
                    output.note(&format!("{} deliveries moved, going on", status.moved));
                }
                ended => break ended,
            }
        },
    };
    let status = status.map_err(refused)?;
    output.show(&json!(status), || redirected_in_words(&status));
    if !status.done {
        output.note(&format!(
            "This was a dry run. To redirect:\n  synchub redirect {platform} --yes --reason \"…\""
        ));
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn retire_one(
    settings: &Settings,
    args: RetireArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let version = args.version.as_str();
    let status = match real(args.yes, args.reason) {
        None => preview_retire(&store, version).await,
        Some(reason) => retire(&store, version, (&reason, &actor())).await,
    };
    let status = status.map_err(refused)?;
    output.show(&json!(status), || retired_in_words(&status));
    if !status.done {
        output.note(&format!(
            "This was a dry run. To retire it:\n  synchub retire {version} --yes --reason \"…\""
        ));
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn real(yes: bool, reason: Option<String>) -> Option<String> {
    yes.then(|| reason.unwrap_or_default())
}

fn redirected_in_words(status: &RedirectStatus) -> String {
    let RedirectStatus {
        platform,
        previous,
        from,
        to,
        ..
    } = status;
    if status.done {
        return format!(
            "{platform} is at version {to} now; {} deliveries end at {previous}.\nBring what it shows to the new address: synchub replay --platform {previous} --way move",
            status.moved
        );
    }
    let mut rows = vec![["STATE", "COUNT", "GOES TO"].map(str::to_owned).to_vec()];
    let stays = status.count.stays.iter();
    rows.extend(
        stays.map(|(state, count)| vec![(*state).to_owned(), count.to_string(), previous.clone()]),
    );
    rows.push(vec![
        "never tried".to_owned(),
        status.count.goes_over.to_string(),
        platform.clone(),
    ]);
    let mut text = format!("{platform}: version {from} → {to}\n{}", table(&rows));
    for process in &status.count.outdated {
        text.push_str(&format!("\nto be restarted first: process {process}"));
    }
    text
}

fn retired_in_words(status: &RetireStatus) -> String {
    let left = &status.left;
    let said = match (status.done, left.is_nothing()) {
        (true, _) => "is retired; its folder may go",
        (false, true) => "may be retired",
        (false, false) => "is still needed",
    };
    format!(
        "{} {said}.\nonly there: {}, shown by both: {}, take-downs not done: {}, being sent: {}",
        status.id, left.only_there, left.also_shown, left.to_take_down, left.sending
    )
}

fn refused(error: RedirectError) -> anyhow::Error {
    let hint = match &error {
        RedirectError::Unknown(_) => "`synchub platforms` lists them",
        RedirectError::NothingBefore(_) => {
            "deploy/RUNBOOK.md, “A platform moved to a new address”, says how to prepare it"
        }
        RedirectError::Outdated(_) => "restart every `synchub serve` with both folders",
        RedirectError::NotPrevious(_) => "write PLATFORM@VERSION, as `synchub platforms` shows it",
        RedirectError::NotRedirected(_) => "`synchub redirect PLATFORM` comes first",
        RedirectError::Remains(_) => {
            "`synchub replay --platform PLATFORM@VERSION --way move` brings it to the new version; take-downs that fail there are marked by `synchub done` or `synchub give-up`"
        }
        RedirectError::Store(_) => "see the message; the store must answer",
    };
    failure(error.to_string(), hint)
}
