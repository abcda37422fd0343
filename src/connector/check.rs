//! `synchub connector check` and `test`: says what is wrong with a folder, where, and how to mend it.
//!
//! A sample is four files under `samples/`: `CASE.record.json` (a canonical record),
//! `CASE.request.json` (`operation`, what is `given`, and the `requests` that must come out),
//! `CASE.response.json` (the platform's answers in order) and `CASE.outcome.json` (how the last
//! one is read). Addresses and secrets are placeholders, the clock stands still.

mod sample;

use super::manifest::{Auth, IdentityMode, Manifest, StatusPattern};
use super::{Connector, Finding, Operation, References};
pub use sample::{Sample, read_login, read_samples};
use sample::{cases, run_case};
use serde::Serialize;
use std::path::Path;

/// What a check of a folder found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The folder's name.
    pub connector: String,
    /// Samples that were compared.
    pub samples: usize,
    /// Everything that is wrong; empty = the connector may be used.
    pub findings: Vec<Finding>,
}

/// Checks manifest, templates, contract and samples of the folder `dir`.
pub fn check(dir: &Path) -> Report {
    run(dir, false)
}

/// As [`check`]; writes what comes out of each sample into its files instead of comparing, for
/// the author to read and commit.
pub fn accept(dir: &Path) -> Report {
    run(dir, true)
}

fn run(dir: &Path, accept: bool) -> Report {
    let name = dir
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut report = Report {
        connector: name,
        samples: 0,
        findings: Vec::new(),
    };
    let connector = match Connector::load(dir, &References::placeholders()) {
        Ok(connector) => connector,
        Err(findings) => {
            report.findings = findings;
            return report;
        }
    };
    let cases = cases(dir);
    let mut operations = Vec::new();
    for case in &cases {
        match run_case(&connector, dir, case, accept) {
            Ok(operation) => operations.push(operation),
            Err(finding) => report.findings.push(finding),
        }
    }
    report.samples = cases.len();
    let sampled = |operation| operations.contains(&operation) || !report.findings.is_empty();
    let missing: Vec<&str> = [Operation::Publish, Operation::Withdraw]
        .into_iter()
        .filter(|operation| connector.can(*operation) && !sampled(*operation))
        .map(Operation::as_str)
        .collect();
    for operation in missing {
        report.findings.push(Finding {
            file: "samples/".to_owned(),
            place: String::new(),
            problem: format!(
                "no sample of `{operation}`; add CASE.record.json and CASE.request.json with \
                 \"operation\": \"{operation}\" and run `synchub connector test --accept`"
            ),
        });
    }
    report
}

/// Returns what contradicts itself in a manifest that is well-formed.
pub(super) fn contradictions(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut must = |holds: bool, place: &'static str, problem: &str| {
        if !holds {
            found.push((place, problem.to_owned()));
        }
    };
    let identity = &manifest.identity;
    let operations = &manifest.operations;
    let captures_id = |steps: &[super::manifest::Step]| {
        steps.iter().any(|it| it.capture.contains_key("remote_id"))
    };
    match identity.mode {
        IdentityMode::ClientId => {}
        IdentityMode::IdempotencyHeader => {
            must(
                identity.header.is_some(),
                "identity.header",
                "name the header that carries the key",
            );
            must(
                captures_id(&operations.publish.steps),
                "operations.publish",
                "a step must capture `remote_id`, or an update could not name the object",
            );
        }
        IdentityMode::LookUp => {
            must(
                operations.look_up.is_some(),
                "operations.look_up",
                "identity mode `look_up` needs this operation",
            );
            must(
                captures_id(&operations.publish.steps),
                "operations.publish",
                "a step must capture `remote_id`, or an update could not name the object",
            );
        }
    }
    if let Some(look_up) = &operations.look_up {
        must(
            captures_id(&look_up.steps),
            "operations.look_up",
            "a step must capture `remote_id`: that is how found is told from not found",
        );
    }
    let limits = &manifest.limits;
    must(limits.concurrency >= 1, "limits.concurrency", "at least 1");
    must(limits.rate_per_s >= 1, "limits.rate_per_s", "at least 1");
    must(limits.timeout_ms >= 1, "limits.timeout_ms", "at least 1");
    let retry = &manifest.retry;
    must(
        retry.factor >= 1.0,
        "retry.factor",
        "at least 1.0: delays do not shrink",
    );
    must(
        retry.base_ms >= 1 && retry.base_ms <= retry.max_ms,
        "retry",
        "1 ≤ base_ms ≤ max_ms",
    );
    must(retry.tries_max >= 1, "retry.tries_max", "at least 1");
    let breaker = &manifest.breaker;
    must(
        breaker.pause_ms >= 1 && breaker.pause_ms <= breaker.pause_max_ms,
        "breaker",
        "1 ≤ pause_ms ≤ pause_max_ms",
    );
    must(
        !manifest.classify.body.is_empty() || !manifest.classify.status.is_empty(),
        "classify",
        "without rules every answer would be `unknown`",
    );
    let calls_2xx_ok =
        manifest.classify.status.iter().any(|rule| {
            rule.status == StatusPattern::Class(2) && rule.verdict == super::Verdict::Ok
        });
    must(
        !calls_2xx_ok || !manifest.classify.body.is_empty(),
        "classify.status",
        "a bare 2xx is no proof: add a rule under `classify.body` that recognises success in the answer",
    );
    must(
        manifest
            .verify
            .at
            .as_ref()
            .is_none_or(|at| super::maintenance::time_of_day(at).is_some()),
        "verify.at",
        "times are written \"HH:MM\"",
    );
    must(
        manifest.verify.at.is_none()
            || operations.read_back.is_some()
            || operations.look_up.is_some(),
        "verify.at",
        "there is nothing to look with: add `operations.read_back` or `operations.look_up`",
    );
    for window in &manifest.maintenance.windows {
        let times = [&window.from, &window.to];
        must(
            times
                .into_iter()
                .all(|it| super::maintenance::time_of_day(it).is_some()),
            "maintenance.windows",
            "times are written \"HH:MM\"",
        );
        must(
            window.days.iter().all(|day| (1..=7).contains(day)),
            "maintenance.windows",
            "days are 1 (Monday) to 7",
        );
    }
    must(
        manifest
            .secrets
            .values()
            .all(|it| it.starts_with("env:") || it.starts_with("file:")),
        "secrets",
        "write `env:NAME` or `file:PATH`; a secret itself never stands in a manifest",
    );
    must(
        manifest
            .settings
            .values()
            .all(|it| it.starts_with("env:") || it.starts_with("file:")),
        "settings",
        "write `env:NAME` or `file:PATH`; what is the same at every site is written where it is used",
    );
    if let Auth::Hmac { headers, .. } = &manifest.auth {
        must(
            headers.values().any(|it| it.contains("signature")),
            "auth.headers",
            "no header carries `{{ signature }}`",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_of_the_package_passes_the_check() {
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
        let folders = std::fs::read_dir(folders).expect("a folder");
        let connectors: Vec<_> = folders
            .map(|entry| entry.expect("an entry").path())
            .filter(|folder| folder.join("connector.toml").is_file())
            .collect();
        assert!(!connectors.is_empty());
        for folder in connectors {
            let report = check(&folder);
            assert_eq!(report.findings, [], "{}", report.connector);
            assert!(report.samples >= 10, "{}", report.connector);
        }
    }
}
