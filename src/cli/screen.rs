//! `screen`: looks at files before they are posted, or again at everything that is public.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::{Output, cut, table};
use crate::config::Settings;
use crate::normalise::File;
use crate::operator::{RESCAN_PAGE_MAX, Suspect, rescan};
use crate::record::Disclosure;
use crate::screen::{Screening, screen_file};
use crate::store::{Store, WithdrawOutcome};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct ScreenArgs {
    /// Files to look into, as attachments would be
    #[arg(value_name = "FILE", required_unless_present = "rescan")]
    files: Vec<PathBuf>,
    /// Look again at every public record, with the rules of today
    #[arg(long, conflicts_with = "files")]
    rescan: bool,
    /// Go on where an interrupted rescan stopped
    #[arg(long, value_name = "CURSOR", requires = "rescan")]
    from: Option<String>,
    /// Withdraw what the rules would hold, except what an operator released; else it is only listed
    #[arg(long, requires = "rescan", requires = "reason")]
    yes: bool,
    /// Why it is withdrawn; stored and shown
    #[arg(long, value_name = "TEXT", requires = "yes")]
    reason: Option<String>,
}

/// Says what may not go out. Ends with 1 when something was found and nothing was done about it.
pub(super) async fn screen(
    settings: &Settings,
    args: ScreenArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let rules = hub::rules(settings)?;
    if args.rescan {
        return scan_again(settings, args, &rules, output).await;
    }
    let mut found = false;
    for path in &args.files {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path).hint(format!("{shown} cannot be read"))?;
        let file = File {
            sha256: String::new(),
            name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            media_type: String::new(),
            content: bytes.into(),
        };
        let screening = screen_file(0, &file, Disclosure::Proactive, &rules);
        found |= !screening.holds.is_empty();
        let value = json!({
            "file": shown, "holds": screening.holds, "findings": screening.findings,
            "warnings": screening.warnings,
        });
        output.line(&value, || in_words(&shown, &screening));
    }
    Ok(if found {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn in_words(shown: &str, screening: &Screening) -> String {
    let holds = screening.holds.iter().map(|hold| hold.detail.as_str());
    let warnings = screening.warnings.iter().map(|it| it.detail.as_str());
    let details: Vec<&str> = holds.chain(warnings).collect();
    match details.as_slice() {
        [] => format!("{shown}: 未发现问题"),
        details => format!("{shown}: {}", details.join("；")),
    }
}

async fn scan_again(
    settings: &Settings,
    args: ScreenArgs,
    rules: &crate::screen::Rules,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let attachments = hub::attachments(settings, &store)?;
    let mut cursor = args.from.clone();
    let (mut scanned, mut suspects, mut withdrawn) = (0, 0, 0);
    loop {
        let page = rescan(
            (&store, &attachments),
            rules,
            cursor.as_deref(),
            RESCAN_PAGE_MAX,
        )
        .await?;
        scanned += page.scanned;
        for suspect in &page.suspects {
            suspects += 1;
            let acts = args.yes && suspect.released_by.is_none();
            if acts && withdraw(&store, suspect, args.reason.as_deref()).await? {
                withdrawn += 1;
            }
            let mut value = json!(suspect);
            value["withdrawn"] = acts.into();
            output.line(&value, || line(suspect, acts));
        }
        cursor = page.next_cursor;
        match &cursor {
            Some(next) => output.note(&format!("{scanned} looked at; --from {next} goes on here")),
            None => break,
        }
    }
    store.close().await;
    output.note(&format!(
        "{scanned} public records looked at with rules {}: {suspects} would be held, {withdrawn} withdrawn now",
        rules.version
    ));
    if suspects > 0 && !args.yes {
        output.note("hint: correct them in the OA, or withdraw them with --yes --reason TEXT");
    }
    Ok(if suspects == 0 || args.yes {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn withdraw(store: &Store, suspect: &Suspect, reason: Option<&str>) -> anyhow::Result<bool> {
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| {
        failure(
            "a reason is missing",
            "say with --reason why it is withdrawn",
        )
    })?;
    let outcome = store
        .withdraw_record(&suspect.record.id, reason, &super::operations::actor())
        .await?;
    Ok(matches!(outcome, WithdrawOutcome::Withdrawn(_)))
}

fn line(suspect: &Suspect, withdrawn: bool) -> String {
    let codes: Vec<&str> = suspect
        .holds
        .iter()
        .map(|hold| hold.code.as_str())
        .collect();
    let what = match (&suspect.released_by, withdrawn) {
        (Some(by), _) => format!("released by {by}, stays"),
        (None, true) => "withdrawn".to_owned(),
        (None, false) => "public".to_owned(),
    };
    let details: Vec<&str> = suspect
        .holds
        .iter()
        .map(|hold| hold.detail.as_str())
        .collect();
    let row = vec![
        suspect.record.id.to_string(),
        suspect.record.source_id.clone(),
        codes.join(" "),
        what,
        cut(&crate::screen::mask(&suspect.record.title), 40),
    ];
    format!("{}  {}", table(&[row]).trim_end(), details.join("；"))
}
