//! The model of three platforms: what each shows, and everything that was ever saved there.
//!
//! It takes whatever comes, an older version over a newer one included, so that the hub's promises
//! are the hub's. It lives on a thread of its own and survives the hub.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How long a slow answer takes: long enough for other things to happen meanwhile.
const SLOW: Duration = Duration::from_millis(40);
/// Nobody is stuck for longer, so that the hub still waits for the answer.
const STUCK_MAX: Duration = Duration::from_secs(2);

/// What happens to the next request that would change something, or to the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing is saved and no answer comes.
    LostRequest,
    /// It is saved and no answer comes.
    LostAnswer,
    /// It is saved and half of the answer comes.
    HalfAnswer,
    /// Nothing is saved, and the server has an error.
    ErrorUnsaved,
    /// It is saved, and the server has an error.
    ErrorSaved,
    /// Nothing is saved, and the answer is one that nobody understands.
    GarbageUnsaved,
    /// It is saved, and the answer is one that nobody understands.
    GarbageSaved,
    /// It is saved at once and answered after a while.
    SlowAnswer,
    /// It is saved after a while, whether the sender still waits or not.
    SlowSave,
    /// It is saved and answered when it is let go.
    Stuck,
    /// Too many requests.
    Busy,
    /// Too many requests for the next second.
    BusyAWhile,
    /// Refused for good.
    Refused,
    /// The next question gets no answer.
    LostQuestion,
    /// The next question gets an answer that nobody understands.
    GarbageToQuestion,
}

impl Fault {
    fn concerns_questions(self) -> bool {
        matches!(self, Self::LostQuestion | Self::GarbageToQuestion)
    }
}

/// One object on a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) id: usize,
    pub(super) key: String,
    pub(super) version: i64,
    pub(super) title: String,
    pub(super) live: bool,
}

/// Something that was saved to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) platform: String,
    pub(super) key: String,
    pub(super) version: i64,
    pub(super) title: String,
}

#[derive(Default)]
struct Shelf {
    objects: BTreeMap<String, Vec<Object>>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    /// Platform → the key whose request is stuck there.
    stuck: BTreeMap<String, String>,
    /// Platform and key → requests that have arrived.
    asked: BTreeMap<(String, String), usize>,
    saved: Vec<Saved>,
    /// Platform and key of what was lost.
    lost: BTreeSet<(String, String)>,
    open: usize,
    problems: Vec<String>,
}

/// The three platforms.
#[derive(Clone)]
pub(super) struct Platforms {
    pub(super) url: String,
    shelf: Arc<Mutex<Shelf>>,
}

struct Request {
    method: String,
    platform: String,
    /// The rest of the path, or the key that is asked for.
    name: String,
    key: Option<String>,
    body: Value,
}

impl Platforms {
    /// Starts them on a free port; they end with the process.
    pub(super) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shelf = Arc::<Mutex<Shelf>>::default();
        let kept = Arc::clone(&shelf);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    lock(&kept).open += 1;
                    let shelf = Arc::clone(&kept);
                    tokio::spawn(async move {
                        // An error is a hub that went away.
                        let _ = serve(stream, &shelf).await;
                        lock(&shelf).open -= 1;
                    });
                }
            });
        });
        Self { url, shelf }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        let mut shelf = lock(&self.shelf);
        let open = shelf.open;
        *shelf = Shelf {
            open,
            ..Shelf::default()
        };
    }

    /// Plays this for the next request that it concerns.
    pub(super) fn play(&self, platform: &str, fault: Fault) {
        let mut shelf = lock(&self.shelf);
        let faults = shelf.faults.entry(platform.to_owned()).or_default();
        faults.push_back(fault);
    }

    /// From now on everything is well.
    pub(super) fn behave(&self) {
        let mut shelf = lock(&self.shelf);
        shelf.faults.clear();
        shelf.stuck.clear();
    }

    /// Lets go what is stuck.
    pub(super) fn let_go(&self, platform: &str) {
        lock(&self.shelf).stuck.remove(platform);
    }

    /// Returns the key whose request is stuck.
    pub(super) fn stuck(&self, platform: &str) -> Option<String> {
        lock(&self.shelf).stuck.get(platform).cloned()
    }

    /// A person at the platform makes it show this version of a record, or nothing of it.
    pub(super) fn by_hand(&self, platform: &str, key: &str, shown: Option<(i64, String)>) {
        let mut shelf = lock(&self.shelf);
        shelf.lost.remove(&(platform.to_owned(), key.to_owned()));
        let objects = shelf.objects.entry(platform.to_owned()).or_default();
        let Some((version, title)) = shown else {
            let mine = objects.iter_mut().filter(|object| object.key == key);
            mine.for_each(|object| object.live = false);
            return;
        };
        // What was deleted here never comes back under its id.
        let may_return = platform != "asked";
        let place = objects
            .iter()
            .position(|object| object.key == key && (object.live || may_return));
        let made = Object {
            id: place.unwrap_or(objects.len()),
            key: key.to_owned(),
            version,
            title: title.clone(),
            live: true,
        };
        match place {
            Some(place) => objects[place] = made,
            None => objects.push(made),
        }
        shelf.saved.push(Saved {
            platform: platform.to_owned(),
            key: key.to_owned(),
            version,
            title,
        });
    }

    /// The platform loses what it shows of a record.
    pub(super) fn lose(&self, platform: &str, key: &str) {
        let mut shelf = lock(&self.shelf);
        let objects = shelf.objects.entry(platform.to_owned()).or_default();
        let mut mine = objects
            .iter_mut()
            .filter(|object| object.live && object.key == key);
        if let Some(object) = mine.next() {
            object.live = false;
            shelf.lost.insert((platform.to_owned(), key.to_owned()));
        }
    }

    /// Returns whether the platform has lost what it showed of a record, and not got it again.
    pub(super) fn has_lost(&self, platform: &str, key: &str) -> bool {
        let lost = (platform.to_owned(), key.to_owned());
        lock(&self.shelf).lost.contains(&lost)
    }

    /// Returns how many requests about a record have arrived.
    pub(super) fn asked(&self, platform: &str, key: &str) -> usize {
        let asked = (platform.to_owned(), key.to_owned());
        lock(&self.shelf).asked.get(&asked).copied().unwrap_or(0)
    }

    /// Returns what a platform shows of a record.
    pub(super) fn live(&self, platform: &str, key: &str) -> Vec<Object> {
        let shelf = lock(&self.shelf);
        let objects = shelf.objects.get(platform).into_iter().flatten();
        objects
            .filter(|object| object.live && object.key == key)
            .cloned()
            .collect()
    }

    /// Returns everything that was ever saved to be shown, in order.
    pub(super) fn saved(&self) -> Vec<Saved> {
        lock(&self.shelf).saved.clone()
    }

    /// Returns what no honest hub would have asked for.
    pub(super) fn problems(&self) -> Vec<String> {
        lock(&self.shelf).problems.clone()
    }

    /// Waits until everything that a dead hub has sent has been carried out.
    pub(super) fn until_quiet(&self) {
        // Connections are taken in their order: those of the dead hub before this one.
        let address = self.url.trim_start_matches("http://");
        let own = std::net::TcpStream::connect(address).expect("it listens");
        drop(own);
        lock(&self.shelf).stuck.clear();
        let began = std::time::Instant::now();
        while lock(&self.shelf).open > 0 {
            assert!(began.elapsed() < crate::hub::PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().expect("no panic while holding it")
}

async fn serve(stream: TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let fault = lock(shelf).arrives(&request);
        match fault {
            Some(Fault::SlowSave) => tokio::time::sleep(SLOW).await,
            Some(Fault::Stuck) => until_let_go(shelf, &request.platform).await,
            _ => {}
        }
        let saves = !matches!(
            fault,
            Some(
                Fault::LostRequest
                    | Fault::ErrorUnsaved
                    | Fault::GarbageUnsaved
                    | Fault::Busy
                    | Fault::BusyAWhile
                    | Fault::Refused
                    | Fault::LostQuestion
                    | Fault::GarbageToQuestion
            )
        );
        let answer = match saves {
            true => lock(shelf).carry_out(&request),
            false => (200, json!({})),
        };
        let garbage = "<html>系统繁忙</html>";
        match fault {
            Some(Fault::LostRequest | Fault::LostAnswer | Fault::LostQuestion) => return Ok(()),
            Some(Fault::HalfAnswer) => {
                let text = answer.1.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&text.as_bytes()[..text.len() / 2]).await?;
                return stream.flush().await;
            }
            Some(Fault::ErrorUnsaved | Fault::ErrorSaved) => {
                write(&mut stream, 500, "error").await?;
            }
            Some(Fault::GarbageUnsaved | Fault::GarbageSaved | Fault::GarbageToQuestion) => {
                write(&mut stream, 200, garbage).await?;
            }
            Some(Fault::Busy) => write(&mut stream, 429, "busy").await?,
            Some(Fault::BusyAWhile) => {
                let text = "HTTP/1.1 429 Model\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(text.as_bytes()).await?;
                stream.flush().await?;
            }
            Some(Fault::Refused) => write(&mut stream, 422, r#"{"error":"refused"}"#).await?,
            Some(Fault::SlowAnswer) => {
                tokio::time::sleep(SLOW).await;
                write(&mut stream, answer.0, &answer.1.to_string()).await?;
            }
            Some(Fault::SlowSave | Fault::Stuck) | None => {
                write(&mut stream, answer.0, &answer.1.to_string()).await?;
            }
        }
    }
    Ok(())
}

async fn until_let_go(shelf: &Mutex<Shelf>, platform: &str) {
    let began = std::time::Instant::now();
    while lock(shelf).stuck.contains_key(platform) && began.elapsed() < STUCK_MAX {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    lock(shelf).stuck.remove(platform);
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    let mut words = head.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().trim_start_matches('/');
    let (platform, name) = path
        .split_once("?key=")
        .or_else(|| path.split_once('/'))
        .unwrap_or((path, ""));
    Ok(Some(Request {
        method,
        platform: platform.to_owned(),
        name: name.to_owned(),
        key: header("x-key"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }))
}

async fn write(stream: &mut BufReader<TcpStream>, status: u16, text: &str) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status} Model\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await
}

impl Shelf {
    /// Takes note of a request and returns what goes wrong with it.
    fn arrives(&mut self, request: &Request) -> Option<Fault> {
        let fault = self.next_fault(request);
        let key = self.key_of(request);
        let platform = request.platform.clone();
        if fault == Some(Fault::Stuck) {
            self.stuck.insert(platform.clone(), key.clone());
        }
        *self.asked.entry((platform, key)).or_default() += 1;
        fault
    }

    /// The key of the record that a request is about.
    fn key_of(&self, request: &Request) -> String {
        let by_id = || {
            let objects = self.objects.get(&request.platform)?;
            let id: usize = request.name.parse().ok()?;
            objects.get(id).map(|object| object.key.clone())
        };
        let said = || request.body["key"].as_str().map(ToOwned::to_owned);
        said()
            .or_else(by_id)
            .unwrap_or_else(|| request.name.clone())
    }

    fn next_fault(&mut self, request: &Request) -> Option<Fault> {
        let question = request.method == "GET";
        let faults = self.faults.get_mut(&request.platform)?;
        let place = faults
            .iter()
            .position(|fault| fault.concerns_questions() == question)?;
        faults.remove(place)
    }

    fn carry_out(&mut self, request: &Request) -> (u16, Value) {
        let platform = request.platform.as_str();
        let keyed = platform == "keyed";
        let Request { method, name, .. } = request;
        let objects = self.objects.entry(platform.to_owned()).or_default();
        let place = match method.as_str() {
            "GET" => objects
                .iter()
                .position(|object| object.live && object.key == *name),
            "POST" => objects
                .iter()
                .position(|object| Some(&object.key) == request.key.as_ref()),
            _ if keyed => objects.iter().position(|object| object.key == *name),
            _ => name.parse().ok().filter(|id| *id < objects.len()),
        };
        match (method.as_str(), place) {
            ("GET", Some(place)) => {
                let Object {
                    id, version, title, ..
                } = &objects[place];
                let found = json!({"id": id.to_string(), "version": version, "title": title});
                (200, json!({"ok": true, "found": found}))
            }
            ("GET", None) => (200, json!({"ok": true})),
            ("DELETE", Some(place)) if objects[place].live => {
                objects[place].live = false;
                (200, json!({"ok": true}))
            }
            ("DELETE", _) => (404, json!({"error": "missing"})),
            // The key was used: the object is as it was.
            ("POST", Some(place)) => (
                409,
                json!({"error": "exists", "id": objects[place].id.to_string()}),
            ),
            // What was deleted here never comes back under its id.
            ("PUT", Some(place)) if platform == "asked" && !objects[place].live => {
                (404, json!({"error": "missing"}))
            }
            ("PUT", None) if !keyed => (404, json!({"error": "missing"})),
            ("PUT" | "POST", place) => {
                let object = Object {
                    id: place.unwrap_or(objects.len()),
                    key: request.body["key"].as_str().unwrap_or_default().to_owned(),
                    version: request.body["version"].as_i64().unwrap_or_default(),
                    title: request.body["title"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                    live: true,
                };
                self.saved.push(Saved {
                    platform: platform.to_owned(),
                    key: object.key.clone(),
                    version: object.version,
                    title: object.title.clone(),
                });
                self.lost.remove(&(platform.to_owned(), object.key.clone()));
                let id = object.id;
                match place {
                    Some(place) => objects[place] = object,
                    None => objects.push(object),
                }
                (200, json!({"ok": true, "id": id.to_string()}))
            }
            _ => {
                self.problems.push(format!("{method} {platform} {name}"));
                (404, json!({"error": "no_such_call"}))
            }
        }
    }
}
