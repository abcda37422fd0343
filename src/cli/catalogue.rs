//! `catalogue check|show|due`: the registry of units, areas, columns and working days.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::{Output, table};
use crate::catalogue::{Catalogue, NamedColumn};
use crate::clock::rfc3339;
use crate::config::Settings;
use crate::connector::References;
use crate::normalise::date;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// How many similar names a hint gives.
const NEAREST: usize = 3;
/// How many changes of one version are printed; `--json` has all.
const CHANGES_SHOWN: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum CatalogueVerb {
    /// Check the registry's files; says where and what
    Check {
        /// Its folder [default: connectors.catalogue]
        dir: Option<PathBuf>,
    },
    /// Show which version is in force, and what the versions changed
    Show,
    /// Say until when something written on a day has to be public
    Due(DueArgs),
}

#[derive(Debug, Args)]
pub(super) struct DueArgs {
    /// The day it was written on, in any spelling
    written_on: String,
    /// Key, name or alias of the area
    #[arg(long)]
    area: Option<String>,
    /// Name or alias of the column [default: the rule for entries without a column]
    #[arg(long)]
    column: Option<String>,
}

pub(super) async fn catalogue(
    settings: &Settings,
    verb: CatalogueVerb,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    match verb {
        CatalogueVerb::Check { dir } => check(settings, dir, output),
        CatalogueVerb::Show => show(settings, output).await,
        CatalogueVerb::Due(args) => due(settings, &args, output),
    }
}

/// Returns the platforms that the registry names and no connector is.
pub(super) fn dangling_platforms(settings: &Settings, catalogue: &Catalogue) -> Vec<String> {
    let connectors = hub::load_connectors(settings, &References::default());
    let there = |platform: &str| {
        let failed = connectors.failures().iter();
        let mut failed = failed.filter_map(|it| it.dir.file_name());
        connectors.get(platform).is_some() || failed.any(|name| name == platform)
    };
    let named = catalogue.platforms().into_iter();
    named
        .filter(|platform| !there(platform))
        .map(str::to_owned)
        .collect()
}

fn check(settings: &Settings, dir: Option<PathBuf>, output: &Output) -> anyhow::Result<ExitCode> {
    let dir = dir.unwrap_or_else(|| settings.connectors.catalogue.clone());
    let mut findings = Vec::new();
    let mut summary = json!(null);
    let mut text = String::new();
    match Catalogue::load(&dir) {
        Ok(catalogue) => {
            for platform in dangling_platforms(settings, &catalogue) {
                findings.push(json!({
                    "file": dir.display().to_string(),
                    "line": 0,
                    "problem": format!("platform {platform:?} has no connector; see channels in columns.toml and codes.csv"),
                }));
            }
            summary = summary_of(&catalogue);
            text = in_words(&catalogue);
        }
        Err(error) => findings.extend(error.findings.iter().map(|finding| json!(finding))),
    }
    let healthy = findings.is_empty();
    output.show(
        &json!({"healthy": healthy, "findings": findings, "summary": summary}),
        || {
            let mut lines = String::new();
            for finding in &findings {
                let place = match finding["line"].as_u64() {
                    Some(0) | None => String::new(),
                    Some(line) => format!(", line {line}"),
                };
                let word = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
                lines.push_str(&format!(
                    "FAIL  {}{place}: {}\n",
                    word("file"),
                    word("problem")
                ));
            }
            if healthy {
                lines = format!("ok    {text}");
            }
            lines
        },
    );
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn summary_of(catalogue: &Catalogue) -> serde_json::Value {
    let years: Vec<i16> = catalogue
        .calendar()
        .notices()
        .iter()
        .map(|notice| notice.year)
        .collect();
    json!({
        "sha256": catalogue.sha256(),
        "units": catalogue.all_units().len(),
        "areas": catalogue.all_areas().len(),
        "columns": catalogue.all_columns().len(),
        "divisions": catalogue.all_divisions().len(),
        "years": years,
    })
}

/// Says in one line what is in a registry.
pub(super) fn in_words(catalogue: &Catalogue) -> String {
    let notices = catalogue.calendar().notices();
    let years = match (notices.first(), notices.last()) {
        (Some(first), Some(last)) => format!("holidays of {} to {}", first.year, last.year),
        _ => "no holidays".to_owned(),
    };
    format!(
        "{} units, {} areas, {} columns, {years}",
        catalogue.all_units().len(),
        catalogue.all_areas().len(),
        catalogue.all_columns().len()
    )
}

async fn show(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let catalogue = hub::catalogue(settings)?;
    let store = hub::open_store(settings).await?;
    let sha256 = catalogue.sha256();
    let history = store.catalogues().await?;
    store.close().await;
    let in_force = history.iter().find(|it| it.sha256 == sha256);
    let version = in_force.map(|it| it.version);
    let value = json!({"version": version, "summary": summary_of(&catalogue), "history": history});
    output.show(&value, || {
        let mut text = match in_force {
            Some(it) => format!(
                "version {} ({}), first used {}: {}\n",
                it.version,
                &sha256[..12],
                rfc3339(it.first_seen_at),
                in_words(&catalogue)
            ),
            None => format!(
                "not used yet ({}): {}; `synchub serve` gives it a number at its start\n",
                &sha256[..12],
                in_words(&catalogue)
            ),
        };
        let mut rows = Vec::new();
        for version in &history {
            let number = format!("v{}", version.version);
            let at = rfc3339(version.first_seen_at);
            if version.changes.is_empty() {
                rows.push(vec![number, at, "-".to_owned()]);
                continue;
            }
            for change in version.changes.iter().take(CHANGES_SHOWN) {
                let fields = change.fields.join(", ");
                let what = format!(
                    "{} {} {} {fields}",
                    change.change, change.section, change.key
                );
                rows.push(vec![number.clone(), at.clone(), what]);
            }
            if let more @ 1.. = version.changes.len().saturating_sub(CHANGES_SHOWN) {
                rows.push(vec![number, at, format!("and {more} more: --json")]);
            }
        }
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&table(&rows));
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}

fn due(settings: &Settings, args: &DueArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let catalogue = hub::catalogue(settings)?;
    let written_on = date(&args.written_on)
        .ok_or_else(|| anyhow::anyhow!("`{}` is no date", args.written_on))
        .hint("write 2014-09-18 or 2014年9月18日")?;
    let area = match &args.area {
        None => None,
        Some(text) => Some(catalogue.area(text).ok_or_else(|| {
            let nearest = catalogue.nearest_areas(text, NEAREST).join(", ");
            failure(
                format!("no area is called `{text}`"),
                format!("is it one of {nearest}?"),
            )
        })?),
    };
    let area = area.map(|area| area.key.as_str());
    let column = match &args.column {
        None => None,
        Some(text) => match catalogue.column(area, text) {
            NamedColumn::Known(column) | NamedColumn::WithoutArea(column) => Some(column),
            NamedColumn::Ambiguous => {
                return Err(failure(
                    format!("several areas have a column `{text}`"),
                    "name the area too: --area",
                ));
            }
            NamedColumn::Unknown => {
                let nearest = catalogue.nearest_columns(area, text, NEAREST).join(", ");
                return Err(failure(
                    format!("no column is called `{text}`"),
                    format!("is it one of {nearest}?"),
                ));
            }
        },
    };
    let rule = catalogue.deadline(column);
    let reckoned = rule
        .due(&written_on, catalogue.calendar())
        .ok_or_else(|| anyhow::anyhow!("{written_on} is too far away"))
        .hint("dates of this era can be reckoned with")?;
    let value = json!({
        "written_on": written_on,
        "column": column.map(|column| &column.name),
        "rule": rule.words(),
        "due_on": reckoned.date.to_string(),
        "provisional": reckoned.provisional,
    });
    output.show(&value, || {
        let provisional = if reckoned.provisional {
            "; provisional: the holidays of a year in between are not known"
        } else {
            ""
        };
        format!("{} ({}{provisional})", reckoned.date, rule.words())
    });
    Ok(ExitCode::SUCCESS)
}
