//! A fourth platform by a folder alone: forms in GBK, an API key in the address, plain text
//! answers, no ids of ours, no JSON, no XML. Its server is a few lines of sockets, here.

use crate::hub::{Hub, SYNCHUB, eventually, project, sample};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the bulletin board keeps: number → fields, decoded.
type Board = Arc<Mutex<BTreeMap<u32, BTreeMap<String, String>>>>;

/// Serves the bulletin board; ends with the test's runtime.
async fn bulletin_board(key: &'static str) -> (String, Board) {
    let board = Board::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let kept = Arc::clone(&board);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&kept), key));
        }
    });
    (url, board)
}

async fn answer(stream: TcpStream, board: Board, key: &'static str) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0_usize);
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let path = head.split_whitespace().nth(1).expect("a path").to_owned();
        let text = carry_out(&path, &body, &board, key);
        let bytes = encoding_rs::GBK.encode(&text).0.into_owned();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=gbk\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        let written = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&bytes).await
        };
        if written.await.is_err() {
            return;
        }
    }
}

/// `OK|number|path`, `ERR|code|words` or a list of `number|mark` lines.
fn carry_out(path: &str, body: &[u8], board: &Board, key: &str) -> String {
    let fields = form(body);
    if !path.ends_with(&format!("key={key}")) {
        return "ERR|K1|密钥不正确".to_owned();
    }
    let mut board = board.lock().expect("no panic while holding it");
    let number = fields.get("no").and_then(|it| it.parse::<u32>().ok());
    match (path.split('?').next(), number) {
        (Some("/find.do"), _) => {
            let found = board
                .iter()
                .find(|(_, notice)| notice.get("mark") == fields.get("mark"));
            match found {
                Some((number, notice)) => format!("OK|{number}|{}", notice["edition"]),
                None => "ERR|N0|没有这条公告".to_owned(),
            }
        }
        (Some("/save.do"), None) => {
            let number = board.keys().last().map_or(1, |last| last + 1);
            board.insert(number, fields);
            format!("OK|{number}|/notice/{number}.htm")
        }
        (Some("/save.do"), Some(number)) if board.contains_key(&number) => {
            board.insert(number, fields);
            format!("OK|{number}|/notice/{number}.htm")
        }
        (Some("/drop.do"), Some(number)) => match board.remove(&number) {
            Some(_) => "OK|0|".to_owned(),
            None => "ERR|N0|没有这条公告".to_owned(),
        },
        _ => "ERR|X9|请求无效".to_owned(),
    }
}

/// Reads a form whose bytes are GBK.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = |part: &str| {
        let mut bytes = Vec::new();
        let mut rest = part.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits = [rest.next(), rest.next()].map(|it| it.expect("two digits"));
                    let digits = std::str::from_utf8(&digits).expect("ASCII").to_owned();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("hexadecimal"));
                }
                other => bytes.push(other),
            }
        }
        let (text, _, broken) = encoding_rs::GBK.decode(&bytes);
        assert!(!broken, "the form is GBK");
        text.into_owned()
    };
    String::from_utf8_lossy(body)
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn folder() -> std::path::PathBuf {
    project().join("tests/it/fourth")
}

#[test]
fn the_folder_passes_the_check() {
    let connector = folder().join("bulletin-board");
    let output = Command::new(SYNCHUB)
        .args(["connector", "test", connector.to_str().expect("a path")])
        .current_dir(project())
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_platform_is_a_folder_and_nothing_else() {
    let (url, board) = bulletin_board("sesame-4711").await;
    let hub = Hub::start(&[
        (
            "SYNCHUB__CONNECTORS__DIR".into(),
            folder().display().to_string(),
        ),
        ("BULLETIN_BOARD_URL".into(), url),
        ("BULLETIN_BOARD_KEY".into(), "sesame-4711".into()),
    ]);
    let mut entry = sample("15-A6-shigu-pifu.json");
    entry["entry"]["title"] = json!("关于喆某事故调查报告的批复 〇😀");
    let shown = async |wanted: Option<&str>| {
        eventually(|| async {
            let board = board.lock().expect("no panic while holding it").clone();
            let titles: Vec<&str> = board
                .values()
                .filter_map(|it| it.get("title"))
                .map(String::as_str)
                .collect();
            if titles == wanted.into_iter().collect::<Vec<_>>() {
                Ok(())
            } else {
                Err(format!("{titles:?}"))
            }
        })
        .await;
    };
    let answer = hub.submit(&entry).await;
    let id = answer["record_id"].as_str().expect("text").to_owned();
    // What GBK lacks goes out as the manifest says: a question mark.
    shown(Some("关于喆某事故调查报告的批复 〇?")).await;
    hub.settled(&id).await;

    entry["revision"] = json!(2);
    entry["entry"]["title"] = json!("关于事故调查报告的批复（更正）");
    hub.submit(&entry).await;
    shown(Some("关于事故调查报告的批复（更正）")).await;
    let record: Value = hub.settled(&id).await;
    assert!(
        record["deliveries"][0]["remote_url"]
            .as_str()
            .is_some_and(|it| it.starts_with("http://") && it.ends_with("/notice/1.htm"))
    );

    let (status, _) = hub
        .operate(
            &format!("/v1/records/{id}/withdraw"),
            json!({"reason": "错发"}),
        )
        .await;
    assert_eq!(status, 202);
    shown(None).await;
}
