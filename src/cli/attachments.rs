//! `attachments`: removes files that no record refers to.

use super::hint::Hint as _;
use super::hub;
use super::output::Output;
use crate::attachment::megabytes;
use crate::config::Settings;
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;

/// Files that are named; the rest is only counted.
const LISTED_MAX: usize = 1_000;

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
    let mut listed = Vec::new();
    let tidied = attachments
        .tidy(!args.yes, |file| {
            if listed.len() < LISTED_MAX {
                listed.push(file.clone());
            }
        })
        .await
        .hint("attachments.url (SYNCHUB__ATTACHMENTS__URL) must be within reach; what was removed before stays removed")?;
    store.close().await;
    let summary = json!({
        "files": tidied.files, "bytes": tidied.bytes, "removed": args.yes, "list": listed,
    });
    output.show(&summary, || {
        let lines: Vec<String> = listed
            .iter()
            .map(|file| format!("{}  {}\n", file.sha256, megabytes(file.bytes)))
            .collect();
        let done = if args.yes {
            "removed"
        } else {
            "would be removed"
        };
        let (files, size) = (tidied.files, megabytes(tidied.bytes));
        let lines = lines.concat();
        format!("{lines}{files} files that no record refers to, {size}, {done}")
    });
    if tidied.files > 0 && !args.yes {
        output.note("hint: --yes removes them");
    }
    Ok(ExitCode::SUCCESS)
}
