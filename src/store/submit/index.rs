//! Allocates index numbers `<unit code>/<year>-<serial>`, each once and for ever.

use super::super::bulk::{Bulk, Kind, cells};
use super::super::db::{Tx, row};
use super::super::{NewSubmission, StoreError};
use super::decide::{Decision, Plan};
use crate::record::Action;
use std::collections::{BTreeMap, HashSet};

/// How far to look ahead after meeting numbers that units gave themselves.
const WINDOW_MAX: i64 = 4096;

row! {
    /// The serials of one unit and year.
    struct SerialRow { unit_code: String, year: i64, last: i64 }
}

row! {
    /// A number that some record bears.
    struct TakenRow { index_no: String }
}

/// Takes as many serials as are wanted, and on PostgreSQL locks the row, so that whoever comes next
/// sees what was taken; makes the row when it is missing. Answers with the last one taken.
static TAKE: Bulk = Bulk::new(
    &[
        ("unit_code", Kind::Text),
        ("year", Kind::Int),
        ("wanted", Kind::Int),
    ],
    "INSERT INTO index_serials (unit_code, year, last) \
     SELECT unit_code, year, wanted FROM given WHERE TRUE \
     ON CONFLICT (unit_code, year) DO UPDATE SET last = index_serials.last + excluded.last \
     RETURNING unit_code, year, last",
);

/// For the rare case that some of them are numbers that a unit gave itself.
static ADVANCE: Bulk = Bulk::new(
    &[
        ("unit_code", Kind::Text),
        ("year", Kind::Int),
        ("last", Kind::Int),
    ],
    "UPDATE index_serials SET last = given.last FROM given \
     WHERE index_serials.unit_code = given.unit_code AND index_serials.year = given.year",
);

static TAKEN: Bulk = Bulk::new(
    &[("index_no", Kind::Text)],
    "SELECT r.index_no FROM given JOIN records r ON r.index_no = given.index_no",
);

#[cfg(test)]
pub(super) static BULKS: [&Bulk; 3] = [&TAKE, &ADVANCE, &TAKEN];

/// Gives a number to every publication of the round that has none.
pub(super) async fn allocate(
    tx: &mut Tx,
    items: &[&NewSubmission],
    decisions: &mut [Decision<'_>],
) -> Result<(), StoreError> {
    let given_here: HashSet<String> = decisions
        .iter()
        .filter_map(|decision| match decision {
            Decision::Change(plan) => plan.index_no.clone(),
            _ => None,
        })
        .collect();
    let mut wanting: BTreeMap<(String, i64), Vec<&mut Plan<'_>>> = BTreeMap::new();
    for (item, decision) in items.iter().zip(decisions) {
        if let (Decision::Change(plan), Some(content), Action::Publish) =
            (decision, &item.content, item.action)
            && plan.index_no.is_none()
        {
            let year = content
                .written_on
                .get(..4)
                .and_then(|year| year.parse().ok())
                .unwrap_or_default();
            wanting
                .entry((content.unit.code.clone(), year))
                .or_default()
                .push(plan);
        }
    }
    if wanting.is_empty() {
        return Ok(());
    }
    let failed = StoreError::while_doing("allocate index numbers");
    let given: Vec<_> = wanting
        .iter()
        .map(|((unit_code, year), plans)| cells![unit_code, *year, plans.len() as i64])
        .collect();
    let serials: Vec<SerialRow> = TAKE.fetch(tx, &given).await.map_err(&failed)?;
    let mut advanced = Vec::with_capacity(serials.len());
    for serial in serials {
        let Some(plans) = wanting.remove(&(serial.unit_code.clone(), serial.year)) else {
            continue;
        };
        let last = number(tx, &serial, plans, &given_here)
            .await
            .map_err(&failed)?;
        if last > serial.last {
            advanced.push((serial, last));
        }
    }
    let given: Vec<_> = advanced
        .iter()
        .map(|(serial, last)| cells![&serial.unit_code, serial.year, *last])
        .collect();
    ADVANCE.execute(tx, &given).await.map_err(&failed)?;
    Ok(())
}

/// Numbers the plans of one unit and year, from the serials that were taken for them, and returns
/// the last one used.
async fn number(
    tx: &mut Tx,
    serial: &SerialRow,
    plans: Vec<&mut Plan<'_>>,
    given_here: &HashSet<String>,
) -> Result<i64, sqlx::Error> {
    let mut waiting = plans.into_iter().peekable();
    let mut window = waiting.len() as i64;
    let mut last = serial.last - window;
    while waiting.peek().is_some() {
        let candidates: Vec<String> = (last + 1..=last + window)
            .map(|number| format!("{}/{:04}-{number:05}", serial.unit_code, serial.year))
            .collect();
        let given: Vec<_> = candidates.iter().map(|number| cells![number]).collect();
        let taken: Vec<TakenRow> = TAKEN.fetch(tx, &given).await?;
        let taken: HashSet<String> = taken.into_iter().map(|row| row.index_no).collect();
        for candidate in candidates {
            if waiting.peek().is_none() {
                break;
            }
            last += 1;
            if !taken.contains(&candidate)
                && !given_here.contains(&candidate)
                && let Some(plan) = waiting.next()
            {
                plan.index_no = Some(candidate);
            }
        }
        window = (window * 4).clamp(64, WINDOW_MAX);
    }
    Ok(last)
}
