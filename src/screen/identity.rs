//! Numbers that name a person besides identity cards: mobiles, bank cards.

use crate::normalise::{is_identity_card, uscc_holds};

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
