//! What becomes of an entry before anything is stored: canonical, screened, routed.

use crate::catalogue::Catalogue;
use crate::connector::Connectors;
use crate::normalise::{File, Normalised, normalise};
use crate::record::{Action, Content, Entry, FieldError, Finding, Hold, Warning};
use crate::route::route;
use crate::screen::{Inspected, Rules, Screening, screen};

/// An entry with all that was found out about it.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The canonical content.
    pub content: Content,
    /// The files, in the order of `content.attachments`.
    pub files: Vec<File>,
    /// Why it must not go out; empty when it may.
    pub holds: Vec<Hold>,
    /// What screening found, masked.
    pub findings: Vec<Finding>,
    /// What the clerk should mend.
    pub warnings: Vec<Warning>,
    /// The platforms that shall show it.
    pub platforms: Vec<String>,
}

/// Examines one entry.
///
/// # Errors
/// Everything that is wrong with the entry.
pub fn examine(
    entry: &Entry,
    action: Action,
    catalogue: &Catalogue,
    connectors: &Connectors,
    rules: &Rules,
) -> Result<Examined, Vec<FieldError>> {
    let Normalised {
        content,
        declared,
        files,
        mut warnings,
    } = normalise(entry, catalogue)?;
    let screening = match action {
        Action::Publish => {
            let inspected = Inspected {
                content: &content,
                declared: &declared,
                files: &files,
            };
            screen(&inspected, rules)
        }
        Action::Withdraw => Screening::default(),
    };
    warnings.extend(screening.warnings);
    let routes = route(&content, connectors);
    warnings.extend(routes.warnings);
    warnings.extend(missing_channels(
        &content,
        catalogue,
        connectors,
        &routes.platforms,
    ));
    Ok(Examined {
        content,
        files,
        holds: screening.holds,
        findings: screening.findings,
        warnings,
        platforms: routes.platforms,
    })
}

/// Warns of platforms that must show what is in the column, and do not take it.
fn missing_channels(
    content: &Content,
    catalogue: &Catalogue,
    connectors: &Connectors,
    platforms: &[String],
) -> Vec<Warning> {
    let column = catalogue.column_of(content);
    let missing = catalogue
        .channels(column)
        .iter()
        .filter(|channel| !platforms.contains(channel))
        // One that is not there at all is for `doctor` to tell.
        .filter_map(|channel| connectors.get(channel));
    missing
        .map(|connector| Warning {
            platform: Some(connector.id.clone()),
            pointer: "/entry/column".to_owned(),
            code: "channel_missing".to_owned(),
            detail: format!(
                "{}：栏目“{}”应在该平台公开，但该平台不接收这条信息，请检查栏目和项目组别。",
                connector.name(),
                column.map_or("", |column| column.name.as_str())
            ),
        })
        .collect()
}
