//! Files that come by address, from a server that the test runs, and where they are afterwards.

use crate::backend::Backend;
use crate::hub::{ALL, Hub, Platforms, entry_for_all, shows_once};
use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// Larger than what is ever in memory of a file, and than a piece of it.
const LARGE_BYTES: usize = 5_000_011;

fn film() -> Vec<u8> {
    let mut bytes = b"\0\0\0\x20ftypisom".to_vec();
    bytes.extend((0..LARGE_BYTES).map(|at| (at % 247) as u8));
    bytes
}

async fn file(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "film.mp4" => film().into_response(),
        "small.png" => b"\x89PNG\r\n\x1a\nand so on".to_vec().into_response(),
        "list.csv" => "姓名,手机\n张三,13800138000\n李四,13800138001\n".into_response(),
        "broken" => StatusCode::BAD_GATEWAY.into_response(),
        "away" => (
            StatusCode::FOUND,
            [(header::LOCATION, "http://127.0.0.2/small.png")],
        )
            .into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Starts a server of files; returns its host and port.
async fn files() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let router = Router::new().route("/{name}", get(file));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A hub with a folder of its own for files.
struct Place {
    folder: tempfile::TempDir,
    host: String,
    hub: Hub,
}

impl Place {
    async fn start(environment: &[(String, String)], more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let host = files().await;
        let mut hub = Hub::prepare(Backend::chosen(), environment);
        let url = folder.path().join("files").display().to_string();
        hub.set("SYNCHUB__ATTACHMENTS__URL", &url);
        hub.set("SYNCHUB__ATTACHMENTS__HOSTS", &format!("private:{host}"));
        for (name, value) in more {
            hub.set(name, value);
        }
        hub.run();
        Self { folder, host, hub }
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.host)
    }

    /// All files in the folder.
    fn kept(&self) -> Vec<PathBuf> {
        fn collect(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => collect(&path, found),
                    false => found.push(path),
                }
            }
        }
        let mut found = Vec::new();
        collect(self.folder.path(), &mut found);
        found
    }
}

fn with_files(source_id: &str, attachments: Value) -> Value {
    let mut submission = entry_for_all(source_id, 1);
    submission["entry"]["attachments"] = attachments;
    submission
}

#[tokio::test]
async fn a_file_given_by_address_is_kept_once_and_shown_everywhere() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let place = Place::start(&platforms.environment, &[]).await;
    let sha256 = hex::encode(Sha256::digest(film()));
    let mut records = Vec::new();
    for source_id in ["F-1", "F-2"] {
        let submission = with_files(
            source_id,
            json!([
                {"name": "工地录像.mp4", "url": place.url("film.mp4"), "sha256": sha256},
                {"name": "现场.png", "media_type": "application/pdf", "url": place.url("small.png")},
            ]),
        );
        let answer = place.hub.submit(&submission).await;
        let codes: Vec<&str> = answer["warnings"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|it| it["code"].as_str())
            .collect();
        assert!(codes.contains(&"media_type_wrong"), "{answer:#}");
        records.push(answer["record_id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(place.kept().len(), 2, "each content once");
    for record_id in &records {
        let record = place.hub.settled(record_id).await;
        let files = &record["document"]["attachments"];
        assert_eq!(files[0]["sha256"], sha256.as_str(), "{record:#}");
        assert_eq!(files[0]["media_type"], "video/mp4");
        assert_eq!(files[1]["media_type"], "image/png");
        for platform in ALL {
            shows_once(&platforms, platform, record_id, 1).await;
            let articles = platforms.articles(platform).await;
            let article = articles
                .iter()
                .find(|it| it["record_id"] == record_id.as_str());
            let shown = &article.expect("it is shown")["attachments"];
            assert_eq!(shown[0]["sha256"], sha256.as_str(), "{platform}: {shown:#}");
            assert_eq!(shown[0]["bytes"], film().len(), "{platform}");
        }
    }
    let gone = place.hub.cli_json(&["attachments", "gc", "--yes"]);
    assert_eq!(gone["files"], 0, "all of them are needed: {gone:#}");
}

#[tokio::test]
async fn a_file_that_cannot_be_had_refuses_the_submission_and_leaves_nothing() {
    let place = Place::start(&[], &[("SYNCHUB__ATTACHMENTS__FILE_BYTES_MAX", "1000000")]).await;
    let elsewhere = "http://127.0.0.2:1/x".to_owned();
    let wrong = "0".repeat(64);
    for (attachment, status, code, field) in [
        (
            json!({"url": elsewhere}),
            422,
            "attachment_host_not_allowed",
            "url",
        ),
        (
            json!({"url": place.url("away")}),
            422,
            "attachment_host_not_allowed",
            "url",
        ),
        (
            json!({"url": "file:///etc/passwd"}),
            422,
            "attachment_url_invalid",
            "url",
        ),
        (
            json!({"url": place.url("none")}),
            422,
            "attachment_unreachable",
            "url",
        ),
        (
            json!({"url": place.url("film.mp4")}),
            422,
            "too_large",
            "url",
        ),
        (
            json!({"url": place.url("small.png"), "sha256": wrong}),
            422,
            "sha256_mismatch",
            "sha256",
        ),
        (
            json!({"url": place.url("broken")}),
            503,
            "attachment_unreachable",
            "url",
        ),
    ] {
        let mut attachment = attachment;
        attachment["name"] = json!("附件.png");
        let submission = with_files("F-3", json!([attachment]));
        let (found, problem) = place.hub.post(submission.to_string()).await;
        assert_eq!(found, status, "{attachment} {problem:#}");
        let error = &problem["errors"][0];
        assert_eq!(error["code"], code, "{problem:#}");
        assert_eq!(error["pointer"], format!("/entry/attachments/0/{field}"));
        assert!(error["detail"].as_str().expect("text").contains("附件.png"));
    }
    assert_eq!(place.kept(), Vec::<PathBuf>::new());
    let (_, found) = place.hub.get("/v1/records?source_id=F-3").await;
    assert_eq!(found["items"], json!([]), "{found:#}");
    // Nothing of an address but its host is logged.
    assert!(!place.hub.log().contains("small.png"));
}

#[tokio::test]
async fn a_fetched_file_is_screened_now_and_again() {
    let place = Place::start(&[], &[]).await;
    let submission = with_files(
        "F-4",
        json!([{"name": "名单.csv", "url": place.url("list.csv")}]),
    );
    let answer = place.hub.submit(&submission).await;
    assert_eq!(answer["state"], "held", "{answer:#}");
    assert_eq!(answer["holds"][0]["code"], "personal_data");
    let record_id = answer["record_id"].as_str().expect("an id");
    let (status, released) = place
        .hub
        .operate(
            &format!("/v1/records/{record_id}/release"),
            json!({"reason": "已征得本人同意"}),
        )
        .await;
    assert!(matches!(status, 200 | 202), "{status} {released:#}");
    // From the object store, in another process.
    let again = place.hub.cli(&["screen", "--rescan", "--json"]);
    let line: Value = serde_json::from_slice(&again.stdout).expect("one suspect");
    assert!(line.to_string().contains(record_id), "{line:#}");
    assert_eq!(line["holds"][0]["code"], "personal_data");
}
