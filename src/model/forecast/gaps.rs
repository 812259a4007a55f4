//! Bridges gaps so that a decomposition can run over them. What is bridged is never taken for an observation.

/// A series without its unobserved ends, gaps bridged.
#[derive(Clone, Debug)]
pub(super) struct Bridged {
    /// Rows before the first observation.
    pub leading: usize,
    /// Rows after the last observation.
    pub trailing: usize,
    /// From the first to the last observation, all finite.
    pub values: Vec<f64>,
    /// Which of them were observed.
    pub observed: Vec<bool>,
}

/// Cuts the unobserved ends off and bridges the gaps between: a straight line across what the profile of the season
/// `period` (rows) leaves over, so that a lost day gets a day's shape. `None` when nothing was observed.
pub(super) fn bridge(values: &[f64], period: Option<usize>) -> Option<Bridged> {
    let leading = values.iter().position(|v| v.is_finite())?;
    let last = values.iter().rposition(|v| v.is_finite())?;
    let inner = values.get(leading..=last)?;
    let observed: Vec<bool> = inner.iter().map(|v| v.is_finite()).collect();
    let profile = period.map_or_else(|| vec![0.0], |p| profile(inner, p));
    let shape = |row: usize| {
        profile
            .get(row % profile.len().max(1))
            .copied()
            .unwrap_or(0.0)
    };
    let rest: Vec<f64> = inner
        .iter()
        .enumerate()
        .map(|(row, v)| v - shape(row))
        .collect();
    let bridged = straight(&rest)
        .into_iter()
        .zip(inner)
        .enumerate()
        .map(|(row, (rest, v))| if v.is_finite() { *v } else { rest + shape(row) })
        .collect();
    Some(Bridged {
        leading,
        trailing: values.len() - last - 1,
        values: bridged,
        observed,
    })
}

/// Mean of the observed values at each phase of `period`, less the mean of all; 0 for phases never observed.
pub(super) fn profile(values: &[f64], period: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0_usize); period.max(1)];
    let (mut sum, mut count) = (0.0, 0_usize);
    for (row, value) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
        if let Some(slot) = sums.get_mut(row % period.max(1)) {
            *slot = (slot.0 + value, slot.1 + 1);
        }
        sum += value;
        count += 1;
    }
    let mean = sum / count.max(1) as f64;
    sums.iter()
        .map(|(sum, count)| {
            if *count == 0 {
                0.0
            } else {
                sum / *count as f64 - mean
            }
        })
        .collect()
}

/// Straight lines across the gaps of a series whose ends were observed.
fn straight(values: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        if value.is_finite() {
            let before = out.len();
            if before < row {
                let from = out.last().copied().unwrap_or(*value);
                let steps = (row - before + 1) as f64;
                for k in 1..=row - before {
                    out.push(from + (value - from) * k as f64 / steps);
                }
            }
            out.push(*value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    const N: f64 = f64::NAN;

    #[test]
    fn ends_are_cut_and_gaps_are_straight() {
        let bridged = bridge(&[N, 1.0, N, N, 4.0, N], None).unwrap();
        assert_eq!((bridged.leading, bridged.trailing), (1, 1));
        assert_eq!(bridged.values, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(bridged.observed, [true, false, false, true]);
        assert!(bridge(&[N, N], None).is_none());
    }

    #[test]
    fn a_lost_period_gets_the_shape_of_the_season() {
        let shape = [0.0, 5.0, 10.0, 5.0];
        let mut values: Vec<f64> = (0..16).map(|row| shape[row % 4]).collect();
        for value in &mut values[4..8] {
            *value = N;
        }
        let bridged = bridge(&values, Some(4)).unwrap();
        for (row, value) in bridged.values.iter().enumerate() {
            assert!((value - shape[row % 4]).abs() < 1e-9, "row {row}: {value}");
        }
    }
}
