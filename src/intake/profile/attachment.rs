//! The files of a document, as a native submission names them.

use super::given::{is_blank, shown};
use super::manifest::AttachmentRule;
use super::place::text_of;
use crate::record::FieldError;
use serde_json::{Map, Value};

/// Longest address.
const URL_CHARS_MAX: usize = 2_000;

/// Returns one attachment per file.
pub(super) fn files<'a>(
    rule: &'a AttachmentRule,
    base: Option<&'a str>,
    found: impl IntoIterator<Item = &'a Value>,
) -> impl Iterator<Item = Result<Value, FieldError>> {
    let found = found.into_iter().filter(|file| !is_blank(file));
    found.map(move |file| attachment(rule, base, file))
}

fn attachment(
    rule: &AttachmentRule,
    base: Option<&str>,
    file: &Value,
) -> Result<Value, FieldError> {
    let text = |key: &str| {
        let text = file.get(key).and_then(text_of)?;
        (!text.trim().is_empty()).then_some(text)
    };
    let name = text(&rule.name).unwrap_or_default();
    let mut attachment = Map::new();
    attachment.insert("name".to_owned(), Value::from(name.trim()));
    let keys = [("media_type", &rule.media_type), ("sha256", &rule.sha256)];
    for (key, from) in keys {
        if let Some(value) = from.as_deref().and_then(text) {
            attachment.insert(key.to_owned(), Value::from(value.trim()));
        }
    }
    let content = rule.content.as_deref().and_then(text);
    let content = content.and_then(|text| {
        let content = text.trim_start().strip_prefix(rule.content_prefix.as_str());
        content.map(ToOwned::to_owned)
    });
    if let Some(content) = content {
        attachment.insert("content_base64".to_owned(), Value::String(content));
    } else if let Some(template) = &rule.url {
        let url = address(template, base, &text).map_err(|why| {
            let detail = format!("附件《{}》{why}", shown(&name));
            FieldError::new("/entry/attachments", "attachment_url", detail)
        })?;
        attachment.insert("url".to_owned(), Value::String(url));
    }
    Ok(Value::Object(attachment))
}

/// Returns the address of a file; what is put into it cannot lead elsewhere.
fn address(
    template: &str,
    base: Option<&str>,
    text: &dyn Fn(&str) -> Option<String>,
) -> Result<String, &'static str> {
    const NOTHING: &str = "既没有内容也没有下载地址，请检查。";
    let mut address = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, behind) = after.split_once('}').unwrap_or((after, ""));
        let value = text(key).ok_or(NOTHING)?;
        address.push_str(before);
        match before.is_empty() && behind.is_empty() && address.is_empty() {
            true => address.push_str(value.trim()),
            false => address.extend(url::form_urlencoded::byte_serialize(
                value.trim().as_bytes(),
            )),
        }
        rest = behind;
    }
    address.push_str(rest);
    if address.chars().count() > URL_CHARS_MAX {
        return Err("的下载地址过长，请检查。");
    }
    let names_a_host = address.starts_with("http://") || address.starts_with("https://");
    match (names_a_host, base) {
        (true, _) => Ok(address),
        // With a slash between them what was sent can never become part of the host.
        (false, Some(base)) => Ok(format!(
            "{}/{}",
            base.trim_end_matches('/'),
            address.trim_start_matches('/')
        )),
        (false, None) => Err("需要到 OA 下载，但信息中心还没有配置 OA 的地址，请联系信息中心。"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_an_address_cannot_lead_elsewhere() {
        let made = |template: &str, base: Option<&str>, value: &str| {
            let value = value.to_owned();
            address(template, base, &move |_| Some(value.clone()))
        };
        let base = Some("http://oa.test");
        for (template, value, expected) in [
            ("{a}", "http://oa.test/f?x=1", "http://oa.test/f?x=1"),
            ("{a}", "@evil.test/f", "http://oa.test/@evil.test/f"),
            ("{a}", "//evil.test/f", "http://oa.test/evil.test/f"),
            ("/f/{a}", "../x?y#z", "http://oa.test/f/..%2Fx%3Fy%23z"),
        ] {
            assert_eq!(made(template, base, value).as_deref(), Ok(expected));
        }
        assert!(made("/f/{a}", None, "1").is_err());
        assert!(made("/f/{a}", base, &"x".repeat(3_000)).is_err());
        assert!(address("/f/{a}", base, &|_| None).is_err());
    }
}
