//! Payloads that only name their files, and the OA that has them.

use super::{payloads, same_as_twin};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The OA that has the files of a payload, by number and name.
#[derive(Clone)]
struct FileServer {
    files: Arc<HashMap<(String, String), Vec<u8>>>,
    /// What it was asked for and had.
    given: Arc<Mutex<Vec<String>>>,
}

impl FileServer {
    /// Starts it with these files; returns it and its host and port.
    async fn start(files: HashMap<(String, String), Vec<u8>>) -> (Self, String) {
        let server = Self {
            files: Arc::new(files),
            given: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let router = Router::new()
            .route("/seeyon/rest/attachment/file/{number}", get(Self::file))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, host)
    }

    async fn file(
        State(server): State<Self>,
        Path(number): Path<String>,
        Query(mut query): Query<HashMap<String, String>>,
    ) -> Result<Vec<u8>, StatusCode> {
        let name = query.remove("fileName").ok_or(StatusCode::BAD_REQUEST)?;
        let content = server.files.get(&(number, name.clone())).cloned();
        let content = content.ok_or(StatusCode::NOT_FOUND)?;
        server.given.lock().expect("no panic").push(name);
        Ok(content)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_that_name_their_files_become_the_record_of_their_twin() {
    let mut seen = 0;
    for payload in payloads() {
        if payload.meta("attachments") != "by_url" {
            continue;
        }
        let sent: Value = serde_json::from_slice(&payload.body).expect("JSON");
        let sent = sent["data"]["thirdAttachments"].as_array().expect("a list");
        let twin = payload.twin();
        let twins = twin["entry"]["attachments"].as_array().expect("a list");
        assert_eq!(sent.len(), twins.len(), "{}", payload.name);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let files = sent.iter().zip(twins).map(|(file, twin)| {
            let content = BASE64_STANDARD.decode(text(&twin["content_base64"]));
            let named = (text(&file["fileUrl"]), text(&file["fileName"]));
            (named, content.expect("Base64"))
        });
        let (server, host) = FileServer::start(files.clone().collect()).await;
        let environment = [
            ("SYNCHUB_OA_SEEYON_URL", format!("http://{host}/")),
            ("SYNCHUB__ATTACHMENTS__HOSTS", format!("private:{host}")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let record = same_as_twin(&payload, &environment).await;
        let kept = record["attachments"].as_array().expect("a list");
        assert_eq!(kept.len(), sent.len(), "{record:#}");
        for ((kept, file), (_, content)) in kept.iter().zip(sent).zip(files) {
            assert_eq!(kept["name"], file["fileName"]);
            assert_eq!(kept["media_type"], file["mimeType"]);
            assert_eq!(kept["sha256"], hex::encode(Sha256::digest(&content)));
            assert_eq!(kept["bytes"], content.len());
        }
        // Once each, although the payload came twice.
        let given = server.given.lock().expect("no panic").clone();
        let names: Vec<String> = sent.iter().map(|file| text(&file["fileName"])).collect();
        assert_eq!(given, names);
        seen += 1;
    }
    assert_eq!(seen, 2);
}
