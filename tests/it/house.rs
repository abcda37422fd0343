//! The rules of the house that can be read from its text.

use crate::hub::project;
use std::path::{Path, PathBuf};

fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

/// All source files as (path from the project's folder, text).
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&project().join("src"), "rs", &mut found);
    assert!(found.len() > 50);
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            let name = path
                .strip_prefix(project())
                .expect("inside")
                .to_string_lossy()
                .into_owned();
            (name, text)
        })
        .collect()
}

fn is_in(path: &str, homes: &[&str]) -> bool {
    homes
        .iter()
        .any(|home| path == format!("src/{home}.rs") || path.starts_with(&format!("src/{home}/")))
}

#[test]
fn each_library_of_the_outside_world_has_one_home() {
    for (library, homes) in [
        ("sqlx::", vec!["store"]),
        ("lapin::", vec!["queue"]),
        ("reqwest::", vec!["attachment", "deliver", "sandbox"]),
        ("object_store::", vec!["attachment"]),
        ("axum::", vec!["http", "console", "sandbox"]),
    ] {
        for (path, text) in sources() {
            assert!(
                !text.contains(library) || is_in(&path, &homes),
                "{path} uses {library}"
            );
        }
    }
}

#[test]
fn intake_and_deliver_meet_only_in_the_store() {
    for (path, text) in sources() {
        if is_in(&path, &["intake"]) {
            assert!(!text.contains("use crate::deliver"), "{path}");
        }
        if is_in(&path, &["deliver"]) {
            assert!(!text.contains("use crate::intake"), "{path}");
        }
        if is_in(&path, &["record"]) {
            let upward = text
                .lines()
                // The bytes of a file are as basic as the words.
                .filter(|line| !line.starts_with("use crate::blob::"))
                .any(|line| line.starts_with("use crate::") && !line.contains("record"));
            assert!(!upward, "{path} imports from above");
        }
        let lower = [
            "record",
            "normalise",
            "screen",
            "route",
            "store",
            "queue",
            "connector",
            "deliver",
            "intake",
            "replay",
        ];
        if is_in(&path, &lower) {
            for upper in ["use crate::http", "use crate::cli", "use crate::sandbox"] {
                assert!(!text.contains(upper), "{path}: {upper}");
            }
        }
    }
}

#[test]
fn no_platform_is_named_outside_the_practice_platforms() {
    for (path, text) in sources() {
        let text = text.to_lowercase();
        for name in ["gov-info", "gov_info", "integrity", "engineering"] {
            assert!(
                !text.contains(name) || is_in(&path, &["sandbox"]),
                "{path} names {name}"
            );
        }
    }
}

#[test]
fn no_stubs_are_left() {
    for (path, text) in sources() {
        // A test that waits for its server is no stub: the round that has the server runs it.
        let text = text.replace("#[ignore = \"needs ", "");
        for stub in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME"] {
            assert!(!text.contains(stub), "{path} has {stub}");
        }
    }
}
