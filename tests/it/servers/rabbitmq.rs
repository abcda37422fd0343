//! A RabbitMQ broker of a test's own, which it may stop, kill and rob of its queues.

use super::free_port;
use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// The broker, which ends with the test.
pub(crate) struct RabbitMq {
    process: Option<Child>,
    /// Erlang's register of names; started here, so that it ends here.
    names: Child,
    folder: tempfile::TempDir,
    port: u16,
    distribution_port: u16,
    names_port: u16,
}

impl RabbitMq {
    /// Makes a data folder and starts a broker on it.
    pub(crate) fn start_new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["mnesia", "log", "home", "schema"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let names_port = free_port();
        let mut broker = Self {
            process: None,
            names: Command::new(program("epmd"))
                .args(["-port", &names_port.to_string()])
                .env("ERL_EPMD_ADDRESS", "127.0.0.1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("epmd starts"),
            folder,
            port: free_port(),
            distribution_port: free_port(),
            names_port,
        };
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nlog.file.level = warning\n\
             vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 50MB\n",
            broker.port
        );
        std::fs::write(broker.folder.path().join("rabbitmq.conf"), settings).expect("written");
        std::fs::write(broker.folder.path().join("enabled_plugins"), "[].").expect("written");
        broker.start();
        broker
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
                std::thread::sleep(Duration::from_millis(100));
            }
            // After a kill, the register of names needs a moment to forget the name.
            assert!(began.elapsed() < PATIENCE, "it ended:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Stops it as an administrator would.
    pub(crate) fn stop(&mut self) {
        self.end("-TERM");
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.end("-KILL");
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    fn launch(&self) -> Child {
        let path = |name: &str| self.folder.path().join(name);
        // That of the one before must not be taken for its own.
        let _ = std::fs::remove_file(path("pid"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(path("out"))
            .expect("a log file");
        let process = Command::new(program("rabbitmq-server"))
            .env("HOME", path("home"))
            .env("RABBITMQ_BASE", self.folder.path())
            .env("RABBITMQ_NODENAME", format!("t{}@localhost", self.port))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_SCHEMA_DIR", path("schema"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", path("config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
            .env("RABBITMQ_PID_FILE", path("pid"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env(
                "RABBITMQ_SERVER_START_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        process.expect("rabbitmq-server starts")
    }

    fn answers(&self) -> bool {
        let url = self.url();
        crate::backend::blocking(async move {
            let asked = async {
                let connection = connect(&url).await?;
                connection.close(200, "OK".into()).await
            };
            // A broker that is still starting may take a connection and say nothing.
            matches!(
                tokio::time::timeout(Duration::from_secs(3), asked).await,
                Ok(Ok(()))
            )
        })
    }

    fn end(&mut self, signal: &str) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // The started program is a shell that waits for the broker, whose number it wrote down.
        let written = std::fs::read_to_string(self.folder.path().join("pid")).unwrap_or_default();
        let own = process.id().to_string();
        let pid = match written.trim() {
            "" => own.as_str(),
            pid => pid,
        };
        let asked = Command::new("kill").args([signal, pid]).status();
        assert!(asked.expect("kill runs").success());
        process.wait().expect("it ends");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // At once; the data goes as well.
        self.end("-KILL");
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}

/// A connection as any client would make it.
pub(crate) async fn connect(url: &str) -> lapin::Result<lapin::Connection> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await
}

/// Removes everything that waits in these queues.
pub(crate) async fn purge(url: &str, queues: &[String]) {
    let connection = connect(url).await.expect("the broker answers");
    let channel = connection.create_channel().await.expect("a channel");
    for queue in queues {
        let options = QueuePurgeOptions::default();
        let purged = channel.queue_purge(queue.as_str().into(), options).await;
        purged.expect("the queue is there");
    }
    connection.close(200, "OK".into()).await.expect("it closes");
}

/// Removes these queues with everything in them.
pub(crate) async fn delete(url: &str, queues: &[String]) {
    let connection = connect(url).await.expect("the broker answers");
    let channel = connection.create_channel().await.expect("a channel");
    for queue in queues {
        let options = QueueDeleteOptions::default();
        let deleted = channel.queue_delete(queue.as_str().into(), options).await;
        deleted.expect("the queue is there");
    }
    connection.close(200, "OK".into()).await.expect("it closes");
}

/// The server's own programs; those on the path of Debian change to another user.
fn program(name: &str) -> PathBuf {
    let own = std::env::var("SYNCHUB_TEST_RABBITMQ_BIN").ok();
    let own = own.iter().map(PathBuf::from);
    let erlang = std::fs::read_dir("/usr/lib/erlang")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    let usual = ["/usr/lib/rabbitmq/bin", "/usr/bin", "/usr/local/sbin"];
    own.chain(usual.map(PathBuf::from))
        .chain(erlang)
        .map(|folder| folder.join(name))
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| panic!("{name}, a program of RabbitMQ, is missing; `tests/run rabbitmq` installs it, SYNCHUB_TEST_RABBITMQ_BIN names its folder"))
}
