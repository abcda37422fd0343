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
    Ok(Examined {
        content,
        files,
        holds: screening.holds,
        findings: screening.findings,
        warnings,
        platforms: routes.platforms,
    })
}
