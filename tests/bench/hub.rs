//! A hub and its receivers as processes, with connectors to the receivers made for the run.

use crate::machine::{cpu_ms, cpu_ms_of_children, memory_peak_mib};
use crate::receiver::RECEIVERS;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What the hub runs on.
#[derive(Debug, Clone)]
pub(crate) struct HubOptions {
    pub(crate) store: String,
    pub(crate) queue: String,
    pub(crate) store_pid: Option<u32>,
    pub(crate) queue_pid: Option<u32>,
}

pub(crate) struct Hub {
    options: HubOptions,
    process: Child,
    receivers: Child,
    pub(crate) ports: Vec<u16>,
    pub(crate) address: String,
    pub(crate) key: String,
    /// Address of the store.
    pub(crate) store: String,
    _folder: tempfile::TempDir,
}

/// CPU milliseconds used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) hub: u64,
    pub(crate) store: u64,
    pub(crate) queue: u64,
    /// The load generator and the receivers.
    pub(crate) rest: u64,
}

impl Usage {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            hub: self.hub - before.hub,
            store: self.store.saturating_sub(before.store),
            queue: self.queue.saturating_sub(before.queue),
            rest: self.rest - before.rest,
        }
    }
}

const MANIFEST: &str = r#"
[connector]
name = "receiver"
version = 1
takes = "true"
base_url = "http://127.0.0.1:PORT"
[identity]
mode = "client_id"
[limits]
rate_per_s = 1000000
concurrency = 32
[[operations.publish.steps]]
name = "article"
method = "PUT"
path = "/put/{{ record.source_id }}"
body = "json"
template = "article.json.j2"
[[classify.body]]
when = "json.code == 0"
verdict = "ok"
[[classify.status]]
status = "5xx"
verdict = "retry"
"#;

const TEMPLATE: &str = r#"{"key": {{ record.id }}, "version": {{ record.version }}, "index": {{ record.index_no }},
 "title": {{ record.title }}, "unit": {{ record.unit.name }}, "date": {{ record.written_on }}, "html": {{ record.body.html }}}"#;

impl Hub {
    pub(crate) async fn start(options: &HubOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut receivers = Command::new(std::env::current_exe().expect("this program"))
            .arg("--receive")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receivers start");
        let line = first_line(receivers.stdout.take().expect("piped"));
        let ports: Vec<u16> = line
            .split_whitespace()
            .map(|it| it.parse().expect("a port"))
            .collect();
        assert_eq!(ports.len(), RECEIVERS);
        for (number, port) in ports.iter().enumerate() {
            connector(&folder.path().join(format!("receiver-{number}")), *port);
        }
        let store = match options.store.as_str() {
            "sqlite" => format!("sqlite://{}", folder.path().join("hub.db").display()),
            url => url.to_owned(),
        };
        let command = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_synchub"));
            command
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .env("SYNCHUB__STORE__URL", &store)
                .env("SYNCHUB__ATTACHMENTS__URL", folder.path().join("files"))
                .env("SYNCHUB__QUEUE__URL", &options.queue)
                .env("SYNCHUB__HTTP__LISTEN", "127.0.0.1:0")
                .env("SYNCHUB__CONNECTORS__DIR", folder.path())
                .env("SYNCHUB__LOG__LEVEL", "synchub=info")
                // As deploy/RUNBOOK.md recommends.
                .env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
            command
        };
        let name = format!("bench-{}", std::process::id());
        let made = command()
            .args(["account", "add", &name, "--source", "bench"])
            .output()
            .expect("runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let key = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        let mut process = command()
            .arg("serve")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the hub starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            assert_ne!(
                lines.read_line(&mut line).expect("readable"),
                0,
                "the hub ended"
            );
            // Fields of the log line follow the address.
            if let Some((_, address)) = line.split_once("listens on http://") {
                break address
                    .split_whitespace()
                    .next()
                    .expect("an address")
                    .to_owned();
            }
        };
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let _ = writeln!(std::io::stderr(), "hub: {line}");
            }
        });
        Self {
            options: options.clone(),
            process,
            receivers,
            ports,
            address,
            key,
            store,
            _folder: folder,
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            hub: cpu_ms(self.process.id()),
            store: self.options.store_pid.map_or(0, cpu_ms_of_children),
            queue: self.options.queue_pid.map_or(0, cpu_ms_of_children),
            rest: cpu_ms(std::process::id()) + cpu_ms(self.receivers.id()),
        }
    }

    pub(crate) fn peak_memory_mib(&self) -> f64 {
        memory_peak_mib(self.process.id())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for child in [&mut self.process, &mut self.receivers] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn first_line(stdout: std::process::ChildStdout) -> String {
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("readable");
    line
}

fn connector(dir: &Path, port: u16) {
    std::fs::create_dir_all(dir.join("templates")).expect("a folder");
    std::fs::write(
        dir.join("connector.toml"),
        MANIFEST.replace("PORT", &port.to_string()),
    )
    .expect("written");
    std::fs::write(dir.join("templates/article.json.j2"), TEMPLATE).expect("written");
}
