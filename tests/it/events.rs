//! What others hear: a real hub, a real broker, and a listener that shares no code with the hub
//! (Python's `pika`).

mod link;
mod listener;

use crate::hub::{ALL, Hub, Platforms, entry_for_all, eventually, sample};
use link::Link;
use listener::{Heard, Listener, broker_url};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An exchange of the test's own, so that tests beside it are not heard.
struct Exchange {
    name: String,
}

impl Exchange {
    fn new() -> Self {
        Self {
            name: format!("synchub-t-{}.events", uuid::Uuid::now_v7().simple()),
        }
    }

    /// The settings of a hub that tells its events to the broker at `url`.
    fn settings(&self, url: &str) -> Vec<(String, String)> {
        [
            ("URL", url),
            ("EXCHANGE", &self.name),
            ("SOURCE", "/test"),
            ("LEASE_MS", "1500"),
            ("POLL_MS", "20"),
        ]
        .map(|(key, value)| (format!("SYNCHUB__EVENTS__{key}"), value.to_owned()))
        .to_vec()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        listener::delete_exchange(&self.name);
    }
}

fn start_hub(platforms: &Platforms, exchange: &Exchange, url: &str) -> Hub {
    Hub::start(&[platforms.environment.clone(), exchange.settings(url)].concat())
}

fn id_of(answer: &Value) -> String {
    answer["record_id"].as_str().expect("text").to_owned()
}

/// Waits until at least `count` events of a kind were heard of a record.
async fn wait_for(listener: &Listener, record_id: &str, kind: &str, count: usize) -> Vec<Heard> {
    eventually(|| async {
        let heard: Vec<Heard> = listener
            .heard()
            .into_iter()
            .filter(|it| it.event["subject"] == record_id && it.kind() == kind)
            .collect();
        if heard.len() >= count {
            Ok(heard)
        } else {
            Err(format!("{} of {count} {kind}", heard.len()))
        }
    })
    .await
}

/// Asserts that an event is what CloudEvents 1.0 asks of one, and that the broker says the same.
fn assert_cloud_event(heard: &Heard) {
    let event = &heard.event;
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        heard.content_type,
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(heard.delivery_mode, 2, "persistent");
    assert_eq!(text("specversion"), "1.0");
    assert_eq!(text("source"), "/test");
    assert_eq!(text("datacontenttype"), "application/json");
    assert_eq!(heard.message_id, text("id"));
    assert_eq!(heard.type_, text("type"));
    assert_eq!(text("type"), format!("cn.synchub.record.{}", heard.kind()));
    assert_eq!(event["subject"], event["data"]["record_id"]);
    let time: Result<jiff::Timestamp, _> = text("time").parse();
    assert!(time.is_ok(), "{event}");
    for name in event.as_object().expect("an object").keys() {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        assert!(name.chars().all(plain), "attribute {name}");
    }
    let words: Vec<&str> = heard.key.split('.').collect();
    let data = &event["data"];
    assert_eq!(words.len(), 4, "{}", heard.key);
    assert_eq!(words[0], data["division"]);
    assert_eq!(words[1], data["area"].as_str().unwrap_or("none"));
    assert_eq!(words[2], data["unit"]);
}

/// Asserts that the numbers are 1, 2, 3 … and that a repeated number is the same event.
fn assert_gap_free(heard: &[Heard]) {
    let mut by_number: BTreeMap<i64, &Value> = BTreeMap::new();
    for it in heard {
        let first = by_number.entry(it.sequence()).or_insert(&it.event);
        assert_eq!(**first, it.event, "one number, one event");
    }
    let numbers: Vec<i64> = by_number.keys().copied().collect();
    let expected: Vec<i64> = (1..=by_number.len() as i64).collect();
    assert_eq!(numbers, expected);
    let ids: BTreeSet<&str> = by_number
        .values()
        .map(|event| event["id"].as_str().expect("text"))
        .collect();
    assert_eq!(ids.len(), by_number.len(), "one event, one id");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ; `tests/run rabbitmq` provides it"]
async fn the_life_of_a_record_is_heard_over_rabbitmq() {
    let url = broker_url();
    let exchange = Exchange::new();
    let listener = Listener::start(&url, &exchange.name, &["#"]);
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = start_hub(&platforms, &exchange, &url);

    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    wait_for(&listener, &id, "confirmed", ALL.len()).await;
    let delivered = wait_for(&listener, &id, "delivered", ALL.len()).await;
    let told: BTreeSet<&str> = delivered
        .iter()
        .filter_map(|it| it.event["data"]["platform"].as_str())
        .collect();
    assert_eq!(told, BTreeSet::from(ALL));
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    for it in &delivered {
        let data = &it.event["data"];
        let delivery = record["deliveries"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|delivery| delivery["platform"] == data["platform"])
            .expect("its delivery");
        assert_eq!(delivery["id"], data["delivery_id"]);
        assert_eq!(delivery["remote_url"], data["url"]);
        assert!(data["url"].as_str().expect("text").starts_with("http"));
    }

    hub.submit(&entry_for_all("OA-1", 2)).await;
    let updated = wait_for(&listener, &id, "updated", 1).await;
    assert_eq!(updated[0].event["data"]["version"], 2);
    assert_eq!(updated[0].event["data"]["title"], "中标结果公告 OA-1 第2次");
    let reason = json!({"reason": "错发"});
    hub.operate(&format!("/v1/records/{id}/withdraw"), reason)
        .await;
    wait_for(&listener, &id, "withdrawn", 1).await;

    let heard = listener.heard();
    heard.iter().for_each(assert_cloud_event);
    assert_gap_free(&heard);
    let published = heard.iter().filter(|it| it.kind() == "published").count();
    assert_eq!(published, 1, "nothing is said twice without need");
    let body = format!("{heard:?}");
    assert!(!body.contains("正文"), "no bodies: {body}");
    assert!(hub.log().contains("publishes the events"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ; `tests/run rabbitmq` provides it"]
async fn holds_and_failures_are_heard_over_rabbitmq_without_what_must_not_be_said() {
    let url = broker_url();
    let exchange = Exchange::new();
    let failures = Listener::start(&url, &exchange.name, &["*.*.*.failed"]);
    let listener = Listener::start(&url, &exchange.name, &["440200.#"]);
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = start_hub(&platforms, &exchange, &url);

    let secret = sample("07-A2-held-mimi.json");
    let held = id_of(&hub.submit(&secret).await);
    let heard = wait_for(&listener, &held, "held", 1).await;
    assert_cloud_event(&heard[0]);
    assert_eq!(heard[0].event["data"]["holds"], json!(["secrecy"]));
    let title = secret["entry"]["title"].as_str().expect("text");
    let said = heard[0].event.to_string();
    assert!(!said.contains(title), "{said}");
    assert!(heard[0].event["data"].get("doc_no").is_none(), "{said}");

    let how = json!({"mode": "garbage_unsaved", "times": null});
    platforms.misbehave(ALL[0], how).await;
    let id = id_of(&hub.submit(&entry_for_all("OA-2", 1)).await);
    let heard = wait_for(&failures, &id, "failed", 1).await;
    assert_cloud_event(&heard[0]);
    let data = &heard[0].event["data"];
    assert_eq!(data["platform"], ALL[0]);
    let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
    let delivery = record["deliveries"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["platform"] == ALL[0])
        .expect("its delivery");
    assert_eq!(data["failure"]["class"], delivery["failure"]["class"]);
    assert_eq!(data["failure"]["code"], delivery["failure"]["code"]);
    let others = failures.heard();
    assert!(others.iter().all(|it| it.kind() == "failed"), "{others:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ; `tests/run rabbitmq` provides it"]
async fn no_event_is_lost_when_rabbitmq_goes_away_or_the_hub_is_killed() {
    const ENTRIES: usize = 200;
    let url = broker_url();
    let exchange = Exchange::new();
    let listener = Listener::start(&url, &exchange.name, &["#"]);
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let link = Link::to(&url).await;
    let mut hub = start_hub(&platforms, &exchange, &link.url);
    let mut ids = BTreeSet::new();
    for number in 0..ENTRIES {
        match number {
            40 => link.cut(),
            80 => link.mend(),
            // The end of the process comes at any moment of its work with the broker.
            120 | 160 => {
                hub.kill();
                hub.run();
            }
            _ => {}
        }
        let answer = hub.submit(&entry_for_all(&format!("OA-{number}"), 1)).await;
        ids.insert(id_of(&answer));
    }
    link.cut();
    link.mend();
    for kind in ["published", "delivered"] {
        let each = if kind == "published" { 1 } else { ALL.len() };
        eventually(|| async {
            let told: BTreeSet<String> = listener
                .heard()
                .iter()
                .filter(|it| it.kind() == kind)
                .map(|it| format!("{} {}", it.event["subject"], it.event["data"]["platform"]))
                .collect();
            if told.len() == ENTRIES * each {
                Ok(())
            } else {
                Err(format!("{} of {} {kind}", told.len(), ENTRIES * each))
            }
        })
        .await;
    }
    assert!(hub.terminate(), "it ends well");
    assert_gap_free(&listener.heard());
    for it in listener.heard() {
        assert!(ids.contains(it.event["subject"].as_str().expect("text")));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ; `tests/run rabbitmq` provides it"]
async fn what_an_operator_does_by_hand_is_heard_over_rabbitmq() {
    let url = broker_url();
    let exchange = Exchange::new();
    let listener = Listener::start(&url, &exchange.name, &["#"]);
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = start_hub(&platforms, &exchange, &url);
    let mut long = entry_for_all("OA-1", 1);
    long["entry"]["title"] = json!("题".repeat(130));
    let id = id_of(&hub.submit(&long).await);
    let told = async |kind: &str, count: usize| {
        eventually(|| async {
            let heard: Vec<Value> = listener
                .heard()
                .into_iter()
                .filter(|it| it.kind() == kind && it.event["data"]["platform"] == ALL[0])
                .map(|it| it.event["data"].clone())
                .collect();
            match heard.len() == count {
                true => Ok(heard[count - 1].clone()),
                false => Err(format!("{} of {count} {kind}", heard.len())),
            }
        })
        .await
    };
    let by_the_hub = told("failed", 1).await;
    assert!(by_the_hub.get("by").is_none(), "{by_the_hub:#}");
    // The command line tells as well: it writes to the same outbox.
    let on = [
        "OA-1",
        "--on",
        ALL[0],
        "--reason",
        "平台停用，见 13800138000",
    ];
    hub.cli_json(&[&["give-up"], &on[..]].concat());
    let given_up = told("failed", 2).await;
    assert_eq!(
        (&given_up["by"], &given_up["record_id"]),
        (&json!("hand"), &json!(id))
    );
    let failure = &given_up["failure"];
    assert_eq!(failure["class"], "given_up");
    let reason = failure["reason"].as_str().expect("text");
    assert!(
        reason.starts_with("平台停用") && !reason.contains("13800138000"),
        "{reason}"
    );
    hub.cli_json(&[&["undo"], &on[..]].concat());
    let undone = told("failed", 3).await;
    assert_eq!(undone["failure"]["class"], by_the_hub["failure"]["class"]);
    let delivery = undone["delivery_id"].as_str().expect("text");
    let path = format!("/v1/deliveries/{delivery}/done");
    let (code, answer) = hub.operate(&path, json!({"evidence": "截图17"})).await;
    assert_eq!(code, 200, "{answer:#}");
    assert_eq!(told("delivered", 1).await["by"], "hand");
    let shorter = [
        "override",
        "OA-1",
        "--on",
        ALL[0],
        "--field",
        "/title",
        "--value",
        "短标题",
    ];
    hub.cli_json(&[&shorter[..], &["--yes", "--reason", "平台限120字"]].concat());
    let updated = told("updated", 1).await;
    assert_eq!(
        (&updated["by"], &updated["version"]),
        (&json!("hand"), &json!(1))
    );
    // What the hub does then is its own work.
    assert!(told("delivered", 2).await.get("by").is_none());
    let heard = listener.heard();
    heard.iter().for_each(assert_cloud_event);
    assert_gap_free(&heard);
    let said = format!("{heard:?}");
    assert!(!said.contains("短标题") && !said.contains("截图"), "{said}");
}
