//! Fits series, many on one grid at a time, and takes new rows in without going back to the old ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Prophet;
use super::basis::{Basis, Columns};
use super::model::{Parameters, ProphetModel};
use super::rows::Rows;
use super::solver::{LEAST_NOISE, Priors, solve};
use super::statistics::{Expected, Ground, Statistics};
use crate::domain::{Grid, Time};
use crate::model::forecast::ForecastError;

/// Observed rows without which nothing is said.
const NEED: usize = 3;

/// A series to fit.
#[derive(Clone, Copy, Debug)]
pub(in crate::model::forecast) struct Task<'a> {
    /// `[rows]`, NaN where missing.
    pub(in crate::model::forecast) values: &'a [f64],
    /// The same with those rows missing that nothing should be learned from.
    pub(in crate::model::forecast) cleaned: &'a [f64],
}

/// A fitted series with the sums over its rows: new rows can be taken in. Holds about 14 kB (additive, 25 bends, daily and
/// weekly seasons), however many rows it has seen; most of it is shared by series with the same rows.
#[derive(Clone, Debug)]
pub struct Following {
    model: ProphetModel,
    statistics: Statistics,
    changepoint_prior_scale: f64,
}

impl Prophet {
    /// Fits a series and keeps its sums.
    ///
    /// # Errors
    /// As [`Fit::fit`](super::Fit::fit).
    pub fn follow(&self, grid: &Grid, values: &[f64]) -> Result<Following, ForecastError> {
        let mut all = self.follow_all(grid, &[values]);
        all.pop().unwrap_or(Err(ForecastError::TooFew {
            have: 0,
            need: NEED,
            rows: grid.len(),
        }))
    }

    /// Fits many series (`[grid.len()]` each) on one grid. The seasonal columns are computed once, and their products once for
    /// all series with the same gaps.
    ///
    /// # Errors
    /// For each series as [`Fit::fit`](super::Fit::fit).
    pub fn follow_all(
        &self,
        grid: &Grid,
        series: &[&[f64]],
    ) -> Vec<Result<Following, ForecastError>> {
        let tasks: Vec<Task<'_>> = series
            .iter()
            .map(|values| Task {
                values,
                cleaned: values,
            })
            .collect();
        self.follow_tasks(grid, &tasks)
    }

    /// As [`Self::follow_all`], with rows left out.
    pub(in crate::model::forecast) fn follow_tasks(
        &self,
        grid: &Grid,
        tasks: &[Task<'_>],
    ) -> Vec<Result<Following, ForecastError>> {
        let mut columns = None;
        let mut grounds: BTreeMap<Vec<usize>, Arc<Ground>> = BTreeMap::new();
        tasks
            .iter()
            .map(|task| {
                let observed = observed(grid, task)?;
                let ground = grounds.entry(observed).or_insert_with_key(|observed| {
                    let basis = self.basis(grid, observed);
                    let columns = columns.get_or_insert_with(|| basis.columns(grid));
                    let rows = Rows::new(&basis, columns, grid, observed.iter().copied());
                    let ground = Ground::new(Arc::new(basis), self.mode, &rows);
                    Arc::new(ground)
                });
                let columns = columns.as_ref().ok_or_else(|| too_few(0, grid))?;
                self.fit_one(grid, columns, task, ground)
            })
            .collect()
    }

    fn basis(&self, grid: &Grid, observed: &[usize]) -> Basis {
        Basis::new(
            grid,
            observed,
            self.bends,
            self.bend_range,
            &self.seasons,
            &self.holidays,
            &self.zone,
        )
    }

    fn fit_one(
        &self,
        grid: &Grid,
        columns: &Columns,
        task: &Task<'_>,
        ground: &Arc<Ground>,
    ) -> Result<Following, ForecastError> {
        let learned = |row: &usize| task.cleaned.get(*row).is_some_and(|v| v.is_finite());
        let in_all = || {
            let rows = task.values.iter().enumerate();
            rows.filter(|(_, v)| v.is_finite()).map(|(row, _)| row)
        };
        let rows = Rows::new(&ground.basis, columns, grid, in_all().filter(learned));
        let have = rows.indices().count();
        if have < NEED {
            return Err(too_few(have, grid));
        }
        let mut ground = Arc::clone(ground);
        if have < ground.rows {
            let out = in_all().filter(|row| !learned(row));
            let out = Rows::new(&ground.basis, columns, grid, out);
            Arc::make_mut(&mut ground).leave_out(&out);
        }
        let value = |row: usize| task.cleaned.get(row).copied().unwrap_or(f64::NAN);
        let largest = rows
            .indices()
            .map(|row| value(row).abs())
            .fold(0.0, f64::max);
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let values: Vec<f64> = rows.indices().map(|row| value(row) / scale).collect();
        let last = rows.indices().last().unwrap_or(0);
        let basis = Arc::clone(&ground.basis);
        let priors = Priors::new(&basis, self.changepoint_prior_scale);
        let statistics = settled(ground, &rows, &values, &priors);
        let mut following = Following {
            model: ProphetModel {
                theta: statistics.anchor().to_vec(),
                sigma: LEAST_NOISE,
                mode: self.mode,
                scale,
                grid: *grid,
                last: grid.time(last),
                seed: self.seed,
                log_posterior: f64::NEG_INFINITY,
                basis,
            },
            statistics,
            changepoint_prior_scale: self.changepoint_prior_scale,
        };
        following.refit();
        Ok(following)
    }

    /// The log posterior without constants (Stan's `lp__`) of given `parameters` for a series, computed row by row: for
    /// comparing solvers. `None` when the parameters are not as many as the model has for these rows.
    #[must_use]
    pub fn log_posterior(
        &self,
        grid: &Grid,
        values: &[f64],
        parameters: &Parameters,
    ) -> Option<f64> {
        let task = Task {
            values,
            cleaned: values,
        };
        let observed = observed(grid, &task).ok()?;
        let basis = self.basis(grid, &observed);
        let theta: Vec<f64> = [parameters.m, parameters.k]
            .into_iter()
            .chain(parameters.delta.iter().copied())
            .chain(parameters.beta.iter().copied())
            .collect();
        if parameters.delta.len() + 2 != basis.trend_width()
            || parameters.beta.len() != basis.seasonal_width()
        {
            return None;
        }
        let columns = basis.columns(grid);
        let rows = Rows::new(&basis, &columns, grid, observed.iter().copied());
        let seen = || observed.iter().filter_map(|row| values.get(*row));
        let largest = seen().fold(0.0_f64, |a, v| a.max(v.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let expected = Expected::new(&basis, self.mode, &theta);
        let left: f64 = rows
            .iter()
            .zip(seen())
            .map(|(row, value)| (value / scale - expected.of(&row)).powi(2))
            .sum();
        let priors = Priors::new(&basis, self.changepoint_prior_scale);
        let count = observed.len() as f64;
        Some(priors.log_posterior(count, left, &theta, parameters.sigma))
    }
}

/// Observed rows of a task's values.
fn observed(grid: &Grid, task: &Task<'_>) -> Result<Vec<usize>, ForecastError> {
    for values in [task.values, task.cleaned] {
        if values.len() != grid.len() {
            return Err(ForecastError::Shape {
                rows: grid.len(),
                values: values.len(),
            });
        }
    }
    let rows = task.values.iter().enumerate();
    Ok(rows
        .filter(|(_, value)| value.is_finite())
        .map(|(row, _)| row)
        .collect())
}

/// Statistics whose anchor is (nearly) the optimum. Values that are all the same are a level, as in Prophet.
fn settled(ground: Arc<Ground>, rows: &Rows<'_>, values: &[f64], priors: &Priors) -> Statistics {
    let mut start = vec![0.0; ground.basis.trend_width() + ground.basis.seasonal_width()];
    let first = values.first().copied().unwrap_or(0.0);
    if let Some(offset) = start.first_mut() {
        *offset = first;
    }
    let statistics = Statistics::new(Arc::clone(&ground), rows, values, start);
    if values.iter().all(|value| value - first == 0.0) {
        return statistics;
    }
    let (theta, _) = solve(&statistics, priors, statistics.anchor());
    Statistics::new(ground, rows, values, theta)
}

fn too_few(have: usize, grid: &Grid) -> ForecastError {
    ForecastError::TooFew {
        have,
        need: NEED,
        rows: grid.len(),
    }
}

impl Following {
    /// The model as of the last fit.
    #[must_use]
    pub const fn model(&self) -> &ProphetModel {
        &self.model
    }

    /// The model alone.
    #[must_use]
    pub fn into_model(self) -> ProphetModel {
        self.model
    }

    /// Takes the next rows in (`values` in the unit of the data, NaN where missing) and fits again from where the last fit
    /// ended, with the same time scale and bends. Costs the same however long the history is.
    pub fn extend(&mut self, values: &[f64]) {
        extend_all(&mut [self], &[values]);
    }

    #[cfg(test)]
    pub(super) const fn ground(&self) -> &Arc<Ground> {
        &self.statistics.ground
    }

    fn refit(&mut self) {
        let priors = Priors::new(&self.model.basis, self.changepoint_prior_scale);
        if self.statistics.left(&self.model.theta) > 0.0 {
            (self.model.theta, self.model.sigma) =
                solve(&self.statistics, &priors, &self.model.theta);
        }
        self.model.log_posterior = priors.log_posterior(
            self.statistics.rows(),
            self.statistics.left(&self.model.theta),
            &self.model.theta,
            self.model.sigma,
        );
    }
}

/// What rows to come share: which ground they come to, their grid, which of them are observed.
type Addition = (usize, Time, usize, Vec<usize>);

/// [`Following::extend`] for many series (`rows[i]` belongs to `series[i]`): the columns' products stay shared by those that
/// shared them and have the same new rows.
pub fn extend_all(series: &mut [&mut Following], rows: &[&[f64]]) {
    let mut grown: BTreeMap<Addition, (Arc<Ground>, Columns, Arc<Ground>)> = BTreeMap::new();
    for (following, values) in series.iter_mut().zip(rows) {
        let grid = following.model.grid.ahead(values.len());
        let observed: Vec<usize> = values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.is_finite())
            .map(|(row, _)| row)
            .collect();
        let old = &following.statistics.ground;
        // The old ground is kept alive in the map, so its address stands for it alone.
        let key = (
            Arc::as_ptr(old).addr(),
            grid.start(),
            grid.len(),
            observed.clone(),
        );
        let (_, columns, ground) = grown.entry(key).or_insert_with(|| {
            let columns = old.basis.columns(&grid);
            let rows = Rows::new(&old.basis, &columns, &grid, observed.iter().copied());
            let mut ground = Ground::clone(old);
            ground.add(&rows);
            (Arc::clone(old), columns, Arc::new(ground))
        });
        let model = &mut following.model;
        let new = Rows::new(&model.basis, columns, &grid, observed.iter().copied());
        let scaled: Vec<f64> = observed
            .iter()
            .filter_map(|row| values.get(*row))
            .map(|value| value / model.scale)
            .collect();
        following.statistics.add(Arc::clone(ground), &new, &scaled);
        model.grid = Grid::new(
            model.grid.start(),
            model.grid.step(),
            model.grid.len() + values.len(),
        );
        if let Some(row) = observed.last() {
            model.last = grid.time(*row);
        }
        following.refit();
    }
}
