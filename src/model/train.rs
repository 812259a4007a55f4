//! Training an autoencoder on normal windows.

use std::sync::atomic::AtomicBool;

use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::ModelError;
use super::autoencoder::Autoencoder;
use super::errors::window_errors;
use super::kernel::Instructions;
use super::learner::Learner;
use super::shape::Shape;
use super::split::split;
use crate::config::AutoencoderConfig;
use crate::prep::window::{WindowSet, evenly};

/// Fewer windows than this are not trained on: nothing could be held back that says anything.
pub const MIN_WINDOWS: usize = 10;

/// Most held-back windows whose errors are returned (evenly chosen): 20,000, 160 kB a feature.
pub const MAX_HELD_BACK: usize = 20_000;

/// How to train.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Most passes over the training windows; at least one is made.
    pub epochs: usize,
    /// Windows a step, at least 1.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// The gradients' common norm is cut to this; 0 is never.
    pub clip_norm: f64,
    /// Passes without a better validation loss before it stops; at least 1.
    pub patience: usize,
    /// Part of the windows trained on, 0 to 1.
    pub train_split: f64,
    /// Most windows trained on (evenly chosen), and four times as many as are validated on after each pass.
    pub max_windows: usize,
    /// Seed of the first weights and the order of windows.
    pub seed: u64,
    /// Per feature: it counts. One that does not is left out of loss and errors. Features past its end count.
    pub mask: Vec<bool>,
    /// Instruction set to compute with.
    pub instructions: Instructions,
}

impl From<&AutoencoderConfig> for TrainOptions {
    fn from(config: &AutoencoderConfig) -> Self {
        Self {
            epochs: config.epochs,
            batch: config.batch,
            learning_rate: config.learning_rate,
            clip_norm: config.clip_norm,
            patience: config.patience,
            train_split: config.train_split.0,
            max_windows: config.max_windows,
            seed: config.seed,
            mask: Vec::new(),
            instructions: Instructions::best(),
        }
    }
}

/// How far a training is; told after every batch and every pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The pass under way, from 1.
    pub epoch: usize,
    /// Most passes there will be.
    pub epochs: usize,
    /// Part of this pass's batches done, 0 to 1.
    pub fraction: f64,
    /// Mean loss of this pass so far.
    pub train_loss: f64,
    /// Validation loss of the newest finished pass.
    pub val_loss: Option<f64>,
}

/// A finished training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network, with the weights of the best pass.
    pub autoencoder: Autoencoder,
    /// Training and validation loss of each pass: mean squared error over all columns that count, calendar included.
    pub losses: Vec<(f64, f64)>,
    /// Place of the best pass in `losses`.
    pub best_epoch: usize,
    /// How many windows were trained on.
    pub windows: usize,
    /// Errors on windows that were not trained on.
    pub held_back: HeldBack,
}

/// Reconstruction errors on held-back windows, at most [`MAX_HELD_BACK`].
#[derive(Clone, Debug, PartialEq)]
pub struct HeldBack {
    /// Which windows of the set these are, ascending.
    pub windows: Vec<usize>,
    /// `[n, features]`: each feature's mean squared error; NaN where masked.
    pub errors: Array2<f64>,
    /// `[n]`: mean over the features that count.
    pub mse: Vec<f64>,
}

/// Why there is no new model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The cancel flag was raised.
    #[error("training was cancelled")]
    Cancelled,
    /// Not enough data.
    #[error(
        "{windows} usable windows are too few to learn from, {MIN_WINDOWS} are the least: collect a longer history, or shorten [autoencoder] window"
    )]
    TooFew {
        /// Usable windows.
        windows: usize,
    },
    /// No feature counts.
    #[error("no feature has a value in the training range: check the queries")]
    AllMasked,
    /// The loss or a gradient stopped being a number.
    #[error(
        "training diverged in epoch {epoch} at batch {batch}: the loss is not a finite number; lower [autoencoder] learning_rate (now {learning_rate})"
    )]
    Diverged {
        /// Pass, from 1.
        epoch: usize,
        /// Batch, from 1.
        batch: usize,
        /// The learning rate that was used.
        learning_rate: f64,
    },
    /// A window holds a value that is not finite.
    #[error("window {window} holds a value that is not a finite number: fill gaps before training")]
    NotFinite {
        /// Place of the window in the set.
        window: usize,
    },
    /// The network can't be built or does not fit the windows.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Trains a network of `shape` on `windows`: Adam on the mean squared error, batches in an order drawn from the seed, held-back
/// windows as in [`split`], stopping after `patience` passes without a better validation loss, the best pass's weights kept.
/// The same windows, options and machine type give the same bits. `cancel` is read before every batch.
///
/// # Errors
/// [`TrainError`]; the network trained so far is dropped.
pub fn train(
    shape: &Shape,
    options: &TrainOptions,
    windows: &WindowSet,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Trained, TrainError> {
    let mask = check(shape, options, windows)?;
    let split = split(windows, options.train_split);
    let mut order = thinned(&split.train, options.max_windows.max(1));
    let validation = thinned(&split.held_back, (options.max_windows / 4).max(64));
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(1); // Stream 0 draws the first weights.
    let mut learner = Learner::new(shape, options, windows, &mask);
    let mut best = Best::default();
    let mut losses: Vec<(f64, f64)> = Vec::new();
    let epochs = options.epochs.max(1);
    for epoch in 1..=epochs {
        order.shuffle(&mut rng);
        let val_loss = losses.last().map(|(_, val)| *val);
        let train_loss = learner.pass(&order, cancel, epoch, &mut |fraction, train_loss| {
            progress(Progress {
                epoch,
                epochs,
                fraction,
                train_loss,
                val_loss,
            });
        })?;
        let val_loss = learner.loss(&validation);
        if !val_loss.is_finite() {
            return Err(learner.diverged(epoch, order.len().div_ceil(options.batch.max(1))));
        }
        losses.push((train_loss, val_loss));
        best.offer(epoch - 1, val_loss, learner.weights());
        progress(Progress {
            epoch,
            epochs,
            fraction: 1.0,
            train_loss,
            val_loss: Some(val_loss),
        });
        if epoch - 1 - best.epoch >= options.patience.max(1) {
            break;
        }
    }
    let autoencoder = Autoencoder::from_values(shape.clone(), learner.tensors(&best.weights))?;
    let held_back = held_back(&autoencoder, windows, &split.held_back, &mask)?;
    Ok(Trained {
        autoencoder,
        losses,
        best_epoch: best.epoch,
        windows: order.len(),
        held_back,
    })
}

/// Checks what was given; the result is one flag per feature.
fn check(
    shape: &Shape,
    options: &TrainOptions,
    windows: &WindowSet,
) -> Result<Vec<bool>, TrainError> {
    shape.check()?;
    if windows.len() < MIN_WINDOWS {
        return Err(TrainError::TooFew {
            windows: windows.len(),
        });
    }
    if (windows.window(), windows.columns()) != (shape.window, shape.columns) {
        return Err(TrainError::Model(ModelError::Windows {
            window: windows.window(),
            columns: windows.columns(),
            expected_window: shape.window,
            expected_columns: shape.columns,
        }));
    }
    let mask: Vec<bool> = (0..shape.features())
        .map(|feature| options.mask.get(feature).copied().unwrap_or(true))
        .collect();
    if !mask.contains(&true) {
        return Err(TrainError::AllMasked);
    }
    let finite = |index: &usize| windows.view(*index).iter().all(|v| v.is_finite());
    match (0..windows.len()).find(|index| !finite(index)) {
        Some(window) => Err(TrainError::NotFinite { window }),
        None => Ok(mask),
    }
}

fn thinned(places: &[usize], max: usize) -> Vec<usize> {
    evenly(places.len(), max)
        .into_iter()
        .filter_map(|place| places.get(place).copied())
        .collect()
}

/// The weights of the best pass so far.
#[derive(Default)]
struct Best {
    epoch: usize,
    loss: Option<f64>,
    weights: Vec<f32>,
}

impl Best {
    fn offer(&mut self, epoch: usize, loss: f64, weights: &[f32]) {
        if self.loss.is_none_or(|best| loss < best) {
            *self = Self {
                epoch,
                loss: Some(loss),
                weights: weights.to_vec(),
            };
        }
    }
}

/// The network's errors on the windows at `places`.
fn held_back(
    autoencoder: &Autoencoder,
    windows: &WindowSet,
    places: &[usize],
    mask: &[bool],
) -> Result<HeldBack, ModelError> {
    let places = thinned(places, MAX_HELD_BACK);
    let mut errors = Array2::zeros((0, mask.len()));
    let mut mse = Vec::with_capacity(places.len());
    for chunk in places.chunks(1024) {
        let input = windows.gather(chunk);
        let output = autoencoder.reconstruct(input.view())?;
        let flags = Array2::from_shape_fn((chunk.len(), mask.len()), |(_, feature)| {
            mask.get(feature).copied().unwrap_or(true)
        });
        let found = window_errors(input.view(), output.view(), flags.view());
        errors
            .append(Axis(0), found.features.view())
            .map_err(|e| ModelError::Shape(e.to_string()))?;
        mse.extend(found.mse);
    }
    Ok(HeldBack {
        windows: places,
        errors,
        mse,
    })
}
