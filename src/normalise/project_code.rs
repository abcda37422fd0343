//! 项目编码: three generations that all occur, and the check digit of the third.

use super::text::narrow_without_blanks;
use regex::Regex;
use std::sync::LazyLock;

/// A project code after mending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectCode {
    /// The code without blanks, in upper case, with plain digits and dashes.
    pub code: String,
    /// 1 (2011 rules), 2 (2016 to October 2020) or 3 (GB/T 40058-2021); none when not recognised.
    pub generation: Option<u8>,
    /// False when a code of the third generation has a wrong check digit.
    pub check_digit_holds: bool,
}

/// Division, organisation code of the owner, year, serial.
static FIRST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{6}[0-9A-Z]{8}[0-9X](?:19|20)[0-9]{2}[0-9]{1,10}$")
        .expect("the pattern is a constant that the tests compile")
});

/// Four groups of digits, both later generations.
static DASHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{4}-[0-9]{6}-[0-9]{2}-[0-9]{2}-[0-9]{6}$")
        .expect("the pattern is a constant that the tests compile")
});

/// Returns the mended code and its generation.
pub fn project_code(raw: &str) -> ProjectCode {
    let code: String = narrow_without_blanks(raw)
        .chars()
        .map(|character| character.to_ascii_uppercase())
        .map(|character| match character {
            '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' | '－' => '-',
            other => other,
        })
        .collect();
    let generation = if DASHED.is_match(&code) {
        generation_of_dashed(&code)
    } else {
        FIRST.is_match(&code).then_some(1)
    };
    ProjectCode {
        check_digit_holds: generation != Some(3) || mod_11_10_holds(&code),
        code,
        generation,
    }
}

/// The first four digits are a year (2015 to 2020) in the second generation, and year and month in
/// the third; no text is both.
fn generation_of_dashed(code: &str) -> Option<u8> {
    match (code[..4].parse::<u16>(), code[2..4].parse::<u8>()) {
        (Ok(2015..=2020), _) => Some(2),
        (Ok(_), Ok(1..=12)) => Some(3),
        _ => None,
    }
}

/// ISO 7064 MOD 11,10 over all digits, the last one being the check digit.
fn mod_11_10_holds(code: &str) -> bool {
    let mut digits = code
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|byte| byte - b'0');
    let Some(check) = digits.next_back() else {
        return false;
    };
    let product = digits.fold(10, |product, digit| {
        let sum = match (product + digit) % 10 {
            0 => 10,
            other => other,
        };
        sum * 2 % 11
    });
    (product + check) % 10 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_generations_are_told_apart() {
        for (raw, generation) in [
            ("44020000699999920140001", Some(1)),
            ("440200MB9Y0037420140007", Some(1)),
            ("440200mb9y00382 2013 00012", Some(1)),
            ("2020-330327-48-01-167360", Some(2)),
            ("2020-451421-88-03-016343", Some(2)),
            ("2018-440205-30-03-801234", Some(2)),
            ("2603-141124-89-05-346948", Some(3)),
            ("２４０９－４４０２０５－０４－０１－２０００２７", Some(3)),
            ("2012-440205-04-01-200027", Some(3)),
            ("2013-440205-04-01-200027", None),
            ("SGZB2014-088", None),
            ("", None),
        ] {
            assert_eq!(project_code(raw).generation, generation, "{raw}");
        }
    }

    #[test]
    fn the_check_digit_of_the_third_generation_is_computed() {
        for code in [
            "2603-141124-89-05-346948",
            "2411-130202-89-01-637015",
            "2509-140602-89-05-864976",
            "2509-320193-89-01-544060",
            "2504-441223-04-01-343550",
            "2409-440205-04-01-200027",
            "2503-440281-04-05-777776",
        ] {
            assert!(project_code(code).check_digit_holds, "{code}");
        }
        assert!(!project_code("2409-440205-04-01-200028").check_digit_holds);
        assert!(project_code("2020-330327-48-01-167360").check_digit_holds);
    }

    #[test]
    fn blanks_and_wide_characters_are_mended() {
        let mended = project_code(" ２４０９-440205 —04—01- 200027\n");
        assert_eq!(mended.code, "2409-440205-04-01-200027");
    }

    proptest! {
        #[test]
        fn a_mended_code_stays_as_it_is(raw in "\\PC{0,40}") {
            let once = project_code(&raw);
            prop_assert_eq!(project_code(&once.code), once);
        }
    }
}
