//! Each column's way to the network's scale and back.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::config::{Fill, ScalerKind};

/// Scaled values are cut to ±20: far outside anything trained on, so still a huge error, but one broken sensor cannot make
/// the sum of squares of a window meaningless.
pub const LIMIT: f32 = 20.0;

/// A spread below this part of the column's magnitude is rounding noise: the column counts as constant.
const NOISE: f64 = 1e-9;

/// A constant column's scale as a part of its value (of 1, when it is 0). Moving by that part reads like an ordinary
/// column crossing its whole range: a large error, but a finite one.
const CONSTANT_PART: f64 = 0.01;

/// What was learned of one column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    /// Raw value that scales to 0.
    offset: f64,
    /// Raw units in one scaled unit, above 0.
    scale: f64,
    /// Mean of the observed values.
    mean: f64,
    /// Median of the observed values.
    median: f64,
    /// At least one value was observed.
    known: bool,
    /// All of its values were the same, but for rounding.
    still: bool,
}

/// What was seen of one feature, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// The median of its values.
    pub median: f64,
    /// From the lowest to the highest, about; 0 when it never moved.
    pub range: f64,
}

/// Numbers that describe one column in [`Scaler::table`].
pub const TABLE_WIDTH: usize = 5;

/// Learned scaling of all columns: `scaled = (raw − offset) / scale`, cut to ±[`LIMIT`].
///
/// - [`ScalerKind::Minmax`]: smallest to 0, largest to 1.
/// - [`ScalerKind::Standard`]: mean to 0, standard deviation to 1.
/// - [`ScalerKind::Robust`]: median to 0, interquartile range to 1 (the standard deviation when that range is 0).
///
/// A constant column maps to 0 and one scaled unit is 1% of its value. A column that was never observed is unknown: it
/// scales to 0 whatever it holds, until a new training sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    kind: ScalerKind,
    columns: Vec<Column>,
}

impl Scaler {
    /// Learns the scale of each column of `values` `[rows, features]`; non-finite cells are left out.
    #[must_use]
    pub fn fit(kind: ScalerKind, values: ArrayView2<'_, f64>) -> Self {
        Self::fit_parts(kind, &[values])
    }

    /// [`Scaler::fit`] over all rows of `parts` (`[rows, features]` each, the first says how many features), one column at a
    /// time: what is copied for it is one column, not all rows.
    #[must_use]
    pub fn fit_parts(kind: ScalerKind, parts: &[ArrayView2<'_, f64>]) -> Self {
        let features = parts.first().map_or(0, ArrayView2::ncols);
        let column = |feature: usize| {
            let own = parts.iter().filter(|part| feature < part.ncols());
            let values = own.flat_map(|part| part.column(feature).to_vec());
            Column::fit(kind, values)
        };
        Self {
            kind,
            columns: (0..features).map(column).collect(),
        }
    }

    /// Which rule it was fitted by.
    #[must_use]
    pub const fn kind(&self) -> ScalerKind {
        self.kind
    }

    /// How many columns it was fitted on.
    #[must_use]
    pub fn features(&self) -> usize {
        self.columns.len()
    }

    /// Per feature: it had values when this was fitted, within a range that is a number. The others are masked in training and scoring.
    #[must_use]
    pub fn known(&self) -> Vec<bool> {
        self.columns.iter().map(|c| c.known).collect()
    }

    /// What was seen of the feature; `None` when it is unknown or there is no such feature.
    #[must_use]
    pub fn usual(&self, feature: usize) -> Option<Usual> {
        /// From about the lowest to the highest of a normal distribution's values: in deviations, and in interquartile ranges.
        const DEVIATIONS: f64 = 6.0;
        const QUARTILES: f64 = 4.5;
        let column = self.columns.get(feature).filter(|c| c.known)?;
        let width = match self.kind {
            ScalerKind::Minmax => 1.0,
            ScalerKind::Standard => DEVIATIONS,
            ScalerKind::Robust => QUARTILES,
        };
        Some(Usual {
            median: column.median,
            range: if column.still {
                0.0
            } else {
                column.scale * width
            },
        })
    }

    /// One raw value per feature that stands in where nothing better is at hand: the mean for [`Fill::Mean`], else the
    /// median; 0 for an unknown feature.
    #[must_use]
    pub fn fallback(&self, policy: Fill) -> Vec<f64> {
        self.columns
            .iter()
            .map(|c| match policy {
                Fill::Mean => c.mean,
                _ => c.median,
            })
            .collect()
    }

    /// Raw values `[rows, features]` on the network's scale, all finite and within ±[`LIMIT`]. Non-finite cells take the
    /// feature's median. The result always has the columns that were fitted: further ones are left out, lacking ones
    /// filled with their median.
    #[must_use]
    pub fn transform(&self, values: ArrayView2<'_, f64>) -> Array2<f32> {
        Array2::from_shape_fn((values.nrows(), self.columns.len()), |(row, feature)| {
            let raw = values.get((row, feature)).copied().unwrap_or(f64::NAN);
            self.columns[feature].scaled(raw)
        })
    }

    /// A raw value on the network's scale, within ±[`LIMIT`]; 0 when the feature is unknown or there is no such feature.
    #[must_use]
    pub fn scaled(&self, feature: usize, raw: f64) -> f32 {
        self.columns.get(feature).map_or(0.0, |c| c.scaled(raw))
    }

    /// The raw value of a scaled one; NaN when the feature is unknown or there is no such feature.
    #[must_use]
    pub fn inverse(&self, feature: usize, scaled: f64) -> f64 {
        self.columns
            .get(feature)
            .filter(|c| c.known)
            .map_or(f64::NAN, |c| scaled * c.scale + c.offset)
    }

    /// All that was learned as numbers `[features, 5]`, for [`Scaler::from_table`].
    #[must_use]
    pub fn table(&self) -> Array2<f64> {
        let mut table = Array2::zeros((self.columns.len(), TABLE_WIDTH));
        for (mut row, c) in table.rows_mut().into_iter().zip(&self.columns) {
            row.assign(&ndarray::arr1(&[
                c.offset,
                c.scale,
                c.mean,
                c.median,
                f64::from(u8::from(c.known) + u8::from(c.still)),
            ]));
        }
        table
    }

    /// A scaler from its [`Scaler::table`]; `None` when the numbers can't be one's.
    #[must_use]
    pub fn from_table(kind: ScalerKind, table: ArrayView2<'_, f64>) -> Option<Self> {
        let sound = table.ncols() == TABLE_WIDTH
            && table
                .rows()
                .into_iter()
                .all(|row| row.iter().all(|v| v.is_finite()) && row[1] > 0.0);
        sound.then(|| Self {
            kind,
            columns: table
                .rows()
                .into_iter()
                .map(|row| Column {
                    offset: row[0],
                    scale: row[1],
                    mean: row[2],
                    median: row[3],
                    known: row[4] > 0.5,
                    still: row[4] > 1.5,
                })
                .collect(),
        })
    }
}

impl Column {
    fn fit(kind: ScalerKind, values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let ends = sorted.first().copied().zip(sorted.last().copied());
        // A range beyond all numbers leaves nothing to measure values by.
        let Some((lowest, highest)) =
            ends.filter(|(lowest, highest)| (highest - lowest).is_finite())
        else {
            return Self {
                offset: 0.0,
                scale: 1.0,
                mean: 0.0,
                median: 0.0,
                known: false,
                still: false,
            };
        };
        let median = quantile(&sorted, 0.5);
        // Dividing first keeps the sum of huge values finite.
        let count = sorted.len() as f64;
        let mean = sorted.iter().map(|v| v / count).sum::<f64>();
        let range = highest - lowest;
        // In parts of the range: the squares of huge values would be infinite, those of tiny ones 0.
        let squares = sorted.iter().map(|v| ((v - mean) / range).powi(2) / count);
        let deviation = if range > 0.0 {
            squares.sum::<f64>().sqrt() * range
        } else {
            0.0
        };
        let constant = range <= NOISE * highest.abs().max(lowest.abs());
        let (offset, spread) = match kind {
            _ if constant => (median, 0.0),
            ScalerKind::Minmax => (lowest, range),
            ScalerKind::Standard => (mean, deviation),
            ScalerKind::Robust => {
                let middle = quantile(&sorted, 0.75) - quantile(&sorted, 0.25);
                let noise = NOISE * median.abs();
                (median, if middle > noise { middle } else { deviation })
            }
        };
        Self {
            offset,
            scale: usable_scale(spread, median),
            mean,
            median,
            known: true,
            still: constant,
        }
    }

    // Cut to ±20 before it is narrowed.
    #[allow(clippy::cast_possible_truncation)]
    fn scaled(&self, raw: f64) -> f32 {
        if !self.known {
            return 0.0;
        }
        let raw = if raw.is_finite() { raw } else { self.median };
        let limit = f64::from(LIMIT);
        ((raw - self.offset) / self.scale).clamp(-limit, limit) as f32
    }
}

/// `spread`, or what stands in for it when it is 0 (constant column), too small to divide by, or beyond all numbers.
fn usable_scale(spread: f64, median: f64) -> f64 {
    if spread.is_nan() || spread.is_infinite() {
        f64::MAX
    } else if spread >= f64::MIN_POSITIVE {
        spread
    } else if median.abs() * CONSTANT_PART >= f64::MIN_POSITIVE {
        median.abs() * CONSTANT_PART
    } else {
        CONSTANT_PART
    }
}

/// Quantile of sorted, non-empty values, linear between neighbours.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 ≤ part ≤ 1: an index.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    let share = place - low as f64;
    sorted[low] * (1.0 - share) + sorted[high] * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const X: f64 = f64::NAN;

    fn one(kind: ScalerKind, values: &[f64]) -> Scaler {
        let values = Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap();
        Scaler::fit(kind, values.view())
    }

    fn scaled(scaler: &Scaler, raw: f64) -> f32 {
        scaler.transform(array![[raw]].view())[(0, 0)]
    }

    #[test]
    fn each_kind_maps_its_landmarks() {
        let values = [0.0, 10.0, X, 20.0, 30.0, 40.0];
        let minmax = one(ScalerKind::Minmax, &values);
        assert_eq!(
            [0.0, 20.0, 40.0].map(|v| scaled(&minmax, v)),
            [0.0, 0.5, 1.0]
        );
        let standard = one(ScalerKind::Standard, &values);
        assert!((scaled(&standard, 20.0 + 200_f64.sqrt()) - 1.0).abs() < 1e-6);
        let robust = one(ScalerKind::Robust, &values);
        assert_eq!([20.0, 40.0].map(|v| scaled(&robust, v)), [0.0, 1.0]);
        assert_eq!(robust.usual(0).map(|usual| usual.median), Some(20.0));
        assert_eq!(robust.usual(1), None);
    }

    #[test]
    fn a_constant_column_is_zero_until_it_moves() {
        for kind in [ScalerKind::Minmax, ScalerKind::Standard, ScalerKind::Robust] {
            let scaler = one(kind, &[50.0; 7]);
            assert_eq!(scaled(&scaler, 50.0), 0.0);
            assert!((scaled(&scaler, 50.5) - 1.0).abs() < 1e-6);
            assert_eq!(scaled(&scaler, 500.0), LIMIT);
            let zero = one(kind, &[0.0; 7]);
            assert!((scaled(&zero, 0.01) - 1.0).abs() < 1e-6);
            assert_eq!(scaled(&zero, -7.0), -LIMIT);
            let noise = one(kind, &[1e9, 1e9 + 1e-7, 1e9]);
            assert!(scaled(&noise, 1e9 + 1e-7).abs() < 1e-6);
        }
    }

    #[test]
    fn robust_falls_back_when_the_middle_half_is_one_value() {
        let scaler = one(
            ScalerKind::Robust,
            &[5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 13.0],
        );
        let seven = scaled(&scaler, 13.0);
        assert!(seven > 2.0 && seven < 4.0, "{seven}");
    }

    #[test]
    fn an_unknown_column_is_zero_and_has_no_inverse() {
        let scaler = Scaler::fit(ScalerKind::Minmax, array![[1.0, X], [3.0, X]].view());
        assert_eq!(scaler.known(), [true, false]);
        assert_eq!(
            scaler.transform(array![[3.0, 77.0], [X, X]].view()),
            array![[1.0, 0.0], [0.5, 0.0]]
        );
        assert!(scaler.inverse(1, 0.5).is_nan());
        assert!(scaler.inverse(2, 0.5).is_nan());
        assert_eq!(scaler.fallback(Fill::Median), [2.0, 0.0]);
        assert_eq!(scaler.transform(array![[2.0]].view()), array![[0.5, 0.0]]);
    }

    #[test]
    fn extreme_values_stay_finite() {
        for kind in [ScalerKind::Minmax, ScalerKind::Standard, ScalerKind::Robust] {
            let endless = one(kind, &[-f64::MAX, f64::MAX, 0.0, 1e-320]);
            assert_eq!(endless.known(), [false]);
            let huge = one(kind, &[-8e307, 8e307, 0.0, 1e-320]);
            for scaler in [endless, huge] {
                for raw in [-f64::MAX, f64::MAX, 0.0] {
                    assert!(scaled(&scaler, raw).is_finite());
                }
                assert!(Scaler::from_table(kind, scaler.table().view()).is_some());
            }
            let wave = |height: f64| -> Vec<f64> {
                let at = |row: u32| height * f64::from(row % 7);
                (0..70).map(at).collect()
            };
            let same = |height| scaled(&one(kind, &wave(height)), 5.0 * height);
            for height in [1e-300, 1e-3, 1e200, 1e307] {
                assert!((same(height) - same(1.0)).abs() < 1e-5, "{height}");
            }
        }
    }

    #[test]
    fn parts_are_fitted_as_if_they_were_one() {
        let all = array![[1.0, 7.0], [X, 5.0], [4.0, X], [2.0, 9.0], [8.0, 6.5]];
        let (head, tail) = all.view().split_at(ndarray::Axis(0), 2);
        for kind in [ScalerKind::Minmax, ScalerKind::Standard, ScalerKind::Robust] {
            assert_eq!(
                Scaler::fit_parts(kind, &[head, tail]),
                Scaler::fit(kind, all.view())
            );
        }
        assert_eq!(Scaler::fit_parts(ScalerKind::Robust, &[]).features(), 0);
    }

    #[test]
    fn tables_are_checked() {
        let scaler = one(ScalerKind::Robust, &[1.0, 2.0, 4.0]);
        let table = scaler.table();
        assert_eq!(
            Scaler::from_table(ScalerKind::Robust, table.view()),
            Some(scaler)
        );
        for (column, bad) in [(0, X), (1, 0.0), (1, -1.0), (3, f64::INFINITY)] {
            let mut broken = table.clone();
            broken[(0, column)] = bad;
            assert_eq!(Scaler::from_table(ScalerKind::Robust, broken.view()), None);
        }
        assert_eq!(
            Scaler::from_table(ScalerKind::Robust, Array2::ones((2, 3)).view()),
            None
        );
    }
}
