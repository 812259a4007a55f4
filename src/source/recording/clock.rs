//! From what a clock showed to moments: rows follow each other in a file, and that tells the two passes of an hour apart
//! that comes twice.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::moment::{ASSUMED, Moment, Moments};
use crate::domain::Time;

/// What a row's time is so far.
#[derive(Clone, Copy)]
enum Found {
    At(i64),
    /// The clock showed it twice: the earlier and the later moment, in milliseconds.
    Twice(DateTime, i64, i64),
}

impl Found {
    fn first(&self) -> i64 {
        match self {
            Self::At(time) | Self::Twice(_, time, _) => *time,
        }
    }
}

/// The times of all rows, and what a person should know of them.
pub(super) fn resolve(moments: &Moments) -> (Vec<Time>, Vec<String>) {
    let (mut skipped, mut zoneless) = (0, 0);
    let mut found: Vec<Found> = Vec::with_capacity(moments.rows.len());
    for moment in &moments.rows {
        found.push(match moment {
            Moment::At(time) => Found::At(time.millis()),
            Moment::Wall(civil, number) => {
                zoneless += usize::from(*number == 0);
                let zone = moments.zone(*number);
                let zone = zone.map_or(TimeZone::UTC, |(_, zone)| zone.clone());
                let ambiguous = zone.to_ambiguous_timestamp(*civil);
                skipped += usize::from(matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }));
                let twice = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
                let earlier = ambiguous.earlier().map_or(0, Timestamp::as_millisecond);
                // Of a time that the clock skipped the later is the one that goes on from before.
                let later = ambiguous.later().map_or(earlier, Timestamp::as_millisecond);
                if twice {
                    Found::Twice(*civil, earlier, later)
                } else {
                    Found::At(later)
                }
            }
        });
    }
    settle(&mut found);
    let name = moments.zone(0).map_or(ASSUMED, |(name, _)| name);
    let mut notices = Vec::new();
    if zoneless > 0 && name == ASSUMED {
        notices.push(
            "times without a zone are taken as UTC; set `source.timezone` if they are another zone's".to_owned(),
        );
    }
    if skipped > 0 {
        notices.push(format!(
            "{skipped} rows have times that the clocks of {name} skip; is `source.timezone` right?"
        ));
    }
    let times = found.iter().map(|f| Time::from_millis(f.first()));
    (times.collect(), notices)
}

/// Decides which pass each time of an hour that comes twice belongs to.
fn settle(found: &mut [Found]) {
    let rising = found.windows(2).fold(0_i64, |sum, pair| match pair {
        [a, b] => sum + (b.first() - a.first()).signum(),
        _ => sum,
    }) >= 0;
    if !rising {
        found.reverse();
    }
    let mut at = 0;
    while at < found.len() {
        let twice = |f: &Found| matches!(f, Found::Twice(..));
        let rest = found.get(at..).unwrap_or_default();
        let Some(start) = rest.iter().position(twice) else {
            break;
        };
        let length = rest.iter().skip(start).take_while(|f| twice(f)).count();
        let run = at + start..at + start + length;
        let before = run
            .start
            .checked_sub(1)
            .and_then(|row| found.get(row))
            .map(Found::first);
        let after = found.get(run.end).map(Found::first);
        let rows = found.get_mut(run.clone()).unwrap_or_default();
        let second = second_pass(rows, before, after);
        for (row, slot) in rows.iter_mut().enumerate() {
            if let Found::Twice(_, earlier, later) = *slot {
                *slot = Found::At(if row < second { earlier } else { later });
            }
        }
        at = run.end;
    }
    if !rising {
        found.reverse();
    }
}

/// The first row of the second pass, in rows that rise with time; their number when all are of the first.
fn second_pass(rows: &[Found], before: Option<i64>, after: Option<i64>) -> usize {
    let clock = |row: usize| match rows.get(row) {
        Some(Found::Twice(civil, ..)) => Some(*civil),
        _ => None,
    };
    if let Some(back) = (1..rows.len()).find(|row| clock(*row) < clock(row - 1)) {
        return back;
    }
    // An hourly series shows the hour twice and nothing in between.
    if rows.len() == 2 && clock(0) == clock(1) {
        return 1;
    }
    // One pass only: the one that is nearer to the rows around it.
    let (Some(Found::Twice(_, _, later)), Some(last)) = (rows.first(), rows.last()) else {
        return rows.len();
    };
    let first_starts = rows.first().map_or(0, Found::first);
    let gap_first = before.map_or(0, |before| (first_starts - before).abs());
    let gap_second = after.map_or(i64::MAX, |after| {
        (after - (last.first() + (later - first_starts))).abs()
    });
    if gap_second < gap_first {
        0
    } else {
        rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reading;
    use super::*;

    fn seconds(zone: &str, texts: &[&str]) -> (Vec<i64>, Vec<String>) {
        let mut moments = Moments::new(&Reading {
            zone: TimeZone::get(zone).ok().filter(|_| zone != "UTC"),
            now: None,
        });
        for text in texts {
            let moment = moments.read(text).unwrap();
            moments.rows.push(moment);
        }
        let (times, notices) = resolve(&moments);
        (times.iter().map(|t| t.millis() / 1000).collect(), notices)
    }

    const NIGHT: [&str; 10] = [
        "2026-10-25 01:30",
        "2026-10-25 02:00",
        "2026-10-25 02:15",
        "2026-10-25 02:15",
        "2026-10-25 02:45",
        "2026-10-25 02:00",
        "2026-10-25 02:15",
        "2026-10-25 02:45",
        "2026-10-25 03:00",
        "2026-10-25 03:30",
    ];
    // 01:30 in Berlin is 23:30 of the day before.
    const START: i64 = 1_792_884_600;
    const MINUTES: [i64; 10] = [0, 30, 45, 45, 75, 90, 105, 135, 150, 180];

    #[test]
    fn the_hour_that_comes_twice_is_told_by_the_order_of_rows() {
        let wanted: Vec<i64> = MINUTES.iter().map(|m| START + m * 60).collect();
        let (times, notices) = seconds("Europe/Berlin", &NIGHT);
        assert_eq!((times, notices.len()), (wanted.clone(), 0));
        let mut turned = NIGHT;
        turned.reverse();
        let mut times = seconds("Europe/Berlin", &turned).0;
        times.reverse();
        assert_eq!(times, wanted);
        let beside: Vec<String> = NIGHT.map(|t| format!("{t}[Europe/Berlin]")).to_vec();
        let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
        assert_eq!(seconds("UTC", &beside).0, wanted);
    }

    #[test]
    fn one_pass_alone_is_the_nearer_one() {
        let hourly = [
            "2026-10-25 01:00",
            "2026-10-25 02:00",
            "2026-10-25 02:00",
            "2026-10-25 03:00",
        ];
        let distances = |texts: &[&str]| {
            let times = seconds("Europe/Berlin", texts).0;
            times
                .windows(2)
                .map(|w| (w[1] - w[0]) / 60)
                .collect::<Vec<_>>()
        };
        assert_eq!(distances(&hourly), [60, 60, 60]);
        assert_eq!(
            distances(&["2026-10-25 01:50", "2026-10-25 02:00", "2026-10-25 03:00"]),
            [10, 120]
        );
        assert_eq!(
            distances(&["2026-10-25 01:00", "2026-10-25 02:50", "2026-10-25 03:00"]),
            [170, 10]
        );
    }

    #[test]
    fn what_was_assumed_is_said() {
        let (times, notices) = seconds("UTC", &["2026-03-29 02:30"]);
        assert_eq!(times, [1_774_751_400]);
        assert!(notices[0].contains("source.timezone"), "{notices:?}");
        let (times, notices) = seconds("Europe/Berlin", &["2026-03-29 02:30"]);
        assert_eq!(times, [1_774_747_800]);
        assert!(notices[0].contains("Europe/Berlin skip"), "{notices:?}");
        assert!(
            seconds("UTC", &["2026-03-29T02:30:00Z", "1774751400"])
                .1
                .is_empty()
        );
    }
}
