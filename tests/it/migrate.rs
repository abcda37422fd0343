//! `synchub migrate`: once, whoever asks, and never backwards.

use crate::backend::Backend;
use crate::hub::{SYNCHUB, project};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

fn command(backend: &Backend, arguments: &[&str]) -> Command {
    let mut command = Command::new(SYNCHUB);
    command
        .current_dir(project())
        .envs(backend.environment())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(backend: &Backend, arguments: &[&str]) -> Output {
    command(backend, arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON on standard output")
}

#[test]
fn several_processes_migrate_at_once_and_all_succeed() {
    let backend = Backend::chosen();
    let running: Vec<_> = (0..6)
        .map(|_| command(&backend, &["migrate"]).spawn().expect("it runs"))
        .collect();
    for process in running {
        let output = process.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert!(run(&backend, &["migrate", "--check"]).status.success());
}

#[test]
fn a_check_says_what_would_happen_and_changes_nothing() {
    let backend = Backend::chosen();
    for _ in 0..2 {
        let output = run(&backend, &["migrate", "--check", "--json"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let said = json(&output);
        assert_eq!((&said["now"], &said["before"]), (&0.into(), &0.into()));
        assert_eq!(said["pending"][0], "0001_initial.sql");
    }
    let said = text(&run(&backend, &["migrate", "--check"]).stdout);
    assert!(said.contains("0001_initial.sql"), "{said}");
    assert!(run(&backend, &["migrate"]).status.success());
    let said = json(&run(&backend, &["migrate", "--check", "--json"]));
    assert_eq!(said["pending"].as_array().map(Vec::len), Some(0));
    assert_eq!(said["now"], said["newest"]);
}

#[test]
fn a_newer_schema_is_refused_with_a_hint() {
    let backend = Backend::chosen();
    assert!(run(&backend, &["migrate"]).status.success());
    backend.database().execute(
        "UPDATE _sqlx_migrations SET version = 9999 \
         WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
    );
    for verb in [&["migrate"][..], &["migrate", "--check"], &["serve"]] {
        let output = run(&backend, verb);
        assert!(!output.status.success(), "{verb:?}");
        let said = text(&output.stderr);
        assert!(said.contains("9999") && said.contains("hint:"), "{said}");
    }
}
