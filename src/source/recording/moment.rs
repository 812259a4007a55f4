//! Moments as people and programs write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::{Reading, shown};
use crate::domain::Time;

/// 1990: no recorded metric is older, and a number that is no epoch looks older.
const EARLIEST_MS: i64 = 631_152_000_000;
/// 2200: the end of what is plausible when nobody says what time it is.
const FARTHEST_MS: i64 = 7_258_118_400_000;
/// Forms that are read, for errors.
pub(super) const FORMS: &str = "write RFC 3339 such as 2026-01-31T12:00:00Z, a date and time such as 2026-01-31 12:00:00, \
    unix seconds, milliseconds, microseconds or nanoseconds, or a date in digits such as 20260131 or 202601311200";

/// What the file's zone is called when nobody named one: UTC.
pub(super) const ASSUMED: &str = "";

/// A moment as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// Known.
    At(Time),
    /// What a clock showed, in the zone of this number of [`Moments`].
    Wall(DateTime, u16),
}

impl Moment {
    /// What a clock of the file's zone showed, given as if that were UTC.
    pub(super) fn wall(time: Time) -> Option<Self> {
        let stamp = Timestamp::from_millisecond(time.millis()).ok()?;
        Some(Self::Wall(stamp.to_zoned(TimeZone::UTC).datetime(), 0))
    }
}

/// The moments of a file, row by row.
#[derive(Debug)]
pub(super) struct Moments {
    pub(super) rows: Vec<Moment>,
    /// The file's own zone, then those that stand beside times.
    zones: Vec<(String, TimeZone)>,
    /// Latest plausible time of a number.
    latest: i64,
}

impl Moments {
    pub(super) fn new(reading: &Reading) -> Self {
        let next = |now: Time| {
            let year = Timestamp::from_millisecond(now.millis()).ok()?;
            let year = year.to_zoned(TimeZone::UTC).year();
            let first = Date::new(year + 3, 1, 1).ok()?;
            let first =
                TimeZone::UTC.to_timestamp(first.to_datetime(jiff::civil::Time::midnight()));
            Some(first.ok()?.as_millisecond())
        };
        Self {
            rows: Vec::new(),
            zones: vec![match &reading.zone {
                Some(zone) => (
                    zone.iana_name().unwrap_or("the file").to_owned(),
                    zone.clone(),
                ),
                None => (ASSUMED.to_owned(), TimeZone::UTC),
            }],
            latest: reading.now.and_then(next).unwrap_or(FARTHEST_MS),
        }
    }

    /// The zone of a number.
    pub(super) fn zone(&self, number: u16) -> Option<&(String, TimeZone)> {
        self.zones.get(usize::from(number))
    }

    /// Reads a moment from text. A number is unix seconds, milliseconds, microseconds or nanoseconds, told apart by its
    /// magnitude, or a date in digits. Anything else is RFC 3339, where a space may stand for the `T` and a zone's name in
    /// brackets for the offset; a time without both is the file's zone's.
    ///
    /// # Errors
    /// What is wrong with it and what to write.
    pub(super) fn read(&mut self, text: &str) -> Result<Moment, String> {
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            return self.whole(number);
        }
        if let Ok(number) = text.parse::<f64>() {
            return self.number(number);
        }
        self.calendar(text)
            .ok_or_else(|| format!("`{}` is not a time; {FORMS}", shown(text)))
    }

    /// Reads a moment from a number.
    ///
    /// # Errors
    /// As [`Moments::read`].
    pub(super) fn number(&self, number: f64) -> Result<Moment, String> {
        // Beyond 2^53 a float is whole anyway.
        #[allow(clippy::cast_possible_truncation)]
        if number.fract() == 0.0 && number.abs() < 9e18 {
            return self.whole(number as i64);
        }
        let scale = match number.abs() {
            n if n < 1e11 => 1e3,
            n if n < 1e14 => 1.0,
            n if n < 1e17 => 1e-3,
            _ => 1e-6,
        };
        Time::from_secs_f64(number * scale / 1e3)
            .filter(|time| self.is_plausible(*time))
            .map(Moment::At)
            .ok_or_else(|| self.implausible(&number.to_string(), number))
    }

    fn whole(&self, number: i64) -> Result<Moment, String> {
        let millis = match number.unsigned_abs() {
            0..100_000_000_000 => number.saturating_mul(1000),
            100_000_000_000..100_000_000_000_000 => number,
            100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1000),
            _ => number.div_euclid(1_000_000),
        };
        let time = Time::from_millis(millis);
        if self.is_plausible(time) {
            return Ok(Moment::At(time));
        }
        digits(number)
            .map(|civil| Moment::Wall(civil, 0))
            .ok_or_else(|| self.implausible(&number.to_string(), number as f64))
    }

    fn is_plausible(&self, time: Time) -> bool {
        (EARLIEST_MS..self.latest).contains(&time.millis())
    }

    fn implausible(&self, text: &str, number: f64) -> String {
        let guess = if (1900.0..2200.0).contains(&number) {
            "it looks like a year alone; "
        } else if (20_000.0..80_000.0).contains(&number) {
            "it looks like a spreadsheet's number of a day, which must be formatted as a date before it is saved; "
        } else {
            ""
        };
        let last = Time::from_millis(self.latest - 1).to_string();
        let last = last.get(..4).unwrap_or_default();
        format!("`{text}` is no time from 1990 to {last}, in whatever unit; {guess}{FORMS}")
    }

    fn calendar(&mut self, text: &str) -> Option<Moment> {
        let (text, zone) = match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
            Some((text, name)) => (text.trim(), self.named(name)?),
            None => (text, 0),
        };
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Some(Moment::At(Time::from_millis(stamp.as_millisecond())));
        }
        for suffix in ["UTC", "GMT", "utc", "gmt", "Z", "z"] {
            if let Some(civil) = text.strip_suffix(suffix).and_then(civil) {
                let stamp = TimeZone::UTC.to_timestamp(civil).ok()?;
                return Some(Moment::At(Time::from_millis(stamp.as_millisecond())));
            }
        }
        civil(text).map(|civil| Moment::Wall(civil, zone))
    }

    /// The number of a zone by its name.
    fn named(&mut self, name: &str) -> Option<u16> {
        let known = |(own, _): &(String, TimeZone)| own.eq_ignore_ascii_case(name);
        if let Some(at) = self.zones.iter().skip(1).position(known) {
            return u16::try_from(at + 1).ok();
        }
        let zone = TimeZone::get(name).ok()?;
        self.zones.push((name.to_owned(), zone));
        u16::try_from(self.zones.len() - 1).ok()
    }
}

/// A date, or date and time; slashes may stand for hyphens when the year comes first.
fn civil(text: &str) -> Option<DateTime> {
    let text = text.trim();
    // "12:30" alone, or digits alone, would be read as something else.
    if !text.get(..5)?.ends_with(['-', '/']) {
        return None;
    }
    if text.contains('/') {
        return text.replace('/', "-").parse().ok();
    }
    text.parse().ok()
}

/// A date in digits: YYYYMMDD, and hours, minutes and seconds after it.
fn digits(number: i64) -> Option<DateTime> {
    let part = |low: i64, len: u32| i8::try_from(number / low % 10_i64.pow(len)).ok();
    let (day, hour, minute, second) = match number {
        19_900_101..22_000_000 => (1, 0, 0, 0),
        1_990_010_100..2_200_000_000 => (100, part(1, 2)?, 0, 0),
        199_001_010_000..220_000_000_000 => (10_000, part(100, 2)?, part(1, 2)?, 0),
        19_900_101_000_000..22_000_000_000_000 => {
            (1_000_000, part(10_000, 2)?, part(100, 2)?, part(1, 2)?)
        }
        _ => return None,
    };
    let year = i16::try_from(number / day / 10_000).ok()?;
    let (month, day) = (part(day * 100, 2)?, part(day, 2)?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(now: Option<&str>) -> Moments {
        Moments::new(&Reading {
            now: now.map(|now| {
                let now: Timestamp = now.parse().unwrap();
                Time::from_millis(now.as_millisecond())
            }),
            ..Reading::default()
        })
    }

    fn at(text: &str) -> Result<Moment, String> {
        moments(Some("2026-11-29T00:00:00Z")).read(text)
    }

    fn wall(text: &str) -> Moment {
        Moment::Wall(text.parse().unwrap(), 0)
    }

    #[test]
    fn every_spelling_of_one_moment() {
        for text in [
            "1700000000",
            " 1700000000.0 ",
            "1.7e9",
            "1700000000000",
            "1700000000000.4",
            "1700000000000000",
            "1700000000000000000",
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20Z",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14 23:13:20+01:00",
            "2023-11-14T23:13:20+01:00[Europe/Berlin]",
            "2023-11-14 22:13:20 UTC",
            "2023/11/14 22:13:20 GMT",
            "2023-11-14T22:13:20.000Z",
        ] {
            let time = Time::from_secs(1_700_000_000);
            assert_eq!(at(text), Ok(Moment::At(time)), "{text}");
        }
        assert_eq!(
            at("1700000000.5"),
            Ok(Moment::At(Time::from_millis(1_700_000_000_500)))
        );
    }

    #[test]
    fn times_without_an_offset_are_what_a_clock_showed() {
        for text in [
            "2023-11-14 22:13:20",
            "2023-11-14T22:13:20",
            "2023/11/14 22:13:20",
            "20231114221320",
        ] {
            assert_eq!(at(text), Ok(wall("2023-11-14T22:13:20")), "{text}");
        }
        assert_eq!(at("2023-11-14"), Ok(wall("2023-11-14")));
        let mut read = moments(None);
        let text = "2026-11-20T01:00:00[Europe/Berlin]";
        let civil: DateTime = "2026-11-20T01:00:00".parse().unwrap();
        assert_eq!(read.read(text), Ok(Moment::Wall(civil, 1)));
        assert_eq!(read.zone(1).unwrap().0, "Europe/Berlin");
        assert!(read.read("2026-11-20T01:00:00[Mars/Base]").is_err());
    }

    #[test]
    fn dates_in_digits_are_dates() {
        assert_eq!(at("20261120"), Ok(wall("2026-11-20")));
        assert_eq!(at("20261120.0"), Ok(wall("2026-11-20")));
        assert_eq!(at("2026112013"), Ok(wall("2026-11-20T13:00:00")));
        assert_eq!(at("202611201305"), Ok(wall("2026-11-20T13:05:00")));
        assert_eq!(at("20261120130507"), Ok(wall("2026-11-20T13:05:07")));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_the_forms_that_are_read() {
        for text in [
            "",
            "NaN",
            "inf",
            "yesterday",
            "2023-13-01T00:00:00Z",
            "12:30",
            "14.11.2023",
            "1e300",
            "99999999999999999999999999999999999",
            "0",
            "1",
            "-5",
            "2026",
            "202611",
            "46346.25",
            "20261320",
            "20261120240000",
            "1900000000",
            "29000000",
            "400000000000",
        ] {
            let said = at(text).unwrap_err();
            assert!(
                said.contains("RFC 3339") && said.contains("20260131"),
                "{text}: {said}"
            );
        }
        assert!(at("2026").unwrap_err().contains("year alone"));
        assert!(at("46346").unwrap_err().contains("spreadsheet"));
        assert!(at("1").unwrap_err().contains("from 1990 to 2028"));
        // In 2034 this is what the clock shows, and a date in digits no longer.
        let later = moments(Some("2033-01-01T00:00:00Z")).read("2026112013");
        assert!(matches!(later, Ok(Moment::At(_))), "{later:?}");
    }
}
