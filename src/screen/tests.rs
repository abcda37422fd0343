use super::*;
use crate::record::{Body, Disclosure, Unit};
use serde_json::json;

fn content(title: &str, html: &str, disclosure: Disclosure) -> Content {
    Content {
        title: title.to_owned(),
        doc_no: None,
        doc_no_raw: None,
        unit: Unit {
            code: "11440200MB9Y00067P".to_owned(),
            name: "韶关市财政局".to_owned(),
            division: "440200".to_owned(),
        },
        joint_units: Vec::new(),
        written_on: "2014-09-18".to_owned(),
        written_on_raw: "2014-09-18".to_owned(),
        disclosure,
        area: None,
        area_name: None,
        column: None,
        genre: None,
        keywords: Vec::new(),
        summary: None,
        index_no: None,
        body: Body {
            html: html.to_owned(),
        },
        attachments: Vec::new(),
        project: None,
        credit: None,
    }
}

fn file(name: &str, bytes: &[u8]) -> File {
    File {
        sha256: String::new(),
        name: name.to_owned(),
        media_type: "application/octet-stream".to_owned(),
        content: bytes.to_vec().into(),
    }
}

fn screened(content: &Content, declared: &str, files: &[File]) -> Screening {
    screen(
        &Inspected {
            content,
            declared,
            files,
        },
        crate::screen::Rules::built_in(),
    )
}

fn codes(screening: &Screening) -> Vec<HoldCode> {
    screening.holds.iter().map(|hold| hold.code).collect()
}

#[test]
fn holds_come_once_each_and_in_order() {
    let html = "<p>秘密★1年</p><p>公开方式：<b>依申请</b>公开</p><p>13800138000，13800138001</p>";
    let proactive = content("名单", html, Disclosure::Proactive);
    assert_eq!(
        codes(&screened(&proactive, "主动公开", &[])),
        [
            HoldCode::Contradiction,
            HoldCode::Secrecy,
            HoldCode::PersonalData
        ]
    );
    let undeclared = content("名单", html, Disclosure::Undeclared);
    let screening = screened(&undeclared, "部分公开", &[]);
    assert_eq!(
        codes(&screening),
        [
            HoldCode::Undeclared,
            HoldCode::Secrecy,
            HoldCode::PersonalData
        ]
    );
    assert!(screening.holds[0].detail.contains("部分公开"));
}

#[test]
fn a_number_that_markup_splits_is_still_one_number() {
    let html = "<p>电话138<b>0013</b>8000</p>";
    let screening = screened(&content("甲", html, Disclosure::Proactive), "主动公开", &[]);
    assert_eq!(codes(&screening), [HoldCode::PersonalData]);
    let detail = &screening.holds[0].detail;
    assert!(detail.contains("正文发现手机号 1 个"), "{detail}");
    let found = &screening.findings[0];
    assert_eq!(
        (
            found.code.as_str(),
            found.place.as_str(),
            found.start,
            found.end
        ),
        ("mobile", "正文", 2, 13)
    );
    assert_eq!(found.excerpt_masked, "138****8000");
    assert!(detail.contains("138****8000"), "{detail}");
    assert!(!detail.contains("13800138000"), "{detail}");
}

#[test]
fn fields_at_any_depth_titles_and_file_names_are_searched() {
    let mut in_fields = content("甲", "<p>乙</p>", Disclosure::Proactive);
    in_fields.project = serde_json::from_value(json!({
        "code": "1", "generation": null, "name": "甲", "owner": "", "group": "P4",
        "fields": {"人员": [{"证件": "440203199001011004"}, {"电话": 13_800_138_000_i64}]},
    }))
    .unwrap();
    let screening = screened(&in_fields, "主动公开", &[]);
    let detail = &screening.holds[0].detail;
    assert!(
        detail.contains("项目字段发现身份证号 1 个、手机号 1 个"),
        "{detail}"
    );
    let titled = content("寻人13800138000", "<p>乙</p>", Disclosure::Proactive);
    assert_eq!(
        codes(&screened(&titled, "主动公开", &[])),
        [HoldCode::PersonalData]
    );
    let clean = content("甲", "<p>乙</p>", Disclosure::Proactive);
    let named = file("张三440203199001011004.jpg", b"\xff\xd8");
    assert_eq!(
        codes(&screened(&clean, "主动公开", &[named])),
        [HoldCode::PersonalData]
    );
}

#[test]
fn text_attachments_are_read_in_either_charset() {
    let clean = content("甲", "<p>乙</p>", Disclosure::Proactive);
    let (gbk, _, _) =
        encoding_rs::GBK.encode("姓名,电话\n张三,13800138000\n公开方式：依申请公开\n");
    let screening = screened(&clean, "主动公开", &[file("名单.csv", &gbk)]);
    assert_eq!(
        codes(&screening),
        [HoldCode::Contradiction, HoldCode::PersonalData]
    );
    assert!(screening.holds[1].detail.contains("附件《名单.csv》"));
    assert_eq!(screening.warnings, []);
}

#[test]
fn a_workbook_that_cannot_be_opened_is_a_warning() {
    let clean = content("甲", "<p>乙</p>", Disclosure::Proactive);
    let locked = file("名单.xlsx", b"\xd0\xcf\x11\xe0\0\0encrypted");
    let screening = screened(&clean, "主动公开", &[locked]);
    assert_eq!(screening.holds, []);
    assert_eq!(screening.warnings[0].code, "attachment_unreadable");
    assert_eq!(screening.warnings[0].pointer, "/entry/attachments/0");
}

#[test]
fn documents_in_archives_are_screened_and_their_marks_count() {
    let document = "<w:document><w:p><w:t>机密★3年</w:t></w:p><w:p><w:t>440203199001011004</w:t></w:p></w:document>";
    let inner = attachment::tests::zipped(&[("word/document.xml", document.as_bytes())]);
    let outer = attachment::tests::zipped(&[("通知.docx", &inner)]);
    let clean = content("甲", "<p>乙</p>", Disclosure::Proactive);
    let screening = screened(&clean, "主动公开", &[file("附件.zip", &outer)]);
    assert_eq!(
        codes(&screening),
        [HoldCode::Secrecy, HoldCode::PersonalData]
    );
    assert_eq!(screening.findings.len(), 2);
    let told = format!("{screening:?}");
    assert!(!told.contains("440203199001011004"), "{told}");
}

#[test]
fn a_masked_version_is_let_through() {
    let open = "<table><tr><td>姓名</td><td>身份证号</td></tr><tr><td>张三</td><td>440203199001011004</td></tr></table>";
    let proactive = content("公示", open, Disclosure::Proactive);
    assert_eq!(
        codes(&screened(&proactive, "主动公开", &[])),
        [HoldCode::PersonalData]
    );
    let masked = content("公示", &mask(open), Disclosure::Proactive);
    assert!(masked.body.html.contains("44*************004"));
    assert_eq!(screened(&masked, "主动公开", &[]).holds, []);
}
