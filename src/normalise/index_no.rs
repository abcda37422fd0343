//! 索引号: kept as the unit numbered it; only its spelling is mended.

use super::text::{narrow, says_nothing};
use regex::Regex;
use std::sync::LazyLock;

/// Which rule an index number was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexFamily {
    /// 组织机构代码/年-序号, until about 2015.
    OrgCode,
    /// 统一社会信用代码/年-序号, since 2016.
    Uscc,
    /// Codes of division, unit and class, year and serial, divided by dashes.
    Classified,
    /// Made by a rule the hub does not know; kept all the same.
    Other,
}

impl IndexFamily {
    /// Returns the word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrgCode => "org_code",
            Self::Uscc => "uscc",
            Self::Classified => "classified",
            Self::Other => "other",
        }
    }
}

static FAMILIES: LazyLock<[(IndexFamily, Regex); 3]> = LazyLock::new(|| {
    [
        (
            IndexFamily::Uscc,
            r"^[0-9A-HJ-NP-RTUWXY]{18}/(?:19|20)[0-9]{2}-[0-9]{1,8}$",
        ),
        (
            IndexFamily::OrgCode,
            r"^[0-9A-Z]{8}-?[0-9X]/(?:19|20)[0-9]{2}-[0-9]{1,8}$",
        ),
        (
            IndexFamily::Classified,
            r"^[A-Z]{1,4}[0-9]{0,6}(?:-?[0-9A-Z]{1,8}){0,3}-(?:19|20)[0-9]{2}-[0-9]{1,8}$",
        ),
    ]
    .map(|(family, pattern)| {
        let pattern =
            Regex::new(pattern).expect("the pattern is a constant that the tests compile");
        (family, pattern)
    })
});

/// Returns the family of a mended index number; none when it does not look like a number.
pub fn index_family(number: &str) -> Option<IndexFamily> {
    let upper = number.to_ascii_uppercase();
    let known = FAMILIES
        .iter()
        .find(|(_, pattern)| pattern.is_match(&upper));
    known.map(|(family, _)| *family).or_else(|| {
        const OTHER_CHARS_MAX: usize = 60;
        let is_like = number.chars().count() <= OTHER_CHARS_MAX
            && number.chars().filter(char::is_ascii_digit).count() >= 3
            && number.contains(['-', '/', '_']);
        is_like.then_some(IndexFamily::Other)
    })
}

static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:\s*(?:信息)?索\s*引\s*号\s*:\s*)+")
        .expect("the pattern is a constant that the tests compile")
});

/// Returns the index number in `raw`, or none when it says that there is none.
pub fn index_no(raw: &str) -> Option<String> {
    if says_nothing(raw) {
        return None;
    }
    let narrowed = narrow(raw);
    let number = LABEL.replace(&narrowed, "");
    if says_nothing(&number) {
        return None;
    }
    Some(number.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_numbers_of_all_families_are_kept() {
        for number in [
            "000014349/2013-00081",
            "01404053X/2023-00861",
            "1144150000724047XL/2023-00165",
            "NP10-01-2014-12",
        ] {
            assert_eq!(index_no(&format!(" {number}\n")).as_deref(), Some(number));
        }
        assert_eq!(
            index_no("０００014349／2013－00081").as_deref(),
            Some("000014349/2013-00081")
        );
        assert_eq!(
            index_no("索　引　号：000014349/2013-00081").as_deref(),
            Some("000014349/2013-00081")
        );
        assert_eq!(index_no(" — "), None);
        assert_eq!(index_no("索引号："), None);
    }

    #[test]
    fn the_family_is_told_from_the_pattern() {
        for (number, family) in [
            ("000014349/2013-00081", Some(IndexFamily::OrgCode)),
            ("014006438/2026-03652", Some(IndexFamily::OrgCode)),
            ("01404053X/2023-00861", Some(IndexFamily::OrgCode)),
            ("1144150000724047XL/2023-00165", Some(IndexFamily::Uscc)),
            ("1137078555222300XQ/2015-00020", Some(IndexFamily::Uscc)),
            ("LA012-05-2014-12", Some(IndexFamily::Classified)),
            ("NP10001-01-2014-12", Some(IndexFamily::Classified)),
            ("2014-韶-00012", Some(IndexFamily::Other)),
            ("见附件", None),
            ("12", None),
        ] {
            assert_eq!(index_family(number), family, "{number}");
        }
    }
}
