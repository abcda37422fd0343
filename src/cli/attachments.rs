//! `attachments`: removes files that no record refers to.

use super::hint::Hint as _;
use super::hub;
use super::output::Output;
use crate::attachment::megabytes;
use crate::config::Settings;
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum AttachmentsVerb {
    /// Remove files that no record refers to, older than attachments.grace_ms; only lists them,
    /// until --yes
    Gc(GcArgs),
}

#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// Remove them
    #[arg(long)]
    yes: bool,
}

/// Runs a verb about files.
pub(super) async fn attachments(
    settings: &Settings,
    verb: AttachmentsVerb,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let AttachmentsVerb::Gc(args) = verb;
    let store = hub::open_store(settings).await?;
    let attachments = hub::attachments(settings, &store)?;
    let tidied = attachments
        .tidy(!args.yes, |file| {
            output.line(&json!(file), || format!("{}  {}", file.sha256, megabytes(file.bytes)));
        })
        .await
        .hint("attachments.url (SYNCHUB__ATTACHMENTS__URL) must be within reach; what was removed before stays removed")?;
    store.close().await;
    let done = if args.yes {
        "removed"
    } else {
        "would be removed"
    };
    let (files, size) = (tidied.files, megabytes(tidied.bytes));
    output.note(&format!(
        "{files} files that no record refers to, {size}, {done}"
    ));
    if tidied.files > 0 && !args.yes {
        output.note("hint: --yes removes them");
    }
    Ok(ExitCode::SUCCESS)
}
