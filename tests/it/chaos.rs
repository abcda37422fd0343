//! Chaos: callers and operators work while hub, broker, database and platforms fail at random.
//!
//! `tests/chaos --minutes 20` runs it. Real processes throughout: three of the hub on one
//! PostgreSQL and one RabbitMQ, both owned by this run, and the practice platforms. Each kind of
//! fault has a task of its own, so that they meet. Then everything is mended, the hub works off
//! what waits, and the platforms are held against what the callers were promised. The exit code
//! is 0 when nothing was lost, doubled, left old or left over.

#[allow(dead_code, reason = "shared with the integration tests")]
mod backend;
#[allow(dead_code, reason = "shared with the integration tests")]
mod hub;
#[allow(dead_code, reason = "shared with the integration tests")]
mod servers;
#[allow(dead_code, reason = "shared with the integration tests")]
mod story;

#[path = "chaos/faults.rs"]
mod faults;
#[path = "chaos/figures.rs"]
mod figures;
#[path = "chaos/fleet.rs"]
mod fleet;

use clap::Parser;
use figures::Figures;
use fleet::Fleet;
use rand::RngExt as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use story::{Story, audit};
use tokio_util::sync::CancellationToken;

/// Between two acts of one caller.
const PAUSE: Duration = Duration::from_millis(150);
const PROGRESS: Duration = Duration::from_secs(60);
/// How long the hub may take to work off what waits when everything works again.
const DRAIN_MAX: Duration = Duration::from_secs(900);

/// Works while everything fails at random, then says what was lost.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long faults go on
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Callers at once
    #[arg(long, default_value_t = 4)]
    callers: usize,
    /// What the acts of the callers are drawn from [default: drawn]
    #[arg(long)]
    seed: Option<u64>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let figures = runtime.block_on(run(&arguments));
    figures.print(arguments.json);
    match figures.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn run(arguments: &Arguments) -> Figures {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    eprintln!("chaos: seed {seed}; servers start");
    let mut world = tokio::task::block_in_place(faults::World::start);
    let fleet = Arc::new(tokio::task::block_in_place(|| Fleet::start(&world)));
    let began = Instant::now();
    let enough = CancellationToken::new();
    let callers: Vec<_> = (0..arguments.callers)
        .map(|number| {
            let story = Story::new(&format!("c{number}"), seed.wrapping_add(number as u64));
            tokio::spawn(work(story, Arc::clone(&fleet), enough.clone()))
        })
        .collect();
    let until = began + Duration::from_secs_f64(arguments.minutes * 60.0);
    let counts = faults::rage(&mut world, &fleet, until, PROGRESS).await;
    eprintln!("chaos: everything is mended; the hub works off what waits");
    enough.cancel();
    let mut stories = Vec::new();
    for caller in callers {
        stories.push(caller.await.expect("no panic in a caller"));
    }
    let replayed = fleet.settle(DRAIN_MAX).await;
    let told: Vec<&Story> = stories.iter().collect();
    let findings = audit(&told, &world.platforms).await;
    fleet.explain(&findings);
    Figures {
        seed,
        minutes: arguments.minutes,
        took_s: began.elapsed().as_secs(),
        entries: stories.iter().map(Story::entries).sum(),
        acts: figures::sum(stories.iter().map(|story| &story.acts)),
        faults: counts,
        refused: fleet.refused(),
        attempts: fleet.attempts(),
        by_hand: replayed.unwrap_or_default(),
        unsettled: replayed.is_none(),
        crashed: fleet.crashed(),
        findings,
    }
}

/// One caller: acts until it is enough, then until everything has its answer.
async fn work(mut story: Story, fleet: Arc<Fleet>, enough: CancellationToken) -> Story {
    while !enough.is_cancelled() {
        if story.go_on(&fleet.caller()).await.is_err() {
            fleet.note_refusal();
        }
        let pause = PAUSE.mul_f64(rand::rng().random_range(0.2..2.0));
        tokio::time::sleep(pause).await;
    }
    while story.finish(&fleet.caller()).await.is_err() {
        fleet.note_refusal();
        tokio::time::sleep(PAUSE).await;
    }
    story
}

/// Locks what no panic can leave half done.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
