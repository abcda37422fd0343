//! `submit FILE…`: the same door as the OA's post, from files.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::Output;
use crate::config::Settings;
use crate::connector::References;
use crate::intake::{Refusal, sentence};
use crate::record::FieldError;
use crate::store::Account;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// Native submissions: one JSON object a file, or NDJSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The source system these come from
    #[arg(long, default_value = "cli")]
    source: String,
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
    let mut refused = 0;
    for path in &args.files {
        let text = std::fs::read(path).hint(format!("{} cannot be read", path.display()))?;
        for body in bodies(path, &text) {
            let shown = path.display().to_string();
            match intake.accept(&account, body, None).await {
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
                    let (text, errors) = in_words(refusal)?;
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

fn in_words(refusal: Refusal) -> anyhow::Result<(String, Vec<Value>)> {
    let of = |errors: Vec<FieldError>| errors.into_iter().map(|error| json!(error)).collect();
    Ok(match refusal {
        Refusal::Fields(errors) => {
            let lines: Vec<String> = errors
                .iter()
                .map(|it| format!("\n  {} {}", it.pointer, it.detail))
                .collect();
            (
                format!("有 {} 处需要修改：{}", errors.len(), lines.concat()),
                of(errors),
            )
        }
        Refusal::Older(head) => (
            format!("系统中已有更新的第 {} 版，未作改动", head.revision),
            Vec::new(),
        ),
        Refusal::RevisionReused(head, _) => (
            format!(
                "第 {} 版已报送过但内容不同；更正请增大修订号",
                head.revision
            ),
            Vec::new(),
        ),
        Refusal::UnknownRecord => ("没有找到要撤回的信息".to_owned(), Vec::new()),
        Refusal::UnitNotAllowed { unit } => (format!("无权以“{unit}”的名义报送"), Vec::new()),
        Refusal::KeyReused => ("Idempotency-Key 已用于另一份内容".to_owned(), Vec::new()),
        Refusal::Store(error) => return Err(failure(error.to_string(), "run `synchub doctor`")),
    })
}
