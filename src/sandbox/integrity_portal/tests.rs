use encoding_rs::GB18030;
use serde_json::json;

use super::soap::element;
use crate::sandbox::tests::{client, get_json, misbehave, page, post_json, setting};
use crate::sandbox::{Options, Started, start};

struct Sender {
    started: Started,
    url: String,
    session: String,
}

impl Sender {
    async fn new(options: Options) -> Sender {
        let started = start(options).await.unwrap();
        let mut sender = Sender {
            url: setting(&started, "INTEGRITY_PORTAL_URL"),
            started,
            session: String::new(),
        };
        sender.log_in().await;
        sender
    }

    async fn log_in(&mut self) {
        let password = setting(&self.started, "INTEGRITY_PORTAL_PASSWORD");
        let fields = [("UserName", "synchub"), ("Password", &password)];
        let answer = self.call("Login", &fields).await;
        self.session = value(&answer, "SessionId");
    }

    async fn send(&self, operation: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let inner: String = fields
            .iter()
            .map(|(name, text)| element(name, text))
            .collect();
        let envelope = format!(
            r#"<?xml version="1.0" encoding="GB18030"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><{operation} xmlns="urn:articles">{inner}</{operation}></s:Body></s:Envelope>"#
        );
        client()
            .post(format!("{}/services/ArticleService", self.url))
            .header("content-type", "text/xml; charset=GB18030")
            .header("soapaction", format!("\"urn:articles#{operation}\""))
            .header("cookie", format!("a=b; JSESSIONID={}", self.session))
            .body(GB18030.encode(&envelope).0.into_owned())
            .send()
            .await
            .unwrap()
    }

    async fn call(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        let bytes = self.send(operation, fields).await.bytes().await.unwrap();
        let text = GB18030.decode_without_bom_handling_and_without_replacement(&bytes);
        text.expect("answers are GB18030").into_owned()
    }

    async fn save(&self, id: &str, change: (&str, &str)) -> String {
        let mut fields = [
            ("ArticleId", id),
            ("ColumnId", "13"),
            ("Title", "关于办公设备采购的公示"),
            ("Source", "synchub:r1"),
            ("Remark", "v3 同步"),
            ("DocNo", "无"),
            ("PublishUnit", "市财政局"),
            ("WrittenDate", "2014-09-18"),
            ("Content", "<p>采购<b>㙍</b>😀</p>"),
        ];
        for field in &mut fields {
            if field.0 == change.0 {
                field.1 = change.1;
            }
        }
        self.call("SaveArticle", &fields).await
    }

    async fn attach(&self, id: &str, name: &str, content: &str) -> String {
        let fields = [
            ("ArticleId", id),
            ("FileName", name),
            ("MediaType", "text/plain"),
            ("ContentBase64", content),
        ];
        self.call("SaveAttachment", &fields).await
    }
}

/// Returns the text of the first element with this name.
fn value(xml: &str, name: &str) -> String {
    let document = roxmltree::Document::parse(xml).expect(xml);
    let found = document
        .descendants()
        .find(|node| node.tag_name().name() == name)
        .unwrap_or_else(|| panic!("{name} in {xml}"));
    found.text().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_wrong_password_is_refused_in_the_body() {
    let sender = Sender::new(Options::default()).await;
    let fields = [("UserName", "synchub"), ("Password", "guess")];
    let answer = sender.call("Login", &fields).await;
    assert_eq!(value(&answer, "Success"), "false");
    assert_eq!(value(&answer, "ErrorCode"), "E001");
}

#[tokio::test]
async fn a_login_sets_the_cookie() {
    let sender = Sender::new(Options::default()).await;
    let password = setting(&sender.started, "INTEGRITY_PORTAL_PASSWORD");
    let fields = [("UserName", "synchub"), ("Password", &*password)];
    let answer = sender.send("Login", &fields).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("JSESSIONID=") && cookie.ends_with("; Path=/; HttpOnly"));
}

#[tokio::test]
async fn without_a_session_comes_the_login_page_with_200() {
    let mut sender = Sender::new(Options::default()).await;
    misbehave(&sender.url, json!({"mode": "expired_session", "times": 1})).await;
    for _ in 0..2 {
        let answer = sender.send("FindArticles", &[("Source", "x")]).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers()["content-type"],
            "text/html; charset=GB18030"
        );
        let text = GB18030
            .decode(&answer.bytes().await.unwrap())
            .0
            .into_owned();
        assert!(text.contains("<title>用户登录</title>"));
    }
    sender.log_in().await;
    let answer = sender.call("FindArticles", &[("Source", "x")]).await;
    assert_eq!(value(&answer, "Count"), "0");
}

#[tokio::test]
async fn a_saved_article_is_visible_at_once_and_found_by_its_source() {
    let sender = Sender::new(Options::default()).await;
    let saved = sender.save("0", ("", "")).await;
    assert_eq!(value(&saved, "Success"), "true");
    assert_eq!(value(&saved, "ArticleId"), "1");
    let (status, bytes) = page(&value(&saved, "Url")).await;
    let text = GB18030.decode(&bytes).0.into_owned();
    assert_eq!(status, 200);
    assert!(text.contains("<p>采购<b>㙍</b>😀</p>"), "{text}");

    let list = get_json(&format!("{}/admin/articles", sender.url)).await;
    let shown = &list["articles"][0];
    assert_eq!(shown["record_id"], "r1");
    assert_eq!(shown["version"], 3);
    assert_eq!(shown["column"], "13");
    let found = sender
        .call("FindArticles", &[("Source", "synchub:r1")])
        .await;
    assert_eq!(value(&found, "Count"), "1");
    assert_eq!(value(&found, "Remark"), "v3 同步");
    assert_eq!(value(&found, "Url"), value(&saved, "Url"));
    let none = sender
        .call("FindArticles", &[("Source", "synchub:r")])
        .await;
    assert_eq!(value(&none, "Count"), "0", "the source must match in full");
}

#[tokio::test]
async fn creating_twice_makes_two_and_updating_keeps_one() {
    let sender = Sender::new(Options::default()).await;
    sender.save("0", ("", "")).await;
    sender.save("0", ("", "")).await;
    let changed = sender.save("1", ("Title", "更正")).await;
    assert_eq!(value(&changed, "ArticleId"), "1");
    let found = sender
        .call("FindArticles", &[("Source", "synchub:r1")])
        .await;
    assert_eq!(value(&found, "Count"), "2");
    assert_eq!(value(&found, "Title"), "更正", "oldest first");
}

#[tokio::test]
async fn saving_again_drops_the_attachments() {
    let sender = Sender::new(Options::default()).await;
    sender.save("0", ("", "")).await;
    assert_eq!(
        value(&sender.attach("1", "甲.txt", "YWJj").await, "AttachmentId"),
        "1"
    );
    assert_eq!(
        value(&sender.attach("1", "乙.txt", "YQ==").await, "AttachmentId"),
        "2"
    );
    assert_eq!(
        value(
            &sender.attach("1", "甲.txt", "eH\nl6").await,
            "AttachmentId"
        ),
        "1"
    );
    let find = [("Source", "synchub:r1")];
    let found = sender.call("FindArticles", &find).await;
    assert_eq!(value(&found, "AttachmentCount"), "2");
    let (_, bytes) = page(&format!("{}/articles/1/files/甲.txt", sender.url)).await;
    assert_eq!(bytes, b"xyz");
    sender.save("1", ("", "")).await;
    let found = sender.call("FindArticles", &find).await;
    assert_eq!(value(&found, "AttachmentCount"), "0");
}

#[tokio::test]
async fn each_mistake_has_its_code() {
    let sender = Sender::new(Options::default()).await;
    for (id, change, code, part) in [
        ("0", ("ColumnId", "99"), "E101", "99"),
        ("0", ("Title", &*"长".repeat(101)), "E102", "100"),
        ("0", ("Content", ""), "E103", "Content"),
        ("0", ("PublishUnit", " "), "E103", "PublishUnit"),
        ("7", ("", ""), "E104", ""),
    ] {
        let answer = sender.save(id, change).await;
        assert_eq!(value(&answer, "Success"), "false", "{answer}");
        assert_eq!(value(&answer, "ErrorCode"), code);
        assert!(value(&answer, "ErrorMessage").contains(part), "{answer}");
    }
    let answer = sender.attach("7", "a.txt", "YWJj").await;
    assert_eq!(value(&answer, "ErrorCode"), "E104");
    sender.save("0", ("", "")).await;
    let answer = sender.attach("1", "a.txt", "%%%").await;
    assert_eq!(value(&answer, "ErrorCode"), "E103");
}

#[tokio::test]
async fn a_deleted_article_is_gone() {
    let sender = Sender::new(Options::default()).await;
    let saved = sender.save("0", ("", "")).await;
    let fields = [("ArticleId", "1"), ("Reason", "撤回")];
    assert_eq!(
        value(&sender.call("DeleteArticle", &fields).await, "Success"),
        "true"
    );
    let again = sender.call("DeleteArticle", &fields).await;
    assert_eq!(value(&again, "ErrorCode"), "E104");
    assert_eq!(page(&value(&saved, "Url")).await.0, 404);
    let found = sender
        .call("FindArticles", &[("Source", "synchub:r1")])
        .await;
    assert_eq!(value(&found, "Count"), "0");
    assert_eq!(
        value(&sender.save("1", ("", "")).await, "ErrorCode"),
        "E104"
    );
    assert_eq!(value(&sender.save("0", ("", "")).await, "ArticleId"), "2");
}

#[tokio::test]
async fn an_unknown_operation_is_a_fault_with_500() {
    let sender = Sender::new(Options::default()).await;
    let answer = sender.send("Explode", &[]).await;
    assert_eq!(answer.status(), 500);
    let text = GB18030
        .decode(&answer.bytes().await.unwrap())
        .0
        .into_owned();
    assert_eq!(value(&text, "faultcode"), "soap:Client");
    assert!(value(&text, "faultstring").contains("Explode"));
}

#[tokio::test]
async fn an_answer_lost_after_saving_leaves_an_article() {
    let sender = Sender::new(Options::default()).await;
    for mode in ["drop_after_save", "truncated", "garbage"] {
        misbehave(&sender.url, json!({"mode": mode, "times": 1})).await;
        let url = format!("{}/services/ArticleService", sender.url);
        let body = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><SaveArticle xmlns="urn:articles"><ArticleId>0</ArticleId><ColumnId>11</ColumnId><Title>t</Title><Source>lost</Source><PublishUnit>u</PublishUnit><WrittenDate>2014</WrittenDate><Content>c</Content></SaveArticle></s:Body></s:Envelope>"#;
        let sent = client()
            .post(&url)
            .header("soapaction", "urn:articles#SaveArticle")
            .header("cookie", format!("JSESSIONID={}", sender.session))
            .body(body)
            .send()
            .await;
        if let Ok(answer) = sent {
            assert_eq!(answer.bytes().await.is_ok(), mode == "garbage", "{mode}");
        }
    }
    let found = sender.call("FindArticles", &[("Source", "lost")]).await;
    assert_eq!(value(&found, "Count"), "3");
    let counts = get_json(&format!("{}/admin/requests", sender.url)).await;
    let counts = &counts["counts"];
    assert_eq!(counts["POST /services/ArticleService#SaveArticle"], 3);
    assert_eq!(counts["POST /services/ArticleService#Login"], 1);
}

#[tokio::test]
async fn the_wsdl_is_well_formed_and_names_the_address() {
    let sender = Sender::new(Options::default()).await;
    let (status, bytes) = page(&format!("{}/services/ArticleService?wsdl", sender.url)).await;
    assert_eq!(status, 200);
    let text = GB18030.decode(&bytes).0.into_owned();
    roxmltree::Document::parse(&text).unwrap();
    assert!(text.contains(&format!("{}/services/ArticleService", sender.url)));
    let review = format!("{}/admin/review", sender.url);
    assert_eq!(
        post_json(&review, &json!({"auto_ms": 1})).await.0,
        404,
        "no review here"
    );
}
