//! What the sender's hook expects to hear, in its own shape: a flag and one Chinese sentence.

use serde::Deserialize;
use serde_json::{Map, Value};

/// How deep an answer may be written.
const DEPTH_MAX: usize = 8;
/// What may stand in braces.
const WORDS: [&str; 8] = [
    "success",
    "code",
    "message",
    "status",
    "record_id",
    "version",
    "revision",
    "state",
];

/// The `[answer]` of a profile.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerFile {
    #[serde(default)]
    format: AnswerFormat,
    /// Name of the root element of XML.
    #[serde(default = "default_root")]
    root: String,
    accepted: Map<String, Value>,
    refused: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerFormat {
    #[default]
    Json,
    Xml,
}

fn default_root() -> String {
    "result".to_owned()
}

/// An answer in the sender's own shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    format: AnswerFormat,
    root: String,
    accepted: Value,
    refused: Value,
}

/// What an answer may tell.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Whether it was taken in.
    pub success: bool,
    /// HTTP status.
    pub status: u16,
    /// Kind of problem, such as `invalid`; `ok` when there is none.
    pub code: String,
    /// One Chinese sentence.
    pub message: String,
    /// Id of the record, if there is one.
    pub record_id: String,
    /// Its newest version, if there is one.
    pub version: Option<i64>,
    /// The newest revision of the sender, if there is one.
    pub revision: Option<i64>,
    /// `live`, `held` or `withdrawn`, if there is a record.
    pub state: String,
}

impl Told {
    fn word(&self, name: &str) -> Option<Value> {
        Some(match name {
            "success" => Value::from(self.success),
            "status" => Value::from(self.status),
            "code" => Value::from(self.code.as_str()),
            "message" => Value::from(self.message.as_str()),
            "record_id" => Value::from(self.record_id.as_str()),
            "version" => self.version.map_or(Value::Null, Value::from),
            "revision" => self.revision.map_or(Value::Null, Value::from),
            "state" => Value::from(self.state.as_str()),
            _ => return None,
        })
    }
}

impl AnswerFile {
    /// Checks what is written.
    ///
    /// # Errors
    /// A word in braces that means nothing, or a shape that cannot be written.
    pub(super) fn compile(&self) -> Result<Answer, String> {
        let is_name = |name: &str| {
            name.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let mut shapes = Vec::new();
        for table in [&self.accepted, &self.refused] {
            let shape = Value::Object(table.clone());
            check(&shape, 0, &|name| {
                self.format == AnswerFormat::Json || is_name(name)
            })?;
            shapes.push(shape);
        }
        if !is_name(&self.root) {
            return Err(format!("answer: {:?} cannot be an element", self.root));
        }
        let refused = shapes.pop().unwrap_or_default();
        Ok(Answer {
            format: self.format,
            root: self.root.clone(),
            accepted: shapes.pop().unwrap_or_default(),
            refused,
        })
    }
}

fn check(shape: &Value, depth: usize, is_key: &dyn Fn(&str) -> bool) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("answer: more than {DEPTH_MAX} levels"));
    }
    match shape {
        Value::String(text) => {
            let unknown = words(text).find(|word| !WORDS.contains(word));
            unknown.map_or(Ok(()), |word| {
                Err(format!(
                    "answer: {{{word}}} is none of {}",
                    WORDS.join(", ")
                ))
            })
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check(item, depth + 1, is_key)),
        Value::Object(members) => members
            .iter()
            .try_for_each(|(name, value)| match is_key(name) {
                true => check(value, depth + 1, is_key),
                false => Err(format!("answer: {name:?} cannot be an element")),
            }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Returns the words in braces.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(word, _)| word))
}

impl Answer {
    /// Returns media type and body of the answer.
    pub fn render(&self, told: &Told) -> (&'static str, String) {
        let shape = match told.success {
            true => &self.accepted,
            false => &self.refused,
        };
        let filled = filled(shape, told);
        match self.format {
            AnswerFormat::Json => ("application/json", filled.to_string()),
            AnswerFormat::Xml => {
                let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
                append_element(&self.root, &filled, &mut text);
                ("text/xml; charset=utf-8", text)
            }
        }
    }
}

fn filled(shape: &Value, told: &Told) -> Value {
    match shape {
        Value::String(text) => {
            let whole = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            if let Some(value) = whole.and_then(|word| told.word(word)) {
                return value;
            }
            // One pass, so that what a value says in braces stays as it is.
            let mut out = String::new();
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once('{') {
                out.push_str(before);
                let found = after
                    .split_once('}')
                    .and_then(|(word, behind)| Some((told.word(word)?, behind)));
                match found {
                    Some((Value::String(value), behind)) => {
                        out.push_str(&value);
                        rest = behind;
                    }
                    Some((Value::Null, behind)) => rest = behind,
                    Some((value, behind)) => {
                        out.push_str(&value.to_string());
                        rest = behind;
                    }
                    None => {
                        out.push('{');
                        rest = after;
                    }
                }
            }
            out.push_str(rest);
            Value::String(out)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, told)).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), filled(value, told)));
            Value::Object(Map::from_iter(members))
        }
        other => other.clone(),
    }
}

fn append_element(name: &str, value: &Value, text: &mut String) {
    if let Value::Array(items) = value {
        return items
            .iter()
            .for_each(|item| append_element(name, item, text));
    }
    text.push_str(&format!("<{name}>"));
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| append_element(name, value, text)),
        Value::Null => {}
        Value::String(value) => text.push_str(&quick_xml::escape::escape(value.as_str())),
        other => text.push_str(&other.to_string()),
    }
    text.push_str(&format!("</{name}>"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(text: &str) -> Result<Answer, String> {
        toml::from_str::<AnswerFile>(text)
            .map_err(|error| error.to_string())?
            .compile()
    }

    fn told() -> Told {
        Told {
            success: true,
            status: 202,
            code: "ok".to_owned(),
            message: "已接收 <1> 件 {code}".to_owned(),
            record_id: "r1".to_owned(),
            version: Some(3),
            ..Told::default()
        }
    }

    #[test]
    fn words_are_filled_in_once_and_keep_their_type() {
        let text = "refused = {}\n[accepted]\ncode = 0\nok = \"{success}\"\ntext = \"v{version}{revision} {message}\"\nnested = { id = \"{record_id}\" }\n";
        let (media_type, body) = answer(text).unwrap().render(&told());
        assert_eq!(media_type, "application/json");
        let body: Value = serde_json::from_str(&body).unwrap();
        let expected = json!({
            "code": 0, "ok": true, "text": "v3 已接收 <1> 件 {code}", "nested": {"id": "r1"},
        });
        assert_eq!(body, expected);
        let text = "format = \"xml\"\nroot = \"ret\"\nrefused = {}\n[accepted]\nok = \"{success}\"\ntext = \"{message}\"\n";
        let (_, body) = answer(text).unwrap().render(&told());
        assert!(
            body.ends_with("<ret><ok>true</ok><text>已接收 &lt;1&gt; 件 {code}</text></ret>"),
            "{body}"
        );
    }

    #[test]
    fn an_answer_that_cannot_be_given_is_refused() {
        for (text, told) in [
            (
                "accepted = { a = \"{massage}\" }\nrefused = {}\n",
                "massage",
            ),
            ("accepted = {}\n", "refused"),
            ("accepted = {}\nrefused = {}\nstatus = 200\n", "status"),
            (
                "format = \"xml\"\naccepted = { \"a b\" = 1 }\nrefused = {}\n",
                "a b",
            ),
        ] {
            let error = answer(text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
