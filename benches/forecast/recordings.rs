//! The series of recordings that lie in folders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pulsewatch::config::Merge;
use pulsewatch::domain::{Entity, Grid};
use pulsewatch::source::recording::Recording;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// One column on its own grid.
pub struct Series {
    /// Folder or file, and the column where there are several.
    pub name: String,
    pub grid: Grid,
    /// NaN where missing.
    pub values: Vec<f64>,
}

/// Reads every recording in `folders`, of each at most `columns` columns that vary, spread over it.
pub fn read(
    folders: &[PathBuf],
    columns: usize,
) -> Result<Vec<Series>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for folder in folders {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() && path.join("series.csv.gz").is_file() {
                files.push((name_of(&path), path.join("series.csv.gz")));
            } else if path.to_string_lossy().ends_with(".csv.gz")
                && !name_of(&path).contains("label")
            {
                files.push((name_of(&path), path));
            }
        }
        files.sort();
        for (name, path) in files {
            all.extend(columns_of(&name, &path, columns)?);
        }
    }
    Ok(all)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".csv.gz").to_owned()
}

fn columns_of(
    name: &str,
    path: &Path,
    most: usize,
) -> Result<Vec<Series>, Box<dyn std::error::Error>> {
    let recording = Recording::read(path)?;
    let frame = recording
        .frame(recording.step(), Entity::sole(), Merge::Nearest)?
        .frame;
    let single = frame.schema().len() == 1;
    let mut varying: Vec<Series> = Vec::new();
    for (feature, column) in frame.schema().iter().zip(frame.values().columns()) {
        let values = column.to_vec();
        if varies(&values) {
            let column = if single {
                String::new()
            } else {
                format!("/{}", feature.name)
            };
            varying.push(Series {
                name: format!("{name}{column}"),
                grid: *frame.grid(),
                values,
            });
        }
    }
    let stride = varying.len().div_ceil(most.max(1)).max(1);
    Ok(varying.into_iter().step_by(stride).collect())
}

/// More than a flag: at least 20 different values, and no value half of the time.
fn varies(values: &[f64]) -> bool {
    let mut seen: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    seen.sort_by(f64::total_cmp);
    let runs = || seen.chunk_by(|a, b| a.total_cmp(b).is_eq());
    runs().count() >= 20 && runs().map(<[f64]>::len).max().unwrap_or(0) * 2 < seen.len()
}

impl Series {
    /// Autocorrelation one day apart, of hourly means without their mean: how much a day tells of the next.
    pub fn daily(&self) -> f64 {
        let rows = |span: Duration| rows(span, self.grid.step()).max(1);
        let hour = rows(HOUR);
        let day = rows(DAY) / hour;
        let means: Vec<f64> = self.values.chunks(hour).map(mean).collect();
        let level = mean(&means);
        let pairs = means.iter().zip(means.iter().skip(day));
        let (mut product, mut before, mut after) = (0.0, 0.0, 0.0);
        for (a, b) in pairs.filter(|(a, b)| a.is_finite() && b.is_finite()) {
            product += (a - level) * (b - level);
            before += (a - level).powi(2);
            after += (b - level).powi(2);
        }
        product / (before * after).sqrt().max(f64::MIN_POSITIVE)
    }
}

/// Whole rows of `step` in `span`.
pub fn rows(span: Duration, step: Duration) -> usize {
    usize::try_from(span.as_millis() / step.as_millis().max(1)).unwrap_or(usize::MAX)
}

/// Mean of the finite values, NaN without any.
pub fn mean(values: &[f64]) -> f64 {
    let seen = values.iter().filter(|v| v.is_finite());
    let (sum, count) = seen.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    sum / count
}
