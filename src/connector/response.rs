//! An answer of a platform, decoded whatever charset it claims, seen as JSON, XML and text.

use bytes::Bytes;
use encoding_rs::{Encoding, GB18030, UTF_8};
use serde_json::{Map, Value};

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, at most `limits.response_bytes_max`.
    pub body: Bytes,
}

/// Elements deeper than this are not looked at.
const XML_DEPTH_MAX: usize = 64;
const XML_NODES_MAX: u32 = 100_000;

impl Response {
    /// Returns the first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the wait in milliseconds that a `Retry-After` asks for, from `now_ms` on (RFC 9110
    /// §10.2.3, seconds or date; 0 when it is over).
    pub fn retry_after_ms(&self, now_ms: i64) -> Option<u64> {
        retry_after(self.header("retry-after")?, now_ms)
    }

    /// Returns the body as text: by its byte order mark, else by the charset that the header or
    /// the XML declaration names, else as UTF-8, else as GB18030. GB2312 and GBK are read as
    /// GB18030, which holds them both.
    pub fn text(&self) -> String {
        if let Some((encoding, _)) = Encoding::for_bom(&self.body) {
            return encoding.decode(&self.body).0.into_owned();
        }
        let claimed = self
            .header("content-type")
            .and_then(|value| after(value, "charset="))
            .or_else(|| {
                let head = self.body.get(..100.min(self.body.len()))?;
                let head = std::str::from_utf8(head.split(|byte| *byte == b'>').next()?).ok()?;
                after(head, "encoding=")
            });
        let encoding = claimed
            .and_then(|label| encoding_named(&label))
            .unwrap_or(UTF_8);
        let (text, malformed) = encoding.decode_without_bom_handling(&self.body);
        if malformed && encoding == UTF_8 {
            return GB18030
                .decode_without_bom_handling(&self.body)
                .0
                .into_owned();
        }
        text.into_owned()
    }

    /// Returns what rules and captures see: `status headers json xml text`.
    pub fn view(&self) -> minijinja::Value {
        let text = self.text();
        let trimmed = text.trim_start();
        let json = match trimmed.starts_with(['{', '[', '"']) {
            true => serde_json::from_str(trimmed).ok(),
            false => None,
        };
        let xml = match trimmed.starts_with('<') {
            true => xml_value(trimmed),
            false => None,
        };
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let mut view = Map::new();
        view.insert("status".into(), self.status.into());
        view.insert("headers".into(), headers.into());
        if let Some(json) = json {
            view.insert("json".into(), json);
        }
        if let Some(xml) = xml {
            view.insert("xml".into(), xml);
        }
        view.insert("text".into(), text.into());
        minijinja::Value::from(minijinja::value::Serde(view))
    }
}

/// Returns the encoding of a charset label; all of the GB family are GB18030.
pub(super) fn encoding_named(label: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label.trim().as_bytes())?;
    Some(if encoding == encoding_rs::GBK {
        GB18030
    } else {
        encoding
    })
}

fn after(text: &str, mark: &str) -> Option<String> {
    let start = text.to_ascii_lowercase().find(mark)? + mark.len();
    let rest = text.get(start..)?;
    let word: String = rest
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter))
        .collect();
    Some(word)
}

/// Returns the document as nested objects by local names: an element of text is a string, one of
/// elements an object, repeated elements a list, attributes `@name`. No DTD, no entities of its own.
fn xml_value(text: &str) -> Option<Value> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: XML_NODES_MAX,
        ..Default::default()
    };
    let document = roxmltree::Document::parse_with_options(text, options).ok()?;
    let root = document.root_element();
    let mut object = Map::new();
    object.insert(root.tag_name().name().to_owned(), element_value(root, 0));
    Some(Value::Object(object))
}

fn element_value(element: roxmltree::Node<'_, '_>, depth: usize) -> Value {
    let mut object = Map::new();
    for attribute in element.attributes() {
        object.insert(format!("@{}", attribute.name()), attribute.value().into());
    }
    if depth < XML_DEPTH_MAX {
        for child in element.children().filter(roxmltree::Node::is_element) {
            let value = element_value(child, depth + 1);
            match object.get_mut(child.tag_name().name()) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => {
                    object.insert(child.tag_name().name().to_owned(), value);
                }
            }
        }
    }
    if !object.is_empty() {
        return Value::Object(object);
    }
    let text: String = element.children().filter_map(|node| node.text()).collect();
    Value::from(text.trim())
}

/// Returns the wait in milliseconds that a `Retry-After` of seconds or of a date asks for.
fn retry_after(text: &str, now_ms: i64) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    u64::try_from(date.as_millisecond() - now_ms)
        .ok()
        .or(Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: &str, body: &[u8]) -> Response {
        Response {
            status: 200,
            headers: vec![("content-type".into(), content_type.into())],
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn chinese_is_read_in_whatever_charset_it_really_is() {
        let gb = GB18030.encode("<r>标题〇</r>").0.into_owned();
        assert_eq!(
            answer("text/xml; charset=GB2312", &gb).text(),
            "<r>标题〇</r>"
        );
        assert_eq!(answer("text/xml", &gb).text(), "<r>标题〇</r>");
        let declared = GB18030
            .encode("<?xml version=\"1.0\" encoding='gb18030'?><r>文</r>")
            .0
            .into_owned();
        assert!(answer("text/xml", &declared).text().ends_with("<r>文</r>"));
        assert_eq!(
            answer("application/json", "\u{feff}{}".as_bytes()).text(),
            "{}"
        );
    }

    #[test]
    fn xml_is_seen_by_local_names_and_repeated_elements_are_lists() {
        let value = xml_value(
            r#"<s:E xmlns:s="u"><s:B><a>1</a><a>2</a><c x="y"><d><![CDATA[z]]></d></c></s:B></s:E>"#,
        );
        let expected =
            serde_json::json!({"E": {"B": {"a": ["1", "2"], "c": {"@x": "y", "d": "z"}}}});
        assert_eq!(value, Some(expected));
    }

    #[test]
    fn a_document_type_is_not_read() {
        assert_eq!(xml_value("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), None);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(retry_after("7", 0), Some(7_000));
        let now_ms = 784_111_777_000 - 5_000;
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now_ms),
            Some(5_000)
        );
        assert_eq!(
            retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now_ms + 60_000),
            Some(0)
        );
        assert_eq!(retry_after("soon", 0), None);
    }
}
