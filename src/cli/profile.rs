//! `profile check|try`.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::Output;
use super::submit::Shape;
use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::connector::References;
use crate::http::masked;
use crate::intake::{
    Incoming, Labels, ProfileReport, Translation, check_profile, examine, profile_folders,
};
use crate::record::{FieldError, Submission};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum ProfileVerb {
    /// Check source profiles: that they load and that their samples give what they say
    Check {
        /// Name of a profile [default: all]
        profile: Vec<String>,
    },
    /// Read one file as the OA sent it, and say what would become of it; nothing is stored
    Try(TryArgs),
}

#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// The body as the OA sent it
    file: PathBuf,
    #[command(flatten)]
    shape: Shape,
}

pub(super) fn profile(
    settings: &Settings,
    verb: ProfileVerb,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    match verb {
        ProfileVerb::Check { profile } => check(settings, &profile, output),
        ProfileVerb::Try(args) => try_out(settings, &args, output),
    }
}

fn check(settings: &Settings, names: &[String], output: &Output) -> anyhow::Result<ExitCode> {
    let dir = &settings.connectors.profiles;
    let labels = Labels::load(dir).hint("deploy/PROFILES.md says what labels.toml holds")?;
    let folders = match names.is_empty() {
        true => profile_folders(dir),
        false => names.iter().map(|name| dir.join(name)).collect(),
    };
    if folders.is_empty() {
        return Err(failure(
            format!("{} holds no source profile", dir.display()),
            "connectors.profiles names the folder that holds them",
        ));
    }
    let reports: Vec<ProfileReport> = folders
        .iter()
        .map(|folder| check_profile(folder, &labels))
        .collect();
    let healthy = reports.iter().all(|report| report.findings.is_empty());
    output.show(&json!(reports), || {
        reports.iter().map(report_in_words).collect()
    });
    Ok(exit(healthy))
}

fn report_in_words(report: &ProfileReport) -> String {
    if report.findings.is_empty() {
        return format!("ok    {}  {} samples\n", report.profile, report.samples);
    }
    let mut text = format!("FAIL  {}\n", report.profile);
    for finding in &report.findings {
        text.push_str(&format!("      {}: {}\n", finding.file, finding.problem));
    }
    text
}

fn try_out(settings: &Settings, args: &TryArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let references = References::default();
    let profiles = hub::profiles(settings, &references)?;
    let profile = args.shape.profile(&profiles)?;
    let body = std::fs::read(&args.file).hint(format!("{} cannot be read", args.file.display()))?;
    let Translation { profile, native } = profiles.translate(Incoming {
        body: &body,
        content_type: args.shape.content_type(&args.file),
        profile,
    });
    let (mut value, healthy) = match native {
        Ok((native, warnings)) => {
            let examined = examined(settings, &references, &native)?;
            let healthy = examined["errors"].is_null();
            (
                json!({"native": shortened(native), "unplaced": warnings, "entry": examined}),
                healthy,
            )
        }
        Err(errors) => (json!({"errors": errors}), false),
    };
    value["profile"] = json!(profile.as_ref().map(|it| &it.id));
    let value = masked(value);
    output.show(&value, || {
        let pretty = serde_json::to_string_pretty(&value).unwrap_or_default();
        format!("{pretty}\n")
    });
    Ok(exit(healthy))
}

/// Returns what would become of a native submission.
fn examined(settings: &Settings, references: &References, native: &Value) -> anyhow::Result<Value> {
    let wrong = |errors: Vec<FieldError>| json!({ "errors": errors });
    let bytes = serde_json::to_vec(native)?;
    let submission: Submission = match crate::intake::parse_submission(&bytes) {
        Ok(submission) => submission,
        Err(errors) => return Ok(wrong(errors)),
    };
    let Some(entry) = &submission.entry else {
        return Ok(json!({}));
    };
    let catalogue = Catalogue::load(&settings.connectors.catalogue)
        .hint("connectors.catalogue names the folder of units and areas")?;
    let connectors = hub::load_connectors(settings, references);
    let rules = hub::rules(settings)?;
    Ok(
        match examine(entry, submission.action, &catalogue, &connectors, &rules) {
            Ok(it) => json!({
                "record": it.content, "holds": it.holds, "warnings": it.warnings,
                "platforms": it.platforms,
            }),
            Err(errors) => wrong(errors),
        },
    )
}

/// Returns a submission whose files are told by their length.
fn shortened(mut native: Value) -> Value {
    let files = native.pointer_mut("/entry/attachments");
    for file in files.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(content) = file["content_base64"].as_str() {
            file["content_base64"] = json!(format!("… {} characters", content.len()));
        }
    }
    native
}

fn exit(healthy: bool) -> ExitCode {
    match healthy {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
