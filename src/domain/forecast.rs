//! What is expected to come.

use serde::{Deserialize, Serialize};

use super::Grid;

/// A forecast with its band: one value per grid time, in the feature's own unit; `lower ≤ yhat ≤ upper`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The times forecast.
    pub grid: Grid,
    /// Expected value.
    pub yhat: Vec<f64>,
    /// Lower bound of the band.
    pub lower: Vec<f64>,
    /// Upper bound of the band.
    pub upper: Vec<f64>,
    /// Share of reality that the band is meant to hold, 0 to 1.
    pub level: f64,
}

impl Forecast {
    /// The first time from which the expectation is at or over `limit`; `None` if it stays under it.
    #[must_use]
    pub fn reaches(&self, limit: f64) -> Option<super::Time> {
        self.yhat
            .iter()
            .position(|y| *y >= limit)
            .map(|row| self.grid.time(row))
    }
}
