//! When maintenance holds: windows on the clock of a zone, and windows that are there once.
//!
//! A recurring window belongs to the day that it begins on, also when it passes midnight. On days whose clock changes it is
//! never shorter than the clock says: of a time that the clock shows twice the first begins it and the second ends it, and a
//! start that the clock skips is the moment of the skip.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::config::{Maintenance, WindowEnd};
use crate::domain::{Entity, Time};

/// A window's zone that is not known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "maintenance window `{window}`: there is no time zone `{zone}` ({reason}); write an IANA name such as \"Europe/Berlin\""
)]
pub struct ZoneError {
    /// Name of the window.
    pub window: String,
    /// The zone.
    pub zone: String,
    /// What jiff says.
    pub reason: String,
}

/// A window that holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding<'a> {
    /// What it is.
    pub name: &'a str,
    /// When it is over: the first moment after it.
    pub until: Time,
    /// Queries that it is for; all when empty.
    pub queries: &'a [String],
}

impl Holding<'_> {
    /// Whether it is for a query.
    #[must_use]
    pub fn covers(&self, query: &str) -> bool {
        covers(self.queries, query)
    }
}

/// Whether a list of queries, all when empty, has this one.
pub(super) fn covers(queries: &[String], query: &str) -> bool {
    queries.is_empty() || queries.iter().any(|name| name == query)
}

/// When a window holds.
#[derive(Clone, Debug)]
enum When {
    /// From one second of the clock to another, on days that begin it; all when there are none.
    Daily {
        days: Vec<Weekday>,
        start: u32,
        end: u32,
        zone: TimeZone,
    },
    Once {
        start: Timestamp,
        end: Timestamp,
    },
}

#[derive(Clone, Debug)]
struct Window {
    name: String,
    when: When,
    queries: Vec<String>,
    entities: Vec<String>,
}

/// The maintenance windows of a configuration. Pure: the moment asked about comes from outside.
#[derive(Clone, Debug, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// The windows of `[[detect.maintenance]]`; those without a zone of their own go by `zone`. One whose ends are of two
    /// kinds, which validation refuses, never holds.
    ///
    /// # Errors
    /// [`ZoneError`] when a zone is not known here.
    pub fn new(windows: &[Maintenance], zone: &TimeZone) -> Result<Self, ZoneError> {
        let mut known = Vec::new();
        for window in windows {
            let when = match (window.start, window.end) {
                (WindowEnd::Clock(start), WindowEnd::Clock(end)) => When::Daily {
                    days: window.days.iter().map(|day| day.weekday()).collect(),
                    start: start.seconds(),
                    end: end.seconds(),
                    zone: own_zone(window, zone)?,
                },
                (WindowEnd::Moment(start), WindowEnd::Moment(end)) => When::Once { start, end },
                _ => continue,
            };
            known.push(Window {
                name: window.name.clone(),
                when,
                queries: window.queries.clone(),
                entities: window.entities.clone(),
            });
        }
        Ok(Self(known))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The windows that hold for an entity at `time`.
    pub fn holding(&self, time: Time, entity: &Entity) -> impl Iterator<Item = Holding<'_>> {
        let now = Timestamp::from_millisecond(time.millis()).ok();
        let of_entity = |window: &&Window| {
            window.entities.is_empty() || window.entities.iter().any(|p| is_like(entity.name(), p))
        };
        self.0
            .iter()
            .filter(move |window| of_entity(window))
            .filter_map(move |window| {
                Some(Holding {
                    name: &window.name,
                    until: Time::from_millis(window.when.until(now?)?.as_millisecond()),
                    queries: &window.queries,
                })
            })
    }

    /// Whether an entity's samples of `query` at `time` are of a maintenance; without a query, whether all of the
    /// entity's are. For whoever learns from rows: such ones say nothing about normal times.
    #[must_use]
    pub fn is_maintenance(&self, time: Time, entity: &Entity, query: Option<&str>) -> bool {
        self.holding(time, entity).any(|holding| match query {
            Some(query) => holding.covers(query),
            None => holding.queries.is_empty(),
        })
    }
}

fn own_zone(window: &Maintenance, default: &TimeZone) -> Result<TimeZone, ZoneError> {
    let Some(zone) = &window.timezone else {
        return Ok(default.clone());
    };
    TimeZone::get(zone).map_err(|error| ZoneError {
        window: window.name.clone(),
        zone: zone.clone(),
        reason: error.to_string(),
    })
}

impl When {
    /// The end of the window that holds at `now`; `None` when none does.
    fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let (days, start, end, zone) = match self {
            Self::Once { start, end } => return (*start <= now && now < *end).then_some(*end),
            Self::Daily {
                days,
                start,
                end,
                zone,
            } => (days, *start, *end, zone),
        };
        let today = zone.to_datetime(now).date();
        let over = u32::from(end <= start);
        // It may have begun yesterday, or the day before by a clock that jumped.
        [
            today,
            today.yesterday().ok()?,
            today.saturating_sub(2.days()),
        ]
        .into_iter()
        .filter(|day| days.is_empty() || days.contains(&day.weekday()))
        .filter_map(|day| {
            let begins = first(zone, on_clock(day, start)?)?;
            let ends = last(zone, on_clock(day, end + over * 86_400)?)?;
            (begins <= now && now < ends).then_some(ends)
        })
        .max()
    }
}

/// So many seconds of the clock after the midnight that begins `day`.
fn on_clock(day: Date, seconds: u32) -> Option<DateTime> {
    day.to_datetime(jiff::civil::Time::midnight())
        .checked_add(SignedDuration::from_secs(i64::from(seconds)))
        .ok()
}

/// The first moment at which the clock shows `clock` or more.
fn first(zone: &TimeZone, clock: DateTime) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(clock);
    match found.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => found.earlier().ok(),
        AmbiguousOffset::Gap { .. } => {
            let after = found.later().ok()?;
            // It looks before the moment itself, which may be the skip.
            let skip = zone.preceding(after + 1.second()).next();
            Some(skip.map_or(after, |skip| skip.timestamp()))
        }
    }
}

/// The last moment at which the clock shows `clock`; one that it skips is as far after the skip as it would have been.
fn last(zone: &TimeZone, clock: DateTime) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(clock).later().ok()
}

/// Whether `pattern`, in which `*` stands for any text, fits the whole of `name`.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let head = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(tail) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(text: &str) -> Windows {
        #[derive(serde::Deserialize)]
        struct File {
            maintenance: Vec<Maintenance>,
        }
        let file: File = toml::from_str(&format!("[[maintenance]]\n{text}")).unwrap();
        Windows::new(&file.maintenance, &TimeZone::UTC).unwrap()
    }

    fn at(moment: &str) -> Time {
        let moment: Timestamp = moment.parse().unwrap();
        Time::from_millis(moment.as_millisecond())
    }

    /// The end of what holds at a moment, or nothing.
    fn until(windows: &Windows, moment: &str) -> String {
        let holding = windows.holding(at(moment), &Entity::sole()).next();
        holding.map_or(String::new(), |h| h.until.to_string())
    }

    #[test]
    fn a_window_passes_midnight_and_belongs_to_the_day_it_begins() {
        // 2026-01-03 is a Saturday.
        let night = windows("days = [\"sat\"]\nstart = \"22:00\"\nend = \"04:00\"");
        for (moment, end) in [
            ("2026-01-03T21:59:59Z", ""),
            ("2026-01-03T22:00:00Z", "2026-01-04T04:00:00Z"),
            ("2026-01-04T03:59:59Z", "2026-01-04T04:00:00Z"),
            ("2026-01-04T04:00:00Z", ""),
            ("2026-01-04T23:00:00Z", ""),
            ("2026-01-03T01:00:00Z", ""),
        ] {
            assert_eq!(until(&night, moment), end, "{moment}");
        }
        let day = windows("days = [\"sun\"]\nstart = \"00:00\"\nend = \"24:00\"");
        assert_eq!(until(&day, "2026-01-04T00:00:00Z"), "2026-01-05T00:00:00Z");
        assert_eq!(until(&day, "2026-01-04T23:59:59Z"), "2026-01-05T00:00:00Z");
        assert_eq!(until(&day, "2026-01-05T00:00:00Z"), "");
    }

    #[test]
    fn on_days_whose_clock_changes_a_window_is_never_shorter_than_the_clock_says() {
        let berlin = |start: &str, end: &str| {
            windows(&format!(
                "start = \"{start}\"\nend = \"{end}\"\ntimezone = \"Europe/Berlin\""
            ))
        };
        // 2026-03-29: the clock jumps from 02:00 to 03:00 at 01:00Z. 2026-10-25: it goes from 03:00 back to 02:00 at 01:00Z.
        for (window, moment, end) in [
            // One hour of real time is left of two on the clock.
            (("02:00", "04:00"), "2026-03-29T00:59:59Z", ""),
            (
                ("02:00", "04:00"),
                "2026-03-29T01:00:00Z",
                "2026-03-29T02:00:00Z",
            ),
            (("02:00", "04:00"), "2026-03-29T02:00:00Z", ""),
            // A start that is skipped is the skip; an end that is skipped comes as long after it.
            (
                ("02:30", "04:00"),
                "2026-03-29T01:00:00Z",
                "2026-03-29T02:00:00Z",
            ),
            (
                ("01:00", "02:30"),
                "2026-03-29T01:29:59Z",
                "2026-03-29T01:30:00Z",
            ),
            (
                ("02:15", "02:45"),
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:45:00Z",
            ),
            // Three hours of real time for two on the clock.
            (
                ("02:00", "04:00"),
                "2026-10-25T00:00:00Z",
                "2026-10-25T03:00:00Z",
            ),
            (
                ("02:00", "04:00"),
                "2026-10-25T02:59:59Z",
                "2026-10-25T03:00:00Z",
            ),
            (("02:00", "04:00"), "2026-10-25T03:00:00Z", ""),
            // An end that the clock shows twice is the second.
            (
                ("02:00", "02:30"),
                "2026-10-25T01:20:00Z",
                "2026-10-25T01:30:00Z",
            ),
            // Over midnight into such a day.
            (
                ("23:00", "04:00"),
                "2026-10-25T02:30:00Z",
                "2026-10-25T03:00:00Z",
            ),
            (("23:00", "04:00"), "2026-03-29T02:00:00Z", ""),
            // Any other day.
            (
                ("02:00", "04:00"),
                "2026-07-01T00:00:00Z",
                "2026-07-01T02:00:00Z",
            ),
            (("02:00", "04:00"), "2026-12-01T00:59:59Z", ""),
        ] {
            assert_eq!(
                until(&berlin(window.0, window.1), moment),
                end,
                "{window:?} {moment}"
            );
        }
    }

    #[test]
    fn a_window_is_for_its_queries_and_entities() {
        let some = windows(
            "name = \"migration\"\nstart = \"2026-11-01T00:00:00Z\"\nend = \"2026-11-01T06:00:00Z\"\n\
             queries = [\"cpu\"]\nentities = [\"db-*\", \"web\"]",
        );
        let noon = at("2026-11-01T05:00:00Z");
        let asked = |name: &str, query| some.is_maintenance(noon, &Entity::named(name), query);
        assert!(asked("db-1", Some("cpu")) && asked("web", Some("cpu")));
        assert!(!asked("web-1", Some("cpu")) && !asked("db-1", Some("memory")));
        assert!(!asked("db-1", None), "not all of it");
        let late = at("2026-11-01T06:00:00Z");
        assert!(!some.is_maintenance(late, &Entity::named("db-1"), Some("cpu")));
        let all = windows("start = \"2026-11-01T00:00:00Z\"\nend = \"2026-11-01T06:00:00Z\"");
        assert!(all.is_maintenance(noon, &Entity::sole(), None));
        assert!(all.is_maintenance(noon, &Entity::sole(), Some("cpu")));
        assert!(!all.is_empty() && Windows::default().is_empty());
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (name, pattern, fits) in [
            ("db-1", "db-*", true),
            ("db-1", "*1", true),
            ("db-1", "d*-*", true),
            ("db-1", "*", true),
            ("", "*", true),
            ("", "", true),
            ("db-1", "db", false),
            ("db-1", "*2", false),
            ("aa", "a*a*a", false),
            ("axbxc", "a*b*c", true),
        ] {
            assert_eq!(is_like(name, pattern), fits, "{name} {pattern}");
        }
    }

    #[test]
    fn a_zone_that_is_not_there_is_said() {
        let window = Maintenance {
            name: "backup".into(),
            days: Vec::new(),
            start: WindowEnd::Moment(Timestamp::UNIX_EPOCH),
            end: WindowEnd::Moment(Timestamp::UNIX_EPOCH),
            timezone: Some("Mars/Base".into()),
            queries: Vec::new(),
            entities: Vec::new(),
        };
        assert!(
            own_zone(&window, &TimeZone::UTC)
                .unwrap_err()
                .to_string()
                .contains("Mars/Base")
        );
    }
}
