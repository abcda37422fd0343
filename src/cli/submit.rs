//! `submit FILE…`: the same door as the OA's post, from files.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::Output;
use crate::config::Settings;
use crate::connector::References;
use crate::intake::{Incoming, Profile, Profiles, Refusal, in_words, sentence};
use crate::record::FieldError;
use crate::store::Account;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// Submissions: one a file, or NDJSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The source system these come from
    #[arg(long, default_value = "cli")]
    source: String,
    #[command(flatten)]
    shape: Shape,
}

/// How files are read.
#[derive(Debug, Args)]
pub(super) struct Shape {
    /// Source profile that reads the files [default: native, or known by their shape]
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// What the header would say; tells a form, which looks like nothing else
    #[arg(long, value_name = "TYPE", default_value = "")]
    pub(super) content_type: String,
}

impl Shape {
    /// Returns the profile that was named.
    pub(super) fn profile<'a>(
        &self,
        profiles: &'a Profiles,
    ) -> anyhow::Result<Option<&'a Arc<Profile>>> {
        let Some(id) = &self.profile else {
            return Ok(None);
        };
        let profile = profiles.get(id).ok_or_else(|| {
            failure(
                format!("no source profile is called `{id}`"),
                format!("one of {}", profiles.ids().join(", ")),
            )
        });
        profile.map(Some)
    }

    /// Returns the content type of a file; its name tells a form where nobody else does.
    pub(super) fn content_type(&self, path: &Path) -> &str {
        let is_form = path.extension().is_some_and(|it| it == "form");
        match self.content_type.as_str() {
            "" if is_form => "application/x-www-form-urlencoded",
            named => named,
        }
    }
}

/// Takes files in. Whoever may read the database may do this; no key is asked.
pub(super) async fn submit(
    settings: &Settings,
    args: SubmitArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let intake = hub::intake(settings, &store, &References::default())?;
    let account = Account {
        id: "cli".to_owned(),
        name: "cli".to_owned(),
        source: args.source,
        units: vec!["*".to_owned()],
        operator: true,
        created_at: 0,
        revoked_at: None,
    };
    let profile = args.shape.profile(&intake.profiles)?;
    let mut refused = 0;
    for path in &args.files {
        let text = std::fs::read(path).hint(format!("{} cannot be read", path.display()))?;
        for body in bodies(path, &text) {
            let shown = path.display().to_string();
            let incoming = Incoming {
                body,
                content_type: args.shape.content_type(path),
                profile,
            };
            match intake.accept(&account, incoming, None).await {
                Ok(accepted) => {
                    let text = sentence(accepted.changed, &accepted.head, &intake.connectors);
                    let value = json!({
                        "file": shown, "changed": accepted.changed, "message": text,
                        "record_id": accepted.head.record_id, "version": accepted.head.version,
                        "state": accepted.head.state, "holds": accepted.head.holds,
                        "deliveries": accepted.head.deliveries, "warnings": accepted.head.warnings,
                    });
                    output.line(&value, || {
                        format!(
                            "{shown}: {} v{} {text}",
                            accepted.head.record_id, accepted.head.version
                        )
                    });
                }
                Err(refusal) => {
                    refused += 1;
                    let (text, errors) = told(refusal)?;
                    let value = json!({"file": shown, "error": text, "errors": errors});
                    output.line(&value, || format!("{shown}: {text}"));
                }
            }
        }
    }
    intake.queue.close().await;
    store.close().await;
    output.note("A running `synchub serve` on the same store sends what was taken in.");
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A file of NDJSON holds one submission a line, any other file one.
fn bodies<'a>(path: &std::path::Path, text: &'a [u8]) -> Vec<&'a [u8]> {
    match path.extension().is_some_and(|it| it == "ndjson") {
        true => text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .collect(),
        false => vec![text],
    }
}

/// Returns the sentence for a person and the errors for a program.
fn told(refusal: Refusal) -> anyhow::Result<(String, Vec<FieldError>)> {
    let errors =
        in_words(refusal).map_err(|error| failure(error.to_string(), "run `synchub doctor`"))?;
    let text = match &errors[..] {
        [error] if error.pointer.is_empty() => error.detail.clone(),
        errors => {
            let lines: Vec<String> = errors
                .iter()
                .map(|it| format!("\n  {} {}", it.pointer, it.detail))
                .collect();
            format!("有 {} 处需要修改：{}", errors.len(), lines.concat())
        }
    };
    Ok((text, errors))
}
