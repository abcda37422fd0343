//! Every decoder and normaliser against what nobody would write: seeds of `tests/corpus`, mutated.
//!
//! A run tries some hundred mutations of each target; `SYNCHUB_FUZZ_CASES=100000` tries longer.
//! What breaks a target is added to its file, so that it is tried for ever after.

use crate::hub::project;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::path::PathBuf;
use synchub::connector::References;
use synchub::intake::{Incoming, Profiles};
use synchub::normalise as it;
use synchub::record::Disclosure;
use synchub::screen::{Rules, look, mask, screen_file};

fn corpus(name: &str) -> PathBuf {
    project().join("tests/corpus").join(name)
}

/// The seeds of a target, one a line.
fn seeds(target: &str) -> Vec<String> {
    let text = std::fs::read_to_string(corpus(&format!("{target}.txt"))).expect("a corpus");
    let seeds: Vec<String> = text
        .lines()
        .map(|line| line.replace("\\n", "\n").replace("\\t", "\t"))
        .collect();
    assert!(!seeds.is_empty(), "{target}");
    seeds
}

fn runner() -> TestRunner {
    let cases = std::env::var("SYNCHUB_FUZZ_CASES");
    let cases = cases.ok().and_then(|cases| cases.parse().ok());
    TestRunner::new(Config {
        cases: cases.unwrap_or(300),
        failure_persistence: None,
        ..Config::default()
    })
}

/// Pieces that parsers stumble over.
const PIECES: [&str; 24] = [
    "〔", "〕", "号", "第", "年", "月", "日", "万", "亿", "元", "零", "十", "-", "/", "０", "X",
    "\u{200b}", "\u{e81e}", "<", "\"", "&#0;", "\t", "\n", "𠀀",
];

/// Texts that began as a seed: letters lost, doubled, exchanged, pieces put in.
fn mutated(seeds: Vec<String>) -> impl Strategy<Value = String> {
    let wounds = proptest::collection::vec((0u8..5, any::<u16>(), 0usize..PIECES.len()), 0..6);
    (proptest::sample::select(seeds), wounds).prop_map(|(seed, wounds)| {
        let mut letters: Vec<char> = seed.chars().collect();
        for (kind, place, piece) in wounds {
            let place = usize::from(place) % (letters.len() + 1);
            match kind {
                0 if place < letters.len() => drop(letters.remove(place)),
                1 => {
                    let tail = letters[place..].to_vec();
                    letters.extend(tail);
                }
                2 if place < letters.len() => letters[place] = '9',
                3 => letters.truncate(place),
                _ => drop(letters.splice(place..place, PIECES[piece].chars())),
            }
        }
        letters.into_iter().collect()
    })
}

/// Runs a property over the corpus as it is, and mutated.
fn try_out(target: &str, property: impl Fn(&str) -> Result<(), TestCaseError>) {
    let seeds = seeds(target);
    for seed in &seeds {
        property(seed).unwrap_or_else(|error| panic!("{target} {seed:?}: {error}"));
    }
    runner()
        .run(&mutated(seeds), |text| property(&text))
        .unwrap_or_else(|error| panic!("{target}: {error}"));
}

#[test]
fn numbers_dates_and_amounts_are_settled_once() {
    try_out("doc_no", |text| {
        let Some(once) = it::doc_no(text) else {
            return Ok(());
        };
        let again = it::doc_no(&once.canonical).map(|number| number.canonical);
        prop_assert_eq!(again, Some(once.canonical));
        Ok(())
    });
    try_out("date", |text| {
        if let Some(once) = it::written_date(text) {
            prop_assert_eq!(it::written_date(&once.date), Some(once));
        }
        Ok(())
    });
    try_out("money", |text| {
        if let Ok(fen) = it::money(text) {
            let whole = format!(
                "{}{}.{:02}元",
                if fen < 0 { "-" } else { "" },
                fen.unsigned_abs() / 100,
                fen.unsigned_abs() % 100
            );
            prop_assert_eq!(it::money(&whole), Ok(fen));
        }
        Ok(())
    });
}

#[test]
fn codes_are_settled_once() {
    for (target, mend) in [
        ("uscc", it::uscc as fn(&str) -> Option<String>),
        ("org_code", it::org_code),
        ("id_card", it::id_card),
        ("index_no", it::index_no),
    ] {
        try_out(target, |text| {
            if let Some(once) = mend(text) {
                let again = mend(&once);
                prop_assert_eq!(again, Some(once));
            }
            Ok(())
        });
    }
    try_out("project_code", |text| {
        let once = it::project_code(text);
        prop_assert_eq!(it::project_code(&once.code), once);
        Ok(())
    });
}

#[test]
fn nothing_that_acts_survives_cleaning() {
    try_out("html", |text| {
        let Ok(once) = it::clean_html(&it::text::visible(text)) else {
            return Ok(());
        };
        let tags: Vec<&str> = once
            .html
            .split('<')
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
            .collect();
        for tag in tags {
            let tag = tag.to_ascii_lowercase();
            let acts = [
                "script",
                "iframe",
                "style",
                "svg",
                "=\"javascript:",
                "=\"data:",
                "mso-",
            ]
            .iter()
            .any(|word| tag.contains(word))
                || tag.contains(" on");
            prop_assert!(!acts, "{}", once.html);
        }
        let twice = it::clean_html(&once.html).map(|cleaned| cleaned.html);
        prop_assert_eq!(twice, Ok(once.html));
        Ok(())
    });
}

#[test]
fn what_is_found_can_be_shown_and_what_is_masked_is_quiet() {
    let rules = Rules::built_in();
    try_out("screen", |text| {
        for found in look(text, rules) {
            prop_assert!(text.get(found.start..found.end).is_some());
        }
        let masked = mask(text);
        prop_assert_eq!(mask(&masked), masked.clone());
        Ok(())
    });
}

/// Contents of files, damaged.
fn damaged(seeds: Vec<(String, Vec<u8>)>) -> impl Strategy<Value = (String, Vec<u8>)> {
    let wounds = proptest::collection::vec((any::<u16>(), any::<u8>()), 0..12);
    (proptest::sample::select(seeds), wounds, any::<u16>()).prop_map(
        |((name, mut bytes), wounds, cut)| {
            for (place, byte) in wounds {
                let place = usize::from(place) % bytes.len();
                bytes[place] = byte;
            }
            if cut % 4 == 0 {
                bytes.truncate(usize::from(cut) % bytes.len());
            }
            (name, bytes)
        },
    )
}

#[test]
fn files_are_looked_into_and_damaged_ones_do_no_harm() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(corpus("files")).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        files.push((name, std::fs::read(&path).expect("readable")));
    }
    let screened = |name: &str, bytes: &[u8]| {
        let file = it::File {
            sha256: String::new(),
            name: name.to_owned(),
            media_type: String::new(),
            content: bytes.to_vec().into(),
        };
        screen_file(0, &file, Disclosure::Proactive, Rules::built_in())
    };
    for (name, bytes) in &files {
        let screening = screened(name, bytes);
        assert!(
            screening.findings.iter().any(|it| it.code == "mobile"),
            "{name}"
        );
    }
    runner()
        .run(&damaged(files), |(name, bytes)| {
            let told = format!("{:?}", screened(&name, &bytes));
            prop_assert!(!told.contains("13800138000"), "{}", told);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn bodies_in_any_charset_and_shape_are_answered() {
    let mut bodies = Vec::new();
    let mut folders = vec![
        project().join("tests/samples/oa"),
        project().join("tests/samples/native"),
    ];
    let profiles_folder = project().join("connectors/oa");
    let profiles = Profiles::load(&profiles_folder, &References::placeholders()).expect("labels");
    folders.extend(
        profiles
            .ids()
            .iter()
            .map(|id| profiles_folder.join(id).join("samples")),
    );
    for folder in folders {
        for entry in std::fs::read_dir(folder).expect("samples") {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("readable");
            // Small ones are mutated at more telling places.
            if !bytes.is_empty() && bytes.len() < 12_000 {
                bodies.push((path.display().to_string(), bytes));
            }
        }
    }
    runner()
        .run(&damaged(bodies), |(_, bytes)| {
            for content_type in [
                "",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x-1",
                "multipart/form-data; boundary=----synchubSample7d9f2c",
                "text/xml; charset=gbk",
            ] {
                let _ = it::decode_body(content_type, &bytes);
                let named = profiles.ids().into_iter().map(|id| profiles.get(id));
                for profile in std::iter::once(None).chain(named) {
                    let incoming = Incoming {
                        body: &bytes,
                        content_type,
                        profile,
                    };
                    let reading = profiles.read(incoming);
                    if let Err(errors) = &reading.submission {
                        prop_assert!(!errors.is_empty());
                    }
                    // What is read once is read so again.
                    let again = profiles.read(incoming);
                    prop_assert_eq!(format!("{:?}", reading), format!("{:?}", again));
                }
            }
            if let Err(errors) = synchub::intake::parse_submission(&bytes) {
                prop_assert!(!errors.is_empty());
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
