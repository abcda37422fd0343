//! 居民身份证号 (GB 11643): spelling, division, birthday and check character.

use super::text::{narrow_without_blanks, says_nothing};

/// Returns `raw` in plain digits without blanks, an X in upper case; none when it is blank.
pub fn id_card(raw: &str) -> Option<String> {
    let number = narrow_without_blanks(raw).to_uppercase();
    (!says_nothing(&number)).then_some(number)
}

/// GB 11643 weights and check characters.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: &[u8; 11] = b"10X98765432";

/// Whether `number` (18 characters, or 15 of the old kind) is an identity card: a province, a
/// birthday that exists, and the check character.
pub fn is_identity_card(number: &str) -> bool {
    if !number.is_ascii() || !is_province(number) {
        return false;
    }
    match number.len() {
        18 => {
            let (body, check) = number.split_at(17);
            body.bytes().all(|byte| byte.is_ascii_digit())
                && is_birthday(&number[6..14])
                && check.as_bytes()[0] == check_character(body)
        }
        15 => {
            number.bytes().all(|byte| byte.is_ascii_digit())
                && is_birthday(&format!("19{}", &number[6..12]))
        }
        _ => false,
    }
}

/// Returns an identity card with the first 17 digits of `number`, if its division and birthday are
/// possible. A spreadsheet that stored the number as a number keeps only 15 digits of it.
pub fn with_check_restored(number: &str) -> Option<String> {
    let is_like = number.len() == 18
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && is_province(number)
        && is_birthday(&number[6..14]);
    is_like.then(|| {
        let body = &number[..17];
        format!("{body}{}", char::from(check_character(body)))
    })
}

fn check_character(body: &str) -> u8 {
    let sum: u32 = body
        .bytes()
        .zip(WEIGHTS)
        .map(|(byte, weight)| u32::from(byte - b'0') * weight)
        .sum();
    CHECKS[(sum % 11) as usize]
}

fn is_province(number: &str) -> bool {
    matches!(
        number.get(..2).and_then(|digits| digits.parse::<u8>().ok()),
        Some(11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81 | 82)
    )
}

fn is_birthday(digits: &str) -> bool {
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i16>().ok();
    let (Some(year), Some(month), Some(day)) = (part(0..4), part(4..6), part(6..8)) else {
        return false;
    };
    let Ok(birthday) = jiff::civil::Date::new(year, month as i8, day as i8) else {
        return false;
    };
    // Nobody is born after tomorrow, wherever the clock stands.
    year >= 1850
        && birthday
            <= jiff::Zoned::now()
                .date()
                .saturating_add(jiff::Span::new().days(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_cards_need_province_birthday_and_check() {
        for number in [
            "11010519491231002X",
            "440524188001010014",
            "440203199001011004",
            "440204198506152349",
            "440203900101100",
        ] {
            assert!(is_identity_card(number), "{number}");
        }
        for number in [
            "440203199001011234",
            "440203199013011004",
            "990203199001011004",
            "440203901301100",
            "",
        ] {
            assert!(!is_identity_card(number), "{number}");
        }
    }

    #[test]
    fn nobody_is_born_in_the_future() {
        assert!(!is_birthday("20991231"));
        assert!(is_birthday("20240229"));
        assert!(!is_birthday("20230229"));
    }

    #[test]
    fn wide_digits_and_small_letters_are_mended() {
        assert_eq!(
            id_card("１１０１０５ 19491231 002x").as_deref(),
            Some("11010519491231002X")
        );
        assert_eq!(id_card(" — "), None);
    }
}
