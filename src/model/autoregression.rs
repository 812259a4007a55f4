//! What comes next, from the last rows and the time of day: one linear model per feature.
//!
//! A feature's next value is expected to be a weighted sum of its last [`LAGS`] values, of what is usual at this time of day
//! and at the two rows before, and a constant. The weights are least squares with a small ridge (Hoerl & Kennard 1970).

// Sizes are checked where rows come in.
#![allow(clippy::indexing_slicing)]

use std::time::Duration;

use ndarray::{Array2, ArrayView2};

use super::matrix::{Matrix, solve};

/// Rows before the expected one that it is told from.
pub const LAGS: usize = 16;

/// Rows of the daily profile that it is told from: the expected one and those before it.
const PROFILED: usize = 3;

/// Weights of one feature: lags (oldest first), profile (newest first), constant.
pub const WEIGHTS: usize = LAGS + PROFILED + 1;

/// The ridge, as a part of the feature's variance.
const RIDGE: f64 = 1e-4;

/// With fewer rows than this the last value is what is expected.
const FEWEST_ROWS: usize = 3 * WEIGHTS;

/// Slots that a day has at most: quarters of an hour.
const MOST_SLOTS: usize = 96;

/// Days that must have been seen before a time of day has a usual value.
const FEWEST_DAYS: f64 = 3.0;

/// A stretch of one entity's rows without a break in time.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// `[rows, ≥ features]` in any fixed units, gaps filled.
    pub values: ArrayView2<'a, f32>,
    /// `[rows, features]`: what was observed, not filled.
    pub observed: ArrayView2<'a, bool>,
    /// `[rows]`: rows not to be learned from.
    pub broken: &'a [bool],
    /// `[rows]`: the time of day as clocks on the wall show it, as a part of a day (0 to 1).
    pub clock: &'a [f32],
}

impl Rows<'_> {
    /// Whether a row and those that it is told from may be learned from.
    fn is_whole(&self, row: usize) -> bool {
        row >= LAGS && !self.broken[row - LAGS..=row].contains(&true)
    }
}

/// What is usual for each feature at each time of day.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `[slots, features]`: median of the rows in that part of the day; slot `k` has its middle at `(k + ½) / slots`.
    slots: Array2<f32>,
}

/// Rows of the time in which something was observed: gaps of at most an hour are a part of it, longer ones and what lies
/// before the first row and after the last are not.
fn covered(rows: &Rows<'_>, step: Duration) -> usize {
    let gap = (3600.0 / step.as_secs_f64().max(1e-3)).max(1.0);
    let (mut covered, mut before) = (0, None);
    let seen = rows.observed.rows().into_iter().take(rows.values.nrows());
    for (row, _) in seen
        .enumerate()
        .filter(|(_, row)| row.iter().any(|seen| *seen))
    {
        let missing = before.map_or(0, |before: usize| row - before - 1);
        covered += 1 + if missing as f64 <= gap { missing } else { 0 };
        before = Some(row);
    }
    covered
}

impl Profile {
    /// From rows `step` apart; `None` when they are too few for a pattern, or too far apart.
    fn fit(parts: &[Rows<'_>], features: usize, step: Duration) -> Option<Self> {
        let part = step.as_secs_f64() / 86_400.0;
        let rows: usize = parts.iter().map(|rows| covered(rows, step)).sum();
        if rows as f64 * part < FEWEST_DAYS || part > 0.25 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Between 4 and a few thousand.
        let count = ((1.0 / part).round() as usize).min(MOST_SLOTS);
        let mut slots = Array2::zeros((count, features));
        for feature in 0..features {
            let mut seen = vec![Vec::new(); count];
            for rows in parts {
                let column = rows.values.column(feature);
                for (row, (value, clock)) in column.iter().zip(rows.clock).enumerate() {
                    if rows.observed[(row, feature)] && !rows.broken[row] {
                        seen[slot(*clock, count)].push(*value);
                    }
                }
            }
            for (slot, seen) in seen.iter_mut().enumerate() {
                slots[(slot, feature)] = median(seen).unwrap_or(0.0);
            }
        }
        Some(Self { slots })
    }

    /// What is usual at a time of day, on the line between the slots beside it.
    fn at(&self, clock: f32, feature: usize) -> f32 {
        let count = self.slots.nrows();
        let place = clock.rem_euclid(1.0) * count as f32 - 0.5;
        let before = place.floor();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within the slots.
        let first = (before + count as f32) as usize % count;
        let second = (first + 1) % count;
        let part = place - before;
        self.slots[(first, feature)] * (1.0 - part) + self.slots[(second, feature)] * part
    }
}

/// The slot of a time of day.
fn slot(clock: f32, count: usize) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1 times the slots.
    let slot = (clock.rem_euclid(1.0) * count as f32) as usize;
    slot.min(count - 1)
}

fn median(values: &mut [f32]) -> Option<f32> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// One entity's models, one per feature. About 80 bytes a feature, and a profile of at most 96 floats a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoregression {
    /// `[features, WEIGHTS]`.
    weights: Array2<f32>,
    profile: Option<Profile>,
}

impl Autoregression {
    /// Fits every feature of `parts`, whose rows are `step` apart, on at most `most` rows, evenly chosen. Without enough rows
    /// for a feature its last value is expected.
    #[must_use]
    pub fn fit(parts: &[Rows<'_>], features: usize, step: Duration, most: usize) -> Self {
        let mut fitted = Self {
            weights: Array2::zeros((features, WEIGHTS)),
            profile: Profile::fit(parts, features, step),
        };
        let whole: Vec<(usize, usize)> = parts
            .iter()
            .enumerate()
            .flat_map(|(part, rows)| {
                let all = 0..rows.values.nrows();
                all.filter(|row| rows.is_whole(*row))
                    .map(move |row| (part, row))
            })
            .collect();
        let thin = whole.len().div_ceil(most.max(1)).max(1);
        let chosen: Vec<(usize, usize)> = whole.into_iter().step_by(thin).collect();
        for feature in 0..features {
            let weights = fitted.feature(parts, &chosen, feature);
            for (slot, weight) in fitted.weights.row_mut(feature).iter_mut().zip(weights) {
                #[allow(clippy::cast_possible_truncation)] // In the precision of the values.
                let narrow = weight as f32;
                *slot = narrow;
            }
        }
        fitted
    }

    /// The weights of one feature.
    fn feature(
        &self,
        parts: &[Rows<'_>],
        chosen: &[(usize, usize)],
        feature: usize,
    ) -> [f64; WEIGHTS] {
        let mut last = [0.0; WEIGHTS];
        last[LAGS - 1] = 1.0;
        let rows: Vec<(&Rows<'_>, usize)> = chosen
            .iter()
            .map(|(part, row)| (&parts[*part], *row))
            .filter(|(rows, row)| rows.observed[(*row, feature)])
            .collect();
        if rows.len() < FEWEST_ROWS {
            return last;
        }
        let target = |(rows, row): &(&Rows<'_>, usize)| f64::from(rows.values[(*row, feature)]);
        let center = rows.iter().map(target).sum::<f64>() / rows.len() as f64;
        let mut gram = Matrix::zeros(WEIGHTS);
        let mut right = [0.0; WEIGHTS];
        for row in &rows {
            let x = self.inputs(row.0, row.1, feature, center);
            gram.add_outer(&x, 1.0);
            let y = target(row) - center;
            right.iter_mut().zip(x).for_each(|(r, x)| *r += x * y);
        }
        let spread: f64 = (0..LAGS).map(|lag| gram.row(lag)[lag]).sum();
        let ridge = RIDGE * spread / LAGS as f64;
        for column in 0..WEIGHTS - 1 {
            gram.row_mut(column)[column] += ridge;
        }
        let every: Vec<usize> = (0..WEIGHTS).collect();
        let mut weights = [0.0; WEIGHTS];
        weights.copy_from_slice(&solve(&gram, &every, &right));
        // The constant takes the center over, so that values can be put in as they are.
        let used = if self.profile.is_some() {
            WEIGHTS - 1
        } else {
            LAGS
        };
        weights[WEIGHTS - 1] += center * (1.0 - weights[..used].iter().sum::<f64>());
        weights
    }

    /// What row `row` is told from, less `center`; without a profile its places are 0.
    fn inputs(&self, rows: &Rows<'_>, row: usize, feature: usize, center: f64) -> [f64; WEIGHTS] {
        let mut inputs = [0.0; WEIGHTS];
        for (lag, input) in inputs[..LAGS].iter_mut().enumerate() {
            *input = f64::from(rows.values[(row - LAGS + lag, feature)]) - center;
        }
        if let Some(profile) = &self.profile {
            for (ago, input) in inputs[LAGS..LAGS + PROFILED].iter_mut().enumerate() {
                *input = f64::from(profile.at(rows.clock[row - ago], feature)) - center;
            }
        }
        inputs[WEIGHTS - 1] = 1.0;
        inputs
    }

    /// What was expected of `row`, per feature. The rows before it must be at least [`LAGS`]; NaN where they are
    /// fewer.
    pub fn expect(
        &self,
        values: ArrayView2<'_, f32>,
        clock: &[f32],
        row: usize,
        expected: &mut Vec<f32>,
    ) {
        expected.clear();
        if row < LAGS || row >= values.nrows() || row >= clock.len() {
            expected.resize(self.weights.nrows(), f32::NAN);
            return;
        }
        for (feature, weights) in self.weights.outer_iter().enumerate() {
            let lags = (0..LAGS).map(|lag| values[(row - LAGS + lag, feature)]);
            let mut sum = weights[WEIGHTS - 1];
            sum += lags.zip(weights).map(|(value, w)| value * w).sum::<f32>();
            if let Some(profile) = &self.profile {
                for ago in 0..PROFILED {
                    sum += profile.at(clock[row - ago], feature) * weights[LAGS + ago];
                }
            }
            expected.push(sum);
        }
    }

    /// What is usual at a time of day; `None` when no daily pattern could be learned.
    #[must_use]
    pub fn usual(&self, clock: f32, feature: usize) -> Option<f32> {
        let profile = self.profile.as_ref()?;
        (feature < profile.slots.ncols()).then(|| profile.at(clock, feature))
    }

    /// How many features it expects.
    #[must_use]
    pub fn features(&self) -> usize {
        self.weights.nrows()
    }

    /// All that was learned: `[features, WEIGHTS]`, and `[slots, features]` if there is a profile.
    #[must_use]
    pub fn tables(&self) -> (ArrayView2<'_, f32>, Option<ArrayView2<'_, f32>>) {
        let profile = self.profile.as_ref().map(|profile| profile.slots.view());
        (self.weights.view(), profile)
    }

    /// The way back from [`Autoregression::tables`]; `None` when the tables do not go together or hold what is no number.
    #[must_use]
    pub fn from_tables(weights: Array2<f32>, profile: Option<Array2<f32>>) -> Option<Self> {
        let fits = profile.as_ref().is_none_or(|profile| {
            profile.ncols() == weights.nrows() && (1..=MOST_SLOTS).contains(&profile.nrows())
        });
        let finite = |table: &Array2<f32>| table.iter().all(|value| value.is_finite());
        let sound = finite(&weights) && profile.as_ref().is_none_or(finite);
        (fits && sound && weights.ncols() == WEIGHTS).then(|| Self {
            weights,
            profile: profile.map(|slots| Profile { slots }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(300);
    const DAY: usize = 288;

    fn noise(row: usize) -> f32 {
        (row * 7919 % 1009) as f32 / 1009.0 - 0.5
    }

    fn clock(rows: usize) -> Vec<f32> {
        (0..rows)
            .map(|row| (row % DAY) as f32 / DAY as f32)
            .collect()
    }

    /// Fits one feature and says how far it is off on later rows, on average.
    fn error(of: impl Fn(usize) -> f32, learned: usize, tested: usize) -> (Autoregression, f32) {
        let all = learned + tested;
        let values = Array2::from_shape_fn((all, 1), |(row, _)| of(row));
        let observed = Array2::from_elem((all, 1), true);
        let (broken, clock) = (vec![false; all], clock(all));
        let rows = Rows {
            values: values.view(),
            observed: observed.view(),
            broken: &broken,
            clock: &clock,
        };
        let part = Rows {
            values: values.slice(ndarray::s![..learned, ..]),
            ..rows
        };
        let model = Autoregression::fit(&[part], 1, STEP, 20_000);
        let mut expected = Vec::new();
        let mut sum = 0.0;
        for row in learned..all {
            model.expect(values.view(), &clock, row, &mut expected);
            sum += (expected[0] - of(row)).abs();
        }
        (model, sum / tested as f32)
    }

    #[test]
    fn a_daily_pattern_is_expected_where_lags_say_nothing() {
        let shape = |row: usize| if row % DAY < 30 { 5.0 } else { 1.0 };
        let (model, off) = error(|row| shape(row) + noise(row), 4 * DAY, DAY);
        assert!(off < 0.35, "{off}");
        assert!((model.usual(15.0 / 288.0, 0).unwrap() - 5.0).abs() < 0.3);
        let (model, off) = error(|row| shape(row) + noise(row), 2 * DAY, DAY);
        assert_eq!(model.usual(0.0, 0), None);
        assert!(off < 1.0, "{off}");
    }

    #[test]
    fn a_slow_wave_is_followed() {
        let wave = |row: usize| (row as f32 / 40.0).sin();
        let (_, off) = error(wave, 600, 200);
        assert!(off < 0.01, "{off}");
    }

    #[test]
    fn a_constant_and_a_short_past_expect_what_was_last() {
        let (_, off) = error(|_| 0.25, 600, 50);
        assert!(off < 1e-6, "{off}");
        let (_, off) = error(|row| row as f32, 40, 10);
        assert_eq!(off, 1.0);
    }

    #[test]
    fn a_day_is_one_that_was_observed() {
        let hours = |rows: &[bool]| {
            let observed = Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row]);
            let values = Array2::zeros((rows.len(), 1));
            let rows = Rows {
                values: values.view(),
                observed: observed.view(),
                broken: &vec![false; rows.len()],
                clock: &vec![0.0; rows.len()],
            };
            covered(&rows, Duration::from_mins(10))
        };
        assert_eq!(hours(&[true; 100]), 100);
        let gaps = [
            &[true; 10][..],
            &[false; 6],
            &[true; 10],
            &[false; 7],
            &[true; 10],
        ]
        .concat();
        assert_eq!(hours(&gaps), 36);
        let young = [&[false; 5000][..], &[true; 12], &[false; 3]].concat();
        assert_eq!(hours(&young), 12);
    }

    #[test]
    fn broken_and_missing_rows_are_not_learned_from() {
        let values = Array2::from_shape_fn((400, 1), |(row, _)| {
            if row < 200 {
                9.0 + noise(row)
            } else {
                (row as f32 / 20.0).sin()
            }
        });
        let observed = Array2::from_shape_fn((400, 1), |(row, _)| row >= 200);
        let clean: Vec<bool> = (0..400).map(|row| row < 200).collect();
        let clock = clock(400);
        let rows = |broken| Rows {
            values: values.view(),
            observed: observed.view(),
            broken,
            clock: &clock,
        };
        let tail = Rows {
            values: values.slice(ndarray::s![200.., ..]),
            observed: observed.slice(ndarray::s![200.., ..]),
            broken: &clean[200..],
            clock: &clock[200..],
        };
        let learned = Autoregression::fit(&[rows(&clean)], 1, STEP, 20_000);
        assert_eq!(
            learned.weights,
            Autoregression::fit(&[tail], 1, STEP, 20_000).weights
        );
    }

    #[test]
    fn tables_come_back_and_damaged_ones_do_not() {
        let (model, _) = error(noise, 4 * DAY, 10);
        let (weights, profile) = model.tables();
        let (weights, profile) = (weights.to_owned(), profile.map(|p| p.to_owned()));
        let again = Autoregression::from_tables(weights.clone(), profile.clone());
        assert_eq!(again, Some(model));
        let mut wrong = weights.clone();
        wrong[(0, 3)] = f32::NAN;
        assert_eq!(Autoregression::from_tables(wrong, profile), None);
        let other = Array2::zeros((MOST_SLOTS, 2));
        assert_eq!(Autoregression::from_tables(weights, Some(other)), None);
    }

    #[test]
    fn without_the_rows_before_nothing_is_expected() {
        let (model, _) = error(noise, 600, 10);
        let mut expected = Vec::new();
        let values = Array2::zeros((LAGS, 1));
        model.expect(values.view(), &clock(LAGS), LAGS - 1, &mut expected);
        assert!(expected.len() == 1 && expected[0].is_nan());
    }
}
