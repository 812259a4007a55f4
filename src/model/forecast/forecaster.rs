//! The forecaster of a configuration: which model a series gets.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::band::Band;
use super::fitted::{Fitted, Model};
use super::prepared::Prepared;
use super::prophet::{Following, Prophet, Season, Task};
use super::seasonal::{Attempt, BETTER, Mstl, SeasonalModel, Tried, origins, steps};
use super::seasons::seen_twice;
use super::{Fit, ForecastError};
use crate::config::{ForecastConfig, ForecastModel};
use crate::domain::{Forecast, Grid, Time};

/// How much better the mean of both models must forecast the past than each alone to be taken.
const BETTER_TOGETHER: f64 = 0.98;

/// Settings that series can be fitted with.
#[derive(Clone, Debug)]
pub struct Forecaster {
    kind: ForecastModel,
    mstl: Mstl,
    prophet: Prophet,
    /// Expected horizon.
    horizon: Duration,
    /// How far is looked for limits.
    breach_horizon: Duration,
    level: f64,
}

impl Forecaster {
    /// From `[forecast]` and the zone whose clocks seasons follow.
    ///
    /// `model = "prophet"` and `"mstl"` take every season of which two periods were observed. `"auto"` fits both, MSTL with only those
    /// seasons that the data shows, and takes Prophet's model unless MSTL forecast the series' own past better from the same
    /// origins, or the mean of both where that was better than each; all have bands measured there. Series too short for that get MSTL.
    /// Where the clocks have just changed or are about to, it is Prophet's model, which follows them.
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
            breach_horizon: config.breach_horizon.0,
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
        self.forecast_of(&self.fit(grid, values)?, 1.0)
    }

    /// What a fitted series is expected to do in the configured horizon; the band is `widening` times as wide as measured
    /// ([`Record::widening`](super::Record::widening)).
    ///
    /// # Errors
    /// See [`Fitted::forecast`].
    pub fn forecast_of(&self, fitted: &Fitted, widening: f64) -> Result<Forecast, ForecastError> {
        fitted.forecast(self.horizon, self.level, widening)
    }

    /// What it is expected to do from the horizon to the breach horizon; `None` when nothing lies between.
    ///
    /// # Errors
    /// See [`Fitted::beyond`].
    pub fn beyond(
        &self,
        fitted: &Fitted,
        widening: f64,
    ) -> Result<Option<Forecast>, ForecastError> {
        fitted.beyond(self.horizon, self.breach_horizon, self.level, widening)
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
        let bands = self.prophet_bands(series);
        self.follow(series)
            .into_iter()
            .zip(bands)
            .map(|(following, band)| Ok((Model::Prophet(Box::new(following?)), band)))
            .collect()
    }

    /// How wrong Prophet's model was about the past of each series, which are on one grid; `None` for one that is too short.
    fn prophet_bands(&self, series: &[&Prepared]) -> Vec<Option<Band>> {
        let Some(grid) = series.first().map(|first| first.grid) else {
            return Vec::new();
        };
        let prophet = self.seasonal(&grid);
        let mut attempts: Vec<Vec<Attempt>> = vec![Vec::new(); series.len()];
        let (distance, origins) = origins(grid.len(), steps(self.horizon, grid.step()));
        for origin in origins {
            let known = grid.slice(0, origin);
            let tasks: Vec<Task<'_>> = series
                .iter()
                .map(|one| Task {
                    values: one.values.get(..origin).unwrap_or_default(),
                    cleaned: one.cleaned.get(..origin).unwrap_or_default(),
                })
                .collect();
            let followings = prophet.follow_tasks(&known, &tasks);
            for (attempts, following) in attempts.iter_mut().zip(followings) {
                let ahead = known.ahead(distance);
                attempts.extend(following.ok().map(|following| Attempt {
                    origin,
                    expected: following.model().expected(&ahead),
                }));
            }
        }
        let pairs = series.iter().zip(&attempts);
        pairs
            .map(|(one, attempts)| measured(attempts, &one.values))
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
        let prophet = self.try_prophet(series, &tried);
        if prophet.len() != tried.attempts.len() {
            return seasonal(model);
        }
        let both: Vec<Attempt> = prophet
            .iter()
            .zip(&tried.attempts)
            .map(|(a, b)| a.mean(b))
            .collect();
        let rows = tried.from..tried.from + tried.rows;
        let learned = series.cleaned.get(rows.clone()).unwrap_or_default();
        let arrived = series.values.get(rows).unwrap_or_default();
        let [alone, other, mean] =
            [&tried.attempts, &prophet, &both].map(|a| mean_error(a, learned));
        let band = |attempts: &[Attempt]| measured(attempts, arrived);
        let following = Box::new(following);
        if self.clocks_change(&series.grid) {
            return Ok((Model::Prophet(following), band(&prophet)));
        }
        if mean < BETTER_TOGETHER * alone.min(other) {
            let model = Model::Both(Box::new(model), following);
            return Ok((model, band(&both)));
        }
        if alone < BETTER * other {
            return seasonal(model);
        }
        Ok((Model::Prophet(following), band(&prophet)))
    }

    /// Whether the zone's clocks change so late that the past has not shown yet how MSTL, which knows no clocks, would do: within
    /// the last horizon before the end of `grid`, or the one after it.
    fn clocks_change(&self, grid: &Grid) -> bool {
        let offset = |time: Time| {
            let stamp = jiff::Timestamp::from_millisecond(time.millis()).ok()?;
            Some(self.prophet.zone.to_offset(stamp))
        };
        let end = grid.time(grid.len());
        offset(end - self.horizon) != offset(end + self.horizon)
    }

    /// Forecasts with Prophet's model from the origins that MSTL was tried at.
    fn try_prophet(&self, series: &Prepared, tried: &Tried) -> Vec<Attempt> {
        let whole = series.grid.slice(tried.from, tried.from + tried.rows);
        let prophet = self.seasonal(&whole);
        let forecast = |attempt: &Attempt| {
            let now = tried.from + attempt.origin;
            let task = Task {
                values: series.values.get(tried.from..now)?,
                cleaned: series.cleaned.get(tried.from..now)?,
            };
            let known = whole.slice(0, attempt.origin);
            let following = prophet.follow_tasks(&known, &[task]).pop()?.ok()?;
            let ahead = known.ahead(attempt.expected.len());
            Some(Attempt {
                origin: attempt.origin,
                expected: following.model().expected(&ahead),
            })
        };
        tried.attempts.iter().filter_map(forecast).collect()
    }
}

/// The band that errors of forecasts of the past give.
fn measured(attempts: &[Attempt], arrived: &[f64]) -> Option<Band> {
    let errors = attempts.iter().flat_map(|attempt| attempt.errors(arrived));
    Band::measured(errors, attempts.len())
}

/// Mean absolute error of forecasts; infinite without any that can be judged.
fn mean_error(attempts: &[Attempt], truth: &[f64]) -> f64 {
    let errors = attempts.iter().flat_map(|attempt| attempt.errors(truth));
    let (sum, count) = errors.fold((0.0, 0_usize), |(sum, n), (_, error)| (sum + error, n + 1));
    if count == 0 {
        f64::INFINITY
    } else {
        sum / count as f64
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
