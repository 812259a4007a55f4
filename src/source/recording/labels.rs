//! Which rows were anomalous, by someone who knows.

use std::path::Path;

use super::Reading;
use super::read::Whole;
use crate::domain::Time;
use crate::source::SourceError;

/// Reads `timestamp,is_anomaly` (0 or 1, or false and true) from any format that a recording may have, in the order of time.
/// Other columns are passed over.
///
/// # Errors
/// [`SourceError::File`] naming the file when it can't be read, has no column of labels, or leaves a label open.
pub fn read_labels(path: &Path, reading: &Reading) -> Result<Vec<(Time, bool)>, SourceError> {
    complete(&path.display().to_string(), Whole::read(path, reading)?)
}

/// The same from CSV or gzipped CSV in memory; `name` stands in errors.
///
/// # Errors
/// As [`read_labels`].
pub fn labels_from_csv_bytes(name: &str, bytes: &[u8]) -> Result<Vec<(Time, bool)>, SourceError> {
    complete(name, Whole::from_csv(name, bytes)?)
}

fn complete(name: &str, whole: Whole) -> Result<Vec<(Time, bool)>, SourceError> {
    let (_, rows) = whole.labels.ok_or_else(|| {
        SourceError::File(format!(
            "{name} has no column `is_anomaly`; labels are `timestamp,is_anomaly` with 0 or 1"
        ))
    })?;
    rows.into_iter()
        .map(|(time, label)| {
            let label = label.ok_or_else(|| {
                SourceError::File(format!(
                    "{name}: the row at {time} has no label; write 0 or 1"
                ))
            })?;
            Ok((time, label))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(Time, bool)>, SourceError> {
        labels_from_csv_bytes("l", text.as_bytes())
    }

    #[test]
    fn reads_and_refuses() {
        let good =
            read("timestamp,is_anomaly\n1780000001,0\n1780000002,true\n1780000003,1.0\n").unwrap();
        assert_eq!(
            good.iter().map(|l| l.1).collect::<Vec<_>>(),
            [false, true, true]
        );
        let newest_first = "timestamp,Label\n1780000003,1\n1780000002,1\n1780000001,0\n";
        assert_eq!(read(newest_first).unwrap(), good);
        let with_values =
            "timestamp,value,is_anom\n1780000001,5,0\n1780000002,6,1\n1780000003,7,1\n";
        assert_eq!(read(with_values).unwrap(), good);
        assert!(read("timestamp,verdict\n1780000001,0\n").is_err());
        let open = read("timestamp,is_anomaly\n1780000001,\n").unwrap_err();
        assert!(open.to_string().contains("2026-05-28T20:26:41Z"), "{open}");
        let odd = read("timestamp,is_anomaly\n1780000001,2\n").unwrap_err();
        assert!(odd.to_string().contains("write 0 and 1"), "{odd}");
    }
}
