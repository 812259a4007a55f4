//! Sums over rows for trend · (1 + seasons).
//!
//! Within a stretch the expected value is `(level + slope · s) · (1 + Σ βₖ fₖ)`: linear in the columns `c = (1, f₁, f₂ …)` with
//! coefficients that are linear in `s`. So the sums of `c cᵀ`, `s c cᵀ` and `s² c cᵀ` of each stretch, and for each series of `y c`
//! and `s y c`, say everything: the sum of squares and its derivatives at any parameters, without going over rows again.

// The numeric kernel: widths come from one basis.
#![allow(clippy::indexing_slicing)]

use super::basis::Basis;
use super::rows::{Row, Rows};
use super::trend;
use crate::model::matrix::{Matrix, dot};

/// Sums of `sᵃ c cᵀ`, `a` = 0, 1, 2, of each stretch.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    stretches: Vec<[Matrix; 3]>,
}

/// Coefficients of `c` in one stretch: at its start, and per unit of `s`.
type Line = [Vec<f64>; 2];

impl Moments {
    /// Over `rows`.
    pub(super) fn new(basis: &Basis, rows: &Rows<'_>) -> Self {
        let width = 1 + basis.seasonal_width();
        let none = || [0; 3].map(|_| Matrix::zeros(width));
        let mut moments = Self {
            stretches: basis.knots().iter().map(|_| none()).collect(),
        };
        for row in rows.iter() {
            moments.add(&row, 1.0);
        }
        moments
    }

    /// Adds (`weight` 1) or takes away (−1) one row.
    pub(super) fn add(&mut self, row: &Row<'_>, weight: f64) {
        let columns = columns(row);
        let mut factor = weight;
        for moment in &mut self.stretches[row.stretch] {
            moment.add_outer(&columns, factor);
            factor *= row.since;
        }
    }

    /// Sums of `e c` and `s e c` of each stretch, one after the other, for one residual `e` per row.
    pub(super) fn pull(basis: &Basis, rows: &Rows<'_>, residuals: &[f64]) -> Vec<f64> {
        let mut pull = vec![0.0; 2 * (1 + basis.seasonal_width()) * basis.knots().len()];
        for (row, e) in rows.iter().zip(residuals) {
            Self::add_pull(&row, *e, &mut pull);
        }
        pull
    }

    /// Adds one row's residual to a [`pull`](Self::pull).
    pub(super) fn add_pull(row: &Row<'_>, residual: f64, pull: &mut [f64]) {
        let columns = 1 + row.seasonal.len();
        let own = &mut pull[2 * columns * row.stretch..2 * columns * (row.stretch + 1)];
        let (plain, ramp) = own.split_at_mut(columns);
        let sloped = residual * row.since;
        plain[0] += residual;
        ramp[0] += sloped;
        for ((plain, ramp), f) in plain[1..].iter_mut().zip(&mut ramp[1..]).zip(row.seasonal) {
            *plain += residual * f;
            *ramp += sloped * f;
        }
    }

    /// How much the sum of squares changes when the parameters move from `anchor`, where `pull` was taken, to `theta`.
    pub(super) fn change(&self, basis: &Basis, pull: &[f64], anchor: &[f64], theta: &[f64]) -> f64 {
        let parts = self.stretches.iter().zip(pulls(pull, self.width()));
        parts
            .zip(moves(basis, anchor, theta))
            .map(|((moments, own), [start, rise])| {
                let [plain, ramp, square] = moments;
                dot(&start, &plain.times(&start))
                    + 2.0 * dot(&start, &ramp.times(&rise))
                    + dot(&rise, &square.times(&rise))
                    - 2.0 * (dot(&start, own[0]) + dot(&rise, own[1]))
            })
            .sum()
    }

    /// The expected value as a linear function around `theta`: products of the parameters' columns, and of these columns with
    /// what is left.
    pub(super) fn linearised(
        &self,
        basis: &Basis,
        pull: &[f64],
        anchor: &[f64],
        theta: &[f64],
    ) -> (Matrix, Vec<f64>) {
        let (knots, trend_width) = (basis.knots(), basis.trend_width());
        let (width, seasonal) = (self.width(), self.width() - 1);
        let factors = factors(basis, theta);
        let mut h = Matrix::zeros(trend_width + seasonal);
        let mut weights = vec![[0.0; 3]; knots.len()];
        let mut left = vec![[0.0; 2]; knots.len()];
        let mut cross = vec![[0.0; 2]; knots.len() * seasonal];
        let mut squares = Matrix::zeros(width);
        let mut waves = vec![0.0; width];
        let lines = trend::stretches(knots, theta);
        let parts = self.stretches.iter().zip(pulls(pull, width));
        let parts = parts.zip(moves(basis, anchor, theta));
        for (g, ((moments, own), moved)) in parts.enumerate() {
            let (level, slope) = lines[g];
            // Sums of sᵃ (1 + seasons) c.
            let seen = [0, 1, 2].map(|a: usize| moments[a].times(&factors));
            weights[g] = [0, 1, 2].map(|a: usize| dot(&factors, &seen[a]));
            // What is left after the move: sums of sᵃ e c.
            let missed = [0, 1].map(|a: usize| {
                let start = moments[a].times(&moved[0]);
                let rise = moments[a + 1].times(&moved[1]);
                let parts = own[a].iter().zip(start.iter().zip(rise));
                parts
                    .map(|(own, (start, rise))| own - start - rise)
                    .collect::<Vec<f64>>()
            });
            left[g] = [0, 1].map(|a: usize| dot(&factors, &missed[a]));
            for k in 0..seasonal {
                cross[g * seasonal + k] =
                    [0, 1].map(|a: usize| level * seen[a][k + 1] + slope * seen[a + 1][k + 1]);
            }
            for (k, wave) in waves.iter_mut().enumerate() {
                *wave += level * missed[0][k] + slope * missed[1][k];
            }
            let powers = [level * level, 2.0 * level * slope, slope * slope];
            for row in 0..width {
                let [plain, ramp, square] = moments.each_ref().map(|m| m.row(row));
                for (k, out) in squares.row_mut(row).iter_mut().enumerate() {
                    *out += powers[0] * plain[k] + powers[1] * ramp[k] + powers[2] * square[k];
                }
            }
        }
        trend::products(knots, &weights, &mut h);
        for k in 0..seasonal {
            let of: Vec<[f64; 2]> = (0..knots.len()).map(|g| cross[g * seasonal + k]).collect();
            for (row, value) in trend::pulls(knots, &of).into_iter().enumerate() {
                h.set(row, trend_width + k, value);
            }
            for row in 0..=k {
                h.set(
                    trend_width + row,
                    trend_width + k,
                    squares.row(row + 1)[k + 1],
                );
            }
        }
        let mut gradient = trend::pulls(knots, &left);
        gradient.extend_from_slice(&waves[1..]);
        (h, gradient)
    }

    fn width(&self) -> usize {
        self.stretches
            .first()
            .map_or(1, |[plain, _, _]| plain.size())
    }
}

/// `c` of a row.
fn columns(row: &Row<'_>) -> Vec<f64> {
    std::iter::once(1.0)
        .chain(row.seasonal.iter().copied())
        .collect()
}

/// `(1, β…)`.
fn factors(basis: &Basis, theta: &[f64]) -> Vec<f64> {
    let seasonal = &theta[basis.trend_width()..];
    std::iter::once(1.0)
        .chain(seasonal.iter().copied())
        .collect()
}

/// Each stretch's two parts of a pull.
fn pulls(pull: &[f64], width: usize) -> impl Iterator<Item = [&[f64]; 2]> {
    pull.chunks_exact(2 * width).map(move |own| {
        let (plain, ramp) = own.split_at(width);
        [plain, ramp]
    })
}

/// How the coefficients of `c` differ, stretch by stretch, between two sets of parameters.
fn moves(basis: &Basis, from: &[f64], to: &[f64]) -> impl Iterator<Item = Line> {
    let (old, new) = (factors(basis, from), factors(basis, to));
    let lines = trend::stretches(basis.knots(), to).into_iter();
    let before = trend::stretches(basis.knots(), from);
    lines.zip(before).map(move |(line, before)| {
        let differ = |to: f64, from: f64| {
            new.iter()
                .zip(&old)
                .map(|(new, old)| to * new - from * old)
                .collect::<Vec<f64>>()
        };
        [differ(line.0, before.0), differ(line.1, before.1)]
    })
}
