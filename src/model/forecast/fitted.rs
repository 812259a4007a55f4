//! A series with the model that was taken for it.

use std::time::Duration;

use super::band::Band;
use super::coarse::mean_of_observed;
use super::prophet::{self, Following, ProphetModel};
use super::seasonal::{SeasonalModel, steps};
use super::{ForecastError, MOST_STEPS, Predict, banded, check_level};
use crate::domain::{Forecast, Grid, Time};

/// The model of a series.
#[derive(Clone, Debug)]
pub enum Model {
    /// Seasonal decomposition with an exponential-smoothing trend.
    Seasonal(Box<SeasonalModel>),
    /// Prophet's.
    Prophet(Box<Following>),
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
        matches!(self.model, Model::Prophet(_))
    }

    /// The last of the given times that it knows.
    #[must_use]
    pub const fn until(&self) -> Time {
        self.until
    }

    /// Steps of the fitted grid that cover `span`.
    fn steps(&self, span: Duration) -> usize {
        match &self.model {
            Model::Seasonal(model) => model.steps(span),
            Model::Prophet(following) => steps(span, following.model().grid().step()),
        }
    }

    /// What comes in the next `horizon`, at most 100,000 steps. What was never negative is forecast at 0 at the lowest.
    ///
    /// # Errors
    /// [`ForecastError::Level`] for a level outside of 0 to 1.
    pub fn forecast(&self, horizon: Duration, level: f64) -> Result<Forecast, ForecastError> {
        let mut forecast = self.predict(self.steps(horizon).min(MOST_STEPS), level)?;
        if self.floor {
            for bound in [&mut forecast.yhat, &mut forecast.lower, &mut forecast.upper] {
                for value in bound {
                    *value = value.max(0.0);
                }
            }
        }
        Ok(forecast)
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
        if let Model::Prophet(following) = &mut fitted.model {
            let rows = new.chunks_exact(fitted.factor).map(mean_of_observed);
            means.push(rows.collect::<Vec<f64>>());
            followings.push(&mut **following);
        }
    }
    let means: Vec<&[f64]> = means.iter().map(Vec::as_slice).collect();
    prophet::extend_all(&mut followings, &means);
}

/// Of a Prophet model, with a measured band.
fn measured(model: &ProphetModel, band: &Band, horizon: usize, level: f64) -> Forecast {
    let grid = model.grid().ahead(horizon);
    let trailing = model.trailing();
    let widths = band.widths(level, trailing + 1..=trailing + horizon);
    banded(grid, model.expected(&grid), &widths, level)
}

impl Predict for Fitted {
    fn predict(&self, horizon: usize, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        match (&self.model, &self.band) {
            (Model::Seasonal(model), _) => model.predict(horizon, level),
            (Model::Prophet(following), None) => following.model().predict(horizon, level),
            (Model::Prophet(following), Some(band)) => {
                Ok(measured(following.model(), band, horizon, level))
            }
        }
    }

    fn in_sample(&self, level: f64) -> Result<Forecast, ForecastError> {
        match &self.model {
            Model::Seasonal(model) => model.in_sample(level),
            Model::Prophet(following) => following.model().in_sample(level),
        }
    }
}
