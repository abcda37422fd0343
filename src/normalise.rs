//! Turns an entry as the clerk wrote it into one canonical [`Content`].
//!
//! It mends spelling (document numbers, dates, codes, blanks), finds unit and area in the
//! [`Catalogue`] and cleans the text. All mistakes of an entry are reported at once. It never
//! decides whether an entry may go out: that is [`crate::screen`].

mod attachment;
mod charset;
mod column;
mod credit;
mod date;
mod disclosure;
mod doc_no;
mod html;
mod id_card;
mod index_no;
mod media_type;
mod money;
mod numeral;
mod org_code;
mod project;
mod project_code;
pub mod text;
mod uscc;

pub use attachment::{ATTACHMENT_BYTES_MAX, ATTACHMENTS_BYTES_MAX, File};
pub use charset::{Charset, Decoded, decode_body, unescaped};
pub use date::{Precision, Written, date, date_of_number, written_date};
pub use disclosure::disclosure;
pub use doc_no::{DocNo, doc_no};
pub use html::{
    BODY_CHARS_MAX, Cleaned, Dropped, HTML_DEPTH_MAX, HtmlError, InlineImage, clean_html,
    plain_text, text_to_html,
};
pub use id_card::{id_card, is_identity_card, with_check_restored};
pub use index_no::{IndexFamily, index_family, index_no};
pub use media_type::{HEAD_BYTES, media_type_of_name, sniff};
pub use money::{MoneyError, money};
pub use org_code::{org_code, org_code_holds};
pub use project_code::{ProjectCode, project_code};
pub use uscc::{uscc, uscc_holds};

use crate::catalogue::{Area, Catalogue};
use crate::record::{Attachment, Body, BodyFormat, Content, Entry, FieldError, Unit, Warning};
use text::{lines, one_line, optional_line};

/// How many similar units or areas an error names.
const NEAREST_NAMED: usize = 3;
/// Longest title; longer ones no platform takes.
const TITLE_CHARS_MAX: usize = 200;

/// An entry after normalising.
#[derive(Debug, Clone)]
pub struct Normalised {
    /// The canonical content.
    pub content: Content,
    /// 公开方式 as the clerk wrote it, for the words of a hold.
    pub declared: String,
    /// The files, in the order of `content.attachments`.
    pub files: Vec<File>,
    /// What should be mended but does not stop the entry.
    pub warnings: Vec<Warning>,
}

/// Normalises one entry.
///
/// # Errors
/// Everything that is wrong with the entry, each with its pointer and a sentence for the clerk.
pub fn normalise(entry: &Entry, catalogue: &Catalogue) -> Result<Normalised, Vec<FieldError>> {
    let mut findings = Findings::default();
    let title = title(&entry.title, &mut findings);
    let units = units(&entry.unit, catalogue, &mut findings);
    let written_on = written_on(&entry.written_on, &mut findings);
    let area = area(entry.area.as_deref(), catalogue, &mut findings);
    let column = column::column(entry.column.as_deref(), area, catalogue, &mut findings);
    let area = area.unwrap_or_default();
    let doc_no = document_number(entry.doc_no.as_deref(), &mut findings);
    let mut files = attachment::files(&entry.attachments, &mut findings);
    let body = body(entry, &mut files, &mut findings);
    let project = entry
        .project
        .as_ref()
        .map(|project| project::project(project, &mut findings));
    let credit = entry
        .credit
        .as_ref()
        .map(|credit| credit::credit(credit, &mut findings));
    private_use(&title, &body, &mut findings);
    if !findings.errors.is_empty() {
        return Err(findings.errors);
    }
    let unit = units
        .first()
        .cloned()
        .expect("a list of units without error names at least one");
    let declared = one_line(entry.disclosure.as_deref().unwrap_or_default());
    let content = Content {
        title,
        doc_no,
        doc_no_raw: optional_line(entry.doc_no.as_deref()),
        unit,
        joint_units: if units.len() > 1 { units } else { Vec::new() },
        written_on,
        written_on_raw: one_line(&entry.written_on),
        disclosure: disclosure(&declared),
        area: area.map(|area| area.key.clone()),
        area_name: area.map(|area| area.name.clone()),
        column: column.name,
        genre: optional_line(entry.genre.as_deref()),
        keywords: keywords(&entry.keywords),
        summary: entry
            .summary
            .as_deref()
            .map(lines)
            .filter(|summary| !summary.is_empty()),
        index_no: entry.index_no.as_deref().and_then(index_no),
        body,
        attachments: files.iter().map(described).collect(),
        project,
        credit,
    };
    if let Some(column) = column.column {
        column::elements(column, &content, &mut findings);
    }
    Ok(Normalised {
        content,
        declared,
        files,
        warnings: findings.warnings,
    })
}

/// What was found wrong so far.
#[derive(Default)]
struct Findings {
    errors: Vec<FieldError>,
    warnings: Vec<Warning>,
}

impl Findings {
    fn error(&mut self, pointer: &str, code: &str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, code, detail));
    }

    fn warning(&mut self, pointer: &str, code: &str, detail: impl Into<String>) {
        self.warnings.push(Warning {
            platform: None,
            pointer: pointer.to_owned(),
            code: code.to_owned(),
            detail: detail.into(),
        });
    }
}

fn title(written: &str, findings: &mut Findings) -> String {
    let title = one_line(written);
    if title.is_empty() {
        findings.error(
            "/entry/title",
            "title_empty",
            "标题是空白，请填写完整标题。",
        );
    } else if title.chars().count() > TITLE_CHARS_MAX {
        let detail = format!("标题超过{TITLE_CHARS_MAX}个字，请缩短。");
        findings.error("/entry/title", "too_long", detail);
    }
    title
}

fn units(written: &str, catalogue: &Catalogue, findings: &mut Findings) -> Vec<Unit> {
    let visible = text::visible(written);
    if let Some((former, unit)) = catalogue.former_name(&visible) {
        let detail = format!("“{former}”是曾用名，已按现名“{}”登记。", unit.unit.name);
        findings.warning("/entry/unit", "former_name", detail);
    }
    catalogue.units(&visible).unwrap_or_else(|unknown| {
        let detail = if unknown.text.is_empty() {
            "发布机构是空白，请填写单位全称或规范简称。".to_owned()
        } else {
            let nearest = suggestion(&unknown.nearest);
            let text = excerpt(&unknown.text);
            format!("发布机构“{text}”不在单位名录中{nearest}。")
        };
        findings.error("/entry/unit", "unknown_unit", detail);
        Vec::new()
    })
}

/// Finds the area; `Err` when it is not known, which is noted.
fn area<'a>(
    written: Option<&str>,
    catalogue: &'a Catalogue,
    findings: &mut Findings,
) -> Result<Option<&'a Area>, ()> {
    let written = one_line(written.unwrap_or_default());
    if text::says_nothing(&written) {
        return Ok(None);
    }
    catalogue.area(&written).map(Some).ok_or_else(|| {
        let nearest = suggestion(&catalogue.nearest_areas(&written, NEAREST_NAMED));
        let text = excerpt(&written);
        let detail = format!("重点领域“{text}”不在目录中{nearest}；不属于重点领域的请留空。");
        findings.error("/entry/area", "unknown_area", detail);
    })
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return "，请核对名称".to_owned();
    }
    format!("，是否为：{}", nearest.join("、"))
}

/// Returns enough of a text to recognise it in an error.
fn excerpt(text: &str) -> String {
    const EXCERPT_CHARS: usize = 40;
    if text.chars().count() <= EXCERPT_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(EXCERPT_CHARS).collect();
    format!("{start}…")
}

fn written_on(written: &str, findings: &mut Findings) -> String {
    date(written).unwrap_or_else(|| {
        let text = excerpt(&one_line(written));
        let detail = if text.is_empty() {
            "成文日期是空白，请填写，如“2014年9月18日”。".to_owned()
        } else {
            format!("成文日期“{text}”不是有效日期，请按“2014年9月18日”或“2014-09-18”填写。")
        };
        findings.error("/entry/written_on", "date_invalid", detail);
        String::new()
    })
}

fn document_number(written: Option<&str>, findings: &mut Findings) -> Option<String> {
    let number = doc_no(written?)?;
    if !number.is_number {
        let detail = format!(
            "文号“{}”不像规范的发文字号，已按原样保留，请核对。",
            excerpt(&number.canonical)
        );
        findings.warning("/entry/doc_no", "doc_no_unrecognised", detail);
    }
    Some(number.canonical)
}

/// Cleans the text; pictures written into it join `files`.
fn body(entry: &Entry, files: &mut Vec<File>, findings: &mut Findings) -> Body {
    const POINTER: &str = "/entry/body/content";
    let written = text::visible(&entry.body.content);
    let cleaned = match entry.body.format {
        BodyFormat::Html => clean_html(&written),
        BodyFormat::Text => text_to_html(&written).map(|html| Cleaned {
            html,
            dropped: Dropped::default(),
        }),
    };
    let Cleaned { html, dropped } = cleaned.unwrap_or_else(|error| {
        let (code, detail) = error.words();
        findings.error(POINTER, code, detail);
        Cleaned {
            html: String::new(),
            dropped: Dropped::default(),
        }
    });
    let pictures = dropped.images.iter().enumerate();
    let pictures: Vec<_> = pictures
        .map(|(place, image)| attachment::picture(place + 1, image))
        .collect();
    for (code, detail) in dropped.words(pictures.iter().filter(|it| it.is_none()).count()) {
        findings.warning(POINTER, code, detail);
    }
    let has_pictures = !pictures.is_empty();
    if has_pictures {
        files.extend(pictures.into_iter().flatten());
        attachment::check_total(files, &mut findings.errors);
    }
    let refused = findings.errors.iter().any(|error| error.pointer == POINTER);
    if html.is_empty() && !refused && entry.attachments.is_empty() && files.is_empty() {
        findings.error(
            POINTER,
            "body_empty",
            "正文没有可显示的文字，也没有附件，请补充正文。",
        );
    }
    Body { html }
}

/// Warns of characters that only some fonts show.
fn private_use(title: &str, body: &Body, findings: &mut Findings) {
    for (pointer, place, text) in [
        ("/entry/title", "标题", title),
        ("/entry/body/content", "正文", body.html.as_str()),
    ] {
        let count = text::private_use(text);
        if count > 0 {
            let detail =
                format!("{place}中有 {count} 个自造字，多数平台无法显示，请改用标准汉字。");
            findings.warning(pointer, "private_use", detail);
        }
    }
}

fn keywords(written: &[String]) -> Vec<String> {
    let mut keywords: Vec<String> = Vec::with_capacity(written.len());
    for keyword in written {
        let keyword = one_line(keyword);
        if !keyword.is_empty() && !keywords.contains(&keyword) {
            keywords.push(keyword);
        }
    }
    keywords
}

fn described(file: &File) -> Attachment {
    Attachment {
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        bytes: file.content.len(),
        sha256: file.sha256.clone(),
    }
}

#[cfg(test)]
mod tests;
