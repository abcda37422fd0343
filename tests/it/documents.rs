//! What the documents tell a reader to type is typed here.

use crate::hub::{ALL, Hub, Platforms, SYNCHUB, entry_for_all, project};
use serde_json::json;
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
    const WITH_SUB_VERBS: [&str; 6] = [
        "connector",
        "account",
        "profile",
        "replays",
        "catalogue",
        "attachments",
    ];
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
    for name in [
        "README.md",
        "deploy/RUNBOOK.md",
        "deploy/CONNECTORS.md",
        "deploy/PROFILES.md",
    ] {
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
        "import",
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
        "redirect",
        "retire",
        "verify",
        "connector",
        "catalogue",
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

/// Splits a command as a shell would, as far as documents need it.
fn shell_words(text: &str) -> Vec<String> {
    let pattern = regex::Regex::new(r#"(?:"[^"]*"|'[^']*'|[^\s"'])+"#).expect("a pattern");
    pattern
        .find_iter(text)
        .map(|word| word.as_str().replace(['"', '\''], ""))
        .collect()
}

/// Verbs that do nothing, or not come to an end, without more words.
const BARE: [&str; 5] = ["why", "trace", "verify", "replay", "serve"];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbook_does_something_on_a_hub_with_a_failure() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let mut long = entry_for_all("OA-2014-000123", 1);
    long["entry"]["title"] = json!("题".repeat(130));
    let record = hub.submit(&long).await["record_id"].clone();
    let record = hub.settled(record.as_str().expect("text")).await;
    let mut deliveries = record["deliveries"].as_array().expect("a list").iter();
    let failed = deliveries
        .find(|it| it["platform"] == ALL[0])
        .expect("there");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let group = text(&hub.cli_json(&["failures"])[0]["group"]);
    let seen = hub.cli_json(&["replay", "--group", &group]);
    let hash = text(&seen["selection_hash"]);
    let pressed = ["replay", "--group", &group, "--yes", "--selection", &hash];
    let replay = text(&hub.cli_json(&pressed)["id"]);
    let pattern = regex::Regex::new(r"`synchub ([a-z][^`\n|]*)`").expect("a pattern");
    let mut ran = 0;
    for found in pattern.captures_iter(&document("deploy/RUNBOOK.md")) {
        let mut words = shell_words(&found[1]);
        // The name of a verb alone, in a sentence.
        if words.len() == 1 && BARE.contains(&words[0].as_str()) {
            continue;
        }
        let replays = words[0] == "replays";
        for word in &mut words {
            *word = match word.as_str() {
                "PLATFORM" | "平台" => ALL[0].to_owned(),
                "GROUP" => group.clone(),
                "HASH" => hash.clone(),
                "编号" => "OA-2014-000123".to_owned(),
                "ID" if replays => replay.clone(),
                "ID" => text(&failed["id"]),
                "NAME" => "somebody".to_owned(),
                other => other.to_owned(),
            };
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = hub.cli(&words);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        // A refusal says what to do; what the command line does not understand exits with 2.
        let understood = match output.status.code() {
            Some(0) => true,
            Some(1) => errors.contains("hint:") || words[0] == "doctor",
            _ => false,
        };
        assert!(
            understood || words.len() == 1,
            "synchub {}: {errors}",
            found[1].trim()
        );
        ran += 1;
    }
    assert!(ran > 25, "only {ran} commands were found");
}
