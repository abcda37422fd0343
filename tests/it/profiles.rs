//! What vendors' systems send, byte for byte: each payload becomes the record of its native twin,
//! and each sender hears what its hook expects.

mod files;

use crate::hub::{Hub, client, project, sample};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A vendor's payload with what is known about it.
struct Payload {
    name: String,
    body: Vec<u8>,
    meta: Value,
}

impl Payload {
    fn meta(&self, key: &str) -> &str {
        self.meta[key].as_str().expect("text")
    }

    fn twin(&self) -> Value {
        let name = self.meta("same_as").strip_prefix("native/");
        sample(name.expect("a native sample"))
    }
}

fn folder() -> PathBuf {
    project().join("tests/samples/oa")
}

fn payload(name: &str) -> Payload {
    let mut paths = std::fs::read_dir(folder())
        .expect("samples")
        .map(|entry| entry.expect("an entry").path());
    let is_body = |path: &PathBuf| {
        let file = path.file_name().expect("a name").to_string_lossy();
        file.starts_with(&format!("{name}.")) && !file.ends_with(".meta.json")
    };
    let meta = std::fs::read(folder().join(format!("{name}.meta.json"))).expect("readable");
    Payload {
        name: name.to_owned(),
        body: std::fs::read(paths.find(is_body).expect("a body")).expect("readable"),
        meta: serde_json::from_slice(&meta).expect("JSON"),
    }
}

fn payloads() -> Vec<Payload> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("samples")
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy().into_owned();
            name.strip_suffix(".meta.json").map(ToOwned::to_owned)
        })
        .collect();
    names.sort();
    names.iter().map(|name| payload(name)).collect()
}

/// Posts as an OA does; returns status, media type and text.
async fn post(hub: &Hub, path: &str, content_type: &str, body: &[u8]) -> (u16, String, String) {
    post_as(hub, &hub.oa_key, path, content_type, body).await
}

async fn post_as(
    hub: &Hub,
    key: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> (u16, String, String) {
    let answer = client()
        .post(format!("{}{path}", hub.url))
        .bearer_auth(key)
        .header("content-type", content_type)
        .body(body.to_vec())
        .send()
        .await
        .expect("the hub answers");
    let status = answer.status().as_u16();
    let media_type = answer.headers()["content-type"].to_str().expect("text");
    let media_type = media_type.to_owned();
    (status, media_type, answer.text().await.expect("a body"))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The only record of a hub: its canonical document and who shall show it.
async fn only_record(hub: &Hub) -> (Value, Vec<String>) {
    let (_, page) = hub.get("/v1/records").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page:#}");
    let id = page["items"][0]["id"].as_str().expect("an id");
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    assert_eq!(record["holds"], json!([]), "{record:#}");
    let mut platforms: Vec<String> = record["deliveries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["platform"].as_str().expect("text").to_owned())
        .collect();
    platforms.sort();
    let mut document = record["document"].clone();
    let fields = document.as_object_mut().expect("an object");
    // Its own in each hub; and two vendors send the date in another spelling.
    fields.retain(|name, _| {
        !matches!(name.as_str(), "id" | "written_on_raw") && !name.ends_with("_at")
    });
    assert!(fields.len() > 15, "{document:#}");
    (document, platforms)
}

/// Which platforms shall show what a payload says.
fn wanted(payload: &Payload) -> Vec<String> {
    let expected = std::fs::read(project().join("tests/samples/expected.json")).expect("readable");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let platforms = &expected[payload.meta("same_as")]["platforms"];
    let mut platforms: Vec<String> = serde_json::from_value(platforms.clone()).expect("a list");
    platforms.sort();
    platforms
}

/// Posts a payload to a hub and its twin to another; returns the record that both became.
async fn same_as_twin(payload: &Payload, environment: &[(String, String)]) -> Value {
    let (theirs, ours) = (Hub::start(environment), Hub::start(&[]));
    ours.submit(&payload.twin()).await;
    let path = format!("/v1/submissions?profile={}", payload.meta("profile"));
    let content_type = payload.meta("content_type");
    let (status, _, answer) = post(&theirs, &path, content_type, &payload.body).await;
    assert_eq!(status, 202, "{}: {answer}", payload.name);
    let (record, platforms) = only_record(&theirs).await;
    let (twin, _) = only_record(&ours).await;
    assert_eq!(record, twin, "{}", payload.name);
    assert_eq!(platforms, wanted(payload), "{}", payload.name);
    // Sent again, and without naming the profile, it is the same.
    let (status, _, answer) = post(&theirs, "/v1/submissions", content_type, &payload.body).await;
    assert_eq!(status, 200, "{}: {answer}", payload.name);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payload_becomes_the_record_of_its_twin() {
    let mut seen = 0;
    for payload in payloads() {
        if payload.meta("attachments") != "by_url" {
            same_as_twin(&payload, &[]).await;
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_hear_what_their_hooks_expect() {
    let hub = Hub::start(&[]);
    let form = payload("ecology-form-gbk-zhongbiao");
    let content_type = form.meta("content_type");
    let path = "/v1/submissions?profile=ecology-form";
    let (status, media_type, text) = post(&hub, path, content_type, &form.body).await;
    let answer = parsed(&text);
    assert_eq!((status, media_type.as_str()), (202, "application/json"));
    assert_eq!(answer["code"], "SUCCESS");
    assert_eq!(answer["data"]["version"], 1);
    assert!(
        answer["message"].as_str().expect("text").contains("已接收"),
        "{text}"
    );

    let (status, _, text) = post_as(&hub, "wrong", path, content_type, &form.body).await;
    assert_eq!(
        (status, &parsed(&text)["code"]),
        (401, &json!("unauthorized"))
    );
    let broken = b"workflowId=1&mainData=%5B";
    let (status, _, text) = post(&hub, path, content_type, broken).await;
    let answer = parsed(&text);
    assert_eq!((status, &answer["code"]), (400, &json!("unreadable")));
    assert!(answer["message"].as_str().expect("text").contains("JSON"));

    let xml = payload("ecology-xml-gb2312-shigu");
    let cut = &xml.body[..xml.body.len() / 2];
    let path = "/v1/submissions?profile=ecology-xml";
    let (status, media_type, text) = post(&hub, path, "text/xml", cut).await;
    assert_eq!(
        (status, media_type.as_str()),
        (400, "text/xml; charset=utf-8")
    );
    assert!(text.contains("<code>unreadable</code>"), "{text}");
    let (status, _, text) = post(&hub, path, "text/xml", &xml.body).await;
    assert_eq!(status, 202);
    assert!(text.contains("<code>SUCCESS</code>"), "{text}");

    // Who has no shape of his own hears what everybody hears.
    let webhook = "/v1/submissions?profile=webhook-zh";
    let (status, media_type, text) = post(&hub, webhook, "application/json", b"{}").await;
    assert_eq!(
        (status, media_type.as_str()),
        (422, "application/problem+json")
    );
    assert_eq!(parsed(&text)["errors"][0]["pointer"], "/source_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_leaves_nothing_behind() {
    let hub = Hub::start(&[]);
    let dtd = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/hostname\">]><x><title>&e;</title></x>";
    let deep = format!("{}{}", "<a>".repeat(500), "</a>".repeat(500));
    let parts: String = (0..1_100)
        .map(|it| format!("--b\r\nContent-Disposition: form-data; name=a{it}\r\n\r\n1\r\n"))
        .collect();
    let secret = "source_id=X-1&revision=1&标题=甲&涉密状态=机密";
    let form = "application/x-www-form-urlencoded";
    for (query, content_type, body, status, code) in [
        ("?profile=xml", "text/xml", dtd.to_owned(), 400, "xml_dtd"),
        ("?profile=xml", "text/xml", deep, 400, "too_deep"),
        (
            "?profile=xml",
            "text/xml",
            "<a><b></a>".to_owned(),
            400,
            "xml_invalid",
        ),
        ("", "text/xml", "<a/>".to_owned(), 400, "profile_needed"),
        (
            "?profile=seeyon",
            "text/xml",
            "<a/>".to_owned(),
            400,
            "format_not_taken",
        ),
        (
            "?profile=nobody",
            "text/xml",
            "<a/>".to_owned(),
            400,
            "unknown_profile",
        ),
        (
            "?profil=xml",
            "text/xml",
            "<a/>".to_owned(),
            400,
            "parameter",
        ),
        ("?profile=form", form, secret.to_owned(), 422, "secret"),
        (
            "",
            form,
            "source_id=1&entry=%7B".to_owned(),
            400,
            "json_invalid",
        ),
        (
            "",
            "multipart/form-data; boundary=b",
            format!("{parts}--b--"),
            400,
            "too_many_fields",
        ),
        (
            "",
            "multipart/form-data; boundary=b",
            parts[..100].to_owned(),
            400,
            "multipart_invalid",
        ),
        (
            "",
            "application/json; charset=gbk",
            "{\"a\":\"\\u0007\"}".to_owned(),
            422,
            "control_character",
        ),
    ] {
        let path = format!("/v1/submissions{query}");
        let (got, _, text) = post(&hub, &path, content_type, body.as_bytes()).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(got, status, "{shown}: {text}");
        if query == "?profile=seeyon" {
            assert_eq!(parsed(&text)["code"], 400);
            continue;
        }
        let problem = parsed(&text);
        assert_eq!(problem["errors"][0]["code"], code, "{shown}: {text}");
        assert!(problem["errors"][0]["pointer"].is_string(), "{text}");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.chars().any(|it| it > '\u{4e00}'), "{detail}");
    }
    let (_, page) = hub.get("/v1/records").await;
    assert_eq!(page["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn native_submissions_come_in_any_charset_and_as_forms() {
    let hub = Hub::start(&[]);
    let native = sample("15-A6-shigu-pifu.json");
    let text = native.to_string();
    let (gbk, _, _) = encoding_rs::GB18030.encode(&text);
    let (status, _, text) = post(
        &hub,
        "/v1/submissions",
        "application/json; charset=utf-8",
        &gbk,
    )
    .await;
    assert_eq!(status, 202, "{text}");
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("source_id", native["source_id"].as_str().expect("text")),
            ("revision", "1"),
            ("action", "publish"),
            ("entry", &native["entry"].to_string()),
        ])
        .finish();
    let content_type = "application/x-www-form-urlencoded";
    let (status, _, text) = post(&hub, "/v1/submissions", content_type, form.as_bytes()).await;
    assert_eq!(status, 200, "the same record: {text}");
}

#[test]
fn profiles_are_checked_and_tried_and_files_submitted_on_the_command_line() {
    let hub = Hub::prepare(crate::backend::Backend::chosen(), &[]);
    let reports = hub.cli_json(&["profile", "check"]);
    let reports = reports.as_array().expect("a list");
    assert!(reports.len() >= 8);
    for report in reports {
        assert_eq!(report["findings"], json!([]), "{report:#}");
        assert!(report["samples"].as_u64() > Some(1), "{report:#}");
    }
    let file = "tests/samples/oa/landray-kejilixiang.json";
    let tried = hub.cli_json(&["profile", "try", file, "--profile", "landray"]);
    assert_eq!(tried["profile"], "landray");
    assert_eq!(tried["native"]["source_id"], "OA-2014-000259");
    assert_eq!(tried["entry"]["record"]["written_on"], "2014-07-28");
    assert_eq!(tried["entry"]["holds"], json!([]));
    let recognised = hub.cli_json(&[
        "profile",
        "try",
        "tests/samples/oa/ecology-form-gbk-zhongbiao.form",
    ]);
    assert_eq!(recognised["profile"], "ecology-form");
    assert_eq!(hub.cli_json(&["failures"]), json!([]), "nothing is stored");

    let unknown = hub.cli(&["profile", "try", file, "--profile", "lanling"]);
    assert!(!unknown.status.success());
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(
        told.contains("hint: one of") && told.contains("landray"),
        "{told}"
    );

    let taken = hub.cli_json(&["submit", file, "--profile", "landray"]);
    assert_eq!(
        (&taken["changed"], &taken["state"]),
        (&json!(true), &json!("live")),
        "{taken:#}"
    );
    let multipart = "tests/samples/oa/multipart-xiaofei-tishi.bin";
    assert_eq!(hub.cli_json(&["submit", multipart])["changed"], true);
}

#[test]
fn a_sample_that_gives_something_else_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = project().join("connectors/oa");
    std::fs::copy(
        shipped.join("labels.toml"),
        folder.path().join("labels.toml"),
    )
    .expect("copied");
    let copy = folder.path().join("form");
    std::fs::create_dir_all(copy.join("samples")).expect("made");
    for name in ["profile.toml", "samples/publish.body"] {
        std::fs::copy(shipped.join("form").join(name), copy.join(name)).expect("copied");
    }
    let name = "samples/publish.expect.json";
    let text = std::fs::read_to_string(shipped.join("form").join(name)).expect("readable");
    std::fs::write(
        copy.join(name),
        text.replace("科普经费的通知", "科普的通知"),
    )
    .expect("written");
    let dir = folder.path().display().to_string();
    let environment = [("SYNCHUB__CONNECTORS__PROFILES".to_owned(), dir)];
    let hub = Hub::prepare(crate::backend::Backend::chosen(), &environment);
    let output = hub.cli(&["profile", "check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let reports: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problem = reports[0]["findings"][0]["problem"].as_str().expect("text");
    assert!(problem.contains("/entry/title"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_what_the_door_takes() {
    let hub = Hub::start(&[]);
    let (_, description) = hub.get("/openapi.json").await;
    let post = &description["paths"]["/v1/submissions"]["post"];
    for media_type in [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/xml",
        "text/xml",
    ] {
        let content = &post["requestBody"]["content"][media_type];
        assert!(content["schema"].is_object(), "{media_type}");
    }
    for media_type in ["application/problem+json", "application/json", "text/xml"] {
        let content = &post["responses"]["422"]["content"][media_type];
        assert!(content["schema"].is_object(), "{media_type}");
    }
    let parameters = post["parameters"].as_array().expect("a list");
    assert!(parameters.iter().any(|it| it["name"] == "profile"));
}
