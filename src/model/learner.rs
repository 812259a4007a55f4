//! A network while it learns: batches forth, back and downhill.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor, Var};

use super::adam::{self, Adam};
use super::autoencoder::{forward, time_first};
use super::initial;
use super::shape::Shape;
use super::train::{TrainError, TrainOptions};
use crate::prep::window::WindowSet;

/// Parts that a batch is cut into. Fixed, so that the order of additions does not depend on the machine.
const SHARDS: usize = 2;

/// A loss and where it falls, one vector per tensor of weights.
struct Downhill {
    loss: f64,
    gradients: Vec<Vec<f32>>,
}

impl Downhill {
    fn plus(mut self, other: Self) -> Self {
        self.loss += other.loss;
        let tensors = self.gradients.iter_mut().zip(other.gradients);
        for (sum, part) in tensors.flat_map(|(sums, parts)| sums.iter_mut().zip(parts)) {
            *sum += part;
        }
        self
    }
}

fn broken_thread() -> candle_core::Error {
    candle_core::Error::Msg("a training thread ended early".into())
}

/// A network under training.
pub(super) struct Learner<'a> {
    shape: &'a Shape,
    windows: &'a WindowSet,
    options: &'a TrainOptions,
    batch: usize,
    /// `[columns]`: 1 for a column that counts, else 0, so scaled that the mean is over those that count.
    emphasis: Option<Tensor>,
    variables: Vec<Var>,
    /// What the variables hold.
    weights: Vec<Vec<f32>>,
    adam: Adam,
}

impl<'a> Learner<'a> {
    /// With first weights from the options' seed.
    pub(super) fn new(
        shape: &'a Shape,
        options: &'a TrainOptions,
        windows: &'a WindowSet,
        mask: &[bool],
    ) -> Result<Self, TrainError> {
        let weights = initial::weights(shape, options.seed);
        let variables = shape
            .parameters()
            .into_iter()
            .zip(&weights)
            .map(|(parameter, values)| {
                Var::from_tensor(&Tensor::from_slice(values, parameter.dims, &Device::Cpu)?)
            })
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            shape,
            windows,
            options,
            batch: options.batch.max(1),
            emphasis: emphasis(shape, mask)?,
            variables,
            adam: Adam::new(options.learning_rate, weights.iter().map(Vec::len)),
            weights,
        })
    }

    /// The weights as they are now.
    pub(super) fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// One pass over the windows at `order`; gives the mean loss. `told` hears the part done and the loss so far.
    pub(super) fn pass(
        &mut self,
        order: &[usize],
        cancel: &AtomicBool,
        epoch: usize,
        told: &mut dyn FnMut(f64, f64),
    ) -> Result<f64, TrainError> {
        let (mut sum, mut seen) = (0.0, 0_usize);
        for (number, batch) in order.chunks(self.batch).enumerate() {
            if cancel.load(Ordering::Relaxed) {
                return Err(TrainError::Cancelled);
            }
            let loss = self
                .step(batch)?
                .ok_or_else(|| self.diverged(epoch, number + 1))?;
            sum += loss * batch.len() as f64;
            seen += batch.len();
            told(seen as f64 / order.len() as f64, sum / seen as f64);
        }
        Ok(sum / seen.max(1) as f64)
    }

    /// One batch forth, back and downhill; `None` when the loss or the gradient is not finite. The batch is cut in
    /// [`SHARDS`], each on a thread of its own, and their gradients are added in order: the same bits on any machine.
    fn step(&mut self, batch: &[usize]) -> candle_core::Result<Option<f64>> {
        let this = &*self;
        let shards: Vec<Downhill> = std::thread::scope(|scope| {
            let running: Vec<_> = batch
                .chunks(batch.len().div_ceil(SHARDS).max(1))
                .map(|shard| scope.spawn(move || this.downhill(shard, batch.len())))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(broken_thread())))
                .collect::<candle_core::Result<_>>()
        })?;
        let Some(mut total) = shards.into_iter().reduce(Downhill::plus) else {
            return Ok(None);
        };
        let norm = adam::clip(&mut total.gradients, self.options.clip_norm);
        if !(total.loss.is_finite() && norm.is_finite()) {
            return Ok(None);
        }
        self.adam.step(&mut self.weights, &total.gradients);
        for (variable, values) in self.variables.iter().zip(&self.weights) {
            variable.set(&Tensor::from_slice(values, variable.dims(), &Device::Cpu)?)?;
        }
        Ok(Some(total.loss))
    }

    /// Loss and gradients of a shard, as its share of a batch of `whole` windows.
    fn downhill(&self, shard: &[usize], whole: usize) -> candle_core::Result<Downhill> {
        let weights: Vec<Tensor> = self
            .variables
            .iter()
            .map(|v| v.as_tensor().clone())
            .collect();
        let part = shard.len() as f64 / whole as f64;
        let loss = (self.error(&weights, shard)? * part)?;
        let found = loss.backward()?;
        let gradients = self
            .variables
            .iter()
            .map(|variable| match found.get(variable) {
                Some(gradient) => gradient.flatten_all()?.to_vec1::<f32>(),
                None => Ok(vec![0.0; variable.elem_count()]),
            })
            .collect::<candle_core::Result<_>>()?;
        Ok(Downhill {
            loss: f64::from(loss.to_scalar::<f32>()?),
            gradients,
        })
    }

    /// Mean squared error on some windows.
    fn error(&self, weights: &[Tensor], batch: &[usize]) -> candle_core::Result<Tensor> {
        let input = time_first(self.windows.gather(batch).view())?;
        let residual = (forward(self.shape, weights, &input)? - input)?.sqr()?;
        match &self.emphasis {
            Some(emphasis) => residual.broadcast_mul(emphasis)?.mean_all(),
            None => residual.mean_all(),
        }
    }

    /// Mean loss on the windows at `places`, without gradients.
    pub(super) fn loss(&self, places: &[usize]) -> candle_core::Result<f64> {
        let weights: Vec<Tensor> = self.variables.iter().map(Var::as_detached_tensor).collect();
        let mut sum = 0.0;
        for batch in places.chunks(256) {
            let loss = self.error(&weights, batch)?.to_scalar::<f32>()?;
            sum += f64::from(loss) * batch.len() as f64;
        }
        Ok(sum / places.len().max(1) as f64)
    }

    /// The error for a loss that stopped being a number.
    pub(super) fn diverged(&self, epoch: usize, batch: usize) -> TrainError {
        TrainError::Diverged {
            epoch,
            batch,
            learning_rate: self.options.learning_rate,
        }
    }
}

/// Weights of the columns in the loss; `None` when all count.
fn emphasis(shape: &Shape, mask: &[bool]) -> candle_core::Result<Option<Tensor>> {
    if !mask.contains(&false) {
        return Ok(None);
    }
    let is_on = |column: usize| mask.get(column).copied().unwrap_or(true);
    let counting = (0..shape.columns).filter(|c| is_on(*c)).count();
    let gain = shape.columns as f32 / counting as f32;
    let values: Vec<f32> = (0..shape.columns)
        .map(|column| if is_on(column) { gain } else { 0.0 })
        .collect();
    Tensor::from_vec(values, shape.columns, &Device::Cpu).map(Some)
}
