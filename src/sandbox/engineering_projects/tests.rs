use axum::http::Method;
use serde_json::{Value, json};

use super::signature::{Signed, sign};
use crate::sandbox::desk::random_hex;
use crate::sandbox::tests::{client, get_json, misbehave, page, post_json, setting};
use crate::sandbox::{Options, Started, start};

struct Sender {
    started: Started,
    url: String,
    /// The file that goes with every item.
    file: Option<(&'static str, &'static [u8])>,
}

const BOUNDARY: &str = "----a-boundary-of-the-test";

impl Sender {
    async fn new(options: Options) -> Sender {
        let started = start(options).await.unwrap();
        Sender {
            url: setting(&started, "ENGINEERING_PROJECTS_URL"),
            started,
            file: Some(("招标公告 1.pdf", b"%PDF-1.4\r\n\0\xff")),
        }
    }

    async fn send(
        &self,
        (method, address): (Method, &str),
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> reqwest::Result<(u16, Value)> {
        let secret = setting(&self.started, "ENGINEERING_PROJECTS_SECRET");
        let timestamp = (crate::clock::now_ms() / 1_000).to_string();
        let nonce = random_hex();
        let signed = Signed {
            method: &method,
            address,
            body: &body,
        };
        let signature = sign(&secret, &signed, &timestamp, &nonce);
        let mut request = client()
            .request(method, format!("{}{address}", self.url))
            .header("x-app-id", "synchub")
            .header("x-timestamp", timestamp)
            .header("x-nonce", nonce)
            .header("x-signature", signature);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(json!(text))))
    }

    async fn get(&self, address: &str) -> (u16, Value) {
        let request = (Method::GET, address);
        self.send(request, &[], Vec::new()).await.unwrap()
    }

    async fn multipart(
        &self,
        request: (Method, &str),
        key: &str,
        item: &Value,
    ) -> reqwest::Result<(u16, Value)> {
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"item\"\r\nContent-Type: application/json\r\n\r\n{item}\r\n"
        )
        .into_bytes();
        if let Some((name, bytes)) = self.file {
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/pdf\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [("content-type", kind.as_str()), ("idempotency-key", key)];
        let headers = if key.is_empty() {
            &headers[..1]
        } else {
            &headers
        };
        self.send(request, headers, body).await
    }

    async fn create(&self, key: &str, item: &Value) -> (u16, Value) {
        let request = (Method::POST, "/api/items");
        self.multipart(request, key, item).await.unwrap()
    }

    async fn replace(&self, id: &str, item: &Value) -> (u16, Value) {
        let address = format!("/api/items/{id}");
        let request = (Method::PUT, address.as_str());
        self.multipart(request, "", item).await.unwrap()
    }

    async fn revoke(&self, id: &str, body: &str) -> (u16, Value) {
        let address = format!("/api/items/{id}/revoke");
        let request = (Method::POST, address.as_str());
        let headers = [("content-type", "application/json")];
        self.send(request, &headers, body.into()).await.unwrap()
    }
}

fn project(version: i64) -> Value {
    json!({
        "kind": "project", "group": "P4", "projectCode": "2409-440205-04-01-200027",
        "projectName": "丹霞大道改造", "owner": "市代建局", "subject": null, "uscc": null,
        "publisher": "市住建局", "publishDate": "2014-09-18", "title": "丹霞大道改造招标公告",
        "documentNo": "无", "externalId": "r1", "version": version,
        "fields": {"招标控制价(万元)": 1200.5, "招标方式": "公开招标"}, "html": "<p>公告</p>",
    })
}

fn credit() -> Value {
    json!({
        "kind": "credit", "group": "不良行为-行政处罚", "subject": "某建筑公司",
        "uscc": "91350100M000100Y43", "publisher": "市住建局", "publishDate": "2014-09-18",
        "title": "行政处罚决定", "documentNo": "韶建罚〔2014〕1号", "externalId": "c1",
        "version": 1, "fields": {}, "html": "<p>决定</p>",
    })
}

#[tokio::test]
async fn an_unsigned_request_is_refused() {
    let sender = Sender::new(Options::default()).await;
    let url = format!("{}/api/items?externalId=r1", sender.url);
    assert_eq!(get_json(&url).await["error"], "unknown_app");
    assert_eq!(sender.get("/api/items?externalId=%E4%B8%80").await.0, 200);
}

#[tokio::test]
async fn an_item_is_shown_with_its_file_and_its_project() {
    let sender = Sender::new(Options::default()).await;
    let (status, made) = sender.create("k1", &project(1)).await;
    assert_eq!((status, &made["itemId"]), (201, &json!("E-1")), "{made}");
    let (status, bytes) = page(made["url"].as_str().unwrap()).await;
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(status, 200);
    for part in [
        "<p>公告</p>",
        "1200.5",
        "/projects/2409-440205-04-01-200027",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let (_, bytes) = page(&format!("{}/articles/E-1/files/招标公告 1.pdf", sender.url)).await;
    assert_eq!(bytes, b"%PDF-1.4\r\n\0\xff");

    let mut approval = project(1);
    approval["group"] = json!("P1");
    approval["title"] = json!("丹霞大道改造可研批复");
    sender.create("k2", &approval).await;
    let (status, bytes) = page(&format!("{}/projects/2409-440205-04-01-200027", sender.url)).await;
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(status, 200);
    let place = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part} in {text}"))
    };
    assert!(
        place("可研批复") < place("招标公告"),
        "in the order of a project"
    );
    let (_, item) = sender.get("/api/items/E-1").await;
    assert_eq!(item["fields"], project(1)["fields"]);
    assert_eq!(item["files"][0]["name"], "招标公告 1.pdf");
    assert_eq!(item["html"], "<p>公告</p>");
}

#[tokio::test]
async fn the_same_key_makes_one_item_and_no_key_makes_another() {
    let sender = Sender::new(Options::default()).await;
    sender.create("k1", &project(2)).await;
    let (status, again) = sender.create("k1", &project(3)).await;
    assert_eq!(status, 200);
    assert_eq!(again["duplicate"], true);
    assert_eq!(again["version"], 2, "nothing new is stored");
    assert_eq!(sender.create("", &project(2)).await.0, 201);
    let (_, found) = sender.get("/api/items?externalId=r1").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn replacing_keeps_the_id_and_refuses_older_versions() {
    let mut sender = Sender::new(Options::default()).await;
    sender.create("k1", &project(2)).await;
    assert_eq!(sender.replace("E-1", &project(1)).await.1["error"], "stale");
    sender.file = None;
    assert_eq!(sender.replace("E-1", &project(2)).await.0, 200);
    let (status, told) = sender.replace("E-1", &project(3)).await;
    assert_eq!((status, &told["version"]), (200, &json!(3)));
    assert_eq!(sender.replace("E-9", &project(3)).await.0, 404);
    let list = get_json(&format!("{}/admin/articles", sender.url)).await;
    assert_eq!(list["articles"].as_array().unwrap().len(), 1);
    assert_eq!(list["articles"][0]["attachments"], json!([]));
}

#[tokio::test]
async fn a_revoked_item_is_hidden_until_it_is_replaced() {
    let sender = Sender::new(Options::default()).await;
    let (_, made) = sender.create("k1", &project(1)).await;
    let url = made["url"].as_str().unwrap();
    for empty in ["", "no json", "{}", r#"{"reason":" "}"#] {
        assert_eq!(sender.revoke("E-1", empty).await.0, 422, "{empty}");
    }
    let reason = r#"{"reason":"撤回"}"#;
    assert_eq!(
        sender.revoke("E-1", reason).await,
        (200, json!({"revoked": true}))
    );
    assert_eq!(sender.revoke("E-1", reason).await.0, 410);
    assert_eq!(sender.revoke("E-2", reason).await.0, 404);
    assert_eq!(page(url).await.0, 404);
    let (_, found) = sender.get("/api/items?externalId=r1").await;
    assert_eq!(found["items"][0]["revoked"], true);
    assert_eq!(sender.replace("E-1", &project(1)).await.0, 200);
    assert_eq!(page(url).await.0, 200);
    post_json(
        &format!("{}/admin/edit/E-1", sender.url),
        &json!({"delete": true}),
    )
    .await;
    assert_eq!(sender.replace("E-1", &project(1)).await.0, 404);
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let mut sender = Sender::new(Options::default()).await;
    let wrong = [
        (
            project(1),
            json!({"group": "P12", "projectCode": "x", "projectName": ""}),
            vec!["projectName", "projectCode", "group"],
        ),
        (project(1), json!({"group": "不良行为"}), vec!["group"]),
        (project(1), json!({"kind": "other"}), vec!["kind"]),
        (
            project(1),
            json!({"title": "长".repeat(201)}),
            vec!["title"],
        ),
        (
            project(1),
            json!({"publishDate": "2014-9-18", "version": "1"}),
            vec!["publishDate", "version"],
        ),
        (
            project(1),
            json!({"externalId": "", "html": null}),
            vec!["externalId", "html"],
        ),
        (credit(), json!({"subject": null}), vec!["subject"]),
        (credit(), json!({"group": "P4"}), vec!["group"]),
    ];
    for (mut item, change, fields) in wrong {
        for (name, value) in change.as_object().unwrap() {
            item[name] = value.clone();
        }
        let (status, told) = sender.create("", &item).await;
        assert_eq!(status, 422, "{change}");
        let named: Vec<_> = told["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["field"].clone())
            .collect();
        assert_eq!(named, fields, "{change}");
    }
    sender.file = Some(("a/b.pdf", b""));
    assert_eq!(
        sender.create("", &credit()).await.1["fields"][0]["field"],
        "file"
    );
    let request = (Method::POST, "/api/items");
    let (status, _) = sender.send(request, &[], b"{}".to_vec()).await.unwrap();
    assert_eq!(status, 422, "no multipart at all");
}

#[tokio::test]
async fn a_credit_item_goes_to_the_column_its_group_begins_with() {
    let sender = Sender::new(Options::default()).await;
    assert_eq!(sender.create("c1", &credit()).await.0, 201);
    let (status, bytes) = page(&format!("{}/columns/不良行为", sender.url)).await;
    assert_eq!(status, 200);
    assert!(String::from_utf8(bytes).unwrap().contains("/articles/E-1"));
}

#[tokio::test]
async fn too_many_requests_in_a_second_are_refused() {
    let sender = Sender::new(Options {
        rate_per_s: 0,
        ..Options::default()
    })
    .await;
    let (status, told) = sender.get("/api/items?externalId=r1").await;
    assert_eq!((status, &told["error"]), (429, &json!("rate_limited")));
}

#[tokio::test]
async fn modes_work_here_too() {
    let sender = Sender::new(Options::default()).await;
    for (mode, saves) in [
        ("expired_session", 0),
        ("error_500", 0),
        ("drop_after_save", 1),
        ("truncated", 2),
    ] {
        misbehave(&sender.url, json!({"mode": mode, "times": 1})).await;
        let request = (Method::POST, "/api/items");
        let sent = sender.multipart(request, "", &project(1)).await;
        match mode {
            "expired_session" => assert_eq!(sent.unwrap().1["error"], "bad_signature"),
            "error_500" => assert_eq!(sent.unwrap().0, 500),
            _ => assert!(sent.is_err(), "{mode}"),
        }
        let (_, found) = sender.get("/api/items?externalId=r1").await;
        assert_eq!(found["items"].as_array().unwrap().len(), saves, "{mode}");
    }
    let counts = get_json(&format!("{}/admin/requests", sender.url)).await;
    assert_eq!(
        counts["counts"],
        json!({"GET /api/items": 4, "POST /api/items": 4})
    );
}
