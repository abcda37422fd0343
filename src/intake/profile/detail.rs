//! Tables beside the fields of a form. A clerk writes most of them into the body as well; what is
//! missing there is added, what is there is not said twice.

use super::manifest::{Detail, Layout};
use super::place::{items, text_of};
use crate::normalise::{clean_html, plain_text, text::visible};
use crate::record::Warning;
use serde_json::Value;
use std::collections::BTreeMap;

/// Cells of one table that are looked at.
const CELLS_MAX: usize = 20_000;
/// Columns of one table that are looked at.
const COLUMNS_MAX: usize = 200;
/// Tables written by columns that are looked at.
const TABLES_MAX: usize = 100;

/// A table of texts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    /// Names of the columns, in the order of the document.
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Adds the tables to the body that it does not hold already.
pub(super) fn add_missing(
    details: &[Detail],
    tree: &Value,
    body: &mut Value,
    warnings: &mut Vec<Warning>,
) {
    let tables = details
        .iter()
        .flat_map(|detail| tables(detail, tree).into_iter().map(move |it| (detail, it)));
    let mut said: Option<String> = None;
    for (detail, table) in tables.filter(|(_, table)| !table.rows.is_empty()) {
        let said = said.get_or_insert_with(|| squeezed(&plain_body(body)));
        if table.is_said_by(said) {
            continue;
        }
        let Some(headings) = table.headings(&detail.columns) else {
            warnings.push(Warning {
                platform: None,
                pointer: "/entry/body/content".to_owned(),
                code: "detail_without_headings".to_owned(),
                detail: "明细表的内容正文中没有，且来源方案没有写明列名，未加入正文，请核对。"
                    .to_owned(),
            });
            continue;
        };
        let mut content = body["content"].as_str().unwrap_or_default().to_owned();
        match body["format"] == "html" {
            true => table.append_html(&headings, &mut content),
            false => table.append_text(&headings, &mut content),
        }
        body["content"] = Value::String(content);
    }
}

fn plain_body(body: &Value) -> String {
    let content = visible(body["content"].as_str().unwrap_or_default());
    match body["format"] == "html" {
        true => clean_html(&content).map_or_else(|_| String::new(), |it| plain_text(&it.html)),
        false => content.into_owned(),
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|it| !it.is_whitespace()).collect()
}

/// Returns the tables of a document.
pub(super) fn tables(detail: &Detail, tree: &Value) -> Vec<Table> {
    let found = detail.at.select(tree);
    match (detail.layout, &detail.rows) {
        (Layout::Columns, _) => found.into_iter().flat_map(by_columns).collect(),
        (Layout::Rows, Some(rows)) => found
            .into_iter()
            .flat_map(items)
            .map(|table| by_rows(detail, rows.select(table)))
            .collect(),
        (Layout::Rows, None) => found
            .into_iter()
            .map(|table| by_rows(detail, vec![table]))
            .collect(),
    }
}

fn by_rows(detail: &Detail, rows: Vec<&Value>) -> Table {
    let mut table = Table::default();
    let mut cells = 0;
    for row in rows.into_iter().flat_map(items) {
        let fields = match &detail.fields {
            Some(fields) => fields.select(row),
            None => vec![row],
        };
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in fields
            .into_iter()
            .flat_map(items)
            .flat_map(|field| named_values(detail, field))
        {
            if !table.columns.contains(&name) {
                if table.columns.len() == COLUMNS_MAX {
                    break;
                }
                table.columns.push(name.clone());
            }
            texts.insert(name, value);
        }
        let cell = |column| texts.get(column).cloned().unwrap_or_default();
        let row: Vec<String> = table.columns.iter().map(cell).collect();
        cells += row.len();
        if cells > CELLS_MAX {
            break;
        }
        if row.iter().any(|cell| !cell.trim().is_empty()) {
            table.rows.push(row);
        }
    }
    table
}

fn named_values(detail: &Detail, field: &Value) -> Vec<(String, String)> {
    let Value::Object(members) = field else {
        return Vec::new();
    };
    let text = |value: &Value| text_of(value).unwrap_or_default();
    match (&detail.name, &detail.value) {
        (Some(name), Some(value)) => {
            let name = members.get(name).map(text);
            let value = members.get(value).map(text).unwrap_or_default();
            name.map(|name| (name, value)).into_iter().collect()
        }
        _ => members
            .iter()
            .filter(|(name, _)| !name.starts_with(['@', '#']))
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
    }
}

/// Returns the tables of an object whose members are called `table.column` and are lists.
fn by_columns(object: &Value) -> Vec<Table> {
    let mut tables: Vec<(&str, Table)> = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let (Some((table, column)), Value::Array(cells)) = (name.split_once('.'), value) else {
            continue;
        };
        let place = tables.iter().position(|(known, _)| *known == table);
        if place.is_none() && tables.len() < TABLES_MAX {
            tables.push((table, Table::default()));
        }
        let place = place.or(tables.len().checked_sub(1));
        if let Some((known, found)) = place.and_then(|place| tables.get_mut(place))
            && *known == table
        {
            found.add_column(column, cells);
        }
    }
    tables.into_iter().map(|(_, table)| table).collect()
}

impl Table {
    fn add_column(&mut self, name: &str, cells: &[Value]) {
        let before = self.columns.len();
        let cells_all = (before + 1) * cells.len().max(self.rows.len());
        if before == COLUMNS_MAX || cells_all > CELLS_MAX {
            return;
        }
        self.columns.push(name.to_owned());
        while self.rows.len() < cells.len() {
            self.rows.push(vec![String::new(); before]);
        }
        for (place, row) in self.rows.iter_mut().enumerate() {
            row.push(cells.get(place).and_then(text_of).unwrap_or_default());
        }
    }

    /// Whether every cell stands in a text without blanks.
    fn is_said_by(&self, text: &str) -> bool {
        let cells = self.rows.iter().flatten().map(|cell| squeezed(cell));
        cells
            .filter(|cell| !cell.is_empty())
            .all(|cell| text.contains(&cell))
    }

    /// Returns the headings of the columns; none when one is known to the OA alone.
    fn headings(&self, known: &BTreeMap<String, String>) -> Option<Vec<String>> {
        let heading = |name: &String| match known.get(name) {
            Some(heading) => Some(heading.clone()),
            None => (!name.is_ascii()).then(|| name.clone()),
        };
        self.columns.iter().map(heading).collect()
    }

    fn append_html(&self, headings: &[String], content: &mut String) {
        let line = |tag: &str, cells: &[String]| {
            let cells: String = cells
                .iter()
                .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)))
                .collect();
            format!("<tr>{cells}</tr>")
        };
        content.push_str("\n<table>");
        content.push_str(&line("th", headings));
        for row in &self.rows {
            content.push_str(&line("td", row));
        }
        content.push_str("</table>");
    }

    fn append_text(&self, headings: &[String], content: &mut String) {
        for row in &self.rows {
            let cells = headings.iter().zip(row);
            let cells: Vec<String> = cells
                .filter(|(_, cell)| !cell.trim().is_empty())
                .map(|(heading, cell)| format!("{heading}：{}", cell.trim()))
                .collect();
            content.push('\n');
            content.push_str(&cells.join("；"));
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
