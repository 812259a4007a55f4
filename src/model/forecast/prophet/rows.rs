//! The rows that a fit is over.

use super::basis::{Basis, Columns};
use crate::domain::Grid;

/// One row in a basis' terms.
pub(super) struct Row<'a> {
    /// The stretch of the trend that it lies in.
    pub(super) stretch: usize,
    /// Scaled time since that stretch began.
    pub(super) since: f64,
    /// Seasonal columns.
    pub(super) seasonal: &'a [f64],
}

impl Row<'_> {
    /// What parameters say of this row, before trend and seasons are put together; `lines` are the trend's stretches.
    pub(super) fn parts(&self, lines: &[(f64, f64)], seasonal: &[f64]) -> (f64, f64) {
        let (level, slope) = lines.get(self.stretch).copied().unwrap_or((0.0, 0.0));
        let waves = crate::model::matrix::dot(self.seasonal, seasonal);
        (level + slope * self.since, waves)
    }
}

/// Some rows of a grid, ascending, with their place in the trend.
pub(super) struct Rows<'a> {
    columns: &'a Columns,
    places: Vec<(usize, usize, f64)>,
}

impl<'a> Rows<'a> {
    /// The rows `of` a grid; `columns` are the whole grid's.
    pub(super) fn new(
        basis: &Basis,
        columns: &'a Columns,
        grid: &Grid,
        of: impl IntoIterator<Item = usize>,
    ) -> Self {
        let places = of.into_iter().map(|row| {
            let (stretch, since) = basis.stretch(basis.scaled(grid.time(row)));
            (row, stretch, since)
        });
        Self {
            columns,
            places: places.collect(),
        }
    }

    /// Which rows of the grid these are.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().map(|(row, _, _)| *row)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.places.iter().map(|(row, stretch, since)| Row {
            stretch: *stretch,
            since: *since,
            seasonal: self.columns.row(*row),
        })
    }
}
