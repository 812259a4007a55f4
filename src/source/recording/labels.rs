//! Which rows were anomalous, by someone who knows.

use std::path::Path;

use super::Recording;
use crate::domain::Time;
use crate::source::SourceError;

/// Reads `timestamp,is_anomaly` (0 or 1, or false and true) in file order, from any format that a recording may have.
///
/// # Errors
/// [`SourceError::File`] naming the file when it can't be read, has no column `is_anomaly`, or leaves a label open.
pub fn read_labels(path: &Path) -> Result<Vec<(Time, bool)>, SourceError> {
    labels(&path.display().to_string(), &Recording::read(path)?)
}

/// The same from CSV or gzipped CSV in memory; `name` stands in errors.
///
/// # Errors
/// As [`read_labels`].
pub fn labels_from_csv_bytes(name: &str, bytes: &[u8]) -> Result<Vec<(Time, bool)>, SourceError> {
    labels(name, &Recording::from_csv_bytes(name, bytes)?)
}

fn labels(name: &str, recording: &Recording) -> Result<Vec<(Time, bool)>, SourceError> {
    let column = recording
        .columns
        .iter()
        .position(|c| c.eq_ignore_ascii_case("is_anomaly"))
        .ok_or_else(|| {
            SourceError::File(format!(
                "{name} has no column `is_anomaly`; labels are `timestamp,is_anomaly` with 0 or 1"
            ))
        })?;
    recording
        .times
        .iter()
        .zip(recording.values.column(column))
        .map(|(time, value)| {
            if value.is_nan() {
                return Err(SourceError::File(format!(
                    "{name}: the row at {time} has no label; write 0 or 1"
                )));
            }
            Ok((*time, *value > 0.5))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_refuses() {
        let good =
            labels_from_csv_bytes("l", b"timestamp,is_anomaly\n1,0\n2,true\n3,1.0\n").unwrap();
        assert_eq!(
            good.iter().map(|l| l.1).collect::<Vec<_>>(),
            [false, true, true]
        );
        assert!(labels_from_csv_bytes("l", b"timestamp,label\n1,0\n").is_err());
        let open = labels_from_csv_bytes("l", b"timestamp,is_anomaly\n1,\n").unwrap_err();
        assert!(open.to_string().contains("1970-01-01T00:00:01Z"));
    }
}
