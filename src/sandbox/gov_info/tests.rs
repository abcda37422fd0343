use serde_json::{Value, json};

use crate::sandbox::tests::{client, get_json, misbehave, page, post_json, setting};
use crate::sandbox::{Options, Started, start};

struct Sender {
    started: Started,
    url: String,
    token: String,
}

impl Sender {
    async fn new(options: Options) -> Sender {
        let started = start(options).await.unwrap();
        let mut sender = Sender {
            url: setting(&started, "GOV_INFO_URL"),
            started,
            token: String::new(),
        };
        sender.log_in().await;
        sender
    }

    async fn log_in(&mut self) {
        let secret = setting(&self.started, "GOV_INFO_CLIENT_SECRET");
        let answer = self.ask_token(&secret).await;
        self.token = answer["access_token"].as_str().unwrap().to_owned();
    }

    async fn ask_token(&self, secret: &str) -> Value {
        let form =
            format!("grant_type=client_credentials&client_id=synchub&client_secret={secret}");
        let answer = client()
            .post(format!("{}/oauth/token", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    async fn send(&self, method: &str, key: &str, body: String) -> reqwest::Result<Vec<u8>> {
        let url = format!("{}/api/v1/articles/{key}", self.url);
        client()
            .request(method.parse().unwrap(), url)
            .bearer_auth(&self.token)
            .body(body)
            .send()
            .await?
            .bytes()
            .await
            .map(|bytes| bytes.to_vec())
    }

    async fn call(&self, method: &str, key: &str, body: Value) -> Value {
        let bytes = self.send(method, key, body.to_string()).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    async fn put(&self, key: &str, body: Value) -> Value {
        self.call("PUT", key, body).await
    }

    async fn shown(&self) -> Vec<Value> {
        let list = get_json(&format!("{}/admin/articles", self.url)).await;
        list["articles"].as_array().unwrap().clone()
    }
}

fn at_once() -> Options {
    Options {
        review_ms: 0,
        ..Options::default()
    }
}

fn article(revision: i64) -> Value {
    json!({
        "indexNo": "11440200MB9Y00059W/2024-00044",
        "category": "财政预算决算", "channelId": 1002,
        "publisher": "市财政局", "publisherCode": "MB9Y00059",
        "writtenDate": "2024-03-01", "title": "2024年<部门>预算公开", "documentNo": "无",
        "genre": "其他", "keywords": "预算;公开", "summary": "摘要",
        "content": "<p>正文</p>", "revision": revision,
        "attachments": [{
            "name": "预算表 1.xlsx", "mediaType": "application/vnd.ms-excel",
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "contentBase64": "YWJj",
        }],
    })
}

#[tokio::test]
async fn a_wrong_secret_gets_no_token_and_no_token_gets_nothing() {
    let mut sender = Sender::new(at_once()).await;
    let refused = sender.ask_token("wrong").await;
    assert_eq!(refused, json!({"error": "invalid_client"}));
    sender.token = "made-up".to_owned();
    assert_eq!(sender.put("r1", article(1)).await["code"], 40101);
    assert!(sender.shown().await.is_empty());
}

#[tokio::test]
async fn a_saved_article_is_shown_with_its_file() {
    let sender = Sender::new(at_once()).await;
    let saved = sender.put("r1", article(1)).await;
    assert_eq!(saved["code"], 0);
    assert_eq!(saved["data"]["id"], "G-000001");
    assert_eq!(saved["data"]["status"], "published");
    let shown = &sender.shown().await[0];
    assert_eq!(shown["record_id"], "r1");
    assert_eq!(shown["column"], "1002");
    assert_eq!(shown["attachments"][0]["bytes"], 3);

    let url = saved["data"]["url"].as_str().unwrap();
    let (status, bytes) = page(url).await;
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(status, 200);
    assert!(
        text.contains("2024年&lt;部门&gt;预算公开"),
        "titles are escaped"
    );
    assert!(text.contains("<p>正文</p>"), "bodies are not");
    let link = text.split("href=\"").find(|part| part.contains("/files/"));
    let path = link.unwrap().split('"').next().unwrap();
    let (status, bytes) = page(&format!("{}{path}", sender.url)).await;
    assert_eq!((status, bytes.as_slice()), (200, &b"abc"[..]));
    for path in ["", "/columns/1002"] {
        let (_, bytes) = page(&format!("{}{path}", sender.url)).await;
        assert!(
            String::from_utf8(bytes)
                .unwrap()
                .contains("/articles/G-000001")
        );
    }
}

#[tokio::test]
async fn the_same_revision_changes_nothing_and_a_lower_one_is_refused() {
    let sender = Sender::new(at_once()).await;
    let first = sender.put("r1", article(2)).await;
    assert_eq!(sender.put("r1", article(2)).await, first);
    assert_eq!(sender.put("r1", article(1)).await["code"], 40901);
    assert_eq!(sender.put("r1", article(3)).await["data"]["revision"], 3);
    assert_eq!(sender.shown().await.len(), 1);
}

#[tokio::test]
async fn fields_are_checked_by_name() {
    let sender = Sender::new(at_once()).await;
    for (field, value, code) in [
        ("indexNo", json!("2024-1"), 42201),
        ("indexNo", json!(""), 42201),
        ("category", json!(" "), 42201),
        ("publisher", json!(null), 42201),
        ("title", json!("长".repeat(121)), 42201),
        ("summary", json!("长".repeat(301)), 42201),
        ("writtenDate", json!("2024-13"), 42201),
        ("writtenDate", json!("2024年3月1日"), 42201),
        ("documentNo", json!(""), 42201),
        ("revision", json!("1"), 42201),
        ("channelId", json!(1009), 42202),
        ("mystery", json!(1), 42201),
        ("attachments", json!([{"name": "a"}]), 42201),
        (
            "attachments",
            json!([{"name": "a", "mediaType": "b/c", "sha256": "00", "contentBase64": "YWJj"}]),
            42201,
        ),
    ] {
        let mut body = article(1);
        body[field] = value.clone();
        let answer = sender.put("r1", body).await;
        assert_eq!(answer["code"], code, "{field} = {value}: {answer}");
        assert_eq!(answer["field"], field, "{field} = {value}: {answer}");
    }
    for (field, value) in [
        ("indexNo", json!("MB9Y0026X/2016-00019")),
        ("indexNo", json!("MB9Y0026/2016-19")),
        ("title", json!("长".repeat(120))),
        ("writtenDate", json!("2024-12")),
        ("documentNo", json!("韶财〔2024〕3号")),
    ] {
        let mut body = article(1);
        body[field] = value.clone();
        let answer = sender.put("fits", body).await;
        assert_eq!(answer["code"], 0, "{field} = {value}: {answer}");
    }
}

#[tokio::test]
async fn a_new_revision_waits_while_the_old_one_stays_shown() {
    let sender = Sender::new(at_once()).await;
    sender.put("r1", article(1)).await;
    let review = format!("{}/admin/review", sender.url);
    post_json(&review, &json!({"auto_ms": null})).await;
    let mut changed = article(2);
    changed["title"] = json!("更正后的标题");
    let saved = sender.put("r1", changed).await;
    assert_eq!(saved["data"]["status"], "pending");
    sender.put("r2", article(1)).await;
    let hidden = format!("{}/articles/G-000002", sender.url);
    assert_eq!(page(&hidden).await.0, 404);

    let looked_up = sender.call("GET", "r1", json!(null)).await;
    assert_eq!(looked_up["data"]["revision"], 2);
    assert_eq!(looked_up["data"]["shownRevision"], 1);
    assert_eq!(looked_up["data"]["title"], "更正后的标题");
    let all = get_json(&format!("{}/admin/articles?all=true", sender.url)).await;
    let states: Vec<_> = all["articles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["state"].clone())
        .collect();
    assert_eq!(states, ["visible", "pending", "pending"]);

    let approve = format!("{review}/approve");
    assert_eq!(post_json(&approve, &json!({})).await.1["approved"], 2);
    assert_eq!(page(&hidden).await.0, 200);
    let looked_up = sender.call("GET", "r1", json!(null)).await;
    assert_eq!(looked_up["data"]["shownRevision"], 2);
    assert_eq!(looked_up["data"]["status"], "published");
}

#[tokio::test]
async fn a_deleted_article_comes_back_under_the_same_id() {
    let sender = Sender::new(at_once()).await;
    let url = sender.put("r1", article(1)).await["data"]["url"].clone();
    assert_eq!(sender.call("DELETE", "r1", json!(null)).await["code"], 0);
    assert_eq!(
        sender.call("DELETE", "r1", json!(null)).await["code"],
        40401
    );
    assert_eq!(sender.call("GET", "r1", json!(null)).await["code"], 40401);
    assert_eq!(page(url.as_str().unwrap()).await.0, 404);
    assert_eq!(sender.put("r1", article(1)).await["data"]["id"], "G-000001");
    assert_eq!(page(url.as_str().unwrap()).await.0, 200);
}

#[tokio::test]
async fn what_somebody_edits_by_hand_is_mended_by_sending_again() {
    let sender = Sender::new(at_once()).await;
    sender.put("r1", article(1)).await;
    let before = sender.call("GET", "r1", json!(null)).await;
    let edit = format!("{}/admin/edit/G-000001", sender.url);
    post_json(&edit, &json!({"html": "<p>改</p>"})).await;
    let edited = sender.call("GET", "r1", json!(null)).await;
    assert_ne!(edited["data"]["sha256"], before["data"]["sha256"]);
    sender.put("r1", article(1)).await;
    assert_eq!(sender.call("GET", "r1", json!(null)).await, before);
    post_json(&edit, &json!({"delete": true})).await;
    assert_eq!(sender.call("GET", "r1", json!(null)).await["code"], 40401);
    assert_eq!(post_json(&edit, &json!({"delete": true})).await.0, 404);
}

#[tokio::test]
async fn each_mode_spoils_the_answer_and_saves_or_not() {
    let mut sender = Sender::new(at_once()).await;
    for (mode, saves) in [
        ("error_500", false),
        ("too_many", false),
        ("slow", true),
        ("drop_after_save", true),
        ("garbage", true),
        ("garbage_unsaved", false),
        ("truncated", true),
        ("expired_session", false),
        ("maintenance", false),
    ] {
        misbehave(&sender.url, json!({"mode": mode, "times": 1, "ms": 1})).await;
        let spoiled = sender.send("PUT", mode, article(1).to_string()).await;
        let text = spoiled.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let parsed = text
            .as_ref()
            .ok()
            .and_then(|text| serde_json::from_str::<Value>(text).ok());
        match mode {
            "slow" => assert_eq!(parsed.unwrap()["code"], 0),
            "expired_session" => assert_eq!(parsed.unwrap()["code"], 40101),
            "too_many" => assert_eq!(parsed.unwrap()["error"], "rate_limited"),
            "drop_after_save" | "truncated" => assert!(text.is_err(), "{mode}: {text:?}"),
            "maintenance" => assert!(text.unwrap().contains("系统维护中")),
            _ => assert!(text.is_ok() && parsed.is_none(), "{mode}"),
        }
        sender.log_in().await;
        let after = sender.call("GET", mode, json!(null)).await;
        assert_eq!(after["code"] == 0, saves, "{mode}: {after}");
    }
    let counts = get_json(&format!("{}/admin/requests", sender.url)).await;
    assert_eq!(counts["counts"]["PUT /api/v1/articles/{key}"], 9);
    assert_eq!(counts["counts"]["GET /api/v1/articles/{key}"], 9);
}

#[tokio::test]
async fn a_token_request_fails_only_in_maintenance() {
    let mut sender = Sender::new(at_once()).await;
    misbehave(&sender.url, json!({"mode": "error_500"})).await;
    sender.log_in().await;
    misbehave(&sender.url, json!({"mode": "maintenance", "times": 1})).await;
    let answer = client().post(format!("{}/oauth/token", sender.url)).send();
    assert_eq!(answer.await.unwrap().status(), 503);
}

#[tokio::test]
async fn a_token_runs_out() {
    let mut sender = Sender::new(Options {
        session_ttl_ms: 0,
        ..at_once()
    })
    .await;
    assert_eq!(sender.put("r1", article(1)).await["code"], 40101);
    sender.log_in().await;
    assert_eq!(sender.put("r1", article(1)).await["code"], 40101);
}

#[tokio::test]
async fn a_kept_folder_brings_the_articles_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: Some(dir.path().to_owned()),
        ..at_once()
    };
    let sender = Sender::new(options.clone()).await;
    sender.put("r1", article(1)).await;
    let before = sender.shown().await;
    let Sender { started, .. } = sender;
    started.stop().await;
    let sender = Sender::new(options).await;
    let mut after = sender.shown().await;
    after[0]["url"] = before[0]["url"].clone();
    assert_eq!(after, before);
    post_json(&format!("{}/admin/reset", sender.url), &json!({})).await;
    assert!(sender.shown().await.is_empty());
}
