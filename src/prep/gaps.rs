//! What stands in for missing values, and which rows are too far from an observed one to be used.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1};

use crate::config::Fill;

/// Which values a gap may be filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Only earlier ones: live scoring and backtests. A gap with nothing before it takes the fallback, a line across a gap
    /// becomes the last value held, and the rows of a gap are broken from the first one that lies more than `max_gap` in it.
    Back,
    /// Earlier and later ones: training.
    Both,
}

/// Values without holes, and what is true of them. All parts have the rows of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// `[rows, features]`, all finite.
    pub values: Array2<f64>,
    /// `[rows, features]`: the value was there and finite.
    pub observed: Array2<bool>,
    /// `[rows]`: no window may touch this row.
    pub broken: Vec<bool>,
}

/// Fills the gaps (non-finite cells) of `values` `[rows, features]`.
///
/// `fallback` holds one typical value per feature, from training ([`super::scale::Scaler::fallback`]); one that is missing or
/// not finite counts as 0. Gaps longer than `max_gap` rows are filled too, but their rows are `broken`; with
/// [`Fill::Drop`] and [`Fill::None`] every row with a gap is. A feature that is missing in all rows takes its fallback
/// and breaks no row: it is a masked feature, not a gap. For training a feature that came later than the others or went
/// before them is no gap either: it must not take their rows away.
///
/// With [`Look::Back`] row `i` depends on rows `0..=i` alone, except for which features count as wholly missing.
#[must_use]
pub fn fill(
    values: ArrayView2<'_, f64>,
    policy: Fill,
    look: Look,
    max_gap: usize,
    fallback: &[f64],
) -> Filled {
    let mut gaps = Gaps::new(values, policy, look, max_gap);
    let mut filled = values.to_owned();
    for (feature, mut column) in filled.columns_mut().into_iter().enumerate() {
        let seen = gaps.observed.column(feature);
        let fallback = fallback
            .get(feature)
            .copied()
            .filter(|v| v.is_finite())
            .unwrap_or(0.0);
        if !seen.iter().any(|s| *s) {
            column.fill(fallback);
            continue;
        }
        for (from, to) in runs(seen) {
            let whole = (0, gaps.empty.len());
            fill_run(&mut column, (from, to), whole, (policy, look), fallback);
            for (part, island) in gaps.pieces(from, to) {
                fill_run(&mut column, part, island, (policy, look), fallback);
            }
            gaps.break_rows(from, to);
        }
    }
    Filled {
        values: filled,
        observed: gaps.observed,
        broken: gaps.broken,
    }
}

/// Which cells of `values` `[rows, features]` were observed, and which rows no window may touch: what [`fill`] says of them,
/// for whoever needs no filled values.
#[must_use]
pub fn find(
    values: ArrayView2<'_, f64>,
    policy: Fill,
    look: Look,
    max_gap: usize,
) -> (Array2<bool>, Vec<bool>) {
    let mut gaps = Gaps::new(values, policy, look, max_gap);
    for feature in 0..values.ncols() {
        let seen = gaps.observed.column(feature);
        if seen.iter().any(|s| *s) {
            for (from, to) in runs(seen) {
                gaps.break_rows(from, to);
            }
        }
    }
    (gaps.observed, gaps.broken)
}

/// What was observed, and the rows that gaps break.
struct Gaps {
    policy: Fill,
    look: Look,
    max_gap: usize,
    observed: Array2<bool>,
    /// Rows in which nothing was observed.
    empty: Vec<bool>,
    /// Rows between those in which nothing was observed for longer than a gap may be, for training: each such stretch is
    /// treated as it would be alone, however much nothing lies before or after it.
    islands: Vec<(usize, usize)>,
    broken: Vec<bool>,
}

impl Gaps {
    fn new(values: ArrayView2<'_, f64>, policy: Fill, look: Look, max_gap: usize) -> Self {
        let observed = values.mapv(f64::is_finite);
        let rows = observed.rows().into_iter();
        let empty: Vec<bool> = rows.map(|row| !row.iter().any(|seen| *seen)).collect();
        Self {
            islands: islands(&empty, max_gap),
            policy,
            look,
            max_gap,
            observed,
            empty,
            broken: vec![false; values.nrows()],
        }
    }

    /// Takes a gap `from..to` of one column.
    fn break_rows(&mut self, from: usize, to: usize) {
        if matches!(self.policy, Fill::Drop | Fill::None) {
            self.broken[from..to].fill(true);
            return;
        }
        if self.look == Look::Back {
            let first = from.saturating_add(self.max_gap).min(to);
            self.broken[first..to].fill(true);
            return;
        }
        let mut broken = std::mem::take(&mut self.broken);
        let mut done = from;
        for island in self.islands_within(from, to) {
            let (first, end) = (from.max(island.0), to.min(island.1));
            broken[done..first].fill(true);
            done = end;
            let outside = first == island.0 || end == island.1;
            if end - first > self.max_gap {
                for (broken, empty) in broken[first..end].iter_mut().zip(&self.empty[first..end]) {
                    *broken |= !outside || *empty;
                }
            }
        }
        broken[done..to].fill(true);
        self.broken = broken;
    }

    fn islands_within(&self, from: usize, to: usize) -> &[(usize, usize)] {
        let first = self.islands.partition_point(|island| island.1 <= from);
        let last = self.islands.partition_point(|island| island.0 < to);
        &self.islands[first..last.max(first)]
    }

    /// The parts of a gap `from..to` that begin or end with an island and not with the gap, with their islands.
    fn pieces(&self, from: usize, to: usize) -> Vec<((usize, usize), (usize, usize))> {
        if self.look == Look::Back {
            return Vec::new();
        }
        let islands = self.islands_within(from, to).iter();
        islands
            .map(|island| ((from.max(island.0), to.min(island.1)), *island))
            .filter(|(part, _)| *part != (from, to))
            .collect()
    }
}

/// Stretches of rows that are not in a run of more than `max_gap` rows in which nothing was observed.
fn islands(empty: &[bool], max_gap: usize) -> Vec<(usize, usize)> {
    let (mut islands, mut start) = (Vec::new(), 0);
    let mut row = 0;
    for run in empty.chunk_by(|a, b| a == b) {
        let end = row + run.len();
        if run.first() == Some(&true) && run.len() > max_gap {
            if row > start {
                islands.push((start, row));
            }
            start = end;
        }
        row = end;
    }
    if row > start {
        islands.push((start, row));
    }
    islands
}

/// The gaps of a column as half-open row ranges, in order.
fn runs(seen: ArrayView1<'_, bool>) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut start = None;
    for (row, seen) in seen.iter().enumerate() {
        match (seen, start) {
            (false, None) => start = Some(row),
            (true, Some(from)) => {
                runs.push((from, row));
                start = None;
            }
            _ => {}
        }
    }
    runs.extend(start.map(|from| (from, seen.len())));
    runs
}

/// Fills one gap from the rows beside it within `bounds`; the row before it is filled already and the row after it was
/// observed.
fn fill_run(
    column: &mut ArrayViewMut1<'_, f64>,
    (from, to): (usize, usize),
    bounds: (usize, usize),
    (policy, look): (Fill, Look),
    fallback: f64,
) {
    let before = (from > bounds.0).then(|| column[from - 1]);
    let after = match look {
        Look::Both => (to < bounds.1).then(|| column[to]),
        Look::Back => None,
    };
    let span = (to - from + 1) as f64;
    for row in from..to {
        column[row] = match (policy, before, after) {
            (Fill::Mean | Fill::Median, _, _) | (_, None, None) => fallback,
            (Fill::Linear, Some(left), Some(right)) => {
                let part = (row - from + 1) as f64 / span;
                left * (1.0 - part) + right * part
            }
            (_, Some(value), _) | (_, None, Some(value)) => value,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, array};

    const X: f64 = f64::NAN;

    fn column(values: &[f64]) -> Array2<f64> {
        Array2::from_shape_vec((values.len(), 1), values.to_vec()).unwrap()
    }

    fn filled(values: &[f64], policy: Fill, look: Look) -> (Vec<f64>, Vec<bool>) {
        let filled = fill(column(values).view(), policy, look, 2, &[9.0]);
        (filled.values.into_raw_vec_and_offset().0, filled.broken)
    }

    #[test]
    fn gaps_are_found_as_they_are_filled() {
        let rows = array![
            [X, X, X],
            [1.0, X, X],
            [X, X, X],
            [X, 2.0, X],
            [X, X, X],
            [X, X, X],
            [5.0, X, X],
            [X, X, X]
        ];
        for policy in [Fill::FfillBfill, Fill::Linear, Fill::Drop, Fill::None] {
            for look in [Look::Back, Look::Both] {
                for max_gap in [0, 2, 5] {
                    let filled = fill(rows.view(), policy, look, max_gap, &[]);
                    let found = find(rows.view(), policy, look, max_gap);
                    assert_eq!(found, (filled.observed, filled.broken));
                }
            }
        }
    }

    #[test]
    fn each_policy_looking_both_ways() {
        let rows = [X, 1.0, X, X, 4.0, X];
        for (policy, expected) in [
            (Fill::FfillBfill, [1.0, 1.0, 1.0, 1.0, 4.0, 4.0]),
            (Fill::Linear, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]),
            (Fill::Mean, [9.0, 1.0, 9.0, 9.0, 4.0, 9.0]),
            (Fill::Median, [9.0, 1.0, 9.0, 9.0, 4.0, 9.0]),
        ] {
            assert_eq!(
                filled(&rows, policy, Look::Both),
                (expected.to_vec(), vec![false; 6])
            );
        }
        for policy in [Fill::Drop, Fill::None] {
            let (values, broken) = filled(&rows, policy, Look::Both);
            assert!(values.iter().all(|v| v.is_finite()));
            assert_eq!(broken, [true, false, true, true, false, true]);
        }
    }

    #[test]
    fn looking_back_never_uses_what_comes_later() {
        let rows = [X, 1.0, X, X, X, 4.0];
        for policy in [Fill::FfillBfill, Fill::Linear] {
            let (values, broken) = filled(&rows, policy, Look::Back);
            assert_eq!(values, [9.0, 1.0, 1.0, 1.0, 1.0, 4.0]);
            assert_eq!(broken, [false, false, false, false, true, false]);
        }
    }

    #[test]
    fn a_long_gap_breaks_all_its_rows_in_training() {
        let (values, broken) = filled(&[1.0, X, X, X, 4.0], Fill::FfillBfill, Look::Both);
        assert_eq!(values, [1.0, 1.0, 1.0, 1.0, 4.0]);
        assert_eq!(broken, [false, true, true, true, false]);
    }

    #[test]
    fn a_feature_without_any_value_is_masked_not_broken() {
        let values = array![[1.0, X], [X, f64::INFINITY], [3.0, X]];
        let filled = fill(
            values.view(),
            Fill::FfillBfill,
            Look::Both,
            5,
            &[0.0, f64::NAN],
        );
        assert_eq!(filled.values, array![[1.0, 0.0], [1.0, 0.0], [3.0, 0.0]]);
        assert_eq!(
            filled.observed,
            array![[true, false], [false, false], [true, false]]
        );
        assert_eq!(filled.broken, [false; 3]);
    }

    #[test]
    fn a_feature_that_came_late_or_went_early_takes_no_rows_from_the_others() {
        let rows = array![
            [X, X],
            [1.0, X],
            [2.0, X],
            [3.0, X],
            [4.0, 7.0],
            [X, 8.0],
            [X, 9.0],
            [X, 9.0]
        ];
        let both = |policy| fill(rows.view(), policy, Look::Both, 2, &[0.0, 0.0]);
        let filled = both(Fill::FfillBfill);
        assert_eq!(
            filled.values.column(1).to_vec(),
            [7.0, 7.0, 7.0, 7.0, 7.0, 8.0, 9.0, 9.0]
        );
        let nobody_was_there = [true, false, false, false, false, false, false, false];
        assert_eq!(filled.broken, nobody_was_there);
        assert_eq!(
            both(Fill::None).broken,
            [true, true, true, true, false, true, true, true]
        );
    }

    /// However much nothing lies before, after or between rows, they are filled and broken as they would be alone.
    #[test]
    fn rows_among_nothing_are_treated_as_if_they_were_alone() {
        let rows = array![
            [1.0, X],
            [2.0, X],
            [X, X],
            [3.0, X],
            [4.0, 7.0],
            [5.0, X],
            [X, 8.0],
            [X, 9.0],
            [X, 10.0],
            [6.0, X]
        ];
        let nothing = Array2::from_elem((50, 2), X);
        let old = array![[100.0, 200.0]];
        for policy in [Fill::FfillBfill, Fill::Linear, Fill::Median, Fill::Drop] {
            for max_gap in [1, 2, 5] {
                let alone = fill(rows.view(), policy, Look::Both, max_gap, &[0.0, 0.5]);
                let views = [old.view(), nothing.view(), rows.view(), nothing.view()];
                let all = [&views[..], &views[2..3]].concat();
                let whole = ndarray::concatenate(Axis(0), &all).unwrap();
                let filled = fill(whole.view(), policy, Look::Both, max_gap, &[0.0, 0.5]);
                for first in [51, 111] {
                    let own = first..first + rows.nrows();
                    assert_eq!(
                        filled.values.slice(ndarray::s![own.clone(), ..]),
                        alone.values
                    );
                    assert_eq!(filled.broken[own], alone.broken, "{policy:?} {max_gap}");
                }
                assert!(!filled.broken[0] || max_gap == 0);
                assert!(filled.broken[1..51].iter().all(|broken| *broken));
            }
        }
    }

    #[test]
    fn no_rows_and_no_columns_are_fine() {
        let none = Array2::<f64>::zeros((0, 3));
        assert!(
            fill(none.view(), Fill::Linear, Look::Both, 5, &[])
                .broken
                .is_empty()
        );
        let bare = Array2::<f64>::zeros((3, 0));
        assert_eq!(
            fill(bare.view(), Fill::Drop, Look::Back, 5, &[]).broken,
            [false; 3]
        );
    }
}
