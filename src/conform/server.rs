//! The sockets of the scripted platform: as little HTTP/1.1 as a sender needs, and full control
//! over what goes wrong on the wire.

use super::world::World;
use crate::connector::Response;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 64 << 20;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// By lower-case name.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// What the platform does after it has read a request.
#[derive(Debug)]
pub(super) enum Reaction {
    Answer(Response),
    /// Says nothing for so long, then closes.
    Silence(Duration),
    /// Promises the whole answer and sends half of it.
    Half(Response),
}

/// Listens on a free loopback port until `ending`.
pub(super) async fn listen() -> std::io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Answers requests until `ending`.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>, ending: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = ending.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        if let Ok((stream, _)) = accepted {
            let (world, ending) = (Arc::clone(&world), ending.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = ending.cancelled() => {}
                    // A sender that hangs up early is its own concern.
                    _ = answer(stream, &world) => {}
                }
            });
        }
    }
}

async fn answer(stream: TcpStream, world: &World) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(raw) = read(&mut stream).await? else {
        return Ok(());
    };
    match world.react(&raw).await {
        Reaction::Answer(response) => write(&mut stream, &response, response.body.len()).await,
        Reaction::Half(response) => write(&mut stream, &response, response.body.len() / 2).await,
        Reaction::Silence(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Raw>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
    }
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next(), first.next());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length");
    let length: usize = length.and_then(|it| it.parse().ok()).unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Ok(None);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Raw {
        method: method.unwrap_or_default().to_owned(),
        target: target.unwrap_or_default().to_owned(),
        headers,
        body,
    }))
}

/// Writes an answer, of its body only `count` bytes.
async fn write(
    stream: &mut BufReader<TcpStream>,
    response: &Response,
    count: usize,
) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\nConnection: close\r\n",
        response.status
    );
    for (name, value) in &response.headers {
        if !["content-length", "connection", "transfer-encoding"].contains(&name.as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if response.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&response.body[..count]).await?;
    stream.flush().await?;
    stream.get_mut().shutdown().await
}
