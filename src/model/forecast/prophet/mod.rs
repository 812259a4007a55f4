//! Prophet's model (Taylor and Letham 2018), fitted to its most probable parameters.
//!
//! A line that may bend at 25 points, waves for the seasons, columns for holidays; seasons are added to the line or multiply
//! it; changes of slope have a Laplace prior, so most of them are 0. Features, priors and optimum are those of the Python
//! package `prophet`, with two differences: seasons and holidays follow the wall clock of a time zone, and the band is computed from
//! simulated changes without sampling the noise.
//!
//! `basis` says what the columns are. `additive` and `multiplicative` reduce rows to small sums (`trend` knows how little a line with
//! bends needs, `statistics` keeps them), so that `solver` never sees rows: it linearises, and `active` solves a quadratic with
//! absolute values exactly. `interval` makes the band, `fit` fits many series on one grid and takes new rows in, `model` is what
//! comes out.

mod active;
mod additive;
mod basis;
mod clock;
mod fit;
mod interval;
mod model;
mod multiplicative;
mod rows;
mod solver;
mod statistics;
#[cfg(test)]
mod tests;
mod trend;

use std::time::Duration;

use jiff::tz::TimeZone;

pub(super) use fit::Task;
pub use fit::{Following, extend_all};
pub use model::{Parameters, ProphetModel};

use super::{Fit, ForecastError};
use crate::config::{ForecastMode, Holiday};
use crate::domain::Grid;

const DAY: Duration = Duration::from_secs(86_400);

/// A season: how long it is, how fine its shape may be, and how large.
#[derive(Clone, Debug, PartialEq)]
pub struct Season {
    /// Its length, above 0.
    pub period: Duration,
    /// How many sines and cosines its shape is made of, from 1.
    pub order: usize,
    /// Standard deviation of the normal prior of each, in parts of the series' largest value.
    pub prior_scale: f64,
}

impl Season {
    /// With Prophet's order for a day (4), a week (3) and a year (10), 5 for any other length, and a prior scale of 10.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        let order = match period {
            DAY => 4,
            week if week == DAY * 7 => 3,
            year if year >= DAY * 365 && year <= DAY * 366 => 10,
            _ => 5,
        };
        Self {
            period,
            order,
            prior_scale: 10.0,
        }
    }
}

/// Settings of the model: an estimator.
#[derive(Clone, Debug, PartialEq)]
pub struct Prophet {
    /// Seasons, all of which are fitted.
    pub seasons: Vec<Season>,
    /// Days that are different.
    pub holidays: Vec<Holiday>,
    /// How seasons and holidays join the trend.
    pub mode: ForecastMode,
    /// Scale of the Laplace prior of a change of slope, above 0.
    pub changepoint_prior_scale: f64,
    /// Points at which the line may bend.
    pub bends: usize,
    /// The bends are spread over this first part (0 to 1) of the observed rows.
    pub bend_range: f64,
    /// Whose clocks seasons and holidays follow.
    pub zone: TimeZone,
    /// Where the random numbers of the band start.
    pub seed: u64,
}

impl Default for Prophet {
    /// Prophet's defaults: daily and weekly seasons, added, in UTC.
    fn default() -> Self {
        Self {
            seasons: vec![Season::new(DAY), Season::new(DAY * 7)],
            holidays: Vec::new(),
            mode: ForecastMode::Additive,
            changepoint_prior_scale: 0.05,
            bends: 25,
            bend_range: 0.8,
            zone: TimeZone::UTC,
            seed: 0,
        }
    }
}

impl Fit for Prophet {
    type Model = ProphetModel;

    fn fit(&self, grid: &Grid, values: &[f64]) -> Result<ProphetModel, ForecastError> {
        self.follow(grid, values).map(Following::into_model)
    }
}
