//! The recent raw rows of one entity.

use ndarray::{Array2, ArrayView2, aview2};

use crate::domain::{Frame, Grid, Time};

/// Newest raw rows of one entity on its grid, NaN where missing. Holds at most a quarter more than its capacity in rows,
/// then lets that quarter go.
#[derive(Clone, Debug)]
pub struct Tail {
    grid: Grid,
    columns: usize,
    rows: Vec<f64>,
    /// Rows in which something was observed.
    observed: usize,
    capacity: usize,
}

impl Tail {
    /// An empty tail of `columns` columns whose first row will be at `start`; keeps the newest `capacity` rows.
    pub fn new(start: Grid, columns: usize, capacity: usize) -> Self {
        Self {
            grid: start.slice(0, 0),
            columns,
            rows: Vec::new(),
            observed: 0,
            capacity: capacity.max(1),
        }
    }

    /// The rows' times.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// All rows, `[rows, columns]`.
    pub fn values(&self) -> ArrayView2<'_, f64> {
        ArrayView2::from_shape((self.grid.len(), self.columns), &self.rows)
            .unwrap_or_else(|_| aview2::<f64, 0>(&[]))
    }

    /// How many of its rows hold an observed value.
    pub const fn observed(&self) -> usize {
        self.observed
    }

    /// The first row that holds an observed value.
    pub fn first_observed(&self) -> Option<usize> {
        let cell = self.rows.iter().position(|value| value.is_finite());
        cell.map(|cell| cell / self.columns.max(1))
    }

    /// One row.
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        self.rows.get(row * self.columns..(row + 1) * self.columns)
    }

    /// Appends a row at the next grid time; short rows are filled up with missing values.
    pub fn push(&mut self, row: &[f64]) {
        let missing = std::iter::repeat_n(f64::NAN, self.columns.saturating_sub(row.len()));
        self.rows
            .extend(row.iter().take(self.columns).copied().chain(missing));
        self.grid = Grid::new(self.grid.start(), self.grid.step(), self.grid.len() + 1);
        self.observed += usize::from(row.iter().take(self.columns).any(|v| v.is_finite()));
        self.trim();
    }

    fn trim(&mut self) {
        if self.grid.len() >= self.capacity.saturating_add(self.capacity / 4 + 1) {
            let surplus = self.grid.len() - self.capacity;
            let cells = surplus * self.columns;
            self.observed -= observed(self.rows.get(..cells).unwrap_or(&[]), self.columns);
            self.rows.drain(..cells);
            self.grid = self.grid.slice(surplus, self.grid.len());
        }
    }

    /// Keeps the newest `capacity` rows from now on.
    pub fn limit(&mut self, capacity: usize) {
        if self.capacity != capacity.max(1) {
            self.capacity = capacity.max(1);
            self.trim();
        }
    }

    /// Lets all rows go; the next one is at `start`.
    pub fn restart(&mut self, start: Time) {
        self.grid = Grid::new(start, self.grid.step(), 0);
        self.rows.clear();
        self.observed = 0;
    }

    /// Lets the newest rows go, all but the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        self.grid = self.grid.slice(0, rows);
        self.rows.truncate(self.grid.len() * self.columns);
        self.observed = observed(&self.rows, self.columns);
    }

    /// Fills what is missing in the row at `time` from `row`; says whether anything changed. What was observed stays, since
    /// that is what was judged.
    pub fn amend(&mut self, time: Time, row: &[f64]) -> bool {
        let Some(index) = self.grid.row(time) else {
            return false;
        };
        let Some(kept) = self
            .rows
            .get_mut(index * self.columns..(index + 1) * self.columns)
        else {
            return false;
        };
        let was_missing = kept.iter().all(|value| value.is_nan());
        let mut changed = false;
        for (slot, value) in kept.iter_mut().zip(row) {
            if slot.is_nan() && value.is_finite() {
                *slot = *value;
                changed = true;
            }
        }
        self.observed += usize::from(was_missing && changed);
        changed
    }

    /// Takes older rows from frames of the same columns, and fills what is missing from them; what was there stays. The
    /// rows then end at `last`.
    pub fn backfill(&mut self, frames: &[&Frame], last: Time) {
        let Some(first) = frames.iter().map(|f| f.grid().start()).min() else {
            return;
        };
        let whole = Grid::covering(first.min(self.grid.start()), last, self.grid.step());
        let grid = whole.slice(whole.len().saturating_sub(self.capacity), whole.len());
        let mut rows = Array2::from_elem((grid.len(), self.columns), f64::NAN);
        let own = (self.grid, self.values());
        for (from, values) in frames.iter().map(|f| (*f.grid(), f.values())).chain([own]) {
            for (time, row) in from.times().zip(values.rows()) {
                let Some(index) = grid.row(time) else {
                    continue;
                };
                for (slot, value) in rows.row_mut(index).iter_mut().zip(row) {
                    if value.is_finite() {
                        *slot = *value;
                    }
                }
            }
        }
        self.rows = rows.into_raw_vec_and_offset().0;
        self.observed = observed(&self.rows, self.columns);
        self.grid = grid;
    }
}

/// How many of these rows hold an observed value.
fn observed(rows: &[f64], columns: usize) -> usize {
    let rows = rows.chunks(columns.max(1));
    rows.filter(|row| row.iter().any(|v| v.is_finite())).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ndarray::array;

    use super::*;
    use crate::domain::{Entity, Feature, Schema};

    fn grid(start: i64, len: usize) -> Grid {
        Grid::new(Time::from_secs(start), Duration::from_secs(10), len)
    }

    #[test]
    fn keeps_the_newest_rows_and_their_times() {
        let mut tail = Tail::new(grid(100, 0), 1, 3);
        for i in 0..100 {
            tail.push(&[f64::from(i)]);
            assert!(tail.grid().len() <= 4);
            assert_eq!(
                tail.grid().last(),
                Some(Time::from_secs(100 + i64::from(i) * 10))
            );
        }
        assert_eq!(tail.row(tail.grid().len() - 1), Some(&[99.0][..]));
    }

    #[test]
    fn the_first_observed_row_is_found() {
        let mut tail = Tail::new(grid(100, 0), 2, 8);
        assert_eq!(tail.first_observed(), None);
        tail.push(&[f64::NAN]);
        assert_eq!(tail.first_observed(), None);
        tail.push(&[f64::NAN, 3.0]);
        tail.push(&[1.0, 3.0]);
        assert_eq!(tail.first_observed(), Some(1));
    }

    #[test]
    fn observed_rows_are_counted_whatever_comes_and_goes() {
        let mut tail = Tail::new(grid(100, 0), 2, 8);
        for i in 0..50_u32 {
            tail.push(&[if i % 3 == 0 { f64::from(i) } else { f64::NAN }]);
            if i % 9 == 1 {
                let newest = tail.grid().last().unwrap();
                tail.amend(newest, &[f64::NAN, 1.0]);
                tail.amend(newest, &[2.0, 1.0]);
            }
            assert_eq!(tail.observed(), observed(&tail.rows, 2));
        }
        assert!(tail.observed() > 0);
        tail.truncate(3);
        assert_eq!(tail.observed(), observed(&tail.rows, 2));
        tail.restart(Time::from_secs(0));
        assert_eq!(tail.observed(), 0);
    }

    #[test]
    fn backfill_puts_older_rows_before_and_keeps_its_own() {
        let schema: Schema = Arc::from([Feature::plain("a"), Feature::plain("b")]);
        let older = Frame::new(
            Entity::sole(),
            schema,
            grid(100, 3),
            array![[1., 1.], [2., 2.], [3., f64::NAN]],
        )
        .unwrap();
        let mut tail = Tail::new(grid(120, 0), 2, 10);
        tail.push(&[30., 30.]);
        tail.push(&[40.]);
        tail.backfill(&[&older], Time::from_secs(130));
        assert_eq!(tail.grid().start(), Time::from_secs(100));
        assert_eq!(tail.row(2), Some(&[30., 30.][..]));
        assert_eq!(tail.row(1), Some(&[2., 2.][..]));
        assert!(tail.row(3).unwrap()[1].is_nan());
        assert!(tail.amend(Time::from_secs(130), &[f64::NAN, 7.0]));
        assert_eq!(tail.row(3), Some(&[40., 7.][..]));
        assert!(!tail.amend(Time::from_secs(130), &[41.0, 8.0]));
        assert_eq!(tail.row(3), Some(&[40., 7.][..]), "what was judged stays");
    }
}
