//! Decides which platforms a record belongs on, by asking each connector.
//!
//! Areas, columns and item groups of a platform are data of its connector (`connector.takes`);
//! nothing here knows one platform from another. Whether a record may go out at all is decided
//! in [`crate::screen`].

use crate::connector::{Connector, Connectors};
use crate::record::{Content, FieldError, Record, RecordId, Warning};
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
    for connector in connectors
        .current()
        .filter(|connector| connector.takes(&view))
    {
        routes.platforms.push(connector.id.clone());
        let warnings = connector
            .contract_errors(&record)
            .into_iter()
            .chain(too_large(content, connector))
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

/// Says which attachments no request to the platform has room for.
fn too_large(content: &Content, connector: &Connector) -> Vec<FieldError> {
    let max = connector.limits().request_bytes_max as u64;
    let files = content.attachments.iter().enumerate();
    let files = files.filter(|(_, file)| connector.uses_attachment_bytes() && file.bytes > max);
    let errors = files.map(|(place, file)| {
        let detail = format!("附件《{}》超过平台单次接收的 {}MB。", file.name, max >> 20);
        let pointer = format!("/entry/attachments/{place}/content_base64");
        FieldError::new(pointer, "attachment_too_large", detail)
    });
    errors.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::References;
    use crate::record::{Attachment, Submission};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_platform_says_at_intake_which_files_it_will_not_take() {
        let text = include_str!("../tests/samples/native/08-A3-P4-zhongbiao.json");
        let submission: Submission = serde_json::from_str(text).unwrap();
        let catalogue = crate::catalogue::Catalogue::load(Path::new("connectors/catalogue"));
        let entry = submission.entry.unwrap();
        let normalised = crate::normalise::normalise(&entry, &catalogue.unwrap()).unwrap();
        let connectors = Connectors::load(&[PathBuf::from("connectors")], &References::default());
        let with_file = |bytes: u64| {
            let mut content = normalised.content.clone();
            content.attachments = vec![Attachment {
                name: "录像.mp4".to_owned(),
                media_type: "video/mp4".to_owned(),
                bytes,
                sha256: "0".repeat(64),
            }];
            let routes = route(&content, &connectors);
            let about_files = routes.warnings.into_iter();
            let about_files = about_files.filter(|it| it.pointer.contains("/attachments/0"));
            let mut platforms: Vec<String> = about_files.filter_map(|it| it.platform).collect();
            platforms.dedup();
            (platforms, routes.platforms)
        };
        assert_eq!(with_file(1 << 20).0, Vec::<String>::new());
        // More than any request of any of them may carry.
        let (warned, all) = with_file(100 << 20);
        assert_eq!(warned, all);
        assert!(!all.is_empty());
    }
}
