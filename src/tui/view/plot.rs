//! What a chart of one feature shows: the points of the mode, cut to the time range.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    EntityView, FeatureView, Forecast, Grid, HistoryAnswer, HistorySeries, Series, Time, Unit,
};
use crate::tui::state::{Mode, UiState};
use crate::tui::text::whole;

use super::chart::{Axis, Scale};

/// The rows of an entity that a mode shows; all its panes share them, and so the time axis.
pub struct Window<'a> {
    /// Times of the rows.
    pub grid: Grid,
    /// Left and right edge, the forecast included.
    pub axis: Axis,
    /// It ends with the newest row and goes on with it.
    pub follows: bool,
    /// Long-term mode's answer, when it is about this entity.
    answer: Option<&'a HistoryAnswer>,
    skip: usize,
    forecasts: bool,
}

impl<'a> Window<'a> {
    /// The rows of `entity` that the mode shows.
    pub fn of(state: &'a UiState, entity: &EntityView) -> Self {
        if state.mode != Mode::LongTerm {
            let range = state.live_range;
            return Self::cut(entity.grid, range, edge(state, entity), lead(entity));
        }
        let history = &state.history;
        let answer = history
            .answer
            .as_deref()
            .filter(|a| history.of.as_ref() == Some(&entity.entity) && !a.grid.is_empty());
        let all = answer.map_or(entity.grid, |answer| answer.grid);
        let edge = edge(state, entity);
        let lead = answer.map_or_else(|| lead(entity), HistoryAnswer::first_known);
        let mut window = Self::cut(all, state.long_range, edge, lead);
        window.answer = answer;
        // An answer of which the end is older was about an earlier time.
        let newest = all.last().map(|last| last + all.step() * 2) >= entity.grid.last();
        window.follows = edge.is_none() && newest;
        // What is to come follows the newest row only.
        window.forecasts = state.config.show_forecast && window.follows;
        if window.forecasts {
            for column in 0..entity.features.len() {
                let ahead = forecast(entity, answer, column).and_then(|f| f.grid.last());
                window.axis.to = ahead.map_or(window.axis.to, |ahead| ahead.max(window.axis.to));
            }
            // The future has at most as much room as the past that it was made from.
            let past = grid_length(&window.grid);
            window.axis.to = window.axis.to.min(window.grid.start() + past * 2);
        }
        window
    }

    /// The newest rows that the snapshot carries.
    pub fn recent(entity: &EntityView, range: Option<Duration>) -> Self {
        Self::cut(entity.grid, range, None, lead(entity))
    }

    /// As many rows as the range has, the last one at or before `until`; never fewer at the oldest end. The first `lead` rows
    /// hold nothing: the axis begins after them.
    fn cut(all: Grid, range: Option<Duration>, until: Option<Time>, lead: usize) -> Self {
        let steps = |length: Duration| length.as_secs_f64() / all.step().as_secs_f64();
        let rows = range.map_or(all.len(), |range| whole(steps(range)).saturating_add(1));
        let end = until.map_or(all.len(), |until| {
            whole(steps(until.since(all.start())).floor()).saturating_add(1)
        });
        let end = end.clamp(rows.min(all.len()), all.len());
        let skip = end
            .saturating_sub(rows)
            .max(lead.min(end.saturating_sub(1)));
        let grid = all.slice(skip, end);
        Self {
            grid,
            axis: Axis {
                from: grid.start(),
                to: grid.last().unwrap_or(grid.start()),
                step: grid.step(),
            },
            follows: end == all.len(),
            answer: None,
            skip,
            forecasts: false,
        }
    }

    /// The score of the window's rows.
    pub fn scores(&self, entity: &EntityView) -> Vec<f64> {
        match self.answer {
            Some(answer) => self.part(&answer.scores),
            None => self.rows(&entity.scores),
        }
    }

    /// Lower and upper end of what was expected of a column, on the window's rows, as far as an answer to a question about
    /// history has it.
    pub fn history_band(&self, entity: &EntityView, column: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        let feature = entity.features.get(column)?;
        let (_, series) = series(self.answer, feature, column)?;
        Some((self.part(&series.lower), self.part(&series.upper)))
    }

    /// The window's rows of one of the entity's series; history carries none of them.
    fn rows(&self, series: &Series) -> Vec<f64> {
        if self.answer.is_some() {
            return Vec::new();
        }
        let mut rows = series.tail(series.len().saturating_sub(self.skip));
        rows.truncate(self.grid.len());
        rows
    }

    /// Which of the window's rows are anomalous, whoever carried it.
    pub fn anomalous(&self, entity: &EntityView) -> Vec<bool> {
        match self.answer {
            Some(answer) => self.part(&answer.anomalous),
            None => flags(&self.rows(&entity.anomalous)),
        }
    }

    /// The window's part of what an answer has for each row.
    fn part<T: Copy>(&self, all: &[T]) -> Vec<T> {
        let rows = all.iter().skip(self.skip).take(self.grid.len());
        rows.copied().collect()
    }

    /// Length of the axis.
    pub fn length(&self) -> Duration {
        self.axis.to.since(self.axis.from)
    }

    /// Some of the axis lies in the future.
    pub fn looks_ahead(&self) -> bool {
        self.grid.last().is_some_and(|last| last < self.axis.to)
    }

    /// One feature, by its column, and its points.
    pub fn plot<'e>(
        &self,
        entity: &'e EntityView,
        column: usize,
    ) -> Option<(&'e FeatureView, Plot)> {
        let feature = entity.features.get(column)?;
        let (values, hot) = match series(self.answer, feature, column) {
            Some((_, series)) => (self.part(&series.values), self.part(&series.anomalous)),
            None if self.answer.is_some() => (Vec::new(), Vec::new()),
            None => (
                self.rows(&feature.values),
                flags(&self.rows(&feature.anomalous)),
            ),
        };
        let forecast = if self.forecasts {
            forecast(entity, self.answer, column)
        } else {
            None
        };
        let plot = Plot {
            values,
            hot,
            forecast,
        };
        Some((feature, plot))
    }
}

fn grid_length(grid: &Grid) -> Duration {
    grid.last()
        .map_or(Duration::ZERO, |last| last.since(grid.start()))
}

/// Rows of the snapshot before the first in which anything was observed; 0 when nothing was.
pub fn lead(entity: &EntityView) -> usize {
    let first = |feature: &FeatureView| feature.values.iter().position(f64::is_finite);
    entity.features.iter().filter_map(first).min().unwrap_or(0)
}

/// Rows of a 0/1 series as flags.
pub fn flags(rows: &[f64]) -> Vec<bool> {
    rows.iter().map(|v| *v > 0.5).collect()
}

/// The right edge of what is shown of an entity, `None` for its newest row: where the operator put it, and moved as far as
/// it takes to keep the moment that is pointed at in view. Without a time range all is shown; panes always follow.
pub fn edge(state: &UiState, entity: &EntityView) -> Option<Time> {
    if !state.expanded {
        return None;
    }
    let (newest, range) = (entity.grid.last()?, state.range()?);
    let until = state.until.filter(|until| *until < newest);
    let end = until.unwrap_or(newest);
    match state.cursor {
        Some(cursor) if cursor > end && cursor < newest => Some(cursor),
        Some(cursor) if cursor < end - range => Some(cursor + range),
        _ => until,
    }
}

fn series<'a>(
    answer: Option<&'a HistoryAnswer>,
    feature: &FeatureView,
    column: usize,
) -> Option<(&'a HistoryAnswer, &'a HistorySeries)> {
    let answer = answer?;
    let same = |series: &&HistorySeries| series.name == feature.feature.name;
    let found = answer.series.get(column).filter(same);
    let found = found.or_else(|| answer.series.iter().find(same))?;
    Some((answer, found))
}

fn forecast(
    entity: &EntityView,
    answer: Option<&HistoryAnswer>,
    column: usize,
) -> Option<Arc<Forecast>> {
    let feature = entity.features.get(column)?;
    series(answer, feature, column)
        .and_then(|(_, series)| series.forecast.clone())
        .or_else(|| feature.forecast.clone())
}

/// The points of one feature on its window's grid.
pub struct Plot {
    /// Values, NaN where missing; may be shorter than the grid when nothing is known.
    pub values: Vec<f64>,
    /// Anomalous rows.
    pub hot: Vec<bool>,
    /// What comes, in long-term mode.
    pub forecast: Option<Arc<Forecast>>,
}

impl Plot {
    /// Smallest and largest value.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        self.values
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .fold(None, |found, v| {
                let (low, high) = found.unwrap_or((v, v));
                Some((v.min(low), v.max(high)))
            })
    }

    /// The newest tenth of the known rows beside the tenth before it, by their medians: a change of a tenth of the range that
    /// is shown is a trend. `None` when too little is known.
    pub fn trend(&self) -> Option<Trend> {
        const FEWEST: usize = 3;
        let known: Vec<f64> = self
            .values
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        let rows = (known.len() / 10).max(FEWEST);
        let (rest, newest) = known.split_at(known.len().checked_sub(rows)?);
        let before = rest.get(rest.len().checked_sub(rows)?..)?;
        let (low, high) = self.extremes()?;
        let change = median(newest)? - median(before)?;
        let least = (high - low) * 0.1;
        Some(match change {
            _ if least <= 0.0 => Trend::Level,
            up if up >= least => Trend::Rising,
            down if down <= -least => Trend::Falling,
            _ => Trend::Level,
        })
    }

    /// A scale for values and forecast, for the limit once they come near it, and for the band as long as it leaves the
    /// values half of the height: how unsure a forecast is must not flatten what is known.
    pub fn scale(&self, limit: Option<f64>) -> Option<Scale> {
        self.scale_with(limit, &[], &[])
    }

    /// [`Self::scale`] with the ends of what was expected, which count as a forecast's band does.
    pub fn scale_with(&self, limit: Option<f64>, lower: &[f64], upper: &[f64]) -> Option<Scale> {
        let lines = self.forecast.iter().flat_map(|f| f.yhat.iter().copied());
        let lines = || self.values.iter().copied().chain(lines.clone());
        let known = Scale::over(lines())?;
        let half = (known.high - known.low) / 2.0;
        // What was never negative has no axis below zero, however unsure its band is.
        let least = if known.low >= 0.0 {
            (known.low - half).max(0.0)
        } else {
            known.low - half
        };
        let ahead = self
            .forecast
            .iter()
            .flat_map(|f| f.lower.iter().chain(&f.upper));
        let bounds = ahead.chain(lower).chain(upper).copied();
        let band = bounds.map(|bound| bound.clamp(least, known.high + half));
        let all = || lines().chain(band.clone());
        let high = all().filter(|v| v.is_finite()).fold(f64::MIN, f64::max);
        let near = limit.filter(|limit| *limit > 0.0 && high >= 0.8 * limit);
        Scale::over(all().chain(near))
    }
}

/// Where a metric is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// Up.
    Rising,
    /// Neither.
    Level,
    /// Down.
    Falling,
}

impl Trend {
    /// Its arrow; a word where there are only ASCII's, which stand for lowest and highest already.
    pub const fn sign(self, unicode: bool) -> &'static str {
        match (self, unicode) {
            (Self::Rising, true) => "↗ ",
            (Self::Level, true) => "→ ",
            (Self::Falling, true) => "↘ ",
            (Self::Rising, false) => "up ",
            (Self::Level, false) => "",
            (Self::Falling, false) => "down ",
        }
    }
}

/// Values that a band does not reach over, to both sides.
#[derive(Clone, Copy)]
pub struct Ends {
    low: f64,
    high: f64,
}

impl Ends {
    /// Those of a metric that is not known.
    pub const NONE: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// Zero for a metric that has never been below it in what is at hand, but for a temperature, which can well be; and what
    /// its unit ends at for one that has never been above that.
    pub fn of(feature: &FeatureView) -> Self {
        let (unit, values) = (&feature.feature.unit, &feature.values);
        if !values.iter().any(f64::is_finite) {
            return Self::NONE;
        }
        let may_be_negative = *unit == Unit::Celsius || values.iter().any(|value| value < 0.0);
        let full = unit
            .full()
            .filter(|full| !values.iter().any(|value| value > *full));
        Self {
            low: if may_be_negative {
                f64::NEG_INFINITY
            } else {
                0.0
            },
            high: full.unwrap_or(f64::INFINITY),
        }
    }

    /// The same for a value that may be of a time which is not at hand any more: ends that it is beyond are none.
    pub fn with(self, value: f64) -> Self {
        Self {
            low: if value < self.low {
                f64::NEG_INFINITY
            } else {
                self.low
            },
            high: if value > self.high {
                f64::INFINITY
            } else {
                self.high
            },
        }
    }

    /// A band's ends within these; unknown ones stay unknown.
    pub fn cut(self, (lower, upper): (f64, f64)) -> (f64, f64) {
        let within = |end: f64| {
            if end.is_nan() {
                end
            } else {
                end.clamp(self.low, self.high)
            }
        };
        (within(lower), within(upper))
    }
}

/// The newest known value among the last few rows, and whether it is the very newest row's.
pub fn latest(feature: &FeatureView) -> Option<(f64, bool)> {
    const LOOK_BACK: usize = 3;
    let tail = feature.values.tail(LOOK_BACK);
    let newest = tail.iter().rev().enumerate();
    newest
        .filter(|(_, v)| v.is_finite())
        .map(|(age, v)| (*v, age == 0))
        .next()
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: Vec<f64>) -> Plot {
        Plot {
            values,
            hot: Vec::new(),
            forecast: None,
        }
    }

    #[test]
    fn bands_end_where_their_metric_does() {
        let ends = Ends {
            low: 0.0,
            high: 100.0,
        };
        assert_eq!(ends.cut((-12.0, 198.0)), (0.0, 100.0));
        assert_eq!(ends.cut((20.0, 30.0)), (20.0, 30.0));
        let (lower, upper) = ends.cut((f64::NAN, f64::NAN));
        assert!(lower.is_nan() && upper.is_nan());
        // A value of an hour that is not at hand any more was beyond them.
        assert_eq!(ends.with(150.0).cut((-12.0, 198.0)), (0.0, 198.0));
        assert_eq!(ends.with(-3.0).cut((-12.0, 198.0)), (-12.0, 100.0));
    }

    #[test]
    fn what_is_never_negative_keeps_its_axis_above_zero() {
        let percent = plot(vec![10.0, 20.0, 50.0]);
        let scale = percent.scale_with(None, &[-60.0], &[170.0]).unwrap();
        assert!(scale.low >= 0.0 && scale.high > 60.0, "{scale:?}");
        let celsius = plot(vec![-4.0, 20.0]);
        let scale = celsius.scale_with(None, &[-60.0], &[25.0]).unwrap();
        assert!(scale.low < -10.0, "{scale:?}");
    }

    #[test]
    fn trends_are_seen_against_the_range() {
        let ramp: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(plot(ramp.clone()).trend(), Some(Trend::Rising));
        let mut back = ramp;
        back.reverse();
        assert_eq!(plot(back).trend(), Some(Trend::Falling));
        let wave: Vec<f64> = (0..200).map(|i| f64::from(i % 10)).collect();
        assert_eq!(plot(wave).trend(), Some(Trend::Level));
        assert_eq!(plot(vec![3.0; 50]).trend(), Some(Trend::Level));
        assert_eq!(plot(vec![3.0; 5]).trend(), None);
        assert_eq!(plot(vec![f64::NAN; 50]).trend(), None);
    }
}
