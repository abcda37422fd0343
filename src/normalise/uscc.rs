//! 统一社会信用代码 (GB 32100-2015): spelling and check digit.

use super::text::narrow_without_blanks;

const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const WEIGHTS: [usize; 17] = [
    1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28,
];

/// Returns `raw` in upper case without blanks, or none when it is blank.
pub fn uscc(raw: &str) -> Option<String> {
    let code = narrow_without_blanks(raw).to_ascii_uppercase();
    (!super::text::says_nothing(&code)).then_some(code)
}

/// Whether `code` has 18 characters of the alphabet and the right check digit.
pub fn uscc_holds(code: &str) -> bool {
    let value = |byte: u8| ALPHABET.iter().position(|&letter| letter == byte);
    let Some(values) = code.bytes().map(value).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let [body @ .., check] = values.as_slice() else {
        return false;
    };
    if body.len() != WEIGHTS.len() {
        return false;
    }
    let sum: usize = body
        .iter()
        .zip(WEIGHTS)
        .map(|(value, weight)| value * weight)
        .sum();
    (31 - sum % 31) % 31 == *check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_computed() {
        for code in [
            "91350100M000100Y43",
            "9144030071526726XG",
            "914403001922038216",
            "1144150000724047XL",
            "1137078555222300XQ",
            "91110000802100433B",
            "91440300708461136T",
            "11440200006999994D",
            "11440203MB2C00013P",
        ] {
            assert!(uscc_holds(code), "{code}");
        }
        for code in ["9144030071526762XG", "", "9144030071526726X", "甲"] {
            assert!(!uscc_holds(code), "{code}");
        }
    }

    #[test]
    fn blanks_and_wide_letters_are_mended() {
        assert_eq!(
            uscc(" ９１440300 7084 61136t ").as_deref(),
            Some("91440300708461136T")
        );
        assert_eq!(uscc("无"), None);
    }
}
