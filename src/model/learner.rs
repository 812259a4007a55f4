//! A network while it learns: batches forth, back and downhill.

use std::sync::atomic::{AtomicBool, Ordering};

use super::initial;
use super::kernel::{self, Adam, Network, Workspace};
use super::shape::Shape;
use super::train::{TrainError, TrainOptions};
use crate::prep::window::WindowSet;

/// Parts that a batch is cut into, each on a thread of its own. Fixed, so that the order of additions does not depend on how
/// many processors there are.
const SHARDS: usize = 2;

/// Windows that are validated at once.
const VALIDATED: usize = 128;

/// A part of a batch on its way.
#[derive(Default)]
struct Shard {
    space: Workspace,
    gradient: Vec<f32>,
}

/// A network under training.
pub(super) struct Learner<'a> {
    windows: &'a WindowSet,
    options: &'a TrainOptions,
    batch: usize,
    network: Network,
    /// Weights of the columns in the loss, 0 for one that does not count, so scaled that a mean over all columns is one over
    /// those that count.
    emphasis: Vec<f32>,
    /// Values that one window has.
    values: usize,
    weights: Vec<f32>,
    turned: Vec<f32>,
    shards: Vec<Shard>,
    adam: Adam,
}

impl<'a> Learner<'a> {
    /// With first weights from the options' seed.
    pub(super) fn new(
        shape: &Shape,
        options: &'a TrainOptions,
        windows: &'a WindowSet,
        mask: &[bool],
    ) -> Self {
        let network = Network::new(shape, options.instructions);
        let is_on = |column: usize| mask.get(column).copied().unwrap_or(true);
        let counting = (0..shape.columns).filter(|c| is_on(*c)).count().max(1);
        let gain = shape.columns as f32 / counting as f32;
        let emphasis = (0..shape.columns).map(|c| if is_on(c) { gain } else { 0.0 });
        Self {
            windows,
            options,
            batch: options.batch.max(1),
            emphasis: network.emphasis(emphasis),
            values: shape.window * shape.columns,
            weights: network.pack(&initial::weights(shape, options.seed)),
            turned: Vec::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            adam: Adam::new(options.learning_rate, network.len()),
            network,
        }
    }

    /// The weights as they are now, in the kernel's order.
    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Weights in the kernel's order as one vector per tensor.
    pub(super) fn tensors(&self, weights: &[f32]) -> Vec<Vec<f32>> {
        self.network.unpack(weights)
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
                .step(batch)
                .ok_or_else(|| self.diverged(epoch, number + 1))?;
            sum += loss * batch.len() as f64;
            seen += batch.len();
            told(seen as f64 / order.len() as f64, sum / seen as f64);
        }
        Ok(sum / seen.max(1) as f64)
    }

    /// One batch forth, back and downhill; `None` when the loss or the gradient is not finite. The shards' gradients are
    /// added in order: the same bits whichever thread is first.
    fn step(&mut self, batch: &[usize]) -> Option<f64> {
        self.network.turn(&self.weights, &mut self.turned);
        let (network, windows) = (&self.network, self.windows);
        let (weights, turned, emphasis) = (&self.weights, &self.turned, &self.emphasis);
        let error = on_shards(&mut self.shards, batch, |part, shard| {
            shard.gradient.clear();
            shard.gradient.resize(network.len(), 0.0);
            let Shard { space, gradient } = shard;
            network.load(part.iter().map(|i| windows.view(*i)), space);
            network.gradient(weights, turned, emphasis, space, gradient)
        });
        let instructions = self.network.instructions();
        let (first, others) = self.shards.split_first_mut()?;
        let mut squares = 0.0;
        for other in others {
            if batch.len() < SHARDS {
                // A batch of one window has one part; what the others hold is of a batch before.
                other.gradient.clear();
                other.gradient.resize(self.network.len(), 0.0);
            }
            squares = kernel::add(instructions, &mut first.gradient, &other.gradient);
        }
        let scale = 1.0 / (batch.len() * self.values) as f64;
        let norm = squares.sqrt() * scale;
        if !(error.is_finite() && norm.is_finite()) {
            return None;
        }
        let limit = self.options.clip_norm;
        let cut = if limit > 0.0 && norm > limit {
            limit / norm
        } else {
            1.0
        };
        #[allow(clippy::cast_possible_truncation)] // In the weights' precision.
        let factor = (scale * cut) as f32;
        let gradient = &first.gradient;
        self.adam
            .step(instructions, &mut self.weights, gradient, factor);
        Some(error * scale)
    }

    /// Mean loss on the windows at `places`.
    pub(super) fn loss(&mut self, places: &[usize]) -> f64 {
        let (network, windows) = (&self.network, self.windows);
        let (weights, emphasis) = (&self.weights, &self.emphasis);
        let error = on_shards(&mut self.shards, places, |part, shard| {
            let batches = part.chunks(VALIDATED);
            batches
                .map(|batch| {
                    network.load(batch.iter().map(|i| windows.view(*i)), &mut shard.space);
                    network.error(weights, emphasis, &mut shard.space)
                })
                .sum()
        });
        error / (places.len().max(1) * self.values) as f64
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

/// Runs `work` on even parts of `places`, the first on this thread and each other on its own; gives the sum in order. NaN
/// when a thread has died, which is told as divergence.
fn on_shards(
    shards: &mut [Shard],
    places: &[usize],
    work: impl Fn(&[usize], &mut Shard) -> f64 + Sync,
) -> f64 {
    let mut parts = places
        .chunks(places.len().div_ceil(shards.len().max(1)).max(1))
        .zip(shards);
    let Some((first, shard)) = parts.next() else {
        return 0.0;
    };
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = parts
            .map(|(part, shard)| scope.spawn(move || work(part, shard)))
            .collect();
        let own = work(first, shard);
        running
            .into_iter()
            .fold(own, |sum, thread| sum + thread.join().unwrap_or(f64::NAN))
    })
}
