//! XML as data: no document type, no entities but the five, bounded depth and number.

use super::{check_text, enter};
use crate::record::FieldError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

/// How deep elements may stand inside each other.
const DEPTH_MAX: usize = 32;
/// Elements of one document.
const ELEMENTS_MAX: usize = 50_000;
/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 32;

type Fault = Vec<FieldError>;

/// An element that is not closed yet.
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
    /// Whether the text holds a section that is meant as it stands; blanks around it are layout.
    has_section: bool,
}

impl Open {
    fn value(mut self) -> Value {
        if self.members.is_empty() {
            return Value::String(self.text);
        }
        if !self.text.trim().is_empty() {
            self.members
                .insert("#text".to_owned(), Value::String(self.text));
        }
        Value::Object(self.members)
    }
}

/// Reads an XML document.
pub(super) fn read(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Map<String, Value>> = None;
    let mut elements = 0;
    loop {
        let event = reader.read_event();
        let place = reader.buffer_position();
        let event = event.map_err(|_| invalid(text, place, "标签不配对或写法有误"))?;
        match event {
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => {
                let detail = "XML 中不允许文档类型声明（DOCTYPE）和自定义实体，请去掉后重新提交。";
                return Err(vec![FieldError::new("", "xml_dtd", detail)]);
            }
            Event::Start(tag) | Event::Empty(tag) if root.is_some() && open.is_empty() => {
                let name = tag.local_name();
                let reason = format!("根元素之后还有元素“{}”", short(name.as_ref()));
                return Err(invalid(text, place, &reason));
            }
            Event::Start(tag) => {
                elements += 1;
                check_limits(&open, elements)?;
                open.push(begun(text, place, &tag)?);
            }
            Event::Empty(tag) => {
                elements += 1;
                check_limits(&open, elements)?;
                let element = begun(text, place, &tag)?;
                close(element, &mut open, &mut root);
            }
            Event::End(_) => {
                let Some(element) = open.pop() else {
                    return Err(invalid(text, place, "结束标签多余"));
                };
                close(element, &mut open, &mut root);
            }
            Event::Text(piece) => {
                let piece = piece.xml10_content();
                match open.last_mut() {
                    Some(element) if element.has_section && piece.trim().is_empty() => {}
                    Some(element) => append(element, &piece)?,
                    None if piece.trim_matches('\u{feff}').trim().is_empty() => {}
                    None => return Err(invalid(text, place, "根元素之外有文字")),
                }
            }
            Event::CData(piece) => {
                let Some(element) = open.last_mut() else {
                    return Err(invalid(text, place, "根元素之外有文字"));
                };
                if !element.has_section && element.text.trim().is_empty() {
                    element.text.clear();
                }
                element.has_section = true;
                append(element, &piece.xml10_content())?;
            }
            Event::GeneralRef(reference) => {
                let letter = match reference.resolve_char_ref() {
                    Ok(Some(letter)) => letter,
                    Ok(None) => match reference.xml10_content().as_ref() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        other => {
                            let reason = format!("未定义的实体“&{};”", short(other));
                            return Err(invalid(text, place, &reason));
                        }
                    },
                    Err(_) => return Err(invalid(text, place, "字符引用有误")),
                };
                let Some(element) = open.last_mut() else {
                    return Err(invalid(text, place, "根元素之外有文字"));
                };
                append(element, letter.encode_utf8(&mut [0; 4]))?;
            }
        }
    }
    if let Some(element) = open.last() {
        let reason = format!("元素“{}”没有结束，可能被截断", short(&element.name));
        return Err(invalid(text, reader.buffer_position(), &reason));
    }
    root.map(Value::Object)
        .ok_or_else(|| invalid(text, reader.buffer_position(), "没有根元素"))
}

fn check_limits(open: &[Open], elements: usize) -> Result<(), Fault> {
    if open.len() >= DEPTH_MAX {
        let detail = format!("提交内容的嵌套超过{DEPTH_MAX}层，请检查。");
        return Err(vec![FieldError::new("", "too_deep", detail)]);
    }
    if elements > ELEMENTS_MAX {
        let detail = format!("XML 超过{ELEMENTS_MAX}个元素，请检查。");
        return Err(vec![FieldError::new("", "too_many_fields", detail)]);
    }
    Ok(())
}

fn begun(text: &str, place: u64, tag: &BytesStart<'_>) -> Result<Open, Fault> {
    let mut members = Map::new();
    for (count, attribute) in tag.attributes().enumerate() {
        if count == ATTRIBUTES_MAX {
            let detail = format!("XML 元素超过{ATTRIBUTES_MAX}个属性，请检查。");
            return Err(vec![FieldError::new("", "too_many_fields", detail)]);
        }
        let attribute = attribute.map_err(|_| invalid(text, place, "属性写法有误或重复"))?;
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|_| invalid(text, place, "属性中有未定义的实体"))?;
        check_text(String::new, &value)?;
        let name: &str = attribute.key.as_ref();
        if name != "xmlns" && !name.starts_with("xmlns:") {
            members.insert(format!("@{name}"), Value::String(value.into_owned()));
        }
    }
    let name = tag.local_name();
    let name: &str = name.as_ref();
    check_text(String::new, name)?;
    Ok(Open {
        name: name.to_owned(),
        members,
        text: String::new(),
        has_section: false,
    })
}

fn append(element: &mut Open, piece: &str) -> Result<(), Fault> {
    check_text(String::new, piece)?;
    element.text.push_str(piece);
    Ok(())
}

fn close(mut element: Open, open: &mut [Open], root: &mut Option<Map<String, Value>>) {
    let name = std::mem::take(&mut element.name);
    let value = element.value();
    match open.last_mut() {
        Some(parent) => enter(&mut parent.members, name, value),
        None => *root = Some(Map::from_iter([(name, value)])),
    }
}

fn invalid(text: &str, place: u64, reason: &str) -> Fault {
    let place = usize::try_from(place).unwrap_or(usize::MAX).min(text.len());
    let before = &text.as_bytes()[..place];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let detail = format!("提交内容不是正确的 XML：第{line}行附近有误（{reason}）。");
    vec![FieldError::new("", "xml_invalid", detail)]
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
