//! `synchub connector new`: a folder that passes the check, to be changed step by step.

use std::path::Path;

/// File in the new folder → its text. `NAME` becomes the connector's name.
const FILES: [(&str, &str); 13] = [
    ("connector.toml", include_str!("skeleton/connector.toml")),
    (
        "contract.schema.json",
        include_str!("skeleton/contract.schema.json"),
    ),
    (
        "templates/article.json.j2",
        include_str!("skeleton/article.json.j2"),
    ),
    (
        "samples/publish.record.json",
        include_str!("skeleton/record.json"),
    ),
    (
        "samples/publish.request.json",
        include_str!("skeleton/publish.request.json"),
    ),
    (
        "samples/publish.response.json",
        include_str!("skeleton/publish.response.json"),
    ),
    (
        "samples/publish.outcome.json",
        include_str!("skeleton/publish.outcome.json"),
    ),
    (
        "samples/publish-rejected.record.json",
        include_str!("skeleton/record.json"),
    ),
    (
        "samples/publish-rejected.request.json",
        include_str!("skeleton/publish.request.json"),
    ),
    (
        "samples/publish-rejected.response.json",
        include_str!("skeleton/rejected.response.json"),
    ),
    (
        "samples/withdraw.record.json",
        include_str!("skeleton/record.json"),
    ),
    (
        "samples/withdraw.request.json",
        include_str!("skeleton/withdraw.request.json"),
    ),
    (
        "samples/withdraw.response.json",
        include_str!("skeleton/withdraw.response.json"),
    ),
];

/// Writes the folder `dir`, whose name becomes the connector's.
///
/// # Errors
/// When the folder exists, its name is not made of lower-case letters, digits and `-`, or it
/// cannot be written.
pub fn write(dir: &Path) -> std::io::Result<()> {
    use std::io::{Error, ErrorKind};
    let name = dir
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let is_plain = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
        && !name.starts_with('-');
    if !is_plain {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("`{name}` is no connector name: use lower-case letters, digits and `-`"),
        ));
    }
    if dir.exists() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("{} exists", dir.display()),
        ));
    }
    let variable = name.to_ascii_uppercase().replace('-', "_");
    for (file, text) in FILES {
        let path = dir.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(
            path,
            text.replace("VARIABLE", &variable).replace("NAME", name),
        )?;
    }
    // The other outcomes are made by the first run of the check itself.
    super::check::accept(dir);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_new_connector_passes_its_own_check() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("fourth-one");
        super::write(&dir).expect("written");
        let report = super::super::check::check(&dir);
        assert_eq!(report.findings, []);
        assert_eq!(report.samples, 3);
        assert!(
            super::write(&dir).is_err(),
            "an existing folder is not written over"
        );
        assert!(super::write(&folder.path().join("../x y")).is_err());
    }
}
