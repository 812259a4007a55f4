//! The whole autoencoder on one vector of weights.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut3};

use super::dense::{self, Dense};
use super::lanes::Lanes;
use super::layer::{self, Extent, Layer, Matrix, fit};
use super::tile::ACROSS;
use super::{Instructions, dispatch};
use crate::config::{Activation, Output};
use crate::model::lstm::GATES;
use crate::model::shape::Shape;

/// A network laid out for an instruction set. Weights are one vector whose order is the kernel's own: see [`Network::pack`].
#[derive(Clone, Debug)]
pub(crate) struct Network {
    instructions: Instructions,
    lanes: usize,
    steps: usize,
    layers: Vec<Placed>,
    dense: Dense,
    dense_at: Ranges,
    weights: usize,
    turned: usize,
    /// Layers in the lower half.
    low: usize,
}

/// A part of the layers, so chosen that both have about as many weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// The first layers.
    Low,
    /// The others, and the dense layer.
    High,
}

/// A layer and where its weights are.
#[derive(Clone, Debug)]
struct Placed {
    layer: Layer,
    at: Ranges,
}

/// Where a layer's values are in the vectors of weights and of turned weights.
#[derive(Clone, Debug)]
struct Ranges {
    weights: Range<usize>,
    bias: Range<usize>,
    turned: Range<usize>,
}

/// What a pass works in. It grows to the largest batch seen and stays: about 7 times steps · batch · (sum of the units)
/// floats for training, a quarter of that for scoring. Passes that fit allocate nothing.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// `[steps · batch][blocks of columns · lanes]`: the windows, time first.
    input: Vec<f32>,
    batch: usize,
    layers: Vec<layer::Space>,
    dense: dense::Space,
}

impl Network {
    /// Lays out a network.
    pub(crate) fn new(shape: &Shape, instructions: Instructions) -> Self {
        let lanes = instructions.lanes();
        let (mut weights, mut turned) = (0, 0);
        let mut place = |of_weights, of_bias, of_turned| {
            let ranges = Ranges {
                weights: weights..weights + of_weights,
                bias: weights + of_weights..weights + of_weights + of_bias,
                turned: turned..turned + of_turned,
            };
            (weights, turned) = (ranges.bias.end, ranges.turned.end);
            ranges
        };
        let mut after_code = false;
        let mut layers = Vec::new();
        let mut last = shape.columns;
        for (number, plan) in shape.layers().into_iter().enumerate() {
            let layer = Layer {
                inputs: plan.inputs,
                units: plan.units,
                blocks: plan.units.div_ceil(lanes),
                input_blocks: plan.inputs.div_ceil(lanes),
                repeated: std::mem::replace(&mut after_code, plan.is_code),
                is_code: plan.is_code,
                is_first: number == 0,
                relu: shape.activation == Activation::Relu,
            };
            last = plan.units;
            let at = place(
                layer.weights(lanes),
                layer.biases(lanes),
                layer.turned(lanes),
            );
            layers.push(Placed { layer, at });
        }
        let sigmoid = shape.output == Output::Sigmoid;
        let dense = Dense::new(lanes, last, shape.columns, sigmoid);
        let dense_at = place(
            dense.weights(lanes),
            dense.biases(lanes),
            dense.turned(lanes),
        );
        let low = layers
            .iter()
            .filter(|placed| placed.at.bias.end <= weights.div_ceil(2))
            .count();
        Self {
            instructions,
            lanes,
            low,
            steps: shape.window,
            layers,
            dense,
            dense_at,
            weights,
            turned,
        }
    }

    /// Instructions that it is laid out for.
    pub(crate) fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Length of the vector of weights, filling included.
    pub(crate) fn len(&self) -> usize {
        self.weights
    }

    /// Calls `visit(tensor, index in tensor, place in the vector)` for every weight, tensors as in [`Shape::parameters`].
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let width = ACROSS * self.lanes;
        for (number, Placed { layer, at }) in self.layers.iter().enumerate() {
            let rows = layer.inputs + layer.units;
            for column in 0..GATES * layer.units {
                let (gate, unit) = (column / layer.units, column % layer.units);
                let block = unit / self.lanes;
                let within = gate * self.lanes + unit % self.lanes;
                for row in 0..rows {
                    let place = at.weights.start + (block * rows + row) * width + within;
                    visit(2 * number, row * GATES * layer.units + column, place);
                }
                visit(
                    2 * number + 1,
                    column,
                    at.bias.start + block * width + within,
                );
            }
        }
        let (dense, at) = (&self.dense, &self.dense_at);
        let tensor = 2 * self.layers.len();
        for column in 0..dense.columns {
            for unit in 0..dense.units {
                let place = at.weights.start + dense.place(self.lanes, unit, column);
                visit(tensor, unit * dense.columns + column, place);
            }
            visit(tensor + 1, column, at.bias.start + column);
        }
    }

    /// From one vector per tensor of [`Shape::parameters`] to the kernel's order; what fills up is 0.
    pub(crate) fn pack(&self, tensors: &[Vec<f32>]) -> Vec<f32> {
        let mut packed = vec![0.0; self.weights];
        self.each(|tensor, index, place| packed[place] = tensors[tensor][index]);
        packed
    }

    /// The way back from [`Network::pack`].
    pub(crate) fn unpack(&self, packed: &[f32]) -> Vec<Vec<f32>> {
        let lengths = self.layers.iter().flat_map(|Placed { layer, .. }| {
            let gates = GATES * layer.units;
            [(layer.inputs + layer.units) * gates, gates]
        });
        let dense = [self.dense.units * self.dense.columns, self.dense.columns];
        let mut tensors: Vec<Vec<f32>> = lengths.chain(dense).map(|n| vec![0.0; n]).collect();
        self.each(|tensor, index, place| tensors[tensor][index] = packed[place]);
        tensors
    }

    /// Where the upper half begins among the weights, and among the turned weights.
    pub(crate) fn middle(&self) -> (usize, usize) {
        let first = self.layers.get(self.low).map(|placed| &placed.at);
        let at = first.unwrap_or(&self.dense_at);
        (at.weights.start, at.turned.start)
    }

    /// Writes a half's weights as the way back reads them.
    pub(crate) fn turn(&self, half: Half, weights: &[f32], turned: &mut [f32]) {
        let (layers, dense, (weights_from, turned_from)) = match half {
            Half::Low => (&self.layers[..self.low], None, (0, 0)),
            Half::High => (&self.layers[self.low..], Some(&self.dense), self.middle()),
        };
        let within = |range: &Range<usize>, from: usize| range.start - from..range.end - from;
        for Placed { layer, at } in layers {
            let weights = &weights[within(&at.weights, weights_from)];
            let turned = &mut turned[within(&at.turned, turned_from)];
            layer.turn(self.lanes, weights, turned);
        }
        if let Some(dense) = dense {
            let weights = &weights[within(&self.dense_at.weights, weights_from)];
            let turned = &mut turned[within(&self.dense_at.turned, turned_from)];
            dense.turn(self.lanes, weights, turned);
        }
    }

    /// All weights as the way back reads them.
    pub(crate) fn turned(&self, weights: &[f32]) -> Vec<f32> {
        let mut turned = vec![0.0; self.turned];
        let (middle, turned_middle) = self.middle();
        let (low, high) = turned.split_at_mut(turned_middle);
        self.turn(Half::Low, &weights[..middle], low);
        self.turn(Half::High, &weights[middle..], high);
        turned
    }

    /// Takes a batch of windows, each `[steps, columns]`.
    pub(crate) fn load<'a>(
        &self,
        windows: impl ExactSizeIterator<Item = ArrayView2<'a, f32>>,
        space: &mut Workspace,
    ) {
        let stride = self.dense.blocks * self.lanes;
        space.batch = windows.len();
        fit(&mut space.input, self.steps * space.batch * stride);
        for (place, window) in windows.enumerate() {
            for (step, row) in window.outer_iter().enumerate() {
                let at = (step * space.batch + place) * stride;
                let slots = &mut space.input[at..at + self.dense.columns];
                for (slot, value) in slots.iter_mut().zip(row) {
                    *slot = *value;
                }
            }
        }
    }

    /// Reconstructs the loaded windows.
    pub(crate) fn forward(&self, weights: &[f32], space: &mut Workspace) {
        dispatch!(self.instructions, simd => self.forth(simd, weights, space, false));
    }

    /// Copies the reconstruction to `out`, `[batch, steps, columns]`.
    pub(crate) fn output(&self, space: &Workspace, mut out: ArrayViewMut3<'_, f32>) {
        let rows = self.steps * space.batch;
        for (place, mut window) in out.outer_iter_mut().enumerate() {
            for (step, mut row) in window.outer_iter_mut().enumerate() {
                let from = step * space.batch + place;
                for (column, slot) in row.iter_mut().enumerate() {
                    let at = self.dense.output_at(self.lanes, rows, from, column);
                    *slot = space.dense.output[at];
                }
            }
        }
    }

    /// Error of the loaded windows' reconstruction: `Σ emphasis(column) · (output − input)²` over all rows. `emphasis` is made by
    /// [`Network::emphasis`].
    pub(crate) fn error(&self, weights: &[f32], emphasis: &[f32], space: &mut Workspace) -> f64 {
        dispatch!(self.instructions, simd => {
            self.forth(simd, weights, space, false);
            self.measure(simd, emphasis, space)
        })
    }

    /// The same, and its gradient is added to `gradient` (as long as the weights). `turned` comes from [`Network::turned`].
    pub(crate) fn gradient(
        &self,
        weights: &[f32],
        turned: &[f32],
        emphasis: &[f32],
        space: &mut Workspace,
        gradient: &mut [f32],
    ) -> f64 {
        dispatch!(self.instructions, simd => {
            self.forth(simd, weights, space, true);
            let error = self.measure(simd, emphasis, space);
            self.back(simd, turned, space, gradient);
            error
        })
    }

    /// One weight per column, followed by zeros for what fills up.
    pub(crate) fn emphasis(&self, columns: impl Iterator<Item = f32>) -> Vec<f32> {
        let mut emphasis: Vec<f32> = columns.take(self.dense.columns).collect();
        emphasis.resize(self.dense.blocks * self.lanes, 0.0);
        emphasis
    }

    fn extent(&self, space: &Workspace) -> Extent {
        Extent {
            steps: self.steps,
            batch: space.batch,
        }
    }

    fn forth<S: Lanes>(&self, simd: S, weights: &[f32], space: &mut Workspace, keep: bool) {
        let extent = self.extent(space);
        space
            .layers
            .resize_with(self.layers.len(), Default::default);
        let mut input = Matrix {
            data: &space.input,
            stride: self.dense.blocks * self.lanes,
        };
        for (Placed { layer, at }, space) in self.layers.iter().zip(&mut space.layers) {
            let values = (&weights[at.weights.clone()], &weights[at.bias.clone()]);
            layer.forward(simd, extent, values, input, space, keep);
            input = self.passed_on(layer, extent, space);
        }
        let at = &self.dense_at;
        let values = (&weights[at.weights.clone()], &weights[at.bias.clone()]);
        self.dense
            .forward(simd, extent.rows(), values, input, &mut space.dense);
    }

    /// What a layer gives to the next.
    fn passed_on<'a>(&self, layer: &Layer, extent: Extent, space: &'a layer::Space) -> Matrix<'a> {
        let stride = layer.blocks * self.lanes;
        let from = if layer.is_code {
            extent.rows() - extent.batch
        } else {
            0
        };
        Matrix {
            data: &space.state[from * stride..],
            stride,
        }
    }

    fn measure<S: Lanes>(&self, simd: S, emphasis: &[f32], space: &mut Workspace) -> f64 {
        let rows = self.steps * space.batch;
        self.dense
            .error(simd, rows, &space.input, emphasis, &mut space.dense)
    }

    fn back<S: Lanes>(&self, simd: S, turned: &[f32], space: &mut Workspace, gradient: &mut [f32]) {
        let extent = self.extent(space);
        let Workspace {
            input,
            layers: spaces,
            dense: dense_space,
            ..
        } = space;
        if let (Some(Placed { layer, .. }), Some(space)) = (self.layers.last(), spaces.last()) {
            let input = self.passed_on(layer, extent, space);
            let slots = slots(gradient, &self.dense_at);
            let turned = &turned[self.dense_at.turned.clone()];
            self.dense
                .backward(simd, extent, turned, input, slots, dense_space);
        }
        let mut errors = Matrix {
            data: &dense_space.input_gradient,
            stride: self.dense.unit_blocks * self.lanes,
        };
        let mut rest = spaces.as_mut_slice();
        for (number, Placed { layer, at }) in self.layers.iter().enumerate().rev() {
            let Some((space, before)) = rest.split_last_mut() else {
                return;
            };
            let input = match (self.layers.get(number.wrapping_sub(1)), before.last()) {
                (Some(below), Some(space)) => self.passed_on(&below.layer, extent, space),
                _ => Matrix {
                    data: input,
                    stride: self.dense.blocks * self.lanes,
                },
            };
            let slots = slots(gradient, at);
            let turned = &turned[at.turned.clone()];
            layer.backward(simd, extent, turned, (input, errors), slots, space);
            errors = Matrix {
                data: &space.input_gradient,
                stride: layer.input_blocks * self.lanes,
            };
            rest = before;
        }
    }
}

/// A layer's part of the gradient: weights, biases.
fn slots<'a>(gradient: &'a mut [f32], at: &Ranges) -> (&'a mut [f32], &'a mut [f32]) {
    gradient[at.weights.start..at.bias.end].split_at_mut(at.weights.len())
}
