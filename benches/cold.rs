//! Cold start: a process begins, loads a bundle from its file, scores one window and ends. The figure is from the call that
//! starts it to its end, the memory is its largest. `cargo bench --bench cold` prints a JSON object.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/median.rs"]
mod median;
#[path = "common/processor.rs"]
mod processor;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ndarray::{Array2, Array3};
use pulsewatch::config::{AutoencoderConfig, PreprocessConfig, ScalerKind};
use pulsewatch::domain::{Calibration, Entity, Feature, Time};
use pulsewatch::model::{Autoencoder, Bundle, Scratch, Shape};
use pulsewatch::prep::scale::Scaler;
use serde_json::json;

/// What the started process is called with.
const CHILD: &str = "--first-score-of";
const RUNS: usize = 21;
const FEATURES: usize = 17;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == CHILD) {
        first_score(Path::new(&arguments[place + 1]));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    std::fs::write(&file, bundle().to_bytes().unwrap()).unwrap();
    let mut memory = 0.0;
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            let ended = Command::new(std::env::current_exe().unwrap())
                .arg(CHILD)
                .arg(&file)
                .output()
                .unwrap();
            let seconds = began.elapsed().as_secs_f64();
            assert!(ended.status.success(), "{ended:?}");
            memory = String::from_utf8(ended.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            seconds
        })
        .collect();
    println!(
        "{}",
        json!({
            "workload": "cold",
            "impl": "pulsewatch",
            "seconds": median::median(&mut seconds),
            "peak_rss_mb": memory,
        })
    );
}

/// Loads the bundle, scores one window and prints the most memory that the process had, in MB.
fn first_score(file: &Path) {
    let bundle = Bundle::from_bytes(&std::fs::read(file).unwrap()).unwrap();
    let network = bundle.networks.values().next().unwrap();
    let shape = network.shape();
    let window = Array3::from_elem((1, shape.window, shape.columns), 0.5);
    let mut out = window.clone();
    network
        .reconstruct_into(window.view(), out.view_mut(), &mut Scratch::default())
        .unwrap();
    assert!(out.iter().all(|value| value.is_finite()));
    println!("{}", processor::resident_mb(std::process::id(), "VmHWM"));
}

/// The default network on 17 metrics, as a training would leave it.
fn bundle() -> Bundle {
    let shape = Shape::new(&AutoencoderConfig::default(), FEATURES);
    let network = Autoencoder::new(shape, 1).unwrap();
    let rows = Array2::from_shape_fn((50, FEATURES), |(row, column)| (row * column) as f64);
    Bundle {
        networks: [(Entity::sole(), network)].into(),
        scalers: [].into(),
        pooled: Scaler::fit(ScalerKind::Minmax, rows.view()),
        schema: (0..FEATURES)
            .map(|i| Feature::plain(&format!("metric_{i}")))
            .collect(),
        step: Duration::from_secs(60),
        preprocess: PreprocessConfig::default(),
        views: None,
        calibration: Calibration {
            rule: "auto".into(),
            threshold_mse: 0.01,
            windows: 400,
            mean: 0.001,
            deviation: 0.001,
            tail: None,
        },
        trained_on: (
            Time::from_secs(1_700_000_000),
            Time::from_secs(1_700_600_000),
        ),
        windows: 1600,
        epochs: 12,
        val_loss: 0.001,
        fingerprint: json!({}),
    }
}
