//! Fills a native submission from the fields of a document.

use super::Profile;
use super::attachment;
use super::detail;
use super::given::{Given, is_blank, shown};
use super::manifest::{BodyChoice, FieldRule};
use super::place::{items, text_of};
use crate::intake::format::{FILE_CONTENT, is_file};
use crate::intake::labels::Labels;
use crate::intake::native;
use crate::record::{FieldError, Warning};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// What divides keywords when the profile does not say.
const DIVIDERS: &str = "；;，,、\n";

/// Returns the native submission that a document means.
pub(super) fn fill(
    profile: &Profile,
    labels: &Labels,
    tree: &Value,
) -> Result<(Value, Vec<Warning>), Vec<FieldError>> {
    let given = Given::gather(&profile.manifest.place, tree)?;
    let mut filling = Filling {
        profile,
        labels,
        given: &given,
        tree,
        labelled: HashMap::new(),
    };
    filling.check_guards()?;
    if profile.manifest.labels {
        filling.look_labels_up();
    }
    filling.fill()
}

struct Filling<'a> {
    profile: &'a Profile,
    labels: &'a Labels,
    given: &'a Given<'a>,
    tree: &'a Value,
    /// Native field → what is called so, in the order of the document.
    labelled: HashMap<&'a str, Vec<(&'a str, &'a Value)>>,
}

impl<'a> Filling<'a> {
    /// What a guard does not let pass is refused before anything else is said about it.
    fn check_guards(&self) -> Result<(), Vec<FieldError>> {
        for (name, value) in self.given.iter() {
            let label = match self.profile.manifest.guards.get(name) {
                Some(label) => label.as_str(),
                None if self.profile.manifest.labels => name,
                None => continue,
            };
            let Some(guard) = self.labels.guard(label) else {
                continue;
            };
            let written = text_of(value);
            if !written.as_deref().is_some_and(|text| guard.lets_pass(text)) {
                let detail = format!("“{}”{}", shown(label), guard.detail);
                return Err(vec![FieldError::new("", guard.code.as_str(), detail)]);
            }
        }
        Ok(())
    }

    fn fill(&self) -> Result<(Value, Vec<Warning>), Vec<FieldError>> {
        let mut native = Map::new();
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        let free = self.profile.manifest.fields.keys();
        let free = free.filter(|pointer| !native::is_field(pointer));
        let pointers = native::fields().chain(free.map(String::as_str));
        for pointer in pointers {
            match self.value_at(pointer) {
                Ok(Some(value)) => put(&mut native, pointer, value),
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        if let Some(rule) = &self.profile.manifest.attachments
            && let Some(at) = &rule.at
        {
            let found = at.select(self.tree);
            let found = found.into_iter().flat_map(items);
            let files = attachment::files(rule, self.profile.base.as_deref(), found);
            add_files(&mut native, files, &mut errors);
        }
        self.add_other_files(&mut native, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        native
            .entry("action")
            .or_insert_with(|| Value::from("publish"));
        self.tidy(&mut native);
        self.complete_body(&mut native, &mut warnings);
        Ok((Value::Object(native), warnings))
    }

    /// Returns the value of one native field; none when the document leaves it blank.
    fn value_at(&self, pointer: &str) -> Result<Option<Value>, FieldError> {
        let rule = self.profile.manifest.fields.get(pointer);
        let found = match rule.and_then(|rule| self.by_rule(rule)) {
            Some(found) => Some(found),
            None => self.by_label(pointer)?,
        };
        let Some((name, value)) = found else {
            let default = rule.and_then(|rule| rule.default.as_deref());
            return Ok(default.map(|text| typed(pointer, text)));
        };
        match pointer {
            "/entry/attachments" => self.attachments(name, value),
            "/entry/keywords" => keywords(rule, name, value).map(Some),
            _ if pointer.contains("/fields/") => Ok(Some(value.clone())),
            _ => {
                let written = text_of(value).ok_or_else(|| not_a_text(pointer, name))?;
                Ok(Some(typed(pointer, self.meaning(pointer, rule, &written))))
            }
        }
    }

    fn by_rule(&self, rule: &'a FieldRule) -> Option<(&'a str, &'a Value)> {
        let mut filled = rule.from.iter().filter_map(|name| {
            let value = self.given.get(name).filter(|value| !is_blank(value))?;
            Some((name.as_str(), value))
        });
        filled.next()
    }

    fn look_labels_up(&mut self) {
        for (name, value) in self.given.iter() {
            if self.profile.is_named(name) || is_blank(value) {
                continue;
            }
            if let Some(field) = self.labels.field(name) {
                let found = self.labelled.entry(field.pointer.as_str()).or_default();
                found.push((name, value));
            }
        }
    }

    /// Returns the one field whose label means this; two that say different things are an error,
    /// since nobody can know which one is meant.
    fn by_label(&self, pointer: &str) -> Result<Option<(&'a str, &'a Value)>, FieldError> {
        let Some(found) = self.labelled.get(pointer) else {
            return Ok(None);
        };
        let (first, value) = found[0];
        match found.iter().find(|(_, other)| *other != value) {
            None => Ok(Some((first, value))),
            Some((other, _)) => {
                let detail = format!(
                    "“{}”和“{}”是同一项内容，但填写的不同，请只保留一个。",
                    shown(first),
                    shown(other)
                );
                Err(FieldError::new(pointer, "ambiguous_field", detail))
            }
        }
    }

    fn meaning<'b>(&self, pointer: &str, rule: Option<&'b FieldRule>, written: &'b str) -> &'b str
    where
        'a: 'b,
    {
        let by_code = rule.and_then(|rule| rule.values.get(written.trim()));
        match (by_code, self.labels.at(pointer)) {
            (Some(meaning), _) => meaning,
            (None, Some(field)) => field.meaning(written),
            (None, None) => written,
        }
    }

    fn attachments(&self, name: &str, value: &Value) -> Result<Option<Value>, FieldError> {
        let Some(rule) = &self.profile.manifest.attachments else {
            return Ok(None);
        };
        if !items(value).iter().all(Value::is_object) {
            let detail = format!("字段“{}”应为附件的列表。", shown(name));
            return Err(FieldError::new("/entry/attachments", "type", detail));
        }
        let files = attachment::files(rule, self.profile.base.as_deref(), items(value));
        let files: Result<Vec<Value>, FieldError> = files.collect();
        Ok(Some(Value::Array(files?)))
    }

    /// Adds the parts that are files and go by a name of their own: nothing that was sent is lost.
    fn add_other_files(&self, native: &mut Map<String, Value>, errors: &mut Vec<FieldError>) {
        let rule = self.profile.manifest.attachments.as_ref();
        let Some(rule) = rule.filter(|it| it.content.as_deref() == Some(FILE_CONTENT)) else {
            return;
        };
        for (name, value) in self.given.iter() {
            let is_known = self.profile.is_named(name) || self.labels.field(name).is_some();
            if is_known || is_blank(value) || !items(value).iter().all(is_file) {
                continue;
            }
            let files = attachment::files(rule, None, items(value));
            add_files(native, files, errors);
        }
    }

    /// Leaves out what is only there because forms have the field: a project of which nothing but
    /// a name is known, an entry beside a withdrawal of which half is missing.
    fn tidy(&self, native: &mut Map<String, Value>) {
        let is_withdrawal = native.get("action").is_some_and(|it| it == "withdraw");
        let Some(entry) = native.get_mut("entry").and_then(Value::as_object_mut) else {
            return;
        };
        for (part, needed) in [
            ("project", ["code", "group"]),
            ("credit", ["subject", "group"]),
        ] {
            let start = format!("/entry/{part}/");
            let mut rules = self.profile.manifest.fields.keys();
            let is_named = rules.any(|pointer| pointer.starts_with(&start));
            let is_there = needed
                .iter()
                .any(|key| entry.get(part).is_some_and(|it| !it[*key].is_null()));
            if !is_named && !is_there {
                entry.shift_remove(part);
            }
        }
        let is_whole = ["title", "unit", "written_on"]
            .iter()
            .all(|key| entry.contains_key(*key));
        if is_withdrawal && !is_whole {
            native.shift_remove("entry");
        }
    }

    /// Says how the body is written, and adds the tables that it does not hold.
    fn complete_body(&self, native: &mut Map<String, Value>, warnings: &mut Vec<Warning>) {
        let Some(entry) = native.get_mut("entry").and_then(Value::as_object_mut) else {
            return;
        };
        let has_files = entry.contains_key("attachments");
        let body = entry.entry("body").or_insert_with(|| json!({}));
        let content = body["content"].as_str().unwrap_or_default();
        if body["format"].is_null() {
            let is_html = match self.profile.manifest.body_format {
                BodyChoice::Detect => has_tags(content),
                BodyChoice::Html => true,
                BodyChoice::Text => false,
            };
            body["format"] = Value::from(if is_html { "html" } else { "text" });
        }
        detail::add_missing(&self.profile.manifest.detail, self.tree, body, warnings);
        if body["content"].is_null() {
            match has_files {
                true => body["content"] = Value::from(""),
                false => drop(entry.shift_remove("body")),
            }
        }
    }
}

fn put(native: &mut Map<String, Value>, pointer: &str, value: Value) {
    let mut steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let last = steps.pop().unwrap_or_default();
    let mut members = native;
    for step in steps {
        let below = members
            .entry(step)
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(below) = below else {
            return;
        };
        members = below;
    }
    members.insert(last.to_owned(), value);
}

fn add_files(
    native: &mut Map<String, Value>,
    files: impl Iterator<Item = Result<Value, FieldError>>,
    errors: &mut Vec<FieldError>,
) {
    for file in files {
        match file {
            Err(error) => errors.push(error),
            Ok(file) => {
                let entry = native.entry("entry").or_insert_with(|| json!({}));
                match entry["attachments"].as_array_mut() {
                    Some(known) => known.push(file),
                    None => entry["attachments"] = Value::Array(vec![file]),
                }
            }
        }
    }
}

/// Returns what was written as the type of the field; what is none of it is left for the schema to
/// refuse.
fn typed(pointer: &str, written: &str) -> Value {
    match (pointer, written.trim().parse::<i64>()) {
        ("/revision", Ok(number)) => Value::from(number),
        ("/entry/body/content", _) => Value::from(written),
        _ => Value::from(written.trim()),
    }
}

fn keywords(rule: Option<&FieldRule>, name: &str, value: &Value) -> Result<Value, FieldError> {
    let dividers = rule.and_then(|rule| rule.split.as_deref());
    let dividers = dividers.unwrap_or(DIVIDERS);
    let mut keywords = Vec::new();
    for item in items(value) {
        let written = text_of(item).ok_or_else(|| not_a_text("/entry/keywords", name))?;
        let words = written.split(|letter| dividers.contains(letter));
        let words = words.map(str::trim).filter(|word| !word.is_empty());
        keywords.extend(words.map(Value::from));
    }
    Ok(Value::Array(keywords))
}

fn not_a_text(pointer: &str, name: &str) -> FieldError {
    let detail = format!("字段“{}”的内容应为文字。", shown(name));
    FieldError::new(pointer, "type", detail)
}

/// Whether a text has HTML tags in it, and not just a sign of inequality.
fn has_tags(text: &str) -> bool {
    const TAGS: [&str; 16] = [
        "p", "div", "br", "span", "table", "tr", "td", "h1", "h2", "h3", "ul", "ol", "li", "font",
        "strong", "img",
    ];
    text.split('<').skip(1).any(|rest| {
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric());
        let name = &rest[..end.unwrap_or(rest.len())];
        let closes = rest[name.len()..].starts_with(['>', ' ', '/', '\n', '\r', '\t']);
        closes && TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_signs() {
        for html in [
            "<p>文</p>",
            "甲<BR/>乙",
            "<DIV class=x>",
            "a</td>",
            "<table\nborder=1>",
        ] {
            assert!(has_tags(html), "{html}");
        }
        for text in ["a<b", "x < p", "1<2>3", "<附件>", "<pre", "温度<table值"] {
            assert!(!has_tags(text), "{text}");
        }
    }
}
