//! What is native, what a profile recognises, and what nobody knows.

use super::*;
use crate::connector::References;
use std::path::Path;

fn profiles() -> Profiles {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/oa");
    Profiles::load(&dir, &References::placeholders()).unwrap()
}

fn read_by(content_type: &str, body: &str) -> (Option<String>, Result<Value, Vec<FieldError>>) {
    let translation = profiles().translate(Incoming {
        body: body.as_bytes(),
        content_type,
        profile: None,
    });
    let id = translation.profile.map(|profile| profile.id.clone());
    (id, translation.native.map(|(value, _)| value))
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn what_is_native_is_taken_as_it_is() {
    let body = "{\"source_id\":\"1\",\"流水号\":\"2\"}";
    let (id, value) = read_by("application/json", body);
    assert_eq!(
        (id, value),
        (None, Ok(json!({"source_id": "1", "流水号": "2"})))
    );
    let form = "source_id=1&revision=2&action=publish&entry=%7B%22title%22%3A%22t%22%7D";
    let native =
        json!({"source_id": "1", "revision": 2, "action": "publish", "entry": {"title": "t"}});
    assert_eq!(read_by(FORM, form), (None, Ok(native.clone())));
    let whole = "submission=%7B%22source_id%22%3A1%7D";
    assert_eq!(read_by(FORM, whole), (None, Ok(json!({"source_id": 1}))));
    let (_, wrong) = read_by(FORM, "source_id=1&entry=%7B");
    assert_eq!(wrong.unwrap_err()[0].pointer, "/entry");
    let part = |head: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
    };
    let parts = [
        part("name=submission", &native.to_string()),
        part("name=x; filename=a.txt", "1"),
        "--b--".to_owned(),
    ];
    let (_, value) = read_by("multipart/form-data; boundary=b", &parts.concat());
    let value = value.unwrap();
    assert_eq!(value["entry"]["attachments"][0]["content_base64"], "MQ==");
    assert_eq!(value["source_id"], "1");
}

#[test]
fn a_shape_that_one_profile_knows_is_read_by_it() {
    for (claim, body, known) in [
        (FORM, "workflowId=1&mainData=%5B%5D", Some("ecology-form")),
        ("", "<workflow><maintable/></workflow>", Some("ecology-xml")),
        (
            "",
            "{\"fdTemplateId\":\"1\",\"formValues\":\"{}\"}",
            Some("landray"),
        ),
        (
            "",
            "{\"data\":{\"templateCode\":\"1\",\"data\":{}}}",
            Some("seeyon"),
        ),
        (
            "",
            "{\"action\":\"x\",\"current_approve\":{\"values\":{}}}",
            Some("webhook-zh"),
        ),
        ("", "{\"流水号\":\"x\"}", Some("webhook-zh")),
        ("", "{\"a\":1}", None),
        ("", "[]", None),
        ("", "<a/>", None),
        (FORM, "a=1", None),
    ] {
        assert_eq!(read_by(claim, body).0.as_deref(), known, "{body}");
    }
    let (_, unknown) = read_by("", "<a/>");
    let unknown = unknown.unwrap_err();
    assert_eq!(unknown[0].code, "profile_needed");
    assert!(unknown[0].detail.contains("seeyon"), "{unknown:?}");
}
