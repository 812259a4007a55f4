//! The LSTM autoencoder: window in, window as it should have been out.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{Array3, ArrayView3, Axis};

use super::lstm;
use super::shape::{Parameter, Shape};
use super::{ModelError, initial};
use crate::config::Output;

/// Windows that go through the network at once; more are cut into such chunks, which bounds the memory of a pass.
const CHUNK: usize = 256;

/// An encoder LSTM, a latent LSTM whose last state is the code, the code repeated, decoder LSTMs, and a dense layer per row.
/// Immutable; a clone shares the weights, so it is handed to other threads freely.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    shape: Arc<Shape>,
    weights: Arc<[Tensor]>,
}

impl Autoencoder {
    /// A network with first weights from `seed`.
    ///
    /// # Errors
    /// [`ModelError::Shape`] when the shape can't be built.
    pub fn new(shape: Shape, seed: u64) -> Result<Self, ModelError> {
        shape.check()?;
        let weights = initial::weights(&shape, seed);
        Self::from_values(shape, weights)
    }

    /// A network from all its weights, in the order of [`Shape::parameters`].
    pub(super) fn from_values(shape: Shape, weights: Vec<Vec<f32>>) -> Result<Self, ModelError> {
        shape.check()?;
        let parameters = shape.parameters();
        if parameters.len() != weights.len() {
            return Err(ModelError::Shape(format!(
                "the network has {} tensors, not {}",
                parameters.len(),
                weights.len()
            )));
        }
        let weights = parameters
            .into_iter()
            .zip(weights)
            .map(|(parameter, values)| Tensor::from_vec(values, parameter.dims, &Device::Cpu))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            shape: Arc::new(shape),
            weights,
        })
    }

    /// Its sizes.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many weights it has.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.weights.iter().map(Tensor::elem_count).sum()
    }

    /// Each tensor's name, dimensions and values, in the network's order.
    pub(super) fn named_weights(&self) -> Result<Vec<(Parameter, Vec<f32>)>, ModelError> {
        self.shape
            .parameters()
            .into_iter()
            .zip(self.weights.iter())
            .map(|(parameter, tensor)| Ok((parameter, tensor.flatten_all()?.to_vec1()?)))
            .collect()
    }

    /// What the network makes of `windows`, `[n, window, columns]` both, scaled values with the calendar last. Any `n`; a
    /// window's result depends on nothing but that window (to the last bits of f32 across batch sizes).
    ///
    /// # Errors
    /// [`ModelError::Windows`] when the windows have another shape than the network's.
    pub fn reconstruct(&self, windows: ArrayView3<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (_, window, columns) = windows.dim();
        if (window, columns) != (self.shape.window, self.shape.columns) {
            return Err(ModelError::Windows {
                window,
                columns,
                expected_window: self.shape.window,
                expected_columns: self.shape.columns,
            });
        }
        let mut result = Array3::zeros(windows.dim());
        let chunks = windows.axis_chunks_iter(Axis(0), CHUNK);
        for (chunk, mut slot) in chunks.zip(result.axis_chunks_iter_mut(Axis(0), CHUNK)) {
            let output = forward(&self.shape, &self.weights, &time_first(chunk)?)?;
            let output = Array3::from_shape_vec(output.dims3()?, output.flatten_all()?.to_vec1()?)
                .map_err(|e| ModelError::Shape(e.to_string()))?;
            slot.assign(&output.permuted_axes([1, 0, 2]));
        }
        Ok(result)
    }
}

/// `[n, window, columns]` as a tensor `[window, n, columns]`.
pub(super) fn time_first(windows: ArrayView3<'_, f32>) -> candle_core::Result<Tensor> {
    let turned = windows.permuted_axes([1, 0, 2]);
    let dims = turned.dim();
    let values: Vec<f32> = turned.iter().copied().collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// One pass, `[window, n, columns]` in and out. Gradients flow when `weights` are variables.
pub(super) fn forward(
    shape: &Shape,
    weights: &[Tensor],
    input: &Tensor,
) -> candle_core::Result<Tensor> {
    let short = || candle_core::Error::Msg("the network lacks weights".into());
    let mut pairs = weights.chunks_exact(2);
    let mut next = || match pairs.next() {
        Some([weights, bias]) => Ok((weights, bias)),
        _ => Err(short()),
    };
    let steps = shape.window;
    let mut values = input.clone();
    for layer in shape.layers() {
        let (weights, bias) = next()?;
        values = lstm::sequence(&values, steps, weights, bias, shape.activation)?;
        if layer.is_code {
            values = values.narrow(0, steps - 1, 1)?;
        }
    }
    let (weights, bias) = next()?;
    let (rows, batch, units) = values.dims3()?;
    let dense = values
        .reshape((rows * batch, units))?
        .matmul(weights)?
        .broadcast_add(bias)?;
    let dense = match shape.output {
        Output::Linear => dense,
        Output::Sigmoid => candle_nn::ops::sigmoid(&dense)?,
    };
    dense.reshape((rows, batch, shape.columns))
}
