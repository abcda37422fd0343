//! `synchub connector try`: sends one record to a given address and shows what went and what came.

use super::evidence::{mask_of, shown_request, shown_response};
use super::session::Sessions;
use super::transport::Transport;
use crate::blob::Blob;
use crate::clock::now_ms;
use crate::connector::{Connector, Facts, Files, Moment, Operation, Verdict, idempotency_key};
use crate::record::{Appearance, Record};
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs `operation` for `record` once and returns the exchanges with secrets masked. Nothing is
/// stored, nothing is tried again.
///
/// # Errors
/// When a request cannot be made or no session can be had.
pub async fn run(
    connector: &Connector,
    record: &Record,
    operation: Operation,
    remote_id: Option<String>,
) -> anyhow::Result<Value> {
    let limits = connector.limits();
    let transport = Transport::new(
        Duration::from_millis(limits.timeout_ms),
        limits.response_bytes_max,
    )?;
    let sessions = Sessions::default();
    let (record, files) = with_placeholder_files(record);
    let mut facts = Facts {
        record: minijinja::Value::from(minijinja::value::Serde(&record)),
        key: idempotency_key(&record.id),
        version: record.version,
        remote_id,
        files,
        ..Facts::default()
    };
    let mut exchanges = Vec::new();
    'steps: for step in connector.steps(operation) {
        for item in connector.items(step, &facts)? {
            let current = sessions
                .get(connector, &transport)
                .await
                .map_err(|refused| anyhow::anyhow!("{}", refused.problem))
                .context("log in")?;
            let request = connector.request(
                step,
                &facts,
                item.as_ref(),
                &current.session,
                &Moment::now(),
            )?;
            let mask = mask_of(connector, &current.session);
            let mut exchange =
                json!({"step": step.name, "request": shown_request(&request, &mask)});
            match transport.send(&request, |url| connector.allows(url)).await {
                Ok(response) => {
                    let judgement = connector.judge(step, &response, now_ms());
                    exchange["response"] = shown_response(&response, &mask);
                    exchange["verdict"] = json!(judgement.verdict);
                    exchange["code"] = json!(judgement.code);
                    exchange["message"] = json!(judgement.message.map(|text| mask.apply(&text)));
                    exchange["captured"] = masked(&judgement.captured, &mask);
                    facts.take_over(&judgement.captured);
                    exchanges.push(exchange);
                    if !matches!(judgement.verdict, Verdict::Ok | Verdict::Duplicate) {
                        break 'steps;
                    }
                }
                Err(error) => {
                    exchange["error"] = json!(mask.apply(&error.to_string()));
                    exchanges.push(exchange);
                    break 'steps;
                }
            }
        }
    }
    let mut shown = json!({
        "connector": connector.id, "operation": operation.as_str(), "exchanges": exchanges,
    });
    if operation == Operation::ReadBack {
        let appearance = connector.appearance(operation, &facts);
        shown["confirmed"] = (appearance == Appearance::Confirmed).into();
        shown["appearance"] = json!(appearance);
    }
    Ok(shown)
}

fn masked(captured: &Map<String, Value>, mask: &crate::connector::Mask) -> Value {
    let masked: BTreeMap<&String, String> = captured
        .iter()
        .map(|(name, value)| {
            (
                name,
                mask.apply(value.as_str().unwrap_or(&value.to_string())),
            )
        })
        .collect();
    json!(masked)
}

/// The record file names attachments without their bytes; a trial sends a line in their place,
/// and names its digest, since a platform may compare.
fn with_placeholder_files(record: &Record) -> (Record, Files) {
    let line = "试推附件".as_bytes();
    let sha256 = hex::encode(Sha256::digest(line));
    let mut record = record.clone();
    for attachment in &mut record.content.attachments {
        attachment.bytes = line.len() as u64;
        attachment.sha256.clone_from(&sha256);
    }
    (record, Files::from([(sha256, Blob::from(line.to_vec()))]))
}
