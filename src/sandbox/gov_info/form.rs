//! What the government-information platform demands of an article.
//!
//! Owns the field table, the shapes and the Chinese messages. Never stores anything; see
//! [`super`] for what follows.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sandbox::look::Look;
use crate::sandbox::shelf::{Attachment, Edition, from_base64, is_file_name};

const TITLE_CHARS_MAX: usize = 120;
const SUMMARY_CHARS_MAX: usize = 300;
const ATTACHMENTS_MAX: usize = 100;

/// An answer with a code other than 0.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: u32,
    pub(super) told: String,
    pub(super) field: Option<String>,
}

impl Fault {
    pub(super) fn new(code: u32, told: &str) -> Fault {
        Fault {
            code,
            told: told.to_owned(),
            field: None,
        }
    }

    fn field(field: &str, told: &str) -> Fault {
        Fault {
            code: 42201,
            told: format!("字段不符合要求：{told}"),
            field: Some(field.to_owned()),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    List,
}

/// Every field the platform knows, and whether it may be left out.
const FIELDS: [(&str, Kind, bool); 14] = [
    ("indexNo", Kind::Text, true),
    ("category", Kind::Text, true),
    ("channelId", Kind::Number, true),
    ("publisher", Kind::Text, true),
    ("publisherCode", Kind::Text, false),
    ("writtenDate", Kind::Text, true),
    ("title", Kind::Text, true),
    ("documentNo", Kind::Text, true),
    ("genre", Kind::Text, false),
    ("keywords", Kind::Text, false),
    ("summary", Kind::Text, false),
    ("content", Kind::Text, true),
    ("revision", Kind::Number, true),
    ("attachments", Kind::List, false),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SentFile {
    name: String,
    media_type: String,
    sha256: String,
    content_base64: String,
}

static INDEX_NO: LazyLock<Regex> = LazyLock::new(|| {
    let families = r"^([0-9A-Z]{8}[0-9X]?/\d{4}-\d{1,8}|[0-9A-HJ-NP-RTUW-Y]{18}/\d{4}-\d{5})$";
    Regex::new(families).expect("the pattern is a constant that a test compiles")
});

static WRITTEN_DATE: LazyLock<Regex> = LazyLock::new(|| {
    let shape = r"^\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?$";
    Regex::new(shape).expect("the pattern is a constant that a test compiles")
});

/// Reads the body of a save and returns the edition to keep.
pub(super) fn read(body: &[u8], look: &Look) -> Result<Edition, Fault> {
    let form: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        Fault::new(
            42201,
            &format!("字段不符合要求：不是有效的 JSON（{error}）"),
        )
    })?;
    check_kinds(&form)?;
    let text = |name: &str| form.get(name).and_then(Value::as_str).unwrap_or_default();
    check_texts(text)?;
    let channel = form["channelId"].to_string();
    if !look.has_column(&channel) {
        return Err(Fault {
            code: 42202,
            told: format!("栏目 {channel} 不存在"),
            field: Some("channelId".to_owned()),
        });
    }
    let attachments = read_attachments(&form)?;
    let labels = [
        ("索引号", "indexNo"),
        ("分类", "category"),
        ("发布机构", "publisher"),
        ("成文日期", "writtenDate"),
        ("文号", "documentNo"),
        ("体裁", "genre"),
        ("主题词", "keywords"),
        ("内容概述", "summary"),
    ];
    let facts = labels.map(|(label, field)| (label.to_owned(), text(field).to_owned()));
    Ok(Edition {
        version: form["revision"].as_i64().unwrap_or_default(),
        title: text("title").to_owned(),
        doc_no: text("documentNo").to_owned(),
        column: channel,
        html: text("content").to_owned(),
        facts: facts.to_vec(),
        attachments,
        form: Value::Null,
        saved_at_ms: crate::clock::now_ms(),
    })
}

fn check_kinds(form: &Map<String, Value>) -> Result<(), Fault> {
    let is_known = |name: &str| FIELDS.iter().any(|(known, ..)| *known == name);
    if let Some(unknown) = form.keys().find(|name| !is_known(name)) {
        return Err(Fault::field(unknown, &format!("不认识的字段 {unknown}")));
    }
    for (name, kind, required) in FIELDS {
        let fits = match (form.get(name), kind) {
            (None, _) => !required,
            (Some(value), Kind::Text) => value.is_string(),
            (Some(value), Kind::Number) => value.is_i64(),
            (Some(value), Kind::List) => value.is_array(),
        };
        if !fits {
            let told = match (form.contains_key(name), kind) {
                (false, _) => "缺少必填字段",
                (true, Kind::Text) => "应为文本",
                (true, Kind::Number) => "应为整数",
                (true, Kind::List) => "应为数组",
            };
            return Err(Fault::field(name, &format!("{name} {told}")));
        }
    }
    Ok(())
}

fn check_texts<'a>(text: impl Fn(&str) -> &'a str) -> Result<(), Fault> {
    for (name, label) in [
        ("category", "分类"),
        ("publisher", "发布机构"),
        ("title", "标题"),
    ] {
        if text(name).trim().is_empty() {
            return Err(Fault::field(name, &format!("{label}不能为空")));
        }
    }
    if !INDEX_NO.is_match(text("indexNo")) {
        return Err(Fault::field("indexNo", "索引号格式不正确"));
    }
    if text("title").chars().count() > TITLE_CHARS_MAX {
        return Err(Fault::field("title", "标题不得超过 120 字"));
    }
    if text("summary").chars().count() > SUMMARY_CHARS_MAX {
        return Err(Fault::field("summary", "内容概述不得超过 300 字"));
    }
    if !WRITTEN_DATE.is_match(text("writtenDate")) {
        let told = "成文日期应为 YYYY-MM-DD 或 YYYY-MM";
        return Err(Fault::field("writtenDate", told));
    }
    let doc_no = text("documentNo");
    if doc_no != "无" && !doc_no.contains(|letter: char| letter.is_ascii_digit()) {
        return Err(Fault::field("documentNo", "文号应含编号，没有文号时填“无”"));
    }
    Ok(())
}

fn read_attachments(form: &Map<String, Value>) -> Result<Vec<Attachment>, Fault> {
    let Some(sent) = form.get("attachments").and_then(Value::as_array) else {
        return Ok(Vec::new());
    };
    let refuse = |told: &str| Fault::field("attachments", told);
    if sent.len() > ATTACHMENTS_MAX {
        return Err(refuse("附件过多"));
    }
    let mut attachments: Vec<Attachment> = Vec::with_capacity(sent.len());
    for value in sent {
        let file = SentFile::deserialize(value)
            .map_err(|error| refuse(&format!("附件字段不正确（{error}）")))?;
        let name = &file.name;
        let is_taken = attachments.iter().any(|other| other.name == *name);
        if is_taken || !is_file_name(name) {
            return Err(refuse(&format!("附件名称 {name} 重复或不可用")));
        }
        let bytes = from_base64(&file.content_base64)
            .ok_or_else(|| refuse(&format!("附件 {name} 的内容不是有效的 BASE64")))?;
        let attachment = Attachment::new(file.name, file.media_type, bytes);
        if !attachment.sha256.eq_ignore_ascii_case(&file.sha256) {
            return Err(refuse(&format!(
                "附件 {} 的摘要与内容不符",
                attachment.name
            )));
        }
        attachments.push(attachment);
    }
    Ok(attachments)
}
