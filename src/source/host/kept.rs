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

/// Complete rows by grid time, and what was sampled of the step under way. At most [`KEPT_DAYS`] days' worth and
/// [`MOST_ROWS`] rows: when full, the row farthest from the present goes first: the oldest, unless a clock that was wrong
/// left rows in the future.
#[derive(Debug)]
pub(super) struct Kept {
    dir: Option<PathBuf>,
    step: Duration,
    step_ms: i64,
    limit: usize,
    rows: BTreeMap<i64, Row>,
    /// The step that is being sampled now, by the grid time that ends it.
    open: Option<(i64, Mean)>,
    /// Newest grid time whose row is complete, or was not sampled: no sample changes it or what is before it.
    closed: Option<i64>,
    /// When the sample before was taken.
    sampled: Option<Time>,
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
            closed: None,
            sampled: None,
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
        let past = kept.rows.range(..=now.millis());
        kept.closed = past.last().map(|(slot, _)| *slot);
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

    /// Takes the sample of `now`. The first one at or after the end of a step completes that step's row, with the mean of
    /// all samples since the row before was completed: a reading tells of the time before it. Every other sample belongs to
    /// the step under way. A clock that was set back begins with the step that it shows, and replaces rows from there on.
    pub(super) fn add(&mut self, now: Time, sample: &Row) {
        let ended = Grid::align(now, self.step).millis();
        let unsampled = self.slot(now).saturating_sub(self.step_ms);
        match self.sampled {
            None => self.closed = self.closed.max(Some(unsampled)),
            Some(before) if before > now => {
                self.closed = Some(unsampled);
                self.open = None;
            }
            Some(_) => {}
        }
        let completes = self.closed < Some(ended);
        let slot = if completes {
            ended
        } else {
            ended.saturating_add(self.step_ms)
        };
        let mut mean = match self.open.take() {
            Some((open, mean)) if open == slot => mean,
            Some((open, mean)) => {
                self.close(open, mean.row());
                Mean::default()
            }
            None => Mean::default(),
        };
        mean.add(sample);
        if completes {
            self.bridge(now, ended, sample);
            self.close(slot, mean.row());
        } else {
            self.open = Some((slot, mean));
        }
        self.sampled = Some(now);
        self.evict(now);
    }

    /// Two samples a little more than a step apart may leave a step between them without any: the later one tells of it.
    fn bridge(&mut self, now: Time, ended: i64, sample: &Row) {
        let skipped = ended.saturating_sub(self.step_ms);
        let near = |before: Time| now.since(before) < self.step.saturating_mul(2);
        if self.sampled.is_some_and(near) && self.closed < Some(skipped) {
            self.close(skipped, *sample);
        }
    }

    /// Completes a row.
    fn close(&mut self, slot: i64, row: Row) {
        self.rows.insert(slot, row);
        self.dirty.insert(slot.div_euclid(DAY_MS));
        self.closed = Some(slot);
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
        assert_eq!((rows[(0, 0)], rows[(0, 1)]), (3.0, 2.0));
        assert!(rows[(1, 0)].is_nan(), "its step has not ended");
        kept.add(at(2), &[11.0; WIDTH]);
        assert_eq!(values(&kept, 1, 2), [3.0, 10.0]);
    }

    /// Looks at any part of the step, two to a step, one to a step, and ever so slightly slower than that.
    #[test]
    fn every_step_gets_a_row_once_and_for_all() {
        for every in [7_000, 29_983, 30_000, 59_990, 60_000, 60_017] {
            for phase in [0, 1, 29_999, 30_000, 59_999] {
                let (mut kept, _) = Kept::load(None, MINUTE, at(0));
                let mut given: BTreeMap<i64, Row> = BTreeMap::new();
                let mut now = at(0) + Duration::from_millis(phase);
                for n in 0..4000 {
                    kept.add(now, &[f64::from(n); WIDTH]);
                    for (slot, row) in &given {
                        assert_eq!(kept.rows.get(slot), Some(row), "{every} {phase}");
                    }
                    given.clone_from(&kept.rows);
                    now = now + Duration::from_millis(every);
                }
                let (first, last) = kept.span().unwrap();
                assert!(now.since(last) < MINUTE * 3, "{every} {phase}");
                let rows = Grid::covering(first, last, MINUTE).len();
                assert_eq!(kept.rows.len(), rows, "{every} {phase}");
            }
        }
    }

    #[test]
    fn a_restart_leaves_the_last_row_alone() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Kept::load(Some(dir.path().to_owned()), MINUTE, at(5)).0;
        let mut kept = open();
        for minute in 1..=5 {
            kept.add(at(minute), &[1.0; WIDTH]);
        }
        assert!(kept.unwritten().run().is_empty());
        let mut kept = open();
        kept.add(at(5) + Duration::from_secs(20), &[9.0; WIDTH]);
        assert_eq!(values(&kept, 4, 5), [1.0, 1.0]);
        kept.add(at(6) + Duration::from_secs(20), &[7.0; WIDTH]);
        assert_eq!(values(&kept, 5, 6), [1.0, 8.0]);
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
        // The clock is put right in the middle of a step, which is complete a day later.
        kept.add(at(31 * 1440), &[1.0; WIDTH]);
        kept.add(at(32 * 1440), &[1.0; WIDTH]);
        let (_, last) = kept.span().unwrap();
        assert!(
            last < at(40 * 1440),
            "the row from the wrong future went first"
        );
    }
}
