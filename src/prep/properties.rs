//! Properties that hold for any data: grids, gaps, scalers, windows.

use std::time::Duration;

use ndarray::{Array2, s};
use proptest::prelude::*;

use super::gaps::{self, Look};
use super::scale::{LIMIT, Scaler};
use super::window::{Segment, WindowSet};
use crate::config::{Fill, ScalerKind};
use crate::domain::{Grid, Time};

fn policies() -> impl Strategy<Value = Fill> {
    prop::sample::select(vec![
        Fill::FfillBfill,
        Fill::Linear,
        Fill::Mean,
        Fill::Median,
        Fill::Drop,
        Fill::None,
    ])
}

fn kinds() -> impl Strategy<Value = ScalerKind> {
    prop::sample::select(vec![
        ScalerKind::Minmax,
        ScalerKind::Standard,
        ScalerKind::Robust,
    ])
}

/// Up to 40 rows and 3 columns, some cells missing.
fn holed() -> impl Strategy<Value = Array2<f64>> {
    (1_usize..40, 1_usize..4).prop_flat_map(|(rows, columns)| {
        prop::collection::vec(
            prop_oneof![2 => -1e6..1e6, 1 => Just(f64::NAN)],
            rows * columns,
        )
        .prop_map(move |cells| Array2::from_shape_vec((rows, columns), cells).unwrap())
    })
}

proptest! {
    #[test]
    fn grids_cover_what_they_say(from in -1_000_000_i64..1_000_000, span in 0_i64..500_000, step in 1_u64..5_000) {
        let to = from + span;
        let grid = Grid::covering(Time::from_millis(from), Time::from_millis(to), Duration::from_millis(step));
        let signed = i64::try_from(step).unwrap();
        for (row, time) in grid.times().enumerate() {
            prop_assert!(time.millis() >= from && time.millis() <= to);
            prop_assert_eq!(time.millis().rem_euclid(signed), 0);
            prop_assert_eq!(grid.row(time), Some(row));
        }
        let possible = to.div_euclid(signed) - (from - 1).div_euclid(signed);
        prop_assert_eq!(i64::try_from(grid.len()).unwrap(), possible);
    }

    #[test]
    fn filling_keeps_what_was_observed(values in holed(), policy in policies(), back: bool, max_gap in 0_usize..6) {
        let look = if back { Look::Back } else { Look::Both };
        let filled = gaps::fill(values.view(), policy, look, max_gap, &[1.0, 2.0, 3.0]);
        prop_assert!(filled.values.iter().all(|v| v.is_finite()));
        for (cell, raw) in values.indexed_iter() {
            prop_assert_eq!(filled.observed[cell], raw.is_finite());
            if raw.is_finite() {
                prop_assert_eq!(filled.values[cell].to_bits(), raw.to_bits());
            }
        }
        for (row, broken) in filled.broken.iter().enumerate() {
            prop_assert!(!broken || filled.observed.row(row).iter().any(|seen| !seen));
        }
    }

    #[test]
    fn looking_back_is_causal(values in holed(), policy in policies(), max_gap in 0_usize..6, cut in 1_usize..40) {
        let cut = cut.min(values.nrows());
        let head = values.slice(s![..cut, ..]);
        let seen = |c: usize| head.column(c).iter().any(|v| v.is_finite());
        prop_assume!((0..values.ncols()).all(seen));
        let all = gaps::fill(values.view(), policy, Look::Back, max_gap, &[1.0, 2.0, 3.0]);
        let early = gaps::fill(head, policy, Look::Back, max_gap, &[1.0, 2.0, 3.0]);
        prop_assert_eq!(all.values.slice(s![..cut, ..]), early.values.view());
        prop_assert_eq!(&all.broken[..cut], &early.broken[..]);
    }

    #[test]
    fn scaling_there_and_back(values in holed(), kind in kinds()) {
        let scaler = Scaler::fit(kind, values.view());
        let scaled = scaler.transform(values.view());
        prop_assert!(scaled.iter().all(|v| v.is_finite() && v.abs() <= LIMIT));
        for ((row, feature), raw) in values.indexed_iter() {
            let there = f64::from(scaled[(row, feature)]);
            if raw.is_finite() && there.abs() < f64::from(LIMIT) {
                let unit = scaler.inverse(feature, 1.0) - scaler.inverse(feature, 0.0);
                let back = scaler.inverse(feature, there);
                prop_assert!((back - raw).abs() <= 1e-5 * unit.abs() + 1e-6, "{raw} came back as {back}");
            }
        }
    }

    #[test]
    fn windows_are_slices_that_touch_nothing_broken(
        lengths in prop::collection::vec(0_usize..30, 0..4),
        flags in prop::collection::vec(prop::bool::weighted(0.1), 120),
        window in 1_usize..8,
        max in 1_usize..40,
    ) {
        let segments: Vec<Segment> = lengths.iter().enumerate().map(|(place, rows)| Segment {
            values: Array2::from_shape_fn((*rows, 2), |(r, c)| {
                f32::from(u16::try_from(place * 1000 + r * 2 + c).unwrap())
            }),
            observed: Array2::from_elem((*rows, 2), true),
            broken: flags.iter().skip(place * 30).take(*rows).copied().collect(),
        }).collect();
        let whole = WindowSet::new(segments.clone(), window, 0.5).unwrap();
        let mut expected = Vec::new();
        for (place, segment) in segments.iter().enumerate() {
            for row in 0..(segment.values.nrows() + 1).saturating_sub(window) {
                if !segment.broken[row..row + window].contains(&true) {
                    expected.push((place, row));
                }
            }
        }
        let starts: Vec<_> = (0..whole.len()).filter_map(|i| whole.start(i)).collect();
        prop_assert_eq!(&starts, &expected);
        for (index, (place, row)) in expected.iter().enumerate() {
            prop_assert_eq!(whole.view(index), segments[*place].values.slice(s![*row..row + window, ..]));
        }
        let fewer = whole.clone().subsample(max);
        prop_assert_eq!(fewer.len(), whole.len().min(max));
    }
}
