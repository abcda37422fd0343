//! Decides which platforms a record belongs on, by asking each connector.
//!
//! Areas, columns and item groups of a platform are data of its connector (`connector.takes`);
//! nothing here knows one platform from another. Whether a record may go out at all is decided
//! in [`crate::screen`].

use crate::connector::Connectors;
use crate::record::{Content, Record, RecordId, Warning};
use serde_json::Value;

/// Where a record goes, and what the platforms there will not like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routes {
    /// Platforms, in the order of their names.
    pub platforms: Vec<String>,
    /// What their contracts refuse, for the clerk to mend before it becomes a failure.
    pub warnings: Vec<Warning>,
}

/// Returns the platforms that take `content`, with the warnings of their contracts.
pub fn route(content: &Content, connectors: &Connectors) -> Routes {
    let record = as_record(content);
    let view = minijinja::Value::from(minijinja::value::Serde(&record));
    let mut routes = Routes::default();
    for connector in connectors.iter().filter(|connector| connector.takes(&view)) {
        routes.platforms.push(connector.id.clone());
        let warnings = connector
            .contract_errors(&record)
            .into_iter()
            .map(|error| Warning {
                platform: Some(connector.id.clone()),
                pointer: error.pointer,
                code: error.code,
                detail: format!("{}：{}", connector.name(), error.detail),
            });
        routes.warnings.extend(warnings);
    }
    routes
}

/// The record as it will be, with stand-ins for what the store has yet to allocate.
fn as_record(content: &Content) -> Value {
    let mut content = content.clone();
    if content.index_no.is_none() {
        let year = content.written_on.get(..4).unwrap_or("0000");
        content.index_no = Some(format!("{}/{year}-00000", content.unit.code));
    }
    let record = Record {
        id: RecordId::from("00000000-0000-7000-8000-000000000000".to_owned()),
        source: "-".to_owned(),
        source_id: "-".to_owned(),
        revision: 1,
        version: 1,
        content,
    };
    serde_json::to_value(&record).unwrap_or(Value::Null)
}
