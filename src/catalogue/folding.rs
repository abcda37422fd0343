//! When two spellings of a name count as the same, and how alike two names are.

use unicode_normalization::UnicodeNormalization;

/// Longest text that is compared; a unit or area with a longer name does not exist.
const FOLDED_CHARS_MAX: usize = 200;

/// Returns `text` as units are compared: NFKC, upper case, no blanks.
pub(super) fn fold_unit(text: &str) -> String {
    text.nfkc()
        .filter(|character| !character.is_whitespace())
        .flat_map(char::to_uppercase)
        .take(FOLDED_CHARS_MAX)
        .collect()
}

/// Returns `text` as areas are compared: like units, and without quotation marks.
pub(super) fn fold_area(text: &str) -> String {
    const QUOTATION_MARKS: &str = "“”‘’\"'「」『』＂＇〝〞";
    let mut folded = fold_unit(text);
    folded.retain(|character| !QUOTATION_MARKS.contains(character));
    folded
}

/// Returns how alike two folded names are, from 0 to 1: the Dice coefficient of their bigrams.
pub(super) fn similarity(left: &str, right: &str) -> f64 {
    let (left, mut right) = (bigrams(left), bigrams(right));
    let total = left.len() + right.len();
    if total == 0 {
        return 0.0;
    }
    let mut shared = 0;
    for pair in &left {
        if let Some(place) = right.iter().position(|other| other == pair) {
            right.swap_remove(place);
            shared += 1;
        }
    }
    f64::from(2 * shared) / total as f64
}

fn bigrams(text: &str) -> Vec<(char, char)> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .collect()
}
