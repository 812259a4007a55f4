//! CSV, plain or gzipped.

use std::io::{self, BufReader, Read};

use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use ndarray::Array2;

use super::{MAX_CELLS, Recording, check_cells, check_columns, parse_time, shown};
use crate::domain::Time;
use crate::source::SourceError;

/// Longest line that is read: a file without line ends must not fill the memory.
const MAX_LINE: usize = 16 << 20;

/// Names of the first column that say it holds times.
const TIME_NAMES: [&str; 6] = ["timestamp", "time", "ts", "date", "datetime", "date_time"];

/// Reads a recording from CSV or gzipped CSV; `name` stands in errors.
pub(super) fn read(name: &str, mut input: impl Read) -> Result<Recording, SourceError> {
    let mut magic = Vec::with_capacity(2);
    (&mut input)
        .take(2)
        .read_to_end(&mut magic)
        .map_err(|e| SourceError::File(format!("{name}: {e}")))?;
    let gzipped = magic == [0x1f, 0x8b];
    let input = io::Cursor::new(magic).chain(input);
    if gzipped {
        rows(name, MultiGzDecoder::new(BufReader::new(input)))
    } else {
        rows(name, input)
    }
}

fn rows(name: &str, input: impl Read) -> Result<Recording, SourceError> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(LineGuard { input, run: 0 });
    let failed = |e: csv::Error| SourceError::File(format!("{name}: {e}"));
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(failed)? {
        return Err(SourceError::File(format!(
            "{name} is empty; its first line must name the columns, `timestamp` first"
        )));
    }
    let columns = header(name, &record)?;
    let mut times = Vec::new();
    let mut cells: Vec<f64> = Vec::new();
    while reader.read_byte_record(&mut record).map_err(failed)? {
        let line = record.position().map_or(0, csv::Position::line);
        times.push(row(name, line, &columns, &record, &mut cells)?);
        check_cells(name, cells.len())?;
    }
    let values = Array2::from_shape_vec((times.len(), columns.len()), cells)
        .map_err(|e| SourceError::File(format!("{name}: {e}")))?;
    Recording::checked(name, times, columns, values)
}

/// The feature names.
fn header(name: &str, record: &ByteRecord) -> Result<Vec<String>, SourceError> {
    let mut names = Vec::with_capacity(record.len());
    for field in record {
        let text = std::str::from_utf8(field).map_err(|_| {
            SourceError::File(format!(
                "{name}, line 1: a column name is not UTF-8 text; save the file as UTF-8 CSV"
            ))
        })?;
        names.push(text.trim_start_matches('\u{feff}').trim().to_owned());
    }
    let first = names.first().map_or("", String::as_str);
    if !TIME_NAMES.contains(&first.to_ascii_lowercase().as_str()) {
        let hint = if first.contains([';', '\t']) {
            "columns are separated by commas"
        } else {
            "the first line names the columns, and the first of them holds the times"
        };
        return Err(SourceError::File(format!(
            "{name}, line 1: the first column is `{}`, not `timestamp`; {hint}",
            shown(first)
        )));
    }
    names.remove(0);
    check_columns(name, &names)?;
    if names.len() > MAX_CELLS / 1000 {
        return Err(SourceError::File(format!(
            "{name}, line 1: {} columns are more than can be watched",
            names.len()
        )));
    }
    Ok(names)
}

/// Appends one row's cells and returns its time.
fn row(
    name: &str,
    line: u64,
    columns: &[String],
    record: &ByteRecord,
    cells: &mut Vec<f64>,
) -> Result<Time, SourceError> {
    if record.len() != columns.len() + 1 {
        return Err(SourceError::File(format!(
            "{name}, line {line}: {} cells where the first line names {} columns; is the line cut off?",
            record.len(),
            columns.len() + 1
        )));
    }
    let mut fields = record.iter();
    let first = fields.next().unwrap_or_default();
    let time = std::str::from_utf8(first)
        .ok()
        .and_then(parse_time)
        .ok_or_else(|| {
            SourceError::File(format!(
                "{name}, line {line}, column 1: `{}` is not a time; write unix seconds, milliseconds or RFC 3339 such as 2026-01-31T12:00:00Z",
                shown(&String::from_utf8_lossy(first))
            ))
        })?;
    for (field, column) in fields.zip(columns) {
        let value = cell(field).ok_or_else(|| {
            SourceError::File(format!(
                "{name}, line {line}, column `{}`: `{}` is not a number; leave the cell empty where nothing is known",
                shown(column),
                shown(&String::from_utf8_lossy(field))
            ))
        })?;
        cells.push(value);
    }
    Ok(time)
}

/// A number, NaN for a missing one, `None` for what is neither.
fn cell(field: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(field).ok()?;
    if let Ok(number) = text.parse::<f64>() {
        return Some(if number.is_finite() { number } else { f64::NAN });
    }
    match text.to_ascii_lowercase().as_str() {
        "" | "null" | "none" | "na" | "n/a" | "-" => Some(f64::NAN),
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => None,
    }
}

/// Passes bytes through until a line grows past [`MAX_LINE`].
struct LineGuard<R> {
    input: R,
    run: usize,
}

impl<R: Read> Read for LineGuard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let fresh = buffer.get(..count).unwrap_or_default();
        self.run = match fresh.iter().rposition(|b| *b == b'\n') {
            Some(end) => count - end - 1,
            None => self.run.saturating_add(count),
        };
        if self.run > MAX_LINE {
            return Err(io::Error::other(format!(
                "a line is longer than {} MiB; this is no CSV of metrics",
                MAX_LINE >> 20
            )));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read("f.csv", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn missing_cells_and_truth_values() {
        let text = "\u{feff}Timestamp, a ,\"b, c\"\r\n1,,NaN\r\n2,null,-inf\r\n\r\n3, 4.5 ,true";
        let recording = read("f.csv", text.as_bytes()).unwrap();
        assert_eq!(recording.columns, ["a", "b, c"]);
        assert_eq!(recording.times.len(), 3);
        assert!(
            recording
                .values
                .rows()
                .into_iter()
                .take(2)
                .flatten()
                .all(|v| v.is_nan())
        );
        assert_eq!(recording.values.row(2).to_vec(), [4.5, 1.0]);
    }

    #[test]
    fn errors_name_line_column_and_value() {
        let message = error("timestamp,cpu\n1,2\n2,much\n");
        assert!(
            message.contains("f.csv, line 3, column `cpu`: `much`"),
            "{message}"
        );
        assert!(error("timestamp,cpu\nnoon,2\n").contains("line 2, column 1: `noon`"));
        assert!(error("timestamp,cpu\n1,2\n2\n").contains("line 3: 1 cells"));
        assert!(error("timestamp,cpu\n1,2,3\n").contains("line 2: 3 cells"));
        assert!(error("1,2\n3,4\n").contains("`1`, not `timestamp`"));
        assert!(error("timestamp;cpu\n1;2\n").contains("commas"));
        assert!(error("timestamp\n1\n").contains("no column besides"));
        assert!(error("timestamp,a,a\n").contains("column 3"));
        assert!(error("timestamp,a,\n").contains("column 3 has no name"));
        assert!(error("timestamp,a\n").contains("no rows"));
        assert!(error("").contains("empty"));
        let long = "x".repeat(5000);
        assert!(error(&format!("timestamp,a\n1,{long}\n")).len() < 300);
    }

    #[test]
    fn a_file_without_line_ends_is_refused_early() {
        let endless = io::repeat(b'x');
        let message = read("f.csv", endless).unwrap_err().to_string();
        assert!(message.contains("16 MiB"), "{message}");
    }
}
