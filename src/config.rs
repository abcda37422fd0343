//! Settings: defaults, then a file, then the environment; unknown keys are refused.
//!
//! `deploy/synchub.example.toml` is the full reference; a test holds it against the defaults here.

use crate::attachment::{AllowedHost, S3Access};
use crate::queue::EventOptions;
use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The defaults, which are also the reference.
pub const EXAMPLE: &str = include_str!("../deploy/synchub.example.toml");

/// A shorter lease would be lost to a busy machine.
const EVENT_LEASE_MS_MIN: u64 = 1_000;
/// How often a sender asks whether somebody wants it to look at what is shown.
const LOOK: Duration = Duration::from_secs(1);
/// Above the longest wait of a submission for its commit.
const ATTACHMENT_GRACE_MS_MIN: u64 = 120_000;
/// Asking more often would only keep the database busy.
const EVENT_POLL_MS_MIN: u64 = 10;

/// Events are wanted, and neither `events.url` nor `queue.url` names a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events are wanted, but neither events.url nor queue.url names a broker")]
pub struct NoBroker;

/// All settings of a hub.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP door.
    pub http: Http,
    /// Where everything is kept.
    pub store: StoreSettings,
    /// What wakes the senders.
    pub queue: QueueSettings,
    /// Platforms and catalogue.
    pub connectors: ConnectorSettings,
    /// Limits of intake.
    pub intake: IntakeSettings,
    /// Where files are kept, and from where they may be fetched.
    pub attachments: AttachmentSettings,
    /// How delivering is tuned.
    pub deliver: DeliverSettings,
    /// What others are told.
    pub events: EventSettings,
    /// What is logged, and how.
    pub log: Log,
}

/// The HTTP door.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port.
    pub listen: String,
    /// Largest request body, and largest line of a batch, in bytes.
    pub body_bytes_max: usize,
    /// Longest time for one request, in milliseconds; batches are exempt.
    pub timeout_ms: u64,
    /// Submissions that are worked on at once; more are asked to come back.
    pub in_flight_max: usize,
}

/// Where everything is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    /// How long a request waits for a database that does not answer, in milliseconds.
    pub wait_ms: u64,
}

impl StoreSettings {
    /// Returns the options of [`crate::store`].
    pub fn options(&self) -> crate::store::StoreOptions {
        crate::store::StoreOptions {
            wait: Duration::from_millis(self.wait_ms),
        }
    }
}

/// What wakes the senders.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// `embedded:`, `amqp://…` or `amqps://…`.
    pub url: String,
    /// Certificates of a private authority for `amqps`, as PEM; empty for those of the system.
    pub ca_file: String,
    /// Messages fetched ahead per platform and process.
    pub prefetch: u16,
    /// What nobody took from the broker is offered again after so long, in milliseconds.
    pub grace_ms: u64,
    /// First word of the names of queues and exchanges, so that several hubs can share a broker.
    pub prefix: String,
}

/// Platforms and catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSettings {
    /// Folders that hold connectors; in the environment divided by commas.
    #[serde(deserialize_with = "one_or_many")]
    pub dir: Vec<PathBuf>,
    /// Folder of units, areas and divisions.
    pub catalogue: PathBuf,
    /// Folder of the rules of what may not go out.
    pub screening: PathBuf,
    /// Folder of the source profiles and of the table of labels.
    pub profiles: PathBuf,
}

/// Limits of intake.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntakeSettings {
    /// How far a revision may be ahead of the stored one.
    pub revision_ahead_max: i64,
}

/// Where files are kept, and from where they may be fetched.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentSettings {
    /// A folder, `file:///folder` or `s3://bucket/prefix`; empty for a folder beside the database.
    pub url: String,
    /// Address of the S3-compatible service; empty for that of the region.
    pub s3_endpoint: String,
    /// Its region.
    pub s3_region: String,
    /// Name of its key; empty for `AWS_ACCESS_KEY_ID` and the like of the environment.
    pub s3_access_key_id: String,
    /// Its key.
    pub s3_secret_access_key: String,
    /// From where files may be fetched; in the environment divided by commas.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Vec<AllowedHost>,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// All files of one submission, in bytes.
    pub total_bytes_max: u64,
    /// Files of one submission.
    pub count_max: usize,
    /// Longest time to fetch the files of one submission, in milliseconds.
    pub fetch_timeout_ms: u64,
    /// How long a file that no record refers to is left alone, in milliseconds.
    pub grace_ms: u64,
    /// How often such files are removed, in milliseconds; 0 never.
    pub tidy_ms: u64,
}

impl std::fmt::Debug for AttachmentSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the keys.
        formatter
            .debug_struct("AttachmentSettings")
            .field("url", &self.url)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// How delivering is tuned.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverSettings {
    /// How long a claim is valid without renewal, in milliseconds.
    pub lease_ms: u64,
    /// How often what is due and unclaimed is offered again, in milliseconds.
    pub sweep_ms: u64,
    /// How often a process tells the others that it sends, in milliseconds.
    pub beat_ms: u64,
}

/// What others are told, and how.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSettings {
    /// Whether changes are told at all.
    #[serde(deserialize_with = "switch")]
    pub enabled: Switch,
    /// The broker, `amqp://…` or `amqps://…`; empty for that of the queue.
    pub url: String,
    /// Certificates of a private authority, as a PEM file; empty for those of the system.
    pub ca_file: PathBuf,
    /// The topic exchange.
    pub exchange: String,
    /// The `source` that every event names.
    pub source: String,
    /// How long the one publisher may be silent before another process goes on, in milliseconds.
    pub lease_ms: u64,
    /// How often the outbox is looked into when nothing waits, in milliseconds.
    pub poll_ms: u64,
    /// How long sent events are kept, in milliseconds.
    pub retention_ms: u64,
}

/// On, off, or as the other settings suggest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// As the other settings suggest.
    Auto,
    /// On.
    On,
    /// Off.
    Off,
}

impl std::fmt::Debug for EventSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the address: it may hold a password.
        formatter
            .debug_struct("EventSettings")
            .field("enabled", &self.enabled)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Filter such as `info` or `synchub=debug`.
    pub level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// Returns how events are published; `None` when they are not wanted. `Err` when they are
    /// wanted and no broker is named.
    pub fn event_options(&self) -> Result<Option<EventOptions>, NoBroker> {
        let events = &self.events;
        let named = if events.url.is_empty() {
            &self.queue.url
        } else {
            &events.url
        };
        let broker = named.starts_with("amqp://") || named.starts_with("amqps://");
        match (events.enabled, broker) {
            (Switch::Off, _) => return Ok(None),
            (Switch::Auto, false) if events.url.is_empty() => return Ok(None),
            (Switch::Auto | Switch::On, false) => return Err(NoBroker),
            (Switch::Auto | Switch::On, true) => {}
        }
        Ok(Some(EventOptions {
            url: named.clone(),
            ca_file: (!events.ca_file.as_os_str().is_empty()).then(|| events.ca_file.clone()),
            exchange: events.exchange.clone(),
            source: events.source.clone(),
            lease: Duration::from_millis(events.lease_ms.max(EVENT_LEASE_MS_MIN)),
            poll: Duration::from_millis(events.poll_ms.max(EVENT_POLL_MS_MIN)),
            retention: Duration::from_millis(events.retention_ms),
        }))
    }

    /// Returns the options of [`crate::attachment`].
    pub fn attachment_options(&self) -> crate::attachment::Options {
        let settings = &self.attachments;
        crate::attachment::Options {
            url: match settings.url.is_empty() {
                true => beside(&self.store.url),
                false => settings.url.clone(),
            },
            s3: S3Access {
                endpoint: settings.s3_endpoint.clone(),
                region: settings.s3_region.clone(),
                access_key_id: settings.s3_access_key_id.clone(),
                secret_access_key: settings.s3_secret_access_key.clone(),
            },
            hosts: settings.hosts.clone(),
            limits: crate::attachment::Limits {
                file_bytes_max: settings.file_bytes_max,
                total_bytes_max: settings.total_bytes_max,
                count_max: settings.count_max,
            },
            fetch_timeout: Duration::from_millis(settings.fetch_timeout_ms),
            // A submission that waits for its commit must be over by then.
            grace: Duration::from_millis(settings.grace_ms.max(ATTACHMENT_GRACE_MS_MIN)),
        }
    }

    /// Returns the options of [`crate::deliver`].
    pub fn deliver_options(&self) -> crate::deliver::DeliverOptions {
        crate::deliver::DeliverOptions {
            lease: Duration::from_millis(self.deliver.lease_ms),
            sweep: crate::queue::SweepOptions {
                interval: Duration::from_millis(self.deliver.sweep_ms),
                grace: Duration::from_millis(self.queue.grace_ms),
            },
            beat: Duration::from_millis(self.deliver.beat_ms),
            look: LOOK,
        }
    }

    /// Reads the settings: defaults < `file` (or `synchub.toml` here, if there is one) <
    /// environment `SYNCHUB__SECTION__KEY`.
    ///
    /// # Errors
    /// A file that cannot be read, a key that does not exist, a value of the wrong kind.
    pub fn load(file: Option<&Path>) -> Result<Self, config::ConfigError> {
        let file = match file {
            Some(path) => File::from(path).format(FileFormat::Toml).required(true),
            None => File::new("synchub.toml", FileFormat::Toml).required(false),
        };
        Config::builder()
            .add_source(File::from_str(EXAMPLE, FileFormat::Toml))
            .add_source(file)
            .add_source(
                Environment::with_prefix("SYNCHUB")
                    .prefix_separator("__")
                    .separator("__"),
            )
            .build()?
            .try_deserialize()
    }
}

/// Returns the folder of the files of a database: beside its file, or in the working directory.
fn beside(store_url: &str) -> String {
    let path = store_url.strip_prefix("sqlite:").map(|it| {
        let it = it.strip_prefix("//").unwrap_or(it);
        it.split('?').next().unwrap_or_default()
    });
    match path {
        Some(path) if !path.is_empty() => format!("{}-files", path.trim_end_matches(".db")),
        _ => "synchub-files".to_owned(),
    }
}

/// Reads hosts from a list or from a text that commas divide.
fn hosts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<AllowedHost>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Hosts {
        Text(String),
        List(Vec<AllowedHost>),
    }
    match Hosts::deserialize(from)? {
        Hosts::List(hosts) => Ok(hosts),
        Hosts::Text(text) => text
            .split(',')
            .filter(|host| !host.trim().is_empty())
            .map(AllowedHost::parse)
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom),
    }
}

/// Reads `auto`, `true` or `false`, with quotation marks or without.
fn switch<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Switch, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Bool(bool),
        Word(String),
    }
    let word = match Written::deserialize(from)? {
        Written::Bool(on) => on.to_string(),
        Written::Word(word) => word,
    };
    match word.as_str() {
        "auto" => Ok(Switch::Auto),
        "true" => Ok(Switch::On),
        "false" => Ok(Switch::Off),
        other => Err(serde::de::Error::custom(format!(
            "{other:?} is none of \"auto\", true, false"
        ))),
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<PathBuf>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(list) => list
            .split(',')
            .map(|path| PathBuf::from(path.trim()))
            .collect(),
        OneOrMany::Many(paths) => paths,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_holds_a_default_for_every_key_and_names_no_other() {
        let settings: Settings = Config::builder()
            .add_source(File::from_str(EXAMPLE, FileFormat::Toml))
            .build()
            .and_then(Config::try_deserialize)
            .expect("deploy/synchub.example.toml is complete");
        assert_eq!(settings.http.listen, "127.0.0.1:8080");
        assert_eq!(settings.store.url, "sqlite://synchub.db");
        assert_eq!(settings.queue.url, "embedded:");
    }

    #[test]
    fn events_follow_the_queue_unless_they_are_switched() {
        let amqp = "amqp://127.0.0.1:5672/%2f";
        let cases = [
            ("\"auto\"", "", "embedded:", Ok(None)),
            ("\"auto\"", "", amqp, Ok(Some(amqp))),
            (
                "\"auto\"",
                "amqps://other",
                "embedded:",
                Ok(Some("amqps://other")),
            ),
            ("\"auto\"", "http://other", amqp, Err(NoBroker)),
            ("true", "", "embedded:", Err(NoBroker)),
            ("true", "", amqp, Ok(Some(amqp))),
            ("\"true\"", "amqps://other", amqp, Ok(Some("amqps://other"))),
            ("false", amqp, amqp, Ok(None)),
            ("\"false\"", "", amqp, Ok(None)),
        ];
        for (enabled, url, queue, expected) in cases {
            let text = format!(
                "[queue]\nurl = \"{queue}\"\n[events]\nenabled = {enabled}\nurl = \"{url}\"\n"
            );
            let settings: Settings = Config::builder()
                .add_source(File::from_str(EXAMPLE, FileFormat::Toml))
                .add_source(File::from_str(&text, FileFormat::Toml))
                .build()
                .and_then(Config::try_deserialize)
                .expect("valid");
            let found = settings.event_options();
            let urls = found.map(|options| options.map(|options| options.url));
            assert_eq!(
                urls.as_ref().map(Option::as_deref).map_err(|error| *error),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn files_lie_beside_the_database_unless_told_otherwise() {
        for (store, expected) in [
            ("sqlite://synchub.db", "synchub-files"),
            (
                "sqlite:///var/lib/synchub/hub.db?mode=rwc",
                "/var/lib/synchub/hub-files",
            ),
            ("sqlite:data", "data-files"),
            ("postgres://localhost/hub", "synchub-files"),
        ] {
            assert_eq!(beside(store), expected, "{store}");
        }
    }

    #[test]
    fn hosts_are_a_list_or_a_text() {
        let read = |text: &str| {
            let settings: Result<Settings, _> = Config::builder()
                .add_source(File::from_str(EXAMPLE, FileFormat::Toml))
                .add_source(File::from_str(text, FileFormat::Toml))
                .build()
                .and_then(Config::try_deserialize);
            settings.map(|it| it.attachments.hosts)
        };
        let list = "[attachments]\nhosts = [\"a.cn\", {host = \"10.0.0.1:81\", private = true}]";
        let text = "[attachments]\nhosts = \"a.cn, private:10.0.0.1:81\"";
        assert_eq!(read(list).expect("valid"), read(text).expect("valid"));
        assert_eq!(read(text).expect("valid").len(), 2);
        assert_eq!(read("").expect("valid").len(), 0);
        assert!(read("[attachments]\nhosts = \"http://a.cn/\"").is_err());
    }

    #[test]
    fn a_misspelt_key_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("synchub.toml");
        std::fs::write(&path, "[http]\nlistne = \"127.0.0.1:1\"\n").expect("written");
        let error = Settings::load(Some(&path))
            .expect_err("unknown key")
            .to_string();
        assert!(error.contains("listne"), "{error}");
    }

    #[test]
    fn a_file_overrides_the_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("synchub.toml");
        let text = "[http]\nlisten = \"127.0.0.1:9\"\n[connectors]\ndir = [\"a\", \"b\"]\n";
        std::fs::write(&path, text).expect("written");
        let settings = Settings::load(Some(&path)).expect("loads");
        assert_eq!(settings.http.listen, "127.0.0.1:9");
        assert_eq!(
            settings.connectors.dir,
            [PathBuf::from("a"), PathBuf::from("b")]
        );
    }
}
