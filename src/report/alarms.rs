//! Alarms one by one, by the rule that their counts go by.

use super::judge::{JudgeOptions, joined, near};
use super::ranking::runs;

/// A run of flagged rows, runs that are hardly apart joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// First flagged row.
    pub first: usize,
    /// Last flagged row.
    pub last: usize,
    /// The first event, of those counted from 0, that it is in or near enough to.
    pub event: Option<usize>,
    /// False alarms that it counts as: one when it is away from every event, and one for each run of flags that goes on
    /// away from its event.
    pub false_alarms: usize,
}

/// The alarms among rows in the order of time; `labels` says which rows are anomalous. False alarms add up to those of
/// [`super::judge::judge`] for the same rows.
#[must_use]
pub fn alarms(labels: &[bool], flags: &[bool], options: &JudgeOptions) -> Vec<Alarm> {
    let events = runs(labels);
    let near = near(&events, flags.len(), options.tolerance);
    let pairs = flags.iter().zip(&near);
    let outside: Vec<bool> = pairs.map(|(flag, near)| *flag && !near).collect();
    let outside = joined(&runs(&outside), options.merge_gap);
    joined(&runs(flags), options.merge_gap)
        .into_iter()
        .map(|(first, last)| Alarm {
            first,
            last,
            event: events.iter().position(|event| {
                first <= event.1 + options.tolerance && last + options.tolerance >= event.0
            }),
            false_alarms: outside
                .iter()
                .filter(|run| (first..=last).contains(&run.0))
                .count(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alarm_is_there_once_with_its_event_or_as_false() {
        let options = JudgeOptions {
            merge_gap: 1,
            tolerance: 2,
            ..JudgeOptions::default()
        };
        let mut labels = vec![false; 60];
        labels[10..15].fill(true);
        labels[40..45].fill(true);
        let mut flags = vec![false; 60];
        // Begins in an event and outlasts it, with a row in between that is not flagged.
        flags[12..24].fill(true);
        flags[18] = false;
        // Away from every event; just after one.
        flags[30] = true;
        flags[46] = true;
        let alarm = |first, last, event, false_alarms| Alarm {
            first,
            last,
            event,
            false_alarms,
        };
        assert_eq!(
            alarms(&labels, &flags, &options),
            [
                alarm(12, 23, Some(0), 1),
                alarm(30, 30, None, 1),
                alarm(46, 46, Some(1), 0),
            ]
        );
        assert!(alarms(&labels, &[false; 60], &options).is_empty());
    }
}
