//! What can be said of a row before there is a model: how far each feature is from the median of its last rows, in robust
//! standard deviations (Rousseeuw & Croux 1993), and how far that can be trusted.

use ndarray::{ArrayView1, ArrayView2};

use crate::domain::{FeatureVerdict, Provisional};

/// Rows that are looked back over: bounds the work of a row.
pub const MOST: usize = 240;

/// With fewer values a feature has no say.
const FEWEST: usize = 12;

/// A standard deviation of normal values, in median absolute deviations.
const NORMAL: f64 = 1.4826;

/// Deviations that make a score of 1.
const FAR: f64 = 6.0;

/// A spread counts as at least this part of the median: a constant has none.
const LEAST: f64 = 0.01;

/// Standard error of the median absolute deviation of `n` normal values, in its own size, times the root of `n`.
const UNSURE: f64 = 1.17;

/// What the rows before the last one of `rows` (`[rows, metrics]`, NaN where missing) say of it. `covered` is the part of a
/// day that they span, at most 1: what a day looks like is not known before it is over, so at most half of the confidence
/// is there at first. `None` when no feature has enough values, or none has one in the last row.
#[must_use]
pub fn look(rows: &ArrayView2<'_, f64>, covered: f64) -> Option<Provisional> {
    let mut features: Vec<FeatureVerdict> = Vec::new();
    let (mut score, mut fewest) = (f64::NAN, usize::MAX);
    for column in rows.columns() {
        let (found, away, values) = feature(&column);
        if let Some(away) = away {
            score = score.max(away);
            fewest = fewest.min(values);
        }
        features.push(found);
    }
    if score.is_nan() {
        return None;
    }
    share(&mut features);
    let spread = 1.0 - UNSURE / (fewest as f64).sqrt();
    Some(Provisional {
        score: score / FAR,
        confidence: spread.clamp(0.0, 1.0) * (0.5 + 0.5 * covered.clamp(0.0, 1.0)),
        features,
    })
}

/// One feature's newest value beside those before it: its verdict with the distance in place of its share, the distance, and
/// how many values that is from.
fn feature(column: &ArrayView1<'_, f64>) -> (FeatureVerdict, Option<f64>, usize) {
    let value = column.last().copied().unwrap_or(f64::NAN);
    let before = column.len().saturating_sub(1);
    let mut known: Vec<f64> = column.iter().take(before).copied().collect();
    known.retain(|value| value.is_finite());
    let nothing = FeatureVerdict {
        value,
        expected: f64::NAN,
        lower: f64::NAN,
        upper: f64::NAN,
        mse: f64::NAN,
        share: 0.0,
    };
    let values = known.len();
    let Some(median) = median(&mut known).filter(|_| values >= FEWEST) else {
        return (nothing, None, values);
    };
    for value in &mut known {
        *value = (*value - median).abs();
    }
    let typical = self::median(&mut known).unwrap_or(0.0) * NORMAL;
    let spread = typical.max(LEAST * median.abs()).max(f64::MIN_POSITIVE);
    let away = ((value - median).abs() / spread).clamp(0.0, 1e9);
    let found = FeatureVerdict {
        expected: median,
        lower: median - FAR * spread,
        upper: median + FAR * spread,
        share: if away.is_finite() { away * away } else { 0.0 },
        ..nothing
    };
    (found, away.is_finite().then_some(away), values)
}

/// Brings squared distances to a sum of 1.
fn share(features: &mut [FeatureVerdict]) {
    let all: f64 = features.iter().map(|feature| feature.share).sum();
    let count = features.len() as f64;
    for feature in features {
        feature.share = if all > 0.0 {
            feature.share / all
        } else {
            1.0 / count
        };
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn rows(count: usize, last: [f64; 2]) -> Array2<f64> {
        Array2::from_shape_fn((count, 2), |(row, column)| {
            if row + 1 == count {
                last[column]
            } else {
                50.0 + ((row * 7919 + column * 31) % 100) as f64 / 10.0
            }
        })
    }

    #[test]
    fn a_jump_is_over_one_and_names_the_feature() {
        let calm = look(&rows(60, [54.0, 56.0]).view(), 0.04).unwrap();
        assert!(calm.score < 0.5, "{calm:?}");
        let hit = look(&rows(60, [54.0, 150.0]).view(), 0.04).unwrap();
        assert!(hit.score > 1.0 && hit.features[1].share > 0.99, "{hit:?}");
        assert!(hit.features[1].upper < 150.0 && hit.features[1].lower < 55.0);
    }

    #[test]
    fn more_rows_and_a_whole_day_are_trusted_more() {
        let of = |count, covered| {
            look(&rows(count, [54.0, 54.0]).view(), covered)
                .unwrap()
                .confidence
        };
        assert!(of(14, 0.0) < of(100, 0.0) && of(100, 0.0) < of(100, 1.0));
        assert!(of(14, 0.0) > 0.2 && of(240, 1.0) < 1.0);
    }

    #[test]
    fn too_little_is_no_score_and_a_missing_value_none_of_its_feature() {
        assert_eq!(look(&rows(8, [54.0, 54.0]).view(), 0.0), None);
        assert_eq!(look(&rows(60, [f64::NAN, f64::NAN]).view(), 0.0), None);
        let half = look(&rows(60, [f64::NAN, 57.0]).view(), 0.0).unwrap();
        assert!(half.features[0].share == 0.0 && half.features[1].share == 1.0);
    }

    #[test]
    fn a_constant_that_moves_is_far_and_one_that_stays_is_not() {
        let flat = |last| {
            let rows =
                Array2::from_shape_fn((40, 1), |(row, _)| if row == 39 { last } else { 0.0 });
            look(&rows.view(), 0.0).unwrap().score
        };
        assert_eq!(flat(0.0), 0.0);
        assert!(flat(3.0) > 1.0 && flat(3.0).is_finite());
    }
}
