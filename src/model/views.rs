//! What is usual for one entity, seen from several sides, and how far a row may be from it.
//!
//! Each [`View`] has an error per feature. The network's comes from the autoencoder and the shape's from a codebook, which
//! entities can share; the others are here, in a [`Baseline`] of the entity's own. A [`Yardstick`] says which error counts as
//! large in each view, so that they can be compared.

// Sizes are checked where rows come in.
#![allow(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use ndarray::{Array2, ArrayView2};

use super::autoregression::{Autoregression, Rows};
use super::codebook::Codebook;
use crate::domain::Entity;

/// One way to look at a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// How badly the autoencoder rebuilds the window that ends in the row.
    Autoencoder,
    /// How far the row is from what its past and the time of day let expect.
    Ahead,
    /// How far the window is from the nearest of the typical ones.
    Shape,
    /// How far the row is from what is usual at this time of day, at today's level.
    Daily,
}

impl View {
    /// All, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Autoencoder, Self::Ahead, Self::Shape, Self::Daily];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Autoencoder => "autoencoder",
            Self::Ahead => "forecast",
            Self::Shape => "shape",
            Self::Daily => "daily",
        }
    }
}

/// How many views there are.
pub const VIEWS: usize = View::ALL.len();

/// Spreads beyond which a value is cut.
const CUT: f32 = 50.0;

/// Deviations further than this move the level of [`View::Daily`] no faster (spreads).
const LEVEL_STEP: f32 = 3.0;

/// What is usual for one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// `[2, features]`: median and spread in scaled units.
    units: Array2<f32>,
    ahead: Autoregression,
}

impl Baseline {
    /// Learns from scaled rows `step` apart; the forecast from `most` of them at most, evenly chosen.
    #[must_use]
    pub fn fit(parts: &[Rows<'_>], features: usize, step: Duration, most: usize) -> Self {
        let mut baseline = Self {
            units: units(parts, features),
            ahead: Autoregression::fit(&[], features, step, most),
        };
        let measured: Vec<Array2<f32>> = parts
            .iter()
            .map(|rows| baseline.measured(rows.values))
            .collect();
        let parts: Vec<Rows<'_>> = parts
            .iter()
            .zip(&measured)
            .map(|(rows, measured)| Rows {
                values: measured.view(),
                ..*rows
            })
            .collect();
        baseline.ahead = Autoregression::fit(&parts, features, step, most);
        baseline
    }

    /// How many features it knows.
    #[must_use]
    pub fn features(&self) -> usize {
        self.units.ncols()
    }

    /// Scaled rows `[rows, ≥ features]` in spreads from the median, cut.
    #[must_use]
    pub fn measured(&self, values: ArrayView2<'_, f32>) -> Array2<f32> {
        Array2::from_shape_fn((values.nrows(), self.features()), |(row, feature)| {
            let away = values[(row, feature)] - self.units[(0, feature)];
            (away / self.units[(1, feature)]).clamp(-CUT, CUT)
        })
    }

    /// A value in spreads back on the scale of the network.
    #[must_use]
    pub fn scaled(&self, feature: usize, measured: f32) -> f32 {
        measured * self.units[(1, feature)] + self.units[(0, feature)]
    }

    /// What was expected of `row` of measured rows, per feature (spreads); NaN without enough rows before it. `clock` as in
    /// [`Rows::clock`].
    pub fn expect(
        &self,
        values: ArrayView2<'_, f32>,
        clock: &[f32],
        row: usize,
        expected: &mut Vec<f32>,
    ) {
        self.ahead.expect(values, clock, row, expected);
    }

    /// What is usual at a time of day, at this level (spreads).
    #[must_use]
    pub fn usual(&self, feature: usize, clock: f32, level: f32) -> f32 {
        self.ahead.usual(clock, feature).unwrap_or(0.0) + level
    }

    /// How far a measured value is from what is usual at a time of day plus `level`, which then moves towards it by the part
    /// `pace`.
    pub fn away(&self, feature: usize, value: f32, clock: f32, level: &mut f32, pace: f32) -> f32 {
        let away = value - self.usual(feature, clock, *level);
        *level += pace * away.clamp(-LEVEL_STEP, LEVEL_STEP);
        away.abs()
    }

    /// Units, and the tables of [`Autoregression::tables`].
    #[must_use]
    pub fn tables(&self) -> (ArrayView2<'_, f32>, &Autoregression) {
        (self.units.view(), &self.ahead)
    }

    /// The way back from [`Baseline::tables`]; `None` when the parts do not go together or hold what is no number.
    #[must_use]
    pub fn from_tables(units: Array2<f32>, ahead: Autoregression) -> Option<Self> {
        let sound = units.nrows() == 2
            && units.ncols() == ahead.features()
            && units.iter().all(|value| value.is_finite())
            && units.row(1).iter().all(|spread| *spread > 0.0);
        sound.then_some(Self { units, ahead })
    }
}

/// Median and spread of each feature. The spread is a sixth of the middle 99.8 %, which is
/// about a standard deviation of normal values.
fn units(parts: &[Rows<'_>], features: usize) -> Array2<f32> {
    let mut units = Array2::zeros((2, features));
    units.row_mut(1).fill(1.0);
    for feature in 0..features {
        let mut all: Vec<f32> = Vec::new();
        for rows in parts {
            let column = rows.values.column(feature);
            let observed = rows.observed.column(feature);
            let cells = column.iter().zip(observed).zip(rows.broken);
            all.extend(
                cells
                    .filter(|((_, seen), broken)| **seen && !**broken)
                    .map(|((v, _), _)| v),
            );
        }
        if all.is_empty() {
            continue;
        }
        all.sort_unstable_by(f32::total_cmp);
        let at = |part: f64| quantile(&all, part);
        let spread = (at(0.999) - at(0.001)) / 6.0;
        let range = (at(1.0) - at(0.0)) / 20.0;
        let median = at(0.5);
        // What was constant is scaled so that 1 is a hundredth of its value.
        let spread = if spread > 1e-6 {
            spread
        } else if range > 1e-6 {
            range
        } else {
            1.0
        };
        units[(0, feature)] = median;
        units[(1, feature)] = spread;
    }
    units
}

/// The value that a part of `sorted` is below; `sorted` is not empty.
fn quantile(sorted: &[f32], part: f64) -> f32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1 times the length.
    let place = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[place]
}

/// Errors per view and feature that count as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Yardstick {
    /// `[VIEWS, features]`: a large error of a feature, above 0.
    pub features: Array2<f32>,
    /// `[VIEWS]`: a large error of a whole view, above 0.
    pub views: [f64; VIEWS],
}

impl Yardstick {
    /// From a part of the training rows: each view's errors `[rows, features]`, NaN where unknown. A feature's large error is
    /// its 98 % quantile, or its root mean square where that is more; one that never erred is measured as the others are.
    /// `views` are left at 1: they follow from errors measured by this.
    #[must_use]
    pub fn fit(errors: &[Array2<f32>; VIEWS]) -> Self {
        let count = errors[0].ncols();
        let mut features = Array2::ones((VIEWS, count));
        for (mut large, errors) in features.outer_iter_mut().zip(errors) {
            let found: Vec<Option<f32>> = errors
                .columns()
                .into_iter()
                .map(|c| self::large(c.iter()))
                .collect();
            let mut known: Vec<f32> = found.iter().copied().flatten().collect();
            known.sort_unstable_by(f32::total_cmp);
            let typical = if known.is_empty() {
                1.0
            } else {
                quantile(&known, 0.5)
            };
            for (slot, found) in large.iter_mut().zip(found) {
                *slot = found.unwrap_or(typical);
            }
        }
        Self {
            features,
            views: [1.0; VIEWS],
        }
    }

    /// Whether all its numbers are above 0.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let above = |value: f64| value > 0.0 && value.is_finite();
        self.features.nrows() == VIEWS
            && self.features.iter().all(|value| above(f64::from(*value)))
            && self.views.iter().all(|value| above(*value))
    }
}

/// See [`Yardstick::fit`]; `None` for a feature that never erred, or was never seen.
fn large<'a>(errors: impl Iterator<Item = &'a f32>) -> Option<f32> {
    let mut seen: Vec<f32> = errors.copied().filter(|error| error.is_finite()).collect();
    if seen.is_empty() {
        return None;
    }
    seen.sort_unstable_by(f32::total_cmp);
    let squares: f32 = seen.iter().map(|error| error * error).sum();
    let mean = (squares / seen.len() as f32).sqrt();
    let found = quantile(&seen, 0.98).max(mean);
    (found > 1e-9).then_some(found)
}

/// What the alarms' threshold starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct Calm {
    /// The score that is published as 1, above 0.
    pub scale: f64,
    /// Median of the training rows' scores.
    pub usual: f64,
    /// Largest scores of the training rows' blocks, oldest first.
    pub maxima: Vec<f64>,
    /// Slow median of each view's surprise at the last training row.
    pub medians: [f64; VIEWS],
    /// `[features]`: level of [`View::Daily`] at the last training row.
    pub levels: Vec<f32>,
}

/// All that was learned of one entity beside networks and codebooks.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityViews {
    /// What is usual.
    pub baseline: Baseline,
    /// What is large.
    pub yardstick: Yardstick,
    /// What is rare.
    pub calm: Calm,
}

impl EntityViews {
    /// Whether all parts are made for so many features and hold sound numbers.
    #[must_use]
    pub fn is_sound(&self, features: usize) -> bool {
        let calm = &self.calm;
        self.baseline.features() == features
            && self.yardstick.features.ncols() == features
            && self.yardstick.is_sound()
            && calm.levels.len() == features
            && calm.levels.iter().all(|level| level.is_finite())
            && calm.scale > 0.0
            && calm.usual >= 0.0
            && [calm.scale, calm.usual]
                .iter()
                .chain(&calm.maxima)
                .chain(&calm.medians)
                .all(|value| value.is_finite())
    }
}

/// What the views beside the network know.
#[derive(Clone, Debug, PartialEq)]
pub struct Views {
    /// The codebook of each entity that has its own; [`Entity::sole`] serves all others. None where windows were too few.
    pub books: BTreeMap<Entity, Codebook>,
    /// By entity.
    pub entities: BTreeMap<Entity, EntityViews>,
    /// For an entity that was not there in training.
    pub pooled: EntityViews,
}

impl Views {
    /// What is known of `entity`, else of all together.
    #[must_use]
    pub fn of(&self, entity: &Entity) -> &EntityViews {
        self.entities.get(entity).unwrap_or(&self.pooled)
    }

    /// The codebook of `entity`: its own, else the shared one.
    #[must_use]
    pub fn book(&self, entity: &Entity) -> Option<&Codebook> {
        self.books
            .get(entity)
            .or_else(|| self.books.get(&Entity::sole()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn values_are_measured_in_spreads_and_come_back() {
        let values = Array2::from_shape_fn((1000, 3), |(row, feature)| match feature {
            0 => (row * 7919 % 1000) as f32 / 1000.0,
            1 => 0.0,
            _ => {
                if row == 500 {
                    1.0
                } else {
                    0.2
                }
            }
        });
        let observed = Array2::from_elem((1000, 3), true);
        let rows = Rows {
            values: values.view(),
            observed: observed.view(),
            broken: &[false; 1000],
            clock: &[0.0; 1000],
        };
        let baseline = Baseline::fit(&[rows], 3, Duration::from_secs(60), 1000);
        let measured = baseline.measured(array![[1.0, 0.02, 0.2], [0.5, -99.0, 1.0]].view());
        assert!((measured[(0, 0)] - 3.0).abs() < 0.05, "{measured}");
        assert!((measured[(0, 1)] - 0.02).abs() < 1e-6 && measured[(1, 1)] == -50.0);
        assert!((measured[(1, 2)] - 20.0).abs() < 1e-3);
        assert!((baseline.scaled(0, measured[(0, 0)]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_level_is_followed_slowly() {
        let values = Array2::zeros((100, 1));
        let observed = Array2::from_elem((100, 1), true);
        let rows = Rows {
            values: values.view(),
            observed: observed.view(),
            broken: &[false; 100],
            clock: &[0.0; 100],
        };
        let baseline = Baseline::fit(&[rows], 1, Duration::from_secs(60), 100);
        let mut level = 0.0;
        let first = baseline.away(0, 2.0, 0.5, &mut level, 0.1);
        let second = baseline.away(0, 2.0, 0.5, &mut level, 0.1);
        assert_eq!((first, level), (2.0, 0.2 + 0.1 * 1.8));
        assert!((second - 1.8).abs() < 1e-6);
        baseline.away(0, 50.0, 0.5, &mut level, 0.1);
        assert!((level - 0.68).abs() < 1e-6);
    }

    #[test]
    fn a_feature_that_never_erred_is_measured_as_the_others_are() {
        let errors = Array2::from_shape_fn((200, 3), |(row, feature)| match feature {
            0 => row as f32 / 200.0,
            1 => 0.0,
            _ => f32::NAN,
        });
        let yardstick = Yardstick::fit(&std::array::from_fn(|_| errors.clone()));
        let row = yardstick.features.row(0);
        assert!((row[0] - 0.975).abs() < 0.01, "{row}");
        assert_eq!((row[1], row[2]), (row[0], row[0]));
        assert!(yardstick.is_sound());
    }
}
