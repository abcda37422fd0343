//! What stands in a `profile.toml`. Unknown keys are refused.

use super::answer::AnswerFile;
use super::place::Pointer;
use crate::intake::format::Format;
use crate::intake::native;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// A source profile as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// What people call it.
    pub(super) name: String,
    /// Edition of the profile.
    pub(super) version: u32,
    /// What it takes.
    pub(super) formats: Vec<Format>,
    /// A document that has all places of one of these lists is taken for one of this profile when
    /// none is named.
    #[serde(default)]
    pub(super) recognise: Vec<Vec<Pointer>>,
    /// Texts that hold JSON.
    #[serde(default)]
    pub(super) json_strings: Vec<String>,
    /// Whether fields that are not named are known by their labels.
    #[serde(default)]
    pub(super) labels: bool,
    /// How the body is written, when the document does not say so.
    #[serde(default)]
    pub(super) body_format: BodyChoice,
    /// Where the fields lie; of two of one name the first counts.
    pub(super) place: Vec<Place>,
    /// Field of a native submission → field of the document.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, FieldRule>,
    /// Field of the document → label of a guard.
    #[serde(default)]
    pub(super) guards: BTreeMap<String, String>,
    /// Tables with rows of their own.
    #[serde(default)]
    pub(super) detail: Vec<Detail>,
    /// Files.
    pub(super) attachments: Option<AttachmentRule>,
    /// What the sender's hook expects to hear; problem+json and the native answer without.
    pub(super) answer: Option<AnswerFile>,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyChoice {
    /// HTML when there are tags in it.
    #[default]
    Detect,
    Html,
    Text,
}

/// Where fields lie: members of an object, or a list of names with values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) at: Pointer,
    /// Keys of a name and its value in the items of a list; both or none.
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
    /// Only looked at when nothing was found before.
    #[serde(default)]
    pub(super) otherwise: bool,
}

/// Where one native field comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldRule {
    /// Fields of the document; the first that is filled counts.
    pub(super) from: Vec<String>,
    /// Letters that divide a list.
    pub(super) split: Option<String>,
    /// Option code → what it means.
    pub(super) values: BTreeMap<String, String>,
    /// What counts when nothing is filled.
    pub(super) default: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullRule {
    #[serde(default)]
    from: Vec<String>,
    split: Option<String>,
    #[serde(default)]
    values: BTreeMap<String, String>,
    default: Option<String>,
}

impl<'de> Deserialize<'de> for FieldRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrRule;
        impl<'de> Visitor<'de> for NameOrRule {
            type Value = FieldRule;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a field, or { from, split, values, default }")
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldRule, E> {
                Ok(FieldRule {
                    from: vec![name.to_owned()],
                    ..FieldRule::default()
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldRule, A::Error> {
                let rule = FullRule::deserialize(MapAccessDeserializer::new(map))?;
                Ok(FieldRule {
                    from: rule.from,
                    split: rule.split,
                    values: rule.values,
                    default: rule.default,
                })
            }
        }
        deserializer.deserialize_any(NameOrRule)
    }
}

/// A table beside the fields. What the body says already is not said again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Detail {
    pub(super) at: Pointer,
    #[serde(default)]
    pub(super) layout: Layout,
    /// Where the rows lie in each table; without, the table is a list of rows.
    pub(super) rows: Option<Pointer>,
    /// Where the fields lie in each row; without, the row is an object of them.
    pub(super) fields: Option<Pointer>,
    /// Keys of a name and its value in the items of a list; both or none.
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
    /// Field of a row → heading of its column.
    #[serde(default)]
    pub(super) columns: BTreeMap<String, String>,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    /// Row by row.
    #[default]
    Rows,
    /// Column by column: members `table.column` that are lists.
    Columns,
}

/// Where the files are and what their parts are called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttachmentRule {
    /// Where they lie, besides those in the field of attachments.
    pub(super) at: Option<Pointer>,
    /// Key of the file's name.
    pub(super) name: String,
    /// Key of its media type.
    pub(super) media_type: Option<String>,
    /// Key of its content in Base64.
    pub(super) content: Option<String>,
    /// What the content begins with, when the same key may hold an address.
    #[serde(default)]
    pub(super) content_prefix: String,
    /// Its address, with `{key}` for what it holds; escaped unless the address is nothing else.
    pub(super) url: Option<String>,
    /// What stands before an address that names no host: `env:NAME`, `file:PATH` or the address.
    pub(super) base: Option<String>,
    /// Key of its SHA-256.
    pub(super) sha256: Option<String>,
}

impl Manifest {
    /// Returns the first thing that cannot be right.
    pub(super) fn problem(&self) -> Option<String> {
        let unknown = self.fields.keys().find(|pointer| !is_target(pointer));
        if let Some(pointer) = unknown {
            return Some(format!("fields: a submission has no field {pointer:?}"));
        }
        if self.formats.is_empty() || self.place.is_empty() {
            return Some("formats and place name at least one each".to_owned());
        }
        if self.fields.is_empty() && !self.labels {
            return Some("without fields and without labels nothing is known".to_owned());
        }
        let places = self.place.iter().map(|it| (&it.name, &it.value));
        let details = self.detail.iter().map(|it| (&it.name, &it.value));
        if places
            .chain(details)
            .any(|(name, value)| name.is_some() != value.is_some())
        {
            return Some("name and value stand together or not at all".to_owned());
        }
        self.json_strings
            .iter()
            .find(|pointer| !pointer.starts_with('/'))
            .map(|pointer| format!("json_strings: {pointer:?} is no pointer"))
    }
}

/// Whether a rule may fill this place of a native submission.
fn is_target(pointer: &str) -> bool {
    let free = ["/entry/project/fields/", "/entry/credit/fields/"];
    native::is_field(pointer)
        || free.iter().any(|start| {
            pointer
                .strip_prefix(start)
                .is_some_and(|name| !name.is_empty() && !name.contains('/'))
        })
}
