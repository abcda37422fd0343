//! Finds the column of an entry, and says which of its 要素 are missing.

use super::text::{one_line, says_nothing};
use super::{Findings, NEAREST_NAMED, excerpt, plain_text, suggestion};
use crate::catalogue::{Area, Catalogue, Column, NamedColumn};
use crate::record::Content;

/// A column as the entry names it.
#[derive(Default)]
pub(super) struct Found<'a> {
    /// What the record carries: the name in the catalogue.
    pub(super) name: Option<String>,
    /// The column, when it is certain which one.
    pub(super) column: Option<&'a Column>,
}

/// Finds the column that an entry names. `area` is none when that is not known either: then only
/// the area is wrong.
pub(super) fn column<'a>(
    written: Option<&str>,
    area: Result<Option<&Area>, ()>,
    catalogue: &'a Catalogue,
    findings: &mut Findings,
) -> Found<'a> {
    const POINTER: &str = "/entry/column";
    let written = one_line(written.unwrap_or_default());
    let Ok(area) = area else {
        return Found::default();
    };
    if says_nothing(&written) {
        return Found::default();
    }
    let text = excerpt(&written);
    match catalogue.column(area.map(|it| it.key.as_str()), &written) {
        NamedColumn::Known(column) => found(column),
        NamedColumn::WithoutArea(column) => {
            let area = column.area.as_deref().and_then(|key| catalogue.area(key));
            let area = area.map_or("", |area| area.name.as_str());
            let detail = format!("栏目“{text}”属于重点领域“{area}”，但没有填写重点领域，请补充。");
            findings.warning("/entry/area", "area_missing", detail);
            found(column)
        }
        NamedColumn::Ambiguous => {
            let detail = format!("栏目“{text}”在几个重点领域中都有，请填写重点领域。");
            findings.warning("/entry/area", "area_missing", detail);
            Found {
                name: Some(written),
                column: None,
            }
        }
        NamedColumn::Unknown => {
            let key = area.map(|it| it.key.as_str());
            let nearest = suggestion(&catalogue.nearest_columns(key, &written, NEAREST_NAMED));
            let place = area.map_or_else(
                || "栏目目录".to_owned(),
                |area| format!("重点领域“{}”的栏目", area.name),
            );
            let detail = format!("栏目“{text}”不在{place}中{nearest}。");
            findings.error(POINTER, "unknown_column", detail);
            Found::default()
        }
    }
}

fn found(column: &Column) -> Found<'_> {
    Found {
        name: Some(column.name.clone()),
        column: Some(column),
    }
}

/// Warns of the 要素 of its column that a content lacks.
pub(super) fn elements(column: &Column, content: &Content, findings: &mut Findings) {
    for element in column.requires.iter().filter(|it| !it.is_in(content)) {
        let detail = format!(
            "栏目“{}”要求写明{}，请补充。",
            column.name,
            element.chinese()
        );
        let pointer = format!("/entry/{}", element.field());
        findings.warning(&pointer, "element_missing", detail);
    }
    // A table in a file may well say it.
    if column.mentions.is_empty() || !content.attachments.is_empty() {
        return;
    }
    let mut plain = None;
    for mention in &column.mentions {
        let mut words = mention.split('|').map(str::trim);
        let html = &content.body.html;
        let is_named = words
            .clone()
            .any(|word| content.title.contains(word) || html.contains(word));
        if is_named {
            continue;
        }
        // A word may be divided by elements.
        let plain = plain.get_or_insert_with(|| plain_text(html));
        if !words.any(|word| plain.contains(word)) {
            let named = mention.replace('|', "或");
            let detail = format!(
                "栏目“{}”要求在正文中写明“{named}”，没有找到，请核对。",
                column.name
            );
            findings.warning("/entry/body/content", "element_missing", detail);
        }
    }
}
