//! The autoencoder written plainly in candle's operations: what the fused kernel is held against, by tests and in benches.

use candle_core::{Device, Tensor};
use ndarray::ArrayView3;

use super::lstm;
use super::shape::Shape;
use crate::config::Output;

/// `[n, window, columns]` as a tensor `[window, n, columns]`.
///
/// # Errors
/// candle's, when the tensor can't be made.
pub fn time_first(windows: ArrayView3<'_, f32>) -> candle_core::Result<Tensor> {
    let turned = windows.permuted_axes([1, 0, 2]);
    let dims = turned.dim();
    let values: Vec<f32> = turned.iter().copied().collect();
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// One pass, `[window, n, columns]` in and out, with the weights of [`Autoencoder::tensors`](super::Autoencoder::tensors).
/// Gradients flow when they are variables.
///
/// # Errors
/// candle's, when the shapes do not go together.
pub fn forward(shape: &Shape, weights: &[Tensor], input: &Tensor) -> candle_core::Result<Tensor> {
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
