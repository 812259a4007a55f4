//! A recording placed on a regular grid.

use std::time::Duration;

use super::{MAX_CELLS, Recording};
use crate::config::Merge;
use crate::domain::{Entity, Feature, Frame, Grid, Schema, Time};
use crate::source::SourceError;

/// Where the rows of a recording lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raster {
    /// Distance of the grid's times, whole milliseconds, at least one.
    pub step: Duration,
    /// Constant distance of the rows to the grid, milliseconds.
    offset: i64,
}

/// Which row counts where several claim one grid time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Each cell takes what this makes of the observed values.
    Merged(Merge),
    /// The earliest, and of equal times the first in the file, whatever comes after it: as it was for someone who watched
    /// the rows come in.
    First,
}

/// A [`Frame`] and where each input row went.
#[derive(Clone, Debug)]
pub struct Gridded {
    /// Values on the aligned grid that covers every row.
    pub frame: Frame,
    /// For each input row, in file order, its row of the frame.
    pub rows: Vec<usize>,
    /// Input rows whose grid row another one also claims (duplicates and rows closer than a step): their values count
    /// only where the other one's are missing, or not at all.
    pub superseded: usize,
    /// Which of them counts.
    claim: Claim,
}

impl Gridded {
    /// The frame's row that input row `row` went to; `None` when there is no such input row.
    #[must_use]
    pub fn row_of(&self, row: usize) -> Option<usize> {
        self.rows.get(row).copied()
    }

    /// How many rows fell onto another one's grid time, and what was kept; `None` when every row has its own.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        if self.superseded == 0 {
            return None;
        }
        let (rows, step) = (self.rows.len(), self.frame.grid().step().as_secs_f64());
        let kept = match self.claim {
            Claim::Merged(Merge::Nearest) => "the value nearest to that time",
            Claim::Merged(Merge::Last) => "the latest value",
            Claim::Merged(Merge::Mean) => "the mean of their values",
            Claim::Merged(Merge::Max) => "the highest value",
            Claim::First => "the earliest row",
        };
        let hint = if self.superseded * 2 >= rows {
            "; if they are of several hosts, write a file for each"
        } else {
            ""
        };
        Some(format!(
            "{} of {rows} rows fall onto a time of the grid (every {step} s) that another row has too; {kept} is kept{hint}",
            self.superseded
        ))
    }
}

impl Recording {
    /// Every row at the nearest time of the aligned grid of its own raster.
    ///
    /// # Errors
    /// [`SourceError::File`] when the grid would have over [`MAX_CELLS`] cells.
    pub fn frame(
        &self,
        step: Duration,
        entity: Entity,
        merge: Merge,
    ) -> Result<Gridded, SourceError> {
        self.frame_on(self.raster(step), entity, Claim::Merged(merge))
    }

    /// The raster of these rows. A recording that keeps a constant distance to the grid (rows at half past every minute) is
    /// shifted onto it whole, so that jitter can't throw two of its rows together.
    #[must_use]
    pub fn raster(&self, step: Duration) -> Raster {
        let step = Grid::new(Time::default(), step, 0).step();
        Raster {
            step,
            offset: self.offset(millis(step)),
        }
    }

    /// Every row at the nearest time of the aligned grid of a given raster.
    ///
    /// # Errors
    /// [`SourceError::File`] when the grid would have over [`MAX_CELLS`] cells.
    pub fn frame_on(
        &self,
        raster: Raster,
        entity: Entity,
        claim: Claim,
    ) -> Result<Gridded, SourceError> {
        let Raster { step, offset } = raster;
        let step_ms = millis(step);
        let slots: Vec<i64> = self
            .times
            .iter()
            .map(|t| {
                t.millis()
                    .saturating_sub(offset)
                    .saturating_add(step_ms / 2)
                    .div_euclid(step_ms)
            })
            .collect();
        let grid = self.grid(&slots, step, step_ms)?;
        let first = slots.iter().min().copied().unwrap_or(0);
        let rows: Vec<usize> = slots
            .iter()
            .map(|slot| usize::try_from(slot - first).unwrap_or(0))
            .collect();
        let schema: Schema = self.columns.iter().map(|c| Feature::plain(c)).collect();
        let (frame, superseded) = self.fill(Frame::missing(entity, schema, grid), &rows, claim);
        Ok(Gridded {
            frame,
            rows,
            superseded,
            claim,
        })
    }

    fn grid(&self, slots: &[i64], step: Duration, step_ms: i64) -> Result<Grid, SourceError> {
        let (Some(first), Some(last)) = (slots.iter().min(), slots.iter().max()) else {
            return Ok(Grid::new(Time::default(), step, 0));
        };
        let len = usize::try_from(last.saturating_sub(*first).saturating_add(1)).unwrap_or(0);
        let start = Time::from_millis(first.saturating_mul(step_ms));
        if len.saturating_mul(self.columns.len()) > MAX_CELLS {
            return Err(SourceError::File(format!(
                "rows from {start} to {} every {} s make {len} rows of {} columns, over {MAX_CELLS} cells (2 GB); \
                 choose a coarser step, or look for a row with a wrong time",
                Time::from_millis(last.saturating_mul(step_ms)),
                step.as_secs_f64(),
                self.columns.len()
            )));
        }
        Ok(Grid::new(start, step, len))
    }

    /// Puts the values in, in an order in which the one to keep comes last; with [`Claim::First`] it comes first.
    fn fill(&self, mut frame: Frame, rows: &[usize], claim: Claim) -> (Frame, usize) {
        let distance = |i: usize| -> u64 {
            let (Some(time), Some(row)) = (self.times.get(i), rows.get(i)) else {
                return 0;
            };
            time.millis().abs_diff(frame.grid().time(*row).millis())
        };
        let earliest = self.times.iter().min().copied().unwrap_or_default();
        let since_start = |i: usize| -> u64 {
            let time = self.times.get(i).copied().unwrap_or_default();
            time.millis().abs_diff(earliest.millis())
        };
        let mut order: Vec<(usize, u64, usize)> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| match claim {
                Claim::Merged(Merge::Nearest) => (*row, u64::MAX - distance(i), i),
                Claim::Merged(_) | Claim::First => (*row, since_start(i), i),
            })
            .collect();
        order.sort_unstable();
        let mut superseded = 0;
        let mut last = None;
        let mut cells = Cells::new(claim, self.columns.len());
        let grid = *frame.grid();
        for (row, _, i) in order {
            let again = last == Some(row);
            superseded += usize::from(again);
            last = Some(row);
            if i >= self.values.nrows() || (again && claim == Claim::First) {
                continue;
            }
            if !again {
                cells.begin();
            }
            for (column, value) in self.values.row(i).iter().enumerate() {
                frame.put(grid.time(row), column, cells.take(column, *value));
            }
        }
        (frame, superseded)
    }

    /// The constant distance of the rows to the grid, milliseconds in (−step/2, step/2]: the median around the earliest's.
    /// Zero up to a quarter of a step, where the nearest grid time is plain, and where most rows are elsewhere: then nothing
    /// about it is constant.
    fn offset(&self, step_ms: i64) -> i64 {
        let wrap = |ms: i64| {
            let rest = ms.rem_euclid(step_ms);
            if rest > step_ms / 2 {
                rest - step_ms
            } else {
                rest
            }
        };
        let Some(first) = self.times.iter().min().map(|t| wrap(t.millis())) else {
            return 0;
        };
        let mut around: Vec<i64> = self
            .times
            .iter()
            .map(|t| wrap(t.millis().saturating_sub(first)))
            .collect();
        let middle = around.len() / 2;
        let (_, median, _) = around.select_nth_unstable(middle);
        let offset = wrap(first.saturating_add(*median));
        let near = |t: &&Time| wrap(t.millis().saturating_sub(offset)).abs() <= step_ms / 4;
        let constant = self.times.iter().filter(near).count() * 2 > self.times.len();
        if constant && offset.abs() > step_ms / 4 {
            offset
        } else {
            0
        }
    }
}

/// What the values of one grid time make so far, by column.
struct Cells {
    claim: Claim,
    /// Values that were taken and what they make.
    taken: Vec<(f64, f64)>,
}

impl Cells {
    fn new(claim: Claim, columns: usize) -> Self {
        Self {
            claim,
            taken: vec![(0.0, f64::NAN); columns],
        }
    }

    /// The next value is of another grid time.
    fn begin(&mut self) {
        self.taken.fill((0.0, f64::NAN));
    }

    /// The value of the cell with this one; NaN leaves it as it is.
    fn take(&mut self, column: usize, value: f64) -> f64 {
        let Some((count, so_far)) = self.taken.get_mut(column).filter(|_| value.is_finite()) else {
            return f64::NAN;
        };
        *count += 1.0;
        *so_far = match self.claim {
            // In two halves: the difference of huge values is no number.
            Claim::Merged(Merge::Mean) if *count > 1.0 => {
                *so_far * ((*count - 1.0) / *count) + value / *count
            }
            Claim::Merged(Merge::Max) => so_far.max(value),
            _ => value,
        };
        *so_far
    }
}

fn millis(step: Duration) -> i64 {
    i64::try_from(step.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn recording(rows: &[(f64, f64)]) -> Recording {
        Recording {
            times: rows
                .iter()
                .map(|r| Time::from_secs_f64(r.0).unwrap())
                .collect(),
            columns: vec!["a".into()],
            values: Array2::from_shape_vec((rows.len(), 1), rows.iter().map(|r| r.1).collect())
                .unwrap(),
        }
    }

    fn column(gridded: &Gridded) -> Vec<f64> {
        gridded.frame.column(0).unwrap().to_vec()
    }

    #[test]
    fn duplicates_gaps_and_disorder() {
        let placed = recording(&[
            (120.0, 1.0),
            (60.0, 2.0),
            (120.0, 3.0),
            (300.0, 5.0),
            (300.0, f64::NAN),
            (121.0, 4.0),
        ])
        .frame(MINUTE, Entity::sole(), Merge::Nearest)
        .unwrap();
        assert_eq!(placed.rows, [1, 0, 1, 4, 4, 1]);
        assert_eq!(placed.superseded, 3);
        let said = placed.notice().unwrap();
        assert!(
            said.contains("3 of 6 rows")
                && said.contains("nearest")
                && said.contains("a file for each"),
            "{said}"
        );
        let values = column(&placed);
        assert_eq!((values[0], values[1], values[4]), (2.0, 3.0, 5.0));
        assert!(values[2].is_nan() && values[3].is_nan());
        assert_eq!(placed.row_of(3), Some(4));
        assert_eq!(placed.row_of(6), None);
    }

    #[test]
    fn what_is_kept_of_several_rows_is_a_choice() {
        // A burst of ten-second values between two of a minute, and one without a value at the end.
        let rows = recording(&[
            (60.0, 5.0),
            (110.0, 500.0),
            (100.0, 20.0),
            (120.0, 5.0),
            (130.0, 7.0),
            (140.0, f64::NAN),
            (180.0, -3.0),
        ]);
        for (merge, kept, words) in [
            (Merge::Nearest, 5.0, "nearest"),
            (Merge::Last, 7.0, "latest"),
            (Merge::Mean, 133.0, "mean"),
            (Merge::Max, 500.0, "highest"),
        ] {
            let placed = rows.frame(MINUTE, Entity::sole(), merge).unwrap();
            let found = column(&placed);
            assert_eq!((found[0], found[2]), (5.0, -3.0), "{merge:?}");
            assert!((found[1] - kept).abs() < 1e-9, "{merge:?}: {found:?}");
            assert_eq!(placed.superseded, 4);
            assert!(placed.notice().unwrap().contains(words));
        }
        let huge = recording(&[(60.0, f64::MAX), (61.0, -f64::MAX)]);
        let placed = huge.frame(MINUTE, Entity::sole(), Merge::Mean).unwrap();
        assert_eq!(column(&placed), [0.0]);
    }

    #[test]
    fn the_first_row_claims_a_grid_time_for_who_watches() {
        let rows = recording(&[(60.0, f64::NAN), (60.0, 1.0), (95.0, 2.0), (120.0, 3.0)]);
        let placed = rows
            .frame_on(rows.raster(MINUTE), Entity::sole(), Claim::First)
            .unwrap();
        let values = column(&placed);
        assert!(values[0].is_nan(), "{values:?}");
        assert_eq!((values[1], placed.superseded), (2.0, 2));
        assert!(placed.notice().unwrap().contains("earliest"));
    }

    #[test]
    fn the_order_of_the_file_does_not_decide_who_came_first() {
        let rows = [(125.0, 9.0), (120.0, 3.0), (60.0, 1.0), (0.0, 0.0)];
        let mut turned = rows;
        turned.reverse();
        for rows in [rows, turned] {
            let read = recording(&rows);
            let placed = read
                .frame_on(read.raster(MINUTE), Entity::sole(), Claim::First)
                .unwrap();
            assert_eq!(column(&placed), [0.0, 1.0, 3.0]);
        }
    }

    #[test]
    fn half_a_step_off_with_jitter_stays_one_row_each() {
        let rows: Vec<(f64, f64)> = (0..50)
            .map(|i| {
                let jitter = [0.4, -0.4, 0.1, -0.2][i % 4];
                (30.0 + 60.0 * i as f64 + jitter, i as f64)
            })
            .collect();
        let placed = recording(&rows)
            .frame(MINUTE, Entity::sole(), Merge::Nearest)
            .unwrap();
        assert_eq!((placed.superseded, placed.notice()), (0, None));
        assert_eq!(column(&placed), (0..50).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_wild_time_is_refused_not_allocated() {
        let wild = recording(&[(0.0, 1.0), (60.0, 1.0), (90_000_000_000.0, 1.0)]);
        let error = wild
            .frame(MINUTE, Entity::sole(), Merge::Nearest)
            .unwrap_err()
            .to_string();
        assert!(error.contains("coarser step"), "{error}");
    }
}
