//! Fetching from real sockets, with a list of names that the test decides on.

use super::*;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers each connection with the next of its answers, the last one for ever.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answers[number.min(answers.len() - 1)].clone();
                number += 1;
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                heard.lock().unwrap().push(head);
                tokio::spawn(async move { answer.send(&mut stream).await });
            }
        });
        Self { port, asked }
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[derive(Clone)]
enum Answer {
    /// These bytes, then the connection ends.
    Text(String),
    /// A head, then a piece every 50 ms without end.
    Drip,
    /// A head without length, then a file of so many bytes.
    Endless(usize),
}

impl Answer {
    fn ok(body: &str) -> Self {
        let length = body.len();
        Self::Text(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    fn status(status: u16) -> Self {
        Self::Text(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"))
    }

    fn redirect(target: &str) -> Self {
        Self::Text(format!(
            "HTTP/1.1 302 X\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
        ))
    }

    async fn send(self, stream: &mut tokio::net::TcpStream) {
        let sent: std::io::Result<()> = async {
            match self {
                Self::Text(text) => stream.write_all(text.as_bytes()).await?,
                Self::Drip => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    loop {
                        stream.write_all(b"x").await?;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                Self::Endless(bytes) => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    for _ in 0..bytes / 1024 {
                        stream.write_all(&[b'x'; 1024]).await?;
                    }
                }
            }
            stream.shutdown().await
        }
        .await;
        // The caller may have gone away.
        drop(sent);
    }
}

fn names(known: &[(&str, &str)]) -> Names {
    let known: HashMap<String, Vec<IpAddr>> = known
        .iter()
        .map(|(name, addresses)| {
            let addresses = addresses.split(' ').map(|it| it.parse().unwrap()).collect();
            ((*name).to_owned(), addresses)
        })
        .collect();
    Arc::new(move |name| {
        let found = known
            .get(&name)
            .cloned()
            .ok_or_else(|| std::io::Error::other("unknown"));
        Box::pin(async move { found })
    })
}

fn fetcher(hosts: &[String], known: &[(&str, &str)]) -> Fetcher {
    let hosts = hosts.iter().map(|host| AllowedHost::parse(host).unwrap());
    Fetcher::with_names(hosts.collect(), names(known)).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn told(fetched: Result<Received, FetchError>) -> String {
    match fetched {
        Ok(received) => {
            let bytes = received.content.whole(1 << 20).unwrap().unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(error) => format!("{error}"),
    }
}

#[tokio::test]
async fn a_file_comes_from_the_address_that_was_checked() {
    let server = Server::start(vec![Answer::ok("abc")]).await;
    let port = server.port;
    // No such name exists but in this test: the connection goes where the resolver says.
    let fetcher = fetcher(
        &[format!("private:oa.invalid:{port}")],
        &[("oa.invalid", "127.0.0.1")],
    );
    let url = format!("http://oa.invalid:{port}/file?id=1");
    let received = fetcher.fetch(&url, 100, soon()).await.unwrap();
    assert_eq!(
        received.sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let head = server.asked.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("get /file?id=1 "), "{head}");
    for secret in ["authorization", "cookie", "referer"] {
        assert!(!head.contains(secret), "{head}");
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_host_that_is_not_allowed() {
    let server = Server::start(vec![Answer::ok("secret")]).await;
    let port = server.port;
    let hosts = [
        format!("oa.invalid:{port}"),
        format!("127.0.0.1:{port}"),
        format!("mixed.invalid:{port}"),
        format!("private:cloud.invalid:{port}"),
    ];
    let known = [
        ("oa.invalid", "127.0.0.1"),
        ("mixed.invalid", "1.1.1.1 127.0.0.1"),
        ("cloud.invalid", "169.254.169.254"),
        ("other.invalid", "127.0.0.1"),
    ];
    let fetcher = fetcher(&hosts, &known);
    for (url, expected) in [
        (
            format!("http://oa.invalid:{port}/"),
            "host oa.invalid has an address",
        ),
        (
            format!("http://mixed.invalid:{port}/"),
            "host mixed.invalid has an address",
        ),
        (
            format!("http://cloud.invalid:{port}/"),
            "host cloud.invalid has an address",
        ),
        (
            format!("http://127.0.0.1:{port}/"),
            "host 127.0.0.1 has an address",
        ),
        (
            format!("http://2130706433:{port}/"),
            "host 127.0.0.1 has an address",
        ),
        (
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            "host [::ffff:7f00:1] is not on",
        ),
        (
            format!("http://other.invalid:{port}/"),
            "host other.invalid is not on",
        ),
        ("http://oa.invalid/".to_owned(), "host oa.invalid is not on"),
        (
            format!("http://u:p@oa.invalid:{port}/"),
            "the address is not",
        ),
        (format!("ftp://oa.invalid:{port}/"), "the address is not"),
        ("file:///etc/passwd".to_owned(), "the address is not"),
        ("oa.invalid".to_owned(), "the address is not"),
    ] {
        let told = told(fetcher.fetch(&url, 100, soon()).await);
        assert!(told.starts_with(expected), "{url}: {told}");
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_address() {
    let secret = Server::start(vec![Answer::ok("secret")]).await;
    let inner = format!("http://127.0.0.1:{}/", secret.port);
    let answers = vec![
        Answer::redirect(&inner),
        Answer::redirect("/there"),
        Answer::ok("abc"),
        Answer::redirect("/for-ever"),
    ];
    let server = Server::start(answers).await;
    let port = server.port;
    let fetcher = fetcher(
        &[format!("private:oa.invalid:{port}")],
        &[("oa.invalid", "127.0.0.1")],
    );
    let url = format!("http://oa.invalid:{port}/");
    let told_1 = told(fetcher.fetch(&url, 100, soon()).await);
    assert!(told_1.starts_with("host 127.0.0.1 is not on"), "{told_1}");
    assert_eq!(secret.count(), 0);
    assert_eq!(told(fetcher.fetch(&url, 100, soon()).await), "abc");
    let before = server.count();
    let told_3 = told(fetcher.fetch(&url, 100, soon()).await);
    assert!(told_3.contains("redirects too often"), "{told_3}");
    assert_eq!(server.count() - before, REDIRECTS_MAX + 1);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let cut = Answer::Text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_owned());
    for (answers, expected, asked) in [
        (
            vec![Answer::status(503), cut.clone(), Answer::ok("abc")],
            "abc",
            3,
        ),
        (
            vec![cut.clone()],
            "host oa.invalid: it broke off in the middle",
            3,
        ),
        (vec![Answer::status(404)], "host oa.invalid answers 404", 1),
        (vec![Answer::ok("")], "the file is empty", 1),
        (
            vec![Answer::ok(&"x".repeat(101))],
            "the file is larger than 100 bytes",
            1,
        ),
        (
            vec![Answer::Endless(4 << 20)],
            "the file is larger than 100 bytes",
            1,
        ),
    ] {
        let server = Server::start(answers).await;
        let port = server.port;
        let fetcher = fetcher(
            &[format!("private:oa.invalid:{port}")],
            &[("oa.invalid", "127.0.0.1")],
        );
        let url = format!("http://oa.invalid:{port}/");
        assert_eq!(told(fetcher.fetch(&url, 100, soon()).await), expected);
        assert_eq!(server.count(), asked, "{expected}");
    }
}

#[tokio::test]
async fn a_slow_server_does_not_hold_the_caller_for_ever() {
    let server = Server::start(vec![Answer::Drip]).await;
    let host = AllowedHost::parse(&format!("private:127.0.0.1:{}", server.port)).unwrap();
    let limit = Duration::from_millis(400);
    let fetcher = Fetcher::new(vec![host]).unwrap();
    let began = Instant::now();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let told = told(fetcher.fetch(&url, 1 << 20, Instant::now() + limit).await);
    assert_eq!(told, "host 127.0.0.1: it took too long");
    assert!(began.elapsed() >= limit);
}

/// What is checked is what is connected to: no second question that could be answered otherwise.
#[tokio::test]
async fn a_name_is_asked_once_and_may_not_change_its_mind() {
    let server = Server::start(vec![Answer::ok("abc")]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let names: Names = Arc::new(move |_| {
        let address = match counted.fetch_add(1, Ordering::SeqCst) {
            0 => [127, 0, 0, 1],
            _ => [169, 254, 169, 254],
        };
        Box::pin(async move { Ok(vec![IpAddr::from(address)]) })
    });
    let host = AllowedHost::parse(&format!("private:oa.invalid:{}", server.port)).unwrap();
    let fetcher = Fetcher::with_names(vec![host], names).unwrap();
    let url = format!("http://oa.invalid:{}/", server.port);
    assert_eq!(told(fetcher.fetch(&url, 100, soon()).await), "abc");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let told = told(fetcher.fetch(&url, 100, soon()).await);
    assert!(told.starts_with("host oa.invalid has an address"), "{told}");
    assert_eq!(server.count(), 1);
}
