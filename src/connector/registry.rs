//! All connectors of a hub. A broken folder is reported and never stops the others.

use super::{Connector, Finding, References};
use crate::record::platform_of;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The connectors that loaded, by platform, and the folders that did not.
#[derive(Debug, Clone, Default)]
pub struct Connectors {
    loaded: BTreeMap<String, Arc<Connector>>,
    failures: Vec<LoadFailure>,
}

/// A folder that could not be loaded.
#[derive(Debug, Clone)]
pub struct LoadFailure {
    /// The folder.
    pub dir: PathBuf,
    /// Everything that is wrong with it.
    pub findings: Vec<Finding>,
}

impl Connectors {
    /// Loads each folder with a `connector.toml` directly under one of `dirs`; when two have the
    /// same name, the later wins, so that a site can replace a connector of the package.
    pub fn load(dirs: &[PathBuf], references: &References) -> Self {
        let mut connectors = Self::default();
        for dir in dirs.iter().flat_map(|dir| folders(dir)) {
            match Connector::load(&dir, references) {
                Ok(connector) => {
                    connectors
                        .loaded
                        .insert(connector.id.clone(), Arc::new(connector));
                }
                Err(findings) => connectors.failures.push(LoadFailure { dir, findings }),
            }
        }
        connectors.order_versions();
        connectors
    }

    /// Tells each platform which version lies beside it; a version that is no older than its
    /// platform is no version before it.
    fn order_versions(&mut self) {
        let mut before: BTreeMap<String, u32> = BTreeMap::new();
        let mut wrong = Vec::new();
        for connector in self.loaded.values().filter(|it| it.is_previous()) {
            let (platform, version) = (connector.platform(), connector.version());
            match self.loaded.get(platform) {
                Some(current) if current.version() <= version => wrong.push(connector.id.clone()),
                _ => {
                    let newest = before.entry(platform.to_owned()).or_default();
                    *newest = version.max(*newest);
                }
            }
        }
        for (platform, version) in before {
            if let Some(current) = self.loaded.get_mut(&platform) {
                just_loaded(current).replaces = Some(version);
            }
        }
        for id in wrong {
            let problem = format!(
                "`{}` must have a higher version than this: raise `version` in its connector.toml",
                platform_of(&id)
            );
            let finding = Finding {
                file: "connector.toml".to_owned(),
                place: "connector.version".to_owned(),
                problem,
            };
            self.loaded.remove(&id);
            self.failures.push(LoadFailure {
                dir: PathBuf::from(id),
                findings: vec![finding],
            });
        }
    }

    /// Tells each connector what its platform calls the units: `codes` gives, for a platform, the
    /// unit's own code → its code there.
    #[must_use]
    pub fn with_unit_codes(mut self, codes: impl Fn(&str) -> BTreeMap<String, String>) -> Self {
        for connector in self.loaded.values_mut() {
            let connector = just_loaded(connector);
            connector.take_unit_codes(codes(connector.platform()));
        }
        self
    }

    /// Makes a registry of one connector.
    pub fn of(connector: Connector) -> Self {
        let mut connectors = Self::default();
        connectors
            .loaded
            .insert(connector.id.clone(), Arc::new(connector));
        connectors
    }

    /// Returns the connector of a platform.
    pub fn get(&self, platform: &str) -> Option<&Arc<Connector>> {
        self.loaded.get(platform)
    }

    /// Returns the connectors of the platforms as they are now, by platform.
    pub fn current(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.loaded.values().filter(|it| !it.is_previous())
    }

    /// Returns all connectors, by platform; also those of versions that platforms had before.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.loaded.values()
    }

    /// Returns the folders that did not load.
    pub fn failures(&self) -> &[LoadFailure] {
        &self.failures
    }
}

fn just_loaded(connector: &mut Arc<Connector>) -> &mut Connector {
    Arc::get_mut(connector).expect("nobody else has what was just loaded")
}

/// Returns the connector folders directly under `dir`, by name.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join("connector.toml").is_file())
        .collect();
    folders.sort();
    folders
}
