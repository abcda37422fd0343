//! How fast the hub is: posts entries, counts what arrives at three receivers, and sets each
//! figure beside the bare limit of this machine, measured in the same run.
//!
//!     tests/bench/run                                  # every round, with servers of its own
//!     cargo bench --bench hub                          # embedded SQLite
//!     cargo bench --bench hub -- --store postgres://… --queue amqp://…
//!
//! Hub, receivers and load generator are processes of their own. A run in which an entry is lost
//! or arrives twice is a failure. `--json FILE` writes the figures with machine and versions.

mod hub;
mod limits;
mod machine;
mod post;
mod receiver;
mod report;
mod seed;

use clap::Parser;
use hub::{Hub, HubOptions};
use report::{Measured, Report};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Clone, Parser)]
struct Options {
    /// Entries per measurement
    #[arg(long, default_value_t = 20_000)]
    entries: usize,
    /// Entries of the measurement with one sender, which is about latency
    #[arg(long, default_value_t = 2_000)]
    entries_alone: usize,
    /// Numbers of senders to measure with; `batch` is one sender of NDJSON
    #[arg(long, default_value = "1,16,64,batch")]
    senders: String,
    /// Bytes of one entry, about
    #[arg(long, default_value_t = 2_000)]
    bytes: usize,
    /// `sqlite` for a fresh file, or postgres://…/an-empty-database
    #[arg(long, default_value = "sqlite")]
    store: String,
    /// `embedded:` or amqp://…
    #[arg(long, default_value = "embedded:")]
    queue: String,
    /// Stored records to begin with: a thousand are posted, the rest are copies of their rows
    #[arg(long, default_value_t = 0)]
    stored: usize,
    /// Leave out the bare limits
    #[arg(long)]
    no_limits: bool,
    /// Process id of the database server, to measure its CPU
    #[arg(long)]
    store_pid: Option<u32>,
    /// Process id of the broker, to measure its CPU
    #[arg(long)]
    queue_pid: Option<u32>,
    /// What the broker calls itself, to be kept with the figures
    #[arg(long)]
    queue_version: Option<String>,
    /// Write the figures here
    #[arg(long)]
    json: Option<PathBuf>,
    /// Role of a child process
    #[arg(long, hide = true)]
    receive: bool,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if options.receive {
        runtime.block_on(receiver::serve());
        return ExitCode::SUCCESS;
    }
    runtime.block_on(measure(&options))
}

async fn measure(options: &Options) -> ExitCode {
    let mut report = Report::new(options);
    if !options.no_limits {
        report.limits = limits::measure(options).await;
    }
    let hub = Hub::start(&HubOptions {
        store: options.store.clone(),
        queue: options.queue.clone(),
        store_pid: options.store_pid,
        queue_pid: options.queue_pid,
    })
    .await;
    if options.stored > 0 {
        eprintln!("storing {} records beforehand …", options.stored);
        seed::seed(&hub, options.stored, options.bytes).await;
    }
    for senders in options.senders.split(',') {
        let entries = if senders == "1" {
            options.entries_alone
        } else {
            options.entries
        };
        eprintln!("{entries} entries, {senders} senders …");
        let before = hub.usage();
        let run = post::run(
            &hub,
            // Other than those of earlier runs on the same store.
            &format!("p{}-s{senders}", std::process::id()),
            senders,
            entries,
            options.bytes,
        )
        .await;
        report.runs.push(Measured::of(
            senders,
            entries,
            &run,
            &hub.usage().since(&before),
        ));
    }
    report.peak_memory_mib = hub.peak_memory_mib();
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{report}").expect("somebody reads");
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", report.json())).expect("the file is written");
    }
    match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
