//! First weights, drawn from a seed: the same everywhere, bit for bit.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::lstm::{FORGET, GATES};
use super::shape::Shape;

/// One vector per tensor of [`Shape::parameters`], row by row. As Keras starts an LSTM: input and dense weights uniform
/// (Glorot & Bengio 2010), state weights orthogonal (Saxe et al. 2014), biases 0 but for the forget gate's, which are 1
/// (Jozefowicz et al. 2015).
pub(super) fn weights(shape: &Shape, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    let mut last = shape.columns;
    for layer in shape.layers() {
        let gates = layer.units * GATES;
        let mut weights = glorot(layer.inputs, gates, &mut rng);
        weights.extend(orthogonal(layer.units, gates, &mut rng));
        all.push(weights);
        all.push(
            (0..gates)
                .map(|column| f32::from(u8::from(column / layer.units == FORGET)))
                .collect(),
        );
        last = layer.units;
    }
    all.push(glorot(last, shape.columns, &mut rng));
    all.push(vec![0.0; shape.columns]);
    all
}

fn glorot(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let limit = (6.0 / (rows + columns) as f32).sqrt();
    (0..rows * columns)
        .map(|_| rng.random_range(-limit..limit))
        .collect()
}

/// `rows` orthonormal vectors of `columns` ≥ `rows` numbers: normal draws, each freed of the ones before it.
fn orthogonal(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows);
    for _ in 0..rows {
        let mut vector: Vec<f64> = (0..columns).map(|_| rng.sample(StandardNormal)).collect();
        for other in &basis {
            let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            for (value, part) in vector.iter_mut().zip(other) {
                *value -= along * part;
            }
        }
        let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        for value in &mut vector {
            *value /= length;
        }
        basis.push(vector);
    }
    #[allow(clippy::cast_possible_truncation)] // At most 1 in size.
    let narrowed = basis.concat().into_iter().map(|v| v as f32).collect();
    narrowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AutoencoderConfig;

    #[test]
    fn sizes_fit_and_the_seed_decides() {
        let shape = Shape::new(&AutoencoderConfig::default(), 5);
        let first = weights(&shape, 1);
        for (values, parameter) in first.iter().zip(shape.parameters()) {
            assert_eq!(values.len(), parameter.dims.iter().product::<usize>());
        }
        assert_eq!(first, weights(&shape, 1));
        assert_ne!(first, weights(&shape, 2));
        let bias = &first[1];
        assert_eq!(
            (bias[63], bias[64], bias[127], bias[128]),
            (0.0, 1.0, 1.0, 0.0)
        );
    }

    #[test]
    fn state_weights_are_orthonormal() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let rows = orthogonal(6, 24, &mut rng);
        for (i, a) in rows.chunks(24).enumerate() {
            for (j, b) in rows.chunks(24).enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot - expected).abs() < 1e-6);
            }
        }
    }
}
