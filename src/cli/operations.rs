//! `why trace failures platforms pause resume`: the operator's verbs, on the store itself.
//!
//! A running hub notices what they change by its sweep, within a second.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::{Output, cut, table, wrap};
use crate::clock::{parse_time, rfc3339};
use crate::config::Settings;
use crate::connector::{Connectors, References};
use crate::http::masked;
use crate::operator::{self, NamedError, Why, WhyPlatform};
use crate::queue::EmbeddedQueue;
use crate::store::{AttemptView, PauseMode, RecordView, Store};
use clap::{Args, ValueEnum};
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

/// How wide a screen is, and where what is said begins.
const COLUMNS: usize = 80;
const INDENT: usize = 12;

fn why_in_words(why: &Why) -> String {
    let mut text = format!(
        "《{}》\n{} ({})  v{}  {}\n",
        cut(&why.title, COLUMNS - 4),
        why.record_id,
        cut(&why.source_id, 30),
        why.version,
        why.state.as_str()
    );
    if let Some(due_on) = &why.due_on {
        let late = if why.late { "，已逾期" } else { "" };
        let provisional = if why.due_provisional {
            "（该年放假安排未录入，暂按周末推算）"
        } else {
            ""
        };
        text.push_str(&format!("公开时限：{due_on}{provisional}{late}\n"));
    }
    for platform in &why.platforms {
        text.push('\n');
        text.push_str(&platform_in_words(platform));
    }
    if !why.advice.is_empty() {
        text.push_str(&format!("\n{}\n", why.advice));
    }
    text
}

/// One screen at most: what is long is cut, the whole of it is in `--json` and in `trace`.
fn platform_in_words(platform: &WhyPlatform) -> String {
    let mut text = format!(
        "{} {}  {} · {}\n",
        platform.platform,
        platform.name,
        platform.state.as_str(),
        platform.state_text
    );
    let shown = platform
        .shown_version
        .map_or_else(|| "-".to_owned(), |it| format!("v{it}"));
    let version = format!("应显示 v{}，平台上 {shown}", platform.version);
    let last = platform.last_attempt.as_ref().map(|it| {
        format!(
            "{} {} {} {} {} ({} ms)",
            it.at,
            it.operation,
            it.verdict,
            it.code,
            crate::screen::mask(&it.message),
            it.duration_ms
        )
    });
    let owner = platform.owner.map(|it| it.chinese().to_owned());
    for (label, line, lines_max) in [
        ("版本", Some(version), 1),
        ("地址", platform.url.clone(), 2),
        ("最近一次", last, 3),
        ("原因", Some(platform.cause.clone()), 4),
        ("接下来", Some(platform.next.clone()), 2),
        ("由谁处理", owner, 1),
        ("建议", Some(platform.advice.clone()), 3),
        ("同因", platform.group.clone(), 1),
        ("命令", Some(platform.command.clone()), 2),
    ] {
        let line = line.unwrap_or_default();
        if line.is_empty() {
            continue;
        }
        let blanks = " ".repeat(INDENT - 2 - 2 * label.chars().count());
        let said = wrap(&line, COLUMNS - INDENT, lines_max);
        let next_line = format!("\n{}", " ".repeat(INDENT));
        text.push_str(&format!("  {label}{blanks}{}\n", said.join(&next_line)));
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
                "COUNT", "OWNER", "PLATFORM", "STAGE", "CLASS", "CODE", "CAUSE", "FIRST", "LAST",
                "GROUP", "NEXT",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
        ];
        rows.extend(groups.iter().map(|group| {
            vec![
                group.count.to_string(),
                group.owner.as_str().to_owned(),
                group.platform.clone(),
                group.stage.clone(),
                group.class.clone(),
                group.code.clone(),
                cut(&group.cause, 50),
                group.first.clone(),
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
            let mut until = platform
                .until
                .as_ref()
                .map_or_else(String::new, |until| format!(" → {until}"));
            if let Some(rate) = platform.rate_per_s {
                until.push_str(&format!(" ≤ {rate}/s"));
            }
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
    /// What becomes of what waits already
    #[arg(long, value_enum, default_value_t = Mode::Hold)]
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Nothing more is taken; the few that a sender has in hand are still sent
    Hold,
    /// What was due by now is still sent; what becomes due later waits
    Drain,
    /// As hold, and what is in hand and not begun is handed back
    Stop,
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
    let (mode, said) = match args.mode {
        Mode::Hold => (PauseMode::Hold, "is paused; what is due waits."),
        Mode::Drain => (
            PauseMode::Drain,
            "is drained; what was due by now is still sent.",
        ),
        Mode::Stop => (PauseMode::Stop, "is stopped; what is due or in hand waits."),
    };
    let why = (args.reason.as_str(), actor());
    operator::pause(&store, &args.platform, mode, (why.0, &why.1), until).await?;
    let value = json!({"platform": args.platform, "paused": true, "mode": mode, "until": until.map(rfc3339)});
    output.show(&value, || format!("{} {said}", args.platform));
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
    /// Requests a second at most, until it is resumed without [default: as the connector says]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
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
        args.rate,
        (&args.reason, &actor()),
    )
    .await?;
    let value: Value = json!({"platform": args.platform, "paused": false, "rate": args.rate});
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
