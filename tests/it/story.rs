//! What callers and operators do in a time of trouble, and what must be true at the end of it.
//!
//! A [`Story`] remembers what it was promised: an act without an answer is repeated until it has
//! one, as an OA does. [`audit`] holds the platforms against it. The crash test and the chaos run
//! share both.

use crate::hub::{ALL, Platforms, entry_for_all, sample};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an answer is waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Only the newest entries are touched again, so that acts meet deliveries that are on their way.
const NEWEST: usize = 12;

/// Where and as whom to call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) client: reqwest::Client,
    /// Any process of the hub.
    pub(crate) url: String,
    pub(crate) oa_key: String,
    pub(crate) operator_key: String,
}

impl Caller {
    /// Returns status and body; an error when there was no answer, or one that says "come back".
    async fn call(&self, key: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let answer = self
            .client
            .post(format!("{}{path}", self.url))
            .timeout(ANSWER_WAIT)
            .bearer_auth(key)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        match status {
            503 | 504 => Err(text),
            _ => Ok((status, serde_json::from_str(&text).unwrap_or_default())),
        }
    }
}

/// One act, the same each time it is repeated.
#[derive(Debug, Clone)]
enum Act {
    /// Posts this revision of an entry: a new one, or a correction.
    Publish { entry: usize, revision: i64 },
    /// Withdraws as the OA does.
    Withdraw { entry: usize, revision: i64 },
    /// Withdraws as an operator does.
    TakeDown { entry: usize },
    /// Sends a record again.
    Replay { entry: usize },
    /// Stops a platform.
    Pause { platform: usize },
    /// Goes on with it.
    Resume { platform: usize },
    /// Looks at everything it shows, and sends again what is missing or stale.
    Verify { platform: usize },
}

/// What was promised about one entry.
#[derive(Debug, Clone)]
struct Entry {
    source_id: String,
    record_id: Option<String>,
    /// The newest revision that was accepted.
    revision: i64,
    shown: bool,
    files: usize,
}

/// Entries, and what was done to them.
pub(crate) struct Story {
    name: String,
    random: SmallRng,
    entries: Vec<Entry>,
    unanswered: Option<Act>,
    pub(crate) acts: BTreeMap<&'static str, usize>,
}

impl Story {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            random: SmallRng::seed_from_u64(seed),
            entries: Vec::new(),
            unanswered: None,
            acts: BTreeMap::new(),
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Does one thing; an error when it has no answer, and the next call does it again.
    pub(crate) async fn go_on(&mut self, caller: &Caller) -> Result<(), String> {
        let act = match self.unanswered.take() {
            Some(act) => act,
            None => self.next_act(),
        };
        self.unanswered = Some(act.clone());
        self.carry_out(caller, &act).await?;
        self.unanswered = None;
        Ok(())
    }

    /// Asks for a look at everything, as a schedule would; without an answer nothing is lost.
    pub(crate) async fn verify_all(&mut self, caller: &Caller) {
        for platform in 0..ALL.len() {
            let _ = self.carry_out(caller, &Act::Verify { platform }).await;
        }
    }

    /// Ends the story: what has no answer yet is repeated until it has, and nothing stays paused.
    pub(crate) async fn finish(&mut self, caller: &Caller) -> Result<(), String> {
        if self.unanswered.is_some() {
            self.go_on(caller).await?;
        }
        for platform in 0..ALL.len() {
            self.carry_out(caller, &Act::Resume { platform }).await?;
        }
        Ok(())
    }

    fn next_act(&mut self) -> Act {
        let count = self.entries.len();
        let choice = self.random.random_range(0..100);
        if count == 0 || choice < 40 {
            let source_id = format!("OA-{}-{count}", self.name);
            self.entries.push(Entry {
                source_id,
                record_id: None,
                revision: 0,
                shown: false,
                files: self.random.random_range(0..3),
            });
            return Act::Publish {
                entry: count,
                revision: 1,
            };
        }
        let entry = self
            .random
            .random_range(count.saturating_sub(NEWEST)..count);
        let revision = self.entries[entry].revision + 1;
        let platform = self.random.random_range(0..ALL.len());
        match choice {
            40..65 => Act::Publish { entry, revision },
            65..73 => Act::Withdraw { entry, revision },
            73..80 => Act::TakeDown { entry },
            80..90 => Act::Replay { entry },
            90..93 => Act::Pause { platform },
            93..95 => Act::Verify { platform },
            _ => Act::Resume { platform },
        }
    }

    async fn carry_out(&mut self, caller: &Caller, act: &Act) -> Result<(), String> {
        let reason = json!({"reason": "演练"});
        let (word, key, path, body) = match act {
            Act::Publish { entry, revision } => {
                let body = self.submission(*entry, *revision);
                let word = if *revision == 1 { "new" } else { "corrected" };
                (word, &caller.oa_key, "/v1/submissions".to_owned(), body)
            }
            Act::Withdraw { entry, revision } => {
                let mut body = self.submission(*entry, *revision);
                body["action"] = json!("withdraw");
                body["reason"] = json!("演练");
                body.as_object_mut().expect("an object").remove("entry");
                (
                    "withdrawn",
                    &caller.oa_key,
                    "/v1/submissions".to_owned(),
                    body,
                )
            }
            Act::TakeDown { entry } => {
                let path = format!("/v1/records/{}/withdraw", self.record_id(*entry));
                ("taken_down", &caller.operator_key, path, reason)
            }
            Act::Replay { entry } => {
                let filter = json!({"record": self.record_id(*entry)});
                let look = json!({"filter": filter, "dry_run": true});
                let (status, seen) = caller
                    .call(&caller.operator_key, "/v1/replays", &look)
                    .await?;
                assert_eq!(status, 200, "{act:?}: {seen:#}");
                let hash = &seen["selection_hash"];
                let body = json!({"filter": filter, "selection_hash": hash, "reason": "演练"});
                (
                    "replayed",
                    &caller.operator_key,
                    "/v1/replays".to_owned(),
                    body,
                )
            }
            Act::Pause { platform } => {
                let path = format!("/v1/platforms/{}/pause", ALL[*platform]);
                ("paused", &caller.operator_key, path, reason)
            }
            Act::Resume { platform } => {
                let path = format!("/v1/platforms/{}/resume", ALL[*platform]);
                ("resumed", &caller.operator_key, path, reason)
            }
            Act::Verify { platform } => {
                let path = format!("/v1/platforms/{}/verify", ALL[*platform]);
                let body = json!({"reason": "演练", "repair": true});
                ("verified", &caller.operator_key, path, body)
            }
        };
        let (status, answer) = caller.call(key, &path, &body).await?;
        // Nothing to send again: all of it is on its way already.
        let idle = matches!(act, Act::Replay { .. } | Act::Verify { .. })
            && matches!(status, 400 | 409 | 422);
        assert!(
            matches!(status, 200 | 202) || idle,
            "{act:?}: {status} {answer:#}"
        );
        *self.acts.entry(word).or_default() += 1;
        self.note(act, &answer);
        Ok(())
    }

    /// Remembers what was promised.
    fn note(&mut self, act: &Act, answer: &Value) {
        match act {
            Act::Publish { entry, revision } | Act::Withdraw { entry, revision } => {
                let promised = &mut self.entries[*entry];
                let id = answer["record_id"].as_str().expect("an id").to_owned();
                let known = promised.record_id.get_or_insert_with(|| id.clone());
                assert_eq!(*known, id, "one record per source id");
                promised.revision = *revision;
                promised.shown = matches!(act, Act::Publish { .. });
            }
            Act::TakeDown { entry } => self.entries[*entry].shown = false,
            Act::Replay { .. } | Act::Pause { .. } | Act::Resume { .. } | Act::Verify { .. } => {}
        }
    }

    fn record_id(&self, entry: usize) -> &str {
        let id = self.entries[entry].record_id.as_deref();
        id.expect("each entry is answered before the next act")
    }

    fn submission(&self, entry: usize, revision: i64) -> Value {
        let Entry {
            source_id, files, ..
        } = &self.entries[entry];
        let mut submission = entry_for_all(source_id, revision);
        let pdf = sample("14-A5-shuizhi-yuebao-pdf.json")["entry"]["attachments"][0].clone();
        let attachments: Vec<Value> = (0..*files)
            .map(|number| {
                let mut file = pdf.clone();
                file["name"] = json!(format!("附件{number}.pdf"));
                file
            })
            .collect();
        submission["entry"]["attachments"] = json!(attachments);
        submission
    }
}

/// What does not hold at the end. Each list names records with what was found instead.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Findings {
    pub(crate) lost: Vec<String>,
    pub(crate) doubled: Vec<String>,
    pub(crate) stale: Vec<String>,
    /// Shown, and should not be.
    pub(crate) left_over: Vec<String>,
}

impl Findings {
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares what the platforms show with what was promised.
pub(crate) async fn audit(stories: &[&Story], platforms: &Platforms) -> Findings {
    let mut findings = Findings::default();
    for platform in ALL {
        let mut shown: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for article in platforms.articles(platform).await {
            let record = article["record_id"].as_str().expect("text").to_owned();
            shown.entry(record).or_default().push(article);
        }
        for entry in stories.iter().flat_map(|story| &story.entries) {
            // One that was never answered was never promised.
            let Some(record_id) = &entry.record_id else {
                continue;
            };
            let articles = shown.remove(record_id).unwrap_or_default();
            compare(entry, platform, &articles, &mut findings);
        }
        for (record, _) in shown {
            findings
                .left_over
                .push(format!("{platform} shows {record}, of which nobody knows"));
        }
    }
    findings
}

fn compare(entry: &Entry, platform: &str, articles: &[Value], findings: &mut Findings) {
    let what = format!(
        "{} revision {} on {platform}",
        entry.source_id, entry.revision
    );
    let ending = format!("第{}次", entry.revision);
    match articles {
        [] if entry.shown => findings.lost.push(what),
        [] => {}
        [one] if entry.shown => {
            let title = one["title"].as_str().unwrap_or_default();
            let files = one["attachments"].as_array().map_or(0, Vec::len);
            if !title.ends_with(&ending) || files != entry.files {
                let found = format!(
                    "{what}: shows {title} with {files} of {} files",
                    entry.files
                );
                findings.stale.push(found);
            }
        }
        [_] => findings.left_over.push(what),
        several => findings
            .doubled
            .push(format!("{what}: {} times", several.len())),
    }
}
