//! Whole windows, sorted into normal and anomalous by a trained model: what `filter` writes and `train --on-filtered` reads.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate};

use super::EngineError;
use super::learn::{self, LearnError, Prepared};
use crate::config::Config;
use crate::domain::Entity;
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
    // As in training: a metric without any value was never learned, so an error in it says nothing.
    let counts = bundle.pooled.known();
    let mut errors = Vec::new();
    let mut sets: Vec<WindowSet> = Vec::new();
    for (entity, stretches) in &prepared.stretches {
        // An entity that came too lately to be learned has no network.
        let Some(network) = bundle.network(entity) else {
            continue;
        };
        let set = learn::windows(stretches, config).map_err(LearnError::from)?;
        let all: Vec<usize> = (0..set.len()).collect();
        for pass in all.chunks(PASS) {
            let input = set.gather(pass);
            let output = network.reconstruct(input.view())?;
            let mask = Array2::from_shape_fn((pass.len(), bundle.schema.len()), |(_, column)| {
                counts.get(column).copied().unwrap_or(false)
            });
            errors.extend(window_errors(input.view(), output.view(), mask.view()).mse);
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
        concatenate(Axis(0), &views)
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

/// Those of the prepared windows that `filter` left, found by their values: groups as trainings have them. `None` when some
/// of the sequences are no windows of these rows.
///
/// # Errors
/// As [`learn::groups`].
pub fn among(
    windows: &Array3<f32>,
    prepared: &Prepared,
    config: &Config,
) -> Result<Option<Vec<(Entity, WindowSet)>>, WindowError> {
    let mut left = windows.outer_iter().peekable();
    let mut groups = Vec::new();
    for (entity, set) in learn::groups(prepared, config)? {
        // They are in the order in which they were sorted.
        let is_next = |place: &usize| left.next_if(|next| *next == set.view(*place)).is_some();
        let places: Vec<usize> = (0..set.len()).filter(is_next).collect();
        groups.push((entity, set.only(&places)));
    }
    Ok(left.peek().is_none().then_some(groups))
}

/// Windows as [`sort`] left them, as a set of the same windows in the same order. A window that begins a row after the one
/// before it continues its stretch, so that the split into training and held-back windows sees which ones overlap.
///
/// # Errors
/// [`WindowError`] never in practice: all have one shape.
pub fn as_set(windows: &Array3<f32>, metrics: usize) -> Result<WindowSet, WindowError> {
    let rows = windows.len_of(Axis(1));
    let mut stretches: Vec<Vec<ArrayView2<'_, f32>>> = Vec::new();
    let mut before: Option<ArrayView2<'_, f32>> = None;
    for window in windows.outer_iter() {
        let (head, last) = window.split_at(Axis(0), rows.saturating_sub(1));
        let follows = before.is_some_and(|before| before.split_at(Axis(0), rows.min(1)).1 == head);
        match stretches.last_mut().filter(|_| follows) {
            Some(stretch) => stretch.push(last),
            None => stretches.push(vec![window]),
        }
        before = Some(window);
    }
    let segment = |parts: &Vec<ArrayView2<'_, f32>>| {
        let values = concatenate(Axis(0), parts).unwrap_or_default();
        Segment {
            observed: Array2::from_elem((values.nrows(), metrics), true),
            broken: vec![false; values.nrows()],
            values,
        }
    };
    WindowSet::new(stretches.iter().map(segment).collect(), rows, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_follow_each_other_become_one_stretch_again() {
        let rows = Array2::from_shape_fn((10, 2), |(row, column)| (row * 3 + column) as f32);
        let starts = [0_usize, 1, 2, 5, 6];
        let mut windows = Array3::zeros((starts.len(), 4, 2));
        for (mut slot, start) in windows.outer_iter_mut().zip(starts) {
            slot.assign(&rows.slice(ndarray::s![start..start + 4, ..]));
        }
        let set = as_set(&windows, 1).unwrap();
        assert_eq!(set.gather(&[0, 1, 2, 3, 4]), windows);
        let places: Vec<_> = (0..set.len()).filter_map(|at| set.start(at)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
        assert_eq!(as_set(&Array3::zeros((0, 4, 2)), 1).unwrap().len(), 0);
    }
}
