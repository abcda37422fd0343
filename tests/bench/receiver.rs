//! Three platforms in one process that only count: which key arrived how often, and when last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Receivers per run.
pub(crate) const RECEIVERS: usize = 3;

/// Key → (arrivals, microseconds since 1970 of the last one), per receiver.
type Arrivals = Arc<[Mutex<HashMap<String, (u32, u64)>>; RECEIVERS]>;

/// Serves until the process is killed; prints the ports on one line.
pub(crate) async fn serve() {
    let arrivals: Arrivals = Arc::default();
    let mut ports = Vec::new();
    for receiver in 0..RECEIVERS {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        ports.push(
            listener
                .local_addr()
                .expect("an address")
                .port()
                .to_string(),
        );
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, receiver, Arc::clone(&arrivals)));
            }
        });
    }
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{}", ports.join(" ")).expect("somebody reads");
    std::future::pending::<()>().await;
}

pub(crate) fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

/// Speaks just enough HTTP/1.1 to answer a PUT with a body and a GET of what arrived.
async fn connection(mut stream: TcpStream, receiver: usize, arrivals: Arrivals) {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let Some((path, end)) = request(&mut stream, &mut buffer).await else {
            return;
        };
        let body = match path.strip_prefix("/put/") {
            Some(key) => {
                let mut arrived = arrivals[receiver]
                    .lock()
                    .expect("no panic while holding it");
                let entry = arrived.entry(key.to_owned()).or_default();
                *entry = (entry.0 + 1, now_us());
                "{\"code\":0}".to_owned()
            }
            None if path == "/bare" => "{\"code\":0}".to_owned(),
            None => {
                let prefix = path.strip_prefix("/arrived/").unwrap_or_default();
                let arrived = arrivals[receiver]
                    .lock()
                    .expect("no panic while holding it");
                let lines = arrived.iter().filter(|(key, _)| key.starts_with(prefix));
                lines
                    .map(|(key, (count, at))| format!("{key} {count} {at}\n"))
                    .collect()
            }
        };
        buffer.drain(..end);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads one request; returns its path and where it ends in the buffer.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, usize)> {
    loop {
        if let Some(head_end) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = std::str::from_utf8(&buffer[..head_end]).ok()?;
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0_usize);
            let end = head_end + 4 + length;
            if buffer.len() >= end {
                return Some((head.split_whitespace().nth(1)?.to_owned(), end));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
