//! The fields of a document by their names.

use super::manifest::Place;
use super::place::{items, text_of};
use crate::record::FieldError;
use serde_json::Value;
use std::collections::HashMap;

/// Fields of one document; no form has so many.
const FIELDS_MAX: usize = 2_000;

/// What the document gives, in its order.
#[derive(Debug, Default)]
pub(super) struct Given<'a> {
    fields: Vec<(String, &'a Value)>,
    index: HashMap<String, usize>,
}

impl<'a> Given<'a> {
    /// Gathers the fields at these places; of two places with the same name the first counts.
    ///
    /// # Errors
    /// A name that stands twice in one place with different values.
    pub(super) fn gather(places: &[Place], tree: &'a Value) -> Result<Self, Vec<FieldError>> {
        let mut given = Self::default();
        for place in places {
            if place.otherwise && !given.fields.is_empty() {
                continue;
            }
            let known = given.fields.len();
            for found in place.at.select(tree) {
                for item in items(found) {
                    given.enter_item(place, item, known)?;
                }
            }
        }
        Ok(given)
    }

    /// Enters what one object says; names before `known` come from a place before.
    fn enter_item(
        &mut self,
        place: &Place,
        item: &'a Value,
        known: usize,
    ) -> Result<(), Vec<FieldError>> {
        let Value::Object(members) = item else {
            return Ok(());
        };
        match (&place.name, &place.value) {
            (Some(name), Some(value)) => {
                let Some(name) = members.get(name).and_then(text_of) else {
                    return Ok(());
                };
                self.enter(name, members.get(value).unwrap_or(&Value::Null), known)
            }
            _ => members
                .iter()
                .try_for_each(|(name, value)| self.enter(name.clone(), value, known)),
        }
    }

    fn enter(
        &mut self,
        name: String,
        value: &'a Value,
        known: usize,
    ) -> Result<(), Vec<FieldError>> {
        match self.index.get(&name) {
            Some(&at) if at < known || self.fields[at].1 == value => Ok(()),
            Some(_) => {
                let detail = format!("字段“{}”出现了两次，内容不同，请只保留一个。", shown(&name));
                Err(vec![FieldError::new("", "duplicate_key", detail)])
            }
            None if self.fields.len() == FIELDS_MAX => {
                let detail = format!("表单超过{FIELDS_MAX}个字段，请检查。");
                Err(vec![FieldError::new("", "too_many_fields", detail)])
            }
            None => {
                self.index.insert(name.clone(), self.fields.len());
                self.fields.push((name, value));
                Ok(())
            }
        }
    }

    /// Returns the value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.index.get(name).map(|&at| self.fields[at].1)
    }

    /// Returns all fields, in the order of the document.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a Value)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
    }
}

/// Whether a value says nothing.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(_) => text_of(value).is_some_and(|text| text.trim().is_empty()),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns enough of a name to recognise it.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}
