//! Times as people and programs write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::Time;

/// Beyond 2^53 milliseconds a float no longer counts them exactly, and no calendar reaches there.
const FARTHEST_MS: i64 = 9_007_199_254_740_992;

/// Reads a moment: a number is unix seconds (whole or with a fraction), milliseconds, microseconds or nanoseconds, told
/// apart by its magnitude (seconds up to 10^11, the year 5138); anything else is RFC 3339, where a space may stand for the
/// `T`, and a time without zone is UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<Time> {
    let text = text.trim();
    let millis = if let Ok(whole) = text.parse::<i64>() {
        from_whole(whole)
    } else if let Ok(number) = text.parse::<f64>() {
        return from_number(number);
    } else {
        from_calendar(text)?
    };
    (millis.unsigned_abs() < FARTHEST_MS.unsigned_abs()).then(|| Time::from_millis(millis))
}

fn from_whole(number: i64) -> i64 {
    match number.unsigned_abs() {
        0..100_000_000_000 => number.saturating_mul(1000),
        100_000_000_000..100_000_000_000_000 => number,
        100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1000),
        _ => number.div_euclid(1_000_000),
    }
}

fn from_number(number: f64) -> Option<Time> {
    let seconds = match number.abs() {
        n if n < 1e11 => number,
        n if n < 1e14 => number / 1e3,
        n if n < 1e17 => number / 1e6,
        _ => number / 1e9,
    };
    Time::from_secs_f64(seconds)
}

fn from_calendar(text: &str) -> Option<i64> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    let local = text.strip_suffix(" UTC").unwrap_or(text);
    let civil: DateTime = local.parse().ok()?;
    let stamp = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(stamp.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "2023-11-14T23:13:20+01:00",
            "2023-11-14 23:13:20+01:00",
            "2023-11-14 22:13:20",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20 UTC",
            "2023-11-14T22:13:20.000Z",
        ] {
            assert_eq!(
                parse_time(text),
                Some(Time::from_secs(1_700_000_000)),
                "{text}"
            );
        }
        assert_eq!(parse_time("1.5"), Some(Time::from_millis(1500)));
        assert_eq!(
            parse_time("2023-11-14"),
            Some(Time::from_secs(1_699_920_000))
        );
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "NaN",
            "inf",
            "yesterday",
            "2023-13-01T00:00:00Z",
            "12:30",
            "1e300",
            "99999999999999999999999999999999999",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
