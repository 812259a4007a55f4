//! The host's own history: a bounded number of rows, in memory and in day files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use ndarray::Array2;

use super::day_files::{DAY_MS, Writes, day_files, file_name, put_aside, read_day};
use super::{Row, WIDTH, features};
use crate::disk::Table;
use crate::domain::{Grid, Time};

/// Days' worth of rows that are kept.
pub(super) const KEPT_DAYS: u64 = 14;

/// Most rows that are kept, however short the step: 8 MB of values.
const MOST_ROWS: usize = 100_000;

/// Time between two writes: what a power cut may lose.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// Sums for a mean that leaves missing values out.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sums: [f64; WIDTH],
    counts: [u32; WIDTH],
}

impl Mean {
    fn add(&mut self, row: &Row) {
        let slots = self.sums.iter_mut().zip(&mut self.counts);
        for ((sum, count), value) in slots.zip(row) {
            if value.is_finite() {
                *sum += value;
                *count += 1;
            }
        }
    }

    fn row(&self) -> Row {
        let mut row = [f64::NAN; WIDTH];
        for (slot, (sum, count)) in row.iter_mut().zip(self.sums.iter().zip(self.counts)) {
            if count > 0 {
                *slot = sum / f64::from(count);
            }
        }
        row
    }
}

/// Rows by grid time, at most [`KEPT_DAYS`] days' worth and [`MOST_ROWS`]. When full, the row farthest from the present
/// goes first: the oldest, unless a clock that was wrong left rows in the future.
#[derive(Debug)]
pub(super) struct Kept {
    dir: Option<PathBuf>,
    step: Duration,
    step_ms: i64,
    limit: usize,
    rows: BTreeMap<i64, Row>,
    /// The step that is being sampled now, by the grid time that ends it.
    open: Option<(i64, Mean)>,
    /// Days whose file no longer says what `rows` does.
    dirty: BTreeSet<i64>,
    flushed: Option<Time>,
}

impl Kept {
    /// What `dir` holds, on a grid of `step`; a file that can't be read is set aside and said so.
    pub(super) fn load(dir: Option<PathBuf>, step: Duration, now: Time) -> (Self, Vec<String>) {
        let step = Grid::new(now, step, 0).step();
        let fit = Duration::from_secs(KEPT_DAYS * 86400).as_millis() / step.as_millis().max(1);
        let mut kept = Self {
            dir,
            step,
            step_ms: i64::try_from(step.as_millis()).unwrap_or(i64::MAX),
            limit: usize::try_from(fit)
                .unwrap_or(MOST_ROWS)
                .clamp(1, MOST_ROWS),
            rows: BTreeMap::new(),
            open: None,
            dirty: BTreeSet::new(),
            flushed: None,
        };
        let mut warnings = Vec::new();
        let files = kept.dir.as_deref().map(|dir| day_files(dir, &mut warnings));
        for path in files.unwrap_or_default() {
            match read_day(&path) {
                Ok(table) => kept.take(&table, now),
                Err(e) => warnings.push(put_aside(&path, &e)),
            }
        }
        (kept, warnings)
    }

    /// Takes a file's rows over; rows of a finer step become means.
    fn take(&mut self, table: &Table, now: Time) {
        let columns: Vec<Option<&[f64]>> =
            features().iter().map(|f| table.column(&f.name)).collect();
        let mut means: BTreeMap<i64, Mean> = BTreeMap::new();
        for (i, time) in table.times.iter().enumerate() {
            let mut row = [f64::NAN; WIDTH];
            for (slot, column) in row.iter_mut().zip(&columns) {
                *slot = column.and_then(|c| c.get(i)).copied().unwrap_or(f64::NAN);
            }
            let slot = self.slot(Time::from_millis(*time));
            means.entry(slot).or_default().add(&row);
        }
        for (slot, mean) in means {
            self.rows.insert(slot, mean.row());
        }
        self.evict(now);
    }

    /// The grid time that ends the step in which `time` lies.
    fn slot(&self, time: Time) -> i64 {
        let down = Grid::align(time, self.step).millis();
        if down == time.millis() {
            down
        } else {
            down.saturating_add(self.step_ms)
        }
    }

    /// One sample at `at`. Samples of one step are averaged; a clock that stepped back begins the row anew, and no other
    /// row is touched.
    pub(super) fn add(&mut self, at: Time, sample: &Row) {
        let slot = self.slot(at);
        let mut mean = match self.open {
            Some((open, mean)) if open == slot => mean,
            _ => Mean::default(),
        };
        mean.add(sample);
        self.open = Some((slot, mean));
        self.rows.insert(slot, mean.row());
        self.dirty.insert(slot.div_euclid(DAY_MS));
        self.evict(at);
    }

    fn evict(&mut self, now: Time) {
        while self.rows.len() > self.limit {
            let (Some((first, _)), Some((last, _))) =
                (self.rows.first_key_value(), self.rows.last_key_value())
            else {
                return;
            };
            let away = |slot: &i64| slot.abs_diff(now.millis());
            let gone = if away(first) >= away(last) {
                *first
            } else {
                *last
            };
            self.rows.remove(&gone);
            let day = gone.div_euclid(DAY_MS);
            // A day that still has rows keeps its file as it is: reading it again drops the same rows again.
            if self.day(day).next().is_none() {
                self.dirty.insert(day);
            }
        }
    }

    fn day(&self, day: i64) -> impl Iterator<Item = (&i64, &Row)> {
        let start = day.saturating_mul(DAY_MS);
        self.rows.range(start..start.saturating_add(DAY_MS))
    }

    /// Earliest and latest grid time.
    pub(super) fn span(&self) -> Option<(Time, Time)> {
        let (first, _) = self.rows.first_key_value()?;
        let (last, _) = self.rows.last_key_value()?;
        Some((Time::from_millis(*first), Time::from_millis(*last)))
    }

    /// The grid of `[from, to]`, cut at its start to what is kept, and its values `[rows, features]`.
    pub(super) fn grid(&self, from: Time, to: Time) -> (Grid, Array2<f64>) {
        let Some((first, _)) = self.span() else {
            return (Grid::new(from, self.step, 0), Array2::zeros((0, WIDTH)));
        };
        let whole = Grid::covering(from.max(first), to, self.step);
        let grid = whole.slice(whole.len().saturating_sub(self.limit), whole.len());
        let mut values = Array2::from_elem((grid.len(), WIDTH), f64::NAN);
        for (mut row, time) in values.rows_mut().into_iter().zip(grid.times()) {
            if let Some(kept) = self.rows.get(&time.millis()) {
                row.iter_mut()
                    .zip(kept)
                    .for_each(|(slot, value)| *slot = *value);
            }
        }
        (grid, values)
    }

    /// What has to be written when the last time is a minute ago, or later than now.
    pub(super) fn due(&mut self, now: Time) -> Writes {
        let waiting = self
            .flushed
            .is_some_and(|last| now >= last && now.since(last) < FLUSH_EVERY);
        if waiting {
            return Writes::default();
        }
        self.flushed = Some(now);
        self.unwritten()
    }

    /// Everything that is not on disk yet.
    pub(super) fn unwritten(&mut self) -> Writes {
        let Some(dir) = self.dir.clone() else {
            return Writes::default();
        };
        let days = std::mem::take(&mut self.dirty);
        let files = days
            .iter()
            .map(|day| (dir.join(file_name(*day)), self.table(*day)));
        Writes::new(files.collect(), days)
    }

    /// These days are still to be written.
    pub(super) fn retry(&mut self, days: BTreeSet<i64>) {
        self.dirty.extend(days);
    }

    /// A day's rows; `None` when it has none.
    fn table(&self, day: i64) -> Option<Table> {
        let rows: Vec<(&i64, &Row)> = self.day(day).collect();
        if rows.is_empty() {
            return None;
        }
        let column = |i: usize| -> Vec<f64> {
            rows.iter()
                .map(|(_, row)| row.get(i).copied().unwrap_or(f64::NAN))
                .collect()
        };
        Some(Table {
            times: rows.iter().map(|(slot, _)| **slot).collect(),
            columns: (0..)
                .zip(features())
                .map(|(i, feature)| (feature.name.to_string(), column(i)))
                .collect(),
            metadata: BTreeMap::from([("step_ms".to_owned(), self.step_ms.to_string())]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minute: i64) -> Time {
        Time::from_secs(1_700_000_040 + minute * 60)
    }

    fn values(kept: &Kept, from: i64, to: i64) -> Vec<f64> {
        kept.grid(at(from), at(to)).1.column(0).to_vec()
    }

    #[test]
    fn samples_of_one_step_are_averaged_without_the_missing() {
        let (mut kept, _) = Kept::load(None, MINUTE, at(0));
        let mut half = [4.0; WIDTH];
        half[1] = f64::NAN;
        kept.add(at(0) + Duration::from_secs(1), &[2.0; WIDTH]);
        kept.add(at(1), &half);
        kept.add(at(1) + Duration::from_secs(30), &[9.0; WIDTH]);
        let (grid, rows) = kept.grid(at(0), at(2));
        assert_eq!((grid.start(), grid.len()), (at(1), 2));
        assert_eq!((rows[(0, 0)], rows[(0, 1)], rows[(1, 0)]), (3.0, 2.0, 9.0));
    }

    #[test]
    fn a_clock_that_steps_back_overwrites_equal_times_only() {
        let (mut kept, _) = Kept::load(None, MINUTE, at(0));
        for minute in 1..=5 {
            kept.add(at(minute), &[minute as f64; WIDTH]);
        }
        kept.add(at(2), &[20.0; WIDTH]);
        kept.add(at(3), &[30.0; WIDTH]);
        assert_eq!(values(&kept, 1, 5), [1.0, 20.0, 30.0, 4.0, 5.0]);
    }

    #[test]
    fn when_full_the_farthest_row_goes() {
        let (mut kept, _) = Kept::load(None, Duration::from_secs(86400), at(0));
        assert_eq!(kept.limit, 14);
        for day in 0..30 {
            kept.add(at(day * 1440), &[1.0; WIDTH]);
        }
        assert_eq!(kept.rows.len(), 14);
        kept.add(at(3000 * 1440), &[1.0; WIDTH]);
        kept.add(at(31 * 1440), &[1.0; WIDTH]);
        let (_, last) = kept.span().unwrap();
        assert!(
            last < at(40 * 1440),
            "the row from the wrong future went first"
        );
    }
}
