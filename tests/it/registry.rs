//! The registry as a clerk, an inspector and an operator meet it: columns, deadlines, versions.

use crate::hub::{ALL, Hub, Platforms, SYNCHUB, project, sample};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

/// A copy of the shipped registry that may be changed.
struct Registry {
    folder: tempfile::TempDir,
}

impl Registry {
    fn copy() -> Self {
        let registry = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        copy(&project().join("connectors/catalogue"), registry.path());
        registry
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn replace(&self, file: &str, what: &str, by: &str) {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(text.contains(what), "{file} has no {what}");
        std::fs::write(path, text.replacen(what, by, 1)).expect("written");
    }

    fn environment(&self) -> (String, String) {
        let path = self.path().display().to_string();
        ("SYNCHUB__CONNECTORS__CATALOGUE".to_owned(), path)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, to).expect("copied");
        }
    }
}

fn entry(source_id: &str, changes: Value) -> Value {
    let mut submission = sample("10-A4-choujian-gonggao.json");
    submission["source_id"] = json!(source_id);
    submission["revision"] = json!(1);
    for (field, value) in changes.as_object().expect("fields") {
        submission["entry"][field] = value.clone();
    }
    submission
}

/// Runs the command line on a registry alone.
fn run(registry: &Registry, arguments: &[&str]) -> Output {
    let (name, value) = registry.environment();
    Command::new(SYNCHUB)
        .args(arguments)
        .current_dir(project())
        .env(name, value)
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn source_ids(hub: &Hub, query: &str) -> Vec<String> {
    let (status, page) = hub.get(&format!("/v1/records?{query}")).await;
    assert_eq!(status, 200, "{page:#}");
    let items = page["items"].as_array().expect("a list").iter();
    let mut ids: Vec<String> = items
        .map(|it| it["source_id"].as_str().expect("text").to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_column_names_the_nearest_and_a_missing_element_is_a_warning() {
    let hub = Hub::start(&[]);
    let (status, problem) = hub
        .post(entry("OA-1", json!({"column": "抽检信急"})).to_string())
        .await;
    assert_eq!(status, 422);
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["pointer"], &error["code"]),
        (&json!("/entry/column"), &json!("unknown_column"))
    );
    assert!(
        error["detail"].as_str().expect("text").contains("抽检信息"),
        "{error}"
    );
    let (status, _) = hub
        .post(entry("OA-2", json!({"column": "三公经费"})).to_string())
        .await;
    assert_eq!(status, 422, "a column of another area");

    let asked = json!({"area": "价格和收费", "column": "价格听证", "doc_no": ""});
    let answer = hub.submit(&entry("OA-3", asked)).await;
    let warning = &answer["warnings"][0];
    assert_eq!(
        (&warning["pointer"], &warning["code"]),
        (&json!("/entry/doc_no"), &json!("element_missing"))
    );

    let (status, problem) = hub.get("/v1/records?unit=市财证局").await;
    assert_eq!(status, 400);
    assert!(problem.to_string().contains("韶关市财政局"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_know_when_they_were_due_and_whether_they_were_late() {
    let hub = Hub::start(&[]);
    let today = jiff::Zoned::now().date().to_string();
    let leak = json!({"format": "text", "content": "联系人手机13800138000。"});
    for (source_id, changes) in [
        ("OLD", json!({"written_on": "2014年9月18日"})),
        ("NEW", json!({"written_on": today})),
        ("HELD", json!({"written_on": "2014-09-18", "body": leak})),
        (
            "BUDGET",
            json!({"written_on": "2014-09-18", "unit": "市财政局", "area": "A2", "column": "部门预算"}),
        ),
        ("AHEAD", json!({"written_on": "2099-12-31"})),
    ] {
        let mut submission = entry(source_id, changes);
        submission["entry"]["title"] = json!(format!("公告 {source_id}"));
        hub.submit(&submission).await;
    }
    let of = async |source_id: &str| {
        let (_, page) = hub.get(&format!("/v1/records?source_id={source_id}")).await;
        let id = page["items"][0]["id"].as_str().expect("text").to_owned();
        hub.get(&format!("/v1/records/{id}")).await.1
    };
    let old = of("OLD").await;
    assert_eq!(
        old["due_on"], "2014-10-21",
        "20 working days, National Day moved"
    );
    assert_eq!(
        (&old["late"], &old["due_provisional"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(old["versions"][0]["catalogue_version"], 1);
    assert_eq!(
        of("BUDGET").await["due_on"],
        "2014-10-08",
        "20 days, moved by the holidays"
    );
    assert_eq!(of("NEW").await["late"], false);
    let ahead = of("AHEAD").await;
    assert_eq!(
        ahead["due_provisional"], true,
        "no notice for that year: {}",
        ahead["due_on"]
    );

    assert_eq!(
        source_ids(&hub, "late=true").await,
        ["BUDGET", "HELD", "OLD"]
    );
    assert_eq!(source_ids(&hub, "late=false").await, ["AHEAD", "NEW"]);
    assert_eq!(source_ids(&hub, "late=true&state=held").await, ["HELD"]);
    assert_eq!(source_ids(&hub, "due_before=2014-10-21").await, ["BUDGET"]);
    assert_eq!(
        source_ids(&hub, "due_before=2014-10-22").await,
        ["BUDGET", "HELD", "OLD"]
    );
    assert_eq!(hub.get("/v1/records?due_before=soon").await.0, 400);

    let why = text(&hub.cli(&["why", "OLD"]).stdout);
    assert!(why.contains("公开时限：2014-10-21，已逾期"), "{why}");
    assert!(text(&hub.cli(&["why", "AHEAD"]).stdout).contains("暂按周末推算"));
    assert_eq!(hub.cli_json(&["why", "HELD"])["late"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_registry_is_a_new_version_and_a_former_name_still_means_the_unit() {
    let registry = Registry::copy();
    let mut hub = Hub::start(&[registry.environment()]);
    let first = entry("OA-1", json!({"unit": "市审计局"}));
    let id = hub.submit(&first).await["record_id"].clone();
    let (status, catalogue) = hub.get("/v1/catalogue").await;
    assert_eq!((status, &catalogue["version"]), (200, &json!(1)));
    assert!(catalogue["units"].as_array().expect("a list").len() > 60);
    let rule = catalogue["columns"].as_array().expect("a list").iter();
    let mut rule = rule.filter(|it| it["name"] == "行政许可办理情况");
    assert_eq!(
        rule.next().expect("there")["deadline_text"],
        "成文后 7 个工作日内"
    );

    // The bureau is renamed; the columns that it answers for follow.
    registry.replace(
        "units.csv",
        "韶关市审计局,市审计局,党政机关,440200,韶关市人民政府,",
        "韶关市审计委员会,市审计委,党政机关,440200,韶关市人民政府,韶关市审计局|市审计局",
    );
    assert!(hub.terminate());
    hub.run();
    let (status, again) = hub.post(first.to_string()).await;
    assert_eq!(
        (status, &again["changed"]),
        (200, &json!(false)),
        "the same bytes: {again:#}"
    );
    let second = hub
        .submit(&entry(
            "OA-2",
            json!({"unit": "市审计局", "title": "另一公告"}),
        ))
        .await;
    assert_eq!(second["warnings"][0]["code"], "former_name", "{second:#}");
    let record = async |id: &Value| {
        let id = id.as_str().expect("text");
        hub.get(&format!("/v1/records/{id}")).await.1
    };
    let (old, new) = (record(&id).await, record(&second["record_id"]).await);
    assert_eq!(
        (&old["unit_name"], &old["versions"][0]["catalogue_version"]),
        (&json!("韶关市审计局"), &json!(1))
    );
    assert_eq!(
        (&new["unit_name"], &new["versions"][0]["catalogue_version"]),
        (&json!("韶关市审计委员会"), &json!(2))
    );
    assert_eq!(old["unit_code"], new["unit_code"]);
    assert_eq!(
        source_ids(&hub, "unit=韶关市审计局").await,
        ["OA-1", "OA-2"]
    );

    let (_, catalogue) = hub.get("/v1/catalogue").await;
    assert_eq!(catalogue["version"], 2);
    let change = &catalogue["history"][0]["changes"][0];
    assert_eq!(
        (&change["section"], &change["change"]),
        (&json!("units"), &json!("changed"))
    );
    let shown = text(&hub.cli(&["catalogue", "show"]).stdout);
    assert!(
        shown.starts_with("version 2 (") && shown.contains("changed units 11440200MB9Y00075J name"),
        "{shown}"
    );
    let doctor = text(&hub.cli(&["doctor"]).stdout);
    assert!(doctor.contains("registry: version 2"), "{doctor}");
}

#[test]
fn everything_wrong_with_a_registry_is_told_with_its_place() {
    let registry = Registry::copy();
    let checked = run(&registry, &["catalogue", "check"]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    registry.replace("units.csv", "市财政局|市财局", "市财政局|市审计局");
    registry.replace(
        "columns.toml",
        "owner = \"韶关市审计局\"",
        "owner = \"没有的局\"",
    );
    let checked = run(&registry, &["catalogue", "check"]);
    assert_eq!(checked.status.code(), Some(1));
    let told = text(&checked.stdout);
    assert!(
        told.contains("units.csv, line 8") && told.contains("没有的局"),
        "{told}"
    );
    let json: Value =
        serde_json::from_slice(&run(&registry, &["catalogue", "check", "--json"]).stdout)
            .expect("JSON");
    assert_eq!(json["healthy"], false);
    assert_eq!(
        json["findings"].as_array().expect("a list").len(),
        2,
        "{json:#}"
    );
    // A hub does not start on it, and says what to do.
    let refused = text(&run(&registry, &["normalise", "entry", "{}"]).stdout);
    assert!(refused.contains("error"), "{refused}");
    let due = run(&registry, &["catalogue", "due", "2014-09-18"]);
    assert!(!due.status.success() && text(&due.stderr).contains("hint:"));
}

#[test]
fn a_platform_that_is_not_there_is_told() {
    let registry = Registry::copy();
    registry.replace(
        "codes.csv",
        "platform,unit,code\n",
        "platform,unit,code\nold-portal,市财政局,7\n",
    );
    let checked = run(&registry, &["catalogue", "check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(
        text(&checked.stdout).contains("old-portal"),
        "{}",
        text(&checked.stdout)
    );
}

#[test]
fn deadlines_are_told_and_a_year_without_holidays_is_never_silent() {
    let registry = Registry::copy();
    let due = |arguments: &[&str]| -> Value {
        let output = run(
            &registry,
            &[&["catalogue", "due", "--json"], arguments].concat(),
        );
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let general = due(&["二〇一四年九月十八日"]);
    assert_eq!(
        (&general["due_on"], &general["provisional"]),
        (&json!("2014-10-21"), &json!(false))
    );
    let permit = due(&["2014-09-26", "--area", "行政审批", "--column", "行政许可"]);
    assert_eq!(
        (&permit["due_on"], &permit["rule"]),
        (&json!("2014-10-11"), &json!("成文后 7 个工作日内"))
    );
    let unknown = run(
        &registry,
        &["catalogue", "due", "2014-09-18", "--column", "三工经费"],
    );
    assert!(
        text(&unknown.stderr).contains("三公经费"),
        "{}",
        text(&unknown.stderr)
    );

    std::fs::remove_file(registry.path().join("calendar/2014.toml")).expect("removed");
    let naive = due(&["2014-09-18"]);
    assert_eq!(
        (&naive["due_on"], &naive["provisional"]),
        (&json!("2014-10-16"), &json!(true))
    );
    std::fs::remove_dir_all(registry.path().join("calendar")).expect("removed");
    let doctor = text(&run(&registry, &["doctor"]).stdout);
    assert!(doctor.contains("warn  working days"), "{doctor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_know_what_their_platform_calls_a_unit() {
    let platforms = Platforms::start(&["--review-ms", "0"]);
    let registry = Registry::copy();
    let code = "市食药局,12440200006999993J";
    registry.replace(
        "codes.csv",
        "platform,unit,code\n",
        &format!("platform,unit,code\n{},{code}\n", ALL[0]),
    );
    let connectors = tempfile::tempdir().expect("a folder");
    let folder = connectors.path().join(ALL[0]);
    copy(&project().join("connectors").join(ALL[0]), &folder);
    let template = folder.join("templates/article.json.j2");
    let written = std::fs::read_to_string(&template).expect("readable");
    let changed = written.replace(
        "{{ record.unit.code }}",
        "{{ code_of(unit_codes, record.unit.code) }}",
    );
    assert_ne!(written, changed);
    std::fs::write(template, changed).expect("written");
    let mut environment = platforms.environment.clone();
    environment.push(registry.environment());
    let dirs = format!("connectors,{}", connectors.path().display());
    environment.push(("SYNCHUB__CONNECTORS__DIR".to_owned(), dirs));
    let hub = Hub::start(&environment);
    let checked = hub.cli(&["connector", "check", &folder.display().to_string()]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let id = hub.submit(&entry("OA-1", json!({}))).await["record_id"].clone();
    let record = hub.settled(id.as_str().expect("text")).await;
    let delivery = record["deliveries"][0]["id"]
        .as_str()
        .expect("text")
        .to_owned();
    let (_, delivery) = hub.get(&format!("/v1/deliveries/{delivery}")).await;
    assert!(
        matches!(delivery["state"].as_str(), Some("delivered" | "confirmed")),
        "{delivery:#}"
    );
    assert!(
        delivery.to_string().contains("12440200006999993J"),
        "{delivery:#}"
    );
}
