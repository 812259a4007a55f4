//! One score from several views.
//!
//! A view's error at a row is the root mean square of its features' errors, each measured by the [`Yardstick`] and damped, so
//! that one feature's huge error counts as little more than a large one. Smoothed over the last rows and measured again, its
//! logarithm is the view's *surprise*. The mean surprise, plus how far each surprise is above its own slow median (so that a
//! view that has been surprised for days says less than one that is surprised anew), is what alarms go by: [`Fused::now`].
//! The score adds the aftermath, a mean surprise that rises at once and goes slowly: rows beside a surprise rank higher than
//! rows far from any.

// Sizes are checked where errors come in.
#![allow(clippy::indexing_slicing)]

use serde::{Deserialize, Serialize};

use crate::model::views::{VIEWS, Yardstick};

/// How much each view has to say, in the order of [`crate::model::views::View::ALL`].
const WEIGHTS: [f64; VIEWS] = [1.0, 2.0, 1.0, 1.0];

/// How much the newest row moves a view's smoothed error.
const PACE: [f64; VIEWS] = [0.5, 0.25, 0.5, 0.5];

/// Errors beyond so many large ones are damped.
const DAMPED: f64 = 10.0;

/// How far a slow median moves in a day.
const MEDIAN_PER_DAY: f64 = 6.0;

/// How much the aftermath of the largest surprise adds to the score, and the part of it that a row takes away.
const AFTERMATH: (f64, f64) = (3.0, 1.0 / 60.0);

/// Errors of one row: per view, per feature; NaN where a view has nothing to say of a feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors(pub [Vec<f32>; VIEWS]);

/// What fusing keeps of one entity from row to row. Memory: five floats a feature and a dozen more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Per view: its smoothed error, once it has had one.
    smooth: [Option<f64>; VIEWS],
    /// Per view: the slow median of its surprise, once it has one.
    medians: [Option<f64>; VIEWS],
    /// The mean surprise as it rose at once and goes slowly.
    aftermath: f64,
    /// `[VIEWS · features]`: each feature's part in the smoothed error, squared; a checkpoint does without.
    #[serde(skip)]
    parts: Vec<f32>,
    /// `[features]`: today's level of the daily view.
    pub levels: Vec<f32>,
}

/// What the views say of a row together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fused {
    /// What alarms go by, 0 and up; NaN when no view had anything to say.
    pub now: f64,
    /// The same with the aftermath.
    pub score: f64,
    /// Per feature: its part in the score; they sum to 1 when there is anything to share.
    pub shares: Vec<f64>,
    /// Per view: its part in `now`; they sum to it.
    pub views: [f64; VIEWS],
}

impl Memory {
    /// Makes room for so many features; one that remembers another number of them forgets all.
    pub fn fit(&mut self, features: usize) {
        if self.levels.len() != features {
            *self = Self {
                levels: vec![0.0; features],
                ..Self::default()
            };
        }
        self.parts.resize(VIEWS * features, 0.0);
    }

    /// Takes the errors of the next row, `part_of_day` after the last.
    pub fn fuse(&mut self, yardstick: &Yardstick, errors: &Errors, part_of_day: f64) -> Fused {
        let features = self.levels.len();
        let mut fused = Fused {
            now: f64::NAN,
            score: f64::NAN,
            shares: vec![0.0; features],
            views: [0.0; VIEWS],
        };
        let (mut weights, mut mean) = (0.0, 0.0);
        for (view, weight) in WEIGHTS.into_iter().enumerate() {
            let Some(surprise) = self.surprise(view, yardstick, &errors.0[view]) else {
                continue;
            };
            let median = self.medians[view].get_or_insert(surprise);
            let anew = (surprise - *median).max(0.0);
            let step = MEDIAN_PER_DAY * part_of_day;
            *median = (*median + if surprise > *median { step } else { -step }).max(0.0);
            weights += weight;
            mean += weight * surprise;
            fused.views[view] = weight * (surprise + anew);
        }
        if weights > 0.0 {
            fused.views.iter_mut().for_each(|part| *part /= weights);
            fused.now = fused.views.iter().sum();
            mean /= weights;
            let lasting = self.aftermath + AFTERMATH.1 * (mean - self.aftermath);
            self.aftermath = if mean > self.aftermath { mean } else { lasting };
            fused.score = fused.now + AFTERMATH.0 * self.aftermath;
            self.share(&mut fused);
        }
        fused
    }

    /// The logarithm of a view's smoothed error; `None` when it has nothing to say of this row.
    fn surprise(&mut self, view: usize, yardstick: &Yardstick, errors: &[f32]) -> Option<f64> {
        let features = self.levels.len();
        let pace = PACE[view];
        let parts = &mut self.parts[view * features..][..features];
        let (mut sum, mut count) = (0.0, 0_usize);
        for (feature, (error, part)) in errors.iter().zip(parts).enumerate() {
            if error.is_finite() {
                let times = f64::from(error / yardstick.features[(view, feature)]);
                let square = (DAMPED * (times / DAMPED).ln_1p()).powi(2);
                sum += square;
                count += 1;
                #[allow(clippy::cast_possible_truncation)] // Parts are for shares.
                let square = square as f32;
                #[allow(clippy::cast_possible_truncation)]
                let pace = pace as f32;
                *part += pace * (square - *part);
            }
        }
        if count == 0 {
            return None;
        }
        let error = (sum / count as f64).sqrt();
        let before = self.smooth[view].unwrap_or(error);
        let smooth = before + pace * (error - before);
        self.smooth[view] = Some(smooth);
        Some((smooth / yardstick.views[view]).ln_1p())
    }

    /// One that goes on from slow medians and levels of long ago.
    #[must_use]
    pub fn resume(medians: [f64; VIEWS], levels: Vec<f32>) -> Self {
        Self {
            medians: medians.map(Some),
            parts: vec![0.0; VIEWS * levels.len()],
            levels,
            ..Self::default()
        }
    }

    /// The slow medians: 0 of a view that had nothing to say yet.
    #[must_use]
    pub fn medians(&self) -> [f64; VIEWS] {
        self.medians.map(|median| median.unwrap_or(0.0))
    }

    /// A view's smoothed error as it is now.
    #[must_use]
    pub fn smoothed(&self) -> &[Option<f64>; VIEWS] {
        &self.smooth
    }

    /// Hands each view's part in the score to the features by their part in its error.
    fn share(&self, fused: &mut Fused) {
        let features = self.levels.len();
        for (view, whole) in fused.views.iter().enumerate() {
            let parts = &self.parts[view * features..][..features];
            let sum: f64 = parts.iter().map(|part| f64::from(*part)).sum();
            if sum > 0.0 {
                for (share, part) in fused.shares.iter_mut().zip(parts) {
                    *share += whole * f64::from(*part) / sum;
                }
            }
        }
        let all: f64 = fused.shares.iter().sum();
        if all > 0.0 {
            fused.shares.iter_mut().for_each(|share| *share /= all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    const STEP: f64 = 1.0 / 1440.0;

    fn yardstick(features: usize) -> Yardstick {
        Yardstick {
            features: Array2::ones((VIEWS, features)),
            views: [1.0; VIEWS],
        }
    }

    fn errors(of: &[f32]) -> Errors {
        Errors(std::array::from_fn(|_| of.to_vec()))
    }

    fn memory(features: usize) -> Memory {
        let mut memory = Memory::default();
        memory.fit(features);
        memory
    }

    #[test]
    fn who_errs_most_has_the_largest_share_and_shares_sum_to_one() {
        let mut memory = memory(3);
        for _ in 0..50 {
            memory.fuse(&yardstick(3), &errors(&[0.1, 0.1, 0.1]), STEP);
        }
        let calm = memory.clone().fuse(&yardstick(3), &errors(&[0.1; 3]), STEP);
        let hit = memory.fuse(&yardstick(3), &errors(&[0.1, 4.0, 0.1]), STEP);
        assert!(hit.now > 3.0 * calm.now, "{} {}", hit.now, calm.now);
        assert!(hit.shares[1] > 0.95, "{:?}", hit.shares);
        assert!((hit.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((hit.views.iter().sum::<f64>() - hit.now).abs() < 1e-9);
    }

    #[test]
    fn what_lasts_for_days_surprises_less_than_what_is_new() {
        let mut memory = memory(1);
        let mut scores = Vec::new();
        for row in 0..1440 {
            let error = if row < 200 { 0.1 } else { 3.0 };
            scores.push(memory.fuse(&yardstick(1), &errors(&[error]), STEP).now);
        }
        assert!(
            scores[230] > 1.8 * scores[1439],
            "{} {}",
            scores[230],
            scores[1439]
        );
        assert!(scores[1439] > 3.0 * scores[199]);
    }

    #[test]
    fn views_without_a_word_leave_the_others_to_speak_and_none_is_no_score() {
        let mut silent = errors(&[0.5, 0.5]);
        for view in 1..VIEWS {
            silent.0[view].fill(f32::NAN);
        }
        let mut memory = memory(2);
        let one = memory.fuse(&yardstick(2), &silent, STEP);
        assert!(one.now > 0.0 && one.views[1] == 0.0);
        let none = memory.fuse(&yardstick(2), &errors(&[f32::NAN; 2]), STEP);
        assert!(none.score.is_nan() && none.shares == [0.0, 0.0]);
    }

    #[test]
    fn an_error_without_bound_is_damped() {
        let mut memory = memory(1);
        let huge = memory.fuse(&yardstick(1), &errors(&[1e30]), STEP);
        assert!(huge.score.is_finite() && huge.now < 20.0, "{}", huge.score);
    }
}
