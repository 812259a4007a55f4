//! One LSTM layer, forth and back through time.
//!
//! Units come in *blocks* of one vector. A block's weights are one panel: for every input, then every unit of the state, a
//! row of the four gates' vectors (input, forget, output, candidate). Units that only fill up the last block have no weights,
//! so their state and all their gradients are exactly 0.

use pulp::WithSimd;

use super::lanes::{self, Lanes};
use super::tile::{
    ACROSS, Parts, Place, Product, Rows, Start, Wide, add_gradient, by_rows, groups, panels,
    rows_at, tile, vectors, vectors_mut,
};

/// Sizes of a layer and its place in the network.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Four independent facts of a layer.
pub(super) struct Layer {
    pub inputs: usize,
    pub units: usize,
    /// Vectors that hold the units.
    pub blocks: usize,
    /// Vectors that hold the inputs.
    pub input_blocks: usize,
    /// The input is the same in every step and is given once.
    pub repeated: bool,
    /// Only the last state goes on.
    pub is_code: bool,
    /// Nobody asks for the gradient of the input.
    pub is_first: bool,
    pub relu: bool,
}

/// What a layer works in: activations and gradients of one batch. Grows to the largest batch seen and stays.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// `[blocks][steps · batch][4 lanes]`: the gates; on the way back, their gradients.
    gates: Vec<f32>,
    /// `[blocks][steps · batch][2 lanes]`: the cell before a step and its activation after it.
    memory: Vec<f32>,
    /// `[blocks][batch][lanes]`: the cell now; on the way back, its gradient.
    cell: Vec<f32>,
    /// `[steps · batch][blocks · lanes]`: what comes out.
    pub state: Vec<f32>,
    /// `[blocks][rows][4 lanes]`: what the input adds to the gates, where it is known ahead of the steps.
    projected: Vec<f32>,
    /// `[blocks][batch][4 lanes]`: the gates' gradients summed over the steps, for an input that repeats.
    summed: Vec<f32>,
    /// `[batch][blocks · lanes]`: gradient of the state from the step after.
    state_gradient: Vec<f32>,
    /// `[rows][input blocks · lanes]`: gradient of the input.
    pub input_gradient: Vec<f32>,
}

/// Makes a buffer at least `length` long.
pub(super) fn fit(buffer: &mut Vec<f32>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
}

/// Steps and windows of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub steps: usize,
    pub batch: usize,
}

impl Extent {
    pub(super) fn rows(self) -> usize {
        self.steps * self.batch
    }
}

/// A matrix that rows are read from.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

impl Layer {
    /// Length of the weights: `[blocks][inputs + units][4 lanes]`.
    pub(super) fn weights(&self, lanes: usize) -> usize {
        self.blocks * (self.inputs + self.units) * ACROSS * lanes
    }

    /// Length of the biases: `[blocks][4 lanes]`.
    pub(super) fn biases(&self, lanes: usize) -> usize {
        self.blocks * ACROSS * lanes
    }

    /// Length of the turned weights.
    pub(super) fn turned(&self, lanes: usize) -> usize {
        let inner = self.blocks * ACROSS * lanes;
        let inputs = if self.is_first { 0 } else { self.input_blocks };
        inner * (self.blocks + inputs) * lanes
    }

    /// Writes the weights as the way back reads them: panels over units, then over inputs, `[blocks · 4 lanes]` rows each.
    pub(super) fn turn(&self, lanes: usize, weights: &[f32], turned: &mut [f32]) {
        let inner = self.blocks * ACROSS * lanes;
        let (of_state, of_input) = turned.split_at_mut(inner * self.blocks * lanes);
        self.turn_rows(lanes, weights, self.inputs, self.units, of_state);
        if !self.is_first {
            self.turn_rows(lanes, weights, 0, self.inputs, of_input);
        }
    }

    fn turn_rows(&self, lanes: usize, weights: &[f32], from: usize, rows: usize, out: &mut [f32]) {
        let width = ACROSS * lanes;
        let inner = self.blocks * width;
        let all = rows.div_ceil(lanes);
        for (first, across) in panels(all) {
            let panel = &mut out[first * lanes * inner..][..across * lanes * inner];
            let real = (rows - first * lanes).min(across * lanes);
            for row in 0..real {
                for block in 0..self.blocks {
                    let place = block * (self.inputs + self.units) + from + first * lanes + row;
                    let source = &weights[place * width..][..width];
                    let target =
                        panel[block * width * across * lanes..].chunks_exact_mut(across * lanes);
                    for (value, target) in source.iter().zip(target) {
                        target[row] = *value;
                    }
                }
            }
        }
    }

    /// Runs the layer over `input` (`[steps · batch]` rows, or `[batch]` when it repeats) from a zero state. With `keep` what
    /// the way back needs is kept.
    pub(super) fn forward<S: Lanes>(
        &self,
        simd: S,
        extent: Extent,
        (weights, bias): (&[f32], &[f32]),
        input: Matrix<'_>,
        space: &mut Space,
        keep: bool,
    ) {
        let lanes = S::F32_LANES;
        let width = ACROSS * lanes;
        let (batch, rows) = (extent.batch, extent.rows());
        let stride = self.blocks * lanes;
        fit(&mut space.state, rows * stride);
        fit(&mut space.cell, batch * stride);
        if keep {
            fit(&mut space.gates, rows * stride * ACROSS);
            fit(&mut space.memory, rows * stride * 2);
        }
        space.cell[..batch * stride].fill(0.0);
        // A few windows do not fill a tile of rows, all their steps together do.
        let ahead = self.repeated || batch < S::ROWS;
        let known = if self.repeated { batch } else { rows };
        if ahead {
            fit(&mut space.projected, known * stride * ACROSS);
            self.project(simd, (weights, bias), input, known, &mut space.projected);
        }
        for step in 0..extent.steps {
            let (before, now) = space.state.split_at_mut(step * batch * stride);
            let from = if self.repeated { 0 } else { step * batch };
            let run = Step {
                simd,
                layer: self,
                batch,
                weights,
                start: if ahead {
                    FirstSums::Rows(&space.projected[from * width..], known * width)
                } else {
                    FirstSums::Bias(bias)
                },
                input: (!ahead).then(|| &input.data[from * input.stride..]),
                input_stride: input.stride,
                before: (step > 0).then(|| &before[(step - 1) * batch * stride..]),
                cell: &mut space.cell,
                state: now,
                kept: keep.then_some((&mut space.gates, &mut space.memory)),
                rows,
                row: step * batch,
            };
            if self.relu {
                simd.vectorize(Activated::<S, true>(run));
            } else {
                simd.vectorize(Activated::<S, false>(run));
            }
        }
    }

    /// What the input adds to the gates, for `rows` rows: `[blocks][rows][4 lanes]`.
    fn project<S: Lanes>(
        &self,
        simd: S,
        (weights, bias): (&[f32], &[f32]),
        input: Matrix<'_>,
        rows: usize,
        out: &mut [f32],
    ) {
        let width = ACROSS * S::F32_LANES;
        for block in 0..self.blocks {
            simd.vectorize(Product::<S, ACROSS> {
                simd,
                left: Rows::plain(input.data, input.stride, self.inputs),
                rows: 0..rows,
                panel: &weights[block * (self.inputs + self.units) * width..]
                    [..self.inputs * width],
                start: Start::Row(&bias[block * width..]),
                out: &mut out[block * rows * width..],
                stride: width,
            });
        }
    }

    /// The way back from `input` as it was given to [`Layer::forward`] and `errors`, the gradient of the output: `[steps · batch]` rows, or `[batch]` for the code. The gradients
    /// of weights and biases are added to `gradient`; the input's is left in the space.
    pub(super) fn backward<S: Lanes>(
        &self,
        simd: S,
        extent: Extent,
        turned: &[f32],
        (input, errors): (Matrix<'_>, Matrix<'_>),
        gradient: (&mut [f32], &mut [f32]),
        space: &mut Space,
    ) {
        let width = ACROSS * S::F32_LANES;
        let (batch, rows) = (extent.batch, extent.rows());
        let stride = self.blocks * S::F32_LANES;
        fit(&mut space.state_gradient, batch * stride);
        space.cell[..batch * stride].fill(0.0);
        space.state_gradient[..batch * stride].fill(0.0);
        if self.repeated {
            fit(&mut space.summed, batch * stride * ACROSS);
            space.summed[..batch * stride * ACROSS].fill(0.0);
        }
        let (weights, bias) = gradient;
        let (of_state, of_input) = turned.split_at(stride * ACROSS * stride);
        for step in (0..extent.steps).rev() {
            let here = if self.is_code { 0 } else { step * batch };
            let run = StepBack {
                simd,
                layer: self,
                batch,
                rows,
                row: step * batch,
                errors: (!self.is_code || step + 1 == extent.steps)
                    .then(|| &errors.data[here * errors.stride..]),
                errors_stride: errors.stride,
                gates: &mut space.gates,
                memory: &space.memory,
                cell: &mut space.cell,
                state: &space.state_gradient,
                bias: &mut *bias,
                summed: self.repeated.then_some(&mut space.summed),
            };
            if self.relu {
                simd.vectorize(ActivatedBack::<S, true>(run));
            } else {
                simd.vectorize(ActivatedBack::<S, false>(run));
            }
            if step > 0 {
                Wide {
                    left: self.as_left(&space.gates[step * batch * width..], rows, width),
                    rows: 0..batch,
                    blocks: self.blocks,
                    right: of_state,
                    start: Start::Zero,
                    place: Place::Matrix(stride),
                }
                .run(simd, &mut space.state_gradient);
            }
        }
        if !self.is_first {
            self.input_gradient(simd, extent, of_input, space);
        }
        self.weight_gradient(simd, extent, input, weights, space);
    }

    /// Gradients of gates, panel by panel, as the left side of a product.
    fn as_left<'a>(&self, data: &'a [f32], rows: usize, width: usize) -> Rows<'a> {
        Rows {
            parts: Parts {
                data,
                distance: rows * width,
                length: width,
                total: self.blocks * width,
            },
            stride: width,
        }
    }

    fn input_gradient<S: Lanes>(&self, simd: S, extent: Extent, turned: &[f32], space: &mut Space) {
        /// Rows of gates that stay in the second cache while all panels go over them.
        const AT_ONCE: usize = 48;
        let width = ACROSS * S::F32_LANES;
        let stride = self.input_blocks * S::F32_LANES;
        let (gates, rows) = if self.repeated {
            (&space.summed, extent.batch)
        } else {
            (&space.gates, extent.rows())
        };
        fit(&mut space.input_gradient, rows * stride);
        for from in (0..rows).step_by(AT_ONCE) {
            Wide {
                left: self.as_left(gates, rows, width),
                rows: from..rows.min(from + AT_ONCE),
                blocks: self.input_blocks,
                right: turned,
                start: Start::Zero,
                place: Place::Matrix(stride),
            }
            .run(simd, &mut space.input_gradient);
        }
    }

    fn weight_gradient<S: Lanes>(
        &self,
        simd: S,
        extent: Extent,
        input: Matrix<'_>,
        out: &mut [f32],
        space: &Space,
    ) {
        let width = ACROSS * S::F32_LANES;
        let (batch, rows) = (extent.batch, extent.rows());
        let (gates, known) = if self.repeated {
            (&space.summed, batch)
        } else {
            (&space.gates, rows)
        };
        let of_input = (input.data, input.stride, self.inputs);
        let of_state = (&*space.state, self.blocks * S::F32_LANES, self.units);
        for (block, out) in out
            .chunks_exact_mut((self.inputs + self.units) * width)
            .enumerate()
        {
            let (inputs, units) = out.split_at_mut(self.inputs * width);
            let errors = &gates[block * known * width..][..known * width];
            add_gradient(simd, of_input, (errors, known), ACROSS, inputs);
            // The state before the first step is 0.
            let errors = &space.gates[block * rows * width..][batch * width..rows * width];
            add_gradient(simd, of_state, (errors, rows - batch), ACROSS, units);
        }
    }
}

/// What the sums of a block's gates start from.
#[derive(Clone, Copy)]
enum FirstSums<'a> {
    /// `[blocks][4 lanes]`, the same for all rows.
    Bias(&'a [f32]),
    /// `[blocks][..][4 lanes]`, blocks that far apart.
    Rows(&'a [f32], usize),
}

/// One step of a layer for a whole batch.
struct Step<'a, S> {
    simd: S,
    layer: &'a Layer,
    batch: usize,
    weights: &'a [f32],
    start: FirstSums<'a>,
    /// Rows of this step; none when they are in `start` already.
    input: Option<&'a [f32]>,
    input_stride: usize,
    /// State after the step before; none in the first.
    before: Option<&'a [f32]>,
    cell: &'a mut [f32],
    /// State after this step.
    state: &'a mut [f32],
    kept: Option<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    /// Rows of all steps, and the first of this one.
    rows: usize,
    row: usize,
}

/// A step with its activation known when compiled.
struct Activated<'a, S, const RELU: bool>(Step<'a, S>);

impl<S: Lanes, const RELU: bool> Activated<'_, S, RELU> {
    #[inline(always)]
    fn group<const ROWS: usize>(&mut self, block: usize, row: usize) {
        let run = &mut self.0;
        let (simd, lanes) = (run.simd, S::F32_LANES);
        let width = ACROSS * lanes;
        let layer = run.layer;
        let panel = (layer.inputs + layer.units) * width;
        let panel = &run.weights[block * panel..][..panel];
        let mut sums = [[simd.splat_f32s(0.0); ACROSS]; ROWS];
        for (i, sums) in sums.iter_mut().enumerate() {
            let first = match run.start {
                FirstSums::Bias(bias) => &bias[block * width..][..width],
                FirstSums::Rows(rows, distance) => {
                    &rows[block * distance + (row + i) * width..][..width]
                }
            };
            sums.copy_from_slice(vectors::<S>(first));
        }
        let (of_input, of_state) = panel.split_at(layer.inputs * width);
        if let Some(input) = run.input {
            let left: [&[f32]; ROWS] = rows_at(input, run.input_stride, row, layer.inputs);
            tile(simd, &mut sums, vectors::<S>(of_input), |k| {
                std::array::from_fn(|i| left[i][k])
            });
        }
        if let Some(before) = run.before {
            let stride = layer.blocks * lanes;
            let left: [&[f32]; ROWS] = rows_at(before, stride, row, layer.units);
            tile(simd, &mut sums, vectors::<S>(of_state), |k| {
                std::array::from_fn(|i| left[i][k])
            });
        }
        for (i, sums) in sums.into_iter().enumerate() {
            self.finish(block, row + i, sums);
        }
    }

    /// From the sums of one row's gates to its new state.
    #[inline(always)]
    fn finish(&mut self, block: usize, row: usize, sums: [S::f32s; ACROSS]) {
        let run = &mut self.0;
        let (simd, lanes) = (run.simd, S::F32_LANES);
        let [i, f, o, g] = lanes::gates::<S, RELU>(simd, sums);
        let cell = &mut run.cell[(block * run.batch + row) * lanes..][..lanes];
        let cell = &mut vectors_mut::<S>(cell)[0];
        let before = *cell;
        *cell = simd.fma(f, before, simd.mul_f32s(i, g));
        let active = if RELU {
            lanes::relu(simd, *cell)
        } else {
            lanes::tanh(simd, *cell)
        };
        let state = &mut run.state[(row * run.layer.blocks + block) * lanes..][..lanes];
        vectors_mut::<S>(state)[0] = simd.mul_f32s(o, active);
        if let Some((gates, memory)) = &mut run.kept {
            let place = (block * run.rows + run.row + row) * lanes;
            let gates = &mut gates[place * ACROSS..][..ACROSS * lanes];
            vectors_mut::<S>(gates).copy_from_slice(&[i, f, o, g]);
            let memory = &mut memory[place * 2..][..2 * lanes];
            vectors_mut::<S>(memory).copy_from_slice(&[before, active]);
        }
    }
}

impl<S: Lanes, const RELU: bool> WithSimd for Activated<'_, S, RELU> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(mut self, _: T) {
        for block in 0..self.0.layer.blocks {
            for rows in groups(self.0.batch, S::ROWS) {
                by_rows!(rows, COUNT => self.group::<COUNT>(block, rows.start));
            }
        }
    }
}

/// One step back for a whole batch: from the gradient of the state to those of the gates.
struct StepBack<'a, S> {
    simd: S,
    layer: &'a Layer,
    batch: usize,
    /// Rows of all steps, and the first of this one.
    rows: usize,
    row: usize,
    /// Gradient of this step's output, if it has one.
    errors: Option<&'a [f32]>,
    errors_stride: usize,
    gates: &'a mut [f32],
    memory: &'a [f32],
    /// Gradient of the cell.
    cell: &'a mut [f32],
    /// Gradient of the state from the step after.
    state: &'a [f32],
    bias: &'a mut [f32],
    summed: Option<&'a mut Vec<f32>>,
}

struct ActivatedBack<'a, S, const RELU: bool>(StepBack<'a, S>);

impl<S: Lanes, const RELU: bool> ActivatedBack<'_, S, RELU> {
    /// One row of one block; gives the gradients of its gates' sums.
    #[inline(always)]
    fn row(&mut self, block: usize, row: usize) -> [S::f32s; ACROSS] {
        let run = &mut self.0;
        let (simd, lanes) = (run.simd, S::F32_LANES);
        let place = (block * run.rows + run.row + row) * lanes;
        let gates = &mut run.gates[place * ACROSS..][..ACROSS * lanes];
        let gates = vectors_mut::<S>(gates);
        let memory = vectors::<S>(&run.memory[place * 2..][..2 * lanes]);
        let (i, f, o, g) = (gates[0], gates[1], gates[2], gates[3]);
        let (before, active) = (memory[0], memory[1]);
        let from = (row * run.layer.blocks + block) * lanes;
        let mut state = vectors::<S>(&run.state[from..][..lanes])[0];
        if let Some(errors) = run.errors {
            let errors = &errors[row * run.errors_stride + block * lanes..][..lanes];
            state = simd.add_f32s(state, vectors::<S>(errors)[0]);
        }
        // σ' = σ (1 − σ), tanh' = 1 − tanh².
        let slope = |s| simd.mul_f32s(s, simd.sub_f32s(simd.splat_f32s(1.0), s));
        let past = |y, d| {
            if RELU {
                lanes::where_positive(simd, y, d)
            } else {
                simd.sub_f32s(d, simd.mul_f32s(d, simd.mul_f32s(y, y)))
            }
        };
        let cell = &mut run.cell[(block * run.batch + row) * lanes..][..lanes];
        let cell = &mut vectors_mut::<S>(cell)[0];
        let passed = simd.add_f32s(*cell, past(active, simd.mul_f32s(state, o)));
        *cell = simd.mul_f32s(passed, f);
        let errors = [
            simd.mul_f32s(simd.mul_f32s(passed, g), slope(i)),
            simd.mul_f32s(simd.mul_f32s(passed, before), slope(f)),
            simd.mul_f32s(simd.mul_f32s(state, active), slope(o)),
            past(g, simd.mul_f32s(passed, i)),
        ];
        gates.copy_from_slice(&errors);
        if let Some(summed) = &mut run.summed {
            let summed = &mut summed[(block * run.batch + row) * ACROSS * lanes..];
            let summed = vectors_mut::<S>(&mut summed[..ACROSS * lanes]);
            for (sum, error) in summed.iter_mut().zip(errors) {
                *sum = simd.add_f32s(*sum, error);
            }
        }
        errors
    }
}

impl<S: Lanes, const RELU: bool> WithSimd for ActivatedBack<'_, S, RELU> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(mut self, _: T) {
        let simd = self.0.simd;
        let width = ACROSS * S::F32_LANES;
        for block in 0..self.0.layer.blocks {
            let mut sums = [simd.splat_f32s(0.0); ACROSS];
            for row in 0..self.0.batch {
                let errors = self.row(block, row);
                for (sum, error) in sums.iter_mut().zip(errors) {
                    *sum = simd.add_f32s(*sum, error);
                }
            }
            let bias = vectors_mut::<S>(&mut self.0.bias[block * width..][..width]);
            for (bias, sum) in bias.iter_mut().zip(sums) {
                *bias = simd.add_f32s(*bias, sum);
            }
        }
    }
}
