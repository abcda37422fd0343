//! One function for each kind of value.

use super::{Kind, Refused, Tools, refused};
use crate::intake::{examine, parse_submission};
use crate::normalise as it;
use crate::record::{Action, FieldError};
use crate::screen::look;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

impl Tools<'_> {
    pub(super) fn normalised(&self, kind: Kind, value: &Value) -> Result<Value, Refused> {
        match kind {
            Kind::DocNo => doc_no(text(value)?),
            Kind::Date => date(value),
            Kind::Money => money(text(value)?),
            Kind::Uscc => code(it::uscc(text(value)?), it::uscc_holds),
            Kind::OrgCode => code(it::org_code(text(value)?), it::org_code_holds),
            Kind::IdCard => code(it::id_card(text(value)?), it::is_identity_card),
            Kind::ProjectCode => project_code(text(value)?),
            Kind::IndexNo => index_no(text(value)?),
            Kind::Html => html(value),
            Kind::Charset => charset(value),
            Kind::Screen => self.screen(value),
            Kind::Entry => self.entry(value),
        }
    }

    fn screen(&self, value: &Value) -> Result<Value, Refused> {
        let (format, content) = formatted(value)?;
        let text = match format {
            "html" => it::plain_text(&clean(&it::text::visible(content))?.html),
            _ => content.to_owned(),
        };
        let (text, places) = visible_with_places(&text);
        let findings: Vec<Value> = look(&text, self.rules())
            .into_iter()
            .map(|found| {
                let place = |byte: usize| places.partition_point(|(at, _)| *at < byte);
                let start = places.get(place(found.start)).map_or(0, |(_, at)| *at);
                let last = place(found.end).saturating_sub(1);
                let end = places.get(last).map_or(0, |(_, at)| at + 1);
                json!({
                    "code": found.code.as_str(),
                    "start": start,
                    "end": end,
                    "excerpt_masked": found.shown,
                })
            })
            .collect();
        Ok(json!({ "findings": findings }))
    }

    fn entry(&self, value: &Value) -> Result<Value, Refused> {
        let body = serde_json::to_vec(value).map_err(|error| refused("json", error.to_string()))?;
        let submission = parse_submission(&body).map_err(|errors| wrong_fields(&errors))?;
        let (catalogue, connectors) = self.hub()?;
        let Some(entry) = &submission.entry else {
            return Ok(json!({"record": null, "holds": [], "warnings": [], "platforms": []}));
        };
        let examined = examine(
            entry,
            submission.action,
            catalogue,
            connectors,
            self.rules(),
        )
        .map_err(|errors| wrong_fields(&errors))?;
        let mut record = Map::new();
        record.insert("source_id".to_owned(), submission.source_id.into());
        record.insert("revision".to_owned(), submission.revision.into());
        if let Ok(Value::Object(content)) = serde_json::to_value(&examined.content) {
            record.extend(content);
        }
        // Where it would be shown: nowhere while it is held.
        let is_shown = examined.holds.is_empty() && submission.action == Action::Publish;
        let platforms = if is_shown {
            examined.platforms
        } else {
            Vec::new()
        };
        Ok(json!({
            "record": record,
            "holds": examined.holds,
            "warnings": examined.warnings,
            "platforms": platforms,
        }))
    }
}

fn text(value: &Value) -> Result<&str, Refused> {
    value
        .as_str()
        .ok_or_else(|| refused("type", "应为文本（JSON 字符串）。"))
}

fn empty() -> Refused {
    refused("empty", "内容是空白，或只写明没有。")
}

fn doc_no(raw: &str) -> Result<Value, Refused> {
    let number = it::doc_no(raw).ok_or_else(empty)?;
    Ok(json!({
        "doc_no": number.canonical,
        "raw": raw,
        "recognised": number.recognised,
        "joint": number.joint,
    }))
}

fn date(value: &Value) -> Result<Value, Refused> {
    let date = match value {
        Value::String(text) if it::text::says_nothing(text) => return Err(empty()),
        Value::String(text) => it::written_date(text),
        Value::Number(number) => number.as_f64().and_then(it::date_of_number),
        _ => return Err(refused("type", "应为文本或数字。")),
    };
    let date = date.ok_or_else(|| {
        refused(
            "date_invalid",
            "不是有效日期，或可能有几种读法，请按“2014年9月18日”或“2014-09-18”填写。",
        )
    })?;
    Ok(json!({"date": date.date, "precision": date.precision.as_str()}))
}

fn money(raw: &str) -> Result<Value, Refused> {
    let fen = it::money(raw).map_err(|error| {
        let (code, detail) = error.words();
        refused(code, detail)
    })?;
    Ok(json!({"fen": fen, "raw": raw}))
}

fn code(value: Option<String>, holds: fn(&str) -> bool) -> Result<Value, Refused> {
    let value = value.ok_or_else(empty)?;
    let valid = holds(&value);
    Ok(json!({"value": value, "valid": valid}))
}

fn project_code(raw: &str) -> Result<Value, Refused> {
    let code = it::project_code(raw);
    let Some(generation) = code.generation else {
        return Err(if it::text::says_nothing(raw) {
            empty()
        } else {
            refused("unrecognised", "不符合已知的三种项目编码规则，请核对。")
        });
    };
    let check = match (generation, code.check_digit_holds) {
        (3, true) => "ok",
        (3, false) => "bad",
        _ => "none",
    };
    Ok(json!({"value": code.code, "generation": generation, "check": check}))
}

fn index_no(raw: &str) -> Result<Value, Refused> {
    let value = it::index_no(raw).ok_or_else(empty)?;
    let family =
        it::index_family(&value).ok_or_else(|| refused("unrecognised", "不像索引号，请核对。"))?;
    Ok(json!({"value": value, "family": family.as_str()}))
}

fn formatted(value: &Value) -> Result<(&str, &str), Refused> {
    let format = value["format"].as_str().unwrap_or_default();
    let content = value["content"].as_str();
    match (format, content) {
        ("html" | "text", Some(content)) => Ok((format, content)),
        _ => Err(refused(
            "type",
            "应为 {\"format\": \"html\" 或 \"text\", \"content\": 文本}。",
        )),
    }
}

fn clean(written: &str) -> Result<it::Cleaned, Refused> {
    it::clean_html(written).map_err(|error| {
        let (code, detail) = error.words();
        refused(code, detail)
    })
}

fn html(value: &Value) -> Result<Value, Refused> {
    let (format, content) = formatted(value)?;
    let written = it::text::visible(content);
    let (html, warnings) = if format == "html" {
        let cleaned = clean(&written)?;
        (cleaned.html, cleaned.dropped.words(0))
    } else {
        let html = it::text_to_html(&written).map_err(|error| {
            let (code, detail) = error.words();
            refused(code, detail)
        })?;
        (html, Vec::new())
    };
    let warnings: Vec<Value> = warnings
        .into_iter()
        .map(|(code, detail)| json!({"code": code, "detail": detail}))
        .collect();
    let text = it::plain_text(&html);
    Ok(json!({"html": html, "text": text, "warnings": warnings}))
}

fn charset(value: &Value) -> Result<Value, Refused> {
    let (Some(content_type), Some(encoded)) = (
        value["content_type"].as_str().or(Some("")),
        value["bytes_b64"].as_str(),
    ) else {
        return Err(refused(
            "type",
            "应为 {\"content_type\": 文本, \"bytes_b64\": Base64 编码的全部内容}。",
        ));
    };
    let bytes = BASE64_STANDARD
        .decode(encoded)
        .map_err(|_| refused("base64_invalid", "bytes_b64 不是正确的 Base64 编码。"))?;
    let decoded = it::decode_body(content_type, &bytes).ok_or_else(|| {
        refused(
            "charset_unknown",
            "字节不是 UTF-8、GBK、GB18030 或带标记的 UTF-16，未作猜测。",
        )
    })?;
    Ok(json!({"charset": decoded.charset, "text": decoded.text}))
}

/// Returns the text without invisible characters; for each character its first byte, and its place
/// in the text as it was.
fn visible_with_places(text: &str) -> (String, Vec<(usize, usize)>) {
    let mut visible = String::with_capacity(text.len());
    let mut places = Vec::with_capacity(text.len());
    for (place, letter) in text.chars().enumerate() {
        if it::text::is_shown(letter) {
            places.push((visible.len(), place));
            visible.push(letter);
        }
    }
    (visible, places)
}

fn wrong_fields(errors: &[FieldError]) -> Refused {
    let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
    Refused {
        code: "fields",
        detail: details.join(""),
        errors: errors.iter().map(|error| json!(error)).collect(),
    }
}
