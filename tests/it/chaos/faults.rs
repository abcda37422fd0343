//! What fails: each kind of fault is a task of its own, and they meet by chance.

use crate::backend::{administer, blocking};
use crate::fleet::Fleet;
use crate::hub::{ALL, Platforms};
use crate::locked;
use crate::servers::postgres::Postgres;
use crate::servers::rabbitmq::{RabbitMq, delete, purge};
use rand::RngExt as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use synchub::failpoint::Point;

const TERMINATE: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE application_name = 'synchub'";
const MODES: [&str; 9] = [
    "error_500",
    "too_many",
    "slow",
    "drop_after_save",
    "garbage",
    "garbage_unsaved",
    "truncated",
    "expired_session",
    "maintenance",
];

/// What the hub lives on.
pub(crate) struct World {
    pub(crate) platforms: Platforms,
    database: Arc<Mutex<Postgres>>,
    broker: Arc<Mutex<RabbitMq>>,
}

impl World {
    pub(crate) fn start() -> Self {
        Self {
            platforms: Platforms::start(&["--review-ms", "50", "--session-ttl-ms", "20000"]),
            database: Arc::new(Mutex::new(Postgres::start_new())),
            broker: Arc::new(Mutex::new(RabbitMq::start_new())),
        }
    }

    pub(crate) fn database_url(&self) -> String {
        locked(&self.database).url()
    }

    pub(crate) fn broker_url(&self) -> String {
        locked(&self.broker).url()
    }
}

/// How often each fault was made.
pub(crate) type Counts = BTreeMap<String, usize>;

#[derive(Clone)]
struct Rage {
    until: Instant,
    counts: Arc<Mutex<Counts>>,
}

impl Rage {
    fn note(&self, fault: &str) {
        *locked(&self.counts).entry(fault.to_owned()).or_default() += 1;
    }

    /// Sleeps between `least` and `most` seconds; returns whether it goes on.
    async fn pause(&self, least: f64, most: f64) -> bool {
        let pause = Duration::from_secs_f64(rand::rng().random_range(least..most));
        let left = self.until.saturating_duration_since(Instant::now());
        tokio::time::sleep(pause.min(left)).await;
        Instant::now() < self.until
    }
}

/// Breaks things until `until`, and mends them all. Returns how often what was done.
pub(crate) async fn rage(
    world: &mut World,
    fleet: &Arc<Fleet>,
    until: Instant,
    progress: Duration,
) -> Counts {
    let rage = Rage {
        until,
        counts: Arc::default(),
    };
    let database = tokio::spawn(break_database(rage.clone(), Arc::clone(&world.database)));
    let broker = tokio::spawn(break_broker(
        rage.clone(),
        Arc::clone(&world.broker),
        fleet.queues(),
    ));
    let hub = tokio::spawn(break_hub(rage.clone(), Arc::clone(fleet)));
    let telling = tokio::spawn(tell(rage.clone(), progress));
    break_platforms(&rage, &world.platforms).await;
    for task in [database, broker, hub, telling] {
        task.await.expect("no panic while breaking things");
    }
    tokio::task::block_in_place(|| fleet.supervise());
    locked(&rage.counts).clone()
}

async fn tell(rage: Rage, every: Duration) {
    let began = Instant::now();
    let every = every.as_secs_f64();
    while rage.pause(every, every + 0.001).await {
        let faults: usize = locked(&rage.counts).values().sum();
        let minutes = began.elapsed().as_secs() / 60;
        eprintln!("chaos: {minutes} min, {faults} faults");
    }
}

async fn break_hub(rage: Rage, fleet: Arc<Fleet>) {
    while rage.pause(0.5, 4.0).await {
        let number = rand::rng().random_range(0..fleet.size());
        let choice = rand::rng().random_range(0..10);
        let point = Point::ALL[rand::rng().random_range(0..Point::ALL.len())];
        let wish = format!("{}:{}", point.name(), rand::rng().random_range(1..20));
        tokio::task::block_in_place(|| {
            fleet.supervise();
            match choice {
                0 => {
                    rage.note("hub: asked to end");
                    fleet.terminate(number);
                    fleet.start_member(number, None);
                }
                1..=5 => {
                    rage.note("hub: killed");
                    fleet.kill(number);
                    fleet.start_member(number, None);
                }
                _ => {
                    rage.note("hub: killed, then dies at a failpoint");
                    fleet.kill(number);
                    fleet.start_member(number, Some(&wish));
                }
            }
        });
    }
    // None of them may still be told to die.
    for number in 0..fleet.size() {
        tokio::task::block_in_place(|| {
            fleet.supervise();
            fleet.terminate(number);
            fleet.start_member(number, None);
        });
    }
}

async fn break_database(rage: Rage, database: Arc<Mutex<Postgres>>) {
    while rage.pause(3.0, 15.0).await {
        let choice = rand::rng().random_range(0..10);
        let away = Duration::from_secs_f64(rand::rng().random_range(0.2..6.0));
        tokio::task::block_in_place(|| {
            let mut database = locked(&database);
            match choice {
                0..=4 => {
                    rage.note("database: connections terminated");
                    administer(&database.url(), TERMINATE);
                }
                5..=7 => {
                    rage.note("database: stopped");
                    database.stop();
                    std::thread::sleep(away);
                    database.start();
                }
                _ => {
                    rage.note("database: killed");
                    database.kill();
                    std::thread::sleep(away);
                    database.start();
                }
            }
        });
    }
}

async fn break_broker(rage: Rage, broker: Arc<Mutex<RabbitMq>>, queues: Vec<String>) {
    while rage.pause(5.0, 20.0).await {
        let choice = rand::rng().random_range(0..4);
        let away = Duration::from_secs_f64(rand::rng().random_range(0.2..6.0));
        let queues = queues.clone();
        tokio::task::block_in_place(|| {
            let mut broker = locked(&broker);
            let url = broker.url();
            match choice {
                0 => {
                    rage.note("broker: queues purged");
                    blocking(async move { purge(&url, &queues).await });
                }
                1 => {
                    rage.note("broker: queues deleted");
                    blocking(async move { delete(&url, &queues).await });
                }
                2 => {
                    rage.note("broker: stopped");
                    broker.stop();
                    std::thread::sleep(away);
                    broker.start();
                }
                _ => {
                    rage.note("broker: killed");
                    broker.kill();
                    std::thread::sleep(away);
                    broker.start();
                }
            }
        });
    }
}

async fn break_platforms(rage: &Rage, platforms: &Platforms) {
    while rage.pause(0.2, 2.0).await {
        let platform = ALL[rand::rng().random_range(0..ALL.len())];
        let mode = MODES[rand::rng().random_range(0..MODES.len())];
        let times = rand::rng().random_range(1..8);
        let ms = rand::rng().random_range(50..4_000);
        rage.note(&format!("platform: {mode}"));
        let how = json!({"mode": mode, "times": times, "ms": ms});
        platforms.misbehave(platform, how).await;
    }
    for platform in ALL {
        platforms.behave(platform).await;
    }
}
