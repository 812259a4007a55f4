//! Answers to [`HistoryQuery`]: a pipeline's kept rows, averaged to as few points as were asked for.

use std::time::Duration;

use super::past::Track;
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
    let rows = Rows {
        watched,
        track: pipeline
            .past()
            .and_then(|past| past.tracks.get(&query.entity)),
        kept,
        stride,
    };
    let values = watched.tail.values();
    let series = schema.iter().enumerate().map(|(column, feature)| {
        let values = values.column(column);
        let own = values.iter().skip(first).take(last - first);
        let (lower, upper) = rows.bands(column);
        HistorySeries {
            name: std::sync::Arc::clone(&feature.name),
            values: means(&own.copied().collect::<Vec<_>>(), stride),
            anomalous: rows.about(column),
            lower: means(&lower, stride),
            upper: means(&upper, stride),
            forecast: watched.forecast(column).cloned(),
        }
    });
    Ok(HistoryAnswer {
        series: series.collect(),
        anomalous: rows.anomalous(),
        scores: rows.scores(),
        grid,
    })
}

/// What is known of the rows that a query asks for: as they were judged live, else as the past was.
struct Rows<'a> {
    watched: &'a Watched,
    track: Option<&'a Track>,
    kept: Grid,
    /// Rows of one point.
    stride: usize,
}

impl Rows<'_> {
    /// Fills what is known of each row: what the past was judged to be, and over it the newest rows' own.
    fn fill<T: Clone>(
        &self,
        unknown: T,
        past: impl Fn(&Track, usize) -> Option<T>,
        newest: impl IntoIterator<Item = (Time, T)>,
    ) -> Vec<T> {
        let of_past = |time| {
            let track = self.track?;
            past(track, track.row(time)?)
        };
        let times = self.kept.times();
        let mut all: Vec<T> = times
            .map(|time| of_past(time).unwrap_or(unknown.clone()))
            .collect();
        for (time, value) in newest {
            if let Some(slot) = self.kept.row(time).and_then(|row| all.get_mut(row)) {
                *slot = value;
            }
        }
        all
    }

    /// The times of a series of the newest rows, with its values.
    fn newest<T>(&self, values: Vec<T>) -> impl Iterator<Item = (Time, T)> {
        let grid = self.watched.tail.grid();
        let first = grid.len().saturating_sub(values.len());
        let times: Vec<Time> = grid.slice(first, grid.len()).times().collect();
        times.into_iter().zip(values)
    }

    fn scores(&self) -> Vec<f64> {
        let newest = self.newest(self.watched.scores().iter().collect());
        let newest = newest.filter(|(_, score)| score.is_finite());
        let scores = self.fill(f64::NAN, Track::score, newest);
        let highest = |rows: &[f64]| rows.iter().copied().fold(f64::NAN, f64::max);
        scores.chunks(self.stride).map(highest).collect()
    }

    fn anomalous(&self) -> Vec<bool> {
        let newest = self.newest(self.watched.marks());
        self.any(|track, row| Some(track.is_anomalous(row)), newest)
    }

    fn about(&self, column: usize) -> Vec<bool> {
        let newest = self.newest(self.watched.marks_of(column).collect());
        self.any(|track, row| Some(track.is_about(row, column)), newest)
    }

    fn any(
        &self,
        past: impl Fn(&Track, usize) -> Option<bool>,
        newest: impl Iterator<Item = (Time, bool)>,
    ) -> Vec<bool> {
        // A row that the past marks was found live before a restart, or is the past's own.
        let marks = self.fill(false, past, newest.filter(|(_, mark)| *mark));
        let marks = marks.chunks(self.stride);
        marks.map(|rows| rows.iter().any(|mark| *mark)).collect()
    }

    /// Lower and upper ends of what was expected.
    fn bands(&self, column: usize) -> (Vec<f64>, Vec<f64>) {
        let recent = self.watched.recent();
        let newest = recent.iter().filter_map(|verdict| {
            let part = verdict.features.get(column)?;
            Some((verdict.time, (part.lower, part.upper)))
        });
        let past = |track: &Track, row: usize| {
            let band = track.band(row, column)?;
            Some((band.lower, band.upper))
        };
        let bands = self.fill((f64::NAN, f64::NAN), past, newest);
        bands.into_iter().unzip()
    }
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
