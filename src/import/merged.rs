//! Cells merged downwards: one 发布机构 for all rows beside it.

use super::entry::Cell;
use calamine::Dimensions;
use std::collections::HashMap;

/// Regions of one sheet that are looked at.
const REGIONS_MAX: usize = 100_000;

/// The regions of a sheet, and which of them the rows are in.
#[derive(Default)]
pub(super) struct Merged {
    /// First row → (column, last row); rows count from 1, columns from 0.
    regions: HashMap<u64, Vec<(usize, u64)>>,
    /// Column → last row, and the cell.
    open: HashMap<usize, (u64, Cell)>,
}

impl Merged {
    pub(super) fn new(regions: &[Dimensions]) -> Self {
        let mut merged = Self::default();
        for region in regions.iter().take(REGIONS_MAX) {
            let (first, last) = (region.start.0, region.end.0);
            if last > first {
                let below = (region.start.1 as usize, u64::from(last) + 1);
                let regions = merged.regions.entry(u64::from(first) + 1);
                regions.or_default().push(below);
            }
        }
        merged
    }

    /// Fills blank cells of a row from the regions it is in. A row that has nothing else stays
    /// blank. Rows come in order.
    pub(super) fn fill(&mut self, row: u64, cells: &mut Vec<Cell>) {
        for (column, last) in self.regions.remove(&row).unwrap_or_default() {
            let cell = cells.get(column).cloned().unwrap_or(Cell::Blank);
            self.open.insert(column, (last, cell));
        }
        self.open.retain(|_, (last, _)| *last >= row);
        if cells.iter().all(|cell| *cell == Cell::Blank) {
            return;
        }
        for (column, (_, cell)) in &self.open {
            if cells.len() <= *column {
                cells.resize(*column + 1, Cell::Blank);
            }
            if cells[*column] == Cell::Blank {
                cells[*column] = cell.clone();
            }
        }
    }
}
