//! Keeps the rows of one entity that may be learned from, and counts the windows in them: for training and for readiness.

use ndarray::Array2;

use super::ENOUGH;
use super::left_out::{Known, LeftOut};
use super::report::LeftOutReport;
use crate::config::Config;
use crate::domain::{Entity, Grid, Schema};
use crate::engine::learn::with_rates;
use crate::prep::gaps::{self, Look};
use crate::prep::window;

/// A stretch of one entity's rows: rates in place of counters, and what is known not to be normal taken out.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The rows' times.
    pub grid: Grid,
    /// `[rows, features]`, NaN where missing or left out.
    pub values: Array2<f64>,
    /// `[rows]`: known not to be normal; no window may touch it.
    pub left_out: Vec<bool>,
}

impl Rows {
    /// Of raw `values` `[rows, features]` in the columns of `schema`. What was left out is added to `report`.
    pub fn new(
        (entity, grid): (&Entity, Grid),
        values: Array2<f64>,
        schema: &Schema,
        out: &LeftOut,
        config: &Config,
        report: &mut LeftOutReport,
    ) -> Self {
        let mut values = with_rates(values, schema, &grid, config);
        let mut left_out = Vec::with_capacity(grid.len());
        for (time, mut row) in grid.times().zip(values.rows_mut()) {
            let known = out.known(entity, time);
            left_out.push(known.is_some());
            if !row.iter().any(|value| value.is_finite()) {
                continue;
            }
            report.rows += 1;
            match known {
                None => continue,
                Some(Known::Excluded) => report.excluded_rows += 1,
                Some(Known::Labelled) => report.labelled_rows += 1,
                Some(Known::Maintenance) => report.maintenance_rows += 1,
            }
            row.fill(f64::NAN);
        }
        Self {
            grid,
            values,
            left_out,
        }
    }
}

/// Takes out the columns of one entity that have hardly been seen: what is normal for them can't be told yet, and a scale
/// from a few values would make an alarm of every other one. The next training looks again.
pub fn forget_newcomers(parts: &mut [Rows], report: &mut LeftOutReport) {
    let columns = parts.first().map_or(0, |part| part.values.ncols());
    let mut seen = vec![0_usize; columns];
    for part in &*parts {
        for (count, column) in seen.iter_mut().zip(part.values.columns()) {
            *count += column.iter().filter(|v| v.is_finite()).count();
        }
    }
    let most = seen.iter().copied().max().unwrap_or(0);
    for (column, count) in seen.into_iter().enumerate() {
        if count >= ENOUGH || count * 10 >= most {
            continue;
        }
        report.new_columns += usize::from(count > 0);
        for part in &mut *parts {
            part.values.column_mut(column).fill(f64::NAN);
        }
    }
}

/// How many windows these rows have that can be learned from.
pub fn windows(parts: &[Rows], config: &Config) -> usize {
    let (prep, fewest) = (&config.preprocess, config.detect.min_observed.0);
    let of = |part: &Rows| {
        let (observed, mut broken) =
            gaps::find(part.values.view(), prep.fill, Look::Both, prep.max_gap);
        for (broken, left_out) in broken.iter_mut().zip(&part.left_out) {
            *broken |= left_out;
        }
        let window = config.autoencoder.window.max(1);
        window::usable(observed.view(), &broken, window, fewest).len()
    };
    parts.iter().map(of).sum()
}
