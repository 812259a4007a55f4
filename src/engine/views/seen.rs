//! Measures one entity's rows as each view sees them, for training and for scoring alike.

use std::time::Duration;

use ndarray::{Array2, ArrayView2};

use crate::detect::fusion::{Errors, Memory};
use crate::model::codebook::{Codebook, Distances};
use crate::model::views::{Baseline, View};

/// One entity's rows as the views see them, made from one stretch of scaled rows.
pub struct Seen {
    measured: Array2<f32>,
    clock: Vec<f32>,
    /// Part of a day between two rows.
    pace: f32,
}

impl Seen {
    /// `values` are scaled, `[rows, ≥ features]`, at the times of `clock`.
    pub fn new(
        baseline: &Baseline,
        values: ArrayView2<'_, f32>,
        clock: Vec<f32>,
        step: Duration,
    ) -> Self {
        #[allow(clippy::cast_possible_truncation)] // A part of a day.
        let pace = (step.as_secs_f64() / 86_400.0) as f32;
        Self {
            measured: baseline.measured(values),
            clock,
            pace,
        }
    }

    /// Distances to the codebook of `rows`, for [`Seen::errors`].
    pub fn shapes(
        &self,
        book: Option<&Codebook>,
        rows: std::ops::Range<usize>,
        space: &mut Distances,
    ) {
        if let Some(book) = book {
            book.distances(self.measured.view(), rows, space);
        } else {
            let errors = rows.len() * self.measured.ncols();
            space.errors.clear();
            space.errors.resize(errors, f32::NAN);
        }
    }

    /// What was expected of a row, per feature, in scaled units; NaN without enough rows before it.
    pub fn expect(&self, baseline: &Baseline, row: usize, expected: &mut Vec<f32>) {
        baseline.expect(self.measured.view(), &self.clock, row, expected);
    }

    /// How far each feature of a row is from what was `expected` of it, on the scale of the network.
    pub fn distances(
        &self,
        baseline: &Baseline,
        row: usize,
        expected: &[f32],
    ) -> impl Iterator<Item = f64> {
        let features = 0..self.measured.ncols();
        let scaled = |feature, measured| f64::from(baseline.scaled(feature, measured));
        features.map(move |feature| {
            let value = self
                .measured
                .get((row, feature))
                .copied()
                .unwrap_or(f32::NAN);
            let expected = expected.get(feature).copied().unwrap_or(f32::NAN);
            scaled(feature, value) - scaled(feature, expected)
        })
    }

    /// Fills the errors of one row. `network` and `shape` are the errors of those views, per feature; only features that are
    /// `judged` have errors. `expected` is what [`Seen::expect`] gave.
    pub fn errors(
        &self,
        baseline: &Baseline,
        row: usize,
        (network, shape, expected): (&[f32], &[f32], &[f32]),
        judged: impl Fn(usize) -> bool,
        (memory, errors): (&mut Memory, &mut Errors),
    ) {
        let features = self.measured.ncols();
        memory.fit(features);
        errors.0.iter_mut().for_each(|of_view| {
            of_view.clear();
            of_view.resize(features, f32::NAN);
        });
        let at = |values: &[f32], feature: usize| values.get(feature).copied().unwrap_or(f32::NAN);
        let clock = self.clock.get(row).copied().unwrap_or(0.0);
        for (feature, level) in memory.levels.iter_mut().enumerate() {
            let Some(value) = self.measured.get((row, feature)).copied() else {
                continue;
            };
            if !judged(feature) {
                continue;
            }
            for (view, of_view) in View::ALL.into_iter().zip(&mut errors.0) {
                let error = match view {
                    View::Autoencoder => at(network, feature),
                    View::Ahead => (value - at(expected, feature)).abs(),
                    View::Shape => at(shape, feature),
                    View::Daily => baseline.away(feature, value, clock, level, self.pace),
                };
                if let Some(slot) = of_view.get_mut(feature) {
                    *slot = error;
                }
            }
        }
    }

    /// What is usual at the time of a row, at this level (spreads).
    pub fn usual(&self, baseline: &Baseline, row: usize, feature: usize, level: f32) -> f32 {
        let clock = self.clock.get(row).copied().unwrap_or(0.0);
        baseline.usual(feature, clock, level)
    }

    /// Part of a day between two rows.
    pub fn part_of_day(&self) -> f64 {
        f64::from(self.pace)
    }
}
