//! What is warm allocates nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use allocation_counter::measure;
use ndarray::Array3;
use pulsewatch::config::AutoencoderConfig;
use pulsewatch::model::{Autoencoder, Instructions, Scratch, Shape};

#[test]
fn a_warm_reconstruction_allocates_nothing() {
    let shape = Shape::new(&AutoencoderConfig::default(), 17);
    let network = Autoencoder::new(shape.clone(), 1).unwrap();
    for instructions in Instructions::available() {
        let network = network.with_instructions(instructions);
        let mut scratch = Scratch::default();
        // The largest first; the last is more than goes through at once.
        for count in [500, 1, 40, 500] {
            let windows = Array3::from_elem((count, shape.window, shape.columns), 0.5);
            let mut out = windows.clone();
            let mut run = || {
                network
                    .reconstruct_into(windows.view(), out.view_mut(), &mut scratch)
                    .unwrap();
            };
            run();
            let counted = measure(run);
            assert_eq!(counted.count_total, 0, "{instructions:?}, {count} windows");
        }
    }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert!(counted.count_total >= 1, "{counted:?}");
}
