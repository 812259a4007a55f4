//! The time zone of the screen, and the words for moments in it. Files, routes and logs have UTC.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::Time;

/// The zone that moments are shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// A zone of the time zone database, or the system's.
    #[must_use]
    pub const fn new(zone: TimeZone) -> Self {
        Self(zone)
    }

    fn words(&self, time: Time, format: &str) -> String {
        match Timestamp::from_millisecond(time.millis()) {
            Ok(stamp) => stamp.to_zoned(self.0.clone()).strftime(format).to_string(),
            Err(_) => "–".into(),
        }
    }

    /// `14:02:11`.
    #[must_use]
    pub fn clock(&self, time: Time) -> String {
        self.words(time, "%H:%M:%S")
    }

    /// `14:02:11 CET`.
    #[must_use]
    pub fn clock_with_zone(&self, time: Time) -> String {
        self.words(time, "%H:%M:%S %Z")
    }

    /// `2026-11-18 14:02 CET`.
    #[must_use]
    pub fn minute(&self, time: Time) -> String {
        self.words(time, "%Y-%m-%d %H:%M %Z")
    }

    /// `2026-11-18 14:02:11 CET`.
    #[must_use]
    pub fn second(&self, time: Time) -> String {
        self.words(time, "%Y-%m-%d %H:%M:%S %Z")
    }

    /// `14:02` when `time` is within a day of `now`, else `14 Nov`.
    #[must_use]
    pub fn when(&self, time: Time, now: Time) -> String {
        self.words(time, if is_near(time, now) { "%H:%M" } else { "%d %b" })
    }

    /// `14 Nov 22:13`.
    #[must_use]
    pub fn moment(&self, time: Time) -> String {
        self.words(time, "%d %b %H:%M")
    }

    /// `14:02:11`, with the day in front when that is not today.
    #[must_use]
    pub fn stamp(&self, time: Time, now: Time) -> String {
        if is_near(time, now) {
            self.clock(time)
        } else {
            self.words(time, "%d %b %H:%M:%S")
        }
    }

    /// A label on a time axis that spans `length`: `14:02` up to a day and a half, `Tue 14:00` up to four days, else `14 Nov`.
    #[must_use]
    pub fn tick(&self, time: Time, length: Duration) -> String {
        match length.as_secs() {
            0..=129_600 => self.words(time, "%H:%M"),
            129_601..=345_600 => self.words(time, "%a %H:%M"),
            _ => self.words(time, "%d %b"),
        }
    }

    /// What the zone is called at a moment: `CET`.
    #[must_use]
    pub fn name(&self, time: Time) -> String {
        self.words(time, "%Z")
    }

    /// Milliseconds that the zone's clocks are ahead of UTC.
    #[must_use]
    pub fn ahead(&self, time: Time) -> i64 {
        Timestamp::from_millisecond(time.millis()).map_or(0, |stamp| {
            i64::from(self.0.to_offset(stamp).seconds()) * 1000
        })
    }
}

fn is_near(time: Time, now: Time) -> bool {
    now.since(time).max(time.since(now)) < Duration::from_hours(20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_naturally_and_in_their_zone() {
        let t = Time::from_secs(1_700_000_000);
        let utc = Zone::UTC;
        assert_eq!(utc.clock(t), "22:13:20");
        assert_eq!(utc.when(t, t + Duration::from_secs(60)), "22:13");
        assert_eq!(utc.when(t, t + Duration::from_secs(90_000)), "14 Nov");
        assert_eq!(utc.moment(t), "14 Nov 22:13");
        assert_eq!(utc.clock_with_zone(t), "22:13:20 UTC");
        assert_eq!(utc.ahead(t), 0);
        let berlin = Zone::new(TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(berlin.clock_with_zone(t), "23:13:20 CET");
        assert_eq!(berlin.minute(t), "2023-11-14 23:13 CET");
        assert_eq!(
            berlin.stamp(t, t + Duration::from_secs(90_000)),
            "14 Nov 23:13:20"
        );
        assert_eq!(berlin.tick(t, Duration::from_hours(1)), "23:13");
        assert_eq!(berlin.ahead(t), 3_600_000);
        // In summer its clocks are two hours ahead.
        assert_eq!(
            berlin.clock_with_zone(Time::from_secs(1_690_000_000)),
            "06:26:40 CEST"
        );
        let kolkata = Zone::new(TimeZone::get("Asia/Kolkata").unwrap());
        assert_eq!(kolkata.moment(t), "15 Nov 03:43");
    }
}
