//! Platforms that misbehave: each record is shown once, in its newest version, in the end.

use crate::hub::{
    ALL, Hub, Platforms, entry_for_all, eventually, shows_nothing, shows_once, state_on,
};
use serde_json::{Value, json};

fn id_of(answer: &Value) -> String {
    answer["record_id"].as_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_replaces_and_a_withdrawal_removes_on_all_platforms() {
    let platforms = Platforms::start(&["--review-ms", "50"]);
    let hub = Hub::start(&platforms.environment);
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    for platform in ALL {
        shows_once(&platforms, platform, &id, 1).await;
    }
    hub.submit(&entry_for_all("OA-1", 2)).await;
    for platform in ALL {
        shows_once(&platforms, platform, &id, 2).await;
    }
    let withdrawal =
        json!({"source_id": "OA-1", "revision": 3, "action": "withdraw", "reason": "内容有误"});
    hub.submit(&withdrawal).await;
    for platform in ALL {
        shows_nothing(&platforms, platform, &id).await;
    }
    let record = hub.settled(&id).await;
    for platform in ALL {
        assert_eq!(state_on(&record, platform), "withdrawn");
    }
    hub.submit(&entry_for_all("OA-1", 4)).await;
    for platform in ALL {
        shows_once(&platforms, platform, &id, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_platform_does_each_record_is_shown_once() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    for (number, mode) in [
        "error_500",
        "too_many",
        "slow",
        "drop_after_save",
        "garbage",
        "truncated",
        "expired_session",
        "maintenance",
    ]
    .into_iter()
    .enumerate()
    {
        for platform in ALL {
            platforms
                .misbehave(platform, json!({"mode": mode, "times": 1, "ms": 200}))
                .await;
        }
        let id = id_of(&hub.submit(&entry_for_all(&format!("OA-{number}"), 1)).await);
        for platform in ALL {
            shows_once(&platforms, platform, &id, 1).await;
        }
        let record = hub.settled(&id).await;
        for platform in ALL {
            let state = state_on(&record, platform);
            assert!(
                ["delivered", "confirmed"].contains(&state),
                "{mode} {platform}: {state}"
            );
        }
        for platform in ALL {
            platforms.behave(platform).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_correction_or_a_withdrawal_does_no_harm() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    for platform in ALL {
        shows_once(&platforms, platform, &id, 1).await;
        platforms
            .misbehave(platform, json!({"mode": "drop_after_save", "times": 1}))
            .await;
    }
    hub.settled(&id).await;
    hub.submit(&entry_for_all("OA-1", 2)).await;
    for platform in ALL {
        shows_once(&platforms, platform, &id, 2).await;
    }
    hub.settled(&id).await;
    for platform in ALL {
        platforms
            .misbehave(platform, json!({"mode": "drop_after_save", "times": 1}))
            .await;
    }
    let (status, _) = hub
        .operate(
            &format!("/v1/records/{id}/withdraw"),
            json!({"reason": "错发"}),
        )
        .await;
    assert_eq!(status, 202);
    for platform in ALL {
        shows_nothing(&platforms, platform, &id).await;
    }
    let record = hub.settled(&id).await;
    for platform in ALL {
        assert_eq!(state_on(&record, platform), "withdrawn", "{platform}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_understands_waits_for_a_person_and_a_replay_does_not_double() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    // Three in a row: the try, and the look-up that should have cleared it, are garbage as well.
    platforms
        .misbehave(ALL[1], json!({"mode": "garbage_unsaved", "times": null}))
        .await;
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    eventually(|| async {
        let (_, record) = hub.get(&format!("/v1/records/{id}")).await;
        let state = state_on(&record, ALL[1]).to_owned();
        if ["failed", "retrying"].contains(&state.as_str()) {
            Ok(())
        } else {
            Err(state)
        }
    })
    .await;
    assert!(platforms.articles(ALL[1]).await.is_empty());
    platforms.behave(ALL[1]).await;
    shows_or_replay(&hub, &platforms, &id).await;
    shows_once(&platforms, ALL[1], &id, 1).await;
}

async fn shows_or_replay(hub: &Hub, platforms: &Platforms, id: &str) {
    let record = hub.settled(id).await;
    if state_on(&record, ALL[1]) == "failed" {
        let replay = hub
            .replay(json!({"filter": {"record": id, "platform": ALL[1]}}))
            .await;
        assert_eq!(replay["count"], 1);
    }
    shows_once(platforms, ALL[1], id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_before_it_left_never_goes_out() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    for platform in ALL {
        let (status, _) = hub
            .operate(
                &format!("/v1/platforms/{platform}/pause"),
                json!({"reason": "演练"}),
            )
            .await;
        assert_eq!(status, 200);
    }
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    let (status, answer) = hub
        .operate(
            &format!("/v1/records/{id}/withdraw"),
            json!({"reason": "错发"}),
        )
        .await;
    assert_eq!(status, 202);
    for delivery in answer["deliveries"].as_array().expect("a list") {
        assert_eq!(delivery["state"], "skipped");
    }
    for platform in ALL {
        hub.operate(
            &format!("/v1/platforms/{platform}/resume"),
            json!({"reason": "演练结束"}),
        )
        .await;
    }
    let next = id_of(&hub.submit(&entry_for_all("OA-2", 1)).await);
    for platform in ALL {
        shows_once(&platforms, platform, &next, 1).await;
        shows_nothing(&platforms, platform, &id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_logs_attempts_or_answers() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let hub = Hub::start(&platforms.environment);
    platforms
        .misbehave(ALL[0], json!({"mode": "expired_session", "times": 1}))
        .await;
    let id = id_of(&hub.submit(&entry_for_all("OA-1", 1)).await);
    for platform in ALL {
        shows_once(&platforms, platform, &id, 1).await;
    }
    let record = hub.settled(&id).await;
    let mut shown = hub.log();
    for delivery in record["deliveries"].as_array().expect("a list") {
        let (_, delivery) = hub
            .get(&format!(
                "/v1/deliveries/{}",
                delivery["id"].as_str().expect("text")
            ))
            .await;
        assert!(!delivery["attempts"].as_array().expect("a list").is_empty());
        shown.push_str(&delivery.to_string());
    }
    let trace = hub.cli(&["trace", &id, "--json"]);
    shown.push_str(&String::from_utf8_lossy(&trace.stdout));
    let secrets = platforms
        .environment
        .iter()
        .filter(|(name, _)| name.contains("SECRET") || name.contains("PASSWORD"));
    let mut count = 0;
    for (name, secret) in secrets {
        assert!(!shown.contains(secret.as_str()), "{name} is shown");
        count += 1;
    }
    assert_eq!(count, 3);
    assert!(
        !shown.to_lowercase().contains("jsessionid="),
        "a session is shown"
    );
    assert!(!shown.contains("Bearer ey") && !shown.contains(&hub.oa_key));
}
