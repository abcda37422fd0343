//! What the documents tell a reader to type is typed here.

use crate::hub::{SYNCHUB, project};
use std::process::Command;

fn document(name: &str) -> String {
    std::fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The verbs of every `synchub …` command in the code blocks and code spans of a document.
fn commands(text: &str) -> Vec<Vec<String>> {
    let pattern =
        regex::Regex::new(r"(?m)(?:^|`|\$\s|--\s)synchub ([a-z][^`\n#|>]*)").expect("a pattern");
    pattern
        .captures_iter(text)
        .map(|found| found[1].split_whitespace().map(ToOwned::to_owned).collect())
        .collect()
}

/// A verb with its sub-verb, as far as they are words and not arguments.
fn verbs(command: &[String]) -> Vec<String> {
    const WITH_SUB_VERBS: [&str; 3] = ["connector", "account", "replays"];
    let count = if WITH_SUB_VERBS.contains(&command[0].as_str()) {
        2
    } else {
        1
    };
    command.iter().take(count).cloned().collect()
}

#[test]
fn every_command_and_option_in_the_documents_exists() {
    let mut seen = 0;
    for name in ["README.md", "deploy/RUNBOOK.md", "deploy/CONNECTORS.md"] {
        for command in commands(&document(name)) {
            let verbs = verbs(&command);
            let output = Command::new(SYNCHUB)
                .args(&verbs)
                .arg("--help")
                .output()
                .expect("it runs");
            assert!(
                output.status.success(),
                "{name}: synchub {}",
                command.join(" ")
            );
            let help = String::from_utf8_lossy(&output.stdout);
            for option in command.iter().filter(|it| it.starts_with("--")) {
                let option = option.split('=').next().unwrap_or(option);
                assert!(
                    help.contains(option),
                    "{name}: synchub {} has no {option}",
                    verbs.join(" ")
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} commands were found");
}

#[test]
fn the_readme_names_both_commands_and_every_file_it_points_to() {
    let readme = document("README.md");
    assert!(readme.contains("cargo run --release -- demo") && readme.contains("tests/run"));
    let link = regex::Regex::new(r"\]\(([^)#:]+)\)").expect("a pattern");
    let mut links = 0;
    for found in link.captures_iter(&readme) {
        let path = project().join(&found[1]);
        assert!(path.exists(), "{} does not exist", &found[1]);
        links += 1;
    }
    assert!(links > 5);
}

#[test]
fn every_verb_takes_json_and_says_what_it_does() {
    let help = Command::new(SYNCHUB)
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for verb in [
        "demo",
        "serve",
        "sandbox",
        "submit",
        "why",
        "trace",
        "failures",
        "replay",
        "replays",
        "done",
        "give-up",
        "undo",
        "override",
        "platforms",
        "pause",
        "resume",
        "verify",
        "connector",
        "migrate",
        "doctor",
        "account",
    ] {
        assert!(help.contains(&format!("  {verb} ")), "{verb}");
        let own = Command::new(SYNCHUB)
            .args([verb, "--help"])
            .output()
            .expect("it runs");
        assert!(
            String::from_utf8_lossy(&own.stdout).contains("--json"),
            "{verb}"
        );
    }
}
