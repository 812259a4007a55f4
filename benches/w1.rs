//! Reference work W1, the first seed's network as it was, with relu: 10,080 rows × 19 columns, window 20, LSTM 64 → 32 → repeat → 32 → 64 → dense, batch 64.
//! `cargo bench --bench w1` prints the seconds of an epoch; see `common/training.rs` for options.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/median.rs"]
mod median;
#[path = "common/processor.rs"]
mod processor;
#[path = "common/training.rs"]
mod training;

use pulsewatch::config::{Activation, AutoencoderConfig};

fn main() {
    let workload = training::Workload {
        name: "W1",
        config: AutoencoderConfig {
            activation: Activation::Relu,
            ..AutoencoderConfig::default()
        },
        rows: 10_080,
        features: 17,
        windows: 8_048,
        epochs: 7,
    };
    workload.run();
}
