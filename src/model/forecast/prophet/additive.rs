//! Sums over rows for trend + seasons: the columns' products, which every series with the same rows shares, and each
//! series' products with them.

// The numeric kernel: widths come from one basis.
#![allow(clippy::indexing_slicing)]

use super::basis::Basis;
use super::rows::{Row, Rows};
use super::trend;
use crate::model::matrix::{Matrix, dot};

/// `XᵀX` over some rows, `[width, width]`.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    products: Matrix,
}

impl Gram {
    /// Over `rows`: `O(rows · seasonal²)`, because the trend's columns need sums of each stretch only.
    pub(super) fn new(basis: &Basis, rows: &Rows<'_>) -> Self {
        let (knots, trend_width) = (basis.knots(), basis.trend_width());
        let seasonal = basis.seasonal_width();
        let mut powers = vec![[0.0; 3]; knots.len()];
        let mut plain = vec![0.0; knots.len() * seasonal];
        let mut ramp = plain.clone();
        let mut waves = Matrix::zeros(seasonal);
        for row in rows.iter() {
            let s = row.since;
            let sums = &mut powers[row.stretch];
            *sums = [sums[0] + 1.0, sums[1] + s, sums[2] + s * s];
            let own = row.stretch * seasonal..(row.stretch + 1) * seasonal;
            for ((plain, ramp), f) in plain[own.clone()]
                .iter_mut()
                .zip(&mut ramp[own])
                .zip(row.seasonal)
            {
                *plain += f;
                *ramp += s * f;
            }
            waves.add_outer(row.seasonal, 1.0);
        }
        let mut products = Matrix::zeros(trend_width + seasonal);
        trend::products(knots, &powers, &mut products);
        for column in 0..seasonal {
            let at = |g: usize| [plain[g * seasonal + column], ramp[g * seasonal + column]];
            let sums: Vec<[f64; 2]> = (0..knots.len()).map(at).collect();
            for (row, value) in trend::pulls(knots, &sums).into_iter().enumerate() {
                products.set(row, trend_width + column, value);
            }
            for row in 0..=column {
                let value = waves.row(row)[column];
                products.set(trend_width + row, trend_width + column, value);
            }
        }
        Self { products }
    }

    /// Adds (`weight` 1) or takes away (−1) one row.
    pub(super) fn add(&mut self, basis: &Basis, row: &Row<'_>, weight: f64) {
        self.products.add_outer(&columns(basis, row), weight);
    }

    /// `Xᵀ e` for one residual per row.
    pub(super) fn pull(basis: &Basis, rows: &Rows<'_>, residuals: &[f64]) -> Vec<f64> {
        let mut sums = vec![[0.0; 2]; basis.knots().len()];
        let mut seasonal = vec![0.0; basis.seasonal_width()];
        for (row, e) in rows.iter().zip(residuals) {
            let sum = &mut sums[row.stretch];
            *sum = [sum[0] + e, sum[1] + e * row.since];
            for (sum, f) in seasonal.iter_mut().zip(row.seasonal) {
                *sum += e * f;
            }
        }
        let mut pull = trend::pulls(basis.knots(), &sums);
        pull.append(&mut seasonal);
        pull
    }

    /// Adds one row's residual to a [`pull`](Self::pull).
    pub(super) fn add_pull(basis: &Basis, row: &Row<'_>, residual: f64, pull: &mut [f64]) {
        for (pull, x) in pull.iter_mut().zip(columns(basis, row)) {
            *pull += residual * x;
        }
    }

    /// How much the sum of squares changes when the parameters move by `step` from where `pull` was taken.
    pub(super) fn change(&self, pull: &[f64], step: &[f64]) -> f64 {
        dot(step, &self.products.times(step)) - 2.0 * dot(step, pull)
    }

    /// Products of the columns, and of the columns with what is left after `step`.
    pub(super) fn linearised(&self, pull: &[f64], step: &[f64]) -> (Matrix, Vec<f64>) {
        let moved = self.products.times(step);
        let left = pull.iter().zip(moved).map(|(pull, x)| pull - x).collect();
        (self.products.clone(), left)
    }
}

/// One row of `X`.
fn columns(basis: &Basis, row: &Row<'_>) -> Vec<f64> {
    let knots = basis.knots();
    let time = knots[row.stretch] + row.since;
    std::iter::once(1.0)
        .chain(knots.iter().map(|knot| (time - knot).max(0.0)))
        .chain(row.seasonal.iter().copied())
        .collect()
}
