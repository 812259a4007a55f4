//! A training part with spikes in it must not teach that spikes are normal.

use ndarray::Array2;
use pulsewatch::config::{Config, Ratio};
use pulsewatch::domain::Time;
use pulsewatch::engine::backtest::backtest;
use pulsewatch::source::recording::Recording;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LEARNED: usize = 1500;
const ROWS: usize = 4500;

/// Spikes in one row of twenty of the training part, in four bad hours, and four later ones of the same kind.
fn spiky() -> (Recording, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut values: Vec<f64> = (0..ROWS)
        .map(|row| 50.0 + 10.0 * (row as f64 / 9.5).sin() + rng.random_range(-1.0..1.0))
        .collect();
    for hour in [200, 480, 860, 1330] {
        for row in (hour..hour + 57).step_by(3) {
            values[row] += rng.random_range(60.0..110.0);
        }
    }
    let later: Vec<usize> = (0..4).map(|n| LEARNED + 50 + n * 720).collect();
    for row in &later {
        values[*row] += 85.0;
    }
    let recording = Recording {
        times: (0..ROWS)
            .map(|row| Time::from_secs(row as i64 * 60))
            .collect(),
        columns: vec!["load".into()],
        values: Array2::from_shape_vec((ROWS, 1), values).unwrap(),
    };
    (recording, later)
}

fn flagged(trim: f64) -> (usize, usize) {
    let (recording, later) = spiky();
    let mut config = Config::default();
    config.autoencoder.encoder = vec![24];
    config.autoencoder.latent = 12;
    config.autoencoder.decoder = vec![24];
    config.autoencoder.epochs = 12;
    config.history.trim = Ratio(trim);
    let result = backtest(
        &recording,
        recording.times[LEARNED],
        &config,
        None,
        &mut |_| {},
    )
    .unwrap();
    let found = |row: usize| {
        (row..row + 3).any(|row| {
            result.rows[row - LEARNED]
                .verdict
                .as_ref()
                .is_some_and(|v| v.is_anomaly)
        })
    };
    let near = |row: usize| later.iter().any(|at| (*at..at + 25).contains(&row));
    let false_ones = (LEARNED..ROWS).filter(|row| {
        !near(*row) && {
            result.rows[row - LEARNED]
                .verdict
                .as_ref()
                .is_some_and(|v| v.is_anomaly)
        }
    });
    (
        later.iter().filter(|row| found(**row)).count(),
        false_ones.count(),
    )
}

#[test]
fn spikes_in_the_training_part_are_still_spikes_afterwards() {
    // Each alarm raises the threshold for the next one: of four in two days, one may stay below it.
    let (found, false_ones) = flagged(0.05);
    assert!(found >= 3 && false_ones == 0, "{found} {false_ones}");
    let (without, _) = flagged(0.0);
    assert!(
        without < found,
        "without trimming it learned that spikes are normal, and found {without}"
    );
}
