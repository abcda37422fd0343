//! What the OA is told: precise answers, nothing half-stored, nobody's door but one's own.

use crate::hub::{Hub, client, sample};
use reqwest::Method;
use serde_json::{Value, json};

const POST: Method = Method::POST;

fn entry(source_id: &str) -> Value {
    let mut submission = sample("10-A4-choujian-gonggao.json");
    submission["source_id"] = json!(source_id);
    submission
}

async fn records(hub: &Hub) -> usize {
    let (_, page) = hub.get("/v1/records?limit=200").await;
    page["items"].as_array().expect("a list").len()
}

fn with(pointer: &str, value: Value) -> Vec<u8> {
    let mut submission = entry("OA-BAD");
    match submission.pointer_mut(pointer) {
        Some(field) => *field = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            submission.pointer_mut(parent).expect("a parent")[key] = value;
        }
    }
    submission.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_a_pointer_and_a_sentence_and_leaves_nothing_behind() {
    let hub = Hub::start(&[]);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let mut nested = json!(1);
    for _ in 0..60 {
        nested = json!({"a": nested});
    }
    let project = json!({"code": "440200MB9Y0037420140007", "name": "n", "group": "P1", "fields": {"a": nested}});
    let bomb = format!("{}x", "<div>".repeat(100_000));
    let unclosed = "<b><a href='x'>".repeat(100_000);
    let mut not_utf8 = entry("OA-BAD").to_string().into_bytes();
    not_utf8[40] = 0xff;
    let nul = entry("OA-BAD")
        .to_string()
        .replace("食品安全", "食品\\u0000安全")
        .into_bytes();
    let big = with("/entry/body/content", json!("文".repeat(7 << 20)));
    assert!(big.len() > 20 << 20);
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        (
            "wrong type",
            with("/entry/title", json!(7)),
            422,
            "/entry/title",
        ),
        (
            "wrong type of a list",
            with("/entry/keywords", json!("x")),
            422,
            "/entry/keywords",
        ),
        (
            "unknown field",
            with("/entry/titel", json!("x")),
            422,
            "/entry/titel",
        ),
        ("unknown top field", with("/mode", json!("x")), 422, "/mode"),
        (
            "empty title",
            with("/entry/title", json!("  ")),
            422,
            "/entry/title",
        ),
        (
            "title too long",
            with("/entry/title", json!("题".repeat(201))),
            422,
            "/entry/title",
        ),
        (
            "unknown unit",
            with("/entry/unit", json!("市财神局")),
            422,
            "/entry/unit",
        ),
        (
            "unknown area",
            with("/entry/area", json!("外星事务")),
            422,
            "/entry/area",
        ),
        (
            "impossible date",
            with("/entry/written_on", json!("2014-02-30")),
            422,
            "/entry/written_on",
        ),
        (
            "future revision",
            with("/revision", json!(99)),
            422,
            "/revision",
        ),
        (
            "revision zero",
            with("/revision", json!(0)),
            422,
            "/revision",
        ),
        (
            "fractional revision",
            with("/revision", json!(1.5)),
            422,
            "/revision",
        ),
        (
            "unknown action",
            with("/action", json!("delete")),
            422,
            "/action",
        ),
        (
            "bad base64",
            with(
                "/entry/attachments",
                json!([{"name": "a.txt", "content_base64": "***"}]),
            ),
            422,
            "/entry/attachments/0/content_base64",
        ),
        (
            "HTML bomb",
            with("/entry/body", json!({"format": "html", "content": bomb})),
            422,
            "/entry/body/content",
        ),
        (
            "unclosed HTML",
            with(
                "/entry/body",
                json!({"format": "html", "content": unclosed}),
            ),
            422,
            "/entry/body/content",
        ),
        ("NUL", nul, 422, "/entry/title"),
        (
            "deep fields",
            with("/entry/project", project),
            400,
            "/entry/project/fields",
        ),
        ("not UTF-8", not_utf8, 400, ""),
        ("deep nesting", deep.into_bytes(), 400, ""),
        ("not JSON", b"<xml/>".to_vec(), 400, ""),
        ("nothing", Vec::new(), 400, ""),
        ("20 MB", big, 413, ""),
    ];
    for (name, body, status, pointer) in cases {
        let (got, problem) = hub.post(body).await;
        assert_eq!(got, status, "{name}: {problem:#}");
        assert_eq!(problem["status"], status, "{name}");
        let errors = problem["errors"].as_array().expect("a list");
        let found = errors.iter().find(|it| {
            it["pointer"]
                .as_str()
                .is_some_and(|it| it.starts_with(pointer))
        });
        let error = found.unwrap_or_else(|| panic!("{name}: no error at {pointer}: {problem:#}"));
        let detail = error["detail"].as_str().expect("text");
        assert!(
            detail
                .chars()
                .any(|it| ('\u{4e00}'..='\u{9fff}').contains(&it)),
            "{name}: {detail}"
        );
        assert!(
            problem["type"]
                .as_str()
                .is_some_and(|it| it.starts_with("urn:synchub:problem:")),
            "{name}"
        );
    }
    assert_eq!(records(&hub).await, 0, "nothing is half-stored");
    let (_, unknown) = hub.post(with("/entry/unit", json!("市财证局"))).await;
    let detail = unknown["errors"][0]["detail"].as_str().expect("text");
    assert!(detail.contains("财政局"), "names the nearest: {detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_wrong_fields_are_told_at_once() {
    let hub = Hub::start(&[]);
    let mut submission = entry("OA-1");
    submission["entry"]["unit"] = json!("无此单位");
    submission["entry"]["written_on"] = json!("昨天");
    let (status, problem) = hub.post(submission.to_string()).await;
    assert_eq!(status, 422);
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["pointer"].as_str())
        .collect();
    assert_eq!(pointers, ["/entry/unit", "/entry/written_on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_changes_nothing_and_revisions_only_go_forward() {
    let hub = Hub::start(&[]);
    let first = entry("OA-1");
    let (status, answer) = hub.post(first.to_string()).await;
    assert_eq!((status, answer["version"].as_i64()), (202, Some(1)));
    let (status, again) = hub.post(first.to_string()).await;
    assert_eq!((status, again["changed"].as_bool()), (200, Some(false)));
    assert_eq!(again["record_id"], answer["record_id"]);

    let mut other = first.clone();
    other["entry"]["title"] = json!("另一个标题");
    let (status, problem) = hub.post(other.to_string()).await;
    assert_eq!(
        (status, problem["errors"][0]["code"].as_str()),
        (409, Some("revision_reused"))
    );

    other["revision"] = json!(2);
    let (status, answer) = hub.post(other.to_string()).await;
    assert_eq!((status, answer["version"].as_i64()), (202, Some(2)));
    let (status, problem) = hub.post(first.to_string()).await;
    assert_eq!(
        (status, problem["errors"][0]["code"].as_str()),
        (409, Some("older_revision"))
    );
    assert_eq!(problem["revision"], 2);

    let id = answer["record_id"].as_str().expect("text");
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    assert_eq!(record["versions"].as_array().expect("a list").len(), 2);
    assert_eq!(record["document"]["title"], "另一个标题");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_answers_the_same_and_is_bound_to_its_body() {
    let hub = Hub::start(&[]);
    let post = async |body: String| {
        let answer = client()
            .post(format!("{}/v1/submissions", hub.url))
            .bearer_auth(&hub.oa_key)
            .header("idempotency-key", "k-1")
            .body(body)
            .send()
            .await
            .expect("answers");
        (
            answer.status().as_u16(),
            answer.text().await.expect("a body"),
        )
    };
    let (status, _) = post(entry("OA-1").to_string()).await;
    assert_eq!(status, 202);
    let (status, _) = post(entry("OA-1").to_string()).await;
    assert_eq!(status, 200);
    let (status, text) = post(entry("OA-2").to_string()).await;
    assert_eq!(status, 422, "{text}");
    assert!(text.contains("idempotency-key-reused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_of_something_never_seen_is_told_so() {
    let hub = Hub::start(&[]);
    let withdrawal =
        json!({"source_id": "OA-NONE", "revision": 1, "action": "withdraw", "reason": "错发"});
    let (status, problem) = hub.post(withdrawal.to_string()).await;
    assert_eq!(
        (status, problem["errors"][0]["pointer"].as_str()),
        (404, Some("/source_id"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_without_a_key_and_an_account_stays_within_its_units() {
    let hub = Hub::start(&[]);
    for path in [
        "/v1/records",
        "/v1/platforms",
        "/v1/failures",
        "/v1/deliveries/x",
        "/v1/replays/x",
    ] {
        let (status, problem) = hub.call("shk_wrong", Method::GET, path, "").await;
        assert_eq!(status, 401, "{path}: {problem:#}");
        let bare = client()
            .get(format!("{}{path}", hub.url))
            .send()
            .await
            .expect("answers");
        assert_eq!(bare.status(), 401, "{path}");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/metrics"] {
        let open = client()
            .get(format!("{}{path}", hub.url))
            .send()
            .await
            .expect("answers");
        assert_eq!(open.status(), 200, "{path}");
    }

    let finance = hub.account(&["finance", "--source", "fin", "--unit", "市财政局"]);
    let (status, problem) = hub
        .call(&finance, POST, "/v1/submissions", entry("X-1").to_string())
        .await;
    assert_eq!(status, 403, "{problem:#}");
    let mut own = sample("04-A2-sangong-2014-r1.json");
    own["source_id"] = json!("X-2");
    let (status, answer) = hub
        .call(&finance, POST, "/v1/submissions", own.to_string())
        .await;
    assert_eq!(status, 202, "{answer:#}");
    for path in ["/v1/platforms", "/v1/failures"] {
        let (status, _) = hub.call(&finance, Method::GET, path, "").await;
        assert_eq!(status, 403, "{path}");
    }
    let release = format!(
        "/v1/records/{}/release",
        answer["record_id"].as_str().expect("text")
    );
    let (status, _) = hub
        .call(&finance, POST, &release, json!({"reason": "x"}).to_string())
        .await;
    assert_eq!(status, 403);

    // What another source sent is not there for it.
    let theirs = hub.submit(&entry("OA-1")).await;
    let path = format!(
        "/v1/records/{}",
        theirs["record_id"].as_str().expect("text")
    );
    let (status, _) = hub.call(&finance, Method::GET, &path, "").await;
    assert_eq!(status, 404);
    let (_, list) = hub.call(&finance, Method::GET, "/v1/records", "").await;
    assert_eq!(list["items"].as_array().expect("a list").len(), 1);

    hub.cli_json(&["account", "revoke", "finance"]);
    crate::hub::eventually(|| async {
        match hub.call(&finance, Method::GET, "/v1/records", "").await.0 {
            401 => Ok(()),
            status => Err(format!("still {status}")),
        }
    })
    .await;
    let database = hub.backend().database().stored_accounts();
    assert!(!database.is_empty());
    let key = finance.as_bytes();
    assert!(
        !database.windows(key.len()).any(|it| it == key),
        "keys are stored hashed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_line_by_line_in_order() {
    let hub = Hub::start(&[]);
    let mut correction = entry("B-1");
    correction["revision"] = json!(2);
    correction["entry"]["title"] = json!("更正后的标题");
    let lines = [
        entry("B-1").to_string(),
        correction.to_string(),
        String::new(),
        "{oops".to_owned(),
        entry("B-1").to_string(),
        with("/entry/unit", json!("无此单位"))
            .iter()
            .map(|it| *it as char)
            .collect(),
        entry("B-2").to_string(),
    ];
    let path = "/v1/submissions/batch";
    let (status, text) = hub.call(&hub.oa_key, POST, path, lines.join("\n")).await;
    assert_eq!(status, 200);
    let results: Vec<Value> = text
        .as_str()
        .expect("NDJSON")
        .lines()
        .map(|it| serde_json::from_str(it).expect("JSON"))
        .collect();
    let statuses: Vec<i64> = results
        .iter()
        .filter_map(|it| it["status"].as_i64())
        .collect();
    assert_eq!(statuses, [202, 202, 400, 409, 422, 202], "{results:#?}");
    assert_eq!(results[1]["answer"]["version"], 2);
    assert_eq!(results[4]["line"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_of_a_held_record_is_masked_wherever_it_is_shown() {
    let hub = Hub::start(&[]);
    let answer = hub.submit(&sample("09-A3-held-peizu-mingdan.json")).await;
    let id = answer["record_id"].as_str().expect("text");
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    let trace = hub.cli(&["trace", id, "--json"]);
    let card = regex::Regex::new(r"\d{17}[0-9Xx]").expect("a pattern");
    let mobile = regex::Regex::new(r"(^|\D)1[3-9]\d{9}(\D|$)").expect("a pattern");
    for shown in [
        answer.to_string(),
        record.to_string(),
        String::from_utf8_lossy(&trace.stdout).into_owned(),
        hub.log(),
    ] {
        assert_eq!(card.find(&shown).map(|it| it.as_str()), None);
        assert_eq!(mobile.find(&shown).map(|it| it.as_str()), None);
    }
    assert!(
        record.to_string().contains("****"),
        "something was there to be masked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_route_and_the_schemas_that_are_validated_with() {
    let hub = Hub::start(&[]);
    let answer = client()
        .get(format!("{}/openapi.json", hub.url))
        .send()
        .await
        .expect("answers");
    let description: Value =
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    assert!(
        description["openapi"]
            .as_str()
            .is_some_and(|it| it.starts_with("3.1"))
    );
    let paths = description["paths"].as_object().expect("an object");
    for path in [
        "/v1/submissions",
        "/v1/submissions/batch",
        "/v1/records",
        "/v1/records/{id}",
        "/v1/records/{id}/withdraw",
        "/v1/records/{id}/release",
        "/v1/deliveries/{id}",
        "/v1/deliveries/{id}/done",
        "/v1/deliveries/{id}/give-up",
        "/v1/deliveries/{id}/undo",
        "/v1/deliveries/{id}/override",
        "/v1/failures",
        "/v1/replays",
        "/v1/replays/{id}",
        "/v1/replays/{id}/items",
        "/v1/replays/{id}/pause",
        "/v1/replays/{id}/resume",
        "/v1/replays/{id}/cancel",
        "/v1/platforms",
        "/v1/screening/rescan",
        "/v1/platforms/{id}/pause",
        "/v1/platforms/{id}/resume",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    let text =
        std::fs::read_to_string(crate::hub::project().join("schemas/submission.schema.json"))
            .expect("readable");
    // There it is named by its place, and its references reach it there.
    let text = text.replace("\"#/$defs/", "\"#/components/schemas/Submission/$defs/");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    let fields = schema.as_object_mut().expect("an object");
    fields.retain(|name, _| !matches!(name.as_str(), "$schema" | "$id"));
    assert_eq!(description["components"]["schemas"]["Submission"], schema);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_methods_and_parameters_are_problems_too() {
    let hub = Hub::start(&[]);
    for (method, path, status) in [
        (Method::GET, "/v1/nothing", 404),
        (Method::GET, "/v1/verifications?x=1", 400),
        (Method::GET, "/v1/records/%FF", 400),
        (Method::DELETE, "/v1/submissions", 405),
        (Method::GET, "/v1/records?unitt=x", 400),
        (Method::GET, "/v1/records?limit=9999", 400),
        (Method::GET, "/v1/records?from=gestern", 400),
        (Method::GET, "/v1/records?state=lost", 400),
        (Method::GET, "/v1/records/none", 404),
    ] {
        let (got, problem) = hub.call(&hub.operator_key, method.clone(), path, "").await;
        assert_eq!(got, status, "{method} {path}: {problem:#}");
        assert!(problem["detail"].is_string(), "{method} {path}");
    }
}
