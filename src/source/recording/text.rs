//! CSV, plain or gzipped.

use std::io::{self, BufReader, Read};

use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use ndarray::{Array2, Axis};

use super::cells::{Column, REMEDY};
use super::moment::Moments;
use super::read::{Parsed, Spellings, TIME_NAMES};
use super::{MAX_CELLS, Reading, check_cells, check_named, shown};
use crate::source::SourceError;

/// Longest line that is read: a file without line ends must not fill the memory.
const MAX_LINE: usize = 16 << 20;

/// Reads CSV or gzipped CSV; `name` stands in errors.
pub(super) fn parse(
    name: &str,
    mut input: impl Read,
    reading: &Reading,
) -> Result<Parsed, SourceError> {
    let mut magic = Vec::with_capacity(2);
    (&mut input)
        .take(2)
        .read_to_end(&mut magic)
        .map_err(|e| SourceError::File(format!("{name}: {e}")))?;
    let gzipped = magic == [0x1f, 0x8b];
    let input = io::Cursor::new(magic).chain(input);
    if gzipped {
        rows(name, MultiGzDecoder::new(BufReader::new(input)), reading)
    } else {
        rows(name, input, reading)
    }
}

fn rows(name: &str, input: impl Read, reading: &Reading) -> Result<Parsed, SourceError> {
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
    let (time, columns) = header(name, &record)?;
    let mut lines = Lines {
        name,
        time,
        columns,
        moments: Moments::new(reading),
        written: Spellings::default(),
        cells: Vec::new(),
    };
    while reader.read_byte_record(&mut record).map_err(failed)? {
        let line = record.position().map_or(0, csv::Position::line);
        lines.add(line, &record)?;
    }
    lines.parsed()
}

/// The place of the column of times, and the other columns.
fn header(name: &str, record: &ByteRecord) -> Result<(usize, Vec<Column>), SourceError> {
    let mut names = Vec::with_capacity(record.len());
    for field in record {
        let text = std::str::from_utf8(field).map_err(|_| {
            SourceError::File(format!(
                "{name}, line 1: a column name is not UTF-8 text; save the file as UTF-8 CSV"
            ))
        })?;
        names.push(text.trim_start_matches('\u{feff}').trim().to_owned());
    }
    let time = time_column(name, &names)?;
    names.remove(time);
    check_named(name, &names)?;
    if names.len() > MAX_CELLS / 1000 {
        return Err(SourceError::File(format!(
            "{name}, line 1: {} columns are more than can be watched",
            names.len()
        )));
    }
    Ok((time, names.iter().map(|n| Column::new(n)).collect()))
}

/// The first column when its name is that of times, else the first of these names that is there.
fn time_column(name: &str, names: &[String]) -> Result<usize, SourceError> {
    let first = names.first().map_or("", String::as_str);
    let is = |column: &str, time: &str| column.eq_ignore_ascii_case(time);
    if TIME_NAMES.iter().any(|time| is(first, time)) {
        return Ok(0);
    }
    let place = |time: &&str| names.iter().position(|column| is(column, time));
    TIME_NAMES.iter().find_map(place).ok_or_else(|| {
        let hint = if first.contains([';', '\t']) {
            "columns are separated by commas"
        } else {
            "the first line names the columns, and one of them, best the first, holds the times"
        };
        SourceError::File(format!(
            "{name}, line 1: the first column is `{}`, not `timestamp`; {hint}",
            shown(first)
        ))
    })
}

/// What the lines so far hold.
struct Lines<'n> {
    name: &'n str,
    /// The place of the column of times.
    time: usize,
    columns: Vec<Column>,
    moments: Moments,
    written: Spellings,
    /// Row by row.
    cells: Vec<f64>,
}

impl Lines<'_> {
    fn add(&mut self, line: u64, record: &ByteRecord) -> Result<(), SourceError> {
        let name = self.name;
        if record.len() != self.columns.len() + 1 {
            return Err(SourceError::File(format!(
                "{name}, line {line}: {} cells where the first line names {} columns; is the line cut off?",
                record.len(),
                self.columns.len() + 1
            )));
        }
        let text = |field| std::str::from_utf8(field).unwrap_or("\u{fffd}");
        let time = text(record.get(self.time).unwrap_or_default());
        let moment = self.moments.read(time).map_err(|problem| {
            let place = self.time + 1;
            SourceError::File(format!("{name}, line {line}, column {place}: {problem}"))
        })?;
        self.moments.rows.push(moment);
        self.written.push(time);
        let others = record.iter().enumerate();
        let others = others.filter(|(place, _)| *place != self.time);
        for ((_, field), column) in others.zip(&mut self.columns) {
            let field = text(field);
            let value = column.cell(field, &mut self.moments).ok_or_else(|| {
                SourceError::File(format!(
                    "{name}, line {line}, column `{}`: `{}` {REMEDY}",
                    shown(&column.name),
                    shown(field)
                ))
            })?;
            self.cells.push(value);
        }
        check_cells(name, self.cells.len())
    }

    fn parsed(self) -> Result<Parsed, SourceError> {
        let shape = (self.moments.rows.len(), self.columns.len());
        let mut values = Array2::from_shape_vec(shape, self.cells)
            .map_err(|e| SourceError::File(format!("{}: {e}", self.name)))?;
        let numbers: Vec<usize> = (0..)
            .zip(&self.columns)
            .filter(|(_, column)| !column.holds_times())
            .map(|(place, _)| place)
            .collect();
        if numbers.len() < self.columns.len() {
            values = values.select(Axis(1), &numbers);
        }
        let (further, columns): (Vec<_>, Vec<_>) =
            self.columns.into_iter().partition(Column::holds_times);
        let names = |columns: Vec<Column>| columns.into_iter().map(|c| c.name).collect();
        Ok(Parsed {
            moments: self.moments,
            written: self.written,
            columns: names(columns),
            values,
            further: names(further),
        })
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
    use super::super::Recording;
    use super::*;

    fn read(text: &str) -> Result<Recording, SourceError> {
        Recording::from_csv_bytes("f.csv", text.as_bytes())
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn missing_cells_and_truth_values() {
        let text = "\u{feff}Timestamp, a ,\"b, c\"\r\n1780000001,,NaN\r\n1780000002,null,-inf\r\n\r\n1780000003, 4.5 ,true";
        let recording = read(text).unwrap();
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
        let message = error("timestamp,cpu\n1780000001,2\n1780000002,much\n");
        assert!(
            message.contains("f.csv, line 3, column `cpu`: `much`"),
            "{message}"
        );
        assert!(error("timestamp,cpu\nnoon,2\n").contains("line 2, column 1: `noon`"));
        assert!(error("timestamp,cpu\n20,2\n").contains("line 2, column 1: `20` is no time from"));
        assert!(error("timestamp,cpu\n1780000001,2\n2\n").contains("line 3: 1 cells"));
        assert!(error("timestamp,cpu\n1,2,3\n").contains("line 2: 3 cells"));
        assert!(error("1,2\n3,4\n").contains("`1`, not `timestamp`"));
        assert!(error("timestamp;cpu\n1;2\n").contains("commas"));
        assert!(error("timestamp\n1780000001\n").contains("no column besides"));
        assert!(error("timestamp,a,a\n").contains("two columns `a`"));
        assert!(error("timestamp,a,\n").contains("has no name"));
        assert!(error("timestamp,a\n").contains("no rows"));
        assert!(error("").contains("empty"));
        let long = "x".repeat(5000);
        assert!(error(&format!("timestamp,a\n1780000001,{long}\n")).len() < 400);
    }

    #[test]
    fn the_time_may_stand_in_any_column() {
        let recording = read("cpu,Date,mem\n1,2026-11-20 10:00,2\n3,2026-11-20 10:01,4\n").unwrap();
        assert_eq!(recording.columns, ["cpu", "mem"]);
        assert_eq!(recording.values.row(1).to_vec(), [3.0, 4.0]);
        assert_eq!(recording.step().as_secs(), 60);
    }

    #[test]
    fn a_file_without_line_ends_is_refused_early() {
        let endless = io::repeat(b'x');
        let message = parse("f.csv", endless, &Reading::default()).err().unwrap();
        assert!(message.to_string().contains("16 MiB"), "{message}");
    }
}
