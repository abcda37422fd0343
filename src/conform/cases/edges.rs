//! The cases about what goes out and where: characters, fields, hosts, secrets.

use super::{Outcome, must};
use crate::conform::Kit;
use crate::conform::bench::Bench;
use crate::conform::server::listen;
use crate::conform::world::{Play, plain};
use crate::connector::Operation;
use crate::deliver::trial;
use crate::record::{Content, DeliveryState};
use std::time::Duration;

/// Longer than any title of a platform.
const LONG_TITLE_CHARS: usize = 600;

/// Delivered whole, or refused before anything is sent, with a name for what is wrong.
pub(super) async fn characters(kit: &Kit) -> Outcome {
    let odd = "关于“喆”〇𠮷😀的公告 ]]> & <b> \"引号\" ①";
    let long = "题".repeat(LONG_TITLE_CHARS);
    for title in [odd, &long] {
        let mut bench = Bench::open(kit).await?;
        bench.content().title = title.to_owned();
        bench.content().body.html = format!("<p>{}</p>", "正文😀〇𠮷 ]]&gt; &amp;");
        bench.post().await?;
        let delivery = bench.settled().await?;
        match delivery.state {
            DeliveryState::Delivered | DeliveryState::Confirmed => bench.shows(1)?,
            _ => {
                bench.failed(&["contract", "render"]).await?;
                let sent = bench.changes();
                must(sent == 0, || {
                    format!("refused by the hub after {sent} requests")
                })?;
            }
        }
        bench.close().await;
    }
    Ok(())
}

pub(super) async fn fields(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    {
        let content = bench.content();
        content.doc_no = None;
        content.doc_no_raw = None;
        content.genre = None;
        content.summary = None;
        content.keywords.clear();
        content.attachments.clear();
    }
    bench.post().await?;
    if bench.delivered(1).await.is_err() {
        // One of them is required here; then the contract says which.
        bench.failed(&["contract"]).await?;
    }
    bench.close().await;

    let missing: [fn(&mut Content); 4] = [
        |content| content.title.clear(),
        |content| content.unit.name.clear(),
        |content| content.column = None,
        |content| content.body.html.clear(),
    ];
    for take_away in missing {
        let mut bench = Bench::open(kit).await?;
        take_away(bench.content());
        if bench.breaks_the_contract() {
            bench.post().await?;
            bench.failed(&["contract"]).await?;
            let sent = bench.changes();
            must(sent == 0, || format!("sent {sent} times all the same"))?;
            bench.close().await;
            return Ok(());
        }
        bench.close().await;
    }
    Err("contract.schema.json requires none of title, unit, column and body: what a platform cannot do without is to be told at intake".to_owned())
}

pub(super) async fn redirect(kit: &Kit) -> Outcome {
    let (stranger, url) = listen().await.map_err(|error| error.to_string())?;
    let mut bench = Bench::open(kit).await?;
    let mut answer = plain(307, "text/plain", "");
    answer
        .headers
        .push(("location".to_owned(), format!("{url}/elsewhere")));
    bench.world.always(Play::Say(answer));
    bench.post().await?;
    bench.failed(&["reject"]).await?;
    let visited = tokio::time::timeout(Duration::from_millis(50), stranger.accept()).await;
    must(visited.is_err(), || {
        "the strange host was visited".to_owned()
    })?;
    bench.close().await;
    Ok(())
}

/// The platform echoes what it was sent, which puts every secret into its answer.
pub(super) async fn secrets(kit: &Kit) -> Outcome {
    let mut bench = Bench::open(kit).await?;
    bench.world.echo();
    bench.post().await?;
    bench.settled().await?;
    let attempts = bench.attempts().await?;
    let world = &bench.world;
    must(!world.shows_a_secret(&attempts), || {
        "an attempt shows a secret".to_owned()
    })?;
    let record = bench.record()?;
    let tried = trial::run(&world.connector, &record, Operation::Publish, None).await;
    let tried = tried.map_or_else(|error| format!("{error:#}"), |it| it.to_string());
    must(!world.shows_a_secret(&tried), || {
        "a dry run shows a secret".to_owned()
    })?;
    must(!world.shows_a_secret(&kit.log.text()), || {
        "the log shows a secret".to_owned()
    })?;
    bench.close().await;
    Ok(())
}
