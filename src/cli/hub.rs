//! Puts a hub together from its settings.

use super::hint::Hint as _;
use crate::attachment::Attachments;
use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::connector::{Connectors, References};
use crate::deliver::Deliverer;
use crate::intake::{Intake, Profiles, RegistryVersion};
use crate::queue::{
    EmbeddedQueue, EventOptions, EventPublisher, Queue, RabbitOptions, RabbitQueue,
};
use crate::replay::Driver;
use crate::screen::Rules;
use crate::store::Store;
use std::sync::Arc;

/// Opens the store without touching its schema. What is changed through it is told to others,
/// also by a command that does not publish itself.
pub(super) async fn open_unmigrated(settings: &Settings) -> anyhow::Result<Store> {
    let events = event_options(settings)?;
    let store = Store::open_with(&settings.store.url, settings.store.options())
        .await
        .hint("store.url (SYNCHUB__STORE__URL) is `sqlite://PATH` or `postgres://…`")?;
    store.write_events(events.is_some());
    Ok(store)
}

fn event_options(settings: &Settings) -> anyhow::Result<Option<EventOptions>> {
    settings
        .event_options()
        .hint("set events.url (SYNCHUB__EVENTS__URL) to `amqp://…` or `amqps://…`, or events.enabled to \"auto\"")
}

/// Starts to tell others what becomes of records, if that is wanted.
pub(super) fn start_events(
    settings: &Settings,
    intake: &Intake,
) -> anyhow::Result<Option<EventPublisher>> {
    let options = event_options(settings)?;
    Ok(options.map(|options| EventPublisher::start(&intake.store, &intake.catalogue, options)))
}

/// Opens the store and brings its schema up to date.
pub(super) async fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let store = open_unmigrated(settings).await?;
    store.migrate().await.hint(
        "`synchub migrate --check` says how the schema stands; a newer one needs a newer release",
    )?;
    Ok(store)
}

/// Loads the connectors; what does not load is logged and left out. Without a registry no unit has
/// a code on a platform.
pub(super) fn load_connectors(settings: &Settings, references: &References) -> Connectors {
    let catalogue = Catalogue::load(&settings.connectors.catalogue).ok();
    connectors_with(settings, references, catalogue.as_ref())
}

fn connectors_with(
    settings: &Settings,
    references: &References,
    catalogue: Option<&Catalogue>,
) -> Connectors {
    let connectors = Connectors::load(&settings.connectors.dir, references);
    let connectors = match catalogue {
        Some(catalogue) => connectors.with_unit_codes(|platform| catalogue.codes_on(platform)),
        None => connectors,
    };
    for failure in connectors.failures() {
        for finding in &failure.findings {
            tracing::error!(
                dir = %failure.dir.display(), file = finding.file, place = finding.place,
                "Connector {} does not load: {} {} {}", failure.dir.display(), finding.file, finding.place, finding.problem
            );
        }
    }
    connectors
}

/// Makes the queue that the settings name; does not wait for a broker.
pub(super) fn queue(settings: &Settings) -> anyhow::Result<Arc<dyn Queue>> {
    let queue = &settings.queue;
    match queue.url.split(':').next().unwrap_or_default() {
        "embedded" => Ok(Arc::new(EmbeddedQueue::new())),
        "amqp" | "amqps" => {
            let options = RabbitOptions {
                url: queue.url.clone(),
                ca_file: Some(&queue.ca_file)
                    .filter(|it| !it.is_empty())
                    .map(Into::into),
                prefetch: queue.prefetch,
                prefix: queue.prefix.clone(),
                name: format!("synchub {}", std::process::id()),
            };
            let rabbit = RabbitQueue::start(options)
                .hint("queue.url (SYNCHUB__QUEUE__URL) is amqps://user:password@host:port/vhost")?;
            Ok(Arc::new(rabbit))
        }
        scheme => Err(super::hint::failure(
            format!("queue.url has the scheme `{scheme}:`, which this release does not know"),
            "set queue.url to \"embedded:\", amqp://… or amqps://…",
        )),
    }
}

/// Loads the rules of what may not go out.
pub(super) fn rules(settings: &Settings) -> anyhow::Result<Rules> {
    Rules::load(&settings.connectors.screening).hint(
        "connectors.screening names the folder of the screening rules; run from the project's folder or set SYNCHUB__CONNECTORS__SCREENING",
    )
}

/// Loads the source profiles; what does not load is logged and left out.
pub(super) fn profiles(settings: &Settings, references: &References) -> anyhow::Result<Profiles> {
    let profiles = Profiles::load(&settings.connectors.profiles, references).hint(
        "connectors.profiles names the folder of source profiles and labels.toml; run from the project's folder or set SYNCHUB__CONNECTORS__PROFILES",
    )?;
    for failure in profiles.failures() {
        tracing::error!(
            profile = failure.id,
            "Source profile {} does not load: {}",
            failure.id,
            failure.problem
        );
    }
    Ok(profiles)
}

/// Loads the registry of units, areas, columns and working days.
pub(super) fn catalogue(settings: &Settings) -> anyhow::Result<Catalogue> {
    Catalogue::load(&settings.connectors.catalogue).hint(
        "`synchub catalogue check` lists everything; connectors.catalogue names the folder: run from the project's folder or set SYNCHUB__CONNECTORS__CATALOGUE",
    )
}

/// Opens the place where files are kept.
pub(super) fn attachments(settings: &Settings, store: &Store) -> anyhow::Result<Attachments> {
    Attachments::open(store, settings.attachment_options()).hint(
        "attachments.url (SYNCHUB__ATTACHMENTS__URL) is a folder or s3://bucket/prefix; see attachments.s3_* for a service",
    )
}

/// Puts the door for submissions together.
pub(super) fn intake(
    settings: &Settings,
    store: &Store,
    references: &References,
) -> anyhow::Result<Intake> {
    let catalogue = catalogue(settings)?;
    let connectors = connectors_with(settings, references, Some(&catalogue));
    Ok(Intake {
        store: store.clone(),
        attachments: attachments(settings, store)?,
        queue: queue(settings)?,
        catalogue: Arc::new(catalogue),
        connectors: Arc::new(connectors),
        rules: Arc::new(rules(settings)?),
        profiles: Arc::new(profiles(settings, references)?),
        turns: Arc::default(),
        revision_ahead_max: settings.intake.revision_ahead_max,
        registry: RegistryVersion::default(),
    })
}

/// Starts to drive what operators send again.
pub(super) fn start_replays(intake: &Intake) -> Driver {
    Driver::start(&intake.store, &intake.queue)
}

/// Starts the senders.
pub(super) fn start_senders(settings: &Settings, intake: &Intake) -> anyhow::Result<Deliverer> {
    Deliverer::start(
        (&intake.store, &intake.attachments),
        &intake.queue,
        &intake.connectors,
        settings.deliver_options(),
    )
}
