//! The load generator: senders that post as fast as they are answered, over bare sockets, so that
//! the generator itself takes as little of the machine as it can.

use crate::hub::Hub;
use crate::receiver::{RECEIVERS, now_us};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What one measurement saw.
pub(crate) struct Run {
    pub(crate) accepted_per_s: f64,
    pub(crate) delivered_per_s: f64,
    /// Milliseconds from post to the last of its arrivals, sorted.
    pub(crate) latencies_ms: Vec<f64>,
    pub(crate) lost: usize,
    pub(crate) duplicated: usize,
}

/// Longest wait for the last arrival.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns a native submission of about `bytes` bytes.
pub(crate) fn entry(source_id: &str, bytes: usize) -> String {
    let text = "公开内容应当真实、准确、完整，便于公众查阅和监督。";
    let paragraphs = bytes.saturating_sub(700) / (text.len() + 7);
    let body = format!("<p>{text}</p>").repeat(paragraphs.max(1));
    serde_json::json!({
        "source_id": source_id, "revision": 1, "action": "publish",
        "entry": {
            "title": format!("关于公开部门预算的通知 {source_id}"), "doc_no": "韶财〔2014〕18号", "unit": "市财政局",
            "written_on": "2014年9月18日", "disclosure": "主动公开", "area": "财政预算决算和“三公”经费",
            "column": "部门预算", "genre": "通知", "keywords": ["预算", "公开"], "abstract": "公开部门预算。",
"body": {"format": "html", "content": body},
        },
    })
    .to_string()
}

/// Posts `entries` entries and waits until they have arrived everywhere.
pub(crate) async fn run(
    hub: &Hub,
    prefix: &str,
    senders: &str,
    entries: usize,
    bytes: usize,
) -> Run {
    let began = now_us();
    let posted = match senders {
        "batch" => batch(hub, prefix, entries, bytes).await,
        count => {
            single(
                hub,
                prefix,
                count.parse().expect("a number of senders"),
                entries,
                bytes,
            )
            .await
        }
    };
    let accepted_s = (now_us() - began) as f64 / 1e6;
    let arrived = wait(hub, prefix, entries).await;
    let mut latencies_ms = Vec::with_capacity(entries);
    let (mut lost, mut duplicated, mut last) = (0, 0, began);
    for (key, posted_at) in &posted {
        let mut last_of_entry = 0;
        for receiver in &arrived {
            match receiver.get(key) {
                None => lost += 1,
                Some((count, at)) => {
                    duplicated += usize::from(*count > 1);
                    last_of_entry = last_of_entry.max(*at);
                }
            }
        }
        last = last.max(last_of_entry);
        latencies_ms.push(last_of_entry.saturating_sub(*posted_at) as f64 / 1e3);
    }
    latencies_ms.sort_by(f64::total_cmp);
    let delivered_s = (last - began) as f64 / 1e6;
    Run {
        accepted_per_s: entries as f64 / accepted_s,
        delivered_per_s: (entries * RECEIVERS) as f64 / delivered_s,
        latencies_ms,
        lost,
        duplicated,
    }
}

/// Key → microseconds since 1970 at which it was posted.
type Posted = HashMap<String, u64>;

async fn single(hub: &Hub, prefix: &str, senders: usize, entries: usize, bytes: usize) -> Posted {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..senders {
        let (next, prefix) = (Arc::clone(&next), prefix.to_owned());
        let (address, key) = (hub.address.clone(), hub.key.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&address).await;
            let mut posted = Posted::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= entries {
                    return posted;
                }
                let source_id = format!("{prefix}-{number}");
                let body = entry(&source_id, bytes);
                posted.insert(source_id, now_us());
                let (status, answer) = connection
                    .post("/v1/submissions", &key, body.as_bytes())
                    .await;
                assert_eq!(status, 202, "{answer}");
            }
        }));
    }
    let mut posted = Posted::new();
    for task in tasks {
        posted.extend(task.await.expect("a sender ends well"));
    }
    posted
}

async fn batch(hub: &Hub, prefix: &str, entries: usize, bytes: usize) -> Posted {
    const LINES: usize = 1_000;
    let mut connection = Connection::open(&hub.address).await;
    let mut posted = Posted::new();
    for first in (0..entries).step_by(LINES) {
        let mut body = String::new();
        for number in first..entries.min(first + LINES) {
            let source_id = format!("{prefix}-{number}");
            body.push_str(&entry(&source_id, bytes));
            body.push('\n');
            posted.insert(source_id, now_us());
        }
        let (status, answer) = connection
            .post("/v1/submissions/batch", &hub.key, body.as_bytes())
            .await;
        assert_eq!(status, 200);
        let taken = answer.matches("\"status\":202").count();
        assert_eq!(
            taken,
            LINES.min(entries - first),
            "{}",
            &answer[..answer.len().min(500)]
        );
    }
    posted
}

/// Waits until every key has arrived at every receiver, or patience ends.
async fn wait(hub: &Hub, prefix: &str, entries: usize) -> Vec<HashMap<String, (u32, u64)>> {
    let began = Instant::now();
    loop {
        let mut all = Vec::new();
        for port in &hub.ports {
            let mut connection = Connection::open(&format!("127.0.0.1:{port}")).await;
            let (_, text) = connection.get(&format!("/arrived/{prefix}-")).await;
            let arrived: HashMap<String, (u32, u64)> = text
                .lines()
                .filter_map(|line| {
                    let mut words = line.split(' ');
                    let key = words.next()?.to_owned();
                    Some((
                        key,
                        (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
                    ))
                })
                .collect();
            all.push(arrived);
        }
        if all.iter().all(|arrived| arrived.len() >= entries) || began.elapsed() > PATIENCE {
            return all;
        }
        // Asking costs the machine under test; what is measured are the receivers' own times.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A kept connection that speaks just enough HTTP/1.1.
pub(crate) struct Connection {
    stream: TcpStream,
    address: String,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            address: address.to_owned(),
            buffer: Vec::with_capacity(16 << 10),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> (u16, String) {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.stream
            .write_all(head.as_bytes())
            .await
            .expect("it reads");
        self.answer().await
    }

    pub(crate) async fn post(&mut self, path: &str, key: &str, body: &[u8]) -> (u16, String) {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await.expect("it reads");
        self.answer().await
    }

    async fn fill(&mut self) {
        let read = self
            .stream
            .read_buf(&mut self.buffer)
            .await
            .expect("it answers");
        assert_ne!(read, 0, "the connection was closed");
    }

    async fn answer(&mut self) -> (u16, String) {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|it| it.parse().ok())
            .expect("a status");
        let length = head.lines().find_map(|line| {
            line.strip_prefix("content-length:")?
                .trim()
                .parse::<usize>()
                .ok()
        });
        self.buffer.drain(..head_end);
        let body = match length {
            Some(length) => self.take(length).await,
            None => self.chunks().await,
        };
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.fill().await;
        }
        self.buffer.drain(..length).collect()
    }

    /// RFC 9112 §7.1
    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = self.buffer.windows(2).position(|it| it == b"\r\n") {
                    break at;
                }
                self.fill().await;
            };
            let size = String::from_utf8_lossy(&self.buffer[..line_end]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).expect("a size");
            self.buffer.drain(..line_end + 2);
            let chunk = self.take(size + 2).await;
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
}
