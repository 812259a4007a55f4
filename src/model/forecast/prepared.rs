//! A series as every model takes it: averaged to a step that can be fitted in time, short incidents taken out.

use std::time::Duration;

use super::ForecastError;
use super::coarse::coarsen;
use super::{seasons, spikes};
use crate::domain::Grid;

/// A prepared series. Holds two numbers for each of at most `max_points` rows.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Times of the averaged rows.
    pub(super) grid: Grid,
    /// What was observed, NaN where nothing was.
    pub(super) values: Vec<f64>,
    /// The same without short incidents.
    pub(super) cleaned: Vec<f64>,
    /// Rows that were given.
    pub(super) given: usize,
    /// Rows that became one.
    pub(super) factor: usize,
}

impl Prepared {
    /// Prepares `values` (`[grid.len()]`, NaN where missing).
    ///
    /// # Errors
    /// [`ForecastError::Shape`] when there is not one value per row.
    pub(super) fn new(
        grid: &Grid,
        values: &[f64],
        max_points: usize,
        seasonalities: &[Duration],
    ) -> Result<Self, ForecastError> {
        if grid.len() != values.len() {
            return Err(ForecastError::Shape {
                rows: grid.len(),
                values: values.len(),
            });
        }
        let coarse = coarsen(grid, values, max_points, seasonalities);
        let factor = coarse.grid.step().as_millis() / grid.step().as_millis().max(1);
        let mut prepared = Self {
            grid: coarse.grid,
            cleaned: coarse.values.clone(),
            values: coarse.values,
            given: values.len(),
            factor: usize::try_from(factor).unwrap_or(usize::MAX).max(1),
        };
        let shortest = prepared.shortest_season(seasonalities);
        spikes::remove(&mut prepared.cleaned, shortest);
        Ok(prepared)
    }

    /// The shortest season that was seen twice, in rows.
    pub(super) fn shortest_season(&self, seasonalities: &[Duration]) -> Option<usize> {
        seasons::periods(seasonalities, self.grid.step(), self.grid.len())
            .first()
            .copied()
    }
}
