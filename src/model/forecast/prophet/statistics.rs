//! What a fit needs to know of its rows, small enough to keep: part of it shared by series with the same rows.

use std::sync::Arc;

use super::additive::Gram;
use super::basis::{Basis, Columns};
use super::multiplicative::Moments;
use super::rows::{Row, Rows};
use super::trend;
use crate::config::ForecastMode;
use crate::domain::Grid;
use crate::model::matrix::Matrix;

/// A basis and its columns' products over some rows. With 25 bends, daily and weekly waves 13 kB (additive) or 140 kB
/// (multiplicative), however many rows there are.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) basis: Arc<Basis>,
    pub(super) rows: usize,
    products: Products,
}

#[derive(Clone, Debug)]
enum Products {
    Additive(Gram),
    Multiplicative(Moments),
}

impl Ground {
    /// Over `rows`.
    pub(super) fn new(basis: Arc<Basis>, mode: ForecastMode, rows: &Rows<'_>) -> Self {
        let products = match mode {
            ForecastMode::Additive => Products::Additive(Gram::new(&basis, rows)),
            ForecastMode::Multiplicative => Products::Multiplicative(Moments::new(&basis, rows)),
        };
        Self {
            basis,
            rows: rows.indices().count(),
            products,
        }
    }

    /// Takes `rows` in.
    pub(super) fn add(&mut self, rows: &Rows<'_>) {
        self.rows += rows.indices().count();
        self.weigh(rows, 1.0);
    }

    /// Leaves `rows`, which are among those it was made of, out.
    pub(super) fn leave_out(&mut self, rows: &Rows<'_>) {
        self.rows = self.rows.saturating_sub(rows.indices().count());
        self.weigh(rows, -1.0);
    }

    fn weigh(&mut self, rows: &Rows<'_>, weight: f64) {
        for row in rows.iter() {
            match &mut self.products {
                Products::Additive(gram) => gram.add(&self.basis, &row, weight),
                Products::Multiplicative(moments) => moments.add(&row, weight),
            }
        }
    }

    /// Which way trend and seasons are put together.
    pub(super) const fn mode(&self) -> ForecastMode {
        match self.products {
            Products::Additive(_) => ForecastMode::Additive,
            Products::Multiplicative(_) => ForecastMode::Multiplicative,
        }
    }

    fn pull(&self, rows: &Rows<'_>, residuals: &[f64]) -> Vec<f64> {
        match &self.products {
            Products::Additive(_) => Gram::pull(&self.basis, rows, residuals),
            Products::Multiplicative(_) => Moments::pull(&self.basis, rows, residuals),
        }
    }

    fn add_pull(&self, row: &Row<'_>, residual: f64, pull: &mut [f64]) {
        match &self.products {
            Products::Additive(_) => Gram::add_pull(&self.basis, row, residual, pull),
            Products::Multiplicative(_) => Moments::add_pull(row, residual, pull),
        }
    }
}

/// One series' products with the columns, taken of what parameters `anchor` near the optimum leave of it, so that a small
/// rest is not the difference of large sums.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    pub(super) ground: Arc<Ground>,
    anchor: Vec<f64>,
    pull: Vec<f64>,
    squares: f64,
}

impl Statistics {
    /// Of `values` (`[rows]`, scaled) and what `anchor` leaves of them.
    pub(super) fn new(
        ground: Arc<Ground>,
        rows: &Rows<'_>,
        values: &[f64],
        anchor: Vec<f64>,
    ) -> Self {
        let expected = Expected::new(&ground.basis, ground.mode(), &anchor);
        let residuals: Vec<f64> = rows
            .iter()
            .zip(values)
            .map(|(row, value)| value - expected.of(&row))
            .collect();
        Self {
            pull: ground.pull(rows, &residuals),
            squares: residuals.iter().map(|e| e * e).sum(),
            anchor,
            ground,
        }
    }

    /// Takes the `values` (scaled) of `rows` in; `ground` is the one that has taken in these rows.
    pub(super) fn add(&mut self, ground: Arc<Ground>, rows: &Rows<'_>, values: &[f64]) {
        self.ground = ground;
        let expected = Expected::new(&self.ground.basis, self.ground.mode(), &self.anchor);
        for (row, value) in rows.iter().zip(values) {
            let residual = value - expected.of(&row);
            self.ground.add_pull(&row, residual, &mut self.pull);
            self.squares += residual * residual;
        }
    }

    /// The parameters near which they were taken.
    pub(super) fn anchor(&self) -> &[f64] {
        &self.anchor
    }

    /// Rows that they are over.
    pub(super) fn rows(&self) -> f64 {
        self.ground.rows as f64
    }

    /// Sum of squares that `theta` leaves.
    pub(super) fn left(&self, theta: &[f64]) -> f64 {
        let change = match &self.ground.products {
            Products::Additive(gram) => gram.change(&self.pull, &self.step(theta)),
            Products::Multiplicative(moments) => {
                moments.change(&self.ground.basis, &self.pull, &self.anchor, theta)
            }
        };
        (self.squares + change).max(0.0)
    }

    /// `JᵀJ` and `Jᵀe` at `theta`, `J` being the expected values' derivatives and `e` what is left.
    pub(super) fn linearised(&self, theta: &[f64]) -> (Matrix, Vec<f64>) {
        match &self.ground.products {
            Products::Additive(gram) => gram.linearised(&self.pull, &self.step(theta)),
            Products::Multiplicative(moments) => {
                moments.linearised(&self.ground.basis, &self.pull, &self.anchor, theta)
            }
        }
    }

    fn step(&self, theta: &[f64]) -> Vec<f64> {
        let both = theta.iter().zip(&self.anchor);
        both.map(|(theta, anchor)| theta - anchor).collect()
    }
}

/// What parameters expect of rows.
pub(super) struct Expected<'a> {
    lines: Vec<(f64, f64)>,
    seasonal: &'a [f64],
    mode: ForecastMode,
}

impl<'a> Expected<'a> {
    pub(super) fn new(basis: &Basis, mode: ForecastMode, theta: &'a [f64]) -> Self {
        Self {
            lines: trend::stretches(basis.knots(), theta),
            seasonal: theta.get(basis.trend_width()..).unwrap_or_default(),
            mode,
        }
    }

    /// The expected value of a row, scaled.
    pub(super) fn of(&self, row: &Row<'_>) -> f64 {
        let (trend, seasons) = row.parts(&self.lines, self.seasonal);
        match self.mode {
            ForecastMode::Additive => trend + seasons,
            ForecastMode::Multiplicative => trend * (1.0 + seasons),
        }
    }

    /// How much the expected value of each row moves with its trend.
    pub(super) fn gain(&self, row: &Row<'_>) -> f64 {
        match self.mode {
            ForecastMode::Additive => 1.0,
            ForecastMode::Multiplicative => 1.0 + row.parts(&self.lines, self.seasonal).1,
        }
    }
}

/// The rows of `grid` in the terms of `basis`.
pub(super) fn all_rows<'a>(basis: &Basis, columns: &'a Columns, grid: &Grid) -> Rows<'a> {
    Rows::new(basis, columns, grid, 0..grid.len())
}
