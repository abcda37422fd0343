//! What the integrity portal demands of an article.
//!
//! Owns the error codes of fields. Never stores anything; see [`super`].

use serde_json::{Value, json};

use super::Refusal;
use super::soap::Call;
use crate::sandbox::look::Look;
use crate::sandbox::shelf::Edition;

const TITLE_CHARS_MAX: usize = 100;

/// Refuses an article that the portal would not take.
pub(super) fn check(call: &Call, look: &Look) -> Result<(), Refusal> {
    for name in [
        "ArticleId",
        "ColumnId",
        "Title",
        "PublishUnit",
        "WrittenDate",
        "Content",
    ] {
        if call.field(name).trim().is_empty() {
            return Err(("E103", format!("缺少必填字段 {name}")));
        }
    }
    let column = call.field("ColumnId");
    if !look.has_column(column) {
        return Err(("E101", format!("栏目 {column} 不存在")));
    }
    if call.field("Title").chars().count() > TITLE_CHARS_MAX {
        return Err(("E102", format!("标题超过 {TITLE_CHARS_MAX} 字")));
    }
    Ok(())
}

/// Returns the article as the portal keeps it.
pub(super) fn edition(call: &Call) -> Edition {
    let field = |name: &str| call.field(name).trim().to_owned();
    let remark = field("Remark");
    let form: Value = json!({"Source": field("Source"), "Remark": remark});
    Edition {
        version: version_in(&remark).unwrap_or_default(),
        title: field("Title"),
        doc_no: field("DocNo"),
        column: field("ColumnId"),
        html: call.field("Content").to_owned(),
        facts: vec![
            ("公开单位".to_owned(), field("PublishUnit")),
            ("成文日期".to_owned(), field("WrittenDate")),
            ("文号".to_owned(), field("DocNo")),
            ("来源".to_owned(), field("Source")),
        ],
        attachments: Vec::new(),
        form,
        saved_at_ms: crate::clock::now_ms(),
    }
}

/// Returns the digits after the first `v` that has some.
fn version_in(remark: &str) -> Option<i64> {
    remark.split('v').skip(1).find_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_follows_the_v() {
        for (remark, version) in [
            ("v12", Some(12)),
            ("synchub v3 更正", Some(3)),
            ("via v7", Some(7)),
            ("", None),
            ("v", None),
        ] {
            assert_eq!(version_in(remark), version, "{remark}");
        }
    }
}
