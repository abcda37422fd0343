//! To come.
use super::desk::Identity;
use super::page::{Charset, Look};
use super::{Prepared, Site};
pub(super) fn prepare(site: &mut Site<'_>) -> std::io::Result<Prepared> {
    let look = Look {
        style: "",
        motto: "",
        as_table: false,
        charset: Charset::Utf8,
        columns: &[],
    };
    let desk = site.desk(
        Identity {
            id: "integrity-portal",
            title: "integrity-portal",
            look,
            has_sessions: false,
            reviews: false,
        },
        0,
    )?;
    Ok(Prepared {
        settings: vec![],
        desk,
        router: axum::Router::new(),
    })
}
