//! Counts what was found where, and says it in one sentence.

use super::{Code, Found};

/// How many places a sentence names.
const PLACES_NAMED: usize = 5;

/// All personal data found so far.
#[derive(Default)]
pub(super) struct PersonalData {
    places: Vec<(String, Counts)>,
    /// The first thing found, masked.
    example: Option<String>,
}

#[derive(Default)]
struct Counts {
    name_lists: usize,
    identity_cards: usize,
    mobiles: usize,
    bank_cards: usize,
}

impl PersonalData {
    /// Adds what was found in one text of the record.
    pub(super) fn add(&mut self, place: &str, found: &[Found]) {
        let Some(first) = found
            .iter()
            .find(|it| it.code != Code::NameList)
            .or(found.first())
        else {
            return;
        };
        self.example.get_or_insert_with(|| first.shown.clone());
        let known = self.places.iter().position(|(name, _)| name == place);
        let index = known.unwrap_or_else(|| {
            self.places.push((place.to_owned(), Counts::default()));
            self.places.len() - 1
        });
        self.places[index].1.add(found);
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
    fn add(&mut self, found: &[Found]) {
        for it in found {
            match it.code {
                Code::NameList => self.name_lists += 1,
                Code::IdCard => self.identity_cards += 1,
                Code::Mobile => self.mobiles += 1,
                Code::BankCard => self.bank_cards += 1,
                Code::Secrecy | Code::Contradiction => {}
            }
        }
    }

    fn words(&self) -> String {
        [
            ("身份证号", self.identity_cards),
            ("手机号", self.mobiles),
            ("银行卡号", self.bank_cards),
            ("人员名单", self.name_lists),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count} 个"))
        .collect::<Vec<_>>()
        .join("、")
    }
}
