//! A PostgreSQL server of a test's own, with every promise about durability switched on.

use super::{free_port, is_root};
use sqlx::{Connection as _, PgConnection};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The server, which ends with the test.
pub(crate) struct Postgres {
    process: Option<Child>,
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    word: String,
}

impl Postgres {
    /// Makes a data folder and starts a server on it.
    pub(crate) fn start_new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let word = uuid::Uuid::new_v4().simple().to_string();
        std::fs::write(folder.path().join("word"), &word).expect("written");
        let mut server = Self {
            process: None,
            programs: programs(),
            folder,
            port: free_port(),
            word,
        };
        if is_root() {
            let path = server.folder.path().display().to_string();
            let done = Command::new("chown").args(["-R", owner(), &path]).status();
            assert!(done.expect("chown runs").success());
        }
        let made = server
            .command("initdb")
            .arg("-D")
            .arg(server.folder.path().join("data"))
            // Not SCRAM: its many rounds of hashing make each connection of an unoptimised build slow.
            .args(["-U", "synchub", "-A", "password", "--pwfile"])
            .arg(server.folder.path().join("word"))
            .args(["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"])
            .output()
            .expect("initdb runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        server.start();
        server
    }

    /// Starts it on its old data and port, and waits until it answers.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "it is stopped");
        let began = Instant::now();
        loop {
            let mut process = self.launch();
            while process.try_wait().expect("it can be asked").is_none() {
                if self.answers() {
                    self.process = Some(process);
                    return;
                }
                assert!(began.elapsed() < PATIENCE, "no answer:\n{}", self.log());
                std::thread::sleep(Duration::from_millis(30));
            }
            // After a kill, its children need a moment to notice.
            assert!(began.elapsed() < PATIENCE, "it ended:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops it as an administrator would; who is connected is cut off.
    pub(crate) fn stop(&mut self) {
        self.end("-INT");
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.end("-KILL");
    }

    /// URL of a database to create others from.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The same through another port, for instance a proxy's.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://synchub:{}@127.0.0.1:{port}/postgres", self.word)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn launch(&self) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let port = self.port.to_string();
        self.command("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1"])
            .args([
                "-c",
                "unix_socket_directories=",
                "-c",
                "shared_buffers=16MB",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres runs")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            // PostgreSQL refuses to run as root.
            let mut command = Command::new("setpriv");
            command
                .args([
                    format!("--reuid={}", owner()),
                    "--clear-groups".to_owned(),
                    format!("--regid={}", group()),
                ])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("LC_ALL", "C");
        command
    }

    fn answers(&self) -> bool {
        let url = self.url();
        crate::backend::blocking(async move {
            match PgConnection::connect(&url).await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(_) => false,
            }
        })
    }

    fn end(&mut self, signal: &str) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let pid = process.id().to_string();
        let asked = Command::new("kill").args([signal, &pid]).status();
        assert!(asked.expect("kill runs").success());
        process.wait().expect("it ends");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, and its children with it; the data goes as well.
        self.end("-QUIT");
    }
}

/// The user that it runs as when the tests run as root.
fn owner() -> &'static str {
    match has_account("/etc/passwd", "postgres") {
        true => "postgres",
        false => "nobody",
    }
}

fn group() -> &'static str {
    match (owner(), has_account("/etc/group", "nogroup")) {
        ("postgres", _) => "postgres",
        (_, true) => "nogroup",
        (_, false) => "nobody",
    }
}

fn has_account(file: &str, name: &str) -> bool {
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .any(|line| line.split(':').next() == Some(name))
}

/// The folder of PostgreSQL's programs.
fn programs() -> PathBuf {
    if let Ok(folder) = std::env::var("SYNCHUB_TEST_POSTGRES_BIN") {
        return folder.into();
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|folder| Path::new(folder).join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect(
        "PostgreSQL's programs; `tests/run postgres` installs them, SYNCHUB_TEST_POSTGRES_BIN names their folder",
    )
}
