//! The main job on the sample entries, judged by `tests/samples/expected.json`.

use crate::hub::{ALL, Hub, Platforms, SYNCHUB, eventually, project, samples};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn expected() -> Value {
    let text =
        std::fs::read_to_string(project().join("tests/samples/expected.json")).expect("readable");
    serde_json::from_str(&text).expect("JSON")
}

/// What must become of each record in the end: the expectation of its highest revision.
fn final_expectations() -> BTreeMap<String, Value> {
    let mut by_source_id: BTreeMap<String, Value> = BTreeMap::new();
    for (_, one) in expected().as_object().expect("an object") {
        let source_id = one["source_id"].as_str().expect("text").to_owned();
        let is_newer = by_source_id
            .get(&source_id)
            .is_none_or(|known| known["revision"].as_i64() < one["revision"].as_i64());
        if is_newer {
            by_source_id.insert(source_id, one.clone());
        }
    }
    by_source_id
}

#[test]
fn the_demo_shows_every_sample_where_it_belongs() {
    let output = Command::new(SYNCHUB)
        .args(["demo", "--once", "--json"])
        .current_dir(project())
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{errors}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let table: Value = serde_json::from_slice(&output.stdout).expect("JSON on standard output");
    assert_eq!(table["ok"], true);
    assert_eq!(table["problems"], serde_json::json!([]));
    let records = table["records"].as_array().expect("a list");
    let expectations = final_expectations();
    assert_eq!(records.len(), expectations.len());
    for record in records {
        let expected = &expectations[record["source_id"].as_str().expect("text")];
        let showing: BTreeSet<&str> = record["platforms"]
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(_, on)| on["objects"] == 1)
            .map(|(platform, _)| platform.as_str())
            .collect();
        let wanted: BTreeSet<&str> = expected["platforms"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(showing, wanted, "{record:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_comes_out_as_expected_when_posted_in_order() {
    let hub = Hub::start(&[]);
    let expected = expected();
    for (name, body) in samples() {
        let expected = &expected[format!("native/{name}")];
        let (status, answer) = hub.post(body).await;
        assert_eq!(status, 202, "{name}: {answer:#}");
        let holds: Vec<&str> = answer["holds"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|it| it["code"].as_str())
            .collect();
        match expected["hold"].as_str() {
            Some(code) => assert!(holds.contains(&code), "{name}: {holds:?}"),
            None => assert!(holds.is_empty(), "{name}: {:#}", answer["holds"]),
        }
        for hold in answer["holds"].as_array().expect("a list") {
            let detail = hold["detail"].as_str().expect("text");
            let is_chinese = detail
                .chars()
                .any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
            assert!(is_chinese, "{name}: {detail}");
        }
        let routed: BTreeSet<&str> = expected["routed"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if expected["action"] == "publish" {
            let deliveries: BTreeSet<&str> = answer["deliveries"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|it| it["platform"].as_str())
                .collect();
            assert_eq!(deliveries, routed, "{name}");
        }
        let id = answer["record_id"].as_str().expect("text");
        let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
        for key in ["doc_no", "written_on"] {
            assert_eq!(
                record["document"][key], expected["canonical"][key],
                "{name} {key}"
            );
        }
        assert_eq!(
            record["document"]["unit"]["name"], expected["canonical"]["unit"],
            "{name}"
        );
        assert_eq!(record["document"]["area"], expected["area"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posting_every_sample_twice_at_once_from_16_clients_leaves_one_object_each() {
    let platforms = Platforms::start(&["--review-ms", "100"]);
    let hub = Hub::start(&platforms.environment);
    let bodies: Vec<Vec<u8>> = samples().into_iter().map(|(_, body)| body).collect();
    let work: Vec<Vec<u8>> = bodies.iter().chain(&bodies).cloned().collect();
    let clients = work.chunks(work.len().div_ceil(16)).map(async |chunk| {
        for body in chunk {
            let (status, answer) = hub.post(body.clone()).await;
            // A revision may be overtaken by its correction, which came first.
            assert!(matches!(status, 200 | 202 | 409), "{status} {answer:#}");
        }
    });
    futures_util::future::join_all(clients).await;

    let expectations = final_expectations();
    for platform in ALL {
        let wanted: BTreeSet<&str> = expectations
            .iter()
            .filter(|(_, it)| {
                it["platforms"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|on| on == platform)
            })
            .map(|(source_id, _)| source_id.as_str())
            .collect();
        eventually(|| async {
            let (_, page) = hub.get("/v1/records?limit=200").await;
            let ids: BTreeMap<&str, &Value> = page["items"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|it| Some((it["id"].as_str()?, it)))
                .collect();
            let articles = platforms.articles(platform).await;
            let mut shown: Vec<&str> = Vec::new();
            for article in &articles {
                let record = ids[article["record_id"].as_str().expect("text")];
                if article["version"] != record["version"] {
                    return Err(format!(
                        "{platform} shows an old version of {}",
                        record["source_id"]
                    ));
                }
                shown.push(record["source_id"].as_str().expect("text"));
            }
            shown.sort_unstable();
            let wanted: Vec<&str> = wanted.iter().copied().collect();
            if shown == wanted {
                Ok(())
            } else {
                Err(format!("{platform}: {shown:?} instead of {wanted:?}"))
            }
        })
        .await;
    }
}
