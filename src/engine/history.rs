//! Answers to [`HistoryQuery`]: a pipeline's kept rows, averaged to as few points as were asked for.

use std::time::Duration;

use super::pipeline::Pipeline;
use super::watched::Watched;
use crate::domain::{ControlError, Grid, HistoryAnswer, HistoryQuery, HistorySeries, Time};

/// Most points per series in one answer.
const MOST_POINTS: usize = 2000;

/// Answers a query from what the pipeline keeps.
///
/// # Errors
/// [`ControlError::NotFound`] when there is no such entity or nothing is known of it yet.
pub fn answer(pipeline: &Pipeline, query: &HistoryQuery) -> Result<HistoryAnswer, ControlError> {
    let schema = pipeline.schema().ok_or(ControlError::NotFound)?;
    let watched = pipeline
        .entities()
        .find(|w| w.entity == query.entity)
        .ok_or(ControlError::NotFound)?;
    let (first, last) = rows(watched, query.from, query.to).ok_or(ControlError::NotFound)?;
    let points = query.max_points.clamp(1, MOST_POINTS);
    let stride = (last - first).div_ceil(points).max(1);
    let kept = watched.tail.grid().slice(first, last);
    let step = kept
        .step()
        .saturating_mul(u32::try_from(stride).unwrap_or(u32::MAX));
    let grid = Grid::new(kept.start(), step, kept.len().div_ceil(stride));
    let values = watched.tail.values();
    let series = schema
        .iter()
        .enumerate()
        .map(|(column, feature)| HistorySeries {
            name: std::sync::Arc::clone(&feature.name),
            values: means(
                &values
                    .column(column)
                    .iter()
                    .skip(first)
                    .take(last - first)
                    .copied()
                    .collect::<Vec<_>>(),
                stride,
            ),
            forecast: watched.forecast(column).cloned(),
        });
    Ok(HistoryAnswer {
        series: series.collect(),
        anomalous: marks(watched, &kept, stride, grid.len()),
        grid,
    })
}

/// Rows of the tail in `[from, to]`, from the first in which anything was observed on; `None` when there are none. What
/// lies before that is the part of the fetched range that the source knows nothing of: points are not spent on it.
fn rows(watched: &Watched, from: Option<Time>, to: Option<Time>) -> Option<(usize, usize)> {
    let grid = watched.tail.grid();
    let known = watched.tail.first_observed().unwrap_or(0);
    let first = from.map_or(0, |from| grid.rows_before(from)).max(known);
    let last = to.map_or(grid.len(), |to| {
        grid.rows_before(to + Duration::from_millis(1))
    });
    (first < last).then_some((first, last))
}

/// Means of every `stride` values, NaN where none was observed.
fn means(values: &[f64], stride: usize) -> Vec<f64> {
    let mean = |chunk: &[f64]| {
        let seen: Vec<f64> = chunk.iter().copied().filter(|v| v.is_finite()).collect();
        if seen.is_empty() {
            f64::NAN
        } else {
            seen.iter().sum::<f64>() / seen.len() as f64
        }
    };
    values.chunks(stride).map(mean).collect()
}

fn marks(watched: &Watched, kept: &Grid, stride: usize, points: usize) -> Vec<bool> {
    let mut marked = vec![false; points];
    let grid = watched.tail.grid();
    let marks = watched.marks();
    let shown = grid.slice(grid.len().saturating_sub(marks.len()), grid.len());
    for (time, mark) in shown.times().zip(marks) {
        if let (true, Some(row)) = (mark, kept.row(time))
            && let Some(slot) = marked.get_mut(row / stride)
        {
            *slot = true;
        }
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_skip_what_is_missing() {
        let means = means(&[1.0, 3.0, f64::NAN, 5.0, f64::NAN, f64::NAN, 7.0], 2);
        assert_eq!((means[0], means[1], means[3]), (2.0, 5.0, 7.0));
        assert!(means[2].is_nan());
    }
}
