//! Decides what may not leave the hub, and says why in words a clerk understands.
//!
//! Three gates: 公开方式 (declared, and what the text says), secrecy marks, personal data. They look
//! at title, text, fields and at attachments they can read. A gate never changes the content and
//! never lets anything through that another gate holds; see [`crate::normalise`] for where the
//! content comes from.

mod attachment;
mod disclosure;
mod identity;
mod mask;
mod personal;
mod report;
mod secrecy;
mod spreadsheet;

pub use mask::mask;

use crate::normalise::{File, plain_text};
use crate::record::{Content, Hold, HoldCode, Warning};
use attachment::{Readable, read};
use report::PersonalData;
use serde_json::{Map, Value};
use std::borrow::Cow;

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
    /// Attachments that could not be looked into, or only in part.
    pub warnings: Vec<Warning>,
}

/// One text of the record and where a clerk finds it.
struct Passage<'a> {
    place: Cow<'static, str>,
    text: Cow<'a, str>,
    /// Whether a text here can carry marks of secrecy and 公开方式, not only personal data.
    bears_marks: bool,
}

/// Screens one record.
pub fn screen(inspected: &Inspected<'_>) -> Screening {
    let mut screening = Screening::default();
    let passages = passages(inspected, &mut screening.warnings);
    let content = inspected.content;
    screening
        .holds
        .extend(disclosure::declared(content.disclosure, inspected.declared));
    let marked = || passages.iter().filter(|passage| passage.bears_marks);
    if content.disclosure == crate::record::Disclosure::Proactive {
        let found = marked().find_map(|passage| {
            let said = disclosure::contradiction(&passage.text)?;
            Some((&passage.place, said))
        });
        if let Some((place, said)) = found {
            let detail = format!(
                "公开方式填写为“主动公开”，但{place}写明“{said}”，请核实：确需公开的，修改文中标注；不应公开的，修改公开方式。"
            );
            screening.holds.push(hold(HoldCode::Contradiction, detail));
        }
    }
    let secret = marked().find_map(|passage| Some((&passage.place, secrecy::mark(&passage.text)?)));
    if let Some((place, mark)) = secret {
        let detail = format!(
            "{place}带有密级或内部标识“{mark}”，不得在公开平台发布，请先办理保密审查；误标的，删除标识后重新提交。"
        );
        screening.holds.push(hold(HoldCode::Secrecy, detail));
    }
    let mut personal_data = PersonalData::default();
    for passage in &passages {
        personal_data.look_into(&passage.place, &passage.text);
    }
    if let Some(detail) = personal_data.detail() {
        screening.holds.push(hold(HoldCode::PersonalData, detail));
    }
    screening
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
        passages.push(unmarked("附件名称", file.name.clone()));
        let in_file = format!("附件《{}》", file.name);
        let (text, trouble) = match read(file) {
            Readable::Text(text) => (text, None),
            Readable::InPart(text) => (text, Some("内容过多，只检查了前一部分")),
            Readable::No => (String::new(), Some("无法打开（可能加密或损坏），未能检查")),
            Readable::Opaque => continue,
        };
        if let Some(trouble) = trouble {
            warnings.push(Warning {
                platform: None,
                pointer: format!("/entry/attachments/{place}"),
                code: "attachment_unreadable".to_owned(),
                detail: format!("{in_file}{trouble}，请人工确认其中没有个人信息和密级标识。"),
            });
        }
        passages.push(Passage {
            place: in_file.into(),
            text: text.into(),
            bears_marks: true,
        });
    }
    passages
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
