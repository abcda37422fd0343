//! What each case does to the connector, and what it asks for.

mod edges;

use super::Kit;
use super::bench::Bench;
use super::case::Case;
use super::world::{Play, plain};
use crate::connector::{Operation, Response, Verdict};
use crate::record::DeliveryState;
use std::time::{Duration, Instant};

type Outcome = Result<(), String>;

/// A little below what is asked for: clocks of sender and platform are read at different moments.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(900);
const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Portal</title></head><body>It works</body></html>";

/// Plays one case.
pub(super) async fn play(case: Case, kit: &Kit) -> Outcome {
    match case {
        Case::Create => create(kit).await,
        Case::Update => update(kit).await,
        Case::Repeat => repeat(kit).await,
        Case::LostAnswer => lost_answer(kit).await,
        Case::OlderVersion => older_version(kit).await,
        Case::WithdrawTwice => withdraw_twice(kit).await,
        Case::RateLimited => rate_limited(kit).await,
        Case::ErrorInBody => error_in_body(kit).await,
        Case::ExpiredSession => expired_session(kit).await,
        Case::ServerErrors => server_errors(kit).await,
        Case::Rejection => rejection(kit).await,
        Case::Garbage => garbage(kit).await,
        Case::Characters => edges::characters(kit).await,
        Case::Fields => edges::fields(kit).await,
        Case::Redirect => edges::redirect(kit).await,
        Case::Secrets => edges::secrets(kit).await,
    }
}

fn must(holds: bool, problem: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(problem()) }
}

async fn create(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    bench.post().await?;
    bench.delivered(1).await?;
    let made = bench.count(Operation::Publish);
    must(made == 1, || {
        format!("{made} requests to create instead of 1")
    })?;
    bench.close().await;
    Ok(())
}

async fn update(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    bench.post().await?;
    bench.delivered(1).await?;
    bench.content().title.push_str("（更正）");
    bench.post().await?;
    bench.delivered(2).await?;
    bench.close().await;
    Ok(())
}

/// The OA posts again, and a sender died after it had sent and before it could say so.
async fn repeat(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    bench.post_quietly().await?;
    bench.claim_and_vanish().await?;
    bench.world.put(1);
    bench.start()?;
    bench.delivered(1).await?;
    let before = bench.changes();
    bench.post_again().await?;
    bench.delivered(1).await?;
    must(bench.changes() == before, || {
        "the same entry again was sent again".to_owned()
    })?;
    bench.close().await;
    Ok(())
}

async fn lost_answer(kit: &Kit) -> Outcome {
    for lost in [Play::SaveAndSilence, Play::SaveAndHalf] {
        let mut bench = Bench::open(kit).await?;
        bench.play([lost.clone()]);
        bench.post().await?;
        bench.delivered(1).await?;
        bench.close().await;
    }
    Ok(())
}

/// A correction comes while the platform is slow with the first version; and where a platform can
/// say "I have a newer one", that is not tried again.
async fn older_version(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    bench.play([Play::Slow(Duration::from_millis(200))]);
    bench.post().await?;
    bench.world.until_change().await;
    bench.content().title.push_str("（更正）");
    bench.post().await?;
    bench.delivered(2).await?;
    let changes = bench.world.seen().into_iter();
    let changes = changes.filter(|it| it.operation.changes_something() && it.step == 0);
    let versions: Vec<i64> = changes.map(|it| it.version).collect();
    must(versions.is_sorted(), || {
        format!("versions were sent in the order {versions:?}")
    })?;
    bench.close().await;
    for operation in [Operation::Publish, Operation::Update] {
        let mut bench = Bench::open(kit).await?;
        let stale = bench
            .world
            .sampled(operation, 0, |_, it| it.verdict == Verdict::Stale);
        if let Some(stale) = stale {
            if operation == Operation::Update {
                bench.post().await?;
                bench.delivered(1).await?;
                bench.content().title.push_str("（更正）");
            }
            bench.play([Play::Say(stale)]);
            bench.post().await?;
            bench.failed(&["stale"]).await?;
        }
        bench.close().await;
    }
    Ok(())
}

/// The answer to the first withdrawal is lost, so the hub asks for it twice.
async fn withdraw_twice(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    bench.post().await?;
    bench.delivered(1).await?;
    let can = bench.world.connector.can(Operation::Withdraw);
    bench.play([Play::SaveAndSilence]);
    bench.withdraw().await?;
    if !can {
        bench.failed(&["reject"]).await?;
        bench.close().await;
        return Ok(());
    }
    let delivery = bench.settled().await?;
    must(delivery.state == DeliveryState::Withdrawn, || {
        let failure = delivery.failure.as_ref().map(|it| it.text.clone());
        format!(
            "{} {}",
            delivery.state.as_str(),
            failure.unwrap_or_default()
        )
    })?;
    let left = bench.world.objects().iter().any(|object| object.live);
    must(!left, || "the object is still shown".to_owned())?;
    bench.close().await;
    Ok(())
}

async fn rate_limited(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    let sampled = bench.world.sampled(Operation::Publish, 0, |_, it| {
        it.verdict == Verdict::RateLimited
    });
    let mut answer = sampled.unwrap_or_else(|| plain(429, "text/plain", "too many requests"));
    answer.headers.retain(|(name, _)| name != "retry-after");
    answer
        .headers
        .push(("retry-after".to_owned(), "1".to_owned()));
    bench.play([Play::Say(answer)]);
    let began = Instant::now();
    bench.post().await?;
    bench.delivered(1).await?;
    must(began.elapsed() >= RETRY_AFTER_MIN, || {
        "the hub came back before the time that Retry-After asks for".to_owned()
    })?;
    let tries = bench.tries().await?;
    must(tries == 2, || {
        format!("it took {tries} attempts instead of 2")
    })?;
    bench.close().await;
    Ok(())
}

/// Whatever the answer means, it must not count as delivered: nothing was saved.
async fn error_in_body(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    let bad = |verdict| !matches!(verdict, Verdict::Ok | Verdict::Duplicate);
    let sampled = bench.world.sampled(Operation::Publish, 0, |sample, it| {
        bad(it.verdict)
            && sample
                .answers
                .first()
                .is_some_and(|answer| answer.status == 200)
    });
    let unheard = plain(
        200,
        "application/json",
        r#"{"error":"E-CONFORM","success":false}"#,
    );
    bench.play([Play::Say(sampled.unwrap_or(unheard))]);
    bench.post().await?;
    honest(&bench).await?;
    bench.close().await;
    Ok(())
}

/// Asks that "delivered" is only said of what is there, and that there is one at most.
async fn honest(bench: &Bench) -> Outcome {
    let delivery = bench.settled().await?;
    match delivery.state {
        DeliveryState::Delivered | DeliveryState::Confirmed => bench.shows(delivery.version),
        _ => {
            let objects = bench.world.objects();
            must(objects.len() <= 1, || {
                format!("the platform has {objects:?}")
            })
        }
    }
}

async fn expired_session(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    let world = &bench.world;
    let sampled = world.sampled(Operation::Publish, 0, |_, it| it.verdict == Verdict::Auth);
    let has_session = world.connector.needs_session();
    let Some(expired) = sampled.or_else(|| {
        // Where nothing runs out, a refused proof of identity is all there can be.
        (!has_session).then(|| plain(401, "text/plain", "who are you"))
    }) else {
        return Err("there is no sample of `publish` that meets an expired session".to_owned());
    };
    bench.play([Play::Say(expired)]);
    bench.post().await?;
    if !has_session {
        honest(&bench).await?;
        bench.close().await;
        return Ok(());
    }
    bench.delivered(1).await?;
    let (logins, tries) = (bench.world.logins(), bench.tries().await?);
    must(logins == 2, || format!("{logins} logins instead of 2"))?;
    must(tries == 1, || {
        format!("it took {tries} attempts instead of 1")
    })?;
    bench.close().await;
    Ok(())
}

async fn server_errors(kit: &Kit) -> Outcome {
    let mut bench = Bench::open_with(kit, 1).await?;
    bench.world.always(Play::Say(plain(502, "text/html", PAGE)));
    bench.post().await?;
    bench.failed(&["retry"]).await?;
    let tries = bench.changes();
    must(tries > 1, || "5xx was not tried again".to_owned())?;
    bench.close().await;
    Ok(())
}

async fn rejection(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    let sampled = bench
        .world
        .sampled(Operation::Publish, 0, |_, it| it.verdict == Verdict::Reject);
    let Some(refused) = sampled else {
        return Err("there is no sample of `publish` that is rejected".to_owned());
    };
    bench.world.always(Play::Say(refused));
    bench.post().await?;
    bench.failed(&["reject"]).await?;
    let sent = bench.changes();
    must(sent == 1, || format!("it was sent {sent} times"))?;
    bench.close().await;
    Ok(())
}

/// Each kind of nonsense, once with and once without the entry being saved.
async fn garbage(kit: &Kit) -> Outcome {
    let kinds: [Response; 3] = [
        Response {
            body: bytes::Bytes::from_static(b"\x00\xff\xfe<<<\x81 0x80072EE7 \xa1"),
            ..plain(200, "application/octet-stream", "")
        },
        plain(200, "text/html; charset=utf-8", PAGE),
        plain(200, "text/plain", ""),
    ];
    for kind in kinds {
        for play in [Play::Say(kind.clone()), Play::SaveAndSay(kind)] {
            let mut bench = Bench::open(kit).await?;
            bench.play([play]);
            bench.post().await?;
            honest(&bench).await?;
            bench.close().await;
        }
    }
    let mut bench = Bench::open(kit).await?;
    bench.play([Play::SaveAndHalf]);
    bench.post().await?;
    honest(&bench).await?;
    bench.close().await;
    Ok(())
}
