//! What is alike on every platform, and what the tests of the platforms share.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;

/// Returns a client that speaks only to us. All tests share it, since building one reads the
/// certificates of the machine; it keeps no connections, as each test has its own runtime.
pub(super) fn client() -> &'static reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    });
    &CLIENT
}

pub(super) fn setting(started: &Started, name: &str) -> String {
    let found = started.settings().find(|(key, _)| *key == name);
    found.expect(name).1.to_owned()
}

pub(super) async fn get_json(url: &str) -> Value {
    let text = client().get(url).send().await.unwrap().text().await;
    serde_json::from_str(&text.unwrap()).unwrap()
}

pub(super) async fn post_json(url: &str, body: &Value) -> (u16, Value) {
    let answer = client()
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (status, value)
}

pub(super) async fn misbehave(url: &str, wish: Value) {
    let (status, answer) = post_json(&format!("{url}/admin/misbehave"), &wish).await;
    assert_eq!(status, 200, "{answer}");
}

/// Returns the bytes and the status of a page.
pub(super) async fn page(url: &str) -> (u16, Vec<u8>) {
    let answer = client().get(url).send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

#[tokio::test]
async fn every_platform_shows_its_name_and_answers_404_to_an_unknown_page() {
    let started = start(Options::default()).await.unwrap();
    assert_eq!(started.platforms.len(), 3);
    for platform in &started.platforms {
        let (status, bytes) = page(&platform.url).await;
        let text = match platform.id {
            "integrity-portal" => encoding_rs::GB18030.decode(&bytes).0.into_owned(),
            _ => String::from_utf8(bytes).unwrap(),
        };
        assert_eq!(status, 200, "{}", platform.id);
        assert!(text.contains(platform.title), "{}", platform.id);
        for missing in ["/articles/99", "/columns/zz", "/nothing", "/projects/1"] {
            let (status, _) = page(&format!("{}{missing}", platform.url)).await;
            assert_eq!(status, 404, "{}{missing}", platform.id);
        }
    }
    started.stop().await;
}

#[tokio::test]
async fn an_unknown_mode_is_refused_with_the_list_of_modes() {
    let started = start(Options::default()).await.unwrap();
    let url = format!("{}/admin/misbehave", started.platforms[0].url);
    let (status, answer) = post_json(&url, &json!({"mode": "explode"})).await;
    assert_eq!(status, 400);
    for mode in answer["modes"].as_array().unwrap() {
        let (status, _) = post_json(&url, &json!({"mode": mode, "times": 1})).await;
        assert_eq!(status, 200, "{mode}");
        assert_eq!(get_json(&url).await, json!({"mode": mode, "times": 1}));
    }
    client().delete(&url).send().await.unwrap();
    assert_eq!(get_json(&url).await, json!({"mode": null}));
}

#[tokio::test]
async fn a_kept_folder_keeps_the_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let first = start(options.clone()).await.unwrap();
    let secret = setting(&first, "GOV_INFO_CLIENT_SECRET");
    first.stop().await;
    let second = start(options).await.unwrap();
    assert_eq!(setting(&second, "GOV_INFO_CLIENT_SECRET"), secret);
    let other = start(Options::default()).await.unwrap();
    assert_ne!(setting(&other, "GOV_INFO_CLIENT_SECRET"), secret);
}

#[tokio::test]
async fn stopping_frees_the_ports_and_removes_the_own_folder() {
    let started = start(Options::default()).await.unwrap();
    let dir = started.own_dir.as_ref().unwrap().path().to_owned();
    let address = started.platforms[0].url.replace("http://", "");
    assert!(dir.exists());
    started.stop().await;
    assert!(!dir.exists());
    TcpListener::bind(address).await.unwrap();
}
