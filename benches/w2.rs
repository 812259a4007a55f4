//! Reference work W2, the second seed's network: 640 rows × 3 columns, window 30, three layers of 256, a code of 128, three layers of 256, batch 64.
//! `cargo bench --bench w2` prints the seconds of an epoch; see `common/training.rs` for options.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/median.rs"]
mod median;
#[path = "common/processor.rs"]
mod processor;
#[path = "common/training.rs"]
mod training;

use pulsewatch::config::AutoencoderConfig;

fn main() {
    let workload = training::Workload {
        name: "W2",
        config: AutoencoderConfig {
            window: 30,
            encoder: vec![256; 3],
            latent: 128,
            decoder: vec![256; 3],
            learning_rate: 0.0005,
            clip_norm: 1.0,
            ..AutoencoderConfig::default()
        },
        rows: 860,
        features: 1,
        windows: 611,
        epochs: 3,
    };
    workload.run();
}
