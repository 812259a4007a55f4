//! The columns of the model: a line with bends, waves of the seasons, days that are holidays.
//!
//! What a basis is made of (time scale, bends) is taken from the rows that it was made for and then stays: rows that
//! come later are described in the same terms, with scaled times above 1.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Season;
use super::clock::{Clock, DAY_MS};
use crate::config::Holiday;
use crate::domain::{Grid, Time};

/// A season as its waves: `order` pairs of sine and cosine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Waves {
    period_ms: i64,
    order: usize,
    prior_scale: f64,
}

/// A column that is 1 on some days and 0 on all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Days {
    /// Days since the epoch on the wall's calendar, ascending.
    days: Vec<i64>,
    prior_scale: f64,
}

/// The frozen terms in which a series is described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Basis {
    /// The first observed time.
    start: Time,
    /// Milliseconds from the first to the last observed time: scaled time runs from 0 to 1.
    scale: f64,
    /// Scaled times from which each slope holds, ascending: 0 for the first slope, then the bends.
    knots: Vec<f64>,
    waves: Vec<Waves>,
    days: Vec<Days>,
    #[serde(with = "jiff::fmt::serde::tz::required")]
    zone: TimeZone,
}

/// Seasonal columns of every row of a grid, `[rows, width]`. Bounded by the rows of the grid times the width.
pub(super) struct Columns {
    pub(super) width: usize,
    values: Vec<f64>,
}

impl Columns {
    /// One row's seasonal columns.
    pub(super) fn row(&self, row: usize) -> &[f64] {
        self.values
            .get(row * self.width..(row + 1) * self.width)
            .unwrap_or_default()
    }
}

impl Basis {
    /// For the observed rows of `grid` (`observed`, ascending, at least one), with bends spread evenly over the first
    /// `range` (0 to 1) of them.
    pub(super) fn new(
        grid: &Grid,
        observed: &[usize],
        bends: usize,
        range: f64,
        seasons: &[Season],
        holidays: &[Holiday],
        zone: &TimeZone,
    ) -> Self {
        let at = |position: usize| grid.time(observed.get(position).copied().unwrap_or(0));
        let start = at(0);
        let span = at(observed.len().saturating_sub(1)).since(start);
        let scale = (span.as_millis() as f64).max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let early = (observed.len() as f64 * range).floor() as usize;
        let bends = bends.min(early.saturating_sub(1));
        let stride = early.saturating_sub(1) as f64 / bends.max(1) as f64;
        let knots = (0..=bends)
            .map(|bend| {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let position = (bend as f64 * stride).round_ties_even() as usize;
                at(position).since(start).as_millis() as f64 / scale
            })
            .collect();
        let waves = seasons
            .iter()
            .map(|season| Waves {
                period_ms: i64::try_from(season.period.as_millis())
                    .unwrap_or(i64::MAX)
                    .max(1),
                order: season.order,
                prior_scale: season.prior_scale,
            })
            .collect();
        Self {
            start,
            scale,
            knots,
            waves,
            days: holidays.iter().flat_map(columns_of).collect(),
            zone: zone.clone(),
        }
    }

    /// Scaled times from which each slope holds; the first is 0.
    pub(super) fn knots(&self) -> &[f64] {
        &self.knots
    }

    /// Times of the bends.
    pub(super) fn bend_times(&self) -> Vec<Time> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let after = |knot: &f64| Duration::from_millis((knot * self.scale).round() as u64);
        let bends = self.knots.iter().skip(1);
        bends.map(|knot| self.start + after(knot)).collect()
    }

    /// Columns of the trend: the offset and the slopes.
    pub(super) fn trend_width(&self) -> usize {
        1 + self.knots.len()
    }

    /// Columns of seasons and holidays.
    pub(super) fn seasonal_width(&self) -> usize {
        self.waves.iter().map(|wave| 2 * wave.order).sum::<usize>() + self.days.len()
    }

    /// Standard deviations of the normal priors of the seasonal columns.
    pub(super) fn prior_scales(&self) -> Vec<f64> {
        let waves = self
            .waves
            .iter()
            .flat_map(|wave| std::iter::repeat_n(wave.prior_scale, 2 * wave.order));
        waves
            .chain(self.days.iter().map(|days| days.prior_scale))
            .collect()
    }

    /// Scaled time: 0 at the first and 1 at the last row that the basis was made for.
    pub(super) fn scaled(&self, time: Time) -> f64 {
        time.millis().saturating_sub(self.start.millis()) as f64 / self.scale
    }

    /// The stretch between bends in which scaled time `t` lies, and how far into it.
    pub(super) fn stretch(&self, t: f64) -> (usize, f64) {
        let stretch = self.knots.partition_point(|knot| *knot <= t).max(1) - 1;
        (stretch, t - self.knots.get(stretch).copied().unwrap_or(0.0))
    }

    /// Seasonal columns of all rows of `grid`.
    pub(super) fn columns(&self, grid: &Grid) -> Columns {
        let clock = Clock::new(
            &self.zone,
            grid.start(),
            grid.last().unwrap_or(grid.start()),
        );
        let width = self.seasonal_width();
        let mut values = vec![0.0; width * grid.len()];
        for (out, time) in values.chunks_exact_mut(width.max(1)).zip(grid.times()) {
            self.fill(clock.local_ms(time), out);
        }
        Columns { width, values }
    }

    /// One row's seasonal columns at a wall clock's time, into `out` (`[seasonal_width]`).
    fn fill(&self, local_ms: i64, out: &mut [f64]) {
        let mut rest = out;
        for wave in &self.waves {
            let Some((own, left)) = rest.split_at_mut_checked(2 * wave.order) else {
                return;
            };
            // Whole milliseconds into the period: exact, however long ago the epoch was.
            let phase = local_ms.rem_euclid(wave.period_ms) as f64 / wave.period_ms as f64;
            let (sin, cos) = (phase * std::f64::consts::TAU).sin_cos();
            let (mut sin_k, mut cos_k) = (sin, cos);
            for pair in own.chunks_exact_mut(2) {
                if let [s, c] = pair {
                    (*s, *c) = (sin_k, cos_k);
                }
                // The next multiple of the angle, by the addition theorem.
                (sin_k, cos_k) = (sin_k * cos + cos_k * sin, cos_k * cos - sin_k * sin);
            }
            rest = left;
        }
        let today = local_ms.div_euclid(DAY_MS);
        for (slot, days) in rest.iter_mut().zip(&self.days) {
            *slot = f64::from(u8::from(days.days.binary_search(&today).is_ok()));
        }
    }
}

/// A holiday's columns: one for each day of its window, shared by all its dates.
fn columns_of(holiday: &Holiday) -> Vec<Days> {
    let epoch = Date::constant(1970, 1, 1);
    let since = |date: &Date| (*date - epoch).get_days();
    (-i64::from(holiday.before)..=i64::from(holiday.after))
        .map(|away| {
            let dates = holiday.dates.iter();
            let mut days: Vec<i64> = dates.map(|date| i64::from(since(date)) + away).collect();
            days.sort_unstable();
            Days {
                days,
                prior_scale: holiday.prior_scale,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: usize) -> Grid {
        Grid::new(
            Time::from_secs(1_700_000_000),
            Duration::from_secs(3600),
            rows,
        )
    }

    fn basis(grid: &Grid, observed: &[usize], seasons: &[Season], holidays: &[Holiday]) -> Basis {
        Basis::new(grid, observed, 25, 0.8, seasons, holidays, &TimeZone::UTC)
    }

    #[test]
    fn bends_lie_on_observed_rows_of_the_first_part() {
        let rows: Vec<usize> = (0..100).collect();
        let basis = basis(&grid(100), &rows, &[], &[]);
        assert_eq!(basis.knots().len(), 26);
        assert_eq!(basis.knots()[25], 79.0 / 99.0);
        assert_eq!(basis.knots()[1], 3.0 / 99.0);
        assert_eq!(basis.stretch(0.0), (0, 0.0));
        assert_eq!(basis.stretch(1.2).0, 25);
        let few = self::basis(&grid(100), &[10, 20, 30, 60], &[], &[]);
        assert_eq!(few.knots(), [0.0, 0.2, 0.4]);
        assert_eq!(self::basis(&grid(1), &[0], &[], &[]).knots(), [0.0]);
    }

    #[test]
    fn waves_are_sines_of_the_wall_clock() {
        let season = Season::new(Duration::from_secs(86400));
        let rows: Vec<usize> = (0..48).collect();
        let basis = basis(&grid(48), &rows, &[season], &[]);
        let columns = basis.columns(&grid(48));
        assert_eq!((columns.width, basis.prior_scales().len()), (8, 8));
        for (row, time) in grid(48).times().enumerate() {
            for k in 1..=4_usize {
                let angle = std::f64::consts::TAU * k as f64 * time.as_secs_f64() / 86400.0;
                assert!((columns.row(row)[2 * k - 2] - angle.sin()).abs() < 1e-8);
                assert!((columns.row(row)[2 * k - 1] - angle.cos()).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn a_holiday_has_a_column_for_each_day_of_its_window() {
        // 1,700,000,000 is 2023-11-14 22:13:20.
        let holiday = Holiday {
            dates: vec!["2023-11-15".parse().unwrap()],
            after: 1,
            ..Holiday::default()
        };
        let rows: Vec<usize> = (0..72).collect();
        let basis = basis(&grid(72), &rows, &[], &[holiday]);
        let columns = basis.columns(&grid(72));
        let ones = |column: usize| -> Vec<usize> {
            (0..72)
                .filter(|row| columns.row(*row)[column] == 1.0)
                .collect()
        };
        assert_eq!(ones(0), (2..26).collect::<Vec<_>>());
        assert_eq!(ones(1), (26..50).collect::<Vec<_>>());
    }
}
