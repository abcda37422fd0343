//! Optional filters. Only the fragments that are asked for enter the text, so that the engine can
//! use the index of that column; values are always bound.

use super::bulk::Cell;

/// A growing `WHERE` with the values it binds.
#[derive(Default)]
pub(super) struct Condition<'a> {
    text: String,
    cells: Vec<Cell<'a>>,
}

impl<'a> Condition<'a> {
    /// A condition whose first placeholders are taken by `cells`.
    pub(super) fn after(cells: Vec<Cell<'a>>) -> Self {
        Self {
            text: String::new(),
            cells,
        }
    }

    /// Adds a condition; each `?` in `fragment` stands for the next of `cells`.
    pub(super) fn and<const N: usize>(&mut self, fragment: &'static str, cells: [Cell<'a>; N]) {
        self.text.push_str(if self.text.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        let mut number = self.cells.len();
        for (index, part) in fragment.split('?').enumerate() {
            if index > 0 {
                number += 1;
                self.text.push_str(&format!("${number}"));
            }
            self.text.push_str(part);
        }
        self.cells.extend(cells);
        debug_assert_eq!(number, self.cells.len(), "one value for each placeholder");
    }

    /// Adds a condition when there is a value for it.
    pub(super) fn and_if(&mut self, fragment: &'static str, value: Option<impl Into<Cell<'a>>>) {
        if let Some(value) = value {
            self.and(fragment, [value.into()]);
        }
    }

    /// Adds that `column` is one of `values`, when there are any.
    pub(super) fn and_in(
        &mut self,
        column: &'static str,
        values: impl IntoIterator<Item = &'a str>,
    ) {
        let first = self.cells.len() + 1;
        self.cells.extend(values.into_iter().map(Cell::from));
        let places: Vec<String> = (first..=self.cells.len())
            .map(|it| format!("${it}"))
            .collect();
        if !places.is_empty() {
            self.and(column, []);
            self.text.push_str(&format!(" IN ({})", places.join(", ")));
        }
    }

    /// Adds a value and returns its placeholder.
    pub(super) fn bind(&mut self, value: impl Into<Cell<'a>>) -> String {
        self.cells.push(value.into());
        format!("${}", self.cells.len())
    }

    /// Returns the text, empty or beginning with ` WHERE `.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the values in the order of their placeholders.
    pub(super) fn cells(&self) -> &[Cell<'a>] {
        &self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_on() {
        let mut condition = Condition::after(vec![Cell::from(1)]);
        condition.and("a = ?", [Cell::from("x")]);
        condition.and_if("b = ?", None::<&str>);
        condition.and("(c, d) < (?, ?)", [Cell::from(2), Cell::from("y")]);
        assert_eq!(condition.text(), " WHERE a = $2 AND (c, d) < ($3, $4)");
        condition.and_in("e", []);
        condition.and_in("f", ["y", "z"]);
        assert!(condition.text().ends_with(" AND f IN ($5, $6)"));
        assert_eq!(condition.bind(5), "$7");
        assert_eq!(condition.cells().len(), 7);
    }
}
