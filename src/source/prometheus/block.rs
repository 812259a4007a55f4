//! Series of one query on one stretch of the grid: the common form of answers and cache files.

use std::collections::BTreeMap;

use crate::domain::{Grid, Labels};

/// What one query gave on `grid`: a value or NaN per grid time and label set. Holds `8 × grid.len()` bytes per label set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    /// The rows' times.
    pub grid: Grid,
    /// Values by label set, each as long as the grid.
    pub series: BTreeMap<Labels, Vec<f64>>,
}

impl Block {
    /// Nothing observed on `grid`.
    pub fn empty(grid: Grid) -> Self {
        Self {
            grid,
            series: BTreeMap::new(),
        }
    }

    /// Rows that `grid` covers, label sets without a value there left out.
    pub fn slice(&self, grid: Grid) -> Self {
        let mut block = Self::empty(grid);
        for (labels, values) in &self.series {
            let mut rows = vec![f64::NAN; grid.len()];
            overlay(&mut rows, &grid, values, &self.grid);
            if rows.iter().any(|value| !value.is_nan()) {
                block.series.insert(labels.clone(), rows);
            }
        }
        block
    }

    /// Takes over another block's rows where the two grids meet.
    pub fn join(&mut self, other: Self) {
        let grid = self.grid;
        for (labels, values) in other.series {
            let rows = self
                .series
                .entry(labels)
                .or_insert_with(|| vec![f64::NAN; grid.len()]);
            overlay(rows, &grid, &values, &other.grid);
        }
    }
}

/// Copies the observed values of `from` into the rows of `to` that have the same times. Both grids have one step and are
/// aligned to it.
pub(super) fn overlay(to: &mut [f64], to_grid: &Grid, from: &[f64], from_grid: &Grid) {
    let (Some(first), Some(last)) = (to_grid.len().checked_sub(1), from_grid.len().checked_sub(1))
    else {
        return;
    };
    let (to_last, from_last) = (to_grid.time(first), from_grid.time(last));
    let start = to_grid.start().max(from_grid.start());
    if start > to_last.min(from_last) {
        return;
    }
    let (Some(to_row), Some(from_row)) = (to_grid.row(start), from_grid.row(start)) else {
        return;
    };
    for (slot, value) in to.iter_mut().skip(to_row).zip(from.iter().skip(from_row)) {
        if !value.is_nan() {
            *slot = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Time;

    const STEP: Duration = Duration::from_secs(60);

    fn grid(first: i64, len: usize) -> Grid {
        Grid::new(Time::from_secs(first * 60), STEP, len)
    }

    fn labels(device: &str) -> Labels {
        Labels::from([("device".to_owned(), device.to_owned())])
    }

    #[test]
    fn slices_and_joins_agree() {
        let mut whole = Block::empty(grid(0, 6));
        whole
            .series
            .insert(labels("a"), vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let head = whole.slice(grid(-2, 5));
        assert_eq!(head.series[&labels("a")][2..], [0.0, 1.0, 2.0]);
        let tail = whole.slice(grid(3, 3));
        let mut joined = Block::empty(grid(0, 6));
        joined.join(tail);
        joined.join(head);
        assert_eq!(joined, whole);
        assert!(whole.slice(grid(10, 3)).series.is_empty());
        assert!(whole.slice(grid(0, 0)).series.is_empty());
    }
}
