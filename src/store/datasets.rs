//! Data sets as files: frames as Parquet, figures as JSON.
//!
//! A file of frames is a plain table that any program reads: `timestamp`, an `entity` number when there are several
//! entities, one column per feature, and `day_of_week`, `hour_of_day` when asked for. What a table can't say (units, steps,
//! where one period ends) stands in the footer.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frames::{self, HOUR, WEEKDAY};
use crate::disk::{DiskError, Table, write_atomic};
use crate::domain::Frame;

/// When each row of a file of frames is, in the configured zone; one value per row, over all frames in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendar {
    /// 0 (Monday) to 6.
    pub day_of_week: Vec<f64>,
    /// 0 to 23.
    pub hour_of_day: Vec<f64>,
}

/// Writes frames, one row per entity and time. All frames share one schema and step.
///
/// # Errors
/// [`DiskError::Unreadable`] that says what does not fit: schemas or steps that differ, a calendar of another length, a
/// feature with a column's reserved name; else the path and the system's reason.
pub fn save_frames(
    path: &Path,
    frames: &[Frame],
    calendar: Option<&Calendar>,
) -> Result<(), DiskError> {
    let mut table = frames::to_table(frames).map_err(|e| DiskError::unreadable(path, e))?;
    if let Some(calendar) = calendar {
        for (name, values) in [
            (WEEKDAY, &calendar.day_of_week),
            (HOUR, &calendar.hour_of_day),
        ] {
            table.columns.push((name.to_owned(), values.clone()));
        }
    }
    table.save(path)
}

/// Reads frames: one per entity and period, in the file's order. Calendar columns are left out, to be computed anew.
///
/// A Parquet file of another program is one entity whose columns are plain features and whose step is the median distance
/// of its rows; where rows are more than 100 steps apart, another frame begins, so that memory follows the rows.
///
/// # Errors
/// What [`Table::load`] says, and the row or footer that does not fit, with the path.
pub fn load_frames(path: &Path) -> Result<Vec<Frame>, DiskError> {
    frames::from_table(&Table::load(path)?).map_err(|e| DiskError::unreadable(path, e))
}

/// Whether a file is one that [`save_frames`] wrote, and not another program's.
#[must_use]
pub fn is_of_frames(path: &Path) -> bool {
    Table::load(path).is_ok_and(|table| table.metadata.contains_key(frames::WORDS))
}

/// Writes `value` as JSON, as a whole or not at all. NaN is written as null.
///
/// # Errors
/// The path and the reason.
pub fn save_json<T: Serialize>(path: &Path, value: &T) -> Result<(), DiskError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|e| DiskError::unreadable(path, format!("no JSON can be made of this: {e}")))?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Reads JSON that [`save_json`] wrote.
///
/// # Errors
/// The path, and the system's reason or the line that does not fit.
pub fn load_json<T: DeserializeOwned>(path: &Path) -> Result<T, DiskError> {
    let text = std::fs::read(path).map_err(|e| DiskError::io(path, "read the file", e))?;
    serde_json::from_slice(&text).map_err(|e| DiskError::unreadable(path, e.to_string()))
}
