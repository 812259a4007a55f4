//! Values of options that clap does not read by itself.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

use crate::domain::Time;

/// Columns and rows of a frame, each 20 to 1000; in text `120x40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl Default for FrameSize {
    fn default() -> Self {
        Self {
            width: 120,
            height: 40,
        }
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for FrameSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once(['x', 'X'])
            .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
            .filter(|(width, height)| (20..=1000).contains(width) && (10..=1000).contains(height))
            .map(|(width, height)| Self { width, height })
            .ok_or_else(|| {
                "write columns x rows, such as 120x40 (columns 20 to 1000, rows 10 to 1000)".into()
            })
    }
}

/// Synthetic anomalies to add: `5`, `5,spike`, `5,spike,7` or `5,7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inject {
    /// How many, at least one.
    pub count: usize,
    /// Which kind; `None`: all kinds in turn.
    pub kind: Option<InjectKind>,
    /// Seed of places and sizes; `None`: the run's seed.
    pub seed: Option<u64>,
}

/// Kind of a synthetic anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InjectKind {
    /// One row far off.
    Spike,
    /// A stretch moved up or down.
    Shift,
    /// A stretch of missing values.
    Dropout,
    /// A stretch stuck at one value.
    Flat,
}

impl FromStr for Inject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write N, N,KIND or N,KIND,SEED with KIND spike, shift, dropout or flat".to_owned();
        let mut parts = text.split(',').map(str::trim).peekable();
        let count = parts
            .next()
            .and_then(|part| part.parse().ok())
            .filter(|count| *count > 0)
            .ok_or_else(wrong)?;
        let kind = parts
            .peek()
            .and_then(|part| InjectKind::from_str(part, true).ok());
        if kind.is_some() {
            parts.next();
        }
        let seed = match parts.next() {
            None => None,
            Some(part) => Some(part.parse().map_err(|_| wrong())?),
        };
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self { count, kind, seed })
    }
}

/// From when on: a moment, or a length of time before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// A moment.
    At(Time),
    /// So long before now.
    Ago(Duration),
}

impl Since {
    /// The moment.
    #[must_use]
    pub fn before(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Ago(length) => now - length,
        }
    }
}

/// A moment, or a length of time such as `90m`, `36h` or `14d`.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = moment(text) {
        return Ok(Since::At(time));
    }
    let units = [("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    let length = units.into_iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        count.checked_mul(seconds).map(Duration::from_secs)
    });
    length.map(Since::Ago).ok_or_else(|| {
        "write a time such as 2026-11-28T06:00Z, or a length such as 90m, 36h or 14d".into()
    })
}

/// A count of at least one.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "write a whole number from 1 up".into())
}

/// A finite number over 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "write a number above 0, such as 0.0025".into())
}

/// A moment: RFC 3339, a date or date and time taken as UTC, unix seconds, or (from 10^11 on) milliseconds.
pub(super) fn moment(text: &str) -> Result<Time, String> {
    /// As seconds this is the year 5138: no log reaches it, while as milliseconds it is 1973.
    const MILLIS_FROM: i64 = 100_000_000_000;
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let millis = number.unsigned_abs() >= MILLIS_FROM.unsigned_abs();
        return Ok(if millis {
            Time::from_millis(number)
        } else {
            Time::from_secs(number)
        });
    }
    if let Some(time) = text.parse::<f64>().ok().and_then(Time::from_secs_f64) {
        return Ok(time);
    }
    let stamp = text.parse::<jiff::Timestamp>().or_else(|_| {
        text.parse::<jiff::civil::DateTime>()
            .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC))
            .map(|zoned| zoned.timestamp())
    });
    stamp
        .map(|stamp| Time::from_millis(stamp.as_millisecond()))
        .map_err(|_| {
            "write a moment such as 2026-11-08T00:00:00Z, 2026-11-08 or unix seconds".into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_injections_are_read() {
        let expected = Time::from_secs(1_700_000_000);
        for text in [
            "1700000000",
            "1700000000000",
            "1700000000.0",
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20",
            "2023-11-14T23:13:20+01:00",
        ] {
            assert_eq!(moment(text), Ok(expected), "{text}");
        }
        assert_eq!(moment("2023-11-14"), Ok(Time::from_secs(1_699_920_000)));
        let inject = |count, kind, seed| Ok(Inject { count, kind, seed });
        assert_eq!("5".parse(), inject(5, None, None));
        assert_eq!("5,flat".parse(), inject(5, Some(InjectKind::Flat), None));
        assert_eq!("5,9".parse(), inject(5, None, Some(9)));
        assert_eq!(
            "5,shift,9".parse(),
            inject(5, Some(InjectKind::Shift), Some(9))
        );
    }
}
