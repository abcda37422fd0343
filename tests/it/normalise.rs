//! `synchub normalise`: the vectors of `tests/samples/normalise.ndjson`, through the command line.

use crate::hub::{SYNCHUB, project, samples};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs one kind over lines of standard input and returns the lines that come out.
fn normalise(kind: &str, lines: &str) -> Vec<Value> {
    let mut child = Command::new(SYNCHUB)
        .args(["normalise", kind])
        .current_dir(project())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    let lines = lines.to_owned();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it writes").expect("a reader");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// Whether an answer is what a vector expects: exactly, or an error with that code.
fn is_expected(answer: &Value, vector: &Value) -> bool {
    match vector["error"].as_str() {
        Some(code) => {
            answer["error"]["code"] == code
                && answer["error"]["detail"]
                    .as_str()
                    .is_some_and(|it| !it.is_empty())
        }
        None => *answer == vector["is"],
    }
}

#[test]
fn every_vector_gives_exactly_what_it_says() {
    let path = project().join("tests/samples/normalise.ndjson");
    let text = std::fs::read_to_string(path).expect("readable");
    let mut by_kind: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let vector: Value = serde_json::from_str(line).unwrap_or_else(|it| panic!("{line}: {it}"));
        let kind = vector["kind"].as_str().expect("text").to_owned();
        by_kind.entry(kind).or_default().push(vector);
    }
    assert!(by_kind.len() >= 11);
    for (kind, vectors) in by_kind {
        let lines: Vec<String> = vectors.iter().map(|it| it["value"].to_string()).collect();
        let answers = normalise(&kind, &lines.join("\n"));
        assert_eq!(answers.len(), vectors.len(), "{kind}");
        for (answer, vector) in answers.iter().zip(&vectors) {
            assert!(is_expected(answer, vector), "{kind} {vector}\n is {answer}");
        }
    }
}

#[test]
fn values_of_the_command_line_and_broken_lines_are_answered_one_by_one() {
    let output = Command::new(SYNCHUB)
        .args(["normalise", "money", "3.08万元", "-5万元", "约1元"])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], r#"{"fen":3080000,"raw":"3.08万元"}"#);
    assert_eq!(lines[1], r#"{"fen":-5000000,"raw":"-5万元"}"#);
    assert!(lines[2].starts_with(r#"{"error":{"code":"approximate","#));
    let answers = normalise("date", "{\n\n\"2014-09-18\"\n[]\n");
    assert_eq!(answers[0]["error"]["code"], "json");
    assert_eq!(
        answers[1],
        json!({"date": "2014-09-18", "precision": "day"})
    );
    assert_eq!(answers[2]["error"]["code"], "type");
    assert_eq!(answers.len(), 3);
}

#[test]
fn whole_entries_are_judged_as_the_hub_would() {
    let expected: Value = serde_json::from_slice(
        &std::fs::read(project().join("tests/samples/expected.json")).expect("readable"),
    )
    .expect("JSON");
    let entries = samples();
    let lines: Vec<String> = entries
        .iter()
        .map(|(_, entry)| {
            serde_json::from_slice::<Value>(entry)
                .expect("JSON")
                .to_string()
        })
        .collect();
    let answers = normalise("entry", &lines.join("\n"));
    assert_eq!(answers.len(), entries.len());
    for ((name, _), answer) in entries.iter().zip(answers) {
        let expected = &expected[format!("native/{name}")];
        assert_eq!(
            answer["record"]["source_id"], expected["source_id"],
            "{name}"
        );
        assert_eq!(
            answer["record"]["doc_no"], expected["canonical"]["doc_no"],
            "{name}"
        );
        let hold = answer["holds"]
            .get(0)
            .map_or(Value::Null, |hold| hold["code"].clone());
        assert_eq!(hold, expected["hold"], "{name}");
        let set = |list: &Value| -> BTreeSet<String> {
            let list = list.as_array().expect("a list").iter();
            list.map(ToString::to_string).collect()
        };
        assert_eq!(
            set(&answer["platforms"]),
            set(&expected["platforms"]),
            "{name}"
        );
    }
}

#[test]
fn the_charset_of_every_payload_is_what_its_bytes_really_are() {
    use base64::Engine as _;
    let folder = project().join("tests/samples/oa");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let Some(stem) = name.strip_suffix(".meta.json") else {
            continue;
        };
        let meta: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
        let payload = ["form", "xml", "json", "bin"]
            .iter()
            .find_map(|extension| std::fs::read(folder.join(format!("{stem}.{extension}"))).ok())
            .expect("a payload");
        let encoded = base64::prelude::BASE64_STANDARD.encode(payload);
        let value = json!({"content_type": meta["content_type"], "bytes_b64": encoded});
        let answer = normalise("charset", &value.to_string()).remove(0);
        assert_eq!(answer["charset"], meta["charset"], "{name}");
        seen += 1;
    }
    assert!(seen >= 10);
}
