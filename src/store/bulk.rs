//! Statements over many rows at once.
//!
//! A [`Bulk`] is one text with a table `given` of rows in front. PostgreSQL takes the rows as one
//! array per column, so that one text, one plan and one way to the server do for any number of
//! them. SQLite has no arrays: its text says `VALUES`, and is made for a few fixed row counts only,
//! so that it keeps its prepared statements.

use super::db::{AnyRow, Db, Tx};
use std::sync::OnceLock;

/// Row counts a text for SQLite is made for, largest first; any number of rows is split into these.
/// Each part is a statement with its own way to the engine and back, so that few of them matter
/// more than few texts: up to 128 rows take two or three parts as a rule, and four at most.
const SIZES: [usize; 13] = [128, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];
/// What one statement on PostgreSQL takes at most, so that no message to the server grows without
/// end: rows, and bytes of text unless a single row has more. The server takes 1 GB.
const ARRAY_ROWS_MAX: usize = 1024;
const ARRAY_BYTES_MAX: usize = 16 << 20;

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

impl<'a> Cell<'a> {
    /// Returns the text; a cell of another kind has none.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(value) => value,
            Self::Int(_) | Self::Bool(_) => None,
        }
    }

    fn int(self) -> Option<i64> {
        match self {
            Self::Int(value) => value,
            Self::Text(_) | Self::Bool(_) => None,
        }
    }

    fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            Self::Text(_) | Self::Int(_) => None,
        }
    }
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
    sqlite_texts: [OnceLock<String>; SIZES.len()],
    postgres_text: OnceLock<String>,
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

/// Binds rows to a query of PostgreSQL, as one array per column.
macro_rules! bind_columns {
    ($query:expr, $columns:expr, $rows:expr) => {{
        let mut query = $query;
        for (at, (_, kind)) in $columns.iter().enumerate() {
            let cells = $rows.iter().map(|row| row[at]);
            query = match kind {
                Kind::Text => query.bind(cells.map(Cell::text).collect::<Vec<_>>()),
                Kind::Int => query.bind(cells.map(Cell::int).collect::<Vec<_>>()),
                Kind::Bool => query.bind(cells.map(Cell::bool).collect::<Vec<_>>()),
            };
        }
        query
    }};
}

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
            sqlite_texts: [const { OnceLock::new() }; SIZES.len()],
            postgres_text: OnceLock::new(),
        }
    }

    /// Runs the statement for all `rows` and returns how many rows it touched.
    pub(super) async fn execute(
        &'static self,
        tx: &mut Tx,
        rows: &[Vec<Cell<'_>>],
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        match tx {
            Db::Sqlite(c) => {
                for (size, part) in parts(rows) {
                    let query = sqlx::query(self.sqlite_text(size));
                    let query = bind_cells!(query, part.iter().flatten());
                    touched += query.execute(&mut **c).await?.rows_affected();
                }
            }
            Db::Postgres(c) => {
                for part in messages(rows) {
                    let query = sqlx::query(self.postgres_text());
                    let query = bind_columns!(query, self.columns, part);
                    touched += query.execute(&mut **c).await?.rows_affected();
                }
            }
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
        match tx {
            Db::Sqlite(c) => {
                for (size, part) in parts(rows) {
                    let query = sqlx::query_as::<_, T>(self.sqlite_text(size));
                    let query = bind_cells!(query, part.iter().flatten());
                    found.extend(query.fetch_all(&mut **c).await?);
                }
            }
            Db::Postgres(c) => {
                for part in messages(rows) {
                    let query = sqlx::query_as::<_, T>(self.postgres_text());
                    let query = bind_columns!(query, self.columns, part);
                    found.extend(query.fetch_all(&mut **c).await?);
                }
            }
        }
        Ok(found)
    }

    fn sqlite_text(&'static self, size: usize) -> &'static str {
        self.sqlite_texts[size].get_or_init(|| self.write_values(SIZES[size]))
    }

    fn postgres_text(&'static self) -> &'static str {
        self.postgres_text.get_or_init(|| self.write_arrays())
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    fn write_values(&self, rows: usize) -> String {
        let mut text = format!("WITH given ({}) AS (VALUES ", self.names());
        // SQLite looks a named parameter up among all others each time it is bound, which grows
        // with the square of the rows; nameless ones are bound by their place.
        // The first row says the types of all.
        let first: Vec<String> = self
            .columns
            .iter()
            .map(|(_, kind)| format!("CAST(? AS {})", kind.sql()))
            .collect();
        text.push_str(&format!("({})", first.join(", ")));
        let other = format!(", ({})", vec!["?"; self.columns.len()].join(", "));
        text.push_str(&other.repeat(rows - 1));
        text.push_str(") ");
        text.push_str(self.body);
        text
    }

    fn write_arrays(&self) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, (_, kind))| format!("CAST(${} AS {}[])", at + 1, kind.sql()))
            .collect();
        format!(
            "WITH given ({}) AS (SELECT * FROM UNNEST({})) {}{}",
            self.names(),
            arrays.join(", "),
            self.body,
            self.postgres_lock
        )
    }

    /// Returns every text that may be sent to one engine, for the test that prepares them.
    #[cfg(test)]
    pub(super) fn all_texts(&'static self, postgres: bool) -> Vec<&'static str> {
        match postgres {
            true => vec![self.postgres_text()],
            false => (0..SIZES.len())
                .map(|size| self.sqlite_text(size))
                .collect(),
        }
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

/// Splits `rows` into what PostgreSQL takes in one message.
fn messages<'r, 'a>(rows: &'r [Vec<Cell<'a>>]) -> impl Iterator<Item = &'r [Vec<Cell<'a>>]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(ARRAY_ROWS_MAX).take_while(|row| {
            let texts = row.iter().filter_map(|cell| cell.text());
            bytes += texts.map(str::len).sum::<usize>();
            bytes <= ARRAY_BYTES_MAX
        });
        let count = fits.count().max(1).min(rest.len());
        let (part, others) = rest.split_at(count);
        rest = others;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_to_postgres_is_bounded_in_rows_and_bytes() {
        let sizes =
            |rows: &[Vec<Cell<'_>>]| -> Vec<usize> { messages(rows).map(<[_]>::len).collect() };
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&vec![cells![1_i64]; 2_050]), [1_024, 1_024, 2]);
        let (large, small) = ("x".repeat(ARRAY_BYTES_MAX), "x".to_owned());
        let half = large[1..].len() / 2;
        let rows: Vec<Vec<Cell<'_>>> = vec![
            cells![&small],
            cells![&large],
            cells![&small],
            cells![&large[..half], &large[..half]],
            cells![&small],
        ];
        assert_eq!(sizes(&rows), [1, 1, 3]);
    }

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
    fn each_engine_takes_rows_in_its_own_way() {
        static BULK: Bulk = Bulk::locking(
            &[("id", Kind::Text), ("at", Kind::Int)],
            "SELECT id FROM given",
            " FOR UPDATE",
        );
        assert_eq!(
            BULK.write_arrays(),
            "WITH given (id, at) AS (SELECT * FROM UNNEST(CAST($1 AS TEXT[]), \
             CAST($2 AS BIGINT[]))) SELECT id FROM given FOR UPDATE"
        );
        assert_eq!(
            BULK.write_values(2),
            "WITH given (id, at) AS (VALUES (CAST(? AS TEXT), CAST(? AS BIGINT)), (?, ?)) \
             SELECT id FROM given"
        );
    }
}
