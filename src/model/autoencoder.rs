//! The LSTM autoencoder: window in, window as it should have been out.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis};

use super::kernel::{Instructions, Network, Workspace};
use super::shape::{Parameter, Shape};
use super::{ModelError, initial};

/// Windows that go through the network at once; more are cut into such chunks, which bounds the memory of a pass.
const CHUNK: usize = 96;

/// An encoder LSTM, a latent LSTM whose last state is the code, the code repeated, decoder LSTMs, and a dense layer per row.
/// Immutable; a clone shares the weights, so it is handed to other threads freely.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    shape: Arc<Shape>,
    network: Arc<Network>,
    /// In the kernel's order.
    weights: Arc<[f32]>,
}

/// What reconstructions work in. Kept from call to call, nothing is allocated once it has seen the largest batch: about a
/// megabyte for the default network.
#[derive(Debug, Default)]
pub struct Scratch(Workspace);

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
    pub(super) fn from_values(shape: Shape, tensors: Vec<Vec<f32>>) -> Result<Self, ModelError> {
        shape.check()?;
        let parameters = shape.parameters();
        let fits = |(parameter, values): (&Parameter, &Vec<f32>)| {
            parameter.dims.iter().product::<usize>() == values.len()
        };
        if parameters.len() != tensors.len() || !parameters.iter().zip(&tensors).all(fits) {
            return Err(ModelError::Shape(format!(
                "the network's {} tensors have {:?} weights, not {:?}",
                parameters.len(),
                parameters.iter().map(|p| &p.dims).collect::<Vec<_>>(),
                tensors.iter().map(Vec::len).collect::<Vec<_>>()
            )));
        }
        let network = Network::new(&shape, Instructions::best());
        Ok(Self {
            weights: network.pack(&tensors).into(),
            network: Arc::new(network),
            shape: Arc::new(shape),
        })
    }

    /// The same network computed with other instructions.
    #[must_use]
    pub fn with_instructions(&self, instructions: Instructions) -> Self {
        let network = Network::new(&self.shape, instructions);
        Self {
            weights: network.pack(&self.network.unpack(&self.weights)).into(),
            network: Arc::new(network),
            shape: Arc::clone(&self.shape),
        }
    }

    /// Its sizes.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many weights it has.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.shape.weights().unwrap_or(0)
    }

    /// Each tensor's name, dimensions and values, in the network's order.
    pub(super) fn named_weights(&self) -> Vec<(Parameter, Vec<f32>)> {
        let tensors = self.network.unpack(&self.weights);
        self.shape.parameters().into_iter().zip(tensors).collect()
    }

    /// The weights as candle tensors, in the order of the layers: weights and bias of each, then of the dense one. With them
    /// [`plain::forward`](super::plain::forward) computes the same as [`Autoencoder::reconstruct`], plainly and slowly.
    ///
    /// # Errors
    /// candle's, when a tensor can't be made.
    pub fn tensors(&self) -> Result<Vec<Tensor>, ModelError> {
        self.named_weights()
            .into_iter()
            .map(|(parameter, values)| Ok(Tensor::from_vec(values, parameter.dims, &Device::Cpu)?))
            .collect()
    }

    /// What the network makes of `windows`, `[n, window, columns]` both, scaled values with the calendar last. Any `n`; a
    /// window's result depends on nothing but that window (to the last bits of f32 across batch sizes).
    ///
    /// # Errors
    /// [`ModelError::Windows`] when the windows have another shape than the network's.
    pub fn reconstruct(&self, windows: ArrayView3<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let mut result = Array3::zeros(windows.dim());
        self.reconstruct_into(windows, result.view_mut(), &mut Scratch::default())?;
        Ok(result)
    }

    /// The same into `out`, of the same dimensions, without allocating when `scratch` is warm.
    ///
    /// # Errors
    /// [`ModelError::Windows`] when the windows or the result have another shape than the network's.
    pub fn reconstruct_into(
        &self,
        windows: ArrayView3<'_, f32>,
        mut out: ArrayViewMut3<'_, f32>,
        scratch: &mut Scratch,
    ) -> Result<(), ModelError> {
        let (count, window, columns) = windows.dim();
        let (expected_window, expected_columns) = (self.shape.window, self.shape.columns);
        if (window, columns) != (expected_window, expected_columns) || out.dim() != windows.dim() {
            return Err(ModelError::Windows {
                window,
                columns,
                expected_window,
                expected_columns,
            });
        }
        // As even as can be: a few windows left over would cost as much as a full chunk's rows.
        let chunk = count.div_ceil(count.div_ceil(CHUNK).max(1)).max(1);
        let chunks = windows.axis_chunks_iter(Axis(0), chunk);
        for (chunk, out) in chunks.zip(out.axis_chunks_iter_mut(Axis(0), chunk)) {
            self.network.load(chunk.outer_iter(), &mut scratch.0);
            self.network.forward(&self.weights, &mut scratch.0);
            self.network.output(&scratch.0, out);
        }
        Ok(())
    }
}
