//! `connector check|test|new|conform|try`.

mod conform;

use super::hint::{Hint as _, failure};
use super::output::Output;
use crate::config::Settings;
use crate::connector::check::{self, Report};
use crate::connector::{Connector, Operation, References, skeleton};
use crate::deliver::trial;
use crate::record::Record;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum ConnectorVerb {
    /// Check manifest, templates, contract and samples; says where and how to mend
    Check {
        /// Name or folder of a connector [default: all]
        connector: Vec<String>,
    },
    /// Render every sample and compare requests and outcomes
    Test {
        /// Name or folder of a connector [default: all]
        connector: Vec<String>,
        /// Write what comes out into the samples, to be read and committed
        #[arg(long)]
        accept: bool,
    },
    /// Write a new folder that passes the check
    New {
        /// Name of the connector; lower-case letters, digits and `-`
        name: String,
        /// Folder to write it under [default: the first of connectors.dir]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Play sixteen kinds of trouble to connectors, against a scripted platform in this process
    Conform {
        /// Name or folder of a connector [default: all]
        connector: Vec<String>,
    },
    /// Send one record to an address and show request and answer, secrets masked
    Try(TryArgs),
}

#[derive(Debug, Args)]
pub(super) struct TryArgs {
    /// Name or folder of the connector
    connector: String,
    /// Base address to send to, instead of the configured one
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Canonical record [default: the connector's first sample]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// publish, update, withdraw, look_up or read_back
    #[arg(long, default_value = "publish")]
    operation: String,
    /// The platform's id of the object, for what follows a publish
    #[arg(long, value_name = "ID")]
    remote_id: Option<String>,
}

pub(super) async fn connector(
    settings: &Settings,
    verb: ConnectorVerb,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    match verb {
        ConnectorVerb::Check { connector } => {
            report_all(settings, &connector, output, check::check)
        }
        ConnectorVerb::Test {
            connector,
            accept: false,
        } => report_all(settings, &connector, output, check::check),
        ConnectorVerb::Test {
            connector,
            accept: true,
        } => report_all(settings, &connector, output, check::accept),
        ConnectorVerb::New { name, dir } => new(settings, &name, dir, output),
        ConnectorVerb::Conform { connector } => {
            conform::conform(settings, &connector, output).await
        }
        ConnectorVerb::Try(args) => try_out(settings, args, output).await,
    }
}

fn report_all(
    settings: &Settings,
    names: &[String],
    output: &Output,
    run: fn(&Path) -> Report,
) -> anyhow::Result<ExitCode> {
    let folders = folders(settings, names)?;
    let reports: Vec<Report> = folders.iter().map(|dir| run(dir)).collect();
    let healthy = reports.iter().all(|report| report.findings.is_empty());
    output.show(&json!(reports), || reports.iter().map(in_words).collect());
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the folders of these connectors, of all when none is named.
fn folders(settings: &Settings, names: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let folders = match names.is_empty() {
        true => all_folders(settings),
        false => names
            .iter()
            .map(|name| folder(settings, name))
            .collect::<anyhow::Result<_>>()?,
    };
    if folders.is_empty() {
        return Err(failure(
            "there is no connector to check",
            "connectors.dir names the folders that hold them",
        ));
    }
    Ok(folders)
}

fn in_words(report: &Report) -> String {
    if report.findings.is_empty() {
        return format!("ok    {}  {} samples\n", report.connector, report.samples);
    }
    let mut text = format!("FAIL  {}\n", report.connector);
    for finding in &report.findings {
        let place = if finding.place.is_empty() {
            String::new()
        } else {
            format!(" at {}", finding.place)
        };
        text.push_str(&format!(
            "      {}{place}: {}\n",
            finding.file, finding.problem
        ));
    }
    text
}

/// Returns the folder of a connector: a path, or a name under one of `connectors.dir`.
fn folder(settings: &Settings, name: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.join("connector.toml").is_file() {
        return Ok(path.canonicalize()?);
    }
    settings
        .connectors
        .dir
        .iter()
        .rev()
        .map(|dir| dir.join(name))
        .find(|dir| dir.join("connector.toml").is_file())
        .ok_or_else(|| {
            failure(
                format!("no connector is called `{name}`"),
                format!("`synchub connector new {name}` makes one"),
            )
        })
}

fn all_folders(settings: &Settings) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = settings
        .connectors
        .dir
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("connector.toml").is_file())
        .collect();
    folders.sort();
    folders
}

fn new(
    settings: &Settings,
    name: &str,
    dir: Option<PathBuf>,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let parent = dir
        .or_else(|| settings.connectors.dir.first().cloned())
        .unwrap_or_else(|| PathBuf::from("connectors"));
    let path = parent.join(name);
    skeleton::write(&path).hint("deploy/CONNECTORS.md walks through a new connector")?;
    output.show(&json!({"written": path.display().to_string()}), || {
        format!("Written: {}", path.display())
    });
    output.note(&format!(
        "Next: change connector.toml, then `synchub connector check {}`",
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

async fn try_out(settings: &Settings, args: TryArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let dir = folder(settings, &args.connector)?;
    let references = References::default().with_base_url(args.to);
    let connector = Connector::load(&dir, &references).map_err(|findings| {
        let first = findings
            .first()
            .map(|it| format!("{} {}: {}", it.file, it.place, it.problem));
        failure(
            format!("the connector does not load: {}", first.unwrap_or_default()),
            "`synchub connector check` lists everything",
        )
    })?;
    if let Some(problem) = connector.unresolved().first() {
        return Err(failure(
            problem.clone(),
            "set what is missing, or name the address with --to",
        ));
    }
    let operation = Operation::parse(&args.operation).filter(|it| connector.can(*it)).ok_or_else(|| {
        failure(format!("{} cannot `{}`", connector.id, args.operation), "one of publish, update, withdraw, look_up, read_back, as far as the connector has it")
    })?;
    let path = args.record.unwrap_or_else(|| first_sample(&dir));
    let text = std::fs::read_to_string(&path)
        .hint(format!("{} is to hold a canonical record", path.display()))?;
    let record: Record = serde_json::from_str(&text).hint(format!(
        "{} is no canonical record; see schemas/record.schema.json",
        path.display()
    ))?;
    let result = trial::run(&connector, &record, operation, args.remote_id).await?;
    let verdict = result["exchanges"]
        .as_array()
        .and_then(|all| all.last())
        .map(|it| it["verdict"].clone());
    output.show(&result, || exchanges_in_words(&result));
    Ok(match verdict.as_ref().and_then(|it| it.as_str()) {
        Some("ok" | "duplicate") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn first_sample(dir: &Path) -> PathBuf {
    let mut samples: Vec<PathBuf> = std::fs::read_dir(dir.join("samples"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().ends_with(".record.json"))
        .collect();
    samples.sort();
    samples
        .into_iter()
        .next()
        .unwrap_or_else(|| dir.join("samples/publish.record.json"))
}

fn exchanges_in_words(result: &serde_json::Value) -> String {
    let mut text = String::new();
    for exchange in result["exchanges"].as_array().into_iter().flatten() {
        let request = &exchange["request"];
        text.push_str(&format!(
            "── {}\n> {} {}\n",
            exchange["step"].as_str().unwrap_or_default(),
            request["method"].as_str().unwrap_or_default(),
            request["url"].as_str().unwrap_or_default()
        ));
        push_message(&mut text, '>', request);
        if let Some(error) = exchange["error"].as_str() {
            text.push_str(&format!("! {error}\n"));
            continue;
        }
        text.push_str(&format!("< {}\n", exchange["response"]["status"]));
        push_message(&mut text, '<', &exchange["response"]);
        text.push_str(&format!(
            "= {} {} {}  {}\n",
            exchange["verdict"].as_str().unwrap_or_default(),
            exchange["code"].as_str().unwrap_or_default(),
            exchange["message"].as_str().unwrap_or_default(),
            exchange["captured"]
        ));
    }
    text
}

fn push_message(text: &mut String, mark: char, message: &serde_json::Value) {
    for (name, value) in message["headers"].as_object().into_iter().flatten() {
        text.push_str(&format!(
            "{mark} {name}: {}\n",
            value.as_str().unwrap_or_default()
        ));
    }
    for line in message["body"].as_str().unwrap_or_default().lines() {
        text.push_str(&format!("{mark}   {line}\n"));
    }
}
