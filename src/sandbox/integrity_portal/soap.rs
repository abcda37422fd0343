//! SOAP 1.1, document/literal, in GB18030: opening a call and wrapping an answer.
//!
//! Owns envelopes, faults and escaping. Never knows what an operation means; see [`super`].

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use encoding_rs::GB18030;
use roxmltree::{Document, Node};

/// The namespace of all operations.
pub(super) const NAMESPACE: &str = "urn:articles";
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// An operation with its parameters.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: String,
    fields: BTreeMap<String, String>,
}

impl Call {
    /// Returns a parameter, empty when it was left out.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Why a request is no call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SoapFault {
    code: &'static str,
    told: String,
}

impl SoapFault {
    pub(super) fn client(told: &str) -> SoapFault {
        SoapFault {
            code: "soap:Client",
            told: told.to_owned(),
        }
    }
}

impl IntoResponse for SoapFault {
    fn into_response(self) -> Response {
        let inner = format!(
            "<soap:Fault>{}{}</soap:Fault>",
            element("faultcode", self.code),
            element("faultstring", &self.told)
        );
        let mut answer = envelope(&inner);
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    }
}

/// Reads a request: charset, envelope, action and body must agree.
pub(super) fn open(headers: &HeaderMap, body: &[u8]) -> Result<Call, SoapFault> {
    let text = GB18030
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or_else(|| SoapFault::client("报文不是有效的 GB18030 编码"))?;
    let document = Document::parse(&text)
        .map_err(|error| SoapFault::client(&format!("报文不是有效的 XML：{error}")))?;
    let root = document.root_element();
    if !root.has_tag_name((ENVELOPE, "Envelope")) {
        return Err(SoapFault {
            code: "soap:VersionMismatch",
            told: "只支持 SOAP 1.1 信封".to_owned(),
        });
    }
    let operation = first_child(root, (ENVELOPE, "Body"))
        .and_then(|body| body.children().find(Node::is_element))
        .ok_or_else(|| SoapFault::client("报文没有正文"))?;
    let name = operation.tag_name();
    if name.namespace() != Some(NAMESPACE) {
        return Err(SoapFault::client("操作的命名空间应为 urn:articles"));
    }
    let action = headers
        .get("soapaction")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if action.trim_matches('"') != format!("{NAMESPACE}#{}", name.name()) {
        return Err(SoapFault::client("SOAPAction 与报文中的操作不一致"));
    }
    let fields = operation
        .children()
        .filter(Node::is_element)
        .map(|field| (field.tag_name().name().to_owned(), text_of(field)));
    Ok(Call {
        operation: name.name().to_owned(),
        fields: fields.collect(),
    })
}

fn first_child<'a, 'input>(
    node: Node<'a, 'input>,
    name: (&'static str, &'static str),
) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// Returns all text inside, since a CDATA section that holds `]]>` comes as several pieces.
fn text_of(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|piece| piece.text())
        .collect()
}

/// Returns `inner` as the body of an answer.
pub(super) fn envelope(inner: &str) -> Response {
    xml(&format!(
        r#"<soap:Envelope xmlns:soap="{ENVELOPE}"><soap:Body>{inner}</soap:Body></soap:Envelope>"#
    ))
}

/// Returns a document in the charset of the platform.
pub(super) fn xml(document: &str) -> Response {
    let text = format!("<?xml version=\"1.0\" encoding=\"GB18030\"?>\n{document}");
    let headers = [(header::CONTENT_TYPE, "text/xml; charset=GB18030")];
    (headers, GB18030.encode(&text).0.into_owned()).into_response()
}

/// Returns `<name>text</name>` with the text escaped.
pub(super) fn element(name: &str, text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' | '\n' => escaped.push(letter),
            // XML 1.0 has no way to write these, not even as references.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => escaped.push(letter),
        }
    }
    format!("<{name}>{escaped}</{name}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str, action: &'static str) -> Result<Call, SoapFault> {
        let mut headers = HeaderMap::new();
        headers.insert("soapaction", action.parse().unwrap());
        open(&headers, &GB18030.encode(body).0)
    }

    fn wrap(inner: &str) -> String {
        format!(r#"<s:Envelope xmlns:s="{ENVELOPE}"><s:Body>{inner}</s:Body></s:Envelope>"#)
    }

    #[test]
    fn a_call_gives_its_fields_also_from_split_cdata() {
        let inner = r#"<Save xmlns="urn:articles"><A>一 &amp; 二</A><B><![CDATA[<p>]]]]><![CDATA[></p>]]></B></Save>"#;
        for action in ["urn:articles#Save", "\"urn:articles#Save\""] {
            let call = call(&wrap(inner), action).unwrap();
            assert_eq!(call.operation, "Save");
            assert_eq!(call.field("A"), "一 & 二");
            assert_eq!(call.field("B"), "<p>]]></p>");
            assert_eq!(call.field("C"), "");
        }
    }

    #[test]
    fn what_is_no_call_becomes_a_fault() {
        let save = r#"<Save xmlns="urn:articles"/>"#;
        let soap12 = r#"<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"/>"#;
        for (body, action, part) in [
            (wrap(save), "urn:articles#Other", "SOAPAction"),
            (wrap(save), "", "SOAPAction"),
            (wrap("<Save/>"), "urn:articles#Save", "命名空间"),
            (wrap(""), "urn:articles#Save", "没有正文"),
            (soap12.to_owned(), "urn:articles#Save", "SOAP 1.1"),
            ("<a><b></a>".to_owned(), "urn:articles#Save", "XML"),
            (wrap("\u{1}"), "urn:articles#Save", "XML"),
        ] {
            let fault = call(&body, action).unwrap_err();
            assert!(fault.told.contains(part), "{body}: {fault:?}");
        }
        let fault = open(&HeaderMap::new(), b"<a>\xff\xff</a>").unwrap_err();
        assert!(fault.told.contains("GB18030"));
    }

    #[test]
    fn written_text_reads_back_without_forbidden_characters() {
        let text = "a<b> & ]]> \u{1}😀\r\n";
        let written = element("T", text);
        let document = Document::parse(&written).unwrap();
        assert_eq!(text_of(document.root_element()), text.replace('\u{1}', ""));
    }
}
