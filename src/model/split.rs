//! Which windows are trained on and which are held back.

use crate::prep::window::{WindowSet, evenly};

/// Blocks that the held-back windows form, when there are enough windows for so many.
const BLOCKS: usize = 5;

/// Places of windows in a [`WindowSet`], ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Trained on.
    pub train: Vec<usize>,
    /// Held back: for early stopping and calibration.
    pub held_back: Vec<usize>,
}

/// Holds back the part `1 − train_part` of the windows (at least one, at most all but one) as blocks without a break,
/// spread evenly from the first window to the last, and leaves every window that shares a row with a held-back one out of
/// training: overlapping windows are nearly equal, and errors on them would look better than they are.
///
/// That purge costs up to two windows' length per block, so there are only as many blocks as keep it below a fifth of all
/// windows. With too few windows for one such block the newest are held back; with fewer than five windows' length of them
/// nothing is purged, and the held-back errors are on the kind side.
#[must_use]
pub fn split(windows: &WindowSet, train_part: f64) -> Split {
    let total = windows.len();
    let held = held_count(total, train_part);
    let blocks = (total / (10 * windows.window())).min(BLOCKS).min(held);
    let held_back: Vec<usize> = if blocks == 0 {
        (total - held..total).collect()
    } else {
        evenly(held, blocks)
            .into_iter()
            .enumerate()
            .flat_map(|(block, from)| {
                let to = (block + 1) * held / blocks;
                let middle = (2 * block + 1) * (total - held) / (2 * blocks);
                middle + from..middle + to
            })
            .collect()
    };
    let purge = total >= 5 * windows.window();
    let train = (0..total)
        .filter(|index| {
            let place = held_back.partition_point(|held| held < index);
            let after = held_back.get(place);
            let before = place.checked_sub(1).and_then(|p| held_back.get(p));
            let taken = after == Some(index);
            let shares =
                |other: Option<&usize>| other.is_some_and(|o| overlap(windows, *index, *o));
            !(taken || purge && (shares(before) || shares(after)))
        })
        .collect();
    Split { train, held_back }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to `total`.
fn held_count(total: usize, train_part: f64) -> usize {
    let wanted = ((1.0 - train_part.clamp(0.0, 1.0)) * total as f64).round() as usize;
    wanted.max(1).min(total.saturating_sub(1))
}

/// Whether two windows share a row.
fn overlap(windows: &WindowSet, one: usize, other: usize) -> bool {
    match (windows.start(one), windows.start(other)) {
        (Some((a, from)), Some((b, to))) => a == b && from.abs_diff(to) < windows.window(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prep::window::Segment;
    use ndarray::Array2;

    fn windows(rows: &[usize], window: usize) -> WindowSet {
        let segments = rows
            .iter()
            .map(|rows| Segment {
                values: Array2::zeros((*rows, 3)),
                observed: Array2::from_elem((*rows, 1), true),
                broken: vec![false; *rows],
            })
            .collect();
        WindowSet::new(segments, window, 0.5).unwrap()
    }

    fn none_overlap(windows: &WindowSet, split: &Split) -> bool {
        split
            .train
            .iter()
            .all(|t| split.held_back.iter().all(|h| !overlap(windows, *t, *h)))
    }

    #[test]
    fn blocks_are_spread_and_nothing_leaks() {
        let set = windows(&[1200, 819], 20);
        let split = split(&set, 0.8);
        assert_eq!((set.len(), split.held_back.len()), (1981, 396));
        assert!(none_overlap(&set, &split));
        let breaks = split
            .held_back
            .windows(2)
            .filter(|pair| pair[1] != pair[0] + 1)
            .count();
        assert_eq!(breaks, BLOCKS - 1);
        assert!(split.train.len() > 1300, "{}", split.train.len());
        assert!(split.held_back[0] > 100 && split.held_back[395] < 1900);
    }

    #[test]
    fn few_windows_hold_back_the_newest() {
        let set = windows(&[49], 10);
        let small = split(&set, 0.8);
        assert_eq!(small.held_back, (32..40).collect::<Vec<_>>());
        assert_eq!(small.train, (0..32).collect::<Vec<_>>());
        let set = windows(&[69], 10);
        let larger = split(&set, 0.8);
        assert_eq!(larger.held_back, (48..60).collect::<Vec<_>>());
        assert!(none_overlap(&set, &larger));
    }

    #[test]
    fn odd_parts_leave_something_on_both_sides() {
        let set = windows(&[6], 5);
        for part in [0.0, 1.0, -3.0, f64::NAN] {
            let split = split(&set, part);
            assert_eq!((split.train.len(), split.held_back.len()), (1, 1));
        }
        assert!(split(&windows(&[], 5), 0.8).train.is_empty());
    }
}
