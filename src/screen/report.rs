//! Counts what was found where, and says it in one sentence.

use super::mask::masked_number;
use super::personal::{Finding, Kind, find};

/// How many places a sentence names.
const PLACES_NAMED: usize = 5;

/// All personal data found so far.
#[derive(Default)]
pub(super) struct PersonalData {
    places: Vec<(String, Counts)>,
    /// The first number found, masked.
    example: Option<String>,
}

#[derive(Default)]
struct Counts {
    identity_cards: usize,
    mobiles: usize,
    bank_cards: usize,
}

impl PersonalData {
    /// Searches one text of the record.
    pub(super) fn look_into(&mut self, place: &str, text: &str) {
        let findings = find(text);
        let Some(first) = findings.first() else {
            return;
        };
        self.example
            .get_or_insert_with(|| masked_number(first.kind, &text[first.start..first.end]));
        let known = self.places.iter().position(|(name, _)| name == place);
        let index = known.unwrap_or_else(|| {
            self.places.push((place.to_owned(), Counts::default()));
            self.places.len() - 1
        });
        self.places[index].1.add(&findings);
    }

    /// Returns what was found, where, and what to do; none when nothing was found.
    pub(super) fn detail(&self) -> Option<String> {
        let example = self.example.as_ref()?;
        let named: Vec<String> = self
            .places
            .iter()
            .take(PLACES_NAMED)
            .map(|(place, counts)| format!("{place}发现{}", counts.words()))
            .collect();
        let more = match self.places.len().saturating_sub(PLACES_NAMED) {
            0 => String::new(),
            count => format!("，另有{count}处"),
        };
        Some(format!(
            "{}{more}（如 {example}），请删除或打码后重新提交。",
            named.join("，")
        ))
    }
}

impl Counts {
    fn add(&mut self, findings: &[Finding]) {
        for finding in findings {
            match finding.kind {
                Kind::IdentityCard => self.identity_cards += 1,
                Kind::Mobile => self.mobiles += 1,
                Kind::BankCard => self.bank_cards += 1,
            }
        }
    }

    fn words(&self) -> String {
        [
            ("身份证号", self.identity_cards),
            ("手机号", self.mobiles),
            ("银行卡号", self.bank_cards),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count} 个"))
        .collect::<Vec<_>>()
        .join("、")
    }
}
