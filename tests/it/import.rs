//! `synchub import`: sheets as clerks keep them, judged by `tests/samples/import/expected.json`.

use crate::hub::{Hub, Platforms, project, shows_once};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const HEADER: &str = "流水号,标题,发文字号,发布机构,成文日期,公开方式,正文,备注\n";

/// Copies a sample to a folder of its own: an import leaves its report beside the file.
fn sample(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::copy(project().join("tests/samples/import").join(name), &path).expect("copied");
    path
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("written");
    path
}

struct Ran {
    succeeded: bool,
    summary: Value,
    errors: String,
}

fn import(hub: &Hub, file: &Path, more: &[&str]) -> Ran {
    let file = file.to_str().expect("a path");
    let output = hub.cli(&[&["import", file, "--json"], more].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran {
        succeeded: output.status.success(),
        summary: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        errors,
    }
}

/// Imports and returns the report, row by row.
fn rows(hub: &Hub, file: &Path, more: &[&str]) -> Vec<Value> {
    let report = file.with_extension("report.ndjson");
    let named = ["--report", report.to_str().expect("a path")];
    let ran = import(hub, file, &[&named, more].concat());
    assert!(ran.summary["rows"].is_u64(), "{}", ran.errors);
    let text = std::fs::read_to_string(&report).expect("a report");
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let rejected = rows.iter().any(|row| row["outcome"] == "rejected");
    assert_eq!(
        ran.succeeded, !rejected,
        "the exit code tells of rejected rows"
    );
    rows
}

fn outcomes(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["outcome"].as_str().expect("text"))
        .collect()
}

async fn records(hub: &Hub) -> usize {
    let (status, page) = hub.get("/v1/records?limit=200").await;
    assert_eq!(status, 200, "{page:#}");
    page["items"].as_array().expect("a list").len()
}

fn sorted(names: &Value) -> Vec<&str> {
    let names = names.as_array().expect("a list");
    let mut names: Vec<&str> = names.iter().map(|it| it.as_str().expect("text")).collect();
    names.sort_unstable();
    names
}

/// Compares a report with what is expected of the rows of a sample.
fn assert_expected(name: &str, reported: &[Value]) {
    let path = project().join("tests/samples/import/expected.json");
    let text = std::fs::read_to_string(path).expect("readable");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let expected = expected[name]["rows"].as_array().expect("a list");
    assert_eq!(reported.len(), expected.len(), "{name}");
    for (row, wanted) in reported.iter().zip(expected) {
        let told = format!("{name} {wanted}\n is {row}");
        assert_eq!(row["row"], wanted["row"], "{told}");
        assert_eq!(row["outcome"], wanted["outcome"], "{told}");
        let platforms = sorted(&wanted["platforms"]);
        assert_eq!(sorted(&row["platforms"]), platforms, "{told}");
        assert_eq!(
            row["duplicate_of_row"], wanted["duplicate_of_row"],
            "{told}"
        );
        let code = wanted["code"].as_str().or(wanted["hold"].as_str());
        if let Some(code) = code {
            assert_eq!(row["code"], code, "{told}");
        }
        let is_plain = wanted["outcome"] == "created";
        assert!(
            is_plain || row["detail"].as_str().is_some_and(|it| !it.is_empty()),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_samples_becomes_what_it_should() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["backfill-2014.xlsx", "backfill-2014-gbk.csv"] {
        let file = sample(folder.path(), name);
        let before = records(&hub).await;
        let foreseen = rows(&hub, &file, &["--dry-run"]);
        assert_expected(name, &foreseen);
        assert_eq!(records(&hub).await, before, "a dry run stores nothing");
        let told = rows(&hub, &file, &[]);
        assert_expected(name, &told);
        let stored = told.iter().filter(|row| row["record_id"].is_string());
        assert_eq!(records(&hub).await, before + stored.count());
        for row in told
            .iter()
            .filter(|row| row["outcome"] == "created")
            .take(3)
        {
            let id = row["record_id"].as_str().expect("text");
            for platform in sorted(&row["platforms"]) {
                shows_once(&platforms, platform, id, 1).await;
            }
        }
        // The same file again: nothing new, and the same rows are told as duplicates.
        let again = rows(&hub, &file, &[]);
        for (first, second) in told.iter().zip(&again) {
            let outcome = match first["outcome"].as_str() {
                Some("created" | "held") => "unchanged",
                outcome => outcome.expect("text"),
            };
            assert_eq!(second["outcome"], outcome, "{second}");
            assert_eq!(second["record_id"], first["record_id"]);
            assert_eq!(second["duplicate_of_row"], first["duplicate_of_row"]);
        }
        assert_eq!(
            records(&hub).await,
            before + told.iter().filter(|it| it["record_id"].is_string()).count()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_import_goes_on_where_it_stopped() {
    let mut hub = Hub::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = HEADER.to_owned();
    for row in 0..1500 {
        // Every tenth row repeats the first document of its ten.
        let document = if row % 10 == 9 { row - 9 } else { row };
        text.push_str(&format!(
            ",第{document}号情况通报,,市财政局,2014年9月18日,主动公开,正文,\n"
        ));
    }
    let file = write(folder.path(), "big.csv", text);
    let report = folder.path().join("big.csv.report.csv");
    hub.set("SYNCHUB_FAILPOINT", "submit.after_commit:700");
    let ran = import(&hub, &file, &[]);
    assert!(
        !ran.succeeded && ran.summary.is_null(),
        "it was ended in the middle"
    );
    assert!(!report.exists(), "there is no report of half a file");
    hub.set("SYNCHUB_FAILPOINT", "");
    // A half written line is one that was never told.
    let journal = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().contains(".unfinished-"))
        .expect("a journal");
    let mut told = std::fs::read_to_string(&journal).expect("readable");
    let done = told.lines().count();
    assert!((1..1500).contains(&done), "{done}");
    told.push_str("{\"row\":3,\"outc");
    std::fs::write(&journal, told).expect("written");
    let ran = import(&hub, &file, &[]);
    assert!(ran.succeeded, "{}", ran.errors);
    assert!(
        ran.errors.contains(&format!("{done} rows are done")),
        "{}",
        ran.errors
    );
    assert!(!journal.exists());
    let mut table = csv::Reader::from_path(&report).expect("a report");
    let told: Vec<csv::StringRecord> = table.records().map(|it| it.expect("a row")).collect();
    assert_eq!(told.len(), 1500);
    for (place, row) in told.iter().enumerate() {
        assert_eq!(row[1], (place + 2).to_string(), "each row once, in order");
        if place % 10 == 9 {
            assert_eq!(
                (&row[2], row[10].to_owned()),
                ("duplicate", (place - 9 + 2).to_string()),
                "{row:?}"
            );
        } else {
            assert!(["created", "unchanged"].contains(&&row[2]), "{row:?}");
        }
    }
    let ids: std::collections::HashSet<&str> = told
        .iter()
        .map(|row| &row[3])
        .filter(|id| !id.is_empty())
        .collect();
    assert_eq!(ids.len(), 1350, "a record each");
    let listed = hub.cli_json(&["import", file.to_str().expect("a path"), "--dry-run"]);
    assert_eq!(listed["outcomes"]["unchanged"], 1350);
    assert_eq!(listed["outcomes"]["duplicate"], 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_corrects_only_when_asked_and_never_doubles() {
    let hub = Hub::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let row = |body: &str| {
        format!("{HEADER},事故情况通报,韶安监〔2014〕49号,市安监局,2014/7/15,主动公开,{body},\n")
    };
    let file = write(folder.path(), "a.csv", row("甲"));
    let created = rows(&hub, &file, &[]);
    assert_eq!(outcomes(&created), ["created"]);
    let record = created[0]["record_id"].clone();
    write(folder.path(), "a.csv", row("乙"));
    let refused = rows(&hub, &file, &[]);
    assert_eq!(
        (&refused[0]["outcome"], &refused[0]["code"]),
        (&json!("rejected"), &json!("changed"))
    );
    let foreseen = rows(&hub, &file, &["--correct", "--dry-run"]);
    assert_eq!(outcomes(&foreseen), ["corrected"]);
    let corrected = rows(&hub, &file, &["--correct"]);
    assert_eq!(outcomes(&corrected), ["corrected"]);
    assert_eq!(corrected[0]["record_id"], record);
    assert_eq!(corrected[0]["version"], 2);
    assert_eq!(outcomes(&rows(&hub, &file, &[])), ["unchanged"]);
    // Another spelling, another place in the file: still that record.
    let moved = "标题,文号,公开主体,发文日期,公开方式,正文\n无关,无,市财政局,2014-07-01,主动公开,丙\n事故 情况通报,韶安监（2014）049号,韶关市安全生产监督管理局,二〇一四年七月十五日,主动公开,乙\n";
    let file = write(folder.path(), "moved.csv", moved);
    let told = rows(&hub, &file, &["--source", "other"]);
    assert_eq!(outcomes(&told), ["created", "duplicate"]);
    assert_eq!(told[1]["duplicate_of_record"], record);
    assert_eq!(records(&hub).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_native_submissions_or_labels_and_wrong_ones_stop_nothing() {
    let hub = Hub::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let native = |id: &str, revision: u64, title: &str| {
        json!({"source_id": id, "revision": revision, "action": "publish", "entry": {"title": title, "unit": "市财政局",
            "written_on": "2014-09-18", "disclosure": "主动公开", "body": {"format": "text", "content": "正文"}}})
    };
    let lines = [
        native("N-1", 1, "甲").to_string(),
        json!({"标题": "乙", "发布机构": "市财政局", "成文日期": 41900, "公开方式": "主动公开", "正文": "正文", "主题词": ["a", "b"], "填表人": "x"}).to_string(),
        String::new(),
        "{\"标题\": ".to_owned(),
        json!({"标题": "丙", "信息名称": "丁", "发布机构": "市财政局"}).to_string(),
        native("N-1", 2, "甲（更正）").to_string(),
        json!({"source_id": "N-1", "revision": 3, "action": "withdraw", "reason": "误发"}).to_string(),
        json!({"标题": "戊", "密级": "秘密", "发布机构": "市财政局"}).to_string(),
    ];
    let file = write(folder.path(), "a.ndjson", lines.join("\n"));
    let told = rows(&hub, &file, &[]);
    let seen: Vec<(u64, &str, &str)> = told
        .iter()
        .map(|row| {
            (
                row["row"].as_u64().expect("a number"),
                row["outcome"].as_str().expect("text"),
                row["code"].as_str().expect("text"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, "created", ""),
            (2, "created", ""),
            (4, "rejected", "json_invalid"),
            (5, "rejected", "ambiguous_field"),
            (6, "corrected", ""),
            (7, "withdrawn", ""),
            (8, "rejected", "secret"),
        ]
    );
    let ran = import(&hub, &file, &["--dry-run"]);
    assert!(ran.errors.contains("填表人"), "{}", ran.errors);
    let report =
        std::fs::read_to_string(folder.path().join("a.ndjson.dry-run.csv")).expect("a report");
    assert!(report.starts_with("\u{feff}sheet,row,outcome,"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_table_is_refused_with_a_hint() {
    let hub = Hub::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let open = format!(
        "{HEADER},甲,,市财政局,2014-09-18,主动公开,\"{}",
        "字".repeat(6 << 20)
    );
    for (name, content, told) in [
        ("a.csv", b"\xff\xff\xff\xff".to_vec(), "neither UTF-8"),
        ("b.csv", "姓名,电话\n甲,1\n".into(), "names the columns"),
        ("c.csv", "标题,信息名称,文号\n".into(), "“信息名称”"),
        ("d.xlsx", b"PK\x03\x04nothing".to_vec(), "workbook"),
        ("e.docx", Vec::new(), "none of .xlsx"),
        ("f.csv", open.into(), "quotation mark"),
    ] {
        let file = write(folder.path(), name, content);
        let output = hub.cli(&["import", file.to_str().expect("a path")]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(
            errors.contains(told) && errors.contains("\nhint: "),
            "{name}: {errors}"
        );
    }
    let sheet = sample(folder.path(), "backfill-2014.xlsx");
    let ran = import(&hub, &sheet, &["--sheet", "没有的表"]);
    assert!(ran.errors.contains("补录表"), "{}", ran.errors);
    assert_eq!(records(&hub).await, 0);
}
