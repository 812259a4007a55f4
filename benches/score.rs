//! What scoring costs: one window, batches, and a fleet with weights of each entity's own or shared, on one core.
//! `cargo bench --bench score` prints a JSON object per figure; the network is the default one on 17 metrics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/median.rs"]
mod median;

use std::time::Instant;

use ndarray::Array3;
use pulsewatch::config::AutoencoderConfig;
use pulsewatch::model::{Autoencoder, Instructions, Scratch, Shape};
use serde_json::json;

const FEATURES: usize = 17;
const FLEET: usize = 1_000;
const BATCH: usize = 2_000;

fn main() {
    let shape = Shape::new(&AutoencoderConfig::default(), FEATURES);
    let fleet: Vec<Autoencoder> = (0..FLEET)
        .map(|seed| Autoencoder::new(shape.clone(), seed as u64).unwrap())
        .collect();
    let network = &fleet[0];
    let one = windows(&shape, 1);
    figure("score-one", 1, 300, &mut timed(network, &one));
    figure(
        "score-batch",
        BATCH,
        5,
        &mut timed(network, &windows(&shape, BATCH)),
    );
    figure(
        "score-1000-shared",
        FLEET,
        9,
        &mut timed(network, &windows(&shape, FLEET)),
    );
    let (mut out, mut scratch) = (one.clone(), Scratch::default());
    figure("score-1000-models", FLEET, 9, &mut || {
        for network in &fleet {
            network
                .reconstruct_into(one.view(), out.view_mut(), &mut scratch)
                .unwrap();
        }
    });
    // Cost grows linearly with windows: a decade of them.
    for count in [100, 300, 1_000] {
        let name = format!("score-{count}-windows");
        figure(
            &name,
            count,
            9,
            &mut timed(network, &windows(&shape, count)),
        );
    }
}

/// Reconstruction of `input`, warm.
fn timed<'a>(network: &'a Autoencoder, input: &'a Array3<f32>) -> impl FnMut() + 'a {
    let (mut out, mut scratch) = (input.clone(), Scratch::default());
    move || {
        network
            .reconstruct_into(input.view(), out.view_mut(), &mut scratch)
            .unwrap();
    }
}

/// Median of some runs after a warm one.
fn figure(workload: &str, windows: usize, runs: usize, work: &mut dyn FnMut()) {
    work();
    let mut seconds: Vec<f64> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64()
        })
        .collect();
    println!(
        "{}",
        json!({
            "workload": workload,
            "impl": "pulsewatch",
            "seconds": median::median(&mut seconds),
            "windows": windows,
            "instructions": Instructions::best().name(),
        })
    );
}

fn windows(shape: &Shape, count: usize) -> Array3<f32> {
    Array3::from_shape_fn((count, shape.window, shape.columns), |(n, row, column)| {
        0.5 + 0.4 * (((n + row) as f32) / (10.0 + column as f32)).sin()
    })
}
