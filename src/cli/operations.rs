//! `why trace failures platforms pause resume`: the operator's verbs, on the store itself.
//!
//! A running hub notices what they change by its sweep, within a second.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::{Output, cut, table};
use crate::catalogue::Catalogue;
use crate::clock::{parse_time, rfc3339};
use crate::config::Settings;
use crate::connector::{Connectors, References};
use crate::http::masked;
use crate::operator::{self, NamedError, Why};
use crate::queue::EmbeddedQueue;
use crate::store::{AttemptView, RecordView, Store};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Name of the person at the keyboard, for the rows that acts leave.
pub(super) fn actor() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "cli".to_owned())
}

pub(super) async fn named(store: &Store, text: &str) -> anyhow::Result<RecordView> {
    operator::record_named(store, text)
        .await
        .map_err(|error| match error {
            NamedError::Unknown(_) => failure(
                error.to_string(),
                "name it by its id or by the id that the OA uses",
            ),
            NamedError::Ambiguous(..) => failure(error.to_string(), "name it by its id"),
            NamedError::Store(error) => error.into(),
        })
}

/// The units and areas, whose names may be typed.
pub(super) fn catalogue(settings: &Settings) -> anyhow::Result<Catalogue> {
    Catalogue::load(&settings.connectors.catalogue)
        .hint("connectors.catalogue names the folder of units and areas")
}

pub(super) fn connectors(settings: &Settings) -> Connectors {
    hub::load_connectors(settings, &References::default())
}

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// Id of the record, or the id that the OA uses
    record: String,
    /// Only this platform
    #[arg(long, value_name = "PLATFORM")]
    on: Option<String>,
}

pub(super) async fn why(
    settings: &Settings,
    args: WhyArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let record = named(&store, &args.record).await?;
    let why = operator::why(&store, &connectors(settings), &record, args.on.as_deref()).await?;
    output.show(&json!(why), || why_in_words(&why));
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn why_in_words(why: &Why) -> String {
    let mut text = format!(
        "《{}》\n{} ({})  v{}  {}\n",
        why.title,
        why.record_id,
        why.source_id,
        why.version,
        why.state.as_str()
    );
    for platform in &why.platforms {
        text.push_str(&format!(
            "\n{} {}  {} · {}\n",
            platform.platform,
            platform.name,
            platform.state.as_str(),
            platform.state_text
        ));
        let shown = platform
            .shown_version
            .map_or_else(|| "-".to_owned(), |it| format!("v{it}"));
        text.push_str(&format!(
            "  版本      应显示 v{}，平台上 {shown}\n",
            platform.version
        ));
        if let Some(url) = &platform.url {
            text.push_str(&format!("  地址      {url}\n"));
        }
        if let Some(last) = &platform.last_attempt {
            text.push_str(&format!(
                "  最近一次  {} {} {} {} {} ({} ms)\n",
                last.at, last.operation, last.verdict, last.code, last.message, last.duration_ms
            ));
        }
        for (label, line) in [
            ("原因", &platform.cause),
            ("接下来", &platform.next),
            ("建议", &platform.advice),
        ] {
            if !line.is_empty() {
                text.push_str(&format!(
                    "  {label}{}{line}\n",
                    " ".repeat(10 - 2 * label.chars().count())
                ));
            }
        }
    }
    if !why.advice.is_empty() {
        text.push_str(&format!("\n{}\n", why.advice));
    }
    text
}

#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// Id of the record, or the id that the OA uses
    record: String,
}

pub(super) async fn trace(
    settings: &Settings,
    args: TraceArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let record = named(&store, &args.record).await?;
    let mut attempts: Vec<AttemptView> = Vec::new();
    for delivery in &record.deliveries {
        attempts.extend(store.attempts(&delivery.id).await?);
    }
    attempts.sort_by_key(|attempt| attempt.started_at);
    let value = masked(json!({"record": record, "attempts": attempts}));
    output.show(&value, || trace_in_words(&record, &attempts));
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn trace_in_words(record: &RecordView, attempts: &[AttemptView]) -> String {
    let mut events: Vec<(i64, Vec<String>)> = Vec::new();
    for version in &record.versions {
        let holds: Vec<&str> = version
            .holds
            .iter()
            .map(|hold| hold.code.as_str())
            .collect();
        let mut what = format!(
            "revision {} → v{} ({})",
            version.revision, version.version, version.action
        );
        if !holds.is_empty() {
            what.push_str(&format!(", held: {}", holds.join(" ")));
        }
        events.push((
            version.created_at,
            vec!["intake".into(), version.action.clone(), what],
        ));
        for change in &version.changes {
            let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "∅".to_owned());
            let what = format!(
                "{}: {} → {}",
                change.pointer,
                crate::screen::mask(&part(&change.before)),
                crate::screen::mask(&part(&change.after))
            );
            events.push((
                version.created_at,
                vec!["change".into(), String::new(), what],
            ));
        }
        if let (Some(at), Some(by)) = (version.released_at, &version.released_by) {
            let why = version.release_reason.clone().unwrap_or_default();
            events.push((at, vec!["release".into(), by.clone(), why]));
        }
    }
    for attempt in attempts {
        let what = format!(
            "v{} {} {} {} ({} ms, {} requests)",
            attempt.version,
            attempt.verdict,
            attempt.code,
            crate::screen::mask(&attempt.message),
            attempt.duration_ms,
            attempt.exchanges.as_array().map_or(0, Vec::len)
        );
        events.push((
            attempt.started_at,
            vec![attempt.platform.clone(), attempt.operation.clone(), what],
        ));
    }
    events.sort_by_key(|(at, _)| *at);
    let rows: Vec<Vec<String>> = events
        .into_iter()
        .map(|(at, mut row)| {
            row.insert(0, rfc3339(at));
            row
        })
        .collect();
    format!(
        "《{}》 {}\n{}",
        crate::screen::mask(&record.summary.title),
        record.summary.id,
        table(&rows)
    )
}

pub(super) async fn failures(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let queue = hub::queue(settings)?;
    let groups = operator::failures(&store, queue.as_ref()).await?;
    queue.close().await;
    output.show(&json!(groups), || {
        if groups.is_empty() {
            return "Nothing needs a person.".to_owned();
        }
        let mut rows = vec![
            [
                "COUNT", "PLATFORM", "STAGE", "CLASS", "CODE", "CAUSE", "LAST", "GROUP", "NEXT",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
        ];
        rows.extend(groups.iter().map(|group| {
            vec![
                group.count.to_string(),
                group.platform.clone(),
                group.stage.clone(),
                group.class.clone(),
                group.code.clone(),
                cut(&group.cause, 50),
                group.last.clone(),
                group.group.clone(),
                group.next.clone(),
            ]
        }));
        table(&rows)
    });
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn platforms(settings: &Settings, output: &Output) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let platforms = operator::platforms(&store, &connectors(settings)).await?;
    output.show(&json!(platforms), || {
        let mut rows = vec![
            ["PLATFORM", "NAME", "STATUS", "DELIVERIES", "REASON"]
                .map(ToOwned::to_owned)
                .to_vec(),
        ];
        rows.extend(platforms.iter().map(|platform| {
            let counts: Vec<String> = platform
                .deliveries
                .iter()
                .map(|(state, count)| format!("{state} {count}"))
                .collect();
            let until = platform
                .until
                .as_ref()
                .map_or_else(String::new, |until| format!(" → {until}"));
            vec![
                platform.id.clone(),
                platform.name.clone(),
                platform.status.to_owned(),
                counts.join(", "),
                format!("{}{until}", platform.reason),
            ]
        }));
        table(&rows)
    });
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The platform
    platform: String,
    /// Why; shown to everybody who asks
    #[arg(long)]
    reason: String,
    /// Go on by itself at this time (RFC 3339 or a date)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

pub(super) async fn pause(
    settings: &Settings,
    args: PauseArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    known(settings, &args.platform)?;
    let until = match &args.until {
        None => None,
        Some(text) => Some(
            parse_time(text)
                .ok_or_else(|| anyhow::anyhow!("`{text}` is no time"))
                .hint("write 2014-09-18T08:00:00+08:00 or 2014-09-18")?,
        ),
    };
    operator::pause(&store, &args.platform, &args.reason, &actor(), until).await?;
    let value = json!({"platform": args.platform, "paused": true, "until": until.map(rfc3339)});
    output.show(&value, || {
        format!("{} is paused; what is due waits.", args.platform)
    });
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The platform
    platform: String,
    /// Why
    #[arg(long, default_value = "恢复推送")]
    reason: String,
}

pub(super) async fn resume(
    settings: &Settings,
    args: ResumeArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    known(settings, &args.platform)?;
    operator::resume(
        &store,
        &EmbeddedQueue::new(),
        &args.platform,
        &args.reason,
        &actor(),
    )
    .await?;
    let value: Value = json!({"platform": args.platform, "paused": false});
    output.show(&value, || format!("{} is sent to again.", args.platform));
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn known(settings: &Settings, platform: &str) -> anyhow::Result<()> {
    let connectors = connectors(settings);
    if connectors.get(platform).is_some() {
        return Ok(());
    }
    let ids: Vec<&str> = connectors.iter().map(|it| it.id.as_str()).collect();
    Err(failure(
        format!("no platform is called `{platform}`"),
        format!("there are: {}", ids.join(", ")),
    ))
}
