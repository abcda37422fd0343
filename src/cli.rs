//! The command line: data on standard output, everything else on standard error.
//!
//! Every verb takes `--json`. Errors end with `hint:`. Verbs that act in bulk only say what they
//! would do until `--yes`.

mod accounts;
mod attachments;
mod catalogue;
mod connectors;
mod demo;
mod doctor;
mod hand;
mod hint;
mod hub;
mod import;
mod normalise;
mod operations;
mod output;
mod profile;
mod redirect;
mod replays;
mod screen;
mod serve;
mod submit;
mod verify;

use crate::config::Settings;
use clap::{Args, Parser, Subcommand};
use hint::{Hint as _, Hinted};
use output::Output;
use std::path::PathBuf;
use std::process::ExitCode;

/// 一录通 synchub: enter once in the OA, appear on every platform.
#[derive(Debug, Parser)]
#[command(name = "synchub", version, about, max_term_width = 100)]
struct Cli {
    /// Settings file [default: synchub.toml here, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the whole way: a hub, three practice platforms, sample entries, and who shows what
    Demo(demo::DemoArgs),
    /// Take submissions in and send them
    Serve(serve::ServeArgs),
    /// Run the three practice platforms alone
    Sandbox(serve::SandboxArgs),
    /// Take submission files in, as the OA would post them
    Submit(submit::SubmitArgs),
    /// Take a workbook, CSV or NDJSON of many entries in, row by row
    Import(import::ImportArgs),
    /// Say what the hub makes of single values: numbers, dates, amounts, text, whole entries
    Normalise(normalise::NormaliseArgs),
    /// Say what may not go out of files, or of everything that is public
    Screen(screen::ScreenArgs),
    /// The files of records: remove what no record refers to
    #[command(subcommand)]
    Attachments(attachments::AttachmentsVerb),
    /// Say where a record stands, why, what happens next and what to do
    Why(operations::WhyArgs),
    /// Show everything that happened to a record, in order
    Trace(operations::TraceArgs),
    /// List what needs a person, by cause
    Failures,
    /// Send deliveries again; only says which, until --yes
    Replay(replays::ReplayArgs),
    /// List, show, pause, resume and cancel replays
    #[command(subcommand)]
    Replays(replays::ReplaysVerb),
    /// Mark a delivery as done at the platform by hand
    Done(hand::DoneArgs),
    /// Give a delivery up: it is not sent, until undone or the record changes
    GiveUp(hand::DecideArgs),
    /// Take back that a delivery was done by hand or given up
    Undo(hand::DecideArgs),
    /// Say one field in other words for one platform; only shows it, until --yes
    Override(hand::OverrideArgs),
    /// List the platforms and how they stand
    Platforms,
    /// Stop sending to a platform; what is due waits
    Pause(operations::PauseArgs),
    /// Go on sending to a platform
    Resume(operations::ResumeArgs),
    /// Let a platform's new connector send; what was begun ends at its old address. Only says what
    /// would happen, until --yes
    Redirect(redirect::RedirectArgs),
    /// End the version that a platform had before its redirect; only says what is left, until --yes
    Retire(redirect::RetireArgs),
    /// Look at everything a platform shall show; send again what is missing or stale
    Verify(verify::VerifyArgs),
    /// Check, test, make and try connectors
    #[command(subcommand)]
    Connector(connectors::ConnectorVerb),
    /// Check and try source profiles: what an OA sends
    #[command(subcommand)]
    Profile(profile::ProfileVerb),
    /// Check and show the registry: units, areas, columns, deadlines, working days
    #[command(subcommand)]
    Catalogue(catalogue::CatalogueVerb),
    /// Bring the database schema up to date
    Migrate(MigrateArgs),
    /// Check settings, connectors, catalogue and database
    Doctor,
    /// Who may post: accounts and their keys
    #[command(subcommand)]
    Account(accounts::AccountVerb),
}

#[derive(Debug, Args)]
struct MigrateArgs {
    /// Only say what would happen; exit 1 when something would
    #[arg(long)]
    check: bool,
}

/// Runs the command line of the process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&anyhow::Error::new(error)),
    };
    match runtime.block_on(carry_out(cli, &output)) {
        Ok(code) => code,
        Err(error) => output.fail(&error),
    }
}

async fn carry_out(cli: Cli, output: &Output) -> anyhow::Result<ExitCode> {
    crate::failpoint::arm()
        .hint("unset SYNCHUB_FAILPOINT: it is for tests that end the process")?;
    let settings = Settings::load(cli.config.as_deref()).hint(
        "deploy/synchub.example.toml lists every key; the environment is SYNCHUB__SECTION__KEY",
    )?;
    match cli.verb {
        Verb::Demo(args) => demo::demo(settings, args, output).await,
        Verb::Serve(args) => serve::serve(settings, args).await,
        Verb::Sandbox(args) => serve::sandbox(args, output).await,
        Verb::Submit(args) => submit::submit(&settings, args, output).await,
        Verb::Import(args) => import::import(&settings, args, output).await,
        Verb::Normalise(args) => normalise::normalise(&settings, args, output),
        Verb::Screen(args) => screen::screen(&settings, args, output).await,
        Verb::Attachments(verb) => attachments::attachments(&settings, verb, output).await,
        Verb::Why(args) => operations::why(&settings, args, output).await,
        Verb::Trace(args) => operations::trace(&settings, args, output).await,
        Verb::Failures => operations::failures(&settings, output).await,
        Verb::Replay(args) => replays::replay(&settings, args, output).await,
        Verb::Done(args) => hand::done(&settings, args, output).await,
        Verb::GiveUp(args) => hand::give_up(&settings, args, output).await,
        Verb::Undo(args) => hand::undo(&settings, args, output).await,
        Verb::Override(args) => hand::override_one(&settings, args, output).await,
        Verb::Replays(verb) => replays::replays(&settings, verb, output).await,
        Verb::Platforms => operations::platforms(&settings, output).await,
        Verb::Pause(args) => operations::pause(&settings, args, output).await,
        Verb::Resume(args) => operations::resume(&settings, args, output).await,
        Verb::Redirect(args) => redirect::redirect_one(&settings, args, output).await,
        Verb::Retire(args) => redirect::retire_one(&settings, args, output).await,
        Verb::Verify(args) => verify::verify(&settings, args, output).await,
        Verb::Connector(verb) => connectors::connector(&settings, verb, output).await,
        Verb::Profile(verb) => profile::profile(&settings, verb, output),
        Verb::Catalogue(verb) => catalogue::catalogue(&settings, verb, output).await,
        Verb::Migrate(args) => migrate(&settings, args, output).await,
        Verb::Doctor => doctor::doctor(&settings, output).await,
        Verb::Account(verb) => accounts::account(&settings, verb, output).await,
    }
}

async fn migrate(
    settings: &Settings,
    args: MigrateArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    const NEWER: &str = "install the release that made this schema, or a later one";
    let store = hub::open_unmigrated(settings).await?;
    let before = store.migration_state().await.hint(NEWER)?;
    if !args.check {
        store.migrate().await.hint(
            "nothing of the failed step was kept; see the message, and run `synchub migrate` again",
        )?;
    }
    let after = store.migration_state().await?;
    store.close().await;
    let pending = after.newest - after.current;
    output.show(
        &serde_json::json!({"before": before.current, "now": after.current, "newest": after.newest, "pending": after.pending()}),
        || match (args.check, pending, before.current == after.current) {
            (true, 0, _) => format!("schema {} is the newest; nothing to do", after.current),
            (true, _, _) => format!(
                "schema {} → {}: `synchub migrate` would apply {}",
                after.current,
                after.newest,
                after.pending().join(", ")
            ),
            (false, _, true) => format!("schema {} was the newest already", after.current),
            (false, _, false) => format!("schema {} → {}", before.current, after.current),
        },
    );
    Ok(if pending == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Output {
    /// Prints an error with its hint and returns the exit code.
    fn fail(&self, error: &anyhow::Error) -> ExitCode {
        let hint = error
            .downcast_ref::<Hinted>()
            .map(|hinted| hinted.hint.as_str());
        self.error(&format!("{error:#}"), hint);
        ExitCode::FAILURE
    }
}
