//! A series with the model that was taken for it.

use std::time::Duration;

use super::band::Band;
use super::coarse::mean_of_observed;
use super::prophet::{self, Following};
use super::seasonal::{SeasonalModel, steps};
use super::{Ahead, ForecastError, MOST_BEYOND, MOST_STEPS, Predict, banded, check_level};
use crate::domain::{Forecast, Grid, Time};

/// The model of a series.
#[derive(Clone, Debug)]
pub enum Model {
    /// Seasonal decomposition with an exponential-smoothing trend.
    Seasonal(Box<SeasonalModel>),
    /// Prophet's.
    Prophet(Box<Following>),
    /// The mean of both.
    Both(Box<SeasonalModel>, Box<Following>),
}

/// A fitted series: what comes can be asked, and with Prophet's model new rows can be taken in.
#[derive(Clone, Debug)]
pub struct Fitted {
    pub(super) model: Model,
    /// Measured errors of forecasts from the past; without them the model's own band is used.
    pub(super) band: Option<Band>,
    /// Rows that become one before they are taken in.
    pub(super) factor: usize,
    /// The last of the given times that is known to the model.
    pub(super) until: Time,
    /// Nothing below 0 was seen, so nothing below 0 is expected.
    pub(super) floor: bool,
}

impl Fitted {
    /// Which model was taken.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Whether it can take new rows in.
    #[must_use]
    pub const fn grows(&self) -> bool {
        !matches!(self.model, Model::Seasonal(_))
    }

    /// The last of the given times that it knows.
    #[must_use]
    pub const fn until(&self) -> Time {
        self.until
    }

    /// Steps of the fitted grid that cover `span`.
    fn steps(&self, span: Duration) -> usize {
        steps(span, self.known().step())
    }

    /// What comes in the next `horizon`, at most 100,000 steps; the band is `widening` times as wide as it was measured to be. What
    /// was never negative is forecast at 0 at the lowest.
    ///
    /// # Errors
    /// [`ForecastError::Level`] for a level outside of 0 to 1.
    pub fn forecast(
        &self,
        horizon: Duration,
        level: f64,
        widening: f64,
    ) -> Result<Forecast, ForecastError> {
        let rows = Ahead::next(self.steps(horizon).min(MOST_STEPS));
        self.rows(rows, level, widening)
    }

    /// What comes between `horizon` and `end`, but no further ahead than the history reaches back, at no more than 168 times;
    /// `None` when nothing lies between.
    ///
    /// # Errors
    /// As [`Self::forecast`].
    pub fn beyond(
        &self,
        horizon: Duration,
        end: Duration,
        level: f64,
        widening: f64,
    ) -> Result<Option<Forecast>, ForecastError> {
        let from = self.steps(horizon).min(MOST_STEPS);
        let to = self.steps(end).min(self.known().len());
        let rows = Ahead::between(from, to, MOST_BEYOND);
        (rows.count > 0)
            .then(|| self.rows(rows, level, widening))
            .transpose()
    }

    fn rows(&self, ahead: Ahead, level: f64, widening: f64) -> Result<Forecast, ForecastError> {
        let mut forecast = self.predict_rows(ahead, level)?;
        let Forecast {
            yhat, lower, upper, ..
        } = &mut forecast;
        for ((y, low), high) in yhat.iter_mut().zip(lower).zip(upper) {
            (*low, *high) = (*y - (*y - *low) * widening, *y + (*high - *y) * widening);
            if self.floor {
                (*y, *low, *high) = (y.max(0.0), low.max(0.0), high.max(0.0));
            }
        }
        Ok(forecast)
    }

    /// The rows that the newest part of the model knows.
    fn known(&self) -> Grid {
        match &self.model {
            Model::Seasonal(model) => model.known(),
            Model::Prophet(following) | Model::Both(_, following) => *following.model().grid(),
        }
    }

    /// Rows of `grid` that are new to the model and make whole rows of its own, as a range of rows of `grid`; `None` when there
    /// are none, when `grid` does not go on where the model ended, or when its model takes none in.
    #[must_use]
    pub fn news(&self, grid: &Grid) -> Option<std::ops::Range<usize>> {
        if !self.grows() {
            return None;
        }
        let first = grid.row(self.until)? + 1;
        let whole = (grid.len() - first) / self.factor * self.factor;
        (whole > 0).then_some(first..first + whole)
    }
}

/// Takes the rows of `grid` that are new to each series (`values[i]`, `[grid.len()]`, belongs to `series[i]`) in and fits again
/// from where it was: a fraction of a millisecond each.
pub fn extend_all(series: &mut [&mut Fitted], grid: &Grid, values: &[&[f64]]) {
    let mut means = Vec::new();
    let mut followings = Vec::new();
    for (fitted, values) in series.iter_mut().zip(values) {
        let Some(news) = fitted.news(grid) else {
            continue;
        };
        let new = values.get(news.clone()).unwrap_or_default();
        fitted.floor &= !new.iter().any(|value| *value < 0.0);
        fitted.until = grid.time(news.end - 1);
        if let Model::Prophet(following) | Model::Both(_, following) = &mut fitted.model {
            let rows = new.chunks_exact(fitted.factor).map(mean_of_observed);
            means.push(rows.collect::<Vec<f64>>());
            followings.push(&mut **following);
        }
    }
    let means: Vec<&[f64]> = means.iter().map(Vec::as_slice).collect();
    prophet::extend_all(&mut followings, &means);
}

impl Fitted {
    fn predict_rows(&self, ahead: Ahead, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        let (seasonal, following) = match &self.model {
            Model::Seasonal(model) => return Ok(model.predict_rows(ahead, level)),
            Model::Prophet(following) => (None, following),
            Model::Both(seasonal, following) => (Some(seasonal), following),
        };
        let model = following.model();
        let grid = ahead.grid(model.grid());
        let widths = match &self.band {
            Some(band) => band.widths(level, ahead.distances(model.trailing())),
            None => model.widths(&grid, level),
        };
        let mut expected = model.expected(&grid);
        if let Some(seasonal) = seasonal {
            // It may know fewer of the newest rows.
            let known = seasonal.known();
            let end = model.grid().time(model.grid().len());
            let missed = steps(end.since(known.time(known.len())), known.step());
            let other = seasonal.expected(ahead.later(missed));
            for (value, other) in expected.iter_mut().zip(other) {
                *value = f64::midpoint(*value, other);
            }
        }
        Ok(banded(grid, expected, &widths, level))
    }
}

impl Predict for Fitted {
    fn predict(&self, horizon: usize, level: f64) -> Result<Forecast, ForecastError> {
        self.predict_rows(Ahead::next(horizon), level)
    }

    fn in_sample(&self, level: f64) -> Result<Forecast, ForecastError> {
        match &self.model {
            Model::Seasonal(model) => model.in_sample(level),
            Model::Prophet(following) | Model::Both(_, following) => {
                following.model().in_sample(level)
            }
        }
    }
}
