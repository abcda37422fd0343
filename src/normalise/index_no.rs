//! 索引号: kept as the unit numbered it; only its spelling is mended.

use super::text::{narrow, says_nothing};

/// Returns the index number in `raw`, or none when it says that there is none.
pub fn index_no(raw: &str) -> Option<String> {
    if says_nothing(raw) {
        return None;
    }
    let narrowed = narrow(raw);
    Some(narrowed.split_whitespace().collect::<Vec<_>>().join(" "))
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
        assert_eq!(index_no(" — "), None);
    }
}
