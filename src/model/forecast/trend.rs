//! What is left without the seasons: exponential smoothing (ETS, Hyndman et al. 2008) carried forward.

use augurs::Predict as _;
use augurs::ets::model::{ErrorComponent, ModelType, SeasonalComponent, TrendComponent, Unfit};
use serde::{Deserialize, Serialize};

/// Rounds of the search for smoothing weights: three weights at most, settled well before.
const ROUNDS: usize = 300;

/// Which shape the future of a trend has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Stays at the last level.
    Level,
    /// Goes on for a while, slower and slower.
    Damped,
    /// Goes on as it went.
    Linear,
}

impl Kind {
    /// Simplest first.
    pub(super) const ALL: [Self; 3] = [Self::Level, Self::Damped, Self::Linear];
}

/// A fitted trend. Every non-seasonal additive ETS forecasts `next + slope · (1 + damping + damping² + …)`, so these three
/// numbers are all of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trend {
    /// Value one step ahead.
    next: f64,
    /// How much the second step adds.
    slope: f64,
    /// What a step's addition is multiplied with for the next one, 0 to 1.
    damping: f64,
}

impl Trend {
    /// Fits `values` (finite); returns the trend and what it expected of each row from the rows before it. Where ETS
    /// cannot be fitted (too short, or no spread), the last value goes on with the mean change per row.
    pub(super) fn fit(values: &[f64], kind: Kind) -> (Self, Vec<f64>) {
        smoothed(values, kind).unwrap_or_else(|| drifting(values, kind))
    }

    /// The value `row` rows after the next one.
    pub(super) fn after(&self, row: usize) -> f64 {
        let rows = i32::try_from(row).unwrap_or(i32::MAX);
        let left = 1.0 - self.damping;
        let steps = if left > 1e-9 {
            (1.0 - self.damping.powi(rows)) / left
        } else {
            f64::from(rows)
        };
        self.next + self.slope * steps
    }

    /// Values of the next `horizon` rows.
    pub(super) fn ahead(&self, horizon: usize) -> impl Iterator<Item = f64> + '_ {
        let mut value = self.next;
        let mut add = self.slope;
        (0..horizon).map(move |_| {
            let now = value;
            value += add;
            add *= self.damping;
            now
        })
    }
}

fn smoothed(values: &[f64], kind: Kind) -> Option<(Trend, Vec<f64>)> {
    // Below this the initial state alone uses up the data.
    if values.len() < 12 {
        return None;
    }
    let trend = match kind {
        Kind::Level => TrendComponent::None,
        Kind::Damped | Kind::Linear => TrendComponent::Additive,
    };
    let model = Unfit::new(ModelType {
        error: ErrorComponent::Additive,
        trend,
        season: SeasonalComponent::None,
    })
    .damped(kind == Kind::Damped)
    .max_iterations(ROUNDS)
    .fit(values)
    .ok()?;
    let ahead = model.predict(3, None).ok()?.point;
    let fitted = model.predict_in_sample(None).ok()?.point;
    let [first, second, third] = *ahead.as_slice() else {
        return None;
    };
    let slope = second - first;
    let damping = if slope.abs() > f64::EPSILON {
        ((third - second) / slope).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let sound = first.is_finite() && slope.is_finite() && fitted.len() == values.len();
    (sound && fitted.iter().all(|v| v.is_finite())).then_some((
        Trend {
            next: first,
            slope,
            damping,
        },
        fitted,
    ))
}

/// The last value going on (with the mean change per row unless `kind` is [`Kind::Level`]).
fn drifting(values: &[f64], kind: Kind) -> (Trend, Vec<f64>) {
    let first = values.first().copied().unwrap_or(0.0);
    let last = values.last().copied().unwrap_or(0.0);
    let steps = values.len().saturating_sub(1).max(1) as f64;
    let slope = match kind {
        Kind::Level => 0.0,
        Kind::Damped | Kind::Linear => (last - first) / steps,
    };
    let damping = if kind == Kind::Damped { 0.9 } else { 1.0 };
    let fitted = std::iter::once(first)
        .chain(values.iter().map(|v| v + slope))
        .take(values.len())
        .collect();
    (
        Trend {
            next: last + slope,
            slope: slope * damping,
            damping,
        },
        fitted,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on() {
        for rows in [5, 100] {
            let values: Vec<f64> = (0..rows).map(|row| 2.0 * f64::from(row) - 7.0).collect();
            let (trend, fitted) = Trend::fit(&values, Kind::Linear);
            assert_eq!(fitted.len(), values.len());
            for (k, value) in trend.ahead(50).enumerate() {
                let expected = 2.0 * (f64::from(rows) + k as f64) - 7.0;
                assert!(
                    (value - expected).abs() < 0.5,
                    "{rows} rows, step {k}: {value}"
                );
            }
        }
    }

    #[test]
    fn a_level_stays_and_damping_slows() {
        let values: Vec<f64> = (0..60).map(|row| f64::from(row % 2)).collect();
        let (trend, _) = Trend::fit(&values, Kind::Level);
        assert!(trend.ahead(20).all(|v| (v - 0.5).abs() < 0.5));
        let rising: Vec<f64> = (0..60).map(f64::from).collect();
        let (trend, _) = Trend::fit(&rising, Kind::Damped);
        let ahead: Vec<f64> = trend.ahead(200).collect();
        let close = |row: usize| (trend.after(row) - ahead[row]).abs() < 1e-6;
        assert!([0, 1, 50, 199].into_iter().all(close));
        assert!(ahead[199] - ahead[198] < ahead[1] - ahead[0]);
    }

    #[test]
    fn equal_values_and_a_single_one_do_no_harm() {
        for values in [vec![0.0; 50], vec![4.0]] {
            for kind in Kind::ALL {
                let (trend, _) = Trend::fit(&values, kind);
                assert!(trend.ahead(3).all(|v| (v - values[0]).abs() < 1e-6));
            }
        }
    }
}
