//! A recording through the very pipeline that runs live: learn from the rows before a moment, then score every later row
//! in order with nothing but what came before it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::EngineError;
use super::learn::{self, Learned};
use super::ledger::Ledger;
use super::pipeline::Pipeline;
use super::scorer::Scorer;
use super::training::{Training, TrainingCache};
use crate::config::Config;
use crate::domain::{Entity, Frame, Time, Verdict};
use crate::model::Progress;
use crate::source::inject::{InjectSpec, apply, deviations};
use crate::source::recording::{Claim, Recording};

/// Rows taken in at once: bounds memory, changes nothing else.
const CHUNK: usize = 1024;

/// The share of learning in a backtest's work, as progress is told: rough, for the eye.
const LEARNING: f64 = 0.8;

/// One input row at or after the end of the training part.
#[derive(Clone, Debug)]
pub struct Row {
    /// As it stands in the file.
    pub time: Time,
    /// The verdict on its grid time; `None` when that is one of the training part's.
    pub verdict: Option<Arc<Verdict>>,
}

/// What a backtest brought.
#[derive(Debug)]
pub struct Backtest {
    /// One per input row at or after the end of training, in the file's order.
    pub rows: Vec<Row>,
    /// The model.
    pub learned: Learned,
    /// How many trainings that took.
    pub trainings: usize,
    /// How many of them had been done before.
    pub recalled: usize,
    /// Feature names, in the order of a verdict's features.
    pub features: Vec<String>,
    /// Per feature, in its own unit: a deviation from what is expected that, lasting a whole window and alone, reaches the
    /// threshold. The band of a row is so far to both sides.
    pub band: Vec<f64>,
    /// Step of the grid.
    pub step: std::time::Duration,
}

/// Runs a backtest. Rows before `train_until` are all that is learned from, the grid's step included; after it a row's
/// verdict depends on the rows before it alone, for the first row claims a grid time for good. A training
/// that is in the `cache` is not done again. `told` hears the part of the work that is done, 0 to 1.
///
/// Takes some 60 bytes a cell of the recording in all: the recording, its grid, and a verdict for every row scored.
///
/// # Errors
/// [`EngineError`] when there is too little to learn from, or the network can't score.
pub fn backtest(
    recording: &Recording,
    train_until: Time,
    config: &Config,
    cache: Option<&TrainingCache>,
    told: &mut dyn FnMut(f64),
) -> Result<Backtest, EngineError> {
    let mut config = config.clone();
    let known = recording.before(train_until);
    let raster = known.raster(known.step());
    config.source.step.0 = raster.step;
    config.queries.clear();
    config.detect.mute.clear();
    // A pipeline keeps at least so many rows: a whole chunk with its context.
    config.ui.max_points = config
        .ui
        .max_points
        .max(CHUNK + config.autoencoder.window + config.preprocess.max_gap + 1);
    let config = Arc::new(config);
    let training_rows = known
        .frame_on(raster, Entity::sole(), Claim::Nearest)?
        .frame;
    let gridded = recording.frame_on(raster, Entity::sole(), Claim::First)?;
    let frame = &gridded.frame;
    let learnt_from = recording.times.iter().zip(&gridded.rows);
    let split = learnt_from
        .filter(|(time, _)| **time < train_until)
        .map(|(_, row)| row + 1)
        .max()
        .unwrap_or(0);
    let never = AtomicBool::new(false);
    let mut progress = |now: Progress| {
        let epochs = now.epoch.saturating_sub(1) as f64 + now.fraction;
        told(LEARNING * epochs / now.epochs.max(1) as f64);
    };
    let mut training = Training {
        cache,
        ..Training::new(&never, &mut progress)
    };
    let learned = learn::learn(vec![training_rows], &config, &mut training)?;
    let (trainings, recalled) = (training.count, training.recalled);
    let mut pipeline = Pipeline::new(Arc::clone(&config), Ledger::new(None)?)?;
    pipeline.adopt(Arc::new(Scorer::new(
        learned.bundle.clone(),
        Arc::clone(&config),
    )?));
    let verdicts = replay(&mut pipeline, frame, split, told)?;
    let rows = recording
        .times
        .iter()
        .enumerate()
        .filter(|(_, time)| **time >= train_until)
        .map(|(at, time)| {
            let on_grid = gridded.row_of(at).map(|row| frame.grid().time(row));
            Row {
                time: *time,
                verdict: on_grid.and_then(|time| verdicts.get(&time).cloned()),
            }
        })
        .collect();
    let features = frame
        .schema()
        .iter()
        .map(|feature| feature.name.to_string())
        .collect();
    Ok(Backtest {
        rows,
        band: band(&learned),
        learned,
        trainings,
        recalled,
        features,
        step: raster.step,
    })
}

/// See [`Backtest::band`].
fn band(learned: &Learned) -> Vec<f64> {
    let scaler = &learned.bundle.pooled;
    let known = scaler.known();
    let counted = known.iter().filter(|known| **known).count();
    // A window's error is the mean over its rows and the features that count.
    let spread = (learned.bundle.calibration.threshold_mse * counted as f64).sqrt();
    (0..known.len())
        .map(|feature| scaler.inverse(feature, spread) - scaler.inverse(feature, 0.0))
        .collect()
}

/// Feeds the rows after `split` in order, with enough rows before it for the first window.
fn replay(
    pipeline: &mut Pipeline,
    frame: &Frame,
    split: usize,
    told: &mut dyn FnMut(f64),
) -> Result<HashMap<Time, Arc<Verdict>>, EngineError> {
    let context = pipeline.scorer().map_or(0, |scorer| scorer.context());
    let from = split.saturating_sub(context);
    let mut verdicts = HashMap::new();
    if from < split {
        let before = frame.slice(from, split);
        if let Some(last) = before.grid().last() {
            pipeline.ingest(std::slice::from_ref(&before), last);
            pipeline.judge_after(last);
        }
    }
    let rows = frame.grid().len();
    for start in (split..rows).step_by(CHUNK) {
        let done = (start - split) as f64 / (rows - split) as f64;
        told(LEARNING + (1.0 - LEARNING) * done);
        let chunk = frame.slice(start, start + CHUNK);
        let Some(last) = chunk.grid().last() else {
            break;
        };
        pipeline.ingest(std::slice::from_ref(&chunk), last);
        verdicts.extend(
            pipeline
                .judge()?
                .into_iter()
                .map(|verdict| (verdict.time, Arc::new(verdict))),
        );
    }
    Ok(verdicts)
}

/// Puts labelled synthetic anomalies into the rows after the training part; returns the labels of all rows, `known` ones
/// among them.
pub fn inject_into(
    recording: &mut Recording,
    train_until: Time,
    spec: InjectSpec,
    known: &[(Time, bool)],
) -> Vec<(Time, bool)> {
    let first = recording
        .times
        .iter()
        .position(|time| *time >= train_until)
        .unwrap_or(recording.times.len());
    let deviations = deviations(&recording.values, 0..first);
    let known: HashMap<Time, bool> = known.iter().copied().collect();
    let mut labels: Vec<(Time, bool)> = recording
        .times
        .iter()
        .map(|time| (*time, known.get(time).copied().unwrap_or(false)))
        .collect();
    for injection in spec.plan(&recording.values, first..recording.times.len(), &deviations) {
        if apply(&mut recording.values, &injection, &deviations) {
            for (_, label) in labels
                .iter_mut()
                .skip(injection.rows.start)
                .take(injection.rows.len())
            {
                *label = true;
            }
        }
    }
    labels
}
