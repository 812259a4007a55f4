//! A recorded data set: what a file holds, in the file's own order, and the same on a regular grid.

mod gridded;
mod labels;
mod moment;
mod text;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use ndarray::{Array2, Axis};

use super::SourceError;
use crate::disk::Table;
use crate::domain::Time;

pub use gridded::{Claim, Gridded, Raster};
pub use labels::{labels_from_csv_bytes, read_labels};
pub use moment::parse_time;

/// Most cells a recording may have, in the file or on its grid: 2 GB of `f64`.
pub const MAX_CELLS: usize = 250_000_000;

/// Columns that are no features of a recording: they follow from the times, and are computed anew where they are needed.
const CALENDAR: [&str; 2] = ["day_of_week", "hour_of_day"];

/// Column by which a table that this program collected tells several entities apart.
const ENTITY: &str = "entity";

/// The step of a recording that has fewer than two different times.
const DEFAULT_STEP: Duration = Duration::from_secs(60);

/// Rows as they stand in the file: duplicates, gaps and times off the grid included. At most [`MAX_CELLS`] cells. The columns
/// `day_of_week` and `hour_of_day`, which `collect` writes beside the features, are left out.
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
    /// Reads CSV, gzipped CSV or Parquet; which one it is shows in the first bytes, not in the name.
    ///
    /// # Errors
    /// [`SourceError::File`] naming the file and, for CSV, line, column and value.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let failed = |e: std::io::Error| SourceError::File(format!("{name}: {e}"));
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = Vec::with_capacity(4);
        (&mut file)
            .take(4)
            .read_to_end(&mut magic)
            .map_err(failed)?;
        if magic == b"PAR1" {
            let length = file.metadata().map_err(failed)?.len();
            if length > MAX_CELLS as u64 * 8 {
                return Err(SourceError::File(format!(
                    "{name} has {length} bytes, over the 2 GB that are read at once; split it by time"
                )));
            }
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(failed)?;
            let table = Table::from_parquet(bytes)
                .map_err(|e| SourceError::File(e.at(path).to_string()))?;
            return Self::from_table(&name, table);
        }
        // Read on, not anew: what came before may be a pipe.
        text::read(
            &name,
            std::io::Cursor::new(magic).chain(BufReader::new(file)),
        )
    }

    /// Reads CSV or gzipped CSV that is already in memory; `name` stands in errors.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn from_csv_bytes(name: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        text::read(name, bytes)
    }

    /// From a table; `name` stands in errors.
    ///
    /// # Errors
    /// [`SourceError::File`] when the table has no rows, no columns, several entities, or too many cells.
    pub fn from_table(name: &str, table: Table) -> Result<Self, SourceError> {
        let rows = table.times.len();
        let columns: Vec<String> = table.columns.iter().map(|(c, _)| c.clone()).collect();
        if columns.iter().any(|c| c == ENTITY) {
            return Err(SourceError::File(format!(
                "{name} has a column `{ENTITY}`: its rows are of several entities, and a recording is of one; collect with a \
                 query that picks one entity, or rename the column if it is a metric"
            )));
        }
        check_columns(name, &columns)?;
        check_cells(name, rows.saturating_mul(columns.len()))?;
        let mut values = Array2::from_elem((rows, columns.len()), f64::NAN);
        for (mut column, (_, cells)) in values.columns_mut().into_iter().zip(&table.columns) {
            for (slot, cell) in column.iter_mut().zip(cells) {
                if cell.is_finite() {
                    *slot = *cell;
                }
            }
        }
        let times = table.times.into_iter().map(Time::from_millis).collect();
        Self::checked(name, times, columns, values)
    }

    /// A recording with at least one row and one column, the calendar's left out.
    fn checked(
        name: &str,
        times: Vec<Time>,
        mut columns: Vec<String>,
        mut values: Array2<f64>,
    ) -> Result<Self, SourceError> {
        let is_feature = |column: &String| !CALENDAR.contains(&column.as_str());
        if !columns.iter().all(is_feature) {
            let features: Vec<usize> = (0..)
                .zip(&columns)
                .filter(|(_, column)| is_feature(column))
                .map(|(place, _)| place)
                .collect();
            values = values.select(Axis(1), &features);
            columns.retain(is_feature);
            check_columns(name, &columns)?;
        }
        if times.is_empty() {
            return Err(SourceError::File(format!(
                "{name} has a header but no rows; nothing can be learned from it"
            )));
        }
        Ok(Self {
            times,
            columns,
            values,
        })
    }

    /// The usual distance of rows: the median of the positive differences of neighbouring rows, taken to the whole second
    /// when it is within 1 % of one (jitter); one minute when there is no such difference.
    #[must_use]
    pub fn step(&self) -> Duration {
        let mut gaps: Vec<i64> = self
            .times
            .iter()
            .zip(self.times.iter().skip(1))
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

/// Features need names that are there and differ.
fn check_columns(name: &str, columns: &[String]) -> Result<(), SourceError> {
    if columns.is_empty() {
        return Err(SourceError::File(format!(
            "{name} has no column besides the time; every further column is a feature, separated by commas"
        )));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (i, column) in columns.iter().enumerate() {
        let place = i + 2;
        if column.is_empty() {
            return Err(SourceError::File(format!(
                "{name}: column {place} has no name; give it one in the first line"
            )));
        }
        if !seen.insert(column) {
            return Err(SourceError::File(format!(
                "{name}: column {place} is named `{}` like one before it; rename it in the first line",
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
        assert_eq!(step(&[9.0, 8.0, 8.0]), 60_000);
    }

    #[test]
    fn tables_are_checked_and_infinities_are_missing() {
        let table = |columns: &[&str]| Table {
            times: vec![0, 60_000],
            columns: columns
                .iter()
                .map(|c| ((*c).to_owned(), vec![1.0, f64::INFINITY]))
                .collect(),
            metadata: std::collections::BTreeMap::new(),
        };
        let good = Recording::from_table("t", table(&["a", "b"])).unwrap();
        assert!(good.values[(1, 0)].is_nan());
        assert_eq!(good.values[(0, 1)], 1.0);
        for bad in [
            &["a", "a"][..],
            &[""],
            &[],
            &["day_of_week"],
            &["entity", "a"],
        ] {
            assert!(Recording::from_table("t", table(bad)).is_err());
        }
    }

    #[test]
    fn the_calendar_is_no_feature() {
        let text = b"timestamp,day_of_week,cpu,hour_of_day,disk\n0,4,1,0,2\n60,4,3,0,4\n";
        let recording = Recording::from_csv_bytes("t", text).unwrap();
        assert_eq!(recording.columns, ["cpu", "disk"]);
        assert_eq!(recording.values.row(1).to_vec(), [3.0, 4.0]);
        let first = recording.before(Time::from_secs(60));
        assert_eq!(
            (first.times.len(), first.values.row(0).to_vec()),
            (1, vec![1.0, 2.0])
        );
    }
}
