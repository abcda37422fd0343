//! `synchub connector conform`: sixteen kinds of trouble, the same for every connector.
//!
//! Owns the cases, a scripted platform made from a connector's own manifest and samples
//! (`world`), and the hub each case runs on: a real store, the real senders, real sockets, all in
//! this process. So any folder can be run, also one of a site's own. What it asks for is what the
//! hub promises: one object, the newest version, nothing guessed, nothing leaked.

mod bench;
mod case;
mod cases;
mod server;
mod world;

pub use case::Case;

use crate::connector::check::{Sample, read_login, read_samples};
use crate::connector::{Connector, Finding, Operation, References, Response, Verdict};
use crate::record::Record;
use futures_util::future::join_all;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one case may take.
const CASE_MAX: Duration = Duration::from_secs(60);

/// What the cases of a connector came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The folder's name.
    pub connector: String,
    /// Each case, in order.
    pub cases: Vec<CaseReport>,
    /// Why no case could be run.
    pub findings: Vec<Finding>,
}

/// What one case came to.
#[derive(Debug, Serialize)]
pub struct CaseReport {
    /// Its name, by which it may be waived.
    pub case: &'static str,
    /// What it asks for.
    pub title: &'static str,
    /// How it went.
    pub result: CaseResult,
    /// What was found, or why it was waived; empty when it passed.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// How a case went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseResult {
    /// As promised.
    Passed,
    /// Not as promised.
    Failed,
    /// Not run, with a reason in the manifest.
    Waived,
}

impl Report {
    /// Returns whether the connector conforms: something was run, and nothing failed.
    pub fn conforms(&self) -> bool {
        let count = |result| self.cases.iter().filter(|it| it.result == result).count();
        self.findings.is_empty() && count(CaseResult::Passed) > 0 && count(CaseResult::Failed) == 0
    }
}

/// What was logged while the cases ran, so that a case can look for secrets in it.
#[derive(Debug, Clone, Default)]
pub struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl LogBuffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl std::io::Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What all cases of one connector share.
struct Kit {
    dir: PathBuf,
    samples: Vec<Sample>,
    login: Option<Response>,
    /// A record that belongs on the platform and that its contract accepts.
    record: Record,
    log: LogBuffer,
}

impl Kit {
    /// Loads the connector for one case, its platform at `url`.
    fn connector(&self, url: &str, age_max_s: i64) -> Result<Connector, String> {
        let references = References::placeholders().with_base_url(Some(url.to_owned()));
        let connector = Connector::load(&self.dir, &references)
            .map_err(|findings| findings[0].problem.clone())?;
        Ok(connector.hurried(age_max_s))
    }
}

/// Runs all cases with the connector in the folder `dir`; what is logged meanwhile goes to `log`.
pub async fn conform(dir: &Path, log: &LogBuffer) -> Report {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let mut report = Report {
        connector: name.into_owned(),
        cases: Vec::new(),
        findings: Vec::new(),
    };
    let connector = match Connector::load(dir, &References::placeholders()) {
        Ok(connector) => connector,
        Err(findings) => {
            report.findings = findings;
            return report;
        }
    };
    report.findings.extend(wrong_waivers(&connector));
    let kit = match prepare(dir, &connector, log) {
        Ok(kit) => kit,
        Err(finding) => {
            report.findings.push(finding);
            return report;
        }
    };
    let runs = Case::ALL.iter().map(|case| run(*case, &connector, &kit));
    report.cases = join_all(runs).await;
    report
}

fn finding(file: &str, place: &str, problem: impl Into<String>) -> Finding {
    Finding {
        file: file.to_owned(),
        place: place.to_owned(),
        problem: problem.into(),
    }
}

fn wrong_waivers(connector: &Connector) -> Vec<Finding> {
    let known: Vec<&str> = Case::ALL.iter().map(|case| case.name()).collect();
    connector
        .waived()
        .filter_map(|case| {
            let place = format!("conform.waive.{case}");
            let reason = connector.waiver(case).unwrap_or_default();
            if !known.contains(&case) {
                let problem = format!("there is no such case; they are {}", known.join(", "));
                return Some(finding("connector.toml", &place, problem));
            }
            reason.trim().is_empty().then(|| {
                finding(
                    "connector.toml",
                    &place,
                    "say why the platform cannot have it",
                )
            })
        })
        .collect()
}

fn prepare(dir: &Path, connector: &Connector, log: &LogBuffer) -> Result<Kit, Finding> {
    let samples = read_samples(dir);
    let published = samples
        .iter()
        .filter(|sample| sample.operation == Operation::Publish)
        .filter(|sample| all_ok(connector, sample))
        .max_by_key(|sample| sample.answers.len());
    let Some(published) = published else {
        let problem = "no sample of `publish` ends well; the cases are made from one";
        return Err(finding("samples/", "", problem));
    };
    let record = serde_json::from_value(published.record.clone()).map_err(|error| {
        let file = format!("samples/{}.record.json", published.case);
        finding(&file, "", error.to_string())
    })?;
    let login = match connector.login_step() {
        Some(_) => Some(read_login(dir)?),
        None => None,
    };
    Ok(Kit {
        dir: dir.to_owned(),
        record,
        login,
        samples,
        log: log.clone(),
    })
}

/// Returns whether every answer of a sample is as good as the hub could wish.
fn all_ok(connector: &Connector, sample: &Sample) -> bool {
    let steps = connector.steps(sample.operation);
    !sample.answers.is_empty()
        && sample.answers.iter().enumerate().all(|(number, answer)| {
            let step = steps.get(number).or(steps.last());
            step.is_some_and(|step| connector.judge(step, answer, 0).verdict == Verdict::Ok)
        })
}

async fn run(case: Case, connector: &Connector, kit: &Kit) -> CaseReport {
    let began = Instant::now();
    let (result, detail) = match connector.waiver(case.name()) {
        Some(reason) => (CaseResult::Waived, reason.to_owned()),
        None => match tokio::time::timeout(CASE_MAX, cases::play(case, kit)).await {
            Ok(Ok(())) => (CaseResult::Passed, String::new()),
            Ok(Err(problem)) => (CaseResult::Failed, problem),
            Err(_) => {
                let problem = format!("it did not end within {} s", CASE_MAX.as_secs());
                (CaseResult::Failed, problem)
            }
        },
    };
    CaseReport {
        case: case.name(),
        title: case.title(),
        result,
        detail,
        duration_ms: began.elapsed().as_millis() as u64,
    }
}
