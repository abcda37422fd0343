//! `verify`: looks at everything a platform shall show, and says what is not as it should be.

use super::hint::{Hint as _, failure};
use super::hub;
use super::operations::{actor, connectors};
use super::output::{Output, table};
use crate::clock::rfc3339;
use crate::config::Settings;
use crate::operator::{self, VerifyError};
use crate::record::VerificationId;
use crate::store::{Store, Verification, VerificationFinding, VerificationState};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// After so long without a sender, a person is told what may be wrong.
const NOBODY_COMES: Duration = Duration::from_secs(10);
const LISTED_MAX: i64 = 20;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The platform to look at [default: list the newest verifications]
    platform: Option<String>,
    /// Send again what is missing or stale, take down again what was withdrawn and is back
    #[arg(long, requires = "platform")]
    repair: bool,
    /// Why; stored and shown
    #[arg(long, default_value = "人工核对", requires = "platform")]
    reason: String,
    /// Do not wait for the end
    #[arg(long, requires = "platform")]
    no_wait: bool,
    /// Show one verification again
    #[arg(long, value_name = "ID", conflicts_with = "platform")]
    show: Option<String>,
    /// End one verification early
    #[arg(long, value_name = "ID", conflicts_with_all = ["platform", "show"])]
    cancel: Option<String>,
}

/// Asks for a verification and waits for it, or shows one. Fails when something is not as it
/// should be and was not mended.
pub(super) async fn verify(
    settings: &Settings,
    args: VerifyArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let code = match (&args.platform, &args.show, &args.cancel) {
        (Some(platform), _, _) => look(settings, &store, platform, &args, output).await?,
        (None, Some(id), _) => show(&store, &id.clone().into(), output).await?,
        (None, None, Some(id)) => cancel(&store, &id.clone().into(), output).await?,
        (None, None, None) => list(&store, output).await?,
    };
    store.close().await;
    Ok(code)
}

async fn look(
    settings: &Settings,
    store: &Store,
    platform: &str,
    args: &VerifyArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let connectors = connectors(settings);
    let actor = actor();
    let asked = operator::verify(
        store,
        &connectors,
        platform,
        args.repair,
        &args.reason,
        &actor,
    );
    let verification = asked.await.map_err(|error| match error {
        VerifyError::UnknownPlatform(_) => {
            let ids: Vec<&str> = connectors.iter().map(|it| it.id.as_str()).collect();
            failure(
                format!("no platform is called `{platform}`"),
                format!("there are: {}", ids.join(", ")),
            )
        }
        VerifyError::CannotLook(_) => failure(
            format!("the connector of `{platform}` has neither `read_back` nor `look_up`"),
            "add one to connector.toml; deploy/CONNECTORS.md describes both",
        ),
        VerifyError::Retired(_) => failure(
            format!("`{platform}` is retired"),
            "look at the platform as it is now, without a version in its name",
        ),
        VerifyError::Busy => failure("another verification ended just now", "run it again"),
        VerifyError::Store(error) => error.into(),
    })?;
    if args.no_wait {
        output.show(&json!(verification), || {
            format!(
                "{} is looked at: synchub verify --show {}",
                platform, verification.id
            )
        });
        return Ok(ExitCode::SUCCESS);
    }
    until_ended(store, &verification.id, output).await?;
    show(store, &verification.id, output).await
}

async fn until_ended(store: &Store, id: &VerificationId, output: &Output) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let verification = found(store, id).await?;
        if verification.state.has_ended() {
            return Ok(());
        }
        let waits = verification.state == VerificationState::Waiting;
        if waits && !told && began.elapsed() > NOBODY_COMES {
            told = true;
            output.note("No sender has begun yet: is `synchub serve` running, and the platform not paused? Ctrl-C ends the waiting, not the verification.");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn found(store: &Store, id: &VerificationId) -> anyhow::Result<Verification> {
    store
        .verification(id)
        .await
        .hint("is the database there? `synchub doctor` tells")?
        .ok_or_else(|| {
            failure(
                format!("there is no verification `{id}`"),
                "`synchub verify` lists the newest",
            )
        })
}

async fn show(store: &Store, id: &VerificationId, output: &Output) -> anyhow::Result<ExitCode> {
    let verification = found(store, id).await?;
    let findings = store.verification_findings(id, None, None).await?;
    let mut value = json!(verification);
    value["findings"] = json!(findings);
    output.show(&value, || in_words(&verification, &findings));
    let counts = &verification.counts;
    let wrong =
        counts.missing + counts.stale + counts.altered + counts.unanswered + counts.returned;
    Ok(match wrong - counts.repaired {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn cancel(store: &Store, id: &VerificationId, output: &Output) -> anyhow::Result<ExitCode> {
    found(store, id).await?;
    store.cancel_verification(id, "人工结束", &actor()).await?;
    show(store, id, output).await?;
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<ExitCode> {
    let verifications = store.list_verifications(None, LISTED_MAX).await?;
    output.show(&json!({"items": verifications}), || {
        let rows: Vec<Vec<String>> = verifications.iter().map(line).collect();
        match rows.is_empty() {
            true => "Nothing was looked at yet: synchub verify PLATFORM".to_owned(),
            false => table(&rows),
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn line(verification: &Verification) -> Vec<String> {
    let counts = &verification.counts;
    vec![
        verification.id.to_string(),
        verification.platform.clone(),
        verification.state.as_str().to_owned(),
        rfc3339(verification.created_at),
        verification.actor.clone(),
        format!(
            "confirmed {} of {}, missing {}, stale {}, altered {}",
            counts.confirmed, counts.looked, counts.missing, counts.stale, counts.altered
        ),
    ]
}

fn in_words(verification: &Verification, findings: &[VerificationFinding]) -> String {
    let counts = &verification.counts;
    let mut text = format!(
        "{} {}  {}\n",
        verification.platform,
        verification.state.as_str(),
        verification.id
    );
    for (word, count) in [
        ("looked at", counts.looked),
        ("confirmed", counts.confirmed),
        ("under review", counts.under_review),
        ("missing", counts.missing),
        ("stale", counts.stale),
        ("altered", counts.altered),
        ("unanswered", counts.unanswered),
        ("withdrawn, back", counts.returned),
        ("changed meanwhile", counts.skipped),
        ("sent again", counts.repaired),
    ] {
        text.push_str(&format!("  {word:<18}{count:>8}\n"));
    }
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let repaired = if finding.repaired { "sent again" } else { "" };
            vec![
                format!("  {}", finding.verdict.as_str()),
                finding.record_id.to_string(),
                format!("v{}", finding.version),
                finding.detail.clone(),
                repaired.to_owned(),
            ]
        })
        .collect();
    text.push_str(&table(&rows));
    let open = counts.missing + counts.stale + counts.returned - counts.repaired;
    if open > 0 {
        text.push_str(&format!(
            "\nsynchub verify {} --repair sends again what is missing or stale, and takes down what came back\n",
            verification.platform
        ));
    }
    text
}
