//! Seasons by loess, a smoothed trend, and a band from held-back forecasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::band::{self, Band};
use super::decompose::{Cycle, decompose};
use super::gaps::bridge;
use super::prepared::Prepared;
use super::seasons;
use super::trend::{Kind, Trend};
use super::{Ahead, Fit, ForecastError, Predict, banded, check_level};
use crate::domain::{Forecast, Grid};

/// Observed rows without which nothing is said.
const NEED: usize = 3;
/// Rows from which errors of the past are measured; below, the spread of single steps has to do.
const ENOUGH: usize = 24;
/// Origins in the past from which forecasts are checked.
const ORIGINS: usize = 7;
/// How much better a less simple trend must forecast to be taken.
pub(super) const BETTER: f64 = 0.95;
/// Seasonal and trend decomposition with several seasons (MSTL, Bandara et al. 2021) and exponential smoothing of the
/// rest, by `augurs`.
///
/// The trend's shape is the one of level, damped and straight that forecast best from earlier origins. The band's
/// width is measured at these same origins.
#[derive(Clone, Debug, PartialEq)]
pub struct Mstl {
    /// Lengths of the seasons looked for.
    pub seasonalities: Vec<Duration>,
    /// How far forecasts will be asked for: how far they are tried from earlier origins.
    pub horizon: Duration,
    /// Most rows fitted (a longer history is averaged).
    pub max_points: usize,
    /// Take only seasons that the data shows; else all of which two periods were observed.
    pub only_strong: bool,
}

/// A fitted series: seasons, trend and band in plain numbers. Holds at most five times `max_points` numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeasonalModel {
    grid: Grid,
    /// Unobserved rows between the last fitted row and the end of the data.
    trailing: usize,
    seasons: Vec<Cycle>,
    trend: Trend,
    band: Option<Band>,
    /// What was expected of each fitted row, in the unit of the data.
    fitted: Vec<f64>,
    /// Absolute errors of `fitted` where observed, ascending.
    errors: Vec<f64>,
    /// Unit of the data per unit of the fit.
    scale: f64,
    center: f64,
}

impl Fit for Mstl {
    type Model = SeasonalModel;

    fn fit(&self, grid: &Grid, values: &[f64]) -> Result<SeasonalModel, ForecastError> {
        let prepared = Prepared::new(grid, values, self.max_points, &self.seasonalities)?;
        self.fit_prepared(&prepared).map(|(model, _)| model)
    }
}

impl Mstl {
    /// Fits a prepared series; also says how it was tried on its own past, if it was long enough for that.
    pub(super) fn fit_prepared(
        &self,
        series: &Prepared,
    ) -> Result<(SeasonalModel, Option<Tried>), ForecastError> {
        let have = series.cleaned.iter().filter(|v| v.is_finite()).count();
        let few = ForecastError::TooFew {
            have,
            need: NEED,
            rows: series.given,
        };
        if have < NEED {
            return Err(few);
        }
        let step = series.grid.step();
        let shortest = series.shortest_season(&self.seasonalities);
        let bridged = bridge(&series.cleaned, shortest).ok_or(few)?;
        let grid = series
            .grid
            .slice(bridged.leading, bridged.leading + bridged.values.len());
        let (center, scale) = spread(&bridged.values);
        let scaled = |values: &[f64]| values.iter().map(|v| (v - center) / scale).collect();
        let arrived = series.values.iter().skip(bridged.leading);
        let standard = Standardised {
            values: scaled(&bridged.values),
            observed: bridged.observed,
            arrived: scaled(&arrived.copied().collect::<Vec<_>>()),
        };
        let mut periods = seasons::periods(&self.seasonalities, step, standard.values.len());
        if self.only_strong {
            periods = seasons::strong(&standard.values, &standard.observed, &periods);
        }
        let horizon = steps(self.horizon, step);
        let parts = standard.fit(&periods, horizon, step)?;
        let errors = standard.one_step_errors(&parts.fitted, scale);
        let back = |attempt: Attempt| Attempt {
            expected: attempt
                .expected
                .iter()
                .map(|v| center + v * scale)
                .collect(),
            ..attempt
        };
        let tried = (!parts.attempts.is_empty()).then(|| Tried {
            from: bridged.leading,
            rows: standard.values.len(),
            attempts: parts.attempts.into_iter().map(back).collect(),
        });
        let model = SeasonalModel {
            grid,
            trailing: bridged.trailing,
            seasons: parts.seasons,
            trend: parts.trend,
            band: parts.band,
            fitted: parts.fitted.iter().map(|v| center + v * scale).collect(),
            errors,
            scale,
            center,
        };
        Ok((model, tried))
    }
}

/// How a model forecast its own past.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tried {
    /// First row of the prepared series that counted.
    pub(super) from: usize,
    /// Rows that counted from there.
    pub(super) rows: usize,
    /// Forecasts, newest origin first, in the unit of the data.
    pub(super) attempts: Vec<Attempt>,
}

/// A forecast from an origin in the past.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempt {
    /// Rows (after the first that counted) known then.
    pub(super) origin: usize,
    /// What was expected of the rows that followed.
    pub(super) expected: Vec<f64>,
}

impl Attempt {
    /// Halfway between this and another forecast from the same origin.
    pub(super) fn mean(&self, other: &Self) -> Self {
        let pairs = self.expected.iter().zip(&other.expected);
        Self {
            origin: self.origin,
            expected: pairs.map(|(a, b)| f64::midpoint(*a, *b)).collect(),
        }
    }

    /// `(distance from 1, absolute error)` of the rows of `truth` (from the first that counted) that were observed.
    pub(super) fn errors<'a>(
        &'a self,
        truth: &'a [f64],
    ) -> impl Iterator<Item = (usize, f64)> + 'a {
        let came = truth.get(self.origin..).unwrap_or_default();
        let pairs = self.expected.iter().zip(came).enumerate();
        pairs
            .filter(|(_, (_, truth))| truth.is_finite())
            .map(|(k, (expected, truth))| (k + 1, (truth - expected).abs()))
    }
}

/// How far to forecast a past of `rows` rows, to see how wrong forecasts are, and from which of them, newest first: at most
/// seven in the last half, none when there are too few rows.
pub(super) fn origins(rows: usize, horizon: usize) -> (usize, impl Iterator<Item = usize>) {
    let distance = horizon.min(rows / 4);
    let count = match distance {
        0 => 0,
        _ if rows < ENOUGH => 0,
        _ => (rows / 2 / distance).min(ORIGINS),
    };
    (distance, (1..=count).map(move |k| rows - k * distance))
}

/// A series with mean 0 and deviation 1 (or 0 all over), so that the single precision of the decomposition is enough.
struct Standardised {
    values: Vec<f64>,
    observed: Vec<bool>,
    /// What came, short incidents included; NaN where nothing did. May be longer.
    arrived: Vec<f64>,
}

struct Parts {
    seasons: Vec<Cycle>,
    trend: Trend,
    band: Option<Band>,
    fitted: Vec<f64>,
    /// Forecasts of the past by the trend that was taken.
    attempts: Vec<Attempt>,
}

impl Standardised {
    /// Seasons, trend and band of the whole series.
    fn fit(
        &self,
        periods: &[usize],
        horizon: usize,
        step: Duration,
    ) -> Result<Parts, ForecastError> {
        let trial = self.try_origins(periods, horizon, step)?;
        let split = decompose(&self.values, periods, step)?;
        let kind = self.best(&trial);
        let (trend, rest) = Trend::fit(&split.rest, kind);
        let fitted = rest
            .iter()
            .enumerate()
            .map(|(row, v)| v + split.seasonal(row, &self.values))
            .collect();
        let mine = trial.into_iter().filter(|(of, _)| *of == kind);
        let attempts: Vec<Attempt> = mine.map(|(_, attempt)| attempt).collect();
        let errors = attempts
            .iter()
            .flat_map(|attempt| attempt.errors(&self.arrived));
        Ok(Parts {
            band: Band::measured(errors, attempts.len()),
            seasons: split.seasons,
            trend,
            fitted,
            attempts,
        })
    }

    /// Forecasts from some origins in the last half, with every kind of trend.
    fn try_origins(
        &self,
        periods: &[usize],
        horizon: usize,
        step: Duration,
    ) -> Result<Vec<(Kind, Attempt)>, ForecastError> {
        let mut trial = Vec::new();
        let (distance, origins) = origins(self.values.len(), horizon);
        for origin in origins {
            let past = self.values.get(..origin).unwrap_or_default();
            let split = decompose(past, periods, step)?;
            for kind in Kind::ALL {
                let (trend, _) = Trend::fit(&split.rest, kind);
                let ahead = trend.ahead(distance).enumerate();
                let expected = ahead.map(|(k, level)| level + split.ahead(origin + k));
                let expected = expected.collect();
                trial.push((kind, Attempt { origin, expected }));
            }
        }
        Ok(trial)
    }

    /// The simplest kind of trend that no other beats clearly.
    fn best(&self, trial: &[(Kind, Attempt)]) -> Kind {
        let seen = self.values.iter().zip(&self.observed);
        let truth: Vec<f64> = seen
            .map(|(v, seen)| if *seen { *v } else { f64::NAN })
            .collect();
        let total = |kind| -> f64 {
            let mine = trial.iter().filter(|(of, _)| *of == kind);
            let errors = mine.flat_map(|(_, attempt)| attempt.errors(&truth));
            errors.map(|(_, error)| error).sum()
        };
        let mut best = (Kind::Level, total(Kind::Level));
        for kind in Kind::ALL {
            let error = total(kind);
            if error < best.1 * BETTER {
                best = (kind, error);
            }
        }
        best.0
    }

    /// Absolute errors where observed, in the unit of the data, ascending. The first row has no past to be told from.
    fn one_step_errors(&self, fitted: &[f64], scale: f64) -> Vec<f64> {
        let mut errors: Vec<f64> = self
            .values
            .iter()
            .zip(fitted)
            .zip(&self.observed)
            .skip(1)
            .filter(|(_, seen)| **seen)
            .map(|((truth, expected), _)| (truth - expected).abs() * scale)
            .collect();
        errors.sort_by(f64::total_cmp);
        errors
    }
}

impl SeasonalModel {
    /// Steps of the fitted grid that cover `span`, at least one unless it is zero.
    #[must_use]
    pub fn steps(&self, span: Duration) -> usize {
        steps(span, self.grid.step())
    }

    /// Lengths of the seasons that were taken, shortest first.
    #[must_use]
    pub fn seasonalities(&self) -> Vec<Duration> {
        self.seasons
            .iter()
            .map(|season| self.grid.step() * u32::try_from(season.shape.len()).unwrap_or(u32::MAX))
            .collect()
    }

    /// Half widths at `distances` from the last fitted row, in the unit of the data.
    fn widths(&self, level: f64, distances: impl Iterator<Item = usize>) -> Vec<f64> {
        if let Some(band) = &self.band {
            let widths = band.widths(level, distances);
            return widths.iter().map(|width| width * self.scale).collect();
        }
        // Too short to have been tried: the errors of single steps, growing as a random walk's do.
        let one = band::quantile(&self.errors, level);
        distances.map(|k| one * (k as f64).sqrt()).collect()
    }
}

impl SeasonalModel {
    /// Times of rows to come: of the end of the data, unobserved rows included.
    pub(super) fn known(&self) -> Grid {
        let rows = self.grid.len() + self.trailing;
        Grid::new(self.grid.start(), self.grid.step(), rows)
    }

    /// Expected values of rows to come, in the unit of the data.
    pub(super) fn expected(&self, ahead: Ahead) -> Vec<f64> {
        let rows = self.grid.len();
        let value = |row: usize| {
            let place = row + self.trailing;
            let seasonal: f64 = self.seasons.iter().map(|s| s.at(rows + place)).sum();
            self.center + (self.trend.after(place) + seasonal) * self.scale
        };
        ahead.rows().map(value).collect()
    }

    pub(super) fn predict_rows(&self, ahead: Ahead, level: f64) -> Forecast {
        let widths = self.widths(level, ahead.distances(self.trailing));
        let grid = ahead.grid(&self.known());
        banded(grid, self.expected(ahead), &widths, level)
    }
}

impl Predict for SeasonalModel {
    fn predict(&self, horizon: usize, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        Ok(self.predict_rows(Ahead::next(horizon), level))
    }

    fn in_sample(&self, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        let width = band::quantile(&self.errors, level);
        let widths = vec![width; self.fitted.len()];
        Ok(banded(self.grid, self.fitted.clone(), &widths, level))
    }
}

/// Rows of `step` that cover `span`.
pub(super) fn steps(span: Duration, step: Duration) -> usize {
    usize::try_from(span.as_millis().div_ceil(step.as_millis().max(1))).unwrap_or(usize::MAX)
}

/// Mean and standard deviation; deviation 1 when the values are equal but for rounding.
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    // Divided first: a sum of very large values must not overflow.
    let mean: f64 = values.iter().map(|v| v / n).sum();
    let largest = values.iter().fold(0.0_f64, |a, v| a.max((v - mean).abs()));
    if largest <= mean.abs() * 1e-12 {
        return (values.first().copied().unwrap_or(mean), 1.0);
    }
    let squares: f64 = values
        .iter()
        .map(|v| ((v - mean) / largest).powi(2) / n)
        .sum();
    (mean, largest * squares.sqrt())
}
