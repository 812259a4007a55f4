//! The dense layer at the end, and the error it is trained on.

use pulp::WithSimd;

use super::lanes::{self, Lanes};
use super::layer::{Extent, Matrix, fit};
use super::tile::{
    ACROSS, Parts, Place, Rows, Start, Wide, add_gradient, in_panels, panels, vectors, vectors_mut,
};

/// Sizes of the dense layer.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    /// Width of its input: the last decoder's units.
    pub units: usize,
    /// Vectors that hold them.
    pub unit_blocks: usize,
    /// Width of its output.
    pub columns: usize,
    /// Vectors that hold the columns: one panel, or panels that are all of full width.
    pub blocks: usize,
    pub sigmoid: bool,
}

/// What the dense layer works in.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Panels of `[steps · batch]` rows: the output; on the way back, the gradient of its sums.
    pub output: Vec<f32>,
    /// `[steps · batch][unit blocks · lanes]`: gradient of the input.
    pub input_gradient: Vec<f32>,
}

impl Dense {
    pub(super) fn new(lanes: usize, units: usize, columns: usize, sigmoid: bool) -> Self {
        let blocks = columns.div_ceil(lanes);
        Self {
            units,
            unit_blocks: units.div_ceil(lanes),
            columns,
            blocks: if blocks > ACROSS {
                blocks.next_multiple_of(ACROSS)
            } else {
                blocks
            },
            sigmoid,
        }
    }

    /// Length of the weights: panels of `[units]` rows.
    pub(super) fn weights(&self, lanes: usize) -> usize {
        self.units * self.blocks * lanes
    }

    /// Length of the biases.
    pub(super) fn biases(&self, lanes: usize) -> usize {
        self.blocks * lanes
    }

    /// Length of the turned weights: panels over the units, `[columns]` rows each.
    pub(super) fn turned(&self, lanes: usize) -> usize {
        self.columns * self.unit_blocks * lanes
    }

    /// Writes the weights as the way back reads them.
    pub(super) fn turn(&self, lanes: usize, weights: &[f32], turned: &mut [f32]) {
        let extent = (self.columns, self.unit_blocks);
        for unit in 0..self.units {
            for column in 0..self.columns {
                let value = weights[self.place(lanes, unit, column)];
                turned[in_panels(lanes, extent, column, unit)] = value;
            }
        }
    }

    /// Where the weight from a unit to a column is.
    pub(super) fn place(&self, lanes: usize, unit: usize, column: usize) -> usize {
        in_panels(lanes, (self.units, self.blocks), unit, column)
    }

    /// Where the output of a row and column is.
    pub(super) fn output_at(&self, lanes: usize, rows: usize, row: usize, column: usize) -> usize {
        in_panels(lanes, (rows, self.blocks), row, column)
    }

    /// Output of all rows.
    pub(super) fn forward<S: Lanes>(
        &self,
        simd: S,
        rows: usize,
        (weights, bias): (&[f32], &[f32]),
        input: Matrix<'_>,
        space: &mut Space,
    ) {
        let length = rows * self.blocks * S::F32_LANES;
        fit(&mut space.output, length);
        Wide {
            left: Rows::plain(input.data, input.stride, self.units),
            rows: 0..rows,
            blocks: self.blocks,
            right: weights,
            start: Start::Row(bias),
            place: Place::Panels(rows),
        }
        .run(simd, &mut space.output);
        if self.sigmoid {
            let values = &mut space.output[..length];
            simd.vectorize(Sigmoid { simd, values });
        }
    }

    /// Turns the output into the gradient of its sums, for the error `Σ weight(column) · (output − target)²`; gives that error.
    /// `target` is `[rows][blocks · lanes]`, `emphasis` one weight per column, 0 for those that only fill up.
    pub(super) fn error<S: Lanes>(
        &self,
        simd: S,
        rows: usize,
        target: &[f32],
        emphasis: &[f32],
        space: &mut Space,
    ) -> f64 {
        simd.vectorize(Residual {
            simd,
            dense: self,
            rows,
            target,
            emphasis,
            output: &mut space.output,
        })
    }

    /// The way back from the gradient that [`Dense::error`] left: weights' and biases' gradients are added to `gradient`, the
    /// input's is left in the space.
    pub(super) fn backward<S: Lanes>(
        &self,
        simd: S,
        extent: Extent,
        turned: &[f32],
        input: Matrix<'_>,
        (weights, bias): (&mut [f32], &mut [f32]),
        space: &mut Space,
    ) {
        let rows = extent.rows();
        let stride = self.unit_blocks * S::F32_LANES;
        for (first, across) in panels(self.blocks) {
            let from = first * S::F32_LANES;
            let panel = &space.output[from * rows..][..across * S::F32_LANES * rows];
            let bias = &mut bias[from..][..across * S::F32_LANES];
            simd.vectorize(Totals { simd, panel, bias });
        }
        let of_input = (input.data, input.stride, self.units);
        add_gradient(simd, of_input, (&space.output, rows), self.blocks, weights);
        fit(&mut space.input_gradient, rows * stride);
        let across = ACROSS.min(self.blocks) * S::F32_LANES;
        Wide {
            left: Rows {
                parts: Parts {
                    data: &space.output,
                    distance: across * rows,
                    length: across,
                    total: self.columns,
                },
                stride: across,
            },
            rows: 0..rows,
            blocks: self.unit_blocks,
            right: turned,
            start: Start::Zero,
            place: Place::Matrix(stride),
        }
        .run(simd, &mut space.input_gradient);
    }
}

struct Sigmoid<'a, S> {
    simd: S,
    values: &'a mut [f32],
}

impl<S: Lanes> WithSimd for Sigmoid<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(self, _: T) {
        for value in vectors_mut::<S>(self.values) {
            *value = lanes::sigmoid(self.simd, *value);
        }
    }
}

struct Totals<'a, S> {
    simd: S,
    panel: &'a [f32],
    bias: &'a mut [f32],
}

impl<S: Lanes> WithSimd for Totals<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(self, _: T) {
        let bias = vectors_mut::<S>(self.bias);
        for row in vectors::<S>(self.panel).chunks_exact(bias.len()) {
            for (total, value) in bias.iter_mut().zip(row) {
                *total = self.simd.add_f32s(*total, *value);
            }
        }
    }
}

struct Residual<'a, S> {
    simd: S,
    dense: &'a Dense,
    rows: usize,
    target: &'a [f32],
    emphasis: &'a [f32],
    output: &'a mut [f32],
}

impl<S: Lanes> WithSimd for Residual<'_, S> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(self, _: T) -> f64 {
        let simd = self.simd;
        let stride = self.dense.blocks * S::F32_LANES;
        let emphasis = vectors::<S>(self.emphasis);
        let one = simd.splat_f32s(1.0);
        let two = simd.splat_f32s(2.0);
        let mut total = 0.0;
        for (first, across) in panels(self.dense.blocks) {
            let from = first * S::F32_LANES;
            let panel = &mut self.output[from * self.rows..][..across * S::F32_LANES * self.rows];
            let mut sum = simd.splat_f32s(0.0);
            let rows = vectors_mut::<S>(panel).chunks_exact_mut(across);
            for (row, targets) in rows.zip(self.target.chunks_exact(stride)) {
                let targets = vectors::<S>(&targets[from..]);
                for (column, (value, target)) in row.iter_mut().zip(targets).enumerate() {
                    let output = *value;
                    let residual = simd.sub_f32s(output, *target);
                    let weighted = simd.mul_f32s(residual, emphasis[first + column]);
                    sum = simd.fma(residual, weighted, sum);
                    let gradient = simd.mul_f32s(two, weighted);
                    *value = if self.dense.sigmoid {
                        let slope = simd.mul_f32s(output, simd.sub_f32s(one, output));
                        simd.mul_f32s(gradient, slope)
                    } else {
                        gradient
                    };
                }
            }
            total += f64::from(simd.reduce_sum_f32s(sum));
        }
        total
    }
}
