//! A recorded data set: what a file holds, in the file's own order, and the same on a regular grid.

mod cells;
mod clock;
mod gridded;
mod labels;
mod moment;
mod order;
mod read;
mod table;
mod text;

use std::path::Path;
use std::time::Duration;

use ndarray::{Array2, Axis};

use self::read::Whole;
use super::SourceError;
use crate::domain::Time;

pub use gridded::{Claim, Gridded, Raster};
pub use labels::{labels_from_csv_bytes, read_labels};
pub use read::{Reading, Recorded, Spellings, read};

/// Most cells a recording may have, in the file or on its grid: 2 GB of `f64`.
pub const MAX_CELLS: usize = 250_000_000;

/// Columns that are no features of a recording: they follow from the times, and are computed anew where they are needed.
const CALENDAR: [&str; 2] = ["day_of_week", "hour_of_day"];

/// Column by which a table that this program collected tells several entities apart.
const ENTITY: &str = "entity";

/// The step of a recording that has fewer than two different times.
const DEFAULT_STEP: Duration = Duration::from_secs(60);

/// Rows as they stand in the file: duplicates, gaps and times off the grid included. At most [`MAX_CELLS`] cells. Labels,
/// further times and the columns `day_of_week` and `hour_of_day`, which `collect` writes beside the features, are no features.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The rows' times, in file order.
    pub times: Vec<Time>,
    /// Names of the feature columns, in file order, unique.
    pub columns: Vec<String>,
    /// `[rows, columns]`; NaN where the cell was empty, `NaN`, `null` or infinite.
    pub values: Array2<f64>,
}

impl Recording {
    /// The rows of a CSV, gzipped CSV or Parquet file; which one it is shows in the first bytes, not in the name. Times without
    /// a zone are UTC. What else there is to know of a file is in [`read()`].
    ///
    /// # Errors
    /// [`SourceError::File`] naming the file, the line or row, the column and the value.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        Ok(read(path, &Reading::default())?.recording)
    }

    /// Reads CSV or gzipped CSV that is already in memory; `name` stands in errors.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn from_csv_bytes(name: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        Ok(Whole::from_csv(name, bytes)?.recorded(name)?.recording)
    }

    /// The usual distance of rows: the median of the positive differences of rows that are neighbours in time, whatever
    /// their order in the file, taken to the whole second when it is within 1 % of one (jitter); one minute when there is
    /// no such difference.
    #[must_use]
    pub fn step(&self) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort();
        let mut gaps: Vec<i64> = sorted
            .iter()
            .zip(sorted.iter().skip(1))
            .map(|(a, b)| b.millis().saturating_sub(a.millis()))
            .filter(|gap| *gap > 0)
            .collect();
        if gaps.is_empty() {
            return DEFAULT_STEP;
        }
        let middle = gaps.len() / 2;
        let (_, median, _) = gaps.select_nth_unstable(middle);
        let whole = (*median).saturating_add(500) / 1000 * 1000;
        let close = whole > 0 && (whole - *median).saturating_abs() <= *median / 100;
        Duration::from_millis(if close { whole } else { *median }.unsigned_abs())
    }

    /// The rows before `time`, in file order.
    #[must_use]
    pub fn before(&self, time: Time) -> Self {
        let rows: Vec<usize> = (0..)
            .zip(&self.times)
            .filter(|(_, t)| **t < time)
            .map(|(row, _)| row)
            .collect();
        Self {
            times: self.times.iter().copied().filter(|t| *t < time).collect(),
            columns: self.columns.clone(),
            values: self.values.select(Axis(0), &rows),
        }
    }

    /// Earliest and latest time, whatever the order of the rows; `None` without rows.
    #[must_use]
    pub fn span(&self) -> Option<(Time, Time)> {
        Some((*self.times.iter().min()?, *self.times.iter().max()?))
    }
}

/// There must be a feature.
fn check_columns(name: &str, columns: &[String]) -> Result<(), SourceError> {
    if columns.is_empty() {
        return Err(SourceError::File(format!(
            "{name} has no column besides the time; every further column is a feature, separated by commas"
        )));
    }
    Ok(())
}

/// Columns besides the time need names that are there and differ.
fn check_named(name: &str, columns: &[String]) -> Result<(), SourceError> {
    let mut seen = std::collections::BTreeSet::new();
    for (i, column) in columns.iter().enumerate() {
        if column.is_empty() {
            return Err(SourceError::File(format!(
                "{name}: column {} has no name; give it one in the first line",
                i + 2
            )));
        }
        if !seen.insert(column) {
            return Err(SourceError::File(format!(
                "{name}: there are two columns `{}`; rename one of them",
                shown(column)
            )));
        }
    }
    Ok(())
}

fn check_cells(name: &str, cells: usize) -> Result<(), SourceError> {
    if cells > MAX_CELLS {
        return Err(SourceError::File(format!(
            "{name} has over {MAX_CELLS} cells (2 GB in memory); split it by time or leave columns out"
        )));
    }
    Ok(())
}

/// A cell or name as it stands in an error: at most 40 characters.
fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(40).collect();
    if chars.next().is_some() {
        format!("{head}…")
    } else {
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: &[f64]) -> Recording {
        let times: Vec<Time> = seconds
            .iter()
            .map(|s| Time::from_secs_f64(*s).unwrap())
            .collect();
        Recording {
            values: Array2::zeros((times.len(), 1)),
            times,
            columns: vec!["a".into()],
        }
    }

    #[test]
    fn step_tolerates_jitter_gaps_and_duplicates() {
        let step = |seconds: &[f64]| at(seconds).step().as_millis();
        assert_eq!(step(&[0.0, 60.02, 119.97, 119.97, 180.0, 900.0]), 60_000);
        assert_eq!(step(&[0.0, 0.5, 1.0, 1.5]), 500);
        assert_eq!(step(&[0.0, 1.4, 2.8, 4.2]), 1400);
        assert_eq!(step(&[7.0]), 60_000);
        assert_eq!(step(&[9.0, 9.0]), 60_000);
    }

    #[test]
    fn step_is_that_of_time_and_not_of_the_file() {
        let step = |seconds: &[f64]| at(seconds).step().as_secs();
        assert_eq!(step(&[1200.0, 900.0, 600.0, 300.0]), 300);
        assert_eq!(step(&[180.0, 0.0, 240.0, 60.0, 120.0]), 60);
        assert_eq!(step(&[0.0, 60.0, 120.0, 0.0, 60.0, 120.0]), 60);
    }

    #[test]
    fn the_calendar_is_no_feature() {
        let text =
            b"timestamp,day_of_week,cpu,hour_of_day,disk\n1780000000,4,1,0,2\n1780000060,4,3,0,4\n";
        let recording = Recording::from_csv_bytes("t", text).unwrap();
        assert_eq!(recording.columns, ["cpu", "disk"]);
        assert_eq!(recording.values.row(1).to_vec(), [3.0, 4.0]);
        let first = recording.before(Time::from_secs(1_780_000_060));
        assert_eq!(
            (first.times.len(), first.values.row(0).to_vec()),
            (1, vec![1.0, 2.0])
        );
    }
}
