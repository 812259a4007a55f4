//! The regular times that data is placed on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Time;

/// `len` times, `step` apart, the first at `start`. Grids made by [`Grid::covering`] start on multiples of the step since
/// the epoch, so that two fetches of overlapping ranges agree on where rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    start: Time,
    step_ms: i64,
    len: usize,
}

impl Grid {
    /// A grid from its parts. A step below one millisecond is taken as one millisecond.
    #[must_use]
    pub fn new(start: Time, step: Duration, len: usize) -> Self {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        Self {
            start,
            step_ms,
            len,
        }
    }

    /// The aligned grid whose times are all in `[from, to]`; empty when there are none.
    #[must_use]
    pub fn covering(from: Time, to: Time, step: Duration) -> Self {
        let empty = Self::new(from, step, 0);
        let first = from.millis().div_euclid(empty.step_ms)
            + i64::from(from.millis().rem_euclid(empty.step_ms) != 0);
        let last = to.millis().div_euclid(empty.step_ms);
        let len = usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(0);
        Self {
            start: Time::from_millis(first.saturating_mul(empty.step_ms)),
            len,
            ..empty
        }
    }

    /// The latest multiple of `step` at or before `time`.
    #[must_use]
    pub fn align(time: Time, step: Duration) -> Time {
        let step_ms = Self::new(time, step, 0).step_ms;
        Time::from_millis(time.millis().div_euclid(step_ms) * step_ms)
    }

    /// First time.
    #[must_use]
    pub const fn start(&self) -> Time {
        self.start
    }

    /// Distance between times.
    #[must_use]
    pub fn step(&self) -> Duration {
        Duration::from_millis(self.step_ms.unsigned_abs())
    }

    /// How many times there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// No times at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The time of row `row`; rows past the end extrapolate.
    #[must_use]
    pub fn time(&self, row: usize) -> Time {
        let offset = i64::try_from(row)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.step_ms);
        Time::from_millis(self.start.millis().saturating_add(offset))
    }

    /// The last time, `None` when empty.
    #[must_use]
    pub fn last(&self) -> Option<Time> {
        self.len.checked_sub(1).map(|row| self.time(row))
    }

    /// The row whose time is nearest to `time`, if it lies within half a step of one.
    #[must_use]
    pub fn row(&self, time: Time) -> Option<usize> {
        let offset = time
            .millis()
            .saturating_sub(self.start.millis())
            .saturating_add(self.step_ms / 2);
        usize::try_from(offset.div_euclid(self.step_ms))
            .ok()
            .filter(|row| *row < self.len)
    }

    /// How many rows are before `time`: the first row at or after it, or the grid's length.
    #[must_use]
    pub fn rows_before(&self, time: Time) -> usize {
        let steps = time
            .since(self.start)
            .as_millis()
            .div_ceil(u128::from(self.step_ms.unsigned_abs()));
        usize::try_from(steps).unwrap_or(usize::MAX).min(self.len)
    }

    /// All times in order.
    pub fn times(&self) -> impl ExactSizeIterator<Item = Time> + '_ {
        (0..self.len).map(|row| self.time(row))
    }

    /// `len` times that follow this grid.
    #[must_use]
    pub fn ahead(&self, len: usize) -> Self {
        Self {
            start: self.time(self.len),
            len,
            ..*self
        }
    }

    /// Rows `from..to` as a grid of their own, cut to what is there.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.len);
        let from = from.min(to);
        Self {
            start: self.time(from),
            len: to - from,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn covering_is_aligned_and_inclusive() {
        let grid = Grid::covering(Time::from_secs(61), Time::from_secs(240), MINUTE);
        assert_eq!(
            grid.times().map(|t| t.millis() / 1000).collect::<Vec<_>>(),
            [120, 180, 240]
        );
        assert!(Grid::covering(Time::from_secs(61), Time::from_secs(119), MINUTE).is_empty());
        assert_eq!(
            Grid::align(Time::from_secs(-1), MINUTE),
            Time::from_secs(-60)
        );
    }

    #[test]
    fn row_takes_the_nearest_within_half_a_step() {
        let grid = Grid::new(Time::from_secs(60), MINUTE, 3);
        assert_eq!(grid.row(Time::from_secs(89)), Some(0));
        assert_eq!(grid.row(Time::from_secs(90)), Some(1));
        assert_eq!(grid.row(Time::from_secs(29)), None);
        assert_eq!(grid.row(Time::from_secs(211)), None);
        assert_eq!(grid.ahead(2).start(), Time::from_secs(240));
    }

    #[test]
    fn rows_before_a_time_are_those_that_are_earlier() {
        let grid = Grid::new(Time::from_secs(60), MINUTE, 3);
        let before = |secs| grid.rows_before(Time::from_secs(secs));
        assert_eq!([0, 60, 61, 120, 181].map(before), [0, 0, 1, 1, 3]);
        assert_eq!(before(10_000), 3);
    }
}
