//! `doctor`: everything that has to be right before a hub can do its job, one line each.

use super::catalogue::{dangling_platforms, in_words};
use super::hub;
use super::output::Output;
use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::connector::{References, check};
use crate::intake::Profiles;
use crate::screen::Rules;
use crate::store::Store;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    grade: Grade,
    what: String,
    detail: String,
    hint: String,
}

fn checked(
    grade: Grade,
    what: impl Into<String>,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> Check {
    Check {
        grade,
        what: what.into(),
        detail: detail.into(),
        hint: hint.into(),
    }
}

/// Checks everything; fails when something would keep the hub from its job.
pub(super) async fn doctor(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let mut checks = vec![clock()];
    checks.extend(registry(settings));
    checks.push(screening(settings));
    checks.extend(profiles(settings));
    checks.extend(connectors(settings));
    checks.extend(database(settings).await);
    checks.push(queue(settings).await);
    checks.push(files(settings));
    let healthy = checks.iter().all(|check| check.grade != Grade::Fail);
    output.show(&json!({"healthy": healthy, "checks": checks}), || {
        let mut text = String::new();
        for check in &checks {
            let grade = match check.grade {
                Grade::Ok => "ok  ",
                Grade::Warn => "warn",
                Grade::Fail => "FAIL",
            };
            text.push_str(&format!("{grade}  {}: {}\n", check.what, check.detail));
            if !check.hint.is_empty() {
                text.push_str(&format!("      hint: {}\n", check.hint));
            }
        }
        text
    });
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A hub that cannot keep files refuses every submission that has some.
fn files(settings: &Settings) -> Check {
    const WHAT: &str = "files";
    let options = settings.attachment_options();
    let hosts = options.hosts.len();
    let folder = match options.url.strip_prefix("s3://") {
        // Only a request would tell whether it answers, and that costs money at some.
        Some(bucket) => {
            return checked(
                Grade::Ok,
                WHAT,
                format!("bucket {bucket}, {hosts} hosts"),
                "",
            );
        }
        None => options.url.trim_start_matches("file://"),
    };
    // It is made when the first file comes.
    let here = std::path::Path::new("./").join(folder);
    let there = here.ancestors().find(|it| it.exists());
    match tempfile::tempfile_in(there.unwrap_or(&here)) {
        Ok(_) => checked(Grade::Ok, WHAT, format!("{folder}, {hosts} hosts"), ""),
        Err(error) => checked(
            Grade::Fail,
            WHAT,
            format!("{folder} cannot be written: {error}"),
            "set attachments.url to a folder that the hub may write, or to s3://bucket/prefix",
        ),
    }
}

/// Signatures and sessions fail in strange ways on a machine whose clock was never set.
fn clock() -> Check {
    const YEAR_2025_MS: i64 = 1_735_689_600_000;
    let now = crate::clock::now_ms();
    let shown = crate::clock::rfc3339(now);
    match now > YEAR_2025_MS {
        true => checked(Grade::Ok, "clock", shown, ""),
        false => checked(
            Grade::Fail,
            "clock",
            shown,
            "set the clock; signed platforms refuse requests by minutes",
        ),
    }
}

fn screening(settings: &Settings) -> Check {
    let dir = &settings.connectors.screening;
    let judged = Rules::load(dir).and_then(|rules| Ok((rules.version, rules.check_samples(dir)?)));
    match judged {
        Ok((version, samples)) => {
            let detail = format!("rules {version}, all {samples} samples judged as they say");
            checked(Grade::Ok, "screening", detail, "")
        }
        Err(error) => checked(
            Grade::Fail,
            "screening",
            error.to_string(),
            "connectors.screening names the folder; mend rules.toml or samples.toml in it",
        ),
    }
}

fn registry(settings: &Settings) -> Vec<Check> {
    let catalogue = match Catalogue::load(&settings.connectors.catalogue) {
        Ok(catalogue) => catalogue,
        Err(error) => {
            return vec![checked(
                Grade::Fail,
                "catalogue",
                error.to_string(),
                "connectors.catalogue names the folder; `synchub catalogue check` lists everything",
            )];
        }
    };
    let mut checks = vec![checked(Grade::Ok, "catalogue", in_words(&catalogue), "")];
    let dangling = dangling_platforms(settings, &catalogue);
    if !dangling.is_empty() {
        checks.push(checked(
            Grade::Warn,
            "catalogue",
            format!("no connector is called {}", dangling.join(", ")),
            "mend channels in columns.toml and the platforms in codes.csv, or add the connector",
        ));
    }
    checks.push(working_days(&catalogue));
    checks
}

/// What comes in today must be due on a day that is certain.
fn working_days(catalogue: &Catalogue) -> Check {
    let today = crate::clock::rfc3339(crate::clock::now_ms());
    let today = today.get(..10).unwrap_or_default();
    let rule = &catalogue.default_rule().deadline;
    match rule.due(today, catalogue.calendar()) {
        Some(due) if !due.provisional => {
            let detail = format!("what is written today is due on {}", due.date);
            checked(Grade::Ok, "working days", detail, "")
        }
        _ => checked(
            Grade::Warn,
            "working days",
            "the holidays of this year or the next are not known: deadlines count weekends only and are marked provisional",
            "add the State Council's notice as calendar/YEAR.toml in connectors.catalogue",
        ),
    }
}

fn profiles(settings: &Settings) -> Vec<Check> {
    const HINT: &str =
        "`synchub profile check` plays the samples; deploy/PROFILES.md is the reference";
    let dir = settings.connectors.profiles.display();
    let profiles = match Profiles::load(&settings.connectors.profiles, &References::default()) {
        Ok(profiles) => profiles,
        Err(error) => {
            return vec![checked(
                Grade::Fail,
                "source profiles",
                error.to_string(),
                HINT,
            )];
        }
    };
    let known = format!("{dir}: {}", profiles.ids().join(", "));
    let failures = profiles.failures().iter().map(|failure| {
        let what = format!("source profile {}", failure.id);
        checked(Grade::Fail, what, failure.problem.as_str(), HINT)
    });
    std::iter::once(checked(Grade::Ok, "source profiles", known, ""))
        .chain(failures)
        .collect()
}

/// Which version of the registry the hub uses.
async fn registry_version(settings: &Settings, store: &Store) -> Option<Check> {
    let sha256 = Catalogue::load(&settings.connectors.catalogue)
        .ok()?
        .sha256();
    Some(match store.find_catalogue(&sha256).await {
        Ok(Some(version)) => checked(Grade::Ok, "registry", format!("version {version}"), ""),
        Ok(None) => checked(
            Grade::Ok,
            "registry",
            "new: it gets a number when `synchub serve` starts",
            "",
        ),
        Err(error) => checked(Grade::Fail, "registry", error.to_string(), ""),
    })
}

fn connectors(settings: &Settings) -> Vec<Check> {
    let connectors = hub::load_connectors(settings, &References::default());
    let mut checks: Vec<Check> = connectors
        .iter()
        .map(|connector| match connector.unresolved() {
            [] => checked(
                Grade::Ok,
                format!("connector {}", connector.id),
                connector.name(),
                "",
            ),
            missing => checked(
                Grade::Warn,
                format!("connector {}", connector.id),
                format!("nothing is sent: {}", missing.join("; ")),
                "set what is missing in the environment of `synchub serve`",
            ),
        })
        .collect();
    for failure in connectors.failures() {
        let name = failure.dir.display().to_string();
        let first = check::check(&failure.dir).findings.into_iter().next();
        let detail = first
            .map(|it| format!("{} {}: {}", it.file, it.place, it.problem))
            .unwrap_or_default();
        checks.push(checked(
            Grade::Fail,
            format!("connector {name}"),
            detail,
            format!("synchub connector check {name}"),
        ));
    }
    if checks.is_empty() {
        checks.push(checked(
            Grade::Fail,
            "connectors",
            "none",
            "connectors.dir names the folders that hold them",
        ));
    }
    checks
}

async fn queue(settings: &Settings) -> Check {
    const HINT: &str = "queue.url (SYNCHUB__QUEUE__URL), and for amqps queue.ca_file; is the broker up, and does it let this user in?";
    let queue = match hub::queue(settings) {
        Ok(queue) => queue,
        Err(error) => return checked(Grade::Fail, "queue", format!("{error:#}"), HINT),
    };
    let parked = queue.parked().await;
    queue.close().await;
    match parked {
        Err(error) => checked(Grade::Fail, "queue", error.to_string(), HINT),
        Ok(parked) if parked.is_empty() => checked(Grade::Ok, "queue", "answers", ""),
        Ok(parked) => {
            let count: i64 = parked.iter().map(|it| it.count).sum();
            let detail = format!("{count} messages were put aside");
            checked(Grade::Warn, "queue", detail, "synchub failures")
        }
    }
}

async fn database(settings: &Settings) -> Vec<Check> {
    let store = match hub::open_unmigrated(settings).await {
        Ok(store) => store,
        Err(error) => {
            return vec![checked(
                Grade::Fail,
                "database",
                format!("{error:#}"),
                "store.url (SYNCHUB__STORE__URL)",
            )];
        }
    };
    let mut checks = Vec::new();
    match store.migration_state().await {
        Ok(state) if state.is_current() => {
            checks.push(checked(
                Grade::Ok,
                "database",
                format!("schema {}", state.current),
                "",
            ));
        }
        Ok(state) if state.current > state.newest => checks.push(checked(
            Grade::Fail,
            "database",
            format!(
                "schema {} is newer than {}, the newest this release knows",
                state.current, state.newest
            ),
            "run the newer release",
        )),
        Ok(state) => checks.push(checked(
            Grade::Warn,
            "database",
            format!("schema {} of {}", state.current, state.newest),
            "`synchub migrate` (or `serve`) brings it up to date",
        )),
        Err(error) => checks.push(checked(
            Grade::Fail,
            "database",
            error.to_string(),
            "is the server up, and may this user read?",
        )),
    }
    if checks.iter().all(|check| check.grade == Grade::Ok) {
        checks.push(match store.list_accounts().await {
            Ok(accounts) if accounts.iter().any(|it| it.revoked_at.is_none()) => {
                checked(Grade::Ok, "accounts", format!("{}", accounts.len()), "")
            }
            Ok(_) => checked(
                Grade::Warn,
                "accounts",
                "none: nobody can post",
                "synchub account add oa",
            ),
            Err(error) => checked(Grade::Fail, "accounts", error.to_string(), ""),
        });
        checks.extend(registry_version(settings, &store).await);
    }
    store.close().await;
    checks
}
