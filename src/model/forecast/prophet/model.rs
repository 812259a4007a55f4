//! What a fit brings: parameters with the terms they are in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::interval::{Future, normal_quantile};
use super::statistics::{Expected, all_rows};
use crate::config::ForecastMode;
use crate::domain::{Forecast, Grid, Time};
use crate::model::forecast::{ForecastError, Predict, banded, check_level};

/// Times of one forecast at which the band is computed.
const MOST_WIDTHS: usize = 500;

/// The parameters under their names in Prophet, all scaled: time from 0 at the first to 1 at the last observed row, values by
/// the largest absolute one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Slope at the start.
    pub k: f64,
    /// Value at the start.
    pub m: f64,
    /// Changes of slope, `[bends]`.
    pub delta: Vec<f64>,
    /// Seasons (sine, cosine of each multiple, season after season), then holidays, `[seasonal columns]`.
    pub beta: Vec<f64>,
    /// Standard deviation of the noise.
    pub sigma: f64,
}

/// A fitted series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProphetModel {
    pub(super) basis: Arc<Basis>,
    pub(super) mode: ForecastMode,
    /// `[offset, slope, changes of slope …, seasonal …]`.
    pub(super) theta: Vec<f64>,
    pub(super) sigma: f64,
    /// Unit of the data per scaled unit.
    pub(super) scale: f64,
    /// The rows it was given; forecasts begin after them.
    pub(super) grid: Grid,
    /// The last observed time: trend changes are not known from here on.
    pub(super) last: Time,
    pub(super) seed: u64,
    /// Log posterior without constants.
    pub(super) log_posterior: f64,
}

impl ProphetModel {
    /// The fitted parameters.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let trend = self.basis.trend_width();
        let part = |range| self.theta.get::<std::ops::Range<usize>>(range);
        let at = |index: usize| self.theta.get(index).copied().unwrap_or(0.0);
        Parameters {
            k: at(1),
            m: at(0),
            delta: part(2..trend).unwrap_or_default().to_vec(),
            beta: part(trend..self.theta.len()).unwrap_or_default().to_vec(),
            sigma: self.sigma,
        }
    }

    /// The log posterior of the fit without constants, as Stan reports it (`lp__`).
    #[must_use]
    pub const fn log_posterior(&self) -> f64 {
        self.log_posterior
    }

    /// Times at which the slope may change.
    #[must_use]
    pub fn changepoints(&self) -> Vec<Time> {
        self.basis.bend_times()
    }

    /// The grid whose rows were given.
    #[must_use]
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Unobserved rows at the end of the grid.
    #[must_use]
    pub fn trailing(&self) -> usize {
        let seen = self.grid.row(self.last).map_or(0, |row| row + 1);
        self.grid.len().saturating_sub(seen)
    }

    /// The expected value at each time of `grid`, in the unit of the data. At most 8 bytes × columns for each time are held.
    #[must_use]
    pub fn expected(&self, grid: &Grid) -> Vec<f64> {
        let columns = self.basis.columns(grid);
        let rows = all_rows(&self.basis, &columns, grid);
        let expected = Expected::new(&self.basis, self.mode, &self.theta);
        rows.iter()
            .map(|row| expected.of(&row) * self.scale)
            .collect()
    }

    /// Half the band's width at each time of `grid`, in the unit of the data. Of a long grid it is computed at some times and
    /// interpolated between.
    pub(in crate::model::forecast) fn widths(&self, grid: &Grid, level: f64) -> Vec<f64> {
        let stride = grid.len().div_ceil(MOST_WIDTHS).max(1);
        let step = grid
            .step()
            .saturating_mul(u32::try_from(stride).unwrap_or(u32::MAX));
        // One more than needed to cover the grid, so that every time has a neighbour on both sides.
        let sparse = Grid::new(grid.start(), step, grid.len().div_ceil(stride) + 1);
        let at = self.widths_at(&sparse, level);
        (0..grid.len())
            .map(|row| {
                let left = at.get(row / stride).copied().unwrap_or(0.0);
                let right = at.get(row / stride + 1).copied().unwrap_or(left);
                left + (right - left) * (row % stride) as f64 / stride as f64
            })
            .collect()
    }

    fn widths_at(&self, grid: &Grid, level: f64) -> Vec<f64> {
        let columns = self.basis.columns(grid);
        let rows = all_rows(&self.basis, &columns, grid);
        let expected = Expected::new(&self.basis, self.mode, &self.theta);
        let gains: Vec<f64> = rows.iter().map(|row| expected.gain(&row)).collect();
        let times: Vec<f64> = grid.times().map(|time| self.basis.scaled(time)).collect();
        let trend = self.basis.trend_width();
        let bends = self.theta.get(2..trend).unwrap_or_default();
        let size = bends.iter().map(|delta| delta.abs()).sum::<f64>();
        let future = Future {
            from: self.basis.scaled(self.last),
            rate: bends.len() as f64,
            size: size / bends.len().max(1) as f64,
            sigma: self.sigma,
            seed: self.seed,
        };
        let mut widths = future.widths(&times, &gains, level);
        for width in &mut widths {
            *width *= self.scale;
        }
        widths
    }
}

impl Predict for ProphetModel {
    fn predict(&self, horizon: usize, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        let grid = self.grid.ahead(horizon);
        let widths = self.widths(&grid, level);
        Ok(banded(grid, self.expected(&grid), &widths, level))
    }

    /// Here what the fit as a whole, not only the rows before, expects of each row.
    fn in_sample(&self, level: f64) -> Result<Forecast, ForecastError> {
        check_level(level)?;
        let width = normal_quantile(f64::midpoint(1.0, level)) * self.sigma * self.scale;
        let widths = vec![width; self.grid.len()];
        Ok(banded(self.grid, self.expected(&self.grid), &widths, level))
    }
}
