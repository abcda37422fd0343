//! Numbers that name a person: identity cards, mobiles, bank cards.

use crate::normalise::uscc_holds;

/// GB 11643 weights and check characters.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: &[u8; 11] = b"10X98765432";

/// Whether `number` (18 characters, or 15 of the old kind) is an identity card: a province, a
/// birthday that exists, and the check character.
pub(super) fn is_identity_card(number: &str) -> bool {
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
pub(super) fn with_check_restored(number: &str) -> Option<String> {
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
    (1850..=2099).contains(&year) && jiff::civil::Date::new(year, month as i8, day as i8).is_ok()
}

/// Whether 11 digits are a mobile number.
pub(super) fn is_mobile(digits: &str) -> bool {
    digits.len() == 11 && digits.starts_with('1') && digits.as_bytes()[1] >= b'3'
}

/// How sure a number with the check digit of a bank card is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BankCard {
    /// The prefix is used by nothing else.
    Sure,
    /// Division codes start the same way; it takes a word such as 卡号 before it.
    WithContext,
    /// No bank card.
    No,
}

/// Says whether `digits` are the number of a bank card.
pub(super) fn bank_card(digits: &str) -> BankCard {
    if !(16..=19).contains(&digits.len())
        || is_identity_card(digits)
        || uscc_holds(digits)
        || !passes_luhn(digits)
    {
        return BankCard::No;
    }
    if digits.starts_with("62") || digits.starts_with("9558") || digits.starts_with("6013") {
        return BankCard::Sure;
    }
    match (digits.len(), digits.as_bytes()[0]) {
        (16, b'3'..=b'5') => BankCard::WithContext,
        _ => BankCard::No,
    }
}

fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, doubled) if doubled > 9 => doubled - 9,
                (_, doubled) => doubled,
            }
        })
        .sum();
    sum.is_multiple_of(10)
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
    fn bank_cards_need_prefix_and_luhn() {
        for number in [
            "6228480402564890018",
            "6222021234567890128",
            "6217000010001234569",
        ] {
            assert_eq!(bank_card(number), BankCard::Sure, "{number}");
        }
        assert_eq!(bank_card("6217000010001234567"), BankCard::No);
        assert_eq!(bank_card("914402049900001051"), BankCard::No);
        assert_eq!(bank_card("4111111111111111"), BankCard::WithContext);
    }

    #[test]
    fn mobiles_start_with_13_to_19() {
        assert!(is_mobile("13800138000"));
        assert!(is_mobile("16407512018"));
        assert!(!is_mobile("12345678901"));
        assert!(!is_mobile("1380013800"));
    }
}
