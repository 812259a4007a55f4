//! In which order a file has its rows: one series in any order is put right, several series one after the other are refused.

use std::collections::HashMap;
use std::ops::Range;

use super::Recording;
use crate::source::SourceError;

/// Rows that pass through time together on average; shuffled rows pass through it two or three at a time.
const LONG_PASS: usize = 8;
/// Fewest rows that tell another series from a few rows that were written again.
const FEWEST: usize = 3;
/// How far a clock that is not UTC's goes back in autumn.
const CLOCK_CHANGE_MS: i64 = 3_600_000;

/// What a person should know of the order of rows.
///
/// # Errors
/// [`SourceError::File`] when the rows pass through the same times more than once with other values: they are of several
/// hosts or series, and one would hide the others.
pub(super) fn check(name: &str, recording: &Recording) -> Result<Option<String>, SourceError> {
    let times: Vec<i64> = recording.times.iter().map(|t| t.millis()).collect();
    let mut order: Vec<usize> = (0..times.len()).collect();
    let time = |row: usize| times.get(row).copied().unwrap_or_default();
    let rising = times.windows(2).fold(0_i64, |sum, pair| match pair {
        [a, b] => sum + (b - a).signum(),
        _ => sum,
    });
    if rising < 0 {
        order.reverse();
    }
    let passes = passes(&order, time);
    if passes.len() < 2 || passes.len() * LONG_PASS > order.len() {
        return Ok(None);
    }
    let step = step_within(&order, time);
    let values = &recording.values;
    let mut known: HashMap<i64, usize> = HashMap::with_capacity(order.len());
    let mut notice = None;
    let mut latest = i64::MIN;
    let first = order.first().map_or(0, |row| time(*row));
    for pass in passes {
        let rows = order.get(pass).unwrap_or_default();
        let other = |row: &&usize| {
            known
                .get(&time(**row).div_euclid(step))
                .is_some_and(|before| {
                    let same = |(a, b): (&f64, &f64)| {
                        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
                    };
                    let (a, b) = (values.row(*before), values.row(**row));
                    time(*before) != time(**row) || !a.iter().zip(b).all(same)
                })
        };
        let again = rows.iter().filter(other).count();
        let start = rows.first().map_or(0, |row| time(*row));
        let moment = crate::domain::Time::from_millis;
        if latest.saturating_sub(start) < CLOCK_CHANGE_MS && start > first {
            if again > 0 {
                notice = Some(format!(
                    "the times go back from {} to {}; if a clock was set back there, say whose it was with `source.timezone`",
                    moment(latest),
                    moment(start)
                ));
            }
        } else if again >= FEWEST && again * 2 >= rows.len() {
            return Err(SourceError::File(format!(
                "{name}: after {} the times go back to {}, and {again} of the {} rows from there on have other values at times \
                 that are there already; these are rows of several hosts or series, and a recording is of one: write a file \
                 for each, grouped by the column that tells them apart",
                moment(latest),
                moment(start),
                rows.len()
            )));
        }
        for row in rows {
            latest = latest.max(time(*row));
            known.entry(time(*row).div_euclid(step)).or_insert(*row);
        }
    }
    Ok(notice)
}

/// Stretches of `order` in which time never goes back.
fn passes(order: &[usize], time: impl Fn(usize) -> i64) -> Vec<Range<usize>> {
    let mut passes = Vec::new();
    let mut start = 0;
    for (at, pair) in order.windows(2).enumerate() {
        if let [a, b] = pair
            && time(*b) < time(*a)
        {
            passes.push(start..at + 1);
            start = at + 1;
        }
    }
    passes.push(start..order.len());
    passes
}

/// The usual distance of rows within passes, at least a millisecond.
fn step_within(order: &[usize], time: impl Fn(usize) -> i64) -> i64 {
    let mut gaps: Vec<i64> = order
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] => Some(time(*b) - time(*a)),
            _ => None,
        })
        .filter(|gap| *gap > 0)
        .collect();
    if gaps.is_empty() {
        return 1;
    }
    let middle = gaps.len() / 2;
    *gaps.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::domain::Time;

    const START: i64 = 1_780_000_200;

    /// Rows of minute and value.
    fn checked(rows: &[(i64, f64)]) -> Result<Option<String>, String> {
        let recording = Recording {
            times: rows
                .iter()
                .map(|(minute, _)| Time::from_secs(START + minute * 60))
                .collect(),
            columns: vec!["v".into()],
            values: Array2::from_shape_fn((rows.len(), 1), |(row, _)| rows[row].1),
        };
        check("f.csv", &recording).map_err(|e| e.to_string())
    }

    fn minutes(range: Range<i64>, offset: f64) -> Vec<(i64, f64)> {
        range.map(|m| (m, m as f64 + offset)).collect()
    }

    #[test]
    fn several_hosts_one_after_the_other_are_refused() {
        let hosts = [minutes(0..120, 0.0), minutes(0..120, 100.0)].concat();
        let said = checked(&hosts).unwrap_err();
        assert!(
            said.contains("120 of the 120 rows") && said.contains("a file for each"),
            "{said}"
        );
        let mut newest_first = hosts;
        newest_first.reverse();
        assert!(checked(&newest_first).is_err());
        // Half a minute apart, and the second one shorter.
        let mut apart = minutes(0..120, 0.0);
        let seconds = |m: i64| (m * 2, m as f64);
        apart = apart.iter().map(|(m, v)| (m * 2, *v)).collect();
        apart.extend((20..40).map(|m| (seconds(m).0 + 1, 500.0)));
        assert!(checked(&apart).is_err());
    }

    #[test]
    fn one_series_in_any_order_is_taken() {
        let mut rows = minutes(0..120, 0.0);
        rows.reverse();
        assert_eq!(checked(&rows), Ok(None));
        let shuffled: Vec<_> = (0..120).map(|n| (n * 77 % 120, 1.0)).collect();
        assert_eq!(checked(&shuffled), Ok(None));
        // Two files in the wrong order, and two that overlap with the same rows.
        let swapped = [minutes(60..120, 0.0), minutes(0..60, 0.0)].concat();
        assert_eq!(checked(&swapped), Ok(None));
        let overlapping = [minutes(0..80, 0.0), minutes(40..120, 0.0)].concat();
        assert_eq!(checked(&overlapping), Ok(None));
    }

    #[test]
    fn a_clock_that_was_set_back_is_said() {
        let autumn = [minutes(0..120, 0.0), minutes(61..200, 7.0)].concat();
        let said = checked(&autumn).unwrap().unwrap();
        assert!(said.contains("source.timezone"), "{said}");
    }
}
