//! The conformance kit: what it finds good conforms, and what is broken on purpose is found.

use crate::hub::{SYNCHUB, project};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const CASES: usize = 16;

fn conform(folders: &[PathBuf]) -> (bool, Value) {
    let output = Command::new(SYNCHUB)
        .args(["connector", "conform", "--json"])
        .args(folders)
        .current_dir(project())
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.success(), report)
}

/// The cases of a report with this result.
fn cases<'a>(report: &'a Value, result: &str) -> Vec<&'a str> {
    let all = report["cases"].as_array().expect("a list");
    let some = all.iter().filter(|case| case["result"] == result);
    some.filter_map(|case| case["case"].as_str()).collect()
}

fn shipped(name: &str) -> PathBuf {
    project().join("connectors").join(name)
}

#[test]
fn the_shipped_connectors_and_a_fourth_conform() {
    let mut folders: Vec<PathBuf> = crate::hub::ALL.map(shipped).into();
    folders.push(project().join("tests/it/fourth/bulletin-board"));
    let (conforms, report) = conform(&folders);
    assert!(conforms, "{report:#}");
    let connectors = report["connectors"].as_array().expect("a list");
    assert_eq!(connectors.len(), folders.len());
    for connector in connectors {
        assert_eq!(cases(connector, "failed"), Vec::<&str>::new());
        let (passed, waived) = (cases(connector, "passed"), cases(connector, "waived"));
        assert_eq!(passed.len() + waived.len(), CASES, "{connector:#}");
        let may_waive = connector["connector"] == "bulletin-board";
        assert_eq!(waived.len(), if may_waive { 2 } else { 0 }, "{connector:#}");
    }
}

/// A copy of a shipped connector with one text of its manifest replaced.
fn spoiled(folder: &Path, name: &str, from: &str, to: &str) -> PathBuf {
    let copy = folder.join(name);
    copy_folder(&shipped(name), &copy);
    let manifest = copy.join("connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    assert!(text.contains(from), "{name} has no {from}");
    std::fs::write(&manifest, text.replace(from, to)).expect("written");
    copy
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false => drop(std::fs::copy(&path, &target).expect("copied")),
        }
    }
}

#[test]
fn what_is_broken_on_purpose_is_found_by_its_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let spoiled = |name, from, to| spoiled(folder.path(), name, from, to);
    let folders = [
        // Any 200 counts as success.
        spoiled(
            "gov-info",
            "status == 200 and json.code == 0 and json.data.id",
            "status == 200",
        ),
        // A look-up finds nothing any more.
        spoiled(
            "integrity-portal",
            "| first).ArticleId\"",
            "| first).Number\"",
        ),
        // Nobody knows what 429 and 5xx mean.
        spoiled(
            "engineering-projects",
            "[[classify.status]]\nstatus = \"429\"\nverdict = \"rate_limited\"\n\n[[classify.status]]\nstatus = \"5xx\"\nverdict = \"retry\"\n",
            "",
        ),
    ];
    let (conforms, report) = conform(&folders);
    assert!(!conforms);
    for (number, found) in [
        (0, ["error_in_body", "garbage"]),
        (1, ["lost_answer", "repeat"]),
        (2, ["rate_limited", "server_errors"]),
    ] {
        let connector = &report["connectors"][number];
        let failed = cases(connector, "failed");
        assert!(
            found.iter().all(|case| failed.contains(case)),
            "{connector:#}"
        );
        assert!(failed.len() < CASES, "{connector:#}");
    }
}

#[test]
fn a_waiver_needs_a_reason_and_a_case_and_not_everything_can_be_waived() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = "\n[conform.waive]\n".to_owned();
    for case in synchub::conform::Case::ALL {
        all.push_str(&format!("{} = \"not today\"\n", case.name()));
    }
    let path = spoiled(
        folder.path(),
        "gov-info",
        "[[classify.body]]\nwhen = \"json.code == 40101\"",
        "[[classify.body]]\nwhen = \"json.code == 40101\"",
    );
    let manifest = path.join("connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    std::fs::write(&manifest, format!("{text}{all}")).expect("written");
    let (conforms, report) = conform(std::slice::from_ref(&path));
    assert!(!conforms, "zero cases run");
    assert_eq!(cases(&report["connectors"][0], "waived").len(), CASES);

    let wrong = "\n[conform.waive]\ncreate = \" \"\nno_such_case = \"why not\"\n";
    std::fs::write(&manifest, format!("{text}{wrong}")).expect("written");
    let (conforms, report) = conform(&[path]);
    assert!(!conforms);
    let findings = report["connectors"][0]["findings"].to_string();
    for place in ["conform.waive.create", "conform.waive.no_such_case"] {
        assert!(findings.contains(place), "{findings}");
    }
}
