//! 组织机构代码 (GB 11714): spelling and check character.

use super::text::{narrow_without_blanks, says_nothing};

const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

/// Returns `raw` in upper case without blanks and without the dash before the check character, or
/// none when it is blank.
pub fn org_code(raw: &str) -> Option<String> {
    let code = narrow_without_blanks(raw).to_uppercase();
    if says_nothing(&code) {
        return None;
    }
    match code.split_once(['-', '–', '—', '−']) {
        Some((body, check)) if body.len() == WEIGHTS.len() && check.len() == 1 => {
            Some(format!("{body}{check}"))
        }
        _ => Some(code),
    }
}

/// Whether `code` has eight letters or digits and the right check character.
pub fn org_code_holds(code: &str) -> bool {
    let [body @ .., check] = code.as_bytes() else {
        return false;
    };
    let value = |byte: &u8| match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        _ => None,
    };
    let Some(values) = body.iter().map(value).collect::<Option<Vec<_>>>() else {
        return false;
    };
    if values.len() != WEIGHTS.len() {
        return false;
    }
    let sum: u32 = values
        .iter()
        .zip(WEIGHTS)
        .map(|(value, weight)| value * weight)
        .sum();
    let expected = match 11 - sum % 11 {
        10 => b'X',
        11 => b'0',
        digit => b'0' + digit as u8,
    };
    *check == expected
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_character_is_computed() {
        for code in [
            "00724047X",
            "000014349",
            "01404053X",
            "D2143569X",
            "M000100Y4",
        ] {
            assert!(org_code_holds(code), "{code}");
        }
        for code in ["007240470", "00724047", "", "甲", "00001434X", "d2143569X"] {
            assert!(!org_code_holds(code), "{code}");
        }
    }

    #[test]
    fn dash_blanks_and_wide_letters_are_mended() {
        assert_eq!(
            org_code(" ００７２４０４７－x ").as_deref(),
            Some("00724047X")
        );
        assert_eq!(org_code("无"), None);
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(code in "[0-9A-Z]{8}", place in 0usize..8, other in "[0-9A-Z]") {
            let right: Vec<String> = "0123456789X"
                .chars()
                .map(|check| format!("{code}{check}"))
                .filter(|code| org_code_holds(code))
                .collect();
            prop_assert_eq!(right.len(), 1);
            let mut wrong = right[0].clone().into_bytes();
            wrong[place] = other.as_bytes()[0];
            let wrong = String::from_utf8(wrong).unwrap();
            let value = |letter: u8| if letter.is_ascii_digit() { i32::from(letter - b'0') } else { i32::from(letter - b'A') + 10 };
            let distance = value(code.as_bytes()[place]) - value(other.as_bytes()[0]);
            // Values are counted modulo eleven.
            prop_assert!(distance % 11 == 0 || !org_code_holds(&wrong), "{}", wrong);
        }
    }
}
