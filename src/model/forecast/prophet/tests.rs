//! What only the inside can see: sums that are shared, and sums that agree with rows.

use std::f64::consts::TAU;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::rows::Rows;
use super::solver::{Priors, solve};
use super::statistics::{Expected, Ground, Statistics};
use super::*;
use crate::domain::Time;

fn grid(rows: usize) -> Grid {
    Grid::new(
        Time::from_secs(1_772_409_600),
        Duration::from_secs(3600),
        rows,
    )
}

fn values(rows: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..rows)
        .map(|row| {
            let hours = row as f64;
            (60.0 + 0.1 * hours) * (1.0 + 0.2 * (hours / 24.0 * TAU).sin()) + rng.random::<f64>()
        })
        .collect()
}

const MODES: [ForecastMode; 2] = [ForecastMode::Additive, ForecastMode::Multiplicative];

#[test]
fn sums_say_what_rows_say_of_any_parameters() {
    for mode in MODES {
        let settings = Prophet {
            mode,
            ..Prophet::default()
        };
        let fitted = settings.follow(&grid(400), &values(400, 1)).unwrap();
        let basis = &fitted.model().basis;
        let columns = basis.columns(&grid(400));
        let rows = Rows::new(basis, &columns, &grid(400), 0..400);
        let ground = Arc::new(Ground::new(Arc::clone(basis), mode, &rows));
        let values: Vec<f64> = values(400, 1).iter().map(|v| v / 100.0).collect();
        let size = basis.trend_width() + basis.seasonal_width();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut any = || {
            (0..size)
                .map(|_| rng.random_range(-0.2..0.2))
                .collect::<Vec<f64>>()
        };
        let statistics = Statistics::new(ground, &rows, &values, any());
        let left = |theta: &[f64]| -> f64 {
            let expected = Expected::new(basis, mode, theta);
            let pairs = rows.iter().zip(&values);
            pairs.map(|(row, v)| (v - expected.of(&row)).powi(2)).sum()
        };
        let theta = any();
        assert!((statistics.left(&theta) / left(&theta) - 1.0).abs() < 1e-10);
        let (h, gradient) = statistics.linearised(&theta);
        for i in 0..size {
            let moved = |by: f64| {
                let mut moved = theta.clone();
                moved[i] += by;
                moved
            };
            // d/dθ of the sum of squares is −2 Jᵀe.
            let slope = (left(&moved(1e-5)) - left(&moved(-1e-5))) / -4e-5;
            assert!(
                (slope - gradient[i]).abs() < 1e-5 * (1.0 + slope.abs()),
                "{mode:?} {i}"
            );
            let own: f64 = {
                let (up, down) = (moved(1e-5), moved(-1e-5));
                let (up, down) = (
                    Expected::new(basis, mode, &up),
                    Expected::new(basis, mode, &down),
                );
                rows.iter()
                    .map(|row| ((up.of(&row) - down.of(&row)) / 2e-5).powi(2))
                    .sum()
            };
            assert!(
                (own - h.row(i)[i]).abs() < 1e-5 * (1.0 + own),
                "{mode:?} {i}"
            );
        }
    }
}

#[test]
fn taking_rows_in_is_fitting_all_of_them_in_the_same_terms() {
    for mode in MODES {
        let settings = Prophet {
            mode,
            ..Prophet::default()
        };
        let mut all = values(600, 2);
        all[420..440].fill(f64::NAN);
        let mut following = settings.follow(&grid(400), &all[..400]).unwrap();
        let basis = Arc::clone(&following.model().basis);
        let scale = following.model().scale;
        following.extend(&all[400..450]);
        following.extend(&all[450..]);
        let columns = basis.columns(&grid(600));
        let seen: Vec<usize> = (0..600).filter(|row| all[*row].is_finite()).collect();
        let rows = Rows::new(&basis, &columns, &grid(600), seen.iter().copied());
        let scaled: Vec<f64> = seen.iter().map(|row| all[*row] / scale).collect();
        let ground = Arc::new(Ground::new(Arc::clone(&basis), mode, &rows));
        let zeros = vec![0.0; basis.trend_width() + basis.seasonal_width()];
        let start = Statistics::new(Arc::clone(&ground), &rows, &scaled, zeros.clone());
        let priors = Priors::new(&basis, 0.05);
        let (near, _) = solve(&start, &priors, &zeros);
        let whole = Statistics::new(ground, &rows, &scaled, near.clone());
        let (theta, sigma) = solve(&whole, &priors, &near);
        assert!((following.model().sigma / sigma - 1.0).abs() < 1e-7);
        for (one, other) in following.model().theta.iter().zip(&theta) {
            assert!((one - other).abs() < 1e-6, "{mode:?}: {one} {other}");
        }
    }
}

#[test]
fn series_with_the_same_gaps_share_their_products() {
    let mut holed = values(300, 3);
    holed[10..20].fill(f64::NAN);
    let all = [values(300, 1), values(300, 2), holed];
    let all: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
    let mut fitted: Vec<Following> = Prophet::default()
        .follow_all(&grid(300), &all)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let same = |a: &Following, b: &Following| Arc::ptr_eq(a.ground(), b.ground());
    assert!(same(&fitted[0], &fitted[1]) && !same(&fitted[0], &fitted[2]));
    let new: [&[f64]; 3] = [&[1.0, 2.0]; 3];
    extend_all(&mut fitted.iter_mut().collect::<Vec<_>>(), &new);
    assert!(same(&fitted[0], &fitted[1]) && !same(&fitted[0], &fitted[2]));
}

#[test]
fn rows_left_out_are_as_if_never_seen_but_for_the_bends() {
    let clean = values(300, 4);
    let (mut spiked, mut cleaned) = (clean.clone(), clean);
    spiked[100..105].fill(1e6);
    cleaned[100..105].fill(f64::NAN);
    let task = |values| fit::Task {
        values,
        cleaned: &cleaned,
    };
    for mode in MODES {
        let settings = Prophet {
            mode,
            ..Prophet::default()
        };
        let fit = |task| {
            settings
                .follow_tasks(&grid(300), &[task])
                .pop()
                .unwrap()
                .unwrap()
        };
        let (out, never) = (fit(task(&spiked)), fit(task(&cleaned)));
        let ahead = |fitted: &Following| fitted.model().expected(&grid(300).ahead(24));
        for (out, never) in ahead(&out).iter().zip(ahead(&never)) {
            assert!((out - never).abs() < 0.5, "{mode:?}: {out} {never}");
        }
    }
}
