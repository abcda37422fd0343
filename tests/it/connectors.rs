//! The connectors of the package: where they send the samples, and what the practice platforms
//! make of their requests.

use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use synchub::connector::{AfterWithdraw, Connector, Connectors, Operation, References};
use synchub::deliver::trial;
use synchub::record::Record;
use synchub::sandbox::{Options, Started, start};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(folder(path)).expect(path);
    serde_json::from_str(&text).expect(path)
}

#[test]
fn every_sample_goes_to_the_platforms_that_are_expected() {
    let connectors = Connectors::load(&[folder("connectors")], &References::placeholders());
    assert!(
        connectors.failures().is_empty(),
        "{:?}",
        connectors.failures()
    );
    let expected: Map<String, Value> =
        serde_json::from_value(read("tests/samples/expected.json")).expect("an object");
    let mut differences = Vec::new();
    for (file, expected) in &expected {
        let entry = &read(&format!("tests/samples/{file}"))["entry"];
        // As far as `takes` may look: the key of the area is what normalising makes of its name.
        let mut record = json!({"area": expected["area"], "column": entry["column"]});
        for part in ["project", "credit"] {
            if !entry[part].is_null() {
                record[part] = entry[part].clone();
            }
        }
        let view = minijinja::Value::from(minijinja::value::Serde(&record));
        let mut taken: Vec<&str> = connectors
            .iter()
            .filter(|connector| connector.takes(&view))
            .map(|connector| connector.id.as_str())
            .collect();
        let mut routed: Vec<&str> = expected["routed"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        taken.sort_unstable();
        routed.sort_unstable();
        if taken != routed {
            differences.push(format!("{file}: taken by {taken:?}, expected {routed:?}"));
        }
    }
    assert!(expected.len() > 30);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn a_contract_names_the_field_that_the_platform_would_refuse() {
    let connectors = Connectors::load(&[folder("connectors")], &References::placeholders());
    let long = |characters: usize| json!("字".repeat(characters));
    for (platform, case, pointer, value, refused) in [
        (
            "gov-info",
            "publish-with-attachment",
            "/title",
            long(120),
            false,
        ),
        (
            "gov-info",
            "publish-with-attachment",
            "/title",
            long(121),
            true,
        ),
        (
            "gov-info",
            "publish-with-attachment",
            "/doc_no",
            json!("无"),
            true,
        ),
        (
            "gov-info",
            "publish-with-attachment",
            "/written_on",
            json!("2023-09"),
            false,
        ),
        (
            "gov-info",
            "publish-with-attachment",
            "/index_no",
            json!("NP10-01-2014-3"),
            true,
        ),
        (
            "integrity-portal",
            "publish-with-attachments",
            "/title",
            long(101),
            true,
        ),
        (
            "integrity-portal",
            "publish-with-attachments",
            "/body/html",
            json!(" "),
            true,
        ),
        (
            "engineering-projects",
            "publish-credit",
            "/title",
            long(200),
            false,
        ),
        (
            "engineering-projects",
            "publish-credit",
            "/written_on",
            json!("2023-09"),
            true,
        ),
        (
            "engineering-projects",
            "publish-credit",
            "/credit/group",
            json!("其他"),
            true,
        ),
        (
            "engineering-projects",
            "publish-project-nested-fields",
            "/project/group",
            json!("P12"),
            true,
        ),
        (
            "engineering-projects",
            "publish-project-nested-fields",
            "/project/code",
            json!("2409-440205-04-01-20002"),
            true,
        ),
        (
            "engineering-projects",
            "publish-project-nested-fields",
            "/project/code",
            json!("2020-330327-48-01-167360"),
            false,
        ),
    ] {
        let mut record = read(&format!("connectors/{platform}/samples/{case}.record.json"));
        *record.pointer_mut(pointer).expect(pointer) = value.clone();
        let errors = connectors
            .get(platform)
            .expect(platform)
            .contract_errors(&record);
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        let expected: Vec<String> = refused
            .then(|| format!("/entry{}", pointer.replace("/html", "/content")))
            .into_iter()
            .collect();
        assert_eq!(pointers, expected, "{platform} {value}");
    }
}

#[test]
fn the_reference_tells_every_key_of_the_manifest() {
    let parts = std::fs::read_dir(folder("src/connector/manifest")).expect("a folder");
    let parts = parts.map(|part| part.expect("an entry").path());
    let source: String = [folder("src/connector/manifest.rs")]
        .into_iter()
        .chain(parts)
        .map(|path| std::fs::read_to_string(path).expect("the source"))
        .collect();
    let reference = std::fs::read_to_string(folder("deploy/CONNECTORS.md")).expect("the page");
    // Fields of structs and of the kinds of authentication.
    let field = regex::Regex::new(r"(?m)^(?:    pub|       ) ([a-z_]+): \w").expect("a pattern");
    let keys: Vec<&str> = field
        .captures_iter(&source)
        .map(|found| found.get(1).expect("a name").as_str())
        .collect();
    assert!(keys.len() > 80, "{keys:?}");
    let untold: Vec<&&str> = keys
        .iter()
        .filter(|key| {
            let spellings = [
                format!("`{key}`"),
                format!("[{key}]"),
                format!("[{key}."),
                format!("{key}]]"),
            ];
            !spellings.iter().any(|it| reference.contains(it.as_str()))
        })
        .collect();
    assert!(untold.is_empty(), "{untold:?}");
}

/// Returns a client that asks no proxy. The crypto provider may be there already.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client")
}

/// One platform with its connector, and what the public sees there.
struct Trial {
    connector: Connector,
    url: String,
    record: Record,
}

impl Trial {
    fn new(started: &Started, platform: &str, case: &str) -> Self {
        let settings = started
            .settings()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let references = References::with_overrides(settings);
        let dir = folder(&format!("connectors/{platform}"));
        let connector = Connector::load(&dir, &references).expect(platform);
        assert_eq!(connector.unresolved(), [""; 0]);
        let record = read(&format!("connectors/{platform}/samples/{case}.record.json"));
        Self {
            connector,
            url: started.platform(platform).expect(platform).url.clone(),
            record: serde_json::from_value(record).expect("a record"),
        }
    }

    /// Runs the operation and returns the verdict that decided, with all that is shown of it.
    async fn run(&self, operation: Operation, remote_id: Option<&str>) -> (String, Value) {
        let remote_id = remote_id.map(ToOwned::to_owned);
        let shown = trial::run(&self.connector, &self.record, operation, remote_id)
            .await
            .expect("the requests can be made");
        let exchanges = shown["exchanges"].as_array().expect("a list");
        let last = exchanges.last().expect("an exchange");
        let verdict = last["verdict"]
            .as_str()
            .unwrap_or_else(|| panic!("{last:#}"));
        (verdict.to_owned(), shown)
    }

    async fn does(&self, operation: Operation, remote_id: Option<&str>) -> Value {
        let (verdict, shown) = self.run(operation, remote_id).await;
        assert_eq!(verdict, "ok", "{shown:#}");
        shown
    }

    /// As [`Trial::does`]; a duplicate is brought up to date, as a delivery does.
    async fn is_shown_by(&self, operation: Operation, remote_id: Option<&str>) {
        let (verdict, shown) = self.run(operation, remote_id).await;
        if verdict == "duplicate" {
            let id = &shown["exchanges"][0]["captured"]["remote_id"];
            self.does(Operation::Update, id.as_str()).await;
        } else {
            assert_eq!(verdict, "ok", "{shown:#}");
        }
    }

    async fn is_deleted_by_hand(&self, id: &str) {
        let answer = client()
            .post(format!("{}/admin/edit/{id}", self.url))
            .header("content-type", "application/json")
            .body(json!({"delete": true}).to_string())
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_success());
    }

    async fn visible(&self) -> Vec<Value> {
        let answer = client()
            .get(format!("{}/admin/articles", self.url))
            .send()
            .await
            .expect("an answer");
        let text = answer.text().await.expect("a text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["articles"].as_array().expect("a list").clone()
    }

    /// Asserts that exactly this record is shown, whole, and returns the platform's id of it.
    async fn shows_the_record(&self) -> String {
        let visible = self.visible().await;
        assert_eq!(visible.len(), 1, "{visible:#?}");
        let article = &visible[0];
        let content = &self.record.content;
        assert_eq!(article["record_id"], self.record.id.as_str());
        assert_eq!(article["version"], self.record.version);
        assert_eq!(article["title"], content.title);
        assert_eq!(article["html"], content.body.html);
        let names: Vec<&str> = article["attachments"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|file| file["name"].as_str())
            .collect();
        let sent: Vec<&str> = content
            .attachments
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, sent);
        assert!(!names.is_empty());
        article["remote_id"].as_str().expect("an id").to_owned()
    }
}

async fn practice() -> Started {
    let options = Options {
        review_ms: 0,
        ..Options::default()
    };
    start(options).await.expect("the platforms start")
}

/// Publishes, corrects, withdraws and publishes again, looking each time at what is shown.
async fn goes_the_whole_way(platform: &str, case: &str) {
    let started = practice().await;
    let mut trial = Trial::new(&started, platform, case);
    let missing = trial.does(Operation::LookUp, None).await;
    assert_eq!(missing["exchanges"][0]["captured"], json!({}));

    let published = trial.does(Operation::Publish, None).await;
    let id = trial.shows_the_record().await;
    assert_eq!(published["exchanges"][0]["captured"]["remote_id"], id);
    let found = trial.does(Operation::LookUp, None).await;
    let captured = &found["exchanges"][0]["captured"];
    assert_eq!(captured["remote_id"], id);
    assert_eq!(captured["remote_version"], "1");
    let looked = trial.does(Operation::ReadBack, Some(&id)).await;
    assert_eq!(looked["confirmed"], true, "{looked:#}");

    trial.record.version = 2;
    trial.record.content.title.push_str("（更正〇𠀀）");
    trial
        .record
        .content
        .body
        .html
        .push_str("<p>更正：]]> & 〔2〕</p>");
    let looked = trial.does(Operation::ReadBack, Some(&id)).await;
    assert_eq!(looked["confirmed"], false, "the old version is still shown");
    trial.does(Operation::Update, Some(&id)).await;
    assert_eq!(trial.shows_the_record().await, id);
    let looked = trial.does(Operation::ReadBack, Some(&id)).await;
    assert_eq!(looked["confirmed"], true, "{looked:#}");

    trial.does(Operation::Withdraw, Some(&id)).await;
    assert_eq!(trial.visible().await, [json!(null); 0]);
    trial.does(Operation::Withdraw, Some(&id)).await;
    let gone = trial.does(Operation::LookUp, None).await;
    assert_eq!(gone["exchanges"][0]["captured"], json!({}));

    trial.record.version = 3;
    match trial.connector.after_withdraw() {
        AfterWithdraw::Reuse => trial.is_shown_by(Operation::Update, Some(&id)).await,
        AfterWithdraw::New => trial.is_shown_by(Operation::Publish, None).await,
    }
    trial.shows_the_record().await;
    started.stop().await;
}

#[tokio::test]
async fn gov_info_takes_what_its_connector_sends() {
    goes_the_whole_way("gov-info", "publish-with-attachment").await;
}

#[tokio::test]
async fn integrity_portal_takes_what_its_connector_sends() {
    goes_the_whole_way("integrity-portal", "publish-with-attachments").await;
}

#[tokio::test]
async fn engineering_projects_takes_what_its_connector_sends() {
    goes_the_whole_way("engineering-projects", "publish-project-with-attachments").await;
}

#[tokio::test]
async fn what_somebody_deleted_by_hand_comes_back_only_after_a_withdrawal() {
    let started = practice().await;
    for (platform, case) in [
        ("integrity-portal", "publish-with-attachments"),
        ("engineering-projects", "publish-project-with-attachments"),
    ] {
        let mut trial = Trial::new(&started, platform, case);
        trial.does(Operation::Publish, None).await;
        let id = trial.shows_the_record().await;
        trial.is_deleted_by_hand(&id).await;
        trial.record.version = 2;
        let (verdict, shown) = trial.run(Operation::Update, Some(&id)).await;
        assert_eq!(verdict, "reject", "{shown:#}");
        assert_eq!(trial.visible().await, [json!(null); 0]);
        trial.does(Operation::Withdraw, Some(&id)).await;
        trial.does(Operation::Publish, None).await;
        assert_ne!(trial.shows_the_record().await, id);
    }
}

#[tokio::test]
async fn a_repeated_create_is_recognised_where_the_platform_can() {
    let started = practice().await;
    for (platform, case, verdict) in [
        ("gov-info", "publish-with-attachment", "ok"),
        (
            "engineering-projects",
            "publish-project-with-attachments",
            "duplicate",
        ),
    ] {
        let trial = Trial::new(&started, platform, case);
        trial.does(Operation::Publish, None).await;
        let (repeated, _) = trial.run(Operation::Publish, None).await;
        assert_eq!(repeated, verdict);
        trial.shows_the_record().await;
    }
}

#[tokio::test]
async fn an_article_whose_attachments_did_not_arrive_is_not_found_as_this_version() {
    let started = practice().await;
    let mut trial = Trial::new(&started, "integrity-portal", "publish-with-attachments");
    let whole = trial.record.clone();
    // The first file arrives, the second is refused: the portal takes no such name.
    trial.record.content.attachments[1].name = "a/b.pdf".to_owned();
    let (verdict, shown) = trial.run(Operation::Publish, None).await;
    assert_eq!(verdict, "reject", "{shown:#}");
    trial.record = whole;
    let found = trial.does(Operation::LookUp, None).await;
    let captured = &found["exchanges"][0]["captured"];
    let id = captured["remote_id"].as_str().expect("found").to_owned();
    assert!(captured.get("remote_version").is_none(), "{captured}");
    trial.does(Operation::Update, Some(&id)).await;
    assert_eq!(trial.shows_the_record().await, id);
}
