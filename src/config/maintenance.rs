//! `[[detect.maintenance]]`: times in which nothing is an alarm, because somebody is at work or a job runs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds of a day on the clock.
const DAY: u32 = 86_400;

/// A time on the clock of some zone, in whole seconds since midnight; 24:00 is the midnight that ends the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock(u32);

impl Clock {
    /// Seconds since midnight, 0 to 86,400.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Reads `02:00`, `02:00:30` or `24:00`; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = [0_u32; 3];
        let mut given = 0;
        for part in text.split(':') {
            let slot = parts.get_mut(given)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            *slot = part.parse().ok()?;
            given += 1;
        }
        let [hours, minutes, seconds] = parts;
        let time = hours * 3600 + minutes * 60 + seconds;
        (given >= 2 && minutes < 60 && seconds < 60 && time <= DAY).then_some(Self(time))
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        write!(f, "{hours:02}:{minutes:02}")?;
        if seconds > 0 {
            write!(f, ":{seconds:02}")?;
        }
        Ok(())
    }
}

/// One end of a window: on the clock, every day that it is for, or once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowEnd {
    /// On the clock of the window's zone; in the file `"02:00"`.
    Clock(Clock),
    /// Once; in the file RFC 3339, such as `"2026-11-01T02:00:00Z"`.
    Moment(jiff::Timestamp),
}

impl Serialize for WindowEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Clock(clock) => serializer.collect_str(clock),
            Self::Moment(moment) => serializer.collect_str(moment),
        }
    }
}

impl<'de> Deserialize<'de> for WindowEnd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let clock = Clock::parse(text.trim()).map(Self::Clock);
        clock
            .or_else(|| text.trim().parse().ok().map(Self::Moment))
            .ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "`{text}` is neither a time on the clock nor a moment; write \"02:00\" for every day, or \"2026-11-01T02:00:00Z\" for once"
                ))
            })
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    #[serde(alias = "monday")]
    Mon,
    /// Tuesday.
    #[serde(alias = "tuesday")]
    Tue,
    /// Wednesday.
    #[serde(alias = "wednesday")]
    Wed,
    /// Thursday.
    #[serde(alias = "thursday")]
    Thu,
    /// Friday.
    #[serde(alias = "friday")]
    Fri,
    /// Saturday.
    #[serde(alias = "saturday")]
    Sat,
    /// Sunday.
    #[serde(alias = "sunday")]
    Sun,
}

impl Day {
    /// The same day in jiff's words.
    #[must_use]
    pub const fn weekday(self) -> jiff::civil::Weekday {
        use jiff::civil::Weekday;
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// One `[[detect.maintenance]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// What it is, for the reader of a verdict.
    #[serde(default = "unnamed")]
    pub name: String,
    /// Days on which a recurring window begins; all when empty.
    #[serde(default)]
    pub days: Vec<Day>,
    /// When it begins.
    pub start: WindowEnd,
    /// When it is over; a time on the clock at or before the start is the next day's.
    pub end: WindowEnd,
    /// IANA zone of the clock; that of `[preprocess]` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Queries that it is for; all when empty.
    #[serde(default)]
    pub queries: Vec<String>,
    /// Entities that it is for, `*` standing for any text; all when empty.
    #[serde(default)]
    pub entities: Vec<String>,
}

fn unnamed() -> String {
    "maintenance".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_read_and_shown() {
        for (text, seconds) in [
            ("00:00", 0),
            ("02:30", 9000),
            ("23:59:59", 86_399),
            ("24:00", DAY),
        ] {
            let clock = Clock::parse(text).unwrap();
            assert_eq!(
                (clock.seconds(), clock.to_string().as_str()),
                (seconds, text)
            );
        }
        for bad in [
            "",
            "2",
            "2:00",
            "02:60",
            "24:01",
            "02:00:00:00",
            "0a:00",
            "-1:00",
        ] {
            assert_eq!(Clock::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn windows_keep_their_words() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct File {
            maintenance: Vec<Maintenance>,
        }
        let text = r#"
            [[maintenance]]
            name = "backup"
            days = ["sat", "sunday"]
            start = "22:00"
            end = "04:00"
            timezone = "Europe/Berlin"
            [[maintenance]]
            start = "2026-11-01T00:00:00+01:00"
            end = "2026-11-01T06:00:00Z"
            queries = ["cpu"]
        "#;
        let read: File = toml::from_str(text).unwrap();
        assert_eq!(read.maintenance[0].days, [Day::Sat, Day::Sun]);
        assert_eq!(read.maintenance[1].name, "maintenance");
        let again: File = toml::from_str(&toml::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
        let error = toml::from_str::<File>("[[maintenance]]\nstart = \"2\"\nend = \"3:00\"");
        assert!(error.unwrap_err().to_string().contains("\"02:00\""));
    }
}
