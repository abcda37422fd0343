//! The shipped profiles give what their samples say, and mistakes in profiles are named.

use super::*;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/oa")
}

#[test]
fn every_sample_gives_what_it_says() {
    let labels = Labels::load(&dir()).unwrap();
    let folders = folders(&dir());
    assert!(folders.len() >= 8);
    let mut samples = 0;
    let mut findings = Vec::new();
    for folder in folders {
        let report = check(&folder, &labels);
        samples += report.samples;
        findings.extend(
            report
                .findings
                .into_iter()
                .map(|it| format!("{} {}: {}", report.profile, it.file, it.problem)),
        );
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(samples > 25);
}

const MINIMAL: &str =
    "name = \"n\"\nversion = 1\nformats = [\"json\"]\nlabels = true\n[[place]]\nat = \"\"\n";

fn parse(text: &str) -> Result<Profile, String> {
    Profile::parse("x".to_owned(), text, &References::placeholders())
}

#[test]
fn mistakes_in_a_profile_are_named() {
    assert!(parse(MINIMAL).is_ok());
    for (text, told) in [
        (
            format!("{MINIMAL}[fields]\n\"/entry/titel\" = \"t\"\n"),
            "titel",
        ),
        (
            format!("{MINIMAL}[fields]\n\"/entry/title\" = {{ form = [\"t\"] }}\n"),
            "form",
        ),
        (format!("{MINIMAL}atat = 1\n"), "atat"),
        (format!("{MINIMAL}name = \"n\"\n"), "name and value"),
        (MINIMAL.replace("labels", "lables"), "lables"),
        (MINIMAL.replace("\"json\"", "\"yaml\""), "yaml"),
        (MINIMAL.replace("labels = true", ""), "nothing is known"),
        (MINIMAL.replace("at = \"\"", "at = \"data\""), "pointer"),
        (
            format!("{MINIMAL}[answer]\naccepted = {{ a = \"{{b}}\" }}\nrefused = {{}}\n"),
            "{b}",
        ),
    ] {
        let problem = parse(&text).unwrap_err();
        assert!(problem.contains(told), "{told}: {problem}");
    }
    let bad_name = Profile::parse("A b".to_owned(), MINIMAL, &References::placeholders());
    assert!(bad_name.unwrap_err().contains("A b"));
}

#[test]
fn a_bad_profile_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(dir().join("labels.toml"), folder.path().join("labels.toml")).unwrap();
    for (name, text) in [("good", MINIMAL), ("bad", "name = 1\n")] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join(PROFILE_FILE), text).unwrap();
    }
    let profiles = Profiles::load(folder.path(), &References::default()).unwrap();
    assert_eq!(profiles.ids(), ["good"]);
    assert_eq!(profiles.failures()[0].id, "bad");
    assert!(profiles.failures()[0].problem.contains("profile.toml"));
}

#[test]
fn an_address_that_is_not_configured_is_told() {
    let profiles = Profiles::load(&dir(), &References::with_overrides([])).unwrap();
    let body = std::fs::read(dir().join("seeyon/samples/publish.body")).unwrap();
    let errors = profiles
        .translate(crate::intake::Incoming {
            body: &body,
            content_type: "",
            profile: None,
        })
        .native
        .unwrap_err();
    assert_eq!(errors[0].code, "attachment_url");
    assert!(errors[0].detail.contains("名单 1.txt"), "{errors:?}");
}

#[test]
fn a_table_without_headings_is_a_warning_and_one_that_is_said_is_none() {
    let profiles = Profiles::load(&dir(), &References::placeholders()).unwrap();
    let read = |cell: &str| {
        let fields = serde_json::json!([
            {"fieldName": "bt", "fieldValue": "标题"},
            {"fieldName": "zw", "fieldValue": "<p>甲&nbsp;<b>1.00</b>元</p>"},
        ]);
        let rows = serde_json::json!([{"workflowRequestTableRecords": [
            {"workflowRequestTableFields": [{"fieldName": "qt", "fieldValue": cell}]},
        ]}]);
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("mainData", &fields.to_string())
            .append_pair("detailData", &rows.to_string())
            .finish();
        let translation = profiles.translate(crate::intake::Incoming {
            body: form.as_bytes(),
            content_type: "application/x-www-form-urlencoded",
            profile: profiles.get("ecology-form"),
        });
        translation.native.unwrap()
    };
    for said in ["甲 1.00 元", "1.00元", ""] {
        assert_eq!(read(said).1, [], "{said}");
    }
    let (native, warnings) = read("2.00");
    assert_eq!(warnings[0].code, "detail_without_headings");
    let content = native["entry"]["body"]["content"].as_str().unwrap();
    assert!(!content.contains("2.00"), "{content}");
}
