use super::*;
use crate::catalogue::Catalogue;
use crate::normalise::{Normalised, normalise};
use crate::record::{Record, RecordId};
use crate::screen::{Inspected, screen};
use proptest::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn catalogue() -> Catalogue {
    Catalogue::load(&package("connectors/catalogue")).unwrap()
}

/// All native samples, with what must become of each.
fn samples() -> Vec<(String, Vec<u8>, Value)> {
    let expected = std::fs::read(package("tests/samples/expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), 33);
    expected
        .into_iter()
        .map(|(name, expected)| {
            let body = std::fs::read(package("tests/samples").join(&name)).unwrap();
            (name, body, expected)
        })
        .collect()
}

fn normalised(body: &[u8], catalogue: &Catalogue) -> (Submission, Normalised) {
    let submission = parse_submission(body).unwrap_or_else(|errors| panic!("{errors:?}"));
    let entry = submission.entry.as_ref().unwrap();
    let normalised = normalise(entry, catalogue).unwrap_or_else(|errors| panic!("{errors:?}"));
    (submission, normalised)
}

#[test]
fn every_sample_becomes_what_is_expected_of_it() {
    let catalogue = catalogue();
    for (name, body, expected) in samples() {
        let (submission, normalised) = normalised(&body, &catalogue);
        let content = &normalised.content;
        let joint: Vec<_> = content.joint_units.iter().map(|unit| &unit.name).collect();
        let screening = screen(
            &Inspected {
                content,
                declared: &normalised.declared,
                files: &normalised.files,
            },
            crate::screen::Rules::built_in(),
        );
        let holds: Vec<_> = screening.holds.iter().map(|hold| hold.code).collect();
        let mut found = json!({
            "source_id": submission.source_id,
            "revision": submission.revision,
            "action": submission.action,
            "area": content.area,
            "hold": holds,
            "canonical": {
                "doc_no": content.doc_no,
                "written_on": content.written_on,
                "unit": content.unit.name,
            },
        });
        let mut wanted = json!({});
        for key in ["source_id", "revision", "action", "area", "canonical"] {
            wanted[key] = expected[key].clone();
        }
        wanted["hold"] = match &expected["hold"] {
            Value::Null => json!([]),
            code => json!([code]),
        };
        found["joint_units"] = json!(joint);
        wanted["joint_units"] = match &expected["joint_units"] {
            Value::Null => json!([]),
            units => units.clone(),
        };
        assert_eq!(found, wanted, "{name}");
        assert_eq!(normalised.warnings, [], "{name}");
        assert_eq!(screening.warnings, [], "{name}");
        let html = &content.body.html;
        for noise in ["mso", "class=", "style", "<o:p", "<!--", "font", "&nbsp;"] {
            assert!(!html.contains(noise), "{name}: {noise} in {html}");
        }
    }
}

#[test]
fn the_record_of_every_sample_is_what_its_schema_says() {
    let schema: Value = serde_json::from_str(RECORD_SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let catalogue = catalogue();
    for (name, body, _) in samples() {
        let (submission, normalised) = normalised(&body, &catalogue);
        let record = Record {
            id: RecordId::generate(),
            source: "oa".to_owned(),
            source_id: submission.source_id,
            revision: submission.revision,
            version: 1,
            content: normalised.content,
        };
        let value = serde_json::to_value(&record).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{name}");
        let read: Record = serde_json::from_value(value).unwrap();
        assert_eq!(read, record, "{name}");
    }
}

#[test]
fn a_hold_for_personal_data_counts_and_masks() {
    let catalogue = catalogue();
    let body = std::fs::read(package(
        "tests/samples/native/09-A3-held-peizu-mingdan.json",
    ))
    .unwrap();
    let (_, normalised) = normalised(&body, &catalogue);
    let holds = screen(
        &Inspected {
            content: &normalised.content,
            declared: &normalised.declared,
            files: &normalised.files,
        },
        crate::screen::Rules::built_in(),
    )
    .holds;
    assert!(
        holds[0]
            .detail
            .contains("正文发现身份证号 8 个、手机号 8 个"),
        "{holds:?}"
    );
    assert_eq!(crate::screen::mask(&holds[0].detail), holds[0].detail);
}

fn submission() -> Value {
    json!({
        "source_id": "OA-1", "revision": 1, "action": "publish",
        "entry": {"title": "甲", "unit": "市财政局", "written_on": "2014-09-18",
            "body": {"format": "text", "content": "乙"}},
    })
}

/// Pointer and code of an error.
type Found = (String, String);

/// Errors of a submission after `change`.
fn errors_after(change: impl FnOnce(&mut Value)) -> Vec<Found> {
    let mut value = submission();
    change(&mut value);
    errors_of(value.to_string().as_bytes())
}

fn errors_of(body: &[u8]) -> Vec<Found> {
    parse_submission(body)
        .expect_err("the submission is wrong")
        .into_iter()
        .map(|error| {
            assert!(error.detail.ends_with('。'), "{}", error.detail);
            (error.pointer, error.code)
        })
        .collect()
}

fn pair(pointer: &str, code: &str) -> Found {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn a_whole_submission_is_read() {
    let submission = parse_submission(submission().to_string().as_bytes()).unwrap();
    assert_eq!(submission.source_id, "OA-1");
    assert_eq!(submission.entry.unwrap().title, "甲");
    let withdrawal = br#"{"source_id":"OA-1","revision":2,"action":"withdraw","reason":null}"#;
    assert!(parse_submission(withdrawal).unwrap().entry.is_none());
}

#[test]
fn each_wrong_field_has_its_own_error() {
    let cases = vec![
        (
            errors_after(|value| value["revision"] = json!(0)),
            "/revision",
            "range",
        ),
        (
            errors_after(|value| value["revision"] = json!("1")),
            "/revision",
            "type",
        ),
        (
            errors_after(|value| value["revision"] = json!(1.5)),
            "/revision",
            "type",
        ),
        (
            errors_after(|value| value["action"] = json!("delete")),
            "/action",
            "not_allowed",
        ),
        (
            errors_after(|value| value["source_id"] = json!("a b")),
            "/source_id",
            "format",
        ),
        (
            errors_after(|value| value["source_id"] = json!("")),
            "/source_id",
            "too_short",
        ),
        (
            errors_after(|value| value["sourceid"] = json!(1)),
            "/sourceid",
            "unknown_field",
        ),
        (
            errors_after(|value| value["entry"]["a/b"] = json!(1)),
            "/entry/a~1b",
            "unknown_field",
        ),
        (
            errors_after(|value| value["entry"]["title"] = json!("长".repeat(201))),
            "/entry/title",
            "too_long",
        ),
        (
            errors_after(|value| value["entry"]["title"] = json!(1)),
            "/entry/title",
            "type",
        ),
    ];
    assert_single_errors(cases);
    assert_eq!(
        errors_of(b"{}"),
        [
            pair("/source_id", "required"),
            pair("/revision", "required"),
            pair("/action", "required")
        ]
    );
}

#[test]
fn each_wrong_part_of_an_entry_has_its_own_error() {
    let cases = vec![
        (
            errors_after(|value| value["entry"]["body"]["format"] = json!("pdf")),
            "/entry/body/format",
            "not_allowed",
        ),
        (
            errors_after(|value| value["entry"]["keywords"] = json!(vec!["甲"; 51])),
            "/entry/keywords",
            "too_long",
        ),
        (
            errors_after(|value| {
                value["entry"]["attachments"] = json!([{"name": "a", "sha256": "0"}])
            }),
            "/entry/attachments/0/sha256",
            "format",
        ),
        (
            errors_after(|value| {
                value["entry"]["project"] = json!({"code": "1", "name": "甲", "group": "P12"})
            }),
            "/entry/project/group",
            "format",
        ),
        (
            errors_after(|value| {
                value["entry"].as_object_mut().unwrap().remove("unit");
            }),
            "/entry/unit",
            "required",
        ),
        (
            errors_after(|value| {
                value.as_object_mut().unwrap().remove("entry");
            }),
            "/entry",
            "required",
        ),
    ];
    assert_single_errors(cases);
    assert_eq!(
        errors_after(|value| value["entry"] = Value::Null),
        [pair("/entry", "type")]
    );
}

fn assert_single_errors(cases: Vec<(Vec<Found>, &str, &str)>) {
    for (found, pointer, code) in cases {
        assert_eq!(found, [pair(pointer, code)]);
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let twice = br#"{"source_id":"a","source_id":"b","revision":1,"action":"withdraw"}"#;
    assert_eq!(errors_of(twice), [pair("/source_id", "duplicate_key")]);
    assert_eq!(
        errors_after(|value| value["entry"]["title"] = json!("甲\u{0}乙")),
        [pair("/entry/title", "control_character")]
    );
    assert_eq!(
        errors_after(|value| value["entry"]["keywords"] = json!(["甲", "\u{1b}"])),
        [pair("/entry/keywords/1", "control_character")]
    );
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(errors_of(deep.as_bytes())[0].1, "too_deep");
    assert!(
        errors_after(|value| value["entry"]["body"]["content"] = json!("甲\r\n\t乙\u{7f}"))
            .contains(&pair("/entry/body/content", "control_character"))
    );
}

#[test]
fn what_is_no_json_is_told_by_its_place() {
    let error = &parse_submission(b"{\"a\":\"\xff\xab\"}").unwrap_err()[0];
    assert_eq!(error.code, "encoding");
    assert!(error.detail.contains("第7个字节"), "{}", error.detail);
    let error = &parse_submission(b"{\n  \"a\": }").unwrap_err()[0];
    assert_eq!(error.code, "json_invalid");
    assert!(error.detail.contains("第2行"), "{}", error.detail);
    assert_eq!(errors_of(b""), [pair("", "json_invalid")]);
    assert_eq!(errors_of(b"{} {}"), [pair("", "json_invalid")]);
    assert_eq!(errors_of(b"[]"), [pair("", "type")]);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_submission(&bytes);
    }

    #[test]
    fn any_entry_is_answered(title in "\\PC{0,30}", unit in "\\PC{0,30}", written_on in "\\PC{0,20}",
        content in "\\PC{0,100}", doc_no in "\\PC{0,30}") {
        let mut value = submission();
        value["entry"]["title"] = json!(title);
        value["entry"]["unit"] = json!(unit);
        value["entry"]["written_on"] = json!(written_on);
        value["entry"]["doc_no"] = json!(doc_no);
        value["entry"]["body"]["content"] = json!(content);
        if let Ok(submission) = parse_submission(value.to_string().as_bytes()) {
            let catalogue = Catalogue::load(&package("connectors/catalogue")).unwrap();
            let _ = normalise(&submission.entry.unwrap(), &catalogue);
        }
    }
}
