//! The kernel against the plain formulation in candle's operations.

use candle_core::{Device, Tensor, Var};
use ndarray::Array3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Instructions, Network, Workspace};
use crate::config::{Activation, Output};
use crate::model::plain::{forward, time_first};
use crate::model::shape::Shape;

fn shape(
    window: usize,
    columns: usize,
    encoder: &[usize],
    latent: usize,
    decoder: &[usize],
) -> Shape {
    Shape {
        window,
        columns,
        encoder: encoder.into(),
        latent,
        decoder: decoder.into(),
        activation: Activation::Tanh,
        output: Output::Linear,
    }
}

/// Shapes with every kind of layer, sizes above, below and beside the width of a register.
fn shapes() -> Vec<Shape> {
    let mut all = vec![
        shape(20, 19, &[64], 32, &[32, 64]),
        shape(1, 3, &[5], 2, &[3]),
        shape(2, 5, &[], 7, &[17]),
        shape(7, 70, &[33, 16], 1, &[1, 15, 40]),
        shape(5, 35, &[100], 50, &[81]),
    ];
    for index in [0, 1, 3] {
        let mut other = all[index].clone();
        other.activation = Activation::Relu;
        other.output = Output::Sigmoid;
        all.push(other);
    }
    all
}

/// Weights, windows and emphasis drawn from a seed.
struct Case {
    shape: Shape,
    tensors: Vec<Vec<f32>>,
    windows: Array3<f32>,
    emphasis: Vec<f32>,
}

impl Case {
    fn new(shape: &Shape, batch: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let tensors = shape
            .parameters()
            .iter()
            .map(|p| {
                // As wide as a network's weights are; wider, and activations without a bound make any two orders of
                // addition differ.
                let reach = 1.5 / (p.dims[0] as f32).sqrt();
                let count = p.dims.iter().product();
                (0..count)
                    .map(|_| rng.random_range(-reach..reach))
                    .collect()
            })
            .collect();
        let windows = Array3::from_shape_simple_fn((batch, shape.window, shape.columns), || {
            rng.random_range(-1.0..1.0)
        });
        let emphasis = (0..shape.columns)
            .map(|_| rng.random_range(0.0..2.0))
            .collect();
        Self {
            shape: shape.clone(),
            tensors,
            windows,
            emphasis,
        }
    }

    /// Error and gradients by candle's autograd.
    fn plain(&self) -> (f64, Vec<Vec<f32>>) {
        let variables: Vec<Var> = self
            .shape
            .parameters()
            .into_iter()
            .zip(&self.tensors)
            .map(|(p, values)| {
                Var::from_tensor(&Tensor::from_slice(values, p.dims, &Device::Cpu).unwrap())
                    .unwrap()
            })
            .collect();
        let weights: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let input = time_first(self.windows.view()).unwrap();
        let emphasis =
            Tensor::from_slice(&self.emphasis, self.emphasis.len(), &Device::Cpu).unwrap();
        let residual = (forward(&self.shape, &weights, &input).unwrap() - input).unwrap();
        let error = residual
            .sqr()
            .unwrap()
            .broadcast_mul(&emphasis)
            .unwrap()
            .sum_all()
            .unwrap();
        let found = error.backward().unwrap();
        let gradients = variables
            .iter()
            .map(|v| {
                found
                    .get(v)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap()
            })
            .collect();
        (f64::from(error.to_scalar::<f32>().unwrap()), gradients)
    }

    fn fused(&self, instructions: Instructions, space: &mut Workspace) -> (f64, Vec<Vec<f32>>) {
        let network = Network::new(&self.shape, instructions);
        let weights = network.pack(&self.tensors);
        let turned = network.turned(&weights);
        let emphasis = network.emphasis(self.emphasis.iter().copied());
        network.load(self.windows.outer_iter(), space);
        let mut gradient = vec![0.0; network.len()];
        let error = network.gradient(&weights, &turned, &emphasis, space, &mut gradient);
        let found = network.unpack(&gradient);
        let sum = |values: &[f32]| values.iter().map(|v| v.abs()).sum::<f32>();
        let (all, real) = (sum(&gradient), sum(&network.pack(&found)));
        assert!(
            all == real || error.is_nan(),
            "what only fills up has a gradient"
        );
        (error, found)
    }

    fn reconstructed(&self, instructions: Instructions, space: &mut Workspace) -> Array3<f32> {
        let network = Network::new(&self.shape, instructions);
        network.load(self.windows.outer_iter(), space);
        network.forward(&network.pack(&self.tensors), space);
        let mut out = Array3::zeros(self.windows.dim());
        network.output(space, out.view_mut());
        out
    }
}

/// Largest difference, as a part of the largest value of either.
fn difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let largest = one
        .iter()
        .chain(other)
        .fold(1e-3_f32, |m, v| m.max(v.abs()));
    one.iter()
        .zip(other)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
        / largest
}

#[test]
fn error_and_gradients_agree_with_the_plain_form() {
    let mut space = Workspace::default();
    for shape in shapes() {
        for batch in [1, 2, 7, 33] {
            let case = Case::new(&shape, batch);
            let (error, gradients) = case.plain();
            let mut first: Option<Vec<Vec<f32>>> = None;
            for instructions in Instructions::available() {
                let told = format!("{instructions:?}, batch {batch}, {shape:?}");
                let (found, fused) = case.fused(instructions, &mut space);
                assert!(
                    (found / error - 1.0).abs() < 1e-5,
                    "{told}: {found} for {error}"
                );
                let first = first.get_or_insert_with(|| fused.clone());
                let tensors = gradients.iter().zip(&*first).zip(&fused);
                for (((plain, first), fused), p) in tensors.zip(shape.parameters()) {
                    let off = difference(plain, fused).max(difference(first, fused));
                    assert!(off < 1e-5, "{told}, {}: {off}", p.name);
                }
            }
        }
    }
}

#[test]
fn reconstructions_agree_with_the_plain_form_for_any_batch() {
    let mut space = Workspace::default();
    for shape in shapes() {
        for batch in [1, 5, 6, 40] {
            let case = Case::new(&shape, batch);
            let weights: Vec<Tensor> = shape
                .parameters()
                .into_iter()
                .zip(&case.tensors)
                .map(|(p, values)| Tensor::from_slice(values, p.dims, &Device::Cpu).unwrap())
                .collect();
            let plain =
                forward(&shape, &weights, &time_first(case.windows.view()).unwrap()).unwrap();
            let plain: Vec<f32> = plain
                .transpose(0, 1)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
            for instructions in Instructions::available() {
                let fused = case.reconstructed(instructions, &mut space);
                let off = difference(&plain, fused.as_slice().unwrap());
                assert!(
                    off < 1e-5,
                    "{instructions:?}, batch {batch}, {shape:?}: {off}"
                );
            }
        }
    }
}

#[test]
fn the_same_bits_come_out_every_time() {
    let case = Case::new(&shapes()[0], 32);
    for instructions in Instructions::available() {
        let first = case.fused(instructions, &mut Workspace::default());
        let mut used = Workspace::default();
        Case::new(&shapes()[3], 50).fused(instructions, &mut used);
        assert_eq!(
            case.fused(instructions, &mut used),
            first,
            "{instructions:?}"
        );
    }
}

#[test]
fn a_weight_that_is_no_number_shows_in_the_error() {
    for shape in shapes() {
        let mut case = Case::new(&shape, 9);
        case.tensors[0][0] = f32::NAN;
        for instructions in Instructions::available() {
            let (error, _) = case.fused(instructions, &mut Workspace::default());
            assert!(error.is_nan(), "{instructions:?}, {shape:?}: {error}");
        }
    }
}
