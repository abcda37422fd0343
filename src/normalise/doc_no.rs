//! 文号: brings the many spellings of a document number to 代字〔年〕序号号.
//!
//! Numbers of another kind (公告〔2014〕第5号, 韶府令第120号) pass through: to force them into the
//! pattern would invent a number that no one issued.

use super::text::{narrow, narrow_without_blanks, one_line, says_nothing, visible};
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// A document number after normalising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocNo {
    /// The canonical number, of a joint document that of the unit that leads; as written when it is
    /// of another kind.
    pub canonical: String,
    /// Whether it is of the pattern 代字〔年〕序号号.
    pub recognised: bool,
    /// Whether it looks like a number at all; otherwise a person should look at it.
    pub is_number: bool,
    /// All numbers of a joint document, the lead first; empty otherwise.
    pub joint: Vec<String>,
}

/// Most units that issue one document together.
const JOINT_MAX: usize = 20;

/// Years in Chinese numerals, as seals and old documents have them.
static CHINESE_YEAR: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"[\[〔【(〖{<〈《] ?([一二三四五六七八九〇○零Oo]{4}) ?年? ?[\]〕】)〗}>〉》]")
});

/// The serial part: digits, or letters and digits such as `A-31`, or `12-1`.
const SERIAL: &str = r"(?P<serial>[A-Za-z]{1,4}-?[0-9]{1,6}|[0-9]{1,6}(?:-[0-9]{1,4})?)";

static LABEL: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:(?:发文字号|文件编号|文号) ?: ?)+"));

/// `代字〔2014〕12号…`, brackets of any kind.
static BRACKETED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r"^(?P<prefix>[^号]{{0,40}}?) ?[\[〔【(〖{{<〈《] ?(?P<year>(?:19|20)[0-9]{{2}}) ?年? ?[\]〕】)〗}}>〉》] ?(?P<ordinal>第)? ?{SERIAL} ?(?:(?P<mark>号)(?P<rest>.{{0,100}}))?$"
    ))
});

/// `代字2014年第12号…`
static YEAR_WORD: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r"^(?P<prefix>[^号0-9]{{1,40}}?) ?(?P<year>(?:19|20)[0-9]{{2}}) ?年 ?第? ?{SERIAL} ?(?P<mark>号)(?P<rest>.{{0,100}})$"
    ))
});

/// `代字2014-12`, `代字 2014 12号`
static DASHED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?P<prefix>[^号0-9]{1,40}?)[ \-]{0,3}(?P<year>(?:19|20)[0-9]{2}) ?[ \-‐–—/] ?(?P<serial>[0-9]{1,5}) ?号?$",
    )
});

/// Numbers of another kind: they end in 号, or name an order or announcement.
static OTHER_KIND: LazyLock<Regex> = LazyLock::new(|| regex(r"[0-9] ?号"));

/// Genres that number their pieces themselves, with 第.
const GENRES: [&str; 8] = ["公告", "通告", "公示", "通报", "令", "决定", "公报", "决议"];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// Returns the document number in `raw`, or none when it says that there is none.
pub fn doc_no(raw: &str) -> Option<DocNo> {
    if says_nothing(raw) {
        return None;
    }
    // Numbers that stand one below the other are several.
    let line = one_line(&visible(raw).replace("号\n", "号、"));
    let narrowed = single_blanks(&line);
    let text = LABEL.replace(&narrowed, "");
    if says_nothing(&text) {
        return None;
    }
    let joint = joint(&text);
    let canonical = joint.first().cloned().or_else(|| of_pattern(&text));
    let recognised = canonical.is_some();
    Some(DocNo {
        is_number: recognised || OTHER_KIND.is_match(&text),
        canonical: canonical.unwrap_or_else(|| match &text {
            Cow::Borrowed(_) => line,
            // Only the label is gone.
            Cow::Owned(text) => chinese_brackets(text),
        }),
        recognised,
        joint,
    })
}

fn single_blanks(text: &str) -> String {
    let narrowed = narrow(text);
    narrowed.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn of_pattern(text: &str) -> Option<String> {
    let text = arabic_year(text);
    BRACKETED
        .captures(&text)
        .filter(|found| is_prefix(&found["prefix"]))
        .and_then(|found| canonical_bracketed(&found))
        .or_else(|| {
            let found = YEAR_WORD.captures(&text)?;
            canonical_plain(&found)
                .filter(|_| !is_genre(&found["prefix"]) && is_prefix(&found["prefix"]))
        })
        .or_else(|| {
            let found = DASHED.captures(&text)?;
            canonical_plain(&found)
                .filter(|_| found["prefix"].chars().any(is_han) && is_prefix(&found["prefix"]))
        })
}

/// Returns the numbers of a joint document; nothing when `text` is not several whole numbers.
fn joint(text: &str) -> Vec<String> {
    let divided = text.replace("号 ", "号、");
    let parts: Vec<&str> = divided
        .split(['、', ',', ';', '/'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .take(JOINT_MAX + 1)
        .collect();
    if !(2..=JOINT_MAX).contains(&parts.len()) {
        return Vec::new();
    }
    parts
        .into_iter()
        .map(|part| {
            let is_whole = part.ends_with('号') && part.starts_with(is_han);
            is_whole.then(|| of_pattern(part)).flatten()
        })
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default()
}

/// Whether a 代字 may look like this: a title that ends in a number is none.
fn is_prefix(prefix: &str) -> bool {
    let mut open = 0_i32;
    let balanced = prefix.chars().all(|letter| {
        open += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        open >= 0
    });
    balanced && open == 0 && !prefix.contains(['、', ',', ';', '。', ':', '《', '》', '"'])
}

fn arabic_year(text: &str) -> Cow<'_, str> {
    CHINESE_YEAR.replace_all(text, |found: &Captures<'_>| {
        let (whole, year) = (&found[0], &found[1]);
        match super::written_date(year) {
            Some(written) => whole.replacen(year, &written.date, 1),
            None => whole.to_owned(),
        }
    })
}

fn canonical_bracketed(found: &Captures<'_>) -> Option<String> {
    let ordinal = match found.name("ordinal") {
        Some(_) if is_genre(&found["prefix"]) => "第",
        _ => "",
    };
    canonical(found, ordinal)
}

fn canonical_plain(found: &Captures<'_>) -> Option<String> {
    canonical(found, "")
}

fn canonical(found: &Captures<'_>, ordinal: &str) -> Option<String> {
    let prefix = narrow_without_blanks(found["prefix"].trim_matches([' ', '-', '–', '—']));
    let prefix = chinese_brackets(&prefix);
    let serial = serial(&found["serial"])?;
    let rest = found.name("rest").map_or("", |rest| rest.as_str().trim());
    // What goes on like a list and is none of whole numbers is left as it is.
    if rest.starts_with(['、', ',', ';', '/']) {
        return None;
    }
    let year = &found["year"];
    Some(format!(
        "{prefix}〔{year}〕{ordinal}{serial}号{}",
        chinese_brackets(rest.trim())
    ))
}

/// Returns the serial without leading zeros (不编虚位); none when nothing is left of it.
fn serial(written: &str) -> Option<&str> {
    if !written.starts_with(|first: char| first.is_ascii_digit()) {
        return Some(written);
    }
    let stripped = written.trim_start_matches('0');
    stripped
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(stripped)
}

fn is_genre(prefix: &str) -> bool {
    GENRES.contains(&prefix.trim()) || prefix.trim_end().ends_with('令')
}

fn is_han(character: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&character)
}

/// NFKC made Chinese brackets and colons narrow; a number that is shown has them wide.
fn chinese_brackets(text: &str) -> String {
    text.replace('(', "（").replace(')', "）")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical_of(raw: &str) -> Option<String> {
        doc_no(raw).map(|number| number.canonical)
    }

    #[test]
    fn every_spelling_becomes_the_canonical_number() {
        for tail in [
            "[2026]12号",
            "(2026)12",
            "（2026）12号",
            "【2026】12号",
            " 2026 12",
            "2026-12",
            "2026年第012号",
            "[2026] 12 号",
            "［２０２６］１２号",
            "〖2026〗12号",
            "｛2026｝12号",
            "<2026>012号",
            "〔2026年〕12号",
            "[2026）第12号",
        ] {
            assert_eq!(
                canonical_of(&format!("某办函{tail}")).as_deref(),
                Some("某办函〔2026〕12号"),
                "{tail}"
            );
        }
    }

    #[test]
    fn the_parts_of_a_number_are_kept() {
        for (raw, canonical) in [
            ("韶环审〔2018〕A-31号", "韶环审〔2018〕A-31号"),
            ("韶国资公示 2014-2", "韶国资公示〔2014〕2号"),
            ("韶路桥投〔2024〕027", "韶路桥投〔2024〕27号"),
            ("始府征告[2014] 3 号", "始府征告〔2014〕3号"),
            ("粤府土审（02）〔2014〕33号", "粤府土审（02）〔2014〕33号"),
            ("某办函(2026)12号附件1", "某办函〔2026〕12号附件1"),
            ("文号：韶财〔2014〕1号", "韶财〔2014〕1号"),
            ("公告(2014)第5号", "公告〔2014〕第5号"),
            ("粤府函〔2014〕120号", "粤府函〔2014〕120号"),
            ("粤办函〔2014〕120号", "粤办函〔2014〕120号"),
        ] {
            assert_eq!(canonical_of(raw).as_deref(), Some(canonical), "{raw}");
        }
    }

    #[test]
    fn numbers_of_another_kind_pass_through() {
        for raw in [
            "政府令187号",
            "韶府令第120号",
            "2014年第3号公告",
            "2014年第7号公告",
            "公告〔2014〕第5号",
        ] {
            let number = doc_no(raw).unwrap();
            assert_eq!(number.canonical, raw);
            assert!(number.is_number, "{raw}");
        }
    }

    #[test]
    fn what_is_no_number_is_kept_and_flagged() {
        for raw in [
            "见附件",
            "2014-09-18",
            "某局〔2014〕000号",
            "GB 2014-12",
            "韶府〔98〕12号",
            "韶财〔2014〕1、2号",
            "关于印发方案的通知（韶府〔2014〕12号）",
        ] {
            let number = doc_no(raw).unwrap();
            assert_eq!(number.canonical, raw);
            assert!(!number.recognised, "{raw}");
            assert_eq!(number.is_number, raw.contains('号'), "{raw}");
        }
    }

    #[test]
    fn a_joint_document_bears_several_numbers() {
        for raw in [
            "韶财[2014]1号、韶建（2014）002号",
            "韶财〔2014〕1号，韶建〔2014〕2号",
            "韶财〔2014〕1号\n韶建〔2014〕2号",
            "韶财〔2014〕1号 韶建〔2014〕2号",
        ] {
            let number = doc_no(raw).unwrap();
            assert_eq!(number.canonical, "韶财〔2014〕1号", "{raw}");
            assert_eq!(
                number.joint,
                ["韶财〔2014〕1号", "韶建〔2014〕2号"],
                "{raw}"
            );
        }
        assert!(doc_no("韶财〔2014〕1号附件1、2").unwrap().joint.is_empty());
    }

    #[test]
    fn a_year_in_chinese_numerals_is_a_year() {
        for raw in ["韶府〔一九九八〕12号", "韶府（二○一四）12号"] {
            let number = doc_no(raw).unwrap();
            assert!(
                number.recognised && number.canonical.ends_with("〕12号"),
                "{number:?}"
            );
        }
    }

    #[test]
    fn none_is_written_in_many_ways() {
        for raw in ["", "无", "—  —", " ", "文号：", "－"] {
            assert_eq!(doc_no(raw), None, "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_number_is_its_own_canonical_form(
            raw in "\\PC{0,40}|[韶办令公告A-Z( ]{0,5}[\\[〔(（ -]?(20|19|２０)[0-9]{2}[\\]〕)年 -]{0,2}第? ?[A0-9-]{0,6}号?.{0,4}"
        ) {
            if let Some(once) = doc_no(&raw) {
                let twice = doc_no(&once.canonical).map(|number| number.canonical);
                prop_assert_eq!(twice, Some(once.canonical));
            }
        }
    }
}
