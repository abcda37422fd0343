//! `connector conform`: the table of cases.

use super::super::output::{Output, table};
use super::folders;
use crate::config::Settings;
use crate::conform::{CaseResult, LogBuffer, Report, conform as run};
use serde_json::json;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Runs the cases for each connector and tells how they went; fails unless all conform.
pub(super) async fn conform(
    settings: &Settings,
    names: &[String],
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let log = LogBuffer::default();
    let kept = log.clone();
    // Everything the hub can say, kept to look for secrets in it; an error means a log is started.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("synchub=trace"))
        .with_ansi(false)
        .with_writer(move || kept.clone())
        .try_init();
    let mut reports = Vec::new();
    for dir in folders(settings, names)? {
        reports.push(run(&dir, &log).await);
    }
    let conforms = reports.iter().all(Report::conforms);
    output.show(
        &json!({"conforms": conforms, "connectors": reports}),
        || reports.iter().map(in_words).collect(),
    );
    Ok(match conforms {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn in_words(report: &Report) -> String {
    let mut text = format!("{}\n", report.connector);
    for finding in &report.findings {
        text.push_str(&format!(
            "  FAIL  {} {}: {}\n",
            finding.file, finding.place, finding.problem
        ));
    }
    let rows: Vec<Vec<String>> = report
        .cases
        .iter()
        .map(|case| {
            let result = match case.result {
                CaseResult::Passed => "  ok",
                CaseResult::Failed => "  FAIL",
                CaseResult::Waived => "  waived",
            };
            let detail = match case.detail.is_empty() {
                true => case.title.to_owned(),
                false => case.detail.clone(),
            };
            vec![
                result.to_owned(),
                case.case.to_owned(),
                format!("{} ms", case.duration_ms),
                detail,
            ]
        })
        .collect();
    text.push_str(&table(&rows));
    text
}
