//! How an event is told: CloudEvents 1.0, structured JSON, and its routing key. Pure functions.

use super::broker::Message;
use crate::catalogue::Catalogue;
use crate::clock::rfc3339;
use crate::record::Wanted;
use crate::screen::mask;
use crate::store::{DeliveryPart, Event};
use serde::Serialize;
use std::borrow::Cow;

/// Before the kind in `type`.
const TYPE_PREFIX: &str = "cn.synchub.record.";
/// Stands for what a record does not have, in the routing key.
const NONE: &str = "none";
/// A routing key has 255 bytes at most; its four words stay far below.
const WORD_CHARS_MAX: usize = 48;
/// What a platform calls a failure is cut here.
const CODE_CHARS_MAX: usize = 80;
/// What a person gives as a reason is cut here.
const REASON_CHARS_MAX: usize = 200;
/// Who, when it was not the hub.
const BY_HAND: &str = "hand";

/// The envelope. <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    /// The extension "sequence": text that sorts like the numbers.
    sequence: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    record_id: &'a str,
    source: &'a str,
    source_id: &'a str,
    version: i64,
    revision: i64,
    division: &'a str,
    unit: &'a str,
    area: Option<&'a str>,
    column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc_no: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    holds: &'a [String],
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery<'a>>,
}

#[derive(Serialize)]
struct Delivery<'a> {
    delivery_id: &'a str,
    platform: &'a str,
    wanted: Wanted,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    class: &'a str,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Returns `event` as the broker gets it.
pub(super) fn message(event: &Event, source: &str, catalogue: &Catalogue) -> Message {
    let division = division(&event.unit, catalogue);
    let kind = format!("{TYPE_PREFIX}{}", event.kind.as_str());
    let cloud = CloudEvent {
        specversion: "1.0",
        id: &event.id,
        source,
        kind: &kind,
        subject: event.record_id.as_str(),
        time: rfc3339(event.at),
        datacontenttype: "application/json",
        sequence: format!("{:020}", event.sequence),
        data: Data {
            record_id: event.record_id.as_str(),
            source: &event.source,
            source_id: &event.source_id,
            version: event.version,
            revision: event.revision,
            division,
            unit: &event.unit,
            area: event.area.as_deref(),
            column: event.column.as_deref(),
            title: event.title.as_deref().map(mask),
            doc_no: event.doc_no.as_deref().map(mask),
            holds: &event.holds,
            delivery: event.delivery.as_ref().map(delivery),
        },
    };
    Message {
        routing_key: routing_key(event, division),
        at: u64::try_from(event.at / 1000).unwrap_or(0),
        body: serde_json::to_vec(&cloud).expect("our own types have text keys only"),
        id: event.id.clone(),
        kind,
    }
}

fn delivery(part: &DeliveryPart) -> Delivery<'_> {
    Delivery {
        delivery_id: part.id.as_str(),
        platform: &part.platform,
        wanted: part.wanted,
        url: part.url.as_deref(),
        by: part.by_hand.then_some(BY_HAND),
        failure: part.failure_class.as_deref().map(|class| Failure {
            class,
            code: masked(
                part.failure_code.as_deref().unwrap_or_default(),
                CODE_CHARS_MAX,
            ),
            reason: part
                .reason
                .as_deref()
                .map(|reason| masked(reason, REASON_CHARS_MAX)),
        }),
    }
}

fn masked(text: &str, chars_max: usize) -> String {
    mask(text).chars().take(chars_max).collect()
}

/// `<division>.<area>.<unit>.<event>`
fn routing_key(event: &Event, division: &str) -> String {
    [
        division,
        event.area.as_deref().unwrap_or_default(),
        &event.unit,
        event.kind.as_str(),
    ]
    .map(word)
    .join(".")
}

/// Returns `text` as one word of a topic: no dots, no wildcards, never empty.
fn word(text: &str) -> String {
    if text.is_empty() {
        return NONE.to_owned();
    }
    text.chars()
        .take(WORD_CHARS_MAX)
        .map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() || letter == '-' => letter,
            _ => '_',
        })
        .collect()
}

/// Returns the division of a unit as the catalogue knows it; of one that is not in it any more
/// the division that is part of its 统一社会信用代码.
fn division<'a>(unit: &'a str, catalogue: &'a Catalogue) -> &'a str {
    match catalogue.unit(unit) {
        Some(known) => &known.unit.division,
        None => unit
            .get(2..8)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EventKind;
    use serde_json::{Value, json};

    fn catalogue() -> Catalogue {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/connectors/catalogue");
        Catalogue::load(std::path::Path::new(folder)).unwrap()
    }

    fn event(kind: EventKind) -> Event {
        Event {
            id: "e-1".to_owned(),
            sequence: 42,
            kind,
            at: 1_411_000_000_500,
            record_id: "r-1".to_owned().into(),
            version: 2,
            revision: 3,
            source: "oa".to_owned(),
            source_id: "OA-1".to_owned(),
            unit: "11440200MB9Y00016F".to_owned(),
            area: Some("A2".to_owned()),
            column: Some("部门预算".to_owned()),
            title: Some("通知 440203199001011004".to_owned()),
            doc_no: Some("韶财〔2014〕1号".to_owned()),
            holds: Vec::new(),
            delivery: None,
        }
    }

    fn body(event: &Event) -> Value {
        serde_json::from_slice(&message(event, "/hub", &catalogue()).body).unwrap()
    }

    #[test]
    fn the_envelope_is_a_cloud_event_with_a_masked_title() {
        let message = message(&event(EventKind::Published), "/hub", &catalogue());
        assert_eq!(
            message.routing_key,
            "440200.A2.11440200MB9Y00016F.published"
        );
        assert_eq!(
            serde_json::from_slice::<Value>(&message.body).unwrap(),
            json!({
                "specversion": "1.0", "id": "e-1", "source": "/hub",
                "type": "cn.synchub.record.published", "subject": "r-1",
                "time": "2014-09-18T08:26:40+08:00", "datacontenttype": "application/json",
                "sequence": "00000000000000000042",
                "data": {
                    "record_id": "r-1", "source": "oa", "source_id": "OA-1", "version": 2,
                    "revision": 3, "division": "440200", "unit": "11440200MB9Y00016F",
                    "area": "A2", "column": "部门预算", "title": "通知 44*************004",
                    "doc_no": "韶财〔2014〕1号"
                }
            })
        );
    }

    #[test]
    fn a_failure_names_its_platform_class_and_a_short_masked_code() {
        let failed = Event {
            title: None,
            delivery: Some(DeliveryPart {
                id: "d-1".to_owned().into(),
                platform: "gazette".to_owned(),
                wanted: Wanted::Gone,
                url: None,
                failure_class: Some("reject".to_owned()),
                failure_code: Some(format!("13800138000{}", "x".repeat(200))),
                by_hand: false,
                reason: None,
            }),
            ..event(EventKind::Failed)
        };
        let data = &body(&failed)["data"];
        assert_eq!(data["wanted"], "gone");
        assert_eq!(data["platform"], "gazette");
        assert_eq!(data["failure"]["class"], "reject");
        let code = data["failure"]["code"].as_str().unwrap();
        assert_eq!(code.len(), CODE_CHARS_MAX);
        assert!(data.get("title").is_none() && data.get("url").is_none());
    }

    #[test]
    fn what_a_person_decided_says_so_and_gives_a_masked_reason() {
        let given_up = Event {
            delivery: Some(DeliveryPart {
                id: "d-1".to_owned().into(),
                platform: "gazette".to_owned(),
                wanted: Wanted::Shown,
                url: None,
                failure_class: Some("given_up".to_owned()),
                failure_code: Some(String::new()),
                by_hand: true,
                reason: Some(format!("请联系 13800138000 {}", "长".repeat(300))),
            }),
            ..event(EventKind::Failed)
        };
        let data = &body(&given_up)["data"];
        assert_eq!(
            (&data["by"], &data["failure"]["class"]),
            (&json!("hand"), &json!("given_up"))
        );
        let reason = data["failure"]["reason"].as_str().unwrap();
        assert_eq!(reason.chars().count(), REASON_CHARS_MAX);
        assert!(
            reason.starts_with("请联系 1") && !reason.contains("13800138000"),
            "{reason}"
        );
    }

    #[test]
    fn a_key_has_four_words_whatever_the_record_says() {
        let cases = [
            (
                "11440281007000000X",
                None,
                "440281.none.11440281007000000X.held",
            ),
            ("x.#", Some("重点*"), "none.___.x__.held"),
            ("", Some(""), "none.none.none.held"),
        ];
        for (unit, area, key) in cases {
            let held = Event {
                unit: unit.to_owned(),
                area: area.map(str::to_owned),
                ..event(EventKind::Held)
            };
            let message = message(&held, "/hub", &catalogue());
            assert_eq!(message.routing_key, key);
        }
    }
}
