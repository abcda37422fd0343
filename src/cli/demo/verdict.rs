//! Is everything where it should be? What the hub says is held against what the platforms show.

use super::super::hint::Hint as _;
use crate::record::Hold;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What must become of each record, by source id; the newest revision counts.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    by_source_id: BTreeMap<String, Expected>,
}

#[derive(Debug, Clone, Deserialize)]
struct Expected {
    source_id: String,
    revision: i64,
    platforms: Vec<String>,
    hold: Option<String>,
}

impl Expectations {
    /// Reads `expected.json` for the files of `dir`; without that file nothing is expected beyond
    /// what the hub itself says.
    pub(super) fn read(path: &Path, dir: &Path) -> anyhow::Result<Self> {
        let Ok(text) = std::fs::read_to_string(path) else {
            return Ok(Self::default());
        };
        let all: BTreeMap<String, Expected> =
            serde_json::from_str(&text).hint(format!("{} is not readable", path.display()))?;
        let folder = dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut by_source_id: BTreeMap<String, Expected> = BTreeMap::new();
        for (file, expected) in all {
            if !file.starts_with(&folder) {
                continue;
            }
            let known = by_source_id.get(&expected.source_id);
            if known.is_none_or(|known| known.revision < expected.revision) {
                by_source_id.insert(expected.source_id.clone(), expected);
            }
        }
        Ok(Self { by_source_id })
    }
}

/// The table of who shows what.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    pub(super) records: Vec<JudgedRecord>,
    pub(super) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct JudgedRecord {
    pub(super) source_id: String,
    pub(super) record_id: String,
    pub(super) title: String,
    pub(super) version: i64,
    pub(super) state: String,
    pub(super) holds: Vec<Hold>,
    pub(super) platforms: BTreeMap<String, OnPlatform>,
}

/// A record on one platform: what the hub says and what the platform shows.
#[derive(Debug, Serialize)]
pub(super) struct OnPlatform {
    /// The hub's word; none when it was never meant to go there.
    state: Option<String>,
    /// Objects of this record that the platform shows.
    objects: usize,
    /// The version the platform shows.
    version: Option<i64>,
    /// Where the public sees it.
    url: Option<String>,
}

impl JudgedRecord {
    /// Returns what the table says: state and path, or a dash.
    pub(super) fn cell(&self, platform: &str) -> String {
        let Some(on) = self.platforms.get(platform) else {
            return "-".to_owned();
        };
        let state = on.state.as_deref().unwrap_or("-");
        let path = on
            .url
            .as_deref()
            .and_then(|url| url.splitn(4, '/').nth(3))
            .unwrap_or_default();
        match on.objects {
            0 => state.to_owned(),
            1 => format!("{state} v{} /{path}", on.version.unwrap_or_default()),
            several => format!("{state} ×{several}!"),
        }
    }
}

/// Holds the hub's records against what each platform shows.
pub(super) fn judge(
    records: &[Value],
    shown: &[(String, Vec<Value>)],
    expectations: &Expectations,
) -> Judged {
    let mut judged = Judged {
        records: Vec::new(),
        problems: Vec::new(),
    };
    for record in records {
        let row = row_of(record, shown);
        let expected = expectations.by_source_id.get(&row.source_id);
        check(&row, expected, &mut judged.problems);
        judged.records.push(row);
    }
    for source_id in expectations.by_source_id.keys() {
        if !judged.records.iter().any(|row| row.source_id == *source_id) {
            judged
                .problems
                .push(format!("{source_id}: the hub has no such record"));
        }
    }
    for (platform, articles) in shown {
        for article in articles {
            let known = judged
                .records
                .iter()
                .any(|row| article["record_id"] == row.record_id.as_str());
            if !known {
                judged.problems.push(format!(
                    "{platform} shows something unknown: {}",
                    article["title"]
                ));
            }
        }
    }
    judged
}

fn row_of(record: &Value, shown: &[(String, Vec<Value>)]) -> JudgedRecord {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let record_id = text("id");
    let mut platforms = BTreeMap::new();
    for (platform, articles) in shown {
        let delivery = record["deliveries"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|delivery| delivery["platform"] == platform.as_str());
        let mine: Vec<&Value> = articles
            .iter()
            .filter(|article| article["record_id"] == record_id.as_str())
            .collect();
        if delivery.is_none() && mine.is_empty() {
            continue;
        }
        platforms.insert(
            platform.clone(),
            OnPlatform {
                state: delivery
                    .and_then(|it| it["state"].as_str())
                    .map(ToOwned::to_owned),
                objects: mine.len(),
                version: mine.first().and_then(|it| it["version"].as_i64()),
                url: mine
                    .first()
                    .and_then(|it| it["url"].as_str())
                    .map(ToOwned::to_owned),
            },
        );
    }
    JudgedRecord {
        source_id: text("source_id"),
        title: text("title"),
        version: record["version"].as_i64().unwrap_or_default(),
        state: text("state"),
        holds: serde_json::from_value(record["holds"].clone()).unwrap_or_default(),
        platforms,
        record_id,
    }
}

fn check(row: &JudgedRecord, expected: Option<&Expected>, problems: &mut Vec<String>) {
    let mut problem = |text: String| problems.push(format!("{}: {text}", row.source_id));
    let is_live = row.state == "live";
    for (platform, on) in &row.platforms {
        let open = ["queued", "sending", "retrying", "failed"];
        let state = on.state.as_deref().unwrap_or("unknown to the hub");
        if open.contains(&state) {
            problem(format!("{state} on {platform}"));
        }
        let wanted = usize::from(is_live && !["withdrawn", "skipped"].contains(&state));
        if on.objects != wanted {
            problem(format!(
                "{platform} shows it {} times instead of {wanted}",
                on.objects
            ));
        }
        if on.objects > 0 && on.version != Some(row.version) {
            problem(format!(
                "{platform} shows version {:?} instead of {}",
                on.version, row.version
            ));
        }
    }
    if row.state == "held" && row.holds.iter().all(|hold| hold.detail.is_empty()) {
        problem("held without a reason".to_owned());
    }
    let Some(expected) = expected else {
        return;
    };
    let showing: Vec<&str> = row
        .platforms
        .iter()
        .filter(|(_, on)| on.objects > 0)
        .map(|(platform, _)| platform.as_str())
        .collect();
    let mut wanted: Vec<&str> = expected.platforms.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    if showing != wanted {
        problem(format!("shown on {showing:?} instead of {wanted:?}"));
    }
    let holds: Vec<&str> = row.holds.iter().map(|hold| hold.code.as_str()).collect();
    match &expected.hold {
        Some(code) if !holds.contains(&code.as_str()) => {
            problem(format!("held for {holds:?} instead of {code}"));
        }
        None if !holds.is_empty() => problem(format!("held for {holds:?}, which it should not be")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(state: &str, version: i64, delivery: &str) -> Value {
        json!({
            "id": "r1", "source_id": "s1", "title": "t", "version": version, "state": state,
            "holds": [], "deliveries": [{"platform": "p", "state": delivery}],
        })
    }

    fn problems(record: Value, articles: Vec<Value>) -> usize {
        judge(
            &[record],
            &[("p".to_owned(), articles)],
            &Expectations::default(),
        )
        .problems
        .len()
    }

    #[test]
    fn a_duplicate_a_stale_version_and_a_stranger_are_noticed() {
        let article = json!({"record_id": "r1", "version": 2, "title": "t", "url": "http://p/1"});
        assert_eq!(
            problems(record("live", 2, "confirmed"), vec![article.clone()]),
            0
        );
        assert_eq!(
            problems(
                record("live", 2, "confirmed"),
                vec![article.clone(), article.clone()]
            ),
            1
        );
        assert_eq!(
            problems(record("live", 3, "confirmed"), vec![article.clone()]),
            1
        );
        assert_eq!(problems(record("live", 2, "confirmed"), vec![]), 1);
        assert_eq!(
            problems(record("withdrawn", 2, "withdrawn"), vec![article.clone()]),
            1
        );
        assert_eq!(problems(record("withdrawn", 2, "withdrawn"), vec![]), 0);
        let stranger = json!({"record_id": "r9", "version": 1, "title": "x", "url": "http://p/9"});
        assert_eq!(
            problems(record("live", 2, "confirmed"), vec![article, stranger]),
            1
        );
    }
}
