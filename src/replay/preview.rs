//! What a replay would take, in figures.

use crate::clock::rfc3339;
use crate::store::{Selected, SelectedDelivery};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many deliveries a preview names.
const EXAMPLES_MAX: usize = 10;

/// What a replay would take.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// How many deliveries.
    pub count: i64,
    /// When the first of them failed, or last changed.
    pub oldest: Option<String>,
    /// When the last of them failed, or last changed.
    pub newest: Option<String>,
    /// By platform and state.
    pub by_platform: Vec<PlatformCount>,
    /// By failure group; what did not fail is in none.
    pub by_group: Vec<GroupCount>,
    /// The first of them.
    pub examples: Vec<SelectedDelivery>,
    /// The name of this selection; the real run must repeat it.
    pub selection_hash: String,
}

/// How many of one platform and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformCount {
    /// The platform.
    pub platform: String,
    /// The state.
    pub state: &'static str,
    /// How many.
    pub count: i64,
}

/// How many of one failure group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupCount {
    /// The group.
    pub group: String,
    /// The platform.
    pub platform: String,
    /// How many.
    pub count: i64,
}

impl Preview {
    /// Counts what is selected.
    pub(super) fn of(selected: Selected) -> Self {
        let deliveries = selected.deliveries;
        let mut by_platform: BTreeMap<(&str, &'static str), i64> = BTreeMap::new();
        let mut by_group: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for delivery in &deliveries {
            let platform = delivery.platform.as_str();
            *by_platform
                .entry((platform, delivery.state.as_str()))
                .or_default() += 1;
            if let Some(group) = &delivery.group {
                *by_group.entry((group, platform)).or_default() += 1;
            }
        }
        let times = || deliveries.iter().map(|it| it.changed_at);
        let mut by_group: Vec<GroupCount> = by_group
            .into_iter()
            .map(|((group, platform), count)| GroupCount {
                group: group.to_owned(),
                platform: platform.to_owned(),
                count,
            })
            .collect();
        by_group.sort_by_key(|it| std::cmp::Reverse(it.count));
        Self {
            count: deliveries.len() as i64,
            oldest: times().min().map(rfc3339),
            newest: times().max().map(rfc3339),
            by_platform: by_platform
                .into_iter()
                .map(|((platform, state), count)| PlatformCount {
                    platform: platform.to_owned(),
                    state,
                    count,
                })
                .collect(),
            by_group,
            examples: deliveries.iter().take(EXAMPLES_MAX).cloned().collect(),
            selection_hash: selected.hash,
        }
    }
}
