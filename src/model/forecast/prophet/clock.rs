//! What clocks on the wall show, so that a day's shape follows people when the clocks change.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::Time;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Differences to UTC over a stretch of time, looked up once instead of for each row.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// From which moment (milliseconds since the epoch) which difference holds, ascending; the first holds before, too.
    spans: Vec<(i64, i64)>,
}

impl Clock {
    /// The clocks of `zone` from `from` to `to`. A year or two have a handful of changes.
    pub(super) fn new(zone: &TimeZone, from: Time, to: Time) -> Self {
        let stamp = |time: Time| Timestamp::from_millisecond(time.millis()).unwrap_or_default();
        let first = i64::from(zone.to_offset(stamp(from)).seconds()) * 1000;
        let changes = zone
            .following(stamp(from))
            .map(|change| {
                (
                    change.timestamp().as_millisecond(),
                    i64::from(change.offset().seconds()) * 1000,
                )
            })
            .take_while(|(at, _)| *at <= to.millis());
        Self {
            spans: std::iter::once((from.millis(), first))
                .chain(changes)
                .collect(),
        }
    }

    /// Milliseconds since the epoch as the clock on the wall counts them.
    pub(super) fn local_ms(&self, time: Time) -> i64 {
        let after = self
            .spans
            .partition_point(|(from, _)| *from <= time.millis());
        let span = self.spans.get(after.saturating_sub(1));
        time.millis()
            .saturating_add(span.map_or(0, |(_, offset)| *offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_jumps_where_the_zone_says() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let at =
            |text: &str| Time::from_millis(text.parse::<Timestamp>().unwrap().as_millisecond());
        let clock = Clock::new(
            &zone,
            at("2026-01-01T00:00:00Z"),
            at("2026-12-31T00:00:00Z"),
        );
        let hour = |text: &str| clock.local_ms(at(text)).rem_euclid(DAY_MS) / 3_600_000;
        assert_eq!(hour("2026-03-29T00:59:59Z"), 1);
        assert_eq!(hour("2026-03-29T01:00:00Z"), 3);
        assert_eq!(hour("2026-10-25T00:59:59Z"), 2);
        assert_eq!(hour("2026-10-25T01:00:00Z"), 2);
        assert_eq!(hour("2026-10-25T02:00:00Z"), 3);
        let utc = Clock::new(
            &TimeZone::UTC,
            at("2026-01-01T00:00:00Z"),
            at("2027-01-01T00:00:00Z"),
        );
        assert_eq!(utc.spans.len(), 1);
    }
}
