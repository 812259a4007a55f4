//! One Parquet file per day of the host's history.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::{DiskError, Table, set_aside, write_atomic};
use crate::domain::Time;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Largest day file that is read; one written here stays far below.
const LARGEST_FILE: u64 = 32 << 20;

/// Files to write (or, without a table, to remove). May block when run.
#[derive(Debug, Default)]
pub(super) struct Writes {
    files: Vec<(PathBuf, Option<Table>)>,
    days: BTreeSet<i64>,
}

impl Writes {
    /// Files with their tables, and the days that they hold.
    pub(super) fn new(files: Vec<(PathBuf, Option<Table>)>, days: BTreeSet<i64>) -> Self {
        Self { files, days }
    }

    /// Nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The days these files hold.
    pub(super) fn days(&self) -> BTreeSet<i64> {
        self.days.clone()
    }

    /// Does it, and says what failed.
    pub(super) fn run(self) -> Vec<String> {
        let mut failed = Vec::new();
        for (path, table) in self.files {
            let result = match table {
                Some(table) => table
                    .to_parquet()
                    .and_then(|bytes| write_atomic(&path, &bytes)),
                None => remove(&path),
            };
            if let Err(e) = result {
                failed.push(format!("host history not kept: {e}"));
            }
        }
        failed
    }
}

fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(DiskError::io(path, "remove the file", e))
        }
        _ => Ok(()),
    }
}

/// `2026-01-31.parquet`; other files in the folder are none of ours.
fn is_day_file(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|s| s.to_str());
    path.extension().is_some_and(|e| e == "parquet")
        && stem.is_some_and(|s| s.parse::<jiff::civil::Date>().is_ok())
}

/// The name of the file for the day that began so many days after the epoch.
pub(super) fn file_name(day: i64) -> String {
    let start = Time::from_millis(day.saturating_mul(DAY_MS)).to_string();
    format!("{}.parquet", start.get(..10).unwrap_or(&start))
}

/// One day's table.
pub(super) fn read_day(path: &Path) -> Result<Table, DiskError> {
    let length = fs::metadata(path)
        .map_err(|e| DiskError::io(path, "read the file", e))?
        .len();
    if length > LARGEST_FILE {
        let reason = format!("{length} bytes are too many for one day");
        return Err(DiskError::unreadable(path, reason));
    }
    Table::load(path)
}

/// Moves a file that can't be used out of the way, and says so.
pub(super) fn put_aside(path: &Path, reason: &DiskError) -> String {
    match set_aside(path) {
        Ok(aside) => format!(
            "one day of host history can't be used ({reason}); moved to {} and gone on without it",
            aside.display()
        ),
        Err(e) => format!("one day of host history can't be used ({reason}) nor moved away: {e}"),
    }
}

/// The day files in `dir`, by date.
pub(super) fn day_files(dir: &Path, warnings: &mut Vec<String>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            warnings.push(format!("host history not read: {}: {e}", dir.display()));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_day_file(path))
        .collect();
    files.sort();
    files
}
