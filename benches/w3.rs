//! One training epoch at the size of reference work W3: 10,080 rows × 19 columns, window 20, LSTM 64 → 32 → 32 → 64, batch 64.
//! `cargo bench --bench w3` prints the seconds it took; further arguments are ignored.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ndarray::Array2;
use pulsewatch::config::AutoencoderConfig;
use pulsewatch::model::{Shape, TrainError, TrainOptions, train};
use pulsewatch::prep::window::{Segment, WindowSet};

const ROWS: usize = 10_080;
const FEATURES: usize = 17;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = AutoencoderConfig {
        epochs: 1,
        max_windows: usize::MAX,
        ..AutoencoderConfig::default()
    };
    let shape = Shape::new(&config, FEATURES);
    let windows = waves(shape.window, shape.columns)?;
    let cancel = AtomicBool::new(false);
    let start = Instant::now();
    let trained = train(
        &shape,
        &TrainOptions::from(&config),
        &windows,
        &cancel,
        &mut |_| {},
    )
    .map_err(|e: TrainError| e.to_string())?;
    println!(
        "w3: {:.2} s for one epoch of {} windows, validation included; losses {:?}",
        start.elapsed().as_secs_f64(),
        trained.windows,
        trained.losses
    );
    Ok(())
}

/// Sines of different periods, one per column.
fn waves(window: usize, columns: usize) -> Result<WindowSet, Box<dyn std::error::Error>> {
    let values = Array2::from_shape_fn((ROWS, columns), |(row, column)| {
        let turn = row as f32 / (60.0 + 20.0 * column as f32);
        0.5 + 0.4 * (turn * std::f32::consts::TAU).sin()
    });
    let segment = Segment {
        observed: Array2::from_elem((ROWS, FEATURES), true),
        broken: vec![false; ROWS],
        values,
    };
    Ok(WindowSet::new(vec![segment], window, 0.5)?)
}
