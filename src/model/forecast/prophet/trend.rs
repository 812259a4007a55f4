//! The line with bends, stretch by stretch: what sums over rows need to know of it.
//!
//! Parameters stand in one vector `[offset, slope, changes of slope …, seasonal …]`. A slope or change of slope adds
//! `(t − knot)⁺`, so within stretch `g` (from knot `g` to the next one, `s` = time since knot `g`) the trend is
//! `level_g + slope_g · s`, and a sum over rows needs only the sums of 1, `s` and `s²` of each stretch. Distances between knots
//! are never negative, so nothing cancels.

// The numeric kernel: all slices are `[knots]` or `[1 + knots]`, made together.
#![allow(clippy::indexing_slicing)]

use crate::model::matrix::Matrix;

/// Level and slope of the trend at the start of each stretch.
pub(super) fn stretches(knots: &[f64], theta: &[f64]) -> Vec<(f64, f64)> {
    let (mut level, mut slope, mut before) = (theta[0], 0.0, 0.0);
    knots
        .iter()
        .zip(&theta[1..])
        .map(|(knot, change)| {
            level += slope * (knot - before);
            slope += change;
            before = *knot;
            (level, slope)
        })
        .collect()
}

/// Sums of `f · (offset and slope columns)`, from each stretch's sums of `f` and `s f`: `[1 + knots]`.
pub(super) fn pulls(knots: &[f64], sums: &[[f64; 2]]) -> Vec<f64> {
    let mut out = vec![0.0; 1 + knots.len()];
    out[0] = sums.iter().map(|sum| sum[0]).sum();
    let (mut plain, mut ramp) = (0.0, 0.0);
    // From the last stretch backwards: `ramp` is the sum of f · (t − knot)⁺ for the knot at hand.
    for at in (0..knots.len()).rev() {
        if let Some(next) = knots.get(at + 1) {
            ramp += plain * (next - knots[at]);
        }
        plain += sums[at][0];
        ramp += sums[at][1];
        out[1 + at] = ramp;
    }
    out
}

/// Writes the products of offset and slope columns, weighted with `w`, into the upper left of `h`, from each stretch's sums of
/// `w`, `s w` and `s² w`.
pub(super) fn products(knots: &[f64], sums: &[[f64; 3]], h: &mut Matrix) {
    let first: Vec<[f64; 2]> = sums.iter().map(|sum| [sum[0], sum[1]]).collect();
    for (column, value) in pulls(knots, &first).into_iter().enumerate() {
        h.set(0, column, value);
    }
    let (mut plain, mut ramp, mut square) = (0.0, 0.0, 0.0);
    for at in (0..knots.len()).rev() {
        if let Some(next) = knots.get(at + 1) {
            let gap = next - knots[at];
            square += gap * (2.0 * ramp + gap * plain);
            ramp += plain * gap;
        }
        plain += sums[at][0];
        ramp += sums[at][1];
        square += sums[at][2];
        // An earlier slope's column is this one's plus the distance of the knots.
        for earlier in 0..=at {
            let apart = knots[at] - knots[earlier];
            h.set(1 + earlier, 1 + at, square + apart * ramp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_stretch_are_sums_over_columns() {
        let knots = [0.0, 0.2, 0.5, 0.55];
        let column = |j: usize, t: f64| {
            if j == 0 {
                1.0
            } else {
                (t - knots[j - 1]).max(0.0)
            }
        };
        let theta = [0.3, 1.0, -2.0, 0.5, 4.0];
        let mut sums = [[0.0; 3]; 4];
        let (mut h, mut pull) = (Matrix::zeros(5), vec![0.0; 5]);
        let parts = stretches(&knots, &theta);
        for row in 0..300_u32 {
            let t = f64::from(row) / 200.0;
            let x: Vec<f64> = (0..5).map(|j| column(j, t)).collect();
            let weight = 1.0 + f64::from(row % 7);
            h.add_outer(&x, weight);
            for (pull, x) in pull.iter_mut().zip(&x) {
                *pull += weight * x;
            }
            let stretch = knots.partition_point(|knot| *knot <= t) - 1;
            let since = t - knots[stretch];
            for (power, sum) in sums[stretch].iter_mut().enumerate() {
                *sum += weight * since.powi(i32::try_from(power).unwrap());
            }
            let direct: f64 = x.iter().zip(&theta).map(|(x, theta)| x * theta).sum();
            assert!((parts[stretch].0 + parts[stretch].1 * since - direct).abs() < 1e-12);
        }
        let mut fast = Matrix::zeros(5);
        products(&knots, &sums, &mut fast);
        for i in 0..5 {
            for j in 0..5 {
                assert!(
                    (fast.row(i)[j] / h.row(i)[j] - 1.0).abs() < 1e-12,
                    "{i} {j}"
                );
            }
        }
        let first: Vec<[f64; 2]> = sums.iter().map(|sum| [sum[0], sum[1]]).collect();
        for (fast, direct) in pulls(&knots, &first).iter().zip(&pull) {
            assert!((fast / direct - 1.0).abs() < 1e-12);
        }
    }
}
