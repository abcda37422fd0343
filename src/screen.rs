//! Decides what may not leave the hub, and says why in words a clerk understands.
//!
//! Three gates: 公开方式 (declared, and what the text says), secrecy marks, personal data. They look
//! at title, text, fields and at attachments they can read; [`Rules`] are data. A gate never changes the content and
//! never lets anything through that another gate holds; see [`crate::normalise`] for where the
//! content comes from.

mod attachment;
mod disclosure;
mod identity;
mod marks;
mod mask;
mod personal;
mod report;
mod roster;
mod rules;
mod spreadsheet;

pub use mask::mask;
pub use rules::{Rules, RulesError};

use crate::normalise::{File, plain_text};
use crate::record::{Content, Disclosure, Finding, Hold, HoldCode, Warning};
use attachment::{FILE_BYTES_MAX, Readable, read, unread};
use marks::MarkCode;
use report::PersonalData;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Most findings that are kept of one record.
const FINDINGS_MAX: usize = 100;

/// What is screened: the content and what it was made from.
#[derive(Debug, Clone, Copy)]
pub struct Inspected<'a> {
    /// The canonical content.
    pub content: &'a Content,
    /// 公开方式 as the clerk wrote it.
    pub declared: &'a str,
    /// The files of the content.
    pub files: &'a [File],
}

/// What the gates found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Screening {
    /// Why the record is held: at most one of each code, in the order of [`HoldCode`].
    pub holds: Vec<Hold>,
    /// What was found where, up to 100; nothing in it names a person.
    pub findings: Vec<Finding>,
    /// Attachments that could not be looked into, or only in part.
    pub warnings: Vec<Warning>,
}

/// What kind of thing was found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A mark of secrecy.
    Secrecy,
    /// A mark against publication.
    Contradiction,
    /// A list of persons.
    NameList,
    /// 身份证号
    IdCard,
    /// 手机号
    Mobile,
    /// 银行卡号
    BankCard,
}

impl Code {
    /// Returns the word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secrecy => "secrecy",
            Self::Contradiction => "contradiction",
            Self::NameList => "name_list",
            Self::IdCard => "id_card",
            Self::Mobile => "mobile",
            Self::BankCard => "bank_card",
        }
    }
}

/// One thing found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub code: Code,
    /// First byte in the text.
    pub start: usize,
    /// Byte behind the last one.
    pub end: usize,
    /// What a clerk is shown of it; numbers and names are masked.
    pub shown: String,
}

/// One text of the record and where a clerk finds it.
struct Passage<'a> {
    place: Cow<'static, str>,
    text: Cow<'a, str>,
    /// Whether a text here can carry marks of secrecy and 公开方式, not only personal data.
    bears_marks: bool,
}

/// Returns everything that is found in a text, in its order.
pub fn look(text: &str, rules: &Rules) -> Vec<Found> {
    let mut found = rules.marks.find(text);
    found.extend(persons(text, rules));
    found.sort_by_key(|found| found.start);
    found
}

/// Returns what names persons in a text.
fn persons(text: &str, rules: &Rules) -> Vec<Found> {
    let numbers = personal::find(text, &rules.numbers);
    let lists = roster::rosters(text, &numbers, &rules.list);
    let lists = lists.into_iter().map(|list| Found {
        code: Code::NameList,
        start: list.start,
        end: list.end,
        shown: format!("{}*等{}人", list.first, list.rows),
    });
    let numbers = numbers.iter().map(|number| Found {
        code: number.kind.code(),
        start: number.start,
        end: number.end,
        shown: mask::masked_number(number.kind, &text[number.start..number.end]),
    });
    lists.chain(numbers).collect()
}

/// Screens one record.
pub fn screen(inspected: &Inspected<'_>, rules: &Rules) -> Screening {
    let content = inspected.content;
    let mut warnings = Vec::new();
    let passages = passages(inspected, &mut warnings);
    let mut screening = Screening {
        holds: Vec::from_iter(disclosure::declared(content.disclosure, inspected.declared)),
        findings: Vec::new(),
        warnings,
    };
    screening.look_through(&passages, content.disclosure, rules);
    screening
}

/// Screens one file by itself, the attachment at `place` of an entry.
pub fn screen_file(place: usize, file: &File, disclosure: Disclosure, rules: &Rules) -> Screening {
    let mut screening = Screening::default();
    let passages = of_file(place, file, &mut screening.warnings);
    screening.look_through(&passages, disclosure, rules);
    screening
}

impl Screening {
    /// Joins what was found elsewhere in the same record; of each code the first hold stays.
    pub fn add(&mut self, other: Self) {
        for hold in other.holds {
            if !self.holds.iter().any(|known| known.code == hold.code) {
                self.holds.push(hold);
            }
        }
        self.holds.sort_by_key(|hold| hold.code);
        self.findings.extend(other.findings);
        self.findings.truncate(FINDINGS_MAX);
        self.warnings.extend(other.warnings);
    }

    fn look_through(&mut self, passages: &[Passage<'_>], disclosure: Disclosure, rules: &Rules) {
        let mut contradiction = None;
        let mut secret = None;
        let mut personal_data = PersonalData::default();
        for passage in passages {
            let mut found = persons(&passage.text, rules);
            personal_data.add(&passage.place, &found);
            if passage.bears_marks {
                found.extend(rules.marks.find(&passage.text));
            }
            found
                .retain(|it| it.code != Code::Contradiction || disclosure == Disclosure::Proactive);
            let first = |code| found.iter().find(|it| it.code == code);
            let place = |it: &Found| (passage.place.clone(), it.shown.clone());
            contradiction = contradiction.or_else(|| first(Code::Contradiction).map(place));
            secret = secret.or_else(|| first(Code::Secrecy).map(place));
            found.sort_by_key(|it| it.start);
            let left = FINDINGS_MAX.saturating_sub(self.findings.len());
            self.findings.extend(recorded(passage, &found).take(left));
        }
        if let Some((place, said)) = contradiction {
            let detail = format!(
                "公开方式填写为“主动公开”，但{place}写明“{said}”，请核实：确需公开的，修改文中标注；不应公开的，修改公开方式。"
            );
            self.holds.push(hold(HoldCode::Contradiction, detail));
        }
        if let Some((place, mark)) = secret {
            let detail = format!(
                "{place}带有密级或内部标识“{mark}”，不得在公开平台发布，请先办理保密审查；误标的，删除标识后重新提交。"
            );
            self.holds.push(hold(HoldCode::Secrecy, detail));
        }
        if let Some(detail) = personal_data.detail() {
            self.holds.push(hold(HoldCode::PersonalData, detail));
        }
    }
}

/// Returns what is kept of what was found in a passage, with places counted in characters.
fn recorded<'a>(passage: &'a Passage<'_>, found: &'a [Found]) -> impl Iterator<Item = Finding> {
    let mut counted = (0, 0);
    found.iter().map(move |found| {
        // A list begins before the numbers in it, so places only grow.
        counted.1 += passage.text[counted.0..found.start].chars().count() as u64;
        counted.0 = found.start;
        let length = passage.text[found.start..found.end].chars().count() as u64;
        Finding {
            code: found.code.as_str().to_owned(),
            place: passage.place.to_string(),
            start: counted.1,
            end: counted.1 + length,
            excerpt_masked: found.shown.clone(),
        }
    })
}

fn hold(code: HoldCode, detail: impl Into<String>) -> Hold {
    Hold {
        code,
        detail: detail.into(),
    }
}

fn passages<'a>(inspected: &'a Inspected<'_>, warnings: &mut Vec<Warning>) -> Vec<Passage<'a>> {
    let content = inspected.content;
    let marked = |place: &'static str, text: Cow<'a, str>| Passage {
        place: place.into(),
        text,
        bears_marks: true,
    };
    let mut passages = vec![
        marked("标题", content.title.as_str().into()),
        marked("正文", plain_text(&content.body.html).into()),
    ];
    if let Some(summary) = &content.summary {
        passages.push(marked("内容概述", summary.as_str().into()));
    }
    let unmarked = |place: &'static str, text: String| Passage {
        place: place.into(),
        text: text.into(),
        bears_marks: false,
    };
    passages.push(unmarked("主题词", content.keywords.join("\n")));
    if let Some(project) = &content.project {
        let mut text = format!("{}\n{}", project.name, project.owner);
        append_fields(&project.fields, &mut text);
        passages.push(unmarked("项目字段", text));
    }
    if let Some(credit) = &content.credit {
        let mut text = credit.subject.clone();
        append_fields(&credit.fields, &mut text);
        passages.push(unmarked("信用字段", text));
    }
    for (place, file) in inspected.files.iter().enumerate() {
        passages.extend(of_file(place, file, warnings));
    }
    passages
}

/// Returns the name and the text of an attachment.
fn of_file(place: usize, file: &File, warnings: &mut Vec<Warning>) -> Vec<Passage<'static>> {
    let name = Passage {
        place: "附件名称".into(),
        text: file.name.clone().into(),
        bears_marks: false,
    };
    std::iter::once(name)
        .chain(in_file(place, file, warnings))
        .collect()
}

/// Returns the text of an attachment, with a warning when a person has to look instead.
fn in_file(place: usize, file: &File, warnings: &mut Vec<Warning>) -> Option<Passage<'static>> {
    let in_file = format!("附件《{}》", file.name);
    let readable = match file.content.whole(FILE_BYTES_MAX) {
        Ok(Some(bytes)) => read(&file.name, &file.media_type, &bytes),
        Ok(None) => unread(&file.media_type),
        // A disk that fails; whoever posts it hears of it when it is to be kept.
        Err(_) => Readable::No,
    };
    let (text, trouble) = match readable {
        Readable::Text(text) => (text, None),
        Readable::InPart(text) => (text, Some("内容过多或有部分无法打开，只检查了一部分")),
        Readable::No => (String::new(), Some("无法打开（可能加密或损坏），未能检查")),
        Readable::NoText => (String::new(), Some("没有文字（可能是扫描件），未能检查")),
        Readable::TooLarge => (String::new(), Some("过大，未能检查")),
        Readable::Opaque => return None,
    };
    if let Some(trouble) = trouble {
        warnings.push(Warning {
            platform: None,
            pointer: format!("/entry/attachments/{place}"),
            code: "attachment_unreadable".to_owned(),
            detail: format!("{in_file}{trouble}，请人工确认其中没有个人信息和密级标识。"),
        });
    }
    Some(Passage {
        place: in_file.into(),
        text: text.into(),
        bears_marks: true,
    })
}

/// Appends every text and number of the fields, each on its own line.
fn append_fields(fields: &Map<String, Value>, text: &mut String) {
    for (name, value) in fields {
        text.push('\n');
        text.push_str(name);
        text.push('：');
        append_value(value, text);
    }
}

fn append_value(value: &Value, text: &mut String) {
    match value {
        Value::String(content) => text.push_str(content),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::Array(values) => {
            for value in values {
                append_value(value, text);
                text.push('\n');
            }
        }
        Value::Object(fields) => append_fields(fields, text),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests;
