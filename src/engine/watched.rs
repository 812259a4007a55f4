//! What a pipeline keeps of one entity.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::Kept;
use super::fusing::State;
use super::past::Track;
use super::readiness::Counted;
use super::recent::Recent;
use super::scorer::{RowScore, Rows};
use super::tail::Tail;
use crate::config::{Config, Span};
use crate::detect::drift::Drift;
use crate::detect::incident::{IncidentChange, Tracker};
use crate::detect::judge::Judge;
use crate::detect::warm_up;
use crate::domain::{
    Breach, Entity, EntityReadiness, EntityView, Feature, FeatureView, Forecast, Grid, Provisional,
    RowState, Schema, Series, Time, Verdict, is_past,
};
use crate::model::forecast::Record;

/// Among so many of the newest rows is looked for a value that says where a metric stands now.
const NOW: usize = 3;

/// One feature's recent past and its part in the newest verdict.
#[derive(Clone, Debug)]
struct Column {
    values: Series,
    anomalous: Series,
    forecast: Option<Arc<Forecast>>,
    /// What comes after the forecast, at few times: where the limit is looked for.
    beyond: Option<Arc<Forecast>>,
    /// How forecasts turned out.
    record: Record,
}

/// One entity's rows, verdicts and open incident. Bounded: the tail by its capacity, every series by `points`, the
/// verdicts by what the pipeline shares out.
#[derive(Debug)]
pub struct Watched {
    /// Whose.
    pub entity: Entity,
    /// Raw rows.
    pub tail: Tail,
    /// Gates, row by row.
    pub judge: Judge,
    /// The open incident.
    pub tracker: Tracker,
    /// What the score remembers.
    pub fusing: State,
    /// Last grid time with a sample.
    pub last_seen: Option<Time>,
    /// Windows that a training would have of its rows.
    pub counted: Counted,
    columns: Vec<Column>,
    scores: Series,
    anomalous: Series,
    recent: Recent,
    observed: Option<usize>,
    points: usize,
}

impl Watched {
    /// An entity of which nothing is known yet; its first row will be at the start of `grid`.
    pub fn new(entity: Entity, grid: Grid, columns: usize, capacity: usize, points: usize) -> Self {
        let column = Column {
            values: Series::with_capacity(points),
            anomalous: Series::with_capacity(points),
            forecast: None,
            beyond: None,
            record: Record::default(),
        };
        Self {
            tail: Tail::new(grid, columns, capacity),
            judge: Judge::new(entity.clone()),
            tracker: Tracker::new(entity.clone()),
            fusing: State::default(),
            entity,
            last_seen: None,
            counted: Counted::default(),
            columns: vec![column; columns],
            scores: Series::with_capacity(points),
            anomalous: Series::with_capacity(points),
            recent: Recent::new(1),
            observed: None,
            points,
        }
    }

    /// What a restart needs to go on, with the test for a lasting change.
    pub fn kept(&self, drift: Option<&Drift>) -> Kept {
        Kept {
            judge: self.judge.clone(),
            tracker: self.tracker.clone(),
            fusing: self.fusing.clone(),
            drift: drift.cloned(),
        }
    }

    /// Appends a row; its score and verdict come later.
    pub fn push(&mut self, row: &[f64]) {
        self.tail.push(row);
        self.counted.change(1);
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.values.push(row.get(at).copied().unwrap_or(f64::NAN));
            column.anomalous.push(0.0);
        }
        self.scores.push(f64::NAN);
        self.anomalous.push(0.0);
        if row.iter().any(|v| v.is_finite()) {
            self.last_seen = self.tail.grid().last();
        }
        self.settle();
    }

    /// Holds forecasts whose time has come against the rows.
    fn settle(&mut self) {
        let grid = self.tail.grid();
        let Some(now) = grid.last() else { return };
        let values = self.tail.values();
        for (at, column) in self.columns.iter_mut().enumerate() {
            if column.record.is_due(now, grid.step()) {
                let value = |row: usize| values.get((row, at)).copied().unwrap_or(f64::NAN);
                column.record.settle(grid, value);
            }
        }
    }

    /// Lets everything after `time` go, as if it had not been; returns what becomes of an incident that began in it.
    pub fn rewind(&mut self, time: Time) -> Option<IncidentChange> {
        let grid = *self.tail.grid();
        let rows = grid.times().take_while(|own| *own <= time).count();
        let gone = grid.len() - rows;
        self.counted.change(gone);
        if rows > 0 {
            self.tail.truncate(rows);
        } else {
            self.tail.restart(time + grid.step());
        }
        let every = self
            .columns
            .iter_mut()
            .flat_map(|column| [&mut column.values, &mut column.anomalous]);
        for series in every.chain([&mut self.scores, &mut self.anomalous]) {
            let kept = series.len().saturating_sub(gone);
            *series = filled(self.points, series.iter().take(kept).collect::<Vec<_>>());
        }
        for column in &mut self.columns {
            column.record = Record::default();
        }
        self.recent.rewind(time);
        self.fusing = State::default();
        self.last_seen = newest_observed(&self.tail);
        self.judge.rewind(time);
        self.tracker.rewind(time)
    }

    /// Lets all rows go: the next one is the first of `grid`.
    pub fn restart(&mut self, grid: &Grid) {
        self.tail.restart(grid.start());
        self.recent.clear();
        self.counted = Counted::default();
    }

    /// Keeps the newest `most` verdicts from now on, at least one.
    pub fn keep_recent(&mut self, most: usize) {
        self.recent.limit(most);
    }

    /// Rows in which something was observed.
    pub fn usable_rows(&self) -> usize {
        self.tail.observed()
    }

    /// The rows in `range`, to be scored, with the `context` rows before them that their windows reach into.
    pub fn rows(&self, range: Range<usize>, context: usize) -> Rows<'_> {
        let from = range.start.saturating_sub(context);
        let values = self.tail.values();
        Rows {
            entity: &self.entity,
            grid: self.tail.grid().slice(from, range.end),
            values: values.slice_move(ndarray::s![from..range.end, ..]),
            first: range.start - from,
        }
    }

    /// Takes late samples for a row that is already there; verdicts stay. A sample that came late was seen all the same.
    pub fn amend(&mut self, time: Time, row: &[f64]) {
        if !self.tail.amend(time, row) {
            return;
        }
        self.last_seen = self.last_seen.max(Some(time));
        self.counted.change(1);
        let Some(age) = self.age(time) else { return };
        let index = self.tail.grid().row(time);
        let row = index.and_then(|index| self.tail.row(index));
        for (column, value) in self.columns.iter_mut().zip(row.unwrap_or_default()) {
            if value.is_finite() {
                column.values.amend(age, *value);
            }
        }
    }

    /// Whether the source has no sample at all for a row that is there.
    pub fn is_missing(&self, time: Time) -> bool {
        let row = self
            .tail
            .grid()
            .row(time)
            .and_then(|row| self.tail.row(row));
        row.is_some_and(|row| row.iter().all(|value| value.is_nan()))
    }

    /// What the rows before it say of a row, without any model.
    pub fn provisional(&self, time: Time) -> Option<Provisional> {
        let grid = self.tail.grid();
        let end = grid.row(time)? + 1;
        let from = end.saturating_sub(warm_up::MOST + 1);
        let day = Duration::from_hours(24).as_secs_f64();
        let covered = (time.since(grid.start()).as_secs_f64() / day).min(1.0);
        let rows = self.tail.values().slice_move(ndarray::s![from..end, ..]);
        warm_up::look(&rows, covered)
    }

    /// Rows between `time` and the newest row.
    fn age(&self, time: Time) -> Option<usize> {
        let grid = self.tail.grid();
        grid.row(time).map(|row| grid.len() - 1 - row)
    }

    /// Shows the score of a row without judging it.
    pub fn show_score(&mut self, time: Time, score: &RowScore) {
        if let (Some(age), RowState::Scored) = (self.age(time), score.state) {
            self.scores.amend(age, score.score);
        }
    }

    /// Whether readers have a verdict.
    pub fn has_verdict(&self) -> bool {
        self.recent.newest().is_some()
    }

    /// Takes the final word on a row whose window has `window` rows.
    pub fn take(&mut self, verdict: Verdict, window: usize) {
        let Some(age) = self.age(verdict.time) else {
            return;
        };
        if let Some(score) = verdict.score {
            self.scores.amend(age, score);
        }
        if verdict.is_anomaly {
            self.anomalous.amend(age, 1.0);
            for column in verdict.carriers() {
                self.mark(column, age);
            }
        }
        let rows = self.tail.grid().len();
        let observed = |row: &usize| {
            self.tail
                .row(*row)
                .is_some_and(|r| r.iter().any(|v| v.is_finite()))
        };
        self.observed = Some((rows.saturating_sub(window)..rows).filter(observed).count());
        self.recent.push(verdict);
    }

    fn mark(&mut self, column: usize, age: usize) {
        if let Some(column) = self.columns.get_mut(column) {
            column.anomalous.amend(age, 1.0);
        }
    }

    /// Shows what the history was judged to be, in the rows that were not judged live.
    pub fn show_past(&mut self, track: &Track, until: Time) {
        let grid = *self.tail.grid();
        let first = grid.len().saturating_sub(self.scores.len());
        let last = grid.rows_before(until);
        for time in grid.slice(first, last.max(first)).times() {
            let (Some(age), Some(row)) = (self.age(time), track.grid().row(time)) else {
                continue;
            };
            if let Some(score) = track.score(row) {
                self.scores.amend(age, score);
            }
            // Both ways: what the past of an earlier model was marked for is no more.
            let mark = |is_marked: bool| f64::from(u8::from(is_marked));
            self.anomalous.amend(age, mark(track.is_anomalous(row)));
            for (at, column) in self.columns.iter_mut().enumerate() {
                column.anomalous.amend(age, mark(track.is_about(row, at)));
            }
        }
    }

    /// The newest scores, oldest first; NaN where there is none.
    pub const fn scores(&self) -> &Series {
        &self.scores
    }

    /// Anomaly marks of one column's newest rows, oldest first.
    pub fn marks_of(&self, column: usize) -> impl Iterator<Item = bool> {
        let column = self.columns.get(column).into_iter();
        column.flat_map(|column| column.anomalous.iter().map(|mark| mark > 0.0))
    }

    /// The newest verdicts, oldest first.
    pub fn recent(&self) -> Arc<[Arc<Verdict>]> {
        self.recent.shown()
    }

    /// Sets what is expected of one column, and what after that, if it has a limit.
    pub fn set_forecast(
        &mut self,
        column: usize,
        forecast: Arc<Forecast>,
        beyond: Option<Arc<Forecast>>,
    ) {
        let step = self.tail.grid().step();
        if let Some(column) = self.columns.get_mut(column) {
            column.record.keep(&forecast, step);
            column.forecast = Some(forecast);
            column.beyond = beyond;
        }
    }

    /// What the measured band of one column's forecast is to be multiplied with.
    pub fn widening(&self, column: usize) -> f64 {
        self.columns
            .get(column)
            .map_or(1.0, |column| column.record.widening())
    }

    /// What is expected of one column.
    pub fn forecast(&self, column: usize) -> Option<&Arc<Forecast>> {
        self.columns
            .get(column)
            .and_then(|column| column.forecast.as_ref())
    }

    /// Anomaly marks of the newest rows, oldest first.
    pub fn marks(&self) -> Vec<bool> {
        self.anomalous.iter().map(|mark| mark > 0.0).collect()
    }

    /// Reads the shown series anew from the tail, after history was filled in. Scores and marks of rows that were shown
    /// stay with their rows.
    pub fn refresh(&mut self) {
        self.counted.change(self.tail.grid().len());
        let rows = self.tail.grid().len().min(self.points);
        let first = self.tail.grid().len() - rows;
        let keep = |series: &Series, unknown: f64| {
            let mut old = series.tail(rows);
            let mut padded = vec![unknown; rows - old.len()];
            padded.append(&mut old);
            padded
        };
        let scores = keep(&self.scores, f64::NAN);
        let marks = keep(&self.anomalous, 0.0);
        self.scores = filled(self.points, scores);
        self.anomalous = filled(self.points, marks);
        for (at, column) in self.columns.iter_mut().enumerate() {
            let marks = keep(&column.anomalous, 0.0);
            column.anomalous = filled(self.points, marks);
            let values = (first..first + rows).map(|row| {
                self.tail
                    .row(row)
                    .and_then(|r| r.get(at))
                    .copied()
                    .unwrap_or(f64::NAN)
            });
            column.values = filled(self.points, values);
        }
        self.last_seen = self.last_seen.or_else(|| newest_observed(&self.tail));
    }

    /// What readers see.
    pub fn view(&self, schema: &Schema, config: &Config) -> EntityView {
        let grid = self.tail.grid();
        let rows = self.scores.len();
        EntityView {
            entity: self.entity.clone(),
            grid: grid.slice(grid.len().saturating_sub(rows), grid.len()),
            features: schema
                .iter()
                .zip(&self.columns)
                .enumerate()
                .map(|(i, (f, c))| self.feature(i, f, c))
                .collect(),
            scores: self.scores.clone(),
            anomalous: self.anomalous.clone(),
            latest: self.recent.newest().cloned(),
            recent: self.recent.shown(),
            observed_in_window: self.observed,
            readiness: self.readiness(config),
        }
    }

    fn readiness(&self, config: &Config) -> EntityReadiness {
        let observed = self.usable_rows() as f64 * self.tail.grid().step().as_secs_f64();
        let season = |season: &Span| {
            let known = observed / (2.0 * season.0.as_secs_f64());
            (season.0, known.min(1.0))
        };
        EntityReadiness {
            windows: (self.counted.windows() as f64 / config.windows_needed() as f64).min(1.0),
            seasons: config.forecast.seasonalities.iter().map(season).collect(),
        }
    }

    fn feature(&self, at: usize, feature: &Feature, column: &Column) -> FeatureView {
        // A feature that was masked has no error: its part in the score is unknown, not 0.
        let scored = self
            .recent
            .newest()
            .filter(|v| v.state == RowState::Scored)
            .and_then(|v| v.features.get(at))
            .filter(|f| f.mse.is_finite());
        FeatureView {
            feature: feature.clone(),
            values: column.values.clone(),
            anomalous: column.anomalous.clone(),
            mse: scored.map(|f| f.mse),
            share: scored.map(|f| f.share),
            expected: scored.map(|f| f.expected),
            forecast: column.forecast.clone(),
            breach: self.breach(feature, column),
            forecast_accuracy: column.record.accuracy(),
        }
    }

    /// When the limit is reached: by what was measured, else by what is expected.
    fn breach(&self, feature: &Feature, column: &Column) -> Option<Breach> {
        let (limit, now) = (feature.limit?, self.tail.grid().last()?);
        let newest = column.values.tail(NOW);
        let newest = newest.iter().rev().find(|value| value.is_finite());
        if newest.is_some_and(|value| is_past(*value, limit, feature.direction)) {
            return Some(Breach::NOW);
        }
        let forecasts = [column.forecast.as_deref(), column.beyond.as_deref()];
        let forecasts: Vec<&Forecast> = forecasts.into_iter().flatten().collect();
        Breach::ahead(&forecasts, limit, feature.direction, now)
    }
}

fn filled(capacity: usize, points: impl IntoIterator<Item = f64>) -> Series {
    let mut series = Series::with_capacity(capacity);
    for point in points {
        series.push(point);
    }
    series
}

fn newest_observed(tail: &Tail) -> Option<Time> {
    let values = tail.values();
    let row = (0..values.nrows())
        .rev()
        .find(|row| values.row(*row).iter().any(|v| v.is_finite()))?;
    Some(tail.grid().time(row))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Direction, Unit};

    const MINUTE: Duration = Duration::from_secs(60);

    /// Ten minutes of 50 and a forecast that rises by 1 a minute for an hour, and on to the end of the second one.
    fn rising(direction: Direction) -> (Watched, Schema) {
        let grid = |start: u32, rows| Grid::new(Time::from_secs(0) + MINUTE * start, MINUTE, rows);
        let schema: Schema = Arc::from([Feature::of("cpu", Unit::Percent, direction, Some(90.0))]);
        let mut watched = Watched::new(Entity::sole(), grid(0, 0), 1, 1000, 100);
        for _ in 0..10 {
            watched.push(&[50.0]);
        }
        let line = |start: u32| Forecast {
            grid: grid(start, 60),
            yhat: (0..60).map(|row| f64::from(start + row) + 40.0).collect(),
            lower: (0..60).map(|row| f64::from(start + row) + 30.0).collect(),
            upper: (0..60).map(|row| f64::from(start + row) + 45.0).collect(),
            level: 0.9,
        };
        watched.set_forecast(0, Arc::new(line(10)), Some(Arc::new(line(70))));
        (watched, schema)
    }

    fn breach(watched: &Watched, schema: &Schema) -> Option<Breach> {
        watched.view(schema, &Config::default()).features[0].breach
    }

    #[test]
    fn a_limit_is_reached_by_the_forecast_until_it_is_reached() {
        let (mut watched, schema) = rising(Direction::Above);
        let ahead = breach(&watched, &schema).unwrap();
        assert_eq!(ahead.earliest, MINUTE * 36);
        assert_eq!(
            (ahead.likely, ahead.latest),
            (Some(MINUTE * 41), Some(MINUTE * 51))
        );
        assert_eq!(ahead.within, MINUTE * 120);
        for _ in 0..30 {
            watched.push(&[52.0]);
        }
        assert_eq!(breach(&watched, &schema).unwrap().likely, Some(MINUTE * 11));
        watched.push(&[91.0]);
        watched.push(&[f64::NAN]);
        assert_eq!(breach(&watched, &schema), Some(Breach::NOW));
        // A limit that is reached from above: 50 is under it already.
        let (watched, schema) = rising(Direction::Below);
        assert_eq!(breach(&watched, &schema), Some(Breach::NOW));
    }

    #[test]
    fn a_sample_that_comes_late_was_seen() {
        let (start, row) = (Time::from_secs(0), |n: u32| Time::from_secs(0) + MINUTE * n);
        let mut watched = Watched::new(Entity::sole(), Grid::new(start, MINUTE, 0), 2, 100, 100);
        for n in 0..10 {
            watched.push(&[]);
            assert_eq!(watched.usable_rows(), n as usize);
            watched.amend(row(n), &[1.0, f64::NAN]);
            watched.amend(row(n), &[f64::NAN, 2.0]);
            assert_eq!(watched.last_seen, Some(row(n)));
            assert_eq!(watched.usable_rows(), n as usize + 1);
        }
        watched.amend(row(3), &[7.0]);
        assert_eq!(watched.last_seen, Some(row(9)), "time does not go back");
    }

    #[test]
    fn forecasts_are_held_against_the_rows_that_come() {
        let (mut watched, schema) = rising(Direction::Above);
        let forecast = Arc::clone(watched.forecast(0).unwrap());
        for round in 1..=10_u32 {
            let later = Forecast {
                grid: Grid::new(forecast.grid.start() + MINUTE * 5 * round, MINUTE, 60),
                ..Forecast::clone(&forecast)
            };
            watched.set_forecast(0, Arc::new(later), None);
            assert_eq!(
                watched.view(&schema, &Config::default()).features[0].forecast_accuracy,
                None
            );
        }
        for _ in 0..60 {
            watched.push(&[200.0]);
        }
        let found = watched.view(&schema, &Config::default()).features[0]
            .forecast_accuracy
            .unwrap();
        assert!(
            found.n >= 12 && found.coverage == 0.0 && found.mae > 50.0,
            "{found:?}"
        );
        assert!(watched.widening(0) > 1.2);
    }
}
