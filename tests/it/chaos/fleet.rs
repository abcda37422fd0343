//! The processes of the hub: three that share the work, killed and started again.

use crate::backend::{Backend, Database, blocking};
use crate::faults::World;
use crate::hub::{Hub, Process, client, project};
use crate::locked;
use crate::story::{Caller, Findings};
use rand::RngExt as _;
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What each process does.
const ROLES: [&[&str]; 3] = [&[], &[], &["--role", "deliver"]];
/// The shipped connectors wait up to ten minutes between tries; a run has not that long.
const RETRY_MAX: [&str; 2] = ["max_ms = 600000", "max_ms = 4000"];
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Fleet {
    hub: Hub,
    members: Vec<Mutex<Member>>,
    client: reqwest::Client,
    refused: AtomicUsize,
    crashed: Mutex<Vec<String>>,
    attempts: AtomicUsize,
    _connectors: tempfile::TempDir,
}

struct Member {
    process: Option<Process>,
    url: String,
    /// It was told to die by itself.
    armed: bool,
}

impl Fleet {
    pub(crate) fn start(world: &World) -> Self {
        let connectors = impatient_connectors();
        let mut environment = world.platforms.environment.clone();
        for (name, value) in [
            ("SYNCHUB__QUEUE__GRACE_MS", "2000"),
            ("SYNCHUB__DELIVER__BEAT_MS", "500"),
            ("SYNCHUB__STORE__WAIT_MS", "5000"),
            (
                "SYNCHUB__CONNECTORS__DIR",
                connectors.path().to_str().expect("a path"),
            ),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        let database = Database::on_own_server(&world.database_url());
        let backend = Backend::of(database, &world.broker_url());
        let hub = Hub::prepare(backend, &environment);
        let fleet = Self {
            members: ROLES
                .iter()
                .map(|_| {
                    Mutex::new(Member {
                        process: None,
                        url: String::new(),
                        armed: false,
                    })
                })
                .collect(),
            hub,
            client: client(),
            refused: AtomicUsize::new(0),
            crashed: Mutex::default(),
            attempts: AtomicUsize::new(0),
            _connectors: connectors,
        };
        for number in 0..ROLES.len() {
            fleet.start_member(number, None);
        }
        fleet
    }

    pub(crate) fn queues(&self) -> Vec<String> {
        self.hub.backend().queues().0
    }

    /// Whom to call: one of the processes that take submissions in.
    pub(crate) fn caller(&self) -> Caller {
        let number = rand::rng().random_range(0..2);
        Caller {
            client: self.client.clone(),
            url: locked(&self.members[number]).url.clone(),
            oa_key: self.hub.oa_key.clone(),
            operator_key: self.hub.operator_key.clone(),
        }
    }

    pub(crate) fn note_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    /// What processes wrote that ended without being told to.
    pub(crate) fn crashed(&self) -> Vec<String> {
        locked(&self.crashed).clone()
    }

    /// How many processes there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// Ends a process as a power cut would; it may be dead already.
    pub(crate) fn kill(&self, number: usize) {
        if let Some(process) = self.take(number) {
            process.kill();
        }
    }

    /// Asks a process to end, and waits for it.
    pub(crate) fn terminate(&self, number: usize) {
        // One with a failpoint may get there on its way out.
        let armed = locked(&self.members[number]).armed;
        let Some(mut process) = self.take(number) else {
            return;
        };
        process.ask_to_end();
        let status = process.wait();
        if !armed && !status.success() {
            let log = process.log();
            locked(&self.crashed).push(format!(
                "process {number} was asked to end: {status}\n{log}"
            ));
        }
    }

    fn take(&self, number: usize) -> Option<Process> {
        locked(&self.members[number]).process.take()
    }

    /// Starts a process that does not run, as a supervisor would: again until it stays up. With a
    /// failpoint it dies by itself.
    pub(crate) fn start_member(&self, number: usize, failpoint: Option<&str>) {
        let began = Instant::now();
        let variable = synchub::failpoint::VARIABLE;
        let mut environment: Vec<(&str, &str)> =
            failpoint.map(|it| (variable, it)).into_iter().collect();
        loop {
            match self.hub.try_another(ROLES[number], &environment) {
                Ok((process, url)) => {
                    let mut member = locked(&self.members[number]);
                    member.process = Some(process);
                    member.url = url;
                    member.armed = !environment.is_empty();
                    return;
                }
                // The database was away for longer than it waits, or the point came early.
                Err(log) => assert!(began.elapsed() < PATIENCE, "the hub does not start:\n{log}"),
            }
            environment.clear();
        }
    }

    /// Starts what has died again, and notes what should not have.
    pub(crate) fn supervise(&self) {
        for number in 0..self.members.len() {
            let ended = {
                let mut member = locked(&self.members[number]);
                let status = member.process.as_mut().and_then(Process::ended);
                if let Some(status) = status
                    && !member.armed
                    && let Some(process) = &member.process
                {
                    let log = process.log();
                    locked(&self.crashed).push(format!("process {number} {status}:\n{log}"));
                }
                status.is_some() && member.process.take().is_some()
            };
            if ended {
                self.start_member(number, None);
            }
        }
    }

    /// Waits until nothing is on its way; failures are sent again as an operator would. Returns
    /// how many those were; `None` when it does not come to an end.
    pub(crate) async fn settle(&self, most: Duration) -> Option<usize> {
        let began = Instant::now();
        let mut by_hand = 0;
        while began.elapsed() < most {
            let (open, failed) = self.open_and_failed().await;
            if open == 0 && failed == 0 {
                self.count_attempts();
                return Some(by_hand);
            }
            if failed > 0 {
                by_hand += failed;
                let filter = json!({"state": "failed"});
                let look = json!({"filter": filter, "dry_run": true});
                let (status, seen) = self.post("/v1/replays", &look).await;
                assert_eq!(status, 200, "{seen:#}");
                let hash = &seen["selection_hash"];
                let body = json!({"filter": filter, "selection_hash": hash,
                    "stop_percent": 100, "reason": "演练结束"});
                let (status, answer) = self.post("/v1/replays", &body).await;
                // What failed is in the hands of the replay before, or was another a moment ago.
                assert!(
                    matches!(status, 200 | 202 | 400 | 409),
                    "{status} {answer:#}"
                );
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let (open, failed) = self.open_and_failed().await;
        eprintln!("chaos: still {open} open and {failed} failed");
        None
    }

    async fn open_and_failed(&self) -> (usize, usize) {
        let url = self.caller().url;
        let answer = self
            .client
            .get(format!("{url}/v1/platforms"))
            .bearer_auth(&self.hub.operator_key)
            .send()
            .await
            .expect("a mended hub answers");
        let list: Value =
            serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        let items = list["items"].as_array().expect("a list");
        let count = |states: &[&str]| -> u64 {
            items
                .iter()
                .flat_map(|item| {
                    states
                        .iter()
                        .filter_map(|state| item["deliveries"][state].as_u64())
                })
                .sum()
        };
        let open = count(&["held", "queued", "sending", "retrying"]);
        (open as usize, count(&["failed"]) as usize)
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self
            .client
            .post(format!("{}{path}", self.caller().url))
            .bearer_auth(&self.hub.operator_key)
            .body(body.to_string())
            .send()
            .await
            .expect("a mended hub answers");
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn count_attempts(&self) {
        let url = self.hub.backend().database().url();
        let count = blocking(async move {
            let mut connection = sqlx::PgConnection::connect(&url).await.expect("it answers");
            let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM attempts")
                .fetch_one(&mut connection)
                .await
                .expect("a table");
            usize::try_from(count).expect("no less than none")
        });
        self.attempts.store(count, Ordering::Relaxed);
    }

    /// Tells what happened to the first of what was found.
    pub(crate) fn explain(&self, findings: &Findings) {
        let lists = [
            &findings.lost,
            &findings.doubled,
            &findings.stale,
            &findings.left_over,
        ];
        for found in lists.into_iter().flatten().take(5) {
            let source_id = found.split_whitespace().next().unwrap_or_default();
            let trace = self.hub.cli(&["trace", source_id]);
            eprintln!("-- {found}\n{}", String::from_utf8_lossy(&trace.stdout));
        }
    }
}

/// Copies the shipped connectors, with shorter waits between tries.
fn impatient_connectors() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&project().join("connectors"), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            std::fs::create_dir(&target).expect("made");
            copy(&path, &target);
        } else if path.ends_with("connector.toml") {
            let text = std::fs::read_to_string(&path).expect("readable");
            assert!(text.contains(RETRY_MAX[0]), "{}", path.display());
            std::fs::write(&target, text.replace(RETRY_MAX[0], RETRY_MAX[1])).expect("written");
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}
