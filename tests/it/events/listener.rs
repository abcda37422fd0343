//! The independent listener: a Python process with `pika`, which is installed into the folder of
//! built things on first use.

use crate::hub::{PATIENCE, project};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

const PIKA: &str = "pika==1.3.2";

/// One message as the listener got it.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) key: String,
    pub(super) content_type: String,
    pub(super) delivery_mode: i64,
    pub(super) message_id: String,
    pub(super) type_: String,
    pub(super) event: Value,
}

impl Heard {
    /// The last word of the routing key.
    pub(super) fn kind(&self) -> &str {
        self.key.rsplit('.').next().expect("a word")
    }

    pub(super) fn sequence(&self) -> i64 {
        let text = self.event["sequence"].as_str().expect("text");
        assert_eq!(text.len(), 20, "sorts as text, too");
        text.parse().expect("a number")
    }

    fn from_line(line: &Value) -> Self {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        Self {
            key: text("key"),
            content_type: text("content_type"),
            delivery_mode: line["delivery_mode"].as_i64().unwrap_or_default(),
            message_id: text("message_id"),
            type_: text("type"),
            event: line["event"].clone(),
        }
    }
}

/// A process that listens until the test ends.
pub(super) struct Listener {
    process: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Listener {
    /// Returns when it listens.
    pub(super) fn start(url: &str, exchange: &str, keys: &[&str]) -> Self {
        let mut process = python()
            .arg(project().join("tests/it/events_listener.py"))
            .args([url, exchange])
            .args(keys)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(first.contains("listening"), "the listener did not start");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).expect("a line of JSON");
                let mut kept = kept.lock().expect("no panic while holding it");
                kept.push(Heard::from_line(&line));
            }
        });
        Self { process, heard }
    }

    /// Everything so far, in the order of arrival.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard
            .lock()
            .expect("no panic while holding it")
            .clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The broker to listen at.
pub(super) fn broker_url() -> String {
    std::env::var("SYNCHUB_TEST_AMQP_URL")
        .ok()
        .filter(|url| !url.is_empty())
        .expect(
            "SYNCHUB_TEST_AMQP_URL is not set; `tests/run rabbitmq` starts a broker and sets it",
        )
}

/// Removes what a test has left on the broker.
pub(super) fn delete_exchange(name: &str) {
    let text = "import pika, sys\n\
                pika.BlockingConnection(pika.URLParameters(sys.argv[1]))\
                .channel().exchange_delete(sys.argv[2])";
    let _ = python()
        .args(["-c", text, &broker_url(), name])
        .stderr(Stdio::null())
        .status();
}

/// Python that can import `pika`.
fn python() -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(install_pika);
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", folder).stdin(Stdio::null());
    command
}

fn install_pika() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(PIKA.replace("==", "-"));
    if folder.join("pika").is_dir() {
        return folder;
    }
    // Another run may do the same at the same time, so it is put in place by one rename.
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let target = own.path().join("pika");
    let began = Instant::now();
    let installed = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", PIKA, "--target"])
        .arg(&target)
        .status();
    assert!(
        installed.is_ok_and(|status| status.success()) && began.elapsed() < PATIENCE,
        "{PIKA} could not be installed: the tests of events need python3 with pip \
         (Debian: apt-get install python3-pip) and the package index"
    );
    if std::fs::rename(&target, &folder).is_err() {
        assert!(folder.join("pika").is_dir(), "another run has put it there");
    }
    folder
}
