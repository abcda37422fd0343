//! `replay` and `replays`: send again, and keep a hand on it.

use super::hint::failure;
use super::hub;
use super::operations::{actor, named};
use super::output::{Output, cut, table};
use crate::clock::rfc3339;
use crate::config::Settings;
use crate::record::ReplayId;
use crate::replay::{
    FilterRequest, Preview, ReplayError, ReplayRequest, Replayed, replay as send_again,
};
use crate::store::{Replay, ReplaySwitch, ReplayWay, Store};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::process::ExitCode;

/// How many replays a list shows.
const LISTED: i64 = 20;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Deliveries by id
    #[arg(long, value_name = "ID")]
    delivery: Vec<String>,
    /// A failure group
    #[arg(long)]
    group: Option<String>,
    /// A record, by its id or the id that the OA uses
    #[arg(long)]
    record: Option<String>,
    /// A platform
    #[arg(long)]
    platform: Option<String>,
    /// States of a delivery, separated by commas [default: failed; any when a record or
    /// deliveries are named; delivered,confirmed for --way refill, and failed for --way move]
    #[arg(long)]
    state: Option<String>,
    /// Code or name of a unit
    #[arg(long)]
    unit: Option<String>,
    /// Key or name of an area
    #[arg(long)]
    area: Option<String>,
    /// Failed (or last changed) at or after (RFC 3339 or a date)
    #[arg(long)]
    from: Option<String>,
    /// Failed (or last changed) before (RFC 3339 or a date)
    #[arg(long)]
    to: Option<String>,
    /// How to send again
    #[arg(long, value_enum, default_value_t = Way::Current)]
    way: Way,
    /// Deliveries a second [default: as fast as the platforms bear]
    #[arg(long)]
    rate: Option<u32>,
    /// How many each stage sends; the next one begins when all of it have an outcome, then comes
    /// the rest
    #[arg(long, value_delimiter = ',', value_name = "1,10,100")]
    ramp: Vec<u32>,
    /// Stop when more than this share of what has an outcome failed again [default: 50]
    #[arg(long, value_name = "PERCENT")]
    stop_percent: Option<u32>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// Really send what the dry run showed under this hash
    #[arg(long, requires = "yes", value_name = "HASH")]
    selection: Option<String>,
    /// Really send; needs --selection
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// By where each stands: the newest version; what is shown already is read back
    Current,
    /// The same version once more, also when the platform shows it
    Identical,
    /// For a platform that lost its data: looked up, created where missing
    Refill,
    /// For a platform that moved: what its version before (PLATFORM@1) has is opened anew on the
    /// version it has now
    Move,
}

pub(super) async fn replay(
    settings: &Settings,
    args: ReplayArgs,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    let typed = typed(&args);
    let request = request(&store, args).await?;
    // A running hub finds the replay within a second and drives it.
    let replayed = send_again(&store, &hub::catalogue(settings)?, request, &actor())
        .await
        .map_err(|error| refused(error, &typed))?;
    match &replayed {
        Replayed::Preview(preview) => {
            output.show(&json!(preview), || preview_in_words(preview));
            if preview.count > 0 {
                output.note(&format!(
                    "This was a dry run. To send exactly this:\n  {typed} --yes --selection {} --reason \"…\"",
                    preview.selection_hash
                ));
            }
        }
        Replayed::Started(replay) => output.show(&json!(replay), || {
            format!(
                "Replay {}: {} deliveries are frozen; a running hub sends them.\nProgress: synchub replays show {}",
                replay.id, replay.count, replay.id
            )
        }),
        Replayed::Repeated(replay) => output.show(&json!(replay), || {
            format!(
                "Nothing happened: replay {} took exactly this already.\n{}",
                replay.id,
                in_words(replay)
            )
        }),
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn request(store: &Store, args: ReplayArgs) -> anyhow::Result<ReplayRequest> {
    let record = match &args.record {
        Some(text) => Some(named(store, text).await?.summary.id.to_string()),
        None => None,
    };
    Ok(ReplayRequest {
        filter: Some(FilterRequest {
            record,
            group: args.group,
            platform: args.platform,
            state: args.state,
            unit: args.unit,
            area: args.area,
            from: args.from,
            to: args.to,
        }),
        deliveries: (!args.delivery.is_empty()).then_some(args.delivery),
        group: None,
        way: match args.way {
            Way::Current => ReplayWay::Current,
            Way::Identical => ReplayWay::Identical,
            Way::Refill => ReplayWay::Refill,
            Way::Move => ReplayWay::Move,
        },
        dry_run: !args.yes,
        selection_hash: args.selection,
        rate: args.rate,
        ramp: args.ramp,
        stop_percent: args.stop_percent,
        reason: args.reason,
    })
}

/// Returns the command as it was typed, without what makes it real.
fn typed(args: &ReplayArgs) -> String {
    let mut words = vec!["synchub replay".to_owned()];
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let plain = value
                .chars()
                .all(|it| it.is_alphanumeric() || "-_.:+,".contains(it));
            words.push(match plain {
                true => format!("--{name} {value}"),
                false => format!("--{name} '{}'", value.replace('\'', "'\\''")),
            });
        }
    };
    for id in &args.delivery {
        add("delivery", Some(id.clone()));
    }
    add("group", args.group.clone());
    add("record", args.record.clone());
    add("platform", args.platform.clone());
    add("state", args.state.clone());
    add("unit", args.unit.clone());
    add("area", args.area.clone());
    add("from", args.from.clone());
    add("to", args.to.clone());
    let way = args.way.to_possible_value();
    add(
        "way",
        way.filter(|_| args.way != Way::Current)
            .map(|it| it.get_name().to_owned()),
    );
    add("rate", args.rate.map(|it| it.to_string()));
    let ramp: Vec<String> = args.ramp.iter().map(ToString::to_string).collect();
    add("ramp", (!ramp.is_empty()).then(|| ramp.join(",")));
    add("stop-percent", args.stop_percent.map(|it| it.to_string()));
    words.join(" ")
}

fn refused(error: ReplayError, typed: &str) -> anyhow::Error {
    let hint = match &error {
        ReplayError::Selection => {
            "choose by --delivery, --group, --record, --platform, --state, --unit, --area, --from, --to".to_owned()
        }
        ReplayError::Unseen { .. } => format!("run `{typed}` first; it says what to type"),
        ReplayError::Changed { .. } => {
            format!("run `{typed}` again; while failures keep coming, add --to TIME")
        }
        ReplayError::Empty => "`synchub failures` lists what failed, `synchub replays list` what is being sent again".to_owned(),
        ReplayError::Unit(_) | ReplayError::Area(_) => {
            "the files of connectors.catalogue list units and areas".to_owned()
        }
        ReplayError::TwoGroups
        | ReplayError::Named
        | ReplayError::State(_)
        | ReplayError::Time(_)
        | ReplayError::Rate
        | ReplayError::Ramp
        | ReplayError::Share
        | ReplayError::Refill
        | ReplayError::Move
        | ReplayError::Store(_) => "`synchub replay --help` explains each option".to_owned(),
    };
    failure(error.to_string(), hint)
}

fn preview_in_words(preview: &Preview) -> String {
    if preview.count == 0 {
        return "Nothing would be sent again: nothing fits, or it is in another replay (`synchub replays list`).".to_owned();
    }
    let mut rows = vec![["PLATFORM", "STATE", "COUNT"].map(str::to_owned).to_vec()];
    rows.extend(preview.by_platform.iter().map(|it| {
        vec![
            it.platform.clone(),
            it.state.to_owned(),
            it.count.to_string(),
        ]
    }));
    let mut text = table(&rows);
    if !preview.by_group.is_empty() {
        let mut rows = vec![["GROUP", "PLATFORM", "COUNT"].map(str::to_owned).to_vec()];
        rows.extend(
            preview
                .by_group
                .iter()
                .map(|it| vec![it.group.clone(), it.platform.clone(), it.count.to_string()]),
        );
        text.push_str(&format!("\n{}", table(&rows)));
    }
    text.push_str(&format!(
        "\n{} deliveries would be sent again; the oldest of {}, the newest of {}.\nselection {}",
        preview.count,
        preview.oldest.as_deref().unwrap_or("-"),
        preview.newest.as_deref().unwrap_or("-"),
        preview.selection_hash
    ));
    text
}

#[derive(Debug, Subcommand)]
pub(super) enum ReplaysVerb {
    /// List the newest replays
    List,
    /// Show a replay: progress by outcome, what failed again, what failed since the start
    Show {
        /// Id of the replay
        id: String,
    },
    /// List its deliveries with the outcome of each
    Items {
        /// Id of the replay
        id: String,
        /// Only those after this delivery
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// How many
        #[arg(long, default_value_t = 200)]
        limit: i64,
    },
    /// Make nothing more due; what was not tried yet goes back to what it was
    Pause(SwitchArgs),
    /// Go on, also after it stopped by itself
    Resume {
        #[command(flatten)]
        switch: SwitchArgs,
        /// Deliveries a second from now on
        #[arg(long)]
        rate: Option<u32>,
    },
    /// End it; what was not tried yet goes back to what it was
    Cancel(SwitchArgs),
}

#[derive(Debug, Args)]
pub(super) struct SwitchArgs {
    /// Id of the replay
    id: String,
    /// Why; stored and shown
    #[arg(long)]
    reason: String,
}

pub(super) async fn replays(
    settings: &Settings,
    verb: ReplaysVerb,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = hub::open_store(settings).await?;
    match verb {
        ReplaysVerb::List => list(&store, output).await?,
        ReplaysVerb::Show { id } => {
            let replay = store.replay(&ReplayId::from(id.clone())).await?;
            let replay = replay.ok_or_else(|| unknown(&id))?;
            output.show(&json!(replay), || in_words(&replay));
        }
        ReplaysVerb::Items { id, after, limit } => {
            items(&store, &id, after.as_deref(), limit, output).await?;
        }
        ReplaysVerb::Pause(args) => switch(&store, args, ReplaySwitch::Pause, output).await?,
        ReplaysVerb::Resume { rate: Some(0), .. } => {
            return Err(failure(
                "a rate of 0 never ends",
                "leave --rate out, or pause it",
            ));
        }
        ReplaysVerb::Resume {
            switch: args,
            rate: rate_per_s,
        } => switch(&store, args, ReplaySwitch::Resume { rate_per_s }, output).await?,
        ReplaysVerb::Cancel(args) => switch(&store, args, ReplaySwitch::Cancel, output).await?,
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn unknown(id: &str) -> anyhow::Error {
    failure(
        format!("there is no replay {id}"),
        "`synchub replays list` names them",
    )
}

async fn switch(
    store: &Store,
    args: SwitchArgs,
    switch: ReplaySwitch,
    output: &Output,
) -> anyhow::Result<()> {
    let id = ReplayId::from(args.id.clone());
    let switched = store
        .switch_replay(&id, switch, &args.reason, &actor())
        .await?;
    let (replay, changed) = switched.ok_or_else(|| unknown(&args.id))?;
    output.show(&json!(replay), || in_words(&replay));
    if !changed {
        output.note(&format!(
            "Nothing changed: the replay is {}.",
            replay.state.as_str()
        ));
    }
    Ok(())
}

async fn list(store: &Store, output: &Output) -> anyhow::Result<()> {
    let replays = store.list_replays(LISTED).await?;
    output.show(&json!(replays), || {
        if replays.is_empty() {
            return "No replay yet.".to_owned();
        }
        let mut rows = vec![
            ["ID", "STATE", "COUNT", "OUTCOMES", "BY", "AT", "REASON"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(replays.iter().map(|replay| {
            vec![
                replay.id.to_string(),
                replay.state.as_str().to_owned(),
                replay.count.to_string(),
                outcomes(replay),
                replay.actor.clone(),
                rfc3339(replay.created_at),
                cut(&replay.reason, 40),
            ]
        }));
        table(&rows)
    });
    Ok(())
}

async fn items(
    store: &Store,
    id: &str,
    after: Option<&str>,
    limit: i64,
    output: &Output,
) -> anyhow::Result<()> {
    let replay_id = ReplayId::from(id.to_owned());
    let items = store.replay_items(&replay_id, after, limit).await?;
    if items.is_empty() && store.replay(&replay_id).await?.is_none() {
        return Err(unknown(id));
    }
    output.show(&json!(items), || {
        let mut rows = vec![
            ["DELIVERY", "RECORD", "PLATFORM", "OUTCOME", "DETAIL"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(items.iter().map(|item| {
            vec![
                item.delivery_id.to_string(),
                item.record_id.to_string(),
                item.platform.clone(),
                item.outcome.clone(),
                item.detail.clone().unwrap_or_default(),
            ]
        }));
        table(&rows)
    });
    Ok(())
}

/// The outcomes that occur, with their numbers.
fn outcomes(replay: &Replay) -> String {
    let value = json!(replay.outcomes);
    let counts: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, count)| count.as_i64() != Some(0))
        .map(|(outcome, count)| format!("{outcome} {count}"))
        .collect();
    counts.join(", ")
}

fn in_words(replay: &Replay) -> String {
    let mut text = format!(
        "Replay {}  {}\n  by         {} at {}: {}\n  deliveries {} in all, {} made due: {}\n",
        replay.id,
        replay.state.as_str(),
        replay.actor,
        rfc3339(replay.created_at),
        replay.reason,
        replay.count,
        replay.started,
        outcomes(replay)
    );
    if let (Some(reason), Some(by)) = (&replay.state_reason, &replay.state_by) {
        text.push_str(&format!(
            "  {:<10} by {by}: {reason}\n",
            replay.state.as_str()
        ));
    }
    for skip in &replay.skipped {
        text.push_str(&format!("  skipped    {}: {}\n", skip.count, skip.reason));
    }
    for (label, failures) in [
        ("failed again", &replay.failed_again),
        ("failed since the start, not in it", &replay.new_failures),
    ] {
        if failures.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{label}:\n"));
        let rows: Vec<Vec<String>> = failures
            .iter()
            .map(|it| {
                vec![
                    format!("  {}", it.count),
                    it.platform.clone(),
                    it.group.clone(),
                    cut(&it.cause, 60),
                ]
            })
            .collect();
        text.push_str(&table(&rows));
    }
    text
}
