//! A training part with spikes in it must not teach that spikes are normal.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ndarray::Array2;
use pulsewatch::config::{Config, Ratio, Weights};
use pulsewatch::domain::{Entity, Feature, Frame, Grid, Schema, Time};
use pulsewatch::engine::backtest::backtest;
use pulsewatch::engine::learn::{self, LearnError};
use pulsewatch::engine::training::Training;
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

#[test]
fn an_entity_that_came_lately_does_not_keep_the_others_from_a_network_of_their_own() {
    let schema: Schema = Arc::from([Feature::plain("load")]);
    let frame = |name: &str, rows: usize| {
        let grid = Grid::new(Time::from_secs(0), Duration::from_mins(1), rows);
        let values = Array2::from_shape_fn((rows, 1), |(row, _)| {
            50.0 + 10.0 * (row as f64 / 9.5).sin() + (row * 7919 % 100) as f64 / 100.0
        });
        Frame::new(Entity::named(name), Arc::clone(&schema), grid, values).unwrap()
    };
    let mut config = Config::default();
    config.autoencoder.encoder = vec![8];
    config.autoencoder.latent = 4;
    config.autoencoder.decoder = vec![8];
    config.autoencoder.epochs = 2;
    config.entities.weights = Weights::Own;
    let never = AtomicBool::new(false);
    let learned = |frames| learn::learn(frames, &config, &mut Training::new(&never, &mut |_| {}));
    let both = learned(vec![frame("new", 60), frame("old", 600)]).unwrap();
    let networks: Vec<&str> = both.bundle.networks.keys().map(Entity::name).collect();
    assert_eq!(networks, ["old"]);
    assert_eq!(both.left_out.young_entities, 1);
    let neither = learned(vec![frame("new", 60), frame("other", 90)]).unwrap_err();
    assert!(matches!(
        neither,
        LearnError::TooLittle {
            have: 71,
            need: 120
        }
    ));
}

/// The threshold learned from 7000 rows, 30 of the newest of which are `higher`.
fn threshold(higher: f64) -> (f64, usize) {
    let grid = Grid::new(Time::from_secs(0), Duration::from_mins(1), 7000);
    let values = Array2::from_shape_fn((7000, 1), |(row, _)| {
        let noise = (row * 7919 % 100) as f64 / 100.0;
        let event = (6500..6530).contains(&row);
        20.0 + 5.0 * (row as f64 / 9.5).sin() + noise + if event { higher } else { 0.0 }
    });
    let schema: Schema = Arc::from([Feature::plain("cpu")]);
    let frame = Frame::new(Entity::sole(), schema, grid, values).unwrap();
    let mut config = Config::default();
    config.autoencoder.encoder = vec![16];
    config.autoencoder.latent = 8;
    config.autoencoder.decoder = vec![16];
    config.autoencoder.epochs = 6;
    let never = AtomicBool::new(false);
    let mut silent = |_| {};
    let mut training = Training::new(&never, &mut silent);
    let learned = learn::learn(vec![frame], &config, &mut training).unwrap();
    let report = learned.left_out;
    (
        learned.bundle.calibration.threshold_mse,
        report.extreme_rows,
    )
}

#[test]
fn an_incident_too_short_to_train_anew_for_does_not_set_the_threshold() {
    let (calm, none) = threshold(0.0);
    let (with_it, rows) = threshold(60.0);
    assert_eq!(none, 0);
    // Under one row of two hundred: the network stays, and only the threshold is derived anew.
    assert!((20..=35).contains(&rows), "{rows}");
    assert!(with_it < 4.0 * calm, "{with_it} against {calm}");
}
