use super::*;
use serde_json::{Value, json};
use std::path::Path;

fn catalogue() -> Catalogue {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/catalogue");
    Catalogue::load(&dir).unwrap()
}

fn entry(changes: Value) -> Entry {
    let mut entry = json!({
        "title": "关于印发方案的通知",
        "doc_no": "韶财[2014]1号",
        "unit": "市财政局",
        "written_on": "2014年9月18日",
        "disclosure": "主动公开",
        "body": {"format": "text", "content": "　　正文。"},
    });
    for (key, value) in changes.as_object().unwrap() {
        entry[key] = value.clone();
    }
    serde_json::from_value(entry).unwrap()
}

fn codes(changes: Value) -> Vec<(String, String)> {
    let errors = normalise(&entry(changes), &catalogue()).unwrap_err();
    errors
        .into_iter()
        .map(|error| (error.pointer, error.code))
        .collect()
}

#[test]
fn an_entry_becomes_canonical() {
    let changes = json!({"index_no": "—", "area": "", "keywords": [" 甲 ", "", "甲"]});
    let normalised = normalise(&entry(changes), &catalogue()).unwrap();
    let content = normalised.content;
    assert_eq!(content.doc_no.as_deref(), Some("韶财〔2014〕1号"));
    assert_eq!(content.doc_no_raw.as_deref(), Some("韶财[2014]1号"));
    assert_eq!(content.written_on, "2014-09-18");
    assert_eq!(content.unit.name, "韶关市财政局");
    assert_eq!(content.body.html, "<p>正文。</p>");
    assert_eq!(content.keywords, ["甲"]);
    assert_eq!((content.index_no, content.area), (None, None));
    assert!(content.joint_units.is_empty());
    assert_eq!(normalised.warnings, []);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = codes(json!({
        "title": " \n　",
        "unit": "市财证局",
        "written_on": "2014-02-30",
        "area": "环境保户",
        "body": {"format": "html", "content": "<p>&nbsp;</p>"},
        "attachments": [],
        "project": {"code": " ", "name": "甲", "group": "P1"},
    }));
    let expected = [
        ("/entry/title", "title_empty"),
        ("/entry/unit", "unknown_unit"),
        ("/entry/written_on", "date_invalid"),
        ("/entry/area", "unknown_area"),
        ("/entry/body/content", "body_empty"),
        ("/entry/project/code", "required"),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn an_unknown_name_comes_with_those_that_read_like_it() {
    let errors = normalise(
        &entry(json!({"unit": "韶关市财证局", "area": "环境保户"})),
        &catalogue(),
    )
    .unwrap_err();
    assert!(errors[0].detail.contains("韶关市财政局"), "{errors:?}");
    assert!(errors[1].detail.contains("环境保护"), "{errors:?}");
}

#[test]
fn hostile_nesting_is_an_error_of_the_text() {
    let found = codes(json!({"body": {"format": "html", "content": "<div>".repeat(5_000)}}));
    assert_eq!(
        found,
        [("/entry/body/content".to_owned(), "html_too_deep".to_owned())]
    );
}

#[test]
fn doubts_become_warnings() {
    let normalised = normalise(
        &entry(json!({
            "doc_no": "见正文",
            "project": {"code": "2409-440205-04-01-200028", "name": "甲", "group": "P1",
                "fields": {"结果": " 同意\u{200b} ", "期": [{"额": 1.50}]}},
            "credit": {"subject": "甲公司", "uscc": "9144030071526762XG", "group": "良好行为"},
        })),
        &catalogue(),
    )
    .unwrap();
    let codes: Vec<_> = normalised
        .warnings
        .iter()
        .map(|warning| warning.code.as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "doc_no_unrecognised",
            "project_code_check_digit",
            "uscc_check_digit"
        ]
    );
    let project = normalised.content.project.unwrap();
    assert_eq!(project.generation, Some(3));
    assert_eq!(project.fields["结果"], "同意");
    assert_eq!(project.fields["期"], json!([{"额": 1.50}]));
}

#[test]
fn a_column_is_found_or_comes_with_those_that_read_like_it() {
    let normalised = normalise(
        &entry(json!({"area": "价格和收费", "column": "收费目录"})),
        &catalogue(),
    );
    let normalised = normalised.unwrap();
    assert_eq!(normalised.content.column.as_deref(), Some("收费目录与标准"));
    let errors = normalise(
        &entry(json!({"area": "财政预算决算", "column": "三工经费"})),
        &catalogue(),
    )
    .unwrap_err();
    assert_eq!(errors[0].pointer, "/entry/column");
    assert_eq!(errors[0].code, "unknown_column");
    assert!(
        errors[0].detail.contains("是否为：三公经费"),
        "{}",
        errors[0].detail
    );
    // The area alone is wrong; what its columns are is not known then.
    assert_eq!(
        codes(json!({"area": "没有的领域", "column": "三公经费"})),
        [("/entry/area".to_owned(), "unknown_area".to_owned())]
    );
}

fn warnings(changes: Value) -> Vec<(String, String, String)> {
    let normalised = normalise(&entry(changes), &catalogue()).unwrap();
    let warnings = normalised.warnings.into_iter();
    warnings
        .map(|it| (it.pointer, it.code, it.detail))
        .collect()
}

#[test]
fn what_a_column_asks_for_and_does_not_get_is_a_warning() {
    let told = warnings(json!({"area": "A1", "column": "行政审批结果", "doc_no": "无"}));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].0.as_str(), told[0].1.as_str()),
        ("/entry/doc_no", "element_missing")
    );
    assert!(told[0].2.contains("文号"), "{told:?}");
    assert!(warnings(json!({"area": "A1", "column": "行政审批结果"})).is_empty());

    let with_text = |content: &str| json!({"area": "A2", "column": "三公经费", "body": {"format": "html", "content": content}});
    let whole = "<p>因公出<b>国</b>费、公务用车购置费、公务用车运行费、公务接待费</p>";
    assert!(warnings(with_text(whole)).is_empty());
    let told = warnings(with_text("<p>公务用车购置费、车辆运行费、公务接待费</p>"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].2.contains("出国"), "{told:?}");
}

#[test]
fn a_column_without_its_area_and_a_former_name_are_told() {
    let told = warnings(json!({"column": "部门预算"}));
    assert_eq!(
        (told[0].0.as_str(), told[0].1.as_str()),
        ("/entry/area", "area_missing")
    );
    assert!(told[0].2.contains("财政预算决算"), "{told:?}");
    let told = warnings(json!({"column": "主要信息"}));
    assert_eq!(told[0].1, "area_missing");
    let told = warnings(json!({"unit": "曲江县人民政府"}));
    assert_eq!(told[0].1, "former_name");
    assert!(told[0].2.contains("韶关市曲江区人民政府"), "{told:?}");
}
