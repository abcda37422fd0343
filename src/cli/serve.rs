//! `serve` and `sandbox`.

use super::hint::Hint as _;
use super::hub;
use super::output::Output;
use crate::attachment::keep_tidy;
use crate::config::Settings;
use crate::connector::References;
use crate::http;
use crate::sandbox;
use crate::telemetry;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// What this process does; any number of processes share the work on one PostgreSQL
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Takes submissions in and answers operators; sends nothing
    Intake,
    /// Sends; answers only /healthz, /readyz and /metrics
    Deliver,
    /// Both
    All,
}

/// Takes submissions in and sends them until the process is told to end.
pub(super) async fn serve(settings: Settings, args: ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start_log(&settings.log);
    let metrics = telemetry::start_metrics();
    let store = hub::open_store(&settings).await?;
    let intake = hub::intake(&settings, &store, &References::default())?;
    // Before the first submission, so that `GET /v1/catalogue` and the log can name it.
    let registry = match args.role {
        Role::Intake | Role::All => Some(intake.registry_version().await?),
        Role::Deliver => None,
    };
    let listener = TcpListener::bind(&settings.http.listen)
        .await
        .hint(format!(
            "http.listen is {}; is another hub running?",
            settings.http.listen
        ))?;
    let address = listener.local_addr()?;
    let queue = Arc::clone(&intake.queue);
    let senders = match args.role {
        Role::Deliver | Role::All => Some(hub::start_senders(&settings, &intake)?),
        Role::Intake => None,
    };
    let replays = senders.as_ref().map(|_| hub::start_replays(&intake));
    let tidying = CancellationToken::new();
    if senders.is_some() && settings.attachments.tidy_ms > 0 {
        let interval = Duration::from_millis(settings.attachments.tidy_ms);
        let files = intake.attachments.clone();
        tokio::spawn(keep_tidy(files, interval, tidying.clone()));
    }
    // The outbox is emptied by whoever runs, whatever its role.
    let events = hub::start_events(&settings, &intake)?;
    let calls = match args.role {
        Role::Intake | Role::All => http::Calls::All,
        Role::Deliver => http::Calls::Health,
    };
    tracing::info!(%address, role = ?args.role, connectors = intake.connectors.iter().count(), registry, "The hub listens on http://{address}");
    let app = http::App::new(calls, intake, &settings.http, metrics);
    http::serve(listener, app, ended()).await?;
    tracing::info!("Ending: open requests are answered, what is in flight is finished");
    tidying.cancel();
    store.hurry();
    if let Some(replays) = replays {
        replays.stop().await;
    }
    if let Some(senders) = senders {
        senders.stop().await;
    }
    if let Some(events) = events {
        events.stop().await;
    }
    queue.close().await;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the process is asked to end.
pub(super) async fn ended() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Port of the first platform; the others follow. 0 = free ports
    #[arg(long, default_value_t = 7101)]
    port: u16,
    /// Keep what is saved in this folder [default: forgotten at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Milliseconds of editorial review before an article is visible
    #[arg(long, default_value_t = 2_000)]
    review_ms: u64,
    /// Milliseconds that a login is good for
    #[arg(long, default_value_t = 1_800_000)]
    session_ttl_ms: u64,
    /// Requests a second that the platform with a rate limit bears
    #[arg(long, default_value_t = 200)]
    rate_per_s: u32,
}

/// Runs the practice platforms until the process is told to end.
pub(super) async fn sandbox(args: SandboxArgs, output: &Output) -> anyhow::Result<ExitCode> {
    let options = sandbox::Options {
        first_port: args.port,
        dir: args.dir,
        review_ms: args.review_ms,
        session_ttl_ms: args.session_ttl_ms,
        rate_per_s: args.rate_per_s,
        ..sandbox::Options::default()
    };
    let started = sandbox::start(options)
        .await
        .hint("is another sandbox running? choose other ports with --port")?;
    let platforms: Vec<_> = started
        .platforms
        .iter()
        .map(|it| json!({"id": it.id, "title": it.title, "url": it.url}))
        .collect();
    let settings: serde_json::Map<String, serde_json::Value> = started
        .settings()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    output.line(
        &json!({"platforms": platforms, "environment": settings}),
        || {
            let mut text = String::new();
            for platform in &started.platforms {
                text.push_str(&format!("# {}  {}\n", platform.url, platform.title));
            }
            text.push_str("# for the hub: paste these lines before `synchub serve`\n");
            for (name, value) in started.settings() {
                text.push_str(&format!("export {name}='{value}'\n"));
            }
            text.trim_end().to_owned()
        },
    );
    output.note("The platforms run until Ctrl-C.");
    ended().await;
    started.stop().await;
    Ok(ExitCode::SUCCESS)
}
