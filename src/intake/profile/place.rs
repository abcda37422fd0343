//! Where something lies in a document: a JSON pointer whose last letter in a step may be a star.

use serde::Deserialize;
use serde_json::Value;

/// Places that one pointer may lead to.
const MATCHES_MAX: usize = 10_000;

/// A pointer such as `/data/data/formmain_*`. A list on the way is passed through: a step goes into
/// each of its items.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pointer {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    /// Every key that begins so.
    Beginning(String),
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { steps: Vec::new() });
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("{text:?} is no pointer: it begins with `/`"));
        };
        let steps = path.split('/').map(|step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            match step.strip_suffix('*') {
                Some(beginning) => Step::Beginning(beginning.to_owned()),
                None => Step::Key(step),
            }
        });
        Ok(Self {
            steps: steps.collect(),
        })
    }
}

impl Pointer {
    /// Returns everything that lies there, in the order of the document.
    pub(super) fn select<'a>(&self, tree: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![tree];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                for value in items(value) {
                    let Value::Object(members) = value else {
                        continue;
                    };
                    match step {
                        Step::Key(key) => next.extend(members.get(key)),
                        Step::Beginning(beginning) => {
                            let matching = members
                                .iter()
                                .filter(|(key, _)| key.starts_with(beginning.as_str()));
                            next.extend(matching.map(|(_, value)| value));
                        }
                    }
                }
            }
            next.truncate(MATCHES_MAX);
            found = next;
        }
        found
    }

    /// Whether anything lies there.
    pub(super) fn leads_somewhere(&self, tree: &Value) -> bool {
        !self.select(tree).is_empty()
    }
}

/// Returns the items of a list, or the one value that is none.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// Returns the text of a value that is one; none for lists and objects of more than a text.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Array(items) => match items.as_slice() {
            [] => Some(String::new()),
            [one] => text_of(one),
            _ => None,
        },
        // An XML element with attributes.
        Value::Object(members) => match members.get("#text") {
            Some(text) => text_of(text),
            None => members
                .keys()
                .all(|key| key.starts_with('@'))
                .then(String::new),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(pointer: &str, tree: &Value) -> Value {
        let pointer = Pointer::try_from(pointer.to_owned()).unwrap();
        json!(pointer.select(tree))
    }

    #[test]
    fn a_step_goes_into_every_item_and_a_star_stands_for_the_rest() {
        let tree = json!({"data": {"formmain_1": {"a": 1}, "formson_2": [{"b": 2}, {"b": 3}]}});
        assert_eq!(found("/data/formmain_*/a", &tree), json!([1]));
        assert_eq!(found("/data/formson_*/b", &tree), json!([2, 3]));
        assert_eq!(found("/data/*", &tree).as_array().unwrap().len(), 2);
        assert_eq!(found("", &tree), json!([tree]));
        assert_eq!(found("/x/y", &tree), json!([]));
        assert!(Pointer::try_from("data".to_owned()).is_err());
    }
}
