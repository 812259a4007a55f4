//! The autoencoder as its users meet it: trained, judged, written down and read back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ndarray::{Array2, Array3, s};
use proptest::prelude::*;
use pulsewatch::config::{
    Activation, AutoencoderConfig, Output, PreprocessConfig, Ratio, ScalerKind,
};
use pulsewatch::domain::{Calibration, Entity, Feature, Schema, Tail, Time};
use pulsewatch::model::{
    Autoencoder, Bundle, BundleError, ModelError, Progress, Shape, TrainError, TrainOptions,
    Trained, train, window_errors,
};
use pulsewatch::prep::scale::Scaler;
use pulsewatch::prep::window::{Segment, WindowSet};

const FEATURES: usize = 3;

fn config() -> AutoencoderConfig {
    AutoencoderConfig {
        window: 12,
        encoder: vec![16],
        latent: 8,
        decoder: vec![8, 16],
        epochs: 12,
        batch: 32,
        learning_rate: 0.01,
        ..AutoencoderConfig::default()
    }
}

/// Sines with a little noise of a fixed pattern, calendar columns included.
fn sines(rows: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, FEATURES + 2), |(row, column)| {
        let turn = row as f32 / 24.0 + column as f32 / 5.0;
        let noise = ((row * 7919 + column * 104_729) % 97) as f32 / 97.0 - 0.5;
        0.5 + 0.4 * (turn * std::f32::consts::TAU).sin() + 0.01 * noise
    })
}

fn windows_of(values: Array2<f32>, window: usize) -> WindowSet {
    let rows = values.nrows();
    let segment = Segment {
        observed: Array2::from_elem((rows, FEATURES), true),
        broken: vec![false; rows],
        values,
    };
    WindowSet::new(vec![segment], window, 0.5).unwrap()
}

fn trained(config: &AutoencoderConfig, windows: &WindowSet) -> Result<Trained, TrainError> {
    let shape = Shape::new(config, FEATURES);
    let cancel = AtomicBool::new(false);
    train(
        &shape,
        &TrainOptions::from(config),
        windows,
        &cancel,
        &mut |_| {},
    )
}

fn all(count: usize) -> Array2<bool> {
    Array2::from_elem((count, FEATURES), true)
}

/// Mean squared error per window.
fn judge(autoencoder: &Autoencoder, windows: &Array3<f32>) -> Vec<f64> {
    let output = autoencoder.reconstruct(windows.view()).unwrap();
    window_errors(windows.view(), output.view(), all(windows.dim().0).view()).mse
}

fn schema(names: &[&str]) -> Schema {
    names.iter().map(|name| Feature::plain(name)).collect()
}

fn bundle(networks: BTreeMap<Entity, Autoencoder>) -> Bundle {
    let raw = Array2::from_shape_fn((50, FEATURES), |(r, c)| {
        (r as f64 / 7.0).sin() * 10_f64.powi(i32::try_from(c).unwrap() * 5) / 3.0
    });
    Bundle {
        networks,
        scalers: [("host/a", 20), ("host/b", 30)]
            .into_iter()
            .map(|(name, rows)| {
                (
                    Entity::named(name),
                    Scaler::fit(ScalerKind::Minmax, raw.slice(s![..rows, ..])),
                )
            })
            .collect(),
        pooled: Scaler::fit(ScalerKind::Minmax, raw.view()),
        schema: schema(&["cpu", "memory", "disk{device=\"sda\"}"]),
        step: Duration::from_secs(60),
        preprocess: PreprocessConfig::default(),
        views: None,
        calibration: Calibration {
            rule: "auto".into(),
            threshold_mse: 0.1 / 3.0,
            windows: 400,
            mean: 0.01 / 7.0,
            deviation: 1e-3 / 9.0,
            tail: Some(Tail {
                above: 0.02 / 3.0,
                rate: 0.1,
                shape: 0.1 / 3.0,
                scale: 1e-3 / 7.0,
            }),
        },
        trained_on: (
            Time::from_secs(1_700_000_000),
            Time::from_secs(1_700_600_000),
        ),
        windows: 1600,
        epochs: 12,
        val_loss: 1e-2 / 3.0,
        fingerprint: serde_json::json!({ "window": 12, "queries": { "cpu": "up" } }),
    }
}

fn untrained(seed: u64) -> Autoencoder {
    Autoencoder::new(Shape::new(&config(), FEATURES), seed).unwrap()
}

fn shared_bundle() -> Bundle {
    bundle(BTreeMap::from([(Entity::sole(), untrained(1))]))
}

#[test]
fn learns_waves_and_a_spike_stands_out() {
    let windows = windows_of(sines(500), 12);
    let config = AutoencoderConfig {
        epochs: 40,
        ..config()
    };
    let trained = trained(&config, &windows).unwrap();
    let first = trained.losses[0].1;
    let best = trained.losses[trained.best_epoch].1;
    assert!(best < first / 20.0, "{:?}", trained.losses);
    assert!(trained.losses.iter().all(|(_, val)| *val >= best));

    let held = &trained.held_back;
    assert_eq!(held.errors.dim(), (held.windows.len(), FEATURES));
    assert_eq!(held.mse.len(), held.windows.len());
    let largest = held.mse.iter().copied().fold(0.0, f64::max);

    let mut spiked = windows.gather(&[100]);
    spiked[(0, 6, 1)] += 3.0;
    let output = trained.autoencoder.reconstruct(spiked.view()).unwrap();
    let errors = window_errors(spiked.view(), output.view(), all(1).view());
    assert!(
        errors.mse[0] > 5.0 * largest,
        "{} against {largest}",
        errors.mse[0]
    );
    assert!(errors.features[(0, 1)] > 5.0 * errors.features[(0, 0)]);
}

#[test]
fn two_runs_give_the_same_bytes() {
    let windows = windows_of(sines(260), 12);
    let config = AutoencoderConfig {
        epochs: 2,
        ..config()
    };
    let run = |config: &AutoencoderConfig| {
        let network = trained(config, &windows).unwrap().autoencoder;
        bundle(BTreeMap::from([(Entity::sole(), network)]))
            .to_bytes()
            .unwrap()
    };
    let first = run(&config);
    assert_eq!(first, run(&config));
    assert_ne!(first, run(&AutoencoderConfig { seed: 43, ..config }));
}

#[test]
fn the_older_programs_activations_train_too() {
    let config = AutoencoderConfig {
        activation: Activation::Relu,
        output: Output::Sigmoid,
        encoder: Vec::new(),
        learning_rate: 0.003,
        ..config()
    };
    let trained = trained(&config, &windows_of(sines(300), 12)).unwrap();
    assert!(trained.losses[trained.best_epoch].1 < trained.losses[0].1);
    let window = windows_of(sines(40), 12).gather(&[3]);
    let output = trained.autoencoder.reconstruct(window.view()).unwrap();
    assert!(output.iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn stops_early_reports_and_subsamples() {
    let windows = windows_of(sines(400), 12);
    let config = AutoencoderConfig {
        epochs: 40,
        patience: 2,
        learning_rate: 0.2,
        max_windows: 100,
        ..config()
    };
    let mut heard: Vec<Progress> = Vec::new();
    let trained = train(
        &Shape::new(&config, FEATURES),
        &TrainOptions::from(&config),
        &windows,
        &AtomicBool::new(false),
        &mut |p| heard.push(p),
    )
    .unwrap();
    assert!(trained.losses.len() < 40);
    assert_eq!(trained.best_epoch + 3, trained.losses.len());
    assert_eq!(trained.windows, 100);
    assert_eq!(heard.len(), trained.losses.len() * 5);
    assert_eq!((heard[0].epoch, heard[0].val_loss), (1, None));
    assert!((heard[0].fraction - 0.32).abs() < 1e-9);
    let last = heard.last().unwrap();
    assert_eq!(last.val_loss, trained.losses.last().map(|l| l.1));
    assert_eq!(last.epochs, 40);
}

#[test]
fn a_masked_feature_counts_nowhere() {
    let mut values = sines(200);
    values.column_mut(1).fill(0.0);
    let windows = windows_of(values, 12);
    let config = AutoencoderConfig {
        epochs: 1,
        ..config()
    };
    let options = TrainOptions {
        mask: vec![true, false],
        ..TrainOptions::from(&config)
    };
    let shape = Shape::new(&config, FEATURES);
    let cancel = AtomicBool::new(false);
    let trained = train(&shape, &options, &windows, &cancel, &mut |_| {}).unwrap();
    let held = trained.held_back;
    assert!(held.errors.column(1).iter().all(|e| e.is_nan()));
    assert!(held.mse.iter().all(|e| e.is_finite()));
    let none = TrainOptions {
        mask: vec![false; FEATURES],
        ..options
    };
    let error = train(&shape, &none, &windows, &cancel, &mut |_| {}).unwrap_err();
    assert_eq!(error, TrainError::AllMasked);
}

#[test]
fn what_cannot_be_trained_says_why() {
    let good = windows_of(sines(200), 12);
    let few = trained(&config(), &windows_of(sines(20), 12)).unwrap_err();
    assert_eq!(few, TrainError::TooFew { windows: 9 });
    let wild = AutoencoderConfig {
        learning_rate: 1e30,
        clip_norm: 0.0,
        activation: Activation::Relu,
        ..config()
    };
    let diverged = trained(&wild, &good).unwrap_err();
    assert!(
        matches!(diverged, TrainError::Diverged { .. }),
        "{diverged}"
    );
    assert!(diverged.to_string().contains("learning_rate"));
    let mut holed = sines(200);
    holed[(20, 0)] = f32::NAN;
    let error = trained(&config(), &windows_of(holed, 12)).unwrap_err();
    assert_eq!(error, TrainError::NotFinite { window: 9 });
    let error = trained(&config(), &windows_of(sines(200), 13)).unwrap_err();
    assert!(matches!(
        error,
        TrainError::Model(ModelError::Windows { window: 13, .. })
    ));
}

#[test]
fn cancelling_stops_at_the_next_batch() {
    let config = config();
    let cancel = AtomicBool::new(false);
    let mut heard = 0;
    let result = train(
        &Shape::new(&config, FEATURES),
        &TrainOptions::from(&config),
        &windows_of(sines(300), 12),
        &cancel,
        &mut |_| {
            heard += 1;
            cancel.store(heard == 3, Ordering::Relaxed);
        },
    );
    assert_eq!(result.unwrap_err(), TrainError::Cancelled);
    assert_eq!(heard, 3);
}

#[test]
fn networks_and_bundles_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let bundle = shared_bundle();
    shared(&bundle);
    shared(&untrained(1));
}

#[test]
fn batches_of_any_size_reconstruct_alike() {
    let autoencoder = untrained(5);
    let windows = windows_of(sines(640), 12);
    let many: Vec<usize> = (0..600).collect();
    let together = judge(&autoencoder, &windows.gather(&many));
    for index in [0, 255, 256, 599] {
        let alone = judge(&autoencoder, &windows.gather(&[index]))[0];
        assert!((alone - together[index]).abs() < 1e-6 * alone);
    }
    assert!(judge(&autoencoder, &Array3::zeros((0, 12, FEATURES + 2))).is_empty());
    let narrow = Array3::<f32>::zeros((1, 12, FEATURES));
    let error = autoencoder.reconstruct(narrow.view()).unwrap_err();
    assert!(error.to_string().contains("12 × 3"), "{error}");
}

#[test]
fn a_bundle_comes_back_the_same_to_the_bit() {
    let bundle = bundle(BTreeMap::from([
        (Entity::sole(), untrained(1)),
        (Entity::named("host/a"), untrained(2)),
    ]));
    let bytes = bundle.to_bytes().unwrap();
    assert_eq!(bytes, bundle.to_bytes().unwrap());
    let back = Bundle::from_bytes(&bytes).unwrap();
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert_eq!(back.scalers, bundle.scalers);
    assert_eq!(back.pooled, bundle.pooled);
    assert_eq!(back.calibration, bundle.calibration);
    assert_eq!(back.schema, bundle.schema);
    assert_eq!(back.fingerprint, bundle.fingerprint);
    assert_eq!(
        (back.step, back.trained_on, back.windows, back.epochs),
        (
            bundle.step,
            bundle.trained_on,
            bundle.windows,
            bundle.epochs
        )
    );
    let windows = windows_of(sines(60), 12).gather(&[0, 7, 30]);
    for name in ["host/a", "host/b"] {
        let entity = Entity::named(name);
        let run = |b: &Bundle| {
            let network = b.network(&entity).unwrap();
            network.reconstruct(windows.view()).unwrap()
        };
        assert_eq!(run(&bundle), run(&back));
        assert_eq!(bundle.scaler(&entity), back.scaler(&entity));
    }
    assert_eq!(back.scaler(&Entity::named("new")), &bundle.pooled);
}

#[test]
fn a_bundle_knows_its_features() {
    let bundle = shared_bundle();
    let mut turned: Vec<Feature> = bundle.schema.to_vec();
    turned.reverse();
    assert_eq!(bundle.fits(&turned.into()), Ok(()));
    let difference = bundle
        .fits(&schema(&["cpu", "memory", "latency"]))
        .unwrap_err();
    assert_eq!(difference.missing, [Arc::from("disk{device=\"sda\"}")]);
    assert_eq!(difference.new, [Arc::<str>::from("latency")]);
    let text = difference.to_string();
    assert!(
        text.contains("new: latency") && text.contains("sda"),
        "{text}"
    );
}

#[test]
fn a_truncated_bundle_is_refused_wherever_it_ends() {
    let bytes = shared_bundle().to_bytes().unwrap();
    for end in (0..bytes.len()).step_by(97) {
        let error = Bundle::from_bytes(&bytes[..end]).unwrap_err();
        assert!(matches!(error, BundleError::Damaged(_)), "{end}: {error}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Bundle::from_bytes(&longer).is_err());
}

/// Replaces text in the header of a bundle, length for length.
fn patched(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let place = bytes
        .windows(from.len())
        .position(|w| w == from.as_bytes())
        .unwrap_or_else(|| panic!("no {from} in the header"));
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn another_format_wrong_shapes_and_bad_numbers_are_refused() {
    let bundle = shared_bundle();
    let bytes = bundle.to_bytes().unwrap();
    let error = Bundle::from_bytes(&patched(&bytes, r#"format\":2"#, r#"format\":7"#)).unwrap_err();
    assert_eq!(error, BundleError::Version { found: 7 });
    assert!(error.to_string().contains("format 7"));
    for (from, to) in [
        (r#"window\":12"#, r#"window\":-1"#),
        (r#"latent\":8"#, r#"latent\":9"#),
        (r#"encoder\":[16]"#, r#"encoder\":[99]"#),
        (r#"columns\":5"#, r#"columns\":6"#),
        (r#"name\":\"memory\""#, r#"name\":\"memorx\""#),
        (r#""pulsewatch""#, r#""pulsewotch""#),
    ] {
        let result = Bundle::from_bytes(&patched(&bytes, from, to));
        assert_eq!(result.is_err(), !to.contains("memorx"), "{from}");
    }
    let huge = patched(&bytes, r#"encoder\":[16],"#, r#"encoder\":[9e9]"#);
    assert!(Bundle::from_bytes(&huge).is_err());

    let mut holed = bytes.clone();
    let end = holed.len();
    holed[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = Bundle::from_bytes(&holed).unwrap_err();
    assert!(error.to_string().contains("no finite number"), "{error}");
}

#[test]
fn a_bundle_that_contradicts_itself_is_not_written() {
    type Change = fn(&mut Bundle);
    let changes: [(Change, &str); 5] = [
        (|b| b.networks.clear(), "neither a network"),
        (|b| b.schema = schema(&["cpu", "memory"]), "a network"),
        (|b| b.schema = schema(&["cpu", "cpu", "x"]), "one name"),
        (|b| b.calibration.threshold_mse = 0.0, "threshold"),
        (|b| b.step = Duration::ZERO, "step"),
    ];
    for (change, word) in changes {
        let mut bundle = shared_bundle();
        change(&mut bundle);
        let error = bundle.to_bytes().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_small_validation_part_still_trains() {
    let config = AutoencoderConfig {
        epochs: 1,
        train_split: Ratio(1.0),
        ..config()
    };
    let trained = trained(&config, &windows_of(sines(30), 12)).unwrap();
    assert_eq!(trained.held_back.windows, [18]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_bytes_never_panic(place in 0_usize..100_000, value: u8, cut in 0_usize..100_000) {
        let mut bytes = shared_bundle().to_bytes().unwrap();
        let length = bytes.len();
        bytes[place % length] = value;
        if let Ok(bundle) = Bundle::from_bytes(&bytes) {
            prop_assert!(bundle.to_bytes().is_ok());
        }
        bytes.truncate(cut % length);
        prop_assert!(Bundle::from_bytes(&bytes).is_err());
    }

    #[test]
    fn damaged_headers_never_panic(place in 0_usize..4_000, value in 32_u8..127) {
        let mut bytes = shared_bundle().to_bytes().unwrap();
        let length = bytes.len();
        bytes[(8 + place) % length] = value;
        if let Ok(bundle) = Bundle::from_bytes(&bytes) {
            prop_assert!(bundle.to_bytes().is_ok());
        }
    }
}
