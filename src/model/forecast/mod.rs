//! What a metric is expected to do: a seasonal model behind [`Fit`] and [`Predict`].
//!
//! An estimator ([`Mstl`], [`prophet::Prophet`]) and what it fits are different types, so a fitted model can be kept,
//! serialised and asked again without its settings. The way of a series: `prepared` averages it to a step that can be fitted
//! (`coarse`) and takes short incidents out (`spikes`); `forecaster` chooses its model.
//!
//! MSTL: `gaps` bridges what was not observed (for the fit only), `seasons` says which seasons are really there, `decompose` takes
//! them out, `trend` fits what is left, `seasonal` puts the parts together, `band` measures how wrong forecasts from the past would
//! have been. Prophet's model needs no bridges: gaps are rows that it does not see. `record` holds forecasts against what came and
//! corrects their bands.

mod band;
mod coarse;
mod decompose;
mod fitted;
mod forecaster;
mod gaps;
mod prepared;
pub mod prophet;
mod record;
mod rows;
mod seasonal;
mod seasons;
mod spikes;
#[cfg(test)]
mod tests;
mod trend;

pub use fitted::{Fitted, Model, extend_all};
pub use forecaster::Forecaster;
pub use record::Record;
pub use seasonal::{Mstl, SeasonalModel};

use crate::domain::{Forecast, Grid};
use rows::Ahead;

/// Longest forecast, in steps: bounds what a careless horizon can take of memory.
const MOST_STEPS: usize = 100_000;

/// Times beyond the horizon at which is looked whether a limit is reached.
const MOST_BEYOND: usize = 168;

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// The caller's arrays disagree.
    #[error(
        "the grid has {rows} rows but {values} values came with it; pass one value per row, NaN where missing"
    )]
    Shape {
        /// Rows of the grid.
        rows: usize,
        /// Values given.
        values: usize,
    },
    /// Too little was observed.
    #[error(
        "only {have} of {rows} rows were observed, a forecast needs {need}; wait for more data or widen the history"
    )]
    TooFew {
        /// Observed rows.
        have: usize,
        /// Observed rows needed.
        need: usize,
        /// All rows.
        rows: usize,
    },
    /// A band that cannot be.
    #[error(
        "a band that holds a share of {0} cannot be made; take a share between 0 and 1, such as 0.9"
    )]
    Level(f64),
    /// The decomposition gave up.
    #[error(
        "the seasons {periods:?} (in rows of {step_secs} s) cannot be taken out of {rows} rows: {reason}; remove one from [forecast] seasonalities"
    )]
    Decompose {
        /// Periods in rows.
        periods: Vec<usize>,
        /// Length of a row in seconds.
        step_secs: f64,
        /// Rows fitted.
        rows: usize,
        /// What the decomposition said.
        reason: String,
    },
}

/// An estimator: settings that can be fitted to a series.
pub trait Fit {
    /// What comes out of it.
    type Model: Predict;

    /// Fits `values` (`[rows]`, NaN where missing, any unit) at the times of `grid`.
    ///
    /// # Errors
    /// [`ForecastError::Shape`] when lengths differ, [`ForecastError::TooFew`] when next to nothing was observed.
    fn fit(&self, grid: &Grid, values: &[f64]) -> Result<Self::Model, ForecastError>;
}

/// A fitted model.
pub trait Predict {
    /// Expected values and band of the `horizon` steps (of the fitted, possibly coarser grid) that follow the data.
    /// `level` is the share of reality that the band is meant to hold, strictly between 0 and 1.
    ///
    /// # Errors
    /// [`ForecastError::Level`] for a level outside of that.
    fn predict(&self, horizon: usize, level: f64) -> Result<Forecast, ForecastError>;

    /// What the model expected of each fitted row, with the band of one step. The grid starts at the first observed row, or
    /// before.
    ///
    /// # Errors
    /// [`ForecastError::Level`] for a level outside of 0 to 1.
    fn in_sample(&self, level: f64) -> Result<Forecast, ForecastError>;
}

/// A forecast from its middle and half widths.
fn banded(grid: Grid, yhat: Vec<f64>, widths: &[f64], level: f64) -> Forecast {
    let lower = yhat.iter().zip(widths).map(|(y, w)| y - w).collect();
    let upper = yhat.iter().zip(widths).map(|(y, w)| y + w).collect();
    Forecast {
        grid,
        yhat,
        lower,
        upper,
        level,
    }
}

/// Refuses a level that no band can have.
fn check_level(level: f64) -> Result<(), ForecastError> {
    if level > 0.0 && level < 1.0 {
        Ok(())
    } else {
        Err(ForecastError::Level(level))
    }
}
