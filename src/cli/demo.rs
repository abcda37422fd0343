//! `demo`: the whole way in one command, on free ports and in a folder that is gone afterwards.
//!
//! It goes through the doors that an OA and the public use: submissions over HTTP with a key, and
//! what each platform shows read from the platform itself.

mod client;
mod verdict;

use super::accounts;
use super::hint::{Hint as _, failure};
use super::hub;
use super::output::{Output, cut, table};
use super::serve::ended;
use crate::config::Settings;
use crate::connector::References;
use crate::http;
use crate::sandbox::{self, Started};
use crate::telemetry;
use clap::Args;
use client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use verdict::{Expectations, Judged, judge};

/// Longest time until everything is where it should be.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);
/// How long one platform stays closed while entries come in.
const OUTAGE: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after the table; exit 1 if anything is not as it should be
    #[arg(long)]
    once: bool,
    /// Port of the hub [default: a free one]
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Folder of native submissions; expected.json above it says what must become of each
    #[arg(long, default_value = "tests/samples/native", value_name = "DIR")]
    samples: PathBuf,
}

pub(super) async fn demo(
    mut settings: Settings,
    args: DemoArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let samples = Samples::read(&args.samples)?;
    let folder = tempfile::tempdir()?;
    settings.store.url = format!("sqlite://{}", folder.path().join("hub.db").display());
    settings.queue.url = "embedded:".to_owned();
    settings.log.level =
        std::env::var("SYNCHUB__LOG__LEVEL").unwrap_or_else(|_| "error".to_owned());
    telemetry::start_log(&settings.log);

    let platforms = sandbox::start(sandbox::Options {
        dir: Some(folder.path().join("platforms")),
        ..sandbox::Options::default()
    })
    .await?;
    let own = platforms
        .settings()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let store = hub::open_store(&settings).await?;
    let intake = hub::intake(&settings, &store, &References::with_overrides(own))?;
    let senders = hub::start_senders(&settings, &intake)?;
    let replays = hub::start_replays(&intake);
    let oa_key = accounts::create(&store, "demo-oa", "oa", vec!["*".to_owned()], false).await?;
    let operator_key =
        accounts::create(&store, "demo-operator", "oa", vec!["*".to_owned()], true).await?;
    let listener = TcpListener::bind(("127.0.0.1", args.port))
        .await
        .hint(format!(
            "is port {} taken? without --port a free one is used",
            args.port
        ))?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = http::App::new(
        http::Calls::All,
        intake,
        &settings.http,
        telemetry::start_metrics(),
    );
    let (end, ending) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(http::serve(listener, app, async {
        let _ = ending.await;
    }));

    let stage = Stage {
        hub: Client::new(url.clone(), oa_key.clone())?,
        operator: Client::new(url.clone(), operator_key.clone())?,
        platforms: &platforms,
        output,
    };
    let judged = stage.play(&samples).await?;
    stage.show(&judged);
    if !args.once {
        stage.invite(&url, &oa_key, &operator_key);
        ended().await;
    }
    let _ = end.send(());
    server.await??;
    replays.stop().await;
    senders.stop().await;
    store.close().await;
    platforms.stop().await;
    Ok(if judged.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The entries and what must become of them.
struct Samples {
    /// File name and content, by name.
    files: Vec<(String, Vec<u8>)>,
    expectations: Expectations,
}

impl Samples {
    fn read(dir: &Path) -> anyhow::Result<Self> {
        let hint = "run from the project's folder, or name a folder with --samples";
        let mut files = Vec::new();
        for entry in
            std::fs::read_dir(dir).hint(format!("{} cannot be read; {hint}", dir.display()))?
        {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "json") {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                files.push((name, std::fs::read(&path)?));
            }
        }
        if files.is_empty() {
            return Err(failure(
                format!("{} holds no submissions", dir.display()),
                hint,
            ));
        }
        files.sort();
        let expected = dir.parent().unwrap_or(dir).join("expected.json");
        let expectations = Expectations::read(&expected, dir)?;
        Ok(Self {
            files,
            expectations,
        })
    }
}

struct Stage<'a> {
    hub: Client,
    operator: Client,
    platforms: &'a Started,
    output: &'a Output,
}

impl Stage<'_> {
    /// Posts everything while one platform is closed and another loses answers; waits until all
    /// is where it should be.
    async fn play(&self, samples: &Samples) -> anyhow::Result<Judged> {
        let [.., flaky, closed] = self.platforms.platforms.as_slice() else {
            return Err(anyhow::anyhow!("the demo needs two platforms at least"));
        };
        self.hub
            .misbehave(&flaky.url, json!({"mode": "drop_after_save", "times": 2}))
            .await?;
        self.hub
            .misbehave(&closed.url, json!({"mode": "maintenance"}))
            .await?;
        self.output.note(&format!(
            "{} 暂停服务，{} 会在保存后丢失两次回执；报送 {} 份样例 …",
            closed.title,
            flaky.title,
            samples.files.len()
        ));
        for (name, body) in &samples.files {
            let answer = self.hub.post("/v1/submissions", body.clone()).await?;
            if !matches!(answer.status, 200 | 202) {
                return Err(failure(
                    format!(
                        "{name} was answered with {}: {}",
                        answer.status,
                        answer.text()
                    ),
                    "a sample that the hub refuses is a defect of the sample or of the hub",
                ));
            }
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        let began = Instant::now();
        let mut is_closed = true;
        let judged = loop {
            let counts = self.counts().await?;
            bar.set_message(counts.clone());
            bar.tick();
            if is_closed && began.elapsed() > OUTAGE {
                bar.suspend(|| {
                    self.output
                        .note(&format!("{counts}\n{} 恢复服务 …", closed.title))
                });
                self.hub.behave(&closed.url).await?;
                is_closed = false;
            }
            let judged = self.judged(samples).await?;
            if judged.problems.is_empty() && !is_closed || began.elapsed() > PATIENCE {
                bar.finish_and_clear();
                self.output.note(&counts);
                break judged;
            }
            tokio::time::sleep(POLL).await;
        };
        Ok(judged)
    }

    async fn counts(&self) -> anyhow::Result<String> {
        let platforms = self.operator.get("/v1/platforms").await?.json()?;
        let lines = platforms["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|platform| {
                let counts: Vec<String> = platform["deliveries"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(state, count)| format!("{state} {count}"))
                    .collect();
                format!(
                    "{}: {}",
                    platform["id"].as_str().unwrap_or_default(),
                    counts.join(" ")
                )
            });
        Ok(lines.collect::<Vec<_>>().join(" | "))
    }

    async fn judged(&self, samples: &Samples) -> anyhow::Result<Judged> {
        let mut records = Vec::new();
        let mut path = "/v1/records?limit=200".to_owned();
        loop {
            let page = self.operator.get(&path).await?.json()?;
            for item in page["items"].as_array().into_iter().flatten() {
                let id = item["id"].as_str().unwrap_or_default();
                records.push(
                    self.operator
                        .get(&format!("/v1/records/{id}"))
                        .await?
                        .json()?,
                );
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/records?limit=200&cursor={cursor}"),
                None => break,
            }
        }
        records.sort_by_key(|record| record["source_id"].as_str().unwrap_or_default().to_owned());
        let mut shown = Vec::new();
        for platform in &self.platforms.platforms {
            let list = self.hub.articles(&platform.url).await?;
            shown.push((platform.id.to_owned(), list));
        }
        Ok(judge(&records, &shown, &samples.expectations))
    }

    fn show(&self, judged: &Judged) {
        let platforms: Vec<Value> = self
            .platforms
            .platforms
            .iter()
            .map(|it| json!({"id": it.id, "title": it.title, "url": it.url}))
            .collect();
        let value = json!({
            "ok": judged.problems.is_empty(), "hub": self.hub.base(), "platforms": platforms,
            "records": judged.records, "problems": judged.problems,
        });
        self.output.show(&value, || self.in_words(judged));
    }

    fn in_words(&self, judged: &Judged) -> String {
        let ids: Vec<&str> = self.platforms.platforms.iter().map(|it| it.id).collect();
        let mut rows = vec![vec!["SOURCE ID".to_owned(), "TITLE".to_owned()]];
        rows[0].extend(ids.iter().map(|id| (*id).to_owned()));
        let mut held = String::new();
        for record in &judged.records {
            let mut row = vec![record.source_id.clone(), cut(&record.title, 36)];
            row.extend(ids.iter().map(|id| record.cell(id)));
            rows.push(row);
            for hold in &record.holds {
                held.push_str(&format!(
                    "{}  {}  {}\n",
                    record.source_id,
                    hold.code.as_str(),
                    hold.detail
                ));
            }
        }
        let mut text = format!("\n{}", table(&rows));
        for platform in &self.platforms.platforms {
            text.push_str(&format!(
                "\n{}  {}  {}",
                platform.id, platform.title, platform.url
            ));
        }
        text.push_str(&format!("\n\n暂扣，未推送：\n{held}\n"));
        match judged.problems.is_empty() {
            true => text.push_str(&format!(
                "一切正常：{} 条信息，每个平台各显示一次且为最新版本。",
                judged.records.len()
            )),
            false => text.push_str(&format!("不正常：\n  {}", judged.problems.join("\n  "))),
        }
        text
    }

    fn invite(&self, url: &str, oa_key: &str, operator_key: &str) {
        self.output.note(&format!(
            "\nThe demo goes on until Ctrl-C.\n\
             hub       {url}  (description: {url}/openapi.json)\n\
             OA        Authorization: Bearer {oa_key}\n\
             operator  Authorization: Bearer {operator_key}\n\
             try       curl -s -H 'Authorization: Bearer {operator_key}' {url}/v1/platforms"
        ));
    }
}
