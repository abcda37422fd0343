//! Reads JSON more strictly than most readers: no duplicate keys, bounded depth, no control
//! characters in strings. Each of them lets two readers see two different documents.

use crate::normalise::text::forbidden_character;
use crate::record::FieldError;
use crate::schema::{below, label};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// How deep arrays and objects may stand inside each other.
const DEPTH_MAX: usize = 32;
/// Found faults beyond this many are not told.
const FAULTS_MAX: usize = 100;

/// Returns the JSON value in `text`.
pub(in crate::intake) fn parse(text: &str) -> Result<Value, Vec<FieldError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let faults = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        faults: &faults,
        path: &Path::Root,
        depth: 0,
    };
    let parsed = seed
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    let faults = faults.into_inner();
    if !faults.is_empty() {
        return Err(faults);
    }
    parsed.map_err(|error| {
        let detail = format!(
            "提交内容不是正确的 JSON：第{}行第{}列附近有误。",
            error.line(),
            error.column()
        );
        vec![FieldError::new("", "json_invalid", detail)]
    })
}

/// Where in the document a value stands; costs nothing until a fault needs it.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Place(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => below(&parent.pointer(), key),
            Self::Place(parent, place) => format!("{}/{place}", parent.pointer()),
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    faults: &'a RefCell<Vec<FieldError>>,
    path: &'a Path<'a>,
    depth: usize,
}

impl<'a> Strict<'a> {
    fn fault(&self, pointer: String, code: &str, detail: String) {
        let mut faults = self.faults.borrow_mut();
        if faults.len() < FAULTS_MAX {
            faults.push(FieldError::new(pointer, code, detail));
        }
    }

    fn check_text(&self, text: &str) {
        if let Some(character) = forbidden_character(text) {
            let pointer = self.path.pointer();
            let detail = format!(
                "{}含有不可见的控制字符（U+{:04X}），请删除后重新提交。",
                label(&pointer),
                u32::from(character)
            );
            self.fault(pointer, "control_character", detail);
        }
    }

    /// Returns the seed for a value inside this one, unless that is too deep.
    fn inside<E: Error>(&self) -> Result<usize, E> {
        if self.depth < DEPTH_MAX {
            return Ok(self.depth + 1);
        }
        let detail = format!("提交内容的嵌套超过{DEPTH_MAX}层，请检查。");
        self.fault(self.path.pointer(), "too_deep", detail);
        Err(E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.check_text(value);
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.check_text(&value);
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let depth = self.inside()?;
        let mut values = Vec::new();
        loop {
            let path = Path::Place(self.path, values.len());
            let seed = Strict {
                faults: self.faults,
                path: &path,
                depth,
            };
            match sequence.next_element_seed(seed)? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let depth = self.inside()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Key(self.path, &key);
            let seed = Strict {
                faults: self.faults,
                path: &path,
                depth,
            };
            seed.check_text(&key);
            let value = entries.next_value_seed(seed)?;
            if object.contains_key(&key) {
                let pointer = path.pointer();
                let detail = format!("{}出现了两次，请只保留一个。", label(&pointer));
                seed.fault(pointer, "duplicate_key", detail);
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
