//! From what a file holds to a recording: which columns are times, labels and features.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::tz::TimeZone;
use ndarray::{Array2, Axis};

use super::moment::Moments;
use super::{
    CALENDAR, ENTITY, MAX_CELLS, Recording, check_columns, clock, order, shown, table, text,
};
use crate::disk::Sheet;
use crate::domain::Time;
use crate::source::SourceError;

/// Names of the column of times, in any case; the first of these that is there is it.
pub(super) const TIME_NAMES: [&str; 6] =
    ["timestamp", "time", "ts", "date", "datetime", "date_time"];

/// Names of columns that say which rows are anomalous, in any case.
const LABEL_NAMES: [&str; 8] = [
    "is_anomaly",
    "isanomaly",
    "is_anom",
    "anomaly",
    "is_outlier",
    "outlier",
    "label",
    "labels",
];

/// What a file leaves open.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Zone of times without one; `None`: UTC, which is said.
    pub zone: Option<TimeZone>,
    /// A number that says a time after the year after next is none; `None`: one after 2200.
    pub now: Option<Time>,
}

impl Reading {
    /// As `[source] timezone` says, at the time `now`.
    ///
    /// # Errors
    /// [`SourceError::Setup`] when this system does not know the zone.
    pub fn new(zone: Option<&str>, now: Time) -> Result<Self, SourceError> {
        let zone = zone
            .map(TimeZone::get)
            .transpose()
            .map_err(|error| SourceError::Setup(format!("source.timezone: {error}")))?;
        Ok(Self {
            zone,
            now: Some(now),
        })
    }
}

/// A file's rows, and what else is in it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The rows.
    pub recording: Recording,
    /// Which rows are anomalous, in the order of time; `None` when the file does not say.
    pub labels: Option<Vec<(Time, bool)>>,
    /// Each row's time as it was written.
    pub written: Spellings,
    /// What a person should know of how the file was read.
    pub notices: Vec<String>,
}

/// Texts, one per row; empty when the file has no texts for its times.
#[derive(Clone, Debug, Default)]
pub struct Spellings {
    text: String,
    ends: Vec<usize>,
}

impl Spellings {
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// The text of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        let start = match row.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..*self.ends.get(row)?)
    }
}

/// What a file holds, before it is known what the columns mean.
pub(super) struct Parsed {
    pub moments: Moments,
    pub written: Spellings,
    /// The columns of numbers.
    pub columns: Vec<String>,
    /// `[rows, columns]`.
    pub values: Array2<f64>,
    /// Names of further columns of times.
    pub further: Vec<String>,
}

/// A column of labels by its name and, in the order of time, what it says of each row.
pub(super) type Labels = (String, Vec<(Time, Option<bool>)>);

/// Everything of a file, features or not.
pub(super) struct Whole {
    pub recording: Recording,
    /// Which rows are anomalous, where the file says it.
    pub labels: Option<Labels>,
    pub written: Spellings,
    pub notices: Vec<String>,
}

/// Reads a file; see [`Recording::read`].
///
/// # Errors
/// As [`Recording::read`].
pub fn read(path: &Path, reading: &Reading) -> Result<Recorded, SourceError> {
    Whole::read(path, reading)?.recorded(&path.display().to_string())
}

impl Whole {
    pub(super) fn read(path: &Path, reading: &Reading) -> Result<Self, SourceError> {
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
            let sheet = Sheet::from_parquet(bytes)
                .map_err(|e| SourceError::File(e.at(path).to_string()))?;
            return Self::of(&name, table::parse(&name, sheet, reading)?);
        }
        // Read on, not anew: what came before may be a pipe.
        let input = std::io::Cursor::new(magic).chain(BufReader::new(file));
        Self::of(&name, text::parse(&name, input, reading)?)
    }

    pub(super) fn from_csv(name: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        Self::of(name, text::parse(name, bytes, &Reading::default())?)
    }

    pub(super) fn of(name: &str, parsed: Parsed) -> Result<Self, SourceError> {
        let Parsed {
            moments,
            written,
            columns,
            values,
            further,
        } = parsed;
        if columns.iter().any(|c| c == ENTITY) {
            return Err(SourceError::File(format!(
                "{name} has a column `{ENTITY}`: its rows are of several entities, and a recording is of one; collect with a \
                 query that picks one entity, or rename the column if it is a metric"
            )));
        }
        let (times, mut notices) = clock::resolve(&moments);
        if times.is_empty() {
            return Err(SourceError::File(format!(
                "{name} has a header but no rows; nothing can be learned from it"
            )));
        }
        notices.extend(
            further
                .iter()
                .map(|column| format!("column `{}` holds times and is no feature", shown(column))),
        );
        let labels = labels(name, &times, &columns, &values, &mut notices)?;
        let is_feature =
            |column: &String| !CALENDAR.contains(&column.as_str()) && !is_label(column);
        let features: Vec<usize> = (0..)
            .zip(&columns)
            .filter(|(_, column)| is_feature(column))
            .map(|(place, _)| place)
            .collect();
        let values = if features.len() == columns.len() {
            values
        } else {
            values.select(Axis(1), &features)
        };
        let columns = columns.into_iter().filter(is_feature).collect();
        Ok(Self {
            recording: Recording {
                times,
                columns,
                values,
            },
            labels,
            written,
            notices,
        })
    }

    /// As a series: there must be a feature, and rows of one series only.
    pub(super) fn recorded(self, name: &str) -> Result<Recorded, SourceError> {
        let mut notices = self.notices;
        check_columns(name, &self.recording.columns)?;
        notices.extend(order::check(name, &self.recording)?);
        let labels = self.labels.map(|(column, rows)| {
            notices.push(format!(
                "column `{}` is taken as labels and is no feature",
                shown(&column)
            ));
            let known = rows.into_iter();
            let known = known.filter_map(|(time, label)| Some((time, label?)));
            known.collect::<Vec<_>>()
        });
        let labels = labels.filter(|labels| !labels.is_empty());
        Ok(Recorded {
            recording: self.recording,
            labels,
            written: self.written,
            notices,
        })
    }
}

fn is_label(column: &str) -> bool {
    let is = |name: &&str| column.eq_ignore_ascii_case(name);
    LABEL_NAMES.iter().any(is)
}

/// What the first column with a label's name says of each row.
fn labels(
    name: &str,
    times: &[Time],
    columns: &[String],
    values: &Array2<f64>,
    notices: &mut Vec<String>,
) -> Result<Option<Labels>, SourceError> {
    let mut named = (0..).zip(columns).filter(|(_, column)| is_label(column));
    let Some((place, column)) = named.next() else {
        return Ok(None);
    };
    notices.extend(
        named.map(|(_, other)| {
            format!("column `{}` holds labels too and is left out", shown(other))
        }),
    );
    let mut rows = times
        .iter()
        .zip(values.column(place))
        .map(|(time, value)| match *value {
            v if v.is_nan() => Ok((*time, None)),
            0.0 => Ok((*time, Some(false))),
            1.0 => Ok((*time, Some(true))),
            v => Err(SourceError::File(format!(
                "{name}: column `{}` is named like labels, but the row at {time} has {v}; write 0 and 1, or rename the column \
                 if it is a metric",
                shown(column)
            ))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|(time, _)| *time);
    Ok(Some((column.clone(), rows)))
}
