//! The Numenta Anomaly Benchmark's score, standard profile (Lavin & Ahmad 2015): a flag in a window earns more the earlier
//! it comes, a flag outside costs more the further it is from the window before it.

use super::judge::Judged;
use super::ranking::runs;
use crate::domain::Time;

/// Cost of a false flag; a missed window costs 1.
const FALSE_COST: f64 = 0.11;

/// What a flag on a row is worth, and the window it is in.
struct Worth {
    value: f64,
    window: Option<usize>,
}

/// What a series earned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Earned {
    /// Windows among the live rows.
    pub windows: usize,
    /// With every flagged row counted.
    pub rows: f64,
    /// With only the first row of each alarm counted.
    pub onset: f64,
}

/// NAB's scale: 100 is perfect, 0 is silence; `None` without windows.
pub(super) fn scaled(raw: f64, windows: usize) -> Option<f64> {
    (windows > 0).then(|| 100.0 * (raw + windows as f64) / (2.0 * windows as f64))
}

/// What the flags of a series earn. `alarms` are rows counted among the live ones; `windows` are first and last times, the
/// labelled events when they are not given.
pub(super) fn earned(
    series: &Judged<'_>,
    live: &[bool],
    alarms: &[(usize, usize)],
    windows: Option<&[(Time, Time)]>,
) -> Earned {
    let row = |time: Time| nearest(series.times, time);
    let rows = |windows: &[(Time, Time)]| {
        let ends = windows.iter();
        ends.map(|(from, to)| (row(*from), row(*to))).collect()
    };
    let windows = windows.map_or_else(|| runs(series.labels), rows);
    let worths = worths(series.times.len(), &windows);
    let live_rows: Vec<usize> = (0..live.len())
        .filter(|row| live.get(*row) == Some(&true))
        .collect();
    let onsets: Vec<usize> = alarms
        .iter()
        .filter_map(|(first, _)| live_rows.get(*first).copied())
        .collect();
    let flagged: Vec<usize> = live_rows
        .iter()
        .copied()
        .filter(|row| series.flags.get(*row) == Some(&true))
        .collect();
    let mut seen = vec![false; windows.len()];
    for window in live_rows.iter().filter_map(|row| worths.get(*row)?.window) {
        if let Some(slot) = seen.get_mut(window) {
            *slot = true;
        }
    }
    Earned {
        windows: seen.iter().filter(|seen| **seen).count(),
        rows: raw(&worths, &seen, &flagged),
        onset: raw(&worths, &seen, &onsets),
    }
}

/// Sum of what flags cost outside of windows, and of the best flag in each window that can be seen, −1 where there is none.
fn raw(worths: &[Worth], seen: &[bool], flagged: &[usize]) -> f64 {
    let mut best: Vec<Option<f64>> = vec![None; seen.len()];
    let mut sum = 0.0;
    for worth in flagged.iter().filter_map(|row| worths.get(*row)) {
        match worth.window.and_then(|window| best.get_mut(window)) {
            Some(slot) => *slot = Some(slot.map_or(worth.value, |b| b.max(worth.value))),
            None => sum += worth.value,
        }
    }
    let windows = best.iter().zip(seen).filter(|(_, seen)| **seen);
    sum + windows
        .map(|(best, _)| best.map_or(-1.0, |b| b.max(-1.0)))
        .sum::<f64>()
}

/// What a flag on each of `rows` rows is worth. `windows` are first and last rows.
fn worths(rows: usize, windows: &[(usize, usize)]) -> Vec<Worth> {
    let mut out: Vec<Worth> = (0..rows)
        .map(|_| Worth {
            value: -FALSE_COST,
            window: None,
        })
        .collect();
    let after = |out: &mut Vec<Worth>, before: (usize, usize), to: usize| {
        let width = (before.1 + 1).saturating_sub(before.0) as f64;
        let reach = (width - 1.0).max(1e-9);
        for (row, worth) in out.iter_mut().enumerate().take(to).skip(before.1 + 1) {
            worth.value = sigmoid((row - before.1) as f64 / reach) * FALSE_COST;
        }
    };
    let mut before = None;
    for (number, (first, last)) in windows.iter().enumerate() {
        if let Some(before) = before {
            after(&mut out, before, *first);
        }
        let width = (last + 1).saturating_sub(*first) as f64;
        for (row, worth) in out.iter_mut().enumerate().take(last + 1).skip(*first) {
            let ahead = (last + 1 - row) as f64 / width;
            worth.value = sigmoid(-ahead) / sigmoid(-1.0);
            worth.window = Some(number);
        }
        before = Some((*first, *last));
    }
    if let Some(before) = before {
        after(&mut out, before, rows);
    }
    out
}

/// NAB's scaled sigmoid of a position relative to a window: 1 at its start, 0 at its end, −1 far behind it.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 {
        -1.0
    } else {
        2.0 / (1.0 + (5.0 * position).exp()) - 1.0
    }
}

/// The row whose time is nearest, the earlier of two.
fn nearest(times: &[Time], to: Time) -> usize {
    let distance = |time: &Time| time.millis().abs_diff(to.millis());
    let rows = times.iter().enumerate();
    rows.min_by_key(|(_, time)| distance(time))
        .map_or(0, |(row, _)| row)
}
