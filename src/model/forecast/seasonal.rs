//! Seasons by loess, a smoothed trend, and a band from held-back forecasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::band::{self, Band};
use super::decompose::{Cycle, decompose};
use super::gaps::bridge;
use super::prepared::Prepared;
use super::seasons;
use super::trend::{Kind, Trend};
use super::{Fit, ForecastError, Predict, banded, check_level};
use crate::domain::{Forecast, Grid};

/// Observed rows without which nothing is said.
const NEED: usize = 3;
/// Rows from which errors of the past are measured; below, the spread of single steps has to do.
const ENOUGH: usize = 24;
/// Origins in the past from which forecasts are checked.
const ORIGINS: usize = 5;
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
        let standard = Standardised {
            values: bridged
                .values
                .iter()
                .map(|v| (v - center) / scale)
                .collect(),
            observed: bridged.observed,
        };
        let mut periods = seasons::periods(&self.seasonalities, step, standard.values.len());
        if self.only_strong {
            periods = seasons::strong(&standard.values, &standard.observed, &periods);
        }
        let horizon = steps(self.horizon, step);
        let parts = standard.fit(&periods, horizon, step)?;
        let errors = standard.one_step_errors(&parts.fitted, scale);
        let tried = parts.error.map(|error| Tried {
            from: bridged.leading,
            rows: standard.values.len(),
            distance: parts.distance,
            origins: parts.origins,
            error: error * scale,
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
    /// Rows forecast from each origin.
    pub(super) distance: usize,
    /// Rows (after `from`) known at each origin.
    pub(super) origins: Vec<usize>,
    /// Mean absolute error, in the unit of the data.
    pub(super) error: f64,
}

/// A series with mean 0 and deviation 1 (or 0 all over), so that the single precision of the decomposition is enough.
struct Standardised {
    values: Vec<f64>,
    observed: Vec<bool>,
}

struct Parts {
    seasons: Vec<Cycle>,
    trend: Trend,
    band: Option<Band>,
    fitted: Vec<f64>,
    distance: usize,
    origins: Vec<usize>,
    /// Mean absolute error of the forecasts from these origins.
    error: Option<f64>,
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
        let kind = trial.best();
        let (trend, rest) = Trend::fit(&split.rest, kind);
        let fitted = rest
            .iter()
            .enumerate()
            .map(|(row, v)| v + split.seasonal(row, &self.values))
            .collect();
        Ok(Parts {
            band: Band::measured(trial.errors_of(kind)),
            seasons: split.seasons,
            trend,
            fitted,
            error: trial.mean_error(kind),
            distance: trial.distance,
            origins: trial.origins,
        })
    }

    /// Forecasts from up to five origins in the last half, with every kind of trend. An origin has fewer cycles to learn
    /// seasons from than the whole series; what that alone costs is taken off its errors.
    fn try_origins(
        &self,
        periods: &[usize],
        horizon: usize,
        step: Duration,
    ) -> Result<Trial, ForecastError> {
        let mut trial = Trial::default();
        let rows = self.values.len();
        let distance = horizon.min(rows / 4);
        if rows < ENOUGH || distance == 0 {
            return Ok(trial);
        }
        let origins = (rows / 2 / distance).min(ORIGINS);
        trial.distance = distance;
        trial.origins = (1..=origins).map(|k| rows - k * distance).collect();
        for origin in trial.origins.clone() {
            let (past, future) = self.values.split_at(origin);
            let split = decompose(past, periods, step)?;
            let seen = self.observed.get(origin..).unwrap_or_default();
            let fair = (season_cost(periods, rows) / season_cost(periods, origin)).sqrt();
            for kind in Kind::ALL {
                let (trend, _) = Trend::fit(&split.rest, kind);
                let rows = trend.ahead(distance).zip(future).zip(seen).enumerate();
                trial
                    .errors
                    .extend(rows.filter(|(_, (_, seen))| **seen).map(
                        |(k, ((level, truth), _))| {
                            let expected = level + split.ahead(origin + k);
                            (kind, k + 1, (truth - expected).abs(), fair)
                        },
                    ));
            }
        }
        Ok(trial)
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

/// Variance of a forecast's error relative to the noise, as far as it comes from seasons learned from `rows` rows: a mean
/// over `c` cycles adds `1 / c`.
fn season_cost(periods: &[usize], rows: usize) -> f64 {
    let cycles = |period: &usize| (rows / period).max(1) as f64;
    1.0 + periods.iter().map(|p| 1.0 / cycles(p)).sum::<f64>()
}

/// How wrong each kind of trend was: `(kind, distance, absolute error, what of it a longer past would have spared)`.
#[derive(Default)]
struct Trial {
    errors: Vec<(Kind, usize, f64, f64)>,
    distance: usize,
    origins: Vec<usize>,
}

impl Trial {
    fn errors_of(&self, kind: Kind) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.errors
            .iter()
            .filter(move |(of, ..)| *of == kind)
            .map(|(_, distance, error, fair)| (*distance, error * fair))
    }

    /// `None` when nothing was tried.
    fn mean_error(&self, kind: Kind) -> Option<f64> {
        let of = self.errors.iter().filter(|(of, ..)| *of == kind);
        let (sum, count) = of.fold((0.0, 0_usize), |(sum, count), (_, _, error, _)| {
            (sum + error, count + 1)
        });
        (count > 0).then(|| sum / count as f64)
    }

    /// The simplest kind that no other beats clearly.
    fn best(&self) -> Kind {
        let total = |kind| self.errors_of(kind).map(|(_, error)| error).sum::<f64>();
        let mut best = (Kind::Level, total(Kind::Level));
        for kind in Kind::ALL {
            let error = total(kind);
            if error < best.1 * BETTER {
                best = (kind, error);
            }
        }
        best.0
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
    fn widths(&self, level: f64, distances: std::ops::RangeInclusive<usize>) -> Vec<f64> {
        if let Some(band) = &self.band {
            let widths = band.widths(level, distances);
            return widths.iter().map(|width| width * self.scale).collect();
        }
        // Too short to have been tried: the errors of single steps, growing as a random walk's do.
        let one = band::quantile(&self.errors, level);
        distances.map(|k| one * (k as f64).sqrt()).collect()
    }
}

impl Predict for SeasonalModel {
    fn predict(&self, horizon: usize, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        let rows = self.grid.len();
        let all = self.trailing + horizon;
        let yhat: Vec<f64> = self
            .trend
            .ahead(all)
            .enumerate()
            .skip(self.trailing)
            .map(|(k, rest)| {
                let seasonal: f64 = self.seasons.iter().map(|season| season.at(rows + k)).sum();
                self.center + (rest + seasonal) * self.scale
            })
            .collect();
        let widths = self.widths(level, self.trailing + 1..=all);
        let grid = Grid::new(
            self.grid.time(rows + self.trailing),
            self.grid.step(),
            horizon,
        );
        Ok(banded(grid, yhat, &widths, level))
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
