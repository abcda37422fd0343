//! Which column is which field: the row of labels, wherever above the data it stands.

use super::entry::Cell;
use super::{COLUMNS_MAX, ImportError};
use crate::intake::{Guard, LabelledField, Labels};

/// Most rows above and with the header: titles, units, remarks of the form.
pub(super) const HEADER_ROWS_MAX: usize = 20;
/// A column with this field makes a row of texts a header.
const TITLE: &str = "/entry/title";

/// What a column says.
#[derive(Debug, Clone)]
pub(super) enum Column {
    /// A field of a submission.
    Field(LabelledField),
    /// Whether the row may be sent at all.
    Guard { label: String, guard: Guard },
}

impl Column {
    /// Returns what people call `label`; none when nobody knows.
    pub(super) fn of(labels: &Labels, label: &str) -> Option<Self> {
        if let Some(field) = labels.field(label) {
            return Some(Self::Field(field.clone()));
        }
        labels.guard(label).map(|guard| Self::Guard {
            label: label.trim().to_owned(),
            guard: guard.clone(),
        })
    }
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// The row it stands in.
    pub(super) row: u64,
    /// By place from 0; none where the label says nothing to the hub.
    pub(super) columns: Vec<Option<Column>>,
    /// Labels that say nothing to the hub.
    pub(super) ignored: Vec<String>,
}

impl Header {
    /// Reads a row as a header; none when it is none: that takes a title and one more field.
    ///
    /// # Errors
    /// Two columns that are the same field.
    pub(super) fn read(
        labels: &Labels,
        row: u64,
        cells: &[Cell],
    ) -> Result<Option<Self>, ImportError> {
        let texts: Vec<String> = cells.iter().take(COLUMNS_MAX).map(Cell::text).collect();
        let columns: Vec<Option<Column>> =
            texts.iter().map(|text| Column::of(labels, text)).collect();
        let fields: Vec<(&str, &str)> = columns
            .iter()
            .zip(&texts)
            .filter_map(|(column, text)| match column {
                Some(Column::Field(field)) => Some((field.pointer.as_str(), text.as_str())),
                Some(Column::Guard { .. }) | None => None,
            })
            .collect();
        if fields.len() < 2 || !fields.iter().any(|(pointer, _)| *pointer == TITLE) {
            return Ok(None);
        }
        for (place, (pointer, second)) in fields.iter().enumerate() {
            if let Some((_, first)) = fields[..place].iter().find(|(it, _)| it == pointer) {
                return Err(ImportError::TwoColumns {
                    first: (*first).to_owned(),
                    second: (*second).to_owned(),
                    field: (*pointer).to_owned(),
                });
            }
        }
        let ignored = texts
            .iter()
            .zip(&columns)
            .filter(|(text, column)| column.is_none() && !text.trim().is_empty())
            .map(|(text, _)| text.trim().to_owned())
            .collect();
        Ok(Some(Self {
            row,
            columns,
            ignored,
        }))
    }

    /// How many fields it names; the more, the likelier it is read rightly.
    pub(super) fn width(&self) -> usize {
        self.columns.iter().flatten().count()
    }

    /// Returns the cells of a row with their columns.
    pub(super) fn given(&self, cells: Vec<Cell>) -> impl Iterator<Item = (&Column, Cell)> {
        self.columns
            .iter()
            .zip(cells)
            .filter_map(|(column, cell)| Some((column.as_ref()?, cell)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn header(texts: &[&str]) -> Result<Option<Header>, ImportError> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/oa");
        let labels = Labels::load(&dir).unwrap();
        let cells: Vec<Cell> = texts
            .iter()
            .map(|it| Cell::Text((*it).to_owned()))
            .collect();
        Header::read(&labels, 2, &cells)
    }

    #[test]
    fn a_header_is_known_by_its_labels() {
        let found = header(&["序号", "标　　题", "发文字号", "密级"])
            .unwrap()
            .unwrap();
        assert_eq!((found.row, found.width()), (2, 3));
        assert_eq!(found.ignored, ["序号"]);
        assert!(header(&["存量信息补录表"]).unwrap().is_none());
        assert!(header(&["标题"]).unwrap().is_none(), "it takes two");
        assert!(header(&["文号", "发布机构"]).unwrap().is_none());
    }

    #[test]
    fn two_columns_of_one_field_are_refused() {
        let error = header(&["标题", "文号", "信息名称"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("“标题”") && error.contains("“信息名称”"),
            "{error}"
        );
    }
}
