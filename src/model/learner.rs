//! A network while it learns: batches forth, back and downhill.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::initial;
use super::kernel::{self, Adam, Half, Network, Workspace};
use super::shape::Shape;
use super::train::{TrainError, TrainOptions};
use crate::prep::window::WindowSet;

/// Windows that are validated at once.
const VALIDATED: usize = 128;

/// Half of a batch on its way.
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
    /// The same as the way back reads them.
    turned: Vec<f32>,
    /// A batch has two halves, each on a thread of its own: a fixed number, so that the order of additions does not depend on
    /// how many processors there are.
    shards: [Shard; 2],
    adam: Adam,
    pair: Pair,
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
        let weights = network.pack(&initial::weights(shape, options.seed));
        Self {
            windows,
            options,
            batch: options.batch.max(1),
            emphasis: network.emphasis(emphasis),
            values: shape.window * shape.columns,
            turned: network.turned(&weights),
            weights,
            shards: Default::default(),
            adam: Adam::new(options.learning_rate, network.len()),
            pair: Pair::new(),
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

    /// One batch forth, back and downhill; `None` when the loss or the gradient is not finite. What is added up is added in
    /// the same order whichever thread is first: the same bits every time.
    fn step(&mut self, batch: &[usize]) -> Option<f64> {
        let error = self.gradients(batch);
        let squares = self.sum();
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
        self.descend((scale * cut) as f32);
        Some(error * scale)
    }

    /// Both halves' gradients; gives the sum of their errors.
    fn gradients(&mut self, batch: &[usize]) -> f64 {
        let (network, windows) = (&self.network, self.windows);
        let (weights, turned, emphasis) = (&self.weights, &self.turned, &self.emphasis);
        self.pair.halves(&mut self.shards, batch, |part, shard| {
            shard.gradient.clear();
            shard.gradient.resize(network.len(), 0.0);
            let Shard { space, gradient } = shard;
            network.load(part.iter().map(|i| windows.view(*i)), space);
            network.gradient(weights, turned, emphasis, space, gradient)
        })
    }

    /// Adds the second half's gradient to the first's; gives the squares of what came out, summed up.
    fn sum(&mut self) -> f64 {
        let instructions = self.network.instructions();
        let middle = self.network.middle().0;
        let [first, second] = &mut self.shards;
        let (low, high) = first.gradient.split_at_mut(middle);
        let (low_part, high_part) = second.gradient.split_at(middle);
        let (mut of_low, mut of_high) = (0.0, 0.0);
        self.pair.run(
            || of_low = kernel::add(instructions, low, low_part),
            || of_high = kernel::add(instructions, high, high_part),
        );
        of_low + of_high
    }

    /// Moves the weights against the gradient and turns them for the next batch, each thread its layers.
    fn descend(&mut self, factor: f32) {
        let network = &self.network;
        let (middle, turned_middle) = network.middle();
        let gradient = self.shards[0].gradient.split_at(middle);
        let weights = self.weights.split_at_mut(middle);
        let turned = self.turned.split_at_mut(turned_middle);
        let (low, high) = self.adam.step(network.instructions(), factor, middle);
        self.pair.run(
            || {
                low.take(weights.0, gradient.0);
                network.turn(Half::Low, weights.0, turned.0);
            },
            || {
                high.take(weights.1, gradient.1);
                network.turn(Half::High, weights.1, turned.1);
            },
        );
    }

    /// Mean loss on the windows at `places`.
    pub(super) fn loss(&mut self, places: &[usize]) -> f64 {
        let (network, windows) = (&self.network, self.windows);
        let (weights, emphasis) = (&self.weights, &self.emphasis);
        let error = self.pair.halves(&mut self.shards, places, |part, shard| {
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

/// This thread and another that waits for work, so that none has to be started for a batch.
struct Pair {
    /// None when the system gives no thread: this one then does the work of both.
    other: Option<ThreadPool>,
}

impl Pair {
    fn new() -> Self {
        // The new thread has the priority of the one that starts it.
        let other = ThreadPoolBuilder::new().num_threads(1);
        let name = |_| "train-2".to_owned();
        Self {
            other: other.thread_name(name).build().ok(),
        }
    }

    /// Both at once, `first` on this thread; each writes what comes out where its caller wants it.
    fn run(&self, first: impl FnOnce(), second: impl FnOnce() + Send) {
        if let Some(other) = &self.other {
            other.in_place_scope(|scope| {
                scope.spawn(|_| second());
                first();
            });
        } else {
            first();
            second();
        }
    }

    /// `work` on both halves of `places`; gives the sum of what comes out.
    fn halves(
        &self,
        [first, second]: &mut [Shard; 2],
        places: &[usize],
        work: impl Fn(&[usize], &mut Shard) -> f64 + Sync,
    ) -> f64 {
        let (low, high) = places.split_at(places.len().div_ceil(2));
        let (mut of_low, mut of_high) = (0.0, 0.0);
        self.run(
            || of_low = work(low, first),
            || of_high = work(high, second),
        );
        of_low + of_high
    }
}
