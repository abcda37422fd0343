//! `import FILE`: a whole sheet or file of rows, each as if the OA had posted it.

use super::hint::{Hint as _, failure};
use super::hub;
use super::output::{Output, cut};
use crate::config::Settings;
use crate::connector::References;
use crate::import::{File, ImportError, Importer, Journal, Options, Outcome, SheetHeader, Tally};
use crate::intake::{Intake, Labels};
use crate::store::Account;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::mpsc;

/// Chunks that are read ahead.
const CHUNKS_AHEAD: usize = 2;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// .xlsx, .xls, .csv (UTF-8, GBK or GB 18030) or .ndjson, with a row of Chinese labels
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The source system these rows come from
    #[arg(long, default_value = "import")]
    source: String,
    /// Sheet of a workbook; may be given several times
    #[arg(long, value_name = "NAME")]
    sheet: Vec<String>,
    /// Say what would become of each row, store nothing
    #[arg(long)]
    dry_run: bool,
    /// Let rows that say something else than their stored record correct it
    #[arg(long)]
    correct: bool,
    /// Where to tell of each row, .csv or .ndjson [default: FILE.report.csv, with --dry-run
    /// FILE.dry-run.csv]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl ImportArgs {
    fn report(&self) -> PathBuf {
        self.report.clone().unwrap_or_else(|| {
            let mut name = self.file.as_os_str().to_owned();
            name.push(if self.dry_run {
                ".dry-run.csv"
            } else {
                ".report.csv"
            });
            PathBuf::from(name)
        })
    }

    /// Names the run: the same file with the same choices goes on where it was stopped.
    fn run_name(&self, file: &File) -> String {
        let choices = json!([
            file.sha256(),
            self.source,
            self.sheet,
            self.correct,
            self.dry_run
        ]);
        let digest = Sha256::digest(choices.to_string());
        hex::encode(&digest[..6])
    }
}

/// Takes a file in. Whoever may read the database may do this; no key is asked. Exit code 1 when a
/// row was rejected.
pub(super) async fn import(
    settings: &Settings,
    args: ImportArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let labels = Labels::load(&settings.connectors.profiles).hint(
        "connectors.profiles names the folder with labels.toml; run from the project's folder or set SYNCHUB__CONNECTORS__PROFILES",
    )?;
    let file = File::open(&args.file, &labels, &args.sheet).map_err(hinted)?;
    let headers = file.headers();
    for header in headers.iter().filter(|it| !it.ignored.is_empty()) {
        output.note(&ignored(header));
    }
    let report = args.report();
    let mut journal = Journal::open(&report, &args.run_name(&file)).map_err(hinted)?;
    if !journal.others().is_empty() {
        output.note("The file or a choice has changed since an import of it was stopped: it begins at the first row. Rows that were taken in are recognised.");
    }
    let store = hub::open_store(settings).await?;
    let intake = hub::intake(settings, &store, &References::default())?;
    let ended = take_in(&args, file, &headers, &intake, &mut journal, output).await;
    intake.queue.close().await;
    store.close().await;
    ended.map_err(hinted)?;
    let tally = journal.finish().map_err(hinted)?;
    tell(&args, &report, &headers, &tally, output);
    Ok(match tally.count(Outcome::Rejected) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn take_in(
    args: &ImportArgs,
    file: File,
    headers: &[SheetHeader],
    intake: &Intake,
    journal: &mut Journal,
    output: &Output,
) -> Result<(), ImportError> {
    let options = Options {
        source: args.source.clone(),
        correct: args.correct,
        dry_run: args.dry_run,
    };
    let sheets = headers.iter().map(|header| header.sheet.clone()).collect();
    let mut importer = Importer::new(intake, account(&args.source), options, sheets);
    if args.dry_run {
        journal.clear()?;
    }
    let done_before = journal.replay(|report| importer.remember(report))?;
    if done_before > 0 {
        output.note(&format!(
            "Going on where the last run stopped: {done_before} rows are done."
        ));
    }
    let bar = bar(file.total());
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        file.read(done_before, &mut |chunk| {
            sender.blocking_send(chunk).is_ok()
        })
    });
    let mut rows = done_before;
    let taken_in = importer
        .run(&mut chunks, |reports, done| {
            rows += reports.len() as u64;
            bar.set_position(done);
            bar.set_message(format!("{rows} rows"));
            journal.tell(reports)
        })
        .await;
    // The reader waits for room; without the channel it ends.
    drop(chunks);
    bar.finish_and_clear();
    let read = reader.await.map_err(|error| ImportError::Workbook {
        reason: error.to_string(),
    })?;
    taken_in?;
    let ignored = read?;
    if !ignored.is_empty() {
        output.note(&format!("Not looked at: {}", ignored.join("、")));
    }
    Ok(())
}

fn account(source: &str) -> Account {
    Account {
        id: "cli".to_owned(),
        name: "cli".to_owned(),
        source: source.to_owned(),
        units: vec!["*".to_owned()],
        operator: true,
        created_at: 0,
        revoked_at: None,
    }
}

fn bar(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg} {elapsed}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn ignored(header: &SheetHeader) -> String {
    let place = match &header.sheet {
        Some(sheet) => format!("“{sheet}”"),
        None => "the header".to_owned(),
    };
    format!(
        "Columns of {place} that are not looked at: {}",
        header.ignored.join("、")
    )
}

fn tell(args: &ImportArgs, report: &Path, headers: &[SheetHeader], tally: &Tally, output: &Output) {
    let counts: serde_json::Map<String, serde_json::Value> = Outcome::ALL
        .iter()
        .map(|outcome| (outcome.as_str().to_owned(), tally.count(*outcome).into()))
        .collect();
    let tables: Vec<_> = headers
        .iter()
        .map(|it| json!({"sheet": it.sheet, "header_row": it.row, "ignored": it.ignored}))
        .collect();
    let value = json!({
        "file": args.file, "dry_run": args.dry_run, "tables": tables, "rows": tally.rows(),
        "outcomes": counts, "report": report,
    });
    output.show(&value, || {
        let mut lines: Vec<String> = tally.troubles.iter().map(in_line).collect();
        let troubles: u64 = [Outcome::Held, Outcome::Duplicate, Outcome::Rejected]
            .iter()
            .map(|outcome| tally.count(*outcome))
            .sum();
        let untold = troubles - tally.troubles.len() as u64;
        if untold > 0 {
            lines.push(format!("… and {untold} more"));
        }
        let counts: Vec<String> = Outcome::ALL
            .iter()
            .filter(|outcome| tally.count(**outcome) > 0)
            .map(|outcome| format!("{} {}", tally.count(*outcome), outcome.as_str()))
            .collect();
        let verb = if args.dry_run { " would be" } else { "" };
        lines.push(format!(
            "{} rows{verb}: {}. Each row: {}",
            tally.rows(),
            counts.join(", "),
            report.display()
        ));
        lines.join("\n")
    });
    if !args.dry_run {
        output.note("A running `synchub serve` on the same store sends what was taken in.");
    }
}

fn in_line(report: &crate::import::RowReport) -> String {
    const DETAIL_COLUMNS: usize = 90;
    let sheet = report.sheet.as_deref().unwrap_or_default();
    let place = format!("{sheet} row {}", report.row);
    format!(
        "{}: {} {} {}",
        place.trim_start(),
        report.outcome.as_str(),
        report.code,
        cut(&report.detail, DETAIL_COLUMNS)
    )
}

fn hinted(error: ImportError) -> anyhow::Error {
    let hint = match &error {
        ImportError::Read { .. } | ImportError::Kind { .. } => {
            "name a file with a row of labels such as 标题、发布机构、成文日期、公开方式、正文"
        }
        ImportError::Charset { .. } => "save it as CSV UTF-8",
        ImportError::Workbook { .. } => "open it, save it again as .xlsx, or save the sheet as CSV",
        ImportError::TooLarge { .. } => "divide the file; what was taken in is recognised",
        ImportError::NoHeader { .. } => {
            "name the columns as in labels.toml of connectors.profiles, or add your names there"
        }
        ImportError::TwoColumns { .. } => "remove or rename one of them",
        ImportError::NoSheet { .. } | ImportError::SeveralSheets { .. } => {
            "say which with --sheet NAME; it may be given several times"
        }
        ImportError::Journal { .. } => "wait for the other import, or name another --report",
        ImportError::Store(_) => "run it again when the store answers: it goes on where it stopped",
    };
    failure(error.to_string(), hint)
}
