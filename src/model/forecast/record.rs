//! Forecasts held against what came, and bands corrected by it.
//!
//! The band's width is measured on the past; when the noise changes, it is wrong until the past shows the change. The correction
//! is that of adaptive conformal inference (Gibbs and Candès 2021): every value that comes moves it, by a fixed small step times how
//! far this one was from the promise. What is moved is the logarithm of the width instead of the level of the quantile, as in
//! Angelopoulos et al. (2023), because a quantile ends at the largest error that was measured.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::{Forecast, ForecastAccuracy, Grid, Time};

/// Parts of the horizon after which forecast values are held against what came, in parts of [`PARTS`].
const LEADS: [u32; 3] = [1, 6, 24];
/// Forecasts are kept once in this part of the horizon.
const PARTS: u32 = 24;
/// Forecast values waiting, at most: one for each part of the horizon that lies ahead of each lead, and some to spare.
const MOST_MADE: usize = 40;
/// The figures are over so many arrivals.
const MOST_ARRIVED: usize = 192;
/// Arrivals without which there are no figures.
const FEWEST_ARRIVED: usize = 12;
/// How much a value outside of a band that promises everything would move the width's logarithm.
const STEP: f64 = 0.05;
/// The width is at least and at most so many times the measured one.
const WIDENING: (f64, f64) = (0.5, 4.0);

/// One forecast value that waits for its time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Made {
    /// First and last time of the rows whose mean it is about.
    rows: (Time, Time),
    /// Given up when nothing was observed until then.
    until: Time,
    yhat: f64,
    lower: f64,
    upper: f64,
    level: f64,
}

/// One that came.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrived {
    error: f32,
    held: bool,
}

/// What was forecast of one series and how it turned out. Holds at most 40 forecast values that wait and 192 results: 5 kB.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    made: Vec<Made>,
    arrived: VecDeque<Arrived>,
    /// Start of the newest forecast that was kept.
    newest: Option<Time>,
    /// Logarithm of the correction.
    widening: f64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            made: Vec::new(),
            arrived: VecDeque::new(),
            newest: None,
            widening: 0.0,
        }
    }
}

impl Record {
    /// Keeps three values of a forecast, after 1/24, a quarter and the whole of its horizon, unless one was kept less than 1/24 of
    /// the horizon before. `step` is that of the rows that will come; a coarser forecast is about their means.
    pub fn keep(&mut self, forecast: &Forecast, step: Duration) {
        let (grid, rows) = (&forecast.grid, forecast.grid.len());
        let span = grid
            .step()
            .saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX));
        let rested = |newest: Time| grid.start().since(newest) >= span / PARTS;
        if rows == 0 || !self.newest.is_none_or(rested) {
            return;
        }
        self.newest = Some(grid.start());
        let factor = grid.step().as_millis() / step.as_millis().max(1);
        let factor = u32::try_from(factor).unwrap_or(u32::MAX).max(1);
        let mut last = None;
        for lead in LEADS {
            let row = (rows * lead as usize).div_ceil(PARTS as usize).max(1) - 1;
            let bounds = (
                forecast.yhat.get(row),
                forecast.lower.get(row),
                forecast.upper.get(row),
            );
            let (Some(yhat), Some(lower), Some(upper)) = bounds else {
                continue;
            };
            if last.replace(row) == Some(row) || self.made.len() == MOST_MADE {
                continue;
            }
            // A coarse row's time is the middle of its rows, as `coarse` has it.
            let first = grid.time(row) - step * ((factor - 1) / 2);
            let end = first + step * (factor - 1);
            self.made.push(Made {
                rows: (first, end),
                until: end + span / PARTS + step,
                yhat: *yhat,
                lower: *lower,
                upper: *upper,
                level: forecast.level,
            });
        }
    }

    /// Whether a value that waits may be held against rows up to `now`, their step being `step`: one row later than its own, so
    /// that the last of them had time to come.
    #[must_use]
    pub fn is_due(&self, now: Time, step: Duration) -> bool {
        self.made.iter().any(|made| now >= made.rows.1 + step)
    }

    /// Holds what waits against rows that came (`value(row)` at `grid.time(row)`, NaN where missing). What was not observed waits
    /// 1/24 of the horizon longer and is then given up without being counted.
    pub fn settle(&mut self, grid: &Grid, value: impl Fn(usize) -> f64) {
        let Some(now) = grid.last() else { return };
        let made = std::mem::take(&mut self.made);
        for one in made {
            if now < one.rows.1 + grid.step() {
                self.made.push(one);
                continue;
            }
            let rows = grid.row(one.rows.0).zip(grid.row(one.rows.1));
            let Some((first, last)) = rows else { continue };
            let came = (first..=last).map(&value).filter(|v| v.is_finite());
            let (sum, count) = came.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
            if count > 0 {
                self.count(&one, sum / count as f64);
            } else if now < one.until {
                self.made.push(one);
            }
        }
    }

    fn count(&mut self, made: &Made, truth: f64) {
        let held = made.lower <= truth && truth <= made.upper;
        if self.arrived.len() == MOST_ARRIVED {
            self.arrived.pop_front();
        }
        #[allow(clippy::cast_possible_truncation)]
        let error = (truth - made.yhat).abs() as f32;
        self.arrived.push_back(Arrived { error, held });
        let missed = f64::from(u8::from(!held));
        let moved = self.widening + STEP * (missed - (1.0 - made.level));
        self.widening = moved.clamp(WIDENING.0.ln(), WIDENING.1.ln());
    }

    /// What the measured width is to be multiplied with, 0.5 to 4; 1 before anything came.
    #[must_use]
    pub fn widening(&self) -> f64 {
        self.widening.exp()
    }

    /// How the newest 192 forecast values turned out; `None` before 12 have come.
    #[must_use]
    pub fn accuracy(&self) -> Option<ForecastAccuracy> {
        let n = self.arrived.len();
        (n >= FEWEST_ARRIVED).then(|| ForecastAccuracy {
            mae: self
                .arrived
                .iter()
                .map(|one| f64::from(one.error))
                .sum::<f64>()
                / n as f64,
            coverage: self.arrived.iter().filter(|one| one.held).count() as f64 / n as f64,
            n,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A day in ten-minute rows from minute `start` on, expecting 10 ± 2.
    fn forecast(start: u32) -> Forecast {
        let grid = Grid::new(Time::from_secs(0) + MINUTE * (start + 4), MINUTE * 10, 144);
        Forecast {
            grid,
            yhat: vec![10.0; 144],
            lower: vec![8.0; 144],
            upper: vec![12.0; 144],
            level: 0.9,
        }
    }

    fn rows(count: usize) -> Grid {
        Grid::new(Time::from_secs(0), MINUTE, count)
    }

    #[test]
    fn three_values_of_a_forecast_are_kept_once_an_hour() {
        let mut record = Record::default();
        for start in 0..60 {
            record.keep(&forecast(start), MINUTE);
        }
        assert_eq!(record.made.len(), 3);
        let first = |made: &Made| made.rows.0.since(Time::from_secs(0)).as_secs() / 60;
        let firsts: Vec<u64> = record.made.iter().map(first).collect();
        assert_eq!(firsts, [50, 350, 1430]);
        assert_eq!(record.made[0].rows.1, Time::from_secs(0) + MINUTE * 59);
        record.keep(&forecast(60), MINUTE);
        assert_eq!(record.made.len(), 6);
    }

    #[test]
    fn memory_is_bounded_when_nothing_ever_comes_and_when_all_comes() {
        let mut record = Record::default();
        for hour in 0..500 {
            record.keep(&forecast(hour * 60), MINUTE);
            assert!(record.made.len() <= MOST_MADE);
        }
        let mut record = Record::default();
        for hour in 0..500_u32 {
            record.keep(&forecast(hour * 60), MINUTE);
            record.settle(&rows(hour as usize * 60 + 60), |_| 11.0);
            assert!(record.made.len() <= 32 && record.arrived.len() <= MOST_ARRIVED);
        }
        let found = record.accuracy().unwrap();
        assert_eq!(
            (found.mae, found.coverage, found.n),
            (1.0, 1.0, MOST_ARRIVED)
        );
    }

    #[test]
    fn the_mean_of_what_came_is_held_against_the_forecast() {
        let mut record = Record::default();
        let value = |row: usize| if row.is_multiple_of(2) { 5.0 } else { 25.0 };
        for hour in 0..12 {
            record.keep(&forecast(hour * 60), MINUTE);
            assert_eq!(record.accuracy(), None);
        }
        record.settle(&rows(12 * 60), value);
        // Eleven after an hour, six after six; the twelfth waits for a row more.
        assert_eq!(record.arrived.len(), 11 + 6);
        let found = record.accuracy().unwrap();
        assert_eq!((found.mae, found.coverage), (5.0, 0.0));
        record.settle(&rows(12 * 60 + 1), value);
        assert_eq!(record.arrived.len(), 12 + 7);
        record.settle(&rows(12 * 60 + 1), value);
        assert_eq!(record.arrived.len(), 12 + 7);
    }

    #[test]
    fn gaps_are_not_counted_and_late_rows_are() {
        let mut record = Record::default();
        record.keep(&forecast(0), MINUTE);
        let gap = |_: usize| f64::NAN;
        record.settle(&rows(70), gap);
        assert_eq!((record.made.len(), record.arrived.len()), (3, 0));
        // The rows came late, one of ten of them.
        record.settle(&rows(75), |row| if row == 53 { 9.0 } else { f64::NAN });
        assert_eq!((record.made.len(), record.arrived.len()), (2, 1));
        assert_eq!(
            record.arrived[0],
            Arrived {
                error: 1.0,
                held: true
            }
        );
        // What comes after it was counted changes nothing, and what never comes is given up.
        record.settle(&rows(80), |_| 100.0);
        assert_eq!(record.arrived.len(), 1);
        record.settle(&rows(500), gap);
        assert_eq!((record.made.len(), record.arrived.len()), (1, 1));
        // Rows that are no longer kept.
        record.settle(
            &Grid::new(Time::from_secs(0) + MINUTE * 5000, MINUTE, 10),
            |_| 1.0,
        );
        assert_eq!((record.made.len(), record.arrived.len()), (0, 1));
    }

    #[test]
    fn misses_widen_the_band_and_hits_narrow_it_within_bounds() {
        let mut record = Record::default();
        assert_eq!(record.widening(), 1.0);
        let made = Made {
            rows: (Time::from_secs(0), Time::from_secs(0)),
            until: Time::from_secs(0),
            yhat: 0.0,
            lower: -1.0,
            upper: 1.0,
            level: 0.9,
        };
        for _ in 0..9 {
            record.count(&made, 0.0);
        }
        let narrower = record.widening();
        assert!(narrower < 1.0);
        record.count(&made, 2.0);
        assert!(
            (record.widening() - 1.0).abs() < 1e-12,
            "as promised: back where it was"
        );
        for _ in 0..1000 {
            record.count(&made, 2.0);
        }
        assert!((record.widening() - 4.0).abs() < 1e-9);
        for _ in 0..10_000 {
            record.count(&made, 0.0);
        }
        assert!((record.widening() - 0.5).abs() < 1e-9);
    }
}
