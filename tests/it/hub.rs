//! A hub, practice platforms and their callers, each as a real process on free loopback ports.

use crate::backend::Backend;
use serde_json::{Value, json};
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything that should happen by itself, on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The built program.
pub(crate) const SYNCHUB: &str = env!("CARGO_BIN_EXE_synchub");

/// The project's folder, where connectors and samples lie.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A process that ends, by its own handle, with the test.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command`, keeps what it writes to standard error.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("piped"));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().expect("no panic while holding it");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic while holding it").clone()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end and returns whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        self.ask_to_end();
        self.wait().success()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Asks it to end, and does not wait.
    pub(crate) fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        // Not running any more is as good as asked.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
    }

    /// Returns how it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Beside what the failure itself says.
            eprintln!("-- what the process wrote:\n{}", tail(&self.log()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// The three practice platforms.
pub(crate) struct Platforms {
    _process: Process,
    /// `(id, address)`
    pub(crate) list: Vec<(String, String)>,
    /// What connectors refer to.
    pub(crate) environment: Vec<(String, String)>,
}

impl Platforms {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(SYNCHUB);
        command.args(["sandbox", "--json"]).args(arguments);
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        command.current_dir(project());
        let mut process = Process::start(&mut command);
        let mut line = String::new();
        let stdout = process.child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it prints its addresses");
        let started: Value = serde_json::from_str(&line).expect("one line of JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let list = started["platforms"].as_array().expect("a list");
        Self {
            list: list
                .iter()
                .map(|it| (text(&it["id"]), text(&it["url"])))
                .collect(),
            environment: started["environment"]
                .as_object()
                .expect("an object")
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            _process: process,
        }
    }

    pub(crate) fn url(&self, id: &str) -> &str {
        let (_, url) = self
            .list
            .iter()
            .find(|(known, _)| known == id)
            .expect("a known platform");
        url
    }

    /// Returns what a platform shows, or with `all` what it ever kept.
    pub(crate) async fn articles(&self, id: &str) -> Vec<Value> {
        let url = format!("{}/admin/articles", self.url(id));
        let answer = client().get(url).send().await.expect("answers");
        let answer: Value =
            serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        answer["articles"].as_array().expect("a list").clone()
    }

    pub(crate) async fn misbehave(&self, id: &str, how: Value) {
        let url = format!("{}/admin/misbehave", self.url(id));
        let answer = client()
            .post(url)
            .body(how.to_string())
            .header("content-type", "application/json")
            .send()
            .await
            .expect("answers");
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.expect("text")
        );
    }

    pub(crate) async fn behave(&self, id: &str) {
        let url = format!("{}/admin/misbehave", self.url(id));
        client().delete(url).send().await.expect("answers");
    }

    /// Does to an article what an editor of the platform might do.
    pub(crate) async fn edit(&self, id: &str, record_id: &str, how: Value) {
        let articles = self.articles(id).await;
        let article = articles.iter().find(|it| it["record_id"] == record_id);
        let remote_id = article.expect("it is shown")["remote_id"].as_str();
        let url = format!("{}/admin/edit/{}", self.url(id), remote_id.expect("text"));
        let request = client()
            .post(url)
            .header("content-type", "application/json");
        let answer = request.body(how.to_string()).send().await.expect("answers");
        assert!(answer.status().is_success());
    }

    /// Ends the process; what it keeps stays where `--dir` says.
    pub(crate) fn stop(self) {
        self._process.kill();
    }
}

/// A hub on a database of its own, with an account for the OA and one for an operator.
pub(crate) struct Hub {
    environment: Vec<(String, String)>,
    // Before the back end, which can only be removed when nobody uses it any more.
    process: Option<Process>,
    backend: Backend,
    pub(crate) url: String,
    pub(crate) oa_key: String,
    pub(crate) operator_key: String,
}

impl Hub {
    /// Starts a hub; `environment` is added to its own.
    pub(crate) fn start(environment: &[(String, String)]) -> Self {
        Self::start_on(Backend::chosen(), environment)
    }

    /// Starts a hub on a certain database and queue.
    pub(crate) fn start_on(backend: Backend, environment: &[(String, String)]) -> Self {
        let mut hub = Self::prepare(backend, environment);
        hub.run();
        hub
    }

    /// Makes database and accounts of a hub, but starts no process.
    pub(crate) fn prepare(backend: Backend, environment: &[(String, String)]) -> Self {
        let mut all: Vec<(String, String)> = vec![
            ("SYNCHUB__HTTP__LISTEN".into(), "127.0.0.1:0".into()),
            ("SYNCHUB__DELIVER__LEASE_MS".into(), "3000".into()),
            ("SYNCHUB__LOG__LEVEL".into(), "info".into()),
        ];
        all.extend(backend.environment());
        all.extend_from_slice(environment);
        let mut hub = Self {
            environment: all,
            process: None,
            backend,
            url: String::new(),
            oa_key: String::new(),
            operator_key: String::new(),
        };
        hub.oa_key = hub.account(&["test-oa", "--source", "oa"]);
        hub.operator_key = hub.account(&["test-operator", "--source", "oa", "--operator"]);
        hub
    }

    /// Makes an account and returns its key.
    pub(crate) fn account(&self, arguments: &[&str]) -> String {
        let made = self.cli_json(&[&["account", "add"], arguments].concat());
        made["key"].as_str().expect("a key").to_owned()
    }

    /// Starts the process, which must not be running.
    pub(crate) fn run(&mut self) {
        assert!(self.process.is_none(), "one process at a time");
        let (process, url) = self.another(&[]);
        self.url = url;
        self.process = Some(process);
    }

    /// Starts one more process on the same database and queue; returns it and its address.
    pub(crate) fn another(&self, arguments: &[&str]) -> (Process, String) {
        self.try_another(arguments, &[])
            .unwrap_or_else(|log| panic!("the hub did not start:\n{log}"))
    }

    /// As [`Hub::another`], with more in its environment; what it wrote when it ended instead of
    /// listening.
    pub(crate) fn try_another(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<(Process, String), String> {
        let mut command = self.command();
        command.arg("serve").args(arguments);
        command.envs(environment.iter().copied());
        let mut process = Process::start(&mut command);
        match address_of(&mut process) {
            Some(url) => Ok((process, url)),
            None => Err(process.log()),
        }
    }

    /// Starts the process with one more variable in its environment; it may end at any moment,
    /// also before it listens. Returns whether it listens.
    pub(crate) fn run_with(&mut self, name: &str, value: &str) -> bool {
        assert!(self.process.is_none(), "one process at a time");
        let mut process = Process::start(self.command().env(name, value).arg("serve"));
        let address = address_of(&mut process);
        self.process = Some(process);
        let listens = address.is_some();
        self.url = address.unwrap_or_default();
        listens
    }

    /// Returns how the process ended, if it has; another one may be started then.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut().expect("it ran").ended()?;
        self.process = None;
        Some(status)
    }

    /// Asks the process to end, and does not wait.
    pub(crate) fn ask_to_end(&self) {
        self.process.as_ref().expect("it runs").ask_to_end();
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&mut self) -> bool {
        self.process.take().expect("it runs").terminate()
    }

    pub(crate) fn log(&self) -> String {
        self.process.as_ref().expect("it runs").log()
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    fn command(&self) -> Command {
        let mut command = Command::new(SYNCHUB);
        command
            .current_dir(project())
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs the command line on the hub's database.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    }

    /// Runs the command line with `--json` and returns what it printed; it must succeed.
    pub(crate) fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    }

    /// What `synchub platforms` says of `platform`.
    pub(crate) fn platform(&self, platform: &str) -> Value {
        let list = self.cli_json(&["platforms"]);
        let mut items = list.as_array().expect("a list").iter();
        items
            .find(|it| it["id"] == platform)
            .expect("known")
            .clone()
    }

    /// Waits until nothing of a replay is left to do.
    pub(crate) async fn replay_is_done(&self, id: &str) {
        eventually(|| async {
            let (_, replay) = self.get(&format!("/v1/replays/{id}")).await;
            match replay["state"] == "done" {
                true => Ok(()),
                false => Err(replay.to_string()),
            }
        })
        .await;
    }

    /// The value of a gauge of `platform` in the metrics; `None` when it is not there.
    pub(crate) async fn gauge(&self, name: &str, platform: &str) -> Option<String> {
        let (_, text) = self.get("/metrics").await;
        let wanted = format!("{name}{{platform=\"{platform}\"}} ");
        let mut lines = text.as_str().expect("text").lines();
        lines.find_map(|line| line.strip_prefix(&wanted).map(ToOwned::to_owned))
    }

    /// Posts `count` entries for every platform; returns the ids of their records.
    pub(crate) async fn submit_for_all(&self, count: usize) -> Vec<String> {
        let mut records = Vec::new();
        for number in 0..count {
            let answer = self
                .submit(&entry_for_all(&format!("OA-{number}"), 1))
                .await;
            records.push(answer["record_id"].as_str().expect("text").to_owned());
        }
        records
    }

    /// Posts a body as the OA; returns status and JSON.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        self.call(&self.oa_key, reqwest::Method::POST, "/v1/submissions", body)
            .await
    }

    /// Posts an entry, which must be taken in; returns the answer.
    pub(crate) async fn submit(&self, submission: &Value) -> Value {
        let (status, answer) = self.post(submission.to_string()).await;
        assert!(matches!(status, 200 | 202), "{status} {answer:#}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(&self.operator_key, reqwest::Method::GET, path, "")
            .await
    }

    pub(crate) async fn operate(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(
            &self.operator_key,
            reqwest::Method::POST,
            path,
            body.to_string(),
        )
        .await
    }

    /// Sends again as an operator does: looks first, then presses for exactly what was shown.
    /// Returns the replay.
    pub(crate) async fn replay(&self, request: Value) -> Value {
        eventually(|| async {
            let mut body = request.clone();
            body["dry_run"] = json!(true);
            let (status, preview) = self.operate("/v1/replays", body.clone()).await;
            assert_eq!(status, 200, "{preview:#}");
            body["dry_run"] = json!(false);
            body["selection_hash"] = preview["selection_hash"].clone();
            let (status, replay) = self.operate("/v1/replays", body.clone()).await;
            // Something was tried in between: an operator looks again.
            if status == 409 {
                return Err(replay.to_string());
            }
            assert_eq!(status, 202, "{replay:#}");
            assert_eq!(replay["count"], preview["count"]);
            Ok(replay)
        })
        .await
    }

    /// Changes the environment of the next process.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) async fn call(
        &self,
        key: &str,
        method: reqwest::Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let answer = client()
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(key)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .expect("the hub answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Waits until no delivery of a record is on its way any more; returns the record.
    pub(crate) async fn settled(&self, record_id: &str) -> Value {
        eventually(|| async {
            let (status, record) = self.get(&format!("/v1/records/{record_id}")).await;
            assert_eq!(status, 200, "{record:#}");
            let deliveries = record["deliveries"].as_array().expect("a list");
            let open = ["queued", "sending", "retrying"];
            let waiting: Vec<String> = deliveries
                .iter()
                .filter(|it| open.contains(&it["state"].as_str().unwrap_or_default()))
                .map(|it| format!("{} {} {}", it["platform"], it["state"], it["failure"]))
                .collect();
            if waiting.is_empty() {
                Ok(record)
            } else {
                Err(waiting.join(", "))
            }
        })
        .await
    }
}

/// Waits until a process says where it listens; `None` when it ended instead.
fn address_of(process: &mut Process) -> Option<String> {
    let began = Instant::now();
    loop {
        // Asked first, so that the last words of a process count.
        let ended = process.ended().is_some();
        let log = process.log();
        let address = log
            .split_whitespace()
            .find(|it| it.starts_with("http://127."));
        if let Some(url) = address {
            return Some(url.to_owned());
        }
        if ended {
            return None;
        }
        assert!(began.elapsed() < PATIENCE, "the hub did not start:\n{log}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the state of a record on a platform.
pub(crate) fn state_on<'a>(record: &'a Value, platform: &str) -> &'a str {
    record["deliveries"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["platform"] == platform)
        .and_then(|it| it["state"].as_str())
        .unwrap_or("none")
}

/// A client without a pool of its own to clean up.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

/// Asks until it is so, at most [`PATIENCE`] long; what it was instead is the failure's text.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(
    mut ask: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(instead) => assert!(began.elapsed() < PATIENCE, "it never came true: {instead}"),
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Reads a sample submission.
pub(crate) fn sample(name: &str) -> Value {
    let path = project().join("tests/samples/native").join(name);
    let mut text = String::new();
    std::fs::File::open(&path)
        .and_then(|mut file| file.read_to_string(&mut text))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// All sample submissions by name, in order.
pub(crate) fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = project().join("tests/samples/native");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("samples")
        .map(|it| it.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect()
}

/// An entry that belongs on all three platforms.
pub(crate) fn entry_for_all(source_id: &str, revision: i64) -> Value {
    let mut submission = sample("08-A3-P4-zhongbiao.json");
    submission["source_id"] = json!(source_id);
    submission["revision"] = json!(revision);
    submission["entry"]["title"] = json!(format!("中标结果公告 {source_id} 第{revision}次"));
    submission["entry"]["index_no"] = json!("");
    submission["entry"]["body"] =
        json!({"format": "text", "content": format!("正文 {source_id} {revision}")});
    submission
}

/// The platforms such an entry belongs on.
pub(crate) const ALL: [&str; 3] = ["gov-info", "integrity-portal", "engineering-projects"];

/// Asserts that a platform shows a record exactly once, in this version; waits for reviews.
pub(crate) async fn shows_once(platforms: &Platforms, id: &str, record_id: &str, version: i64) {
    eventually(|| async {
        let articles = platforms.articles(id).await;
        let mine: Vec<&Value> = articles
            .iter()
            .filter(|it| it["record_id"] == record_id)
            .collect();
        match mine.as_slice() {
            [one] if one["version"] == version => Ok(()),
            other => Err(format!("{id} shows {other:?} instead of version {version}")),
        }
    })
    .await;
}

/// Asserts that a platform does not show a record.
pub(crate) async fn shows_nothing(platforms: &Platforms, id: &str, record_id: &str) {
    eventually(|| async {
        let articles = platforms.articles(id).await;
        match articles
            .iter()
            .filter(|it| it["record_id"] == record_id)
            .count()
        {
            0 => Ok(()),
            count => Err(format!("{id} shows it {count} times")),
        }
    })
    .await;
}
