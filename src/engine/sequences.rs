//! Whole windows, sorted into normal and anomalous by a trained model: what `filter` writes and `train --on-filtered` reads.

use ndarray::{Array1, Array2, Array3, Axis};

use super::EngineError;
use super::learn::{self, LearnError, Prepared};
use crate::config::Config;
use crate::model::{Bundle, window_errors};
use crate::prep::window::{Segment, WindowError, WindowSet};

/// Windows in one pass through the network.
const PASS: usize = 512;

/// Every usable window, sorted.
#[derive(Debug)]
pub struct Sorted {
    /// Windows at or under the threshold, `[n, window, columns]`.
    pub normal: Array3<f32>,
    /// Windows over it.
    pub anomalous: Array3<f32>,
    /// Mean squared error of every window, in order.
    pub errors: Array1<f32>,
}

/// Sorts prepared windows by their error under a model.
///
/// # Errors
/// [`EngineError`] when the windows do not fit the model.
pub fn sort(
    prepared: &Prepared,
    bundle: &Bundle,
    threshold: f64,
    config: &Config,
) -> Result<Sorted, EngineError> {
    let mut errors = Vec::new();
    let mut sets: Vec<WindowSet> = Vec::new();
    for (entity, stretches) in &prepared.stretches {
        let set = learn::windows(stretches, config).map_err(LearnError::from)?;
        let network = bundle
            .network(entity)
            .ok_or(LearnError::Nothing("model for one of the entities"))?;
        let all: Vec<usize> = (0..set.len()).collect();
        for pass in all.chunks(PASS) {
            let input = set.gather(pass);
            let output = network.reconstruct(input.view())?;
            errors.extend(
                window_errors(
                    input.view(),
                    output.view(),
                    all_count(pass.len(), bundle).view(),
                )
                .mse,
            );
        }
        sets.push(set);
    }
    let pick = |wanted: bool| {
        let mut before = 0;
        let mut parts = Vec::new();
        for set in &sets {
            let chosen: Vec<usize> = (0..set.len())
                .filter(|at| {
                    errors
                        .get(before + at)
                        .is_some_and(|error| (*error > threshold) == wanted)
                })
                .collect();
            before += set.len();
            parts.push(set.gather(&chosen));
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        ndarray::concatenate(Axis(0), &views)
            .unwrap_or_else(|_| Array3::zeros((0, config.autoencoder.window, 0)))
    };
    // Errors are shown and compared as the network's own f32.
    #[allow(clippy::cast_possible_truncation)]
    let shown = errors.iter().map(|e| *e as f32).collect();
    Ok(Sorted {
        normal: pick(false),
        anomalous: pick(true),
        errors: shown,
    })
}

/// Every metric counts in every window.
fn all_count(windows: usize, bundle: &Bundle) -> Array2<bool> {
    Array2::from_elem((windows, bundle.schema.len()), true)
}

/// Windows that stand alone, each a stretch of its own.
///
/// # Errors
/// [`WindowError`] never in practice: all have one shape.
pub fn as_set(windows: &Array3<f32>, metrics: usize) -> Result<WindowSet, WindowError> {
    let rows = windows.len_of(Axis(1));
    let segment = |values: ndarray::ArrayView2<'_, f32>| Segment {
        values: values.to_owned(),
        observed: Array2::from_elem((rows, metrics), true),
        broken: vec![false; rows],
    };
    WindowSet::new(windows.outer_iter().map(segment).collect(), rows, 0.0)
}
