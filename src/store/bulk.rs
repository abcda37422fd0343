//! Statements over many rows at once.
//!
//! A [`Bulk`] is one text with a `WITH given(..) AS (VALUES ..)` in front. It is made for a few
//! fixed row counts only, so that the engines keep their prepared statements.

use super::db::{AnyRow, Db, Tx, on};
use std::sync::OnceLock;

/// Row counts a text is made for, largest first; any number of rows is split into these. Each
/// part is a statement with its own way to the engine and back, so that few of them matter more
/// than few texts: up to 128 rows take two or three parts as a rule, and four at most.
const SIZES: [usize; 13] = [128, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];

/// The type of a given column.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Int,
    Bool,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Int => "BIGINT",
            Self::Bool => "BOOLEAN",
        }
    }
}

/// One value of a given row.
#[derive(Clone, Copy)]
pub(super) enum Cell<'a> {
    Text(Option<&'a str>),
    Int(Option<i64>),
    Bool(bool),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(value: Option<&'a str>) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a Option<String>> for Cell<'a> {
    fn from(value: &'a Option<String>) -> Self {
        Self::Text(value.as_deref())
    }
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// Makes one given row from values of any of the kinds.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::bulk::Cell::from($value)),*] };
}
pub(super) use cells;

/// A statement over a table `given` of rows; kept in a `static`.
pub(super) struct Bulk {
    columns: &'static [(&'static str, Kind)],
    body: &'static str,
    /// Added on PostgreSQL only: row locks, which SQLite's one writer does not need.
    postgres_lock: &'static str,
    texts: [OnceLock<String>; SIZES.len() * 2],
}

/// Binds cells in order to a query of either engine.
macro_rules! bind_cells {
    ($query:expr, $cells:expr) => {{
        let mut query = $query;
        for cell in $cells {
            query = match *cell {
                $crate::store::bulk::Cell::Text(value) => query.bind(value),
                $crate::store::bulk::Cell::Int(value) => query.bind(value),
                $crate::store::bulk::Cell::Bool(value) => query.bind(value),
            };
        }
        query
    }};
}
pub(super) use bind_cells;

impl Bulk {
    /// Declares `body`, which reads its rows from `given`.
    pub(super) const fn new(columns: &'static [(&'static str, Kind)], body: &'static str) -> Self {
        Self::locking(columns, body, "")
    }

    /// As [`Bulk::new`], with a row lock at the end on PostgreSQL.
    pub(super) const fn locking(
        columns: &'static [(&'static str, Kind)],
        body: &'static str,
        postgres_lock: &'static str,
    ) -> Self {
        Self {
            columns,
            body,
            postgres_lock,
            texts: [const { OnceLock::new() }; SIZES.len() * 2],
        }
    }

    /// Runs the statement for all `rows` and returns how many rows it touched.
    pub(super) async fn execute(
        &'static self,
        tx: &mut Tx,
        rows: &[Vec<Cell<'_>>],
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        for (size, part) in parts(rows) {
            let text = self.text(tx, size);
            touched += on!(tx, |c| bind_cells!(
                sqlx::query(text),
                part.iter().flatten()
            )
            .execute(&mut **c)
            .await?
            .rows_affected());
        }
        Ok(touched)
    }

    /// Runs the statement for all `rows` and returns what it returns, in no certain order.
    pub(super) async fn fetch<T: AnyRow>(
        &'static self,
        tx: &mut Tx,
        rows: &[Vec<Cell<'_>>],
    ) -> Result<Vec<T>, sqlx::Error> {
        let mut found = Vec::with_capacity(rows.len());
        for (size, part) in parts(rows) {
            let text = self.text(tx, size);
            found.extend(on!(tx, |c| bind_cells!(
                sqlx::query_as::<_, T>(text),
                part.iter().flatten()
            )
            .fetch_all(&mut **c)
            .await?));
        }
        Ok(found)
    }

    fn text(&'static self, tx: &Tx, size: usize) -> &'static str {
        let postgres = matches!(tx, Db::Postgres(_));
        self.text_for(size, postgres)
    }

    fn text_for(&'static self, size: usize, postgres: bool) -> &'static str {
        self.texts[size * 2 + usize::from(postgres)]
            .get_or_init(|| self.write(SIZES[size], postgres))
    }

    fn write(&self, rows: usize, postgres: bool) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let mut text = format!("WITH given ({}) AS (VALUES ", names.join(", "));
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for (column, (_, kind)) in self.columns.iter().enumerate() {
                let comma = if column == 0 { "" } else { ", " };
                // SQLite looks a named parameter up among all others each time it is bound, which
                // grows with the square of the rows; nameless ones are bound by their place.
                let parameter = match postgres {
                    true => format!("${}", row * self.columns.len() + column + 1),
                    false => "?".to_owned(),
                };
                // The first row tells PostgreSQL the types of all.
                text.push_str(&if row == 0 {
                    format!("{comma}CAST({parameter} AS {})", kind.sql())
                } else {
                    format!("{comma}{parameter}")
                });
            }
            text.push(')');
        }
        text.push_str(") ");
        text.push_str(self.body);
        if postgres {
            text.push_str(self.postgres_lock);
        }
        text
    }

    /// Returns every text that may be sent to one engine, for the test that prepares them.
    #[cfg(test)]
    pub(super) fn all_texts(&'static self, postgres: bool) -> Vec<&'static str> {
        (0..SIZES.len())
            .map(|size| self.text_for(size, postgres))
            .collect()
    }
}

/// Splits `rows` into parts of the sizes that texts exist for, as (index of the size, rows).
fn parts<T>(rows: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = SIZES.iter().position(|size| *size <= rest.len())?;
        let (part, others) = rest.split_at(SIZES[size]);
        rest = others;
        Some((size, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_split_into_the_known_sizes() {
        for count in [0, 1, 3, 4, 21, 63, 64, 127, 150] {
            let rows = vec![(); count];
            let sizes: Vec<usize> = parts(&rows).map(|(_, part)| part.len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), count);
            assert!(sizes.iter().all(|size| SIZES.contains(size)), "{sizes:?}");
            assert!(sizes.len() <= 4, "{sizes:?}");
        }
    }

    #[test]
    fn only_the_first_row_is_cast() {
        let bulk = Bulk::locking(
            &[("id", Kind::Text), ("at", Kind::Int)],
            "SELECT id FROM given",
            " FOR UPDATE",
        );
        assert_eq!(
            bulk.write(2, true),
            "WITH given (id, at) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS BIGINT)), ($3, $4)) \
             SELECT id FROM given FOR UPDATE"
        );
        assert_eq!(
            bulk.write(1, false),
            "WITH given (id, at) AS (VALUES (CAST(? AS TEXT), CAST(? AS BIGINT))) SELECT id FROM given"
        );
    }
}
