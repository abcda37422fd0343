//! What the records say, kept beside the hub: what each platform has to show in the end.

use super::PLATFORMS;
use std::collections::BTreeMap;
use synchub::record::{
    Action, Body, Content, Disclosure, Hold, HoldCode, RecordId, SubmissionId, Unit,
};
use synchub::store::{NewSubmission, Reckoning};

/// What a platform has to show of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// This version.
    Shown(i64),
    /// Nothing.
    Gone,
    /// Nothing new: what was public before may stay.
    AsItWas,
}

/// One version that the hub has accepted.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) title: String,
    /// It may be shown: nothing held it, or a person released it.
    pub(super) passed: bool,
}

/// One record as the world outside the hub knows it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) id: Option<RecordId>,
    pub(super) revision: i64,
    /// What was posted last.
    pub(super) last: Option<NewSubmission>,
    pub(super) version: i64,
    pub(super) versions: BTreeMap<i64, Version>,
    pub(super) wishes: BTreeMap<&'static str, Wish>,
    /// Where the newest version belongs.
    pub(super) routed: Vec<&'static str>,
    /// Platform → the version that it shows under another title, and that title.
    pub(super) overrides: BTreeMap<&'static str, (i64, String)>,
}

/// What holds a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Held,
    Sealed,
}

impl Model {
    /// Takes note of a publication that the hub has accepted as `version`.
    pub(super) fn published(&mut self, version: i64, title: &str, gate: Gate) {
        self.version = version;
        let title = title.to_owned();
        let passed = gate == Gate::Open;
        self.versions.insert(version, Version { title, passed });
        for platform in PLATFORMS {
            let routed = self.routed.contains(&platform);
            let wish = match (gate, self.wishes.get(platform)) {
                (Gate::Open, _) if routed => Wish::Shown(version),
                (Gate::Held, Some(Wish::Shown(_) | Wish::AsItWas)) => Wish::AsItWas,
                (_, None) if !routed => continue,
                _ => Wish::Gone,
            };
            self.wishes.insert(platform, wish);
        }
    }

    /// Returns the title that a platform has to show of a version that was accepted.
    pub(super) fn title(&self, platform: &str, version: i64) -> Option<&str> {
        match self.overrides.get(platform) {
            Some((it, title)) if *it == version => Some(title),
            _ => self.versions.get(&version).map(|it| it.title.as_str()),
        }
    }

    /// Takes note that nothing of it shall be shown.
    pub(super) fn withdrawn(&mut self, version: i64) {
        self.version = version;
        for wish in self.wishes.values_mut() {
            *wish = Wish::Gone;
        }
    }

    /// Takes note that the newest version was released.
    pub(super) fn released(&mut self) {
        let version = self.version;
        if let Some(released) = self.versions.get_mut(&version) {
            released.passed = true;
        }
        for wish in self.wishes.values_mut() {
            *wish = Wish::Gone;
        }
        for platform in &self.routed {
            self.wishes.insert(platform, Wish::Shown(version));
        }
    }
}

/// Makes a publication of one record.
pub(super) fn publication(record: usize, revision: i64, gate: Gate, now: i64) -> NewSubmission {
    let title = format!("第{}条第{revision}稿", record + 1);
    let code = match gate {
        Gate::Open => None,
        Gate::Held => Some(HoldCode::PersonalData),
        Gate::Sealed => Some(HoldCode::Withheld),
    };
    NewSubmission {
        action: Action::Publish,
        content_sha256: title.clone(),
        content: Some(Box::new(content(title))),
        holds: code
            .into_iter()
            .map(|code| Hold {
                code,
                detail: "…".to_owned(),
            })
            .collect(),
        ..withdrawal(record, revision, now)
    }
}

/// Makes a withdrawal of one record.
pub(super) fn withdrawal(record: usize, revision: i64, now: i64) -> NewSubmission {
    NewSubmission {
        id: SubmissionId::generate(),
        account_id: "oa".to_owned(),
        source: "oa".to_owned(),
        source_id: format!("OA-{record}"),
        revision,
        action: Action::Withdraw,
        reason: None,
        body: format!("{record} {revision}"),
        body_sha256: format!("{record} {revision}"),
        idempotency_key: None,
        received_at: now,
        content: None,
        content_sha256: String::new(),
        holds: Vec::new(),
        findings: Vec::new(),
        warnings: Vec::new(),
        platforms: Vec::new(),
        files: Vec::new(),
        ahead: false,
        revision_ahead_max: 10,
        reckoning: Reckoning::default(),
    }
}

fn content(title: String) -> Content {
    Content {
        title,
        doc_no: None,
        doc_no_raw: None,
        unit: Unit {
            code: "11440200006998012A".to_owned(),
            name: "韶关市财政局".to_owned(),
            division: "440200".to_owned(),
        },
        joint_units: Vec::new(),
        written_on: "2014-09-18".to_owned(),
        written_on_raw: "2014年9月18日".to_owned(),
        disclosure: Disclosure::Proactive,
        area: None,
        area_name: None,
        column: None,
        genre: None,
        keywords: Vec::new(),
        summary: None,
        index_no: None,
        body: Body {
            html: "<p>正文</p>".to_owned(),
        },
        attachments: Vec::new(),
        project: None,
        credit: None,
    }
}
