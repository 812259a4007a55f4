//! How good scores and alarms are, judged against labels.
//!
//! Threshold-free measures speak of the scores: VUS-PR (Paparrizos et al. 2022, as in TSB-AD's `RangeAUC_volume_opt`) and
//! AUC-PR (average precision). The rest speaks of the flags as a person on call would: events found, false alarms a day,
//! how long it took, and NAB's standard profile (Lavin & Ahmad 2015). Nothing is point-adjusted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::nab;
use super::ranking::{average_precision, runs, vus_pr};
use crate::domain::Time;

/// One series to judge: four columns of equal length, rows in the order of time.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Times of the rows.
    pub times: &'a [Time],
    /// Which rows are anomalous.
    pub labels: &'a [bool],
    /// Scores, NaN where unscored: such a row ranks with the lowest score.
    pub scores: &'a [f64],
    /// Which rows were flagged.
    pub flags: &'a [bool],
}

/// How to judge. The defaults are those of the common evaluators.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeOptions {
    /// Rows before this are not judged (they were learned from); `None`: all are.
    pub from: Option<Time>,
    /// Length of a row; `None`: the median distance of the times.
    pub step: Option<Duration>,
    /// Runs of flags at most this many rows apart are one alarm.
    pub merge_gap: usize,
    /// Flags at most this many rows outside of an event are not false.
    pub tolerance: usize,
    /// Widest buffer around events, in rows, that VUS averages over.
    pub vus_window: usize,
    /// First and last time of NAB's windows; `None`: the labelled events are the windows.
    pub nab_windows: Option<Vec<(Time, Time)>>,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            from: None,
            step: None,
            merge_gap: 5,
            tolerance: 10,
            vus_window: 100,
            nab_windows: None,
        }
    }
}

/// Why nothing was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// The columns disagree.
    #[error(
        "cannot judge {times} times, {labels} labels, {scores} scores and {flags} flags; give one of each per row"
    )]
    Shape {
        /// Number of times.
        times: usize,
        /// Number of labels.
        labels: usize,
        /// Number of scores.
        scores: usize,
        /// Number of flags.
        flags: usize,
    },
    /// No row is left.
    #[error(
        "none of the {rows} rows is to be judged; the labels must reach past the training part"
    )]
    Empty {
        /// Rows given.
        rows: usize,
    },
}

/// The judgement of one series. A measure that the data does not allow (no event, nothing flagged) is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedReport {
    /// Rows judged.
    pub rows: usize,
    /// Days they span.
    pub days: f64,
    /// Part of them that has a score.
    pub coverage: f64,
    /// Labelled events: runs of anomalous rows.
    pub events: usize,
    /// Volume under the precision-recall surface, 0 to 1.
    pub vus_pr: Option<f64>,
    /// Average precision, 0 to 1.
    pub auc_pr: Option<f64>,
    /// Events with a flag in them.
    pub events_found: usize,
    /// Their part of all events.
    pub event_recall: Option<f64>,
    /// Events found, as a part of events found and false alarms.
    pub event_precision: Option<f64>,
    /// Alarms: runs of flags.
    pub alarms: usize,
    /// Alarms outside of all events.
    pub false_alarms: usize,
    /// The same a day.
    pub false_alarms_per_day: Option<f64>,
    /// Part of the normal rows that is flagged.
    pub false_flag_rate: f64,
    /// Median seconds from an event's start to its first flag, over the events found.
    pub delay_secs: Option<f64>,
    /// The same as a part of the event's length.
    pub delay_share: Option<f64>,
    /// Whether NAB's windows were given. They are the labelled events otherwise, for which the profile was not made.
    pub nab_given: bool,
    /// NAB's windows among the judged rows.
    pub nab_windows: usize,
    /// What NAB's profile sums up to with every flagged row counted: each window found earns up to 1 and one missed costs 1.
    pub nab_rows_raw: f64,
    /// The same with only the first row of each alarm counted.
    pub nab_onset_raw: f64,
    /// NAB score with every flagged row counted, as NAB does; 100 is perfect, 0 is silence.
    pub nab_rows: Option<f64>,
    /// NAB score with only the first row of each alarm counted.
    pub nab_onset: Option<f64>,
}

/// Judges one series.
///
/// # Errors
/// [`JudgeError`] when the columns differ in length or no row is left to judge.
pub fn judge(series: &Judged<'_>, options: &JudgeOptions) -> Result<JudgedReport, JudgeError> {
    check_lengths(series)?;
    let rows = series.times.len();
    let live: Vec<bool> = series
        .times
        .iter()
        .map(|time| options.from.is_none_or(|from| *time >= from))
        .collect();
    let labels = only(&live, series.labels);
    let flags = only(&live, series.flags);
    if labels.is_empty() {
        return Err(JudgeError::Empty { rows });
    }
    let scores = only(&live, &ranked(series.scores));
    let step = step(series.times, options.step);
    let days = labels.len() as f64 * step / 86400.0;
    let events = runs(&labels);
    let anomalous = labels.iter().filter(|l| **l).count();
    let rankable = anomalous > 0 && anomalous < labels.len();
    let alarms = joined(&runs(&flags), options.merge_gap);
    let flagged = Flagged::new(&events, &flags, options);
    let nab = nab::earned(series, &live, &alarms, options.nab_windows.as_deref());
    let found = flagged.delays.len();
    let seconds = |delay: &(usize, usize)| delay.0 as f64 * step;
    Ok(JudgedReport {
        rows: labels.len(),
        days,
        coverage: finite(&only(&live, series.scores)) as f64 / labels.len() as f64,
        events: events.len(),
        vus_pr: rankable.then(|| vus_pr(&labels, &scores, options.vus_window)),
        auc_pr: rankable.then(|| average_precision(&labels, &scores)),
        events_found: found,
        event_recall: part(found, events.len()),
        event_precision: part(found, found + flagged.false_alarms),
        alarms: alarms.len(),
        false_alarms: flagged.false_alarms,
        false_alarms_per_day: (days > 0.0).then(|| flagged.false_alarms as f64 / days),
        false_flag_rate: flagged.false_rows as f64 / flagged.normal_rows.max(1) as f64,
        delay_secs: median(flagged.delays.iter().map(seconds)),
        delay_share: median(
            flagged
                .delays
                .iter()
                .map(|(rows, of)| *rows as f64 / *of as f64),
        ),
        nab_given: options.nab_windows.is_some(),
        nab_windows: nab.windows,
        nab_rows_raw: nab.rows,
        nab_onset_raw: nab.onset,
        nab_rows: nab::scaled(nab.rows, nab.windows),
        nab_onset: nab::scaled(nab.onset, nab.windows),
    })
}

fn check_lengths(series: &Judged<'_>) -> Result<(), JudgeError> {
    let times = series.times.len();
    let (labels, scores, flags) = (series.labels.len(), series.scores.len(), series.flags.len());
    if [labels, scores, flags] == [times; 3] {
        return Ok(());
    }
    Err(JudgeError::Shape {
        times,
        labels,
        scores,
        flags,
    })
}

/// What the flags hit and missed.
struct Flagged {
    /// Rows to the first flag and length, of each event found.
    delays: Vec<(usize, usize)>,
    false_alarms: usize,
    false_rows: usize,
    normal_rows: usize,
}

impl Flagged {
    /// A false alarm is a run of flags outside of all events widened by the tolerance, so a flag that stays on long after an
    /// event counts once.
    fn new(events: &[(usize, usize)], flags: &[bool], options: &JudgeOptions) -> Self {
        let near = near(events, flags.len(), options.tolerance);
        let outside: Vec<bool> = flags
            .iter()
            .zip(&near)
            .map(|(f, near)| *f && !near)
            .collect();
        let delays = events.iter().filter_map(|(first, last)| {
            let event = flags.get(*first..=*last)?;
            let delay = event.iter().position(|flag| *flag)?;
            Some((delay, event.len()))
        });
        Self {
            delays: delays.collect(),
            false_alarms: joined(&runs(&outside), options.merge_gap).len(),
            false_rows: outside.iter().filter(|flag| **flag).count(),
            normal_rows: near.iter().filter(|near| !**near).count(),
        }
    }
}

/// Those of `values` whose row is live.
fn only<T: Copy>(live: &[bool], values: &[T]) -> Vec<T> {
    let rows = values.iter().zip(live);
    rows.filter(|(_, live)| **live)
        .map(|(value, _)| *value)
        .collect()
}

fn finite(scores: &[f64]) -> usize {
    scores.iter().filter(|s| s.is_finite()).count()
}

/// Scores with the lowest one in place of those that are no number; all 0 when none is.
fn ranked(scores: &[f64]) -> Vec<f64> {
    let finite = scores.iter().copied().filter(|s| s.is_finite());
    let lowest = finite.fold(f64::INFINITY, f64::min);
    let lowest = if lowest.is_finite() { lowest } else { 0.0 };
    let rank = |s: &f64| if s.is_finite() { *s } else { lowest };
    scores.iter().map(rank).collect()
}

/// Which of `rows` rows are in an event, or at most `tolerance` rows away from one.
pub(super) fn near(events: &[(usize, usize)], rows: usize, tolerance: usize) -> Vec<bool> {
    let mut near = vec![false; rows];
    for (first, last) in events {
        let from = first.saturating_sub(tolerance);
        let to = (last + tolerance + 1).min(rows);
        near.get_mut(from..to).unwrap_or_default().fill(true);
    }
    near
}

/// Runs at most `gap` rows apart, joined.
pub(super) fn joined(runs: &[(usize, usize)], gap: usize) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::with_capacity(runs.len());
    for (first, last) in runs {
        match out.last_mut() {
            Some(before) if first - before.1 <= gap + 1 => before.1 = *last,
            _ => out.push((*first, *last)),
        }
    }
    out
}

/// Seconds of a row.
fn step(times: &[Time], given: Option<Duration>) -> f64 {
    let distances = times
        .iter()
        .zip(times.iter().skip(1))
        .map(|(a, b)| b.as_secs_f64() - a.as_secs_f64());
    given.map_or_else(
        || median(distances).unwrap_or(0.0),
        |step| step.as_secs_f64(),
    )
}

pub(super) fn part(some: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}

/// The middle value, the mean of the two middle ones; `None` of nothing.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    sorted
        .get(middle - 1)
        .map(|lower| f64::midpoint(*lower, upper))
}
