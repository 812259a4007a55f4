//! The forecaster of a configuration: which model a series gets.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::band::Band;
use super::fitted::{Fitted, Model};
use super::prepared::Prepared;
use super::prophet::{Following, Prophet, Season, Task};
use super::seasonal::{BETTER, Mstl, SeasonalModel, Tried};
use super::seasons::seen_twice;
use super::{Fit, ForecastError};
use crate::config::{ForecastConfig, ForecastModel};
use crate::domain::{Forecast, Grid};

/// Settings that series can be fitted with.
#[derive(Clone, Debug)]
pub struct Forecaster {
    kind: ForecastModel,
    mstl: Mstl,
    prophet: Prophet,
    /// Expected horizon.
    horizon: Duration,
    level: f64,
}

impl Forecaster {
    /// From `[forecast]` and the zone whose clocks seasons follow.
    ///
    /// `model = "prophet"` and `"mstl"` take every season of which two periods were observed. `"auto"` fits both, MSTL with only those
    /// seasons that the data shows, and takes Prophet's model unless MSTL forecast the series' own past better from the same
    /// origins; both have bands measured there. Series too short for that get MSTL.
    #[must_use]
    pub fn new(config: &ForecastConfig, zone: TimeZone) -> Self {
        Self {
            kind: config.model,
            mstl: Mstl {
                seasonalities: config.seasonalities.iter().map(|span| span.0).collect(),
                horizon: config.horizon.0,
                max_points: config.max_points,
                only_strong: config.model == ForecastModel::Auto,
            },
            prophet: Prophet {
                seasons: Vec::new(),
                holidays: config.holidays.clone(),
                mode: config.mode,
                changepoint_prior_scale: config.changepoint_prior_scale,
                zone,
                ..Prophet::default()
            },
            horizon: config.horizon.0,
            level: config.interval.0,
        }
    }

    /// Fits `values` (`[grid.len()]`, NaN where missing) and forecasts the configured horizon on the grid that follows
    /// the data: its step is the data's, or a multiple of it when the history was averaged. At most 100,000 steps. What was
    /// never negative is forecast at 0 at the lowest.
    ///
    /// # Errors
    /// See [`Fit::fit`] and [`Fitted::forecast`].
    pub fn forecast(&self, grid: &Grid, values: &[f64]) -> Result<Forecast, ForecastError> {
        self.forecast_of(&self.fit(grid, values)?)
    }

    /// What a fitted series is expected to do in the configured horizon.
    ///
    /// # Errors
    /// See [`Fitted::forecast`].
    pub fn forecast_of(&self, fitted: &Fitted) -> Result<Forecast, ForecastError> {
        fitted.forecast(self.horizon, self.level)
    }

    /// Fits many series (`[grid.len()]` each) on one grid; Prophet's model shares what it can between them.
    ///
    /// # Errors
    /// For each series as [`Fit::fit`].
    pub fn fit_all(&self, grid: &Grid, series: &[&[f64]]) -> Vec<Result<Fitted, ForecastError>> {
        let prepared: Vec<_> = series
            .iter()
            .map(|values| self.prepare(grid, values))
            .collect();
        let sound: Vec<&Prepared> = prepared.iter().filter_map(|p| p.as_ref().ok()).collect();
        let mut models = match self.kind {
            ForecastModel::Prophet => self.all_prophet(&sound),
            ForecastModel::Mstl => sound.iter().map(|one| self.mstl(one)).collect(),
            ForecastModel::Auto => self.all_better(&sound),
        }
        .into_iter();
        let until = grid.last().unwrap_or(grid.start());
        prepared
            .iter()
            .zip(series)
            .map(|(prepared, values)| {
                let prepared = prepared.as_ref().map_err(Clone::clone)?;
                // One for each sound series.
                let none = ForecastError::TooFew {
                    have: 0,
                    need: 1,
                    rows: prepared.given,
                };
                let (model, band) = models.next().unwrap_or(Err(none))?;
                Ok(Fitted {
                    model,
                    band,
                    factor: prepared.factor,
                    until,
                    floor: !values.iter().any(|value| *value < 0.0),
                })
            })
            .collect()
    }

    fn prepare(&self, grid: &Grid, values: &[f64]) -> Result<Prepared, ForecastError> {
        Prepared::new(grid, values, self.mstl.max_points, &self.mstl.seasonalities)
    }

    fn mstl(&self, prepared: &Prepared) -> Outcome {
        let (model, _) = self.mstl.fit_prepared(prepared)?;
        Ok((Model::Seasonal(Box::new(model)), None))
    }

    fn all_prophet(&self, series: &[&Prepared]) -> Vec<Outcome> {
        self.follow(series)
            .into_iter()
            .map(|following| Ok((Model::Prophet(Box::new(following?)), None)))
            .collect()
    }

    /// Prophet's model of prepared series, which are on one grid.
    fn follow(&self, series: &[&Prepared]) -> Vec<Result<Following, ForecastError>> {
        let Some(first) = series.first() else {
            return Vec::new();
        };
        let tasks: Vec<Task<'_>> = series
            .iter()
            .map(|one| Task {
                values: &one.values,
                cleaned: &one.cleaned,
            })
            .collect();
        self.seasonal(&first.grid).follow_tasks(&first.grid, &tasks)
    }

    /// Prophet's settings with the seasons of which `grid` holds two periods; no wave shorter than two steps.
    fn seasonal(&self, grid: &Grid) -> Prophet {
        let step = grid.step().as_secs_f64();
        let covered = step * grid.len() as f64;
        let seasons = self.mstl.seasonalities.iter().filter_map(|period| {
            let length = period.as_secs_f64();
            let season = Season::new(*period);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let finest = (length / step / 2.0) as usize;
            (seen_twice(length, covered) && finest > 0).then(|| Season {
                order: season.order.min(finest),
                ..season
            })
        });
        Prophet {
            seasons: seasons.collect(),
            ..self.prophet.clone()
        }
    }

    /// The better model of each series, with the band that its errors give.
    fn all_better(&self, series: &[&Prepared]) -> Vec<Outcome> {
        let followings = self.follow(series);
        let mut outcomes = Vec::with_capacity(series.len());
        for (one, following) in series.iter().zip(followings) {
            outcomes.push(self.better(one, following));
        }
        outcomes
    }

    fn better(&self, series: &Prepared, following: Result<Following, ForecastError>) -> Outcome {
        let (model, tried) = self.mstl.fit_prepared(series)?;
        let seasonal = |model: SeasonalModel| Ok((Model::Seasonal(Box::new(model)), None));
        let (Some(tried), Ok(following)) = (tried, following) else {
            return seasonal(model);
        };
        let errors = self.try_prophet(series, &tried);
        let sum: f64 = errors.iter().map(|(_, error)| error).sum();
        if errors.is_empty() || tried.error < BETTER * sum / errors.len() as f64 {
            return seasonal(model);
        }
        Ok((Model::Prophet(Box::new(following)), Band::measured(errors)))
    }

    /// Forecasts with Prophet's model from the origins that MSTL was tried at: `(distance, absolute error)`.
    fn try_prophet(&self, series: &Prepared, tried: &Tried) -> Vec<(usize, f64)> {
        let whole = series.grid.slice(tried.from, tried.from + tried.rows);
        let prophet = self.seasonal(&whole);
        let mut errors = Vec::new();
        for origin in &tried.origins {
            let now = tried.from + origin;
            let part = |values: &'_ [f64]| values.get(tried.from..now).map(<[f64]>::to_vec);
            let (Some(values), Some(cleaned)) = (part(&series.values), part(&series.cleaned))
            else {
                continue;
            };
            let task = Task {
                values: &values,
                cleaned: &cleaned,
            };
            let known = whole.slice(0, *origin);
            let Some(Ok(following)) = prophet.follow_tasks(&known, &[task]).pop() else {
                continue;
            };
            let expected = following.model().expected(&known.ahead(tried.distance));
            let truth = series.cleaned.get(now..).unwrap_or_default();
            let pairs = expected.iter().zip(truth).enumerate();
            errors.extend(
                pairs
                    .filter(|(_, (_, truth))| truth.is_finite())
                    .map(|(k, (expected, truth))| (k + 1, (truth - expected).abs())),
            );
        }
        errors
    }
}

/// A model, and a measured band that replaces its own.
type Outcome = Result<(Model, Option<Band>), ForecastError>;

impl Fit for Forecaster {
    type Model = Fitted;

    fn fit(&self, grid: &Grid, values: &[f64]) -> Result<Fitted, ForecastError> {
        self.fit_all(grid, &[values])
            .pop()
            .unwrap_or(Err(ForecastError::TooFew {
                have: 0,
                need: 1,
                rows: grid.len(),
            }))
    }
}
