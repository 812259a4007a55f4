//! Takes the seasons out of a series.

use std::time::Duration;

use augurs::mstl::stlrs::{MstlParams, StlParams};
use serde::{Deserialize, Serialize};

use super::ForecastError;
use super::gaps::profile;
use super::seasons::without_line;

/// Cycles that a season is averaged over, at most: about a month of days.
const CYCLES: usize = 35;

/// One season's last cycle: `shape[row % shape.len()]`, rows counted from the first fitted one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cycle {
    pub(super) shape: Vec<f64>,
}

impl Cycle {
    pub(super) fn at(&self, row: usize) -> f64 {
        let phase = row % self.shape.len().max(1);
        self.shape.get(phase).copied().unwrap_or(0.0)
    }
}

/// A series taken apart.
pub(super) struct Split {
    pub(super) seasons: Vec<Cycle>,
    /// Trend and remainder.
    pub(super) rest: Vec<f64>,
}

impl Split {
    /// The seasons' part in a fitted row: what the decomposition took out of it.
    pub(super) fn seasonal(&self, row: usize, values: &[f64]) -> f64 {
        match (values.get(row), self.rest.get(row)) {
            (Some(value), Some(rest)) => value - rest,
            _ => self.ahead(row),
        }
    }

    /// The seasons' part in a row to come.
    pub(super) fn ahead(&self, row: usize) -> f64 {
        self.seasons.iter().map(|season| season.at(row)).sum()
    }
}

/// Takes `periods` (ascending, in rows) out of `values`. A season with fewer than two full cycles at hand, as happens at
/// an origin in the past, is the mean shape of what the others leave.
pub(super) fn decompose(
    values: &[f64],
    periods: &[usize],
    step: Duration,
) -> Result<Split, ForecastError> {
    let (full, partial): (Vec<usize>, Vec<usize>) = periods
        .iter()
        .partition(|period| 2 * **period <= values.len());
    let mut split = loess(values, &full, step)?;
    for period in partial {
        let shape = profile(&without_line(&split.rest), period);
        for (rest, shape) in split.rest.iter_mut().zip(shape.iter().cycle()) {
            *rest -= shape;
        }
        split.seasons.push(Cycle { shape });
    }
    Ok(split)
}

fn loess(values: &[f64], periods: &[usize], step: Duration) -> Result<Split, ForecastError> {
    if periods.is_empty() {
        return Ok(Split {
            seasons: Vec::new(),
            rest: values.to_vec(),
        });
    }
    let mut stl = StlParams::new();
    // Two rounds of robust weights: incidents in the history must not become part of a season.
    stl.inner_loops(2).outer_loops(2);
    #[allow(clippy::cast_possible_truncation)]
    let single: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let found = MstlParams::new()
        .stl_params(stl)
        .seasonal_lengths(&vec![CYCLES; periods.len()])
        .fit(&single, periods)
        .map_err(|error| ForecastError::Decompose {
            periods: periods.to_vec(),
            step_secs: step.as_secs_f64(),
            rows: values.len(),
            reason: error.to_string(),
        })?;
    let mut rest = values.to_vec();
    let mut seasons = Vec::with_capacity(periods.len());
    for (component, period) in found.seasonal().iter().zip(periods) {
        for (rest, seasonal) in rest.iter_mut().zip(component) {
            *rest -= f64::from(*seasonal);
        }
        let mut shape = vec![0.0; *period];
        let last = component.len().saturating_sub(*period);
        for (row, value) in component.iter().enumerate().skip(last) {
            if let Some(slot) = shape.get_mut(row % period) {
                *slot = f64::from(*value);
            }
        }
        seasons.push(Cycle { shape });
    }
    Ok(Split { seasons, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saw(row: usize) -> f64 {
        (row % 6) as f64 + 3.0 * (row / 6 % 2) as f64
    }

    #[test]
    fn seasons_go_and_come_again() {
        let values: Vec<f64> = (0..60).map(saw).collect();
        let split = decompose(&values, &[6, 12], Duration::from_secs(60)).unwrap();
        for row in 60..72 {
            let expected = split.ahead(row) + split.rest[59];
            assert!((expected - saw(row)).abs() < 0.2, "row {row}: {expected}");
        }
        for (row, value) in values.iter().enumerate() {
            assert!((split.rest[row] + split.seasonal(row, &values) - value).abs() < 1e-12);
        }
    }

    #[test]
    fn a_season_seen_once_is_its_mean_shape_and_a_bad_one_is_an_error() {
        let values: Vec<f64> = (0..20).map(saw).collect();
        let split = decompose(&values, &[12], Duration::from_secs(60)).unwrap();
        assert_eq!(split.seasons.len(), 1);
        let error = decompose(&values, &[1], Duration::from_secs(60))
            .err()
            .unwrap();
        assert!(error.to_string().contains("seasonalities"), "{error}");
    }
}
