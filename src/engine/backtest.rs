//! A recording through the very pipeline that runs live: learn from the rows before a moment, then score every later row
//! in order with nothing but what came before it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ndarray::Axis;

use super::EngineError;
use super::learn::{self, LearnError, Learned};
use super::ledger::Ledger;
use super::pipeline::Pipeline;
use super::scorer::Scorer;
use super::training::{Training, TrainingCache};
use crate::config::Config;
use crate::detect::warm_up;
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
    /// Which row of the file it is, from 0.
    pub row: usize,
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
    /// The model; `None` when there was too little to train one ([`Backtest::too_little`]).
    pub learned: Option<Learned>,
    /// That there was too little to train a network, in words: then scores are those of the warm-up, and nothing is flagged.
    pub too_little: Option<String>,
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
    /// Rows that fell onto the grid time of an earlier one, and how many they are in words.
    pub superseded: (usize, Option<String>),
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
    let mut config = for_replay(config);
    let known = recording.before(train_until);
    let raster = known.raster(known.step());
    config.source.step.0 = raster.step;
    config.queries.clear();
    config.detect.mute.clear();
    let config = Arc::new(config);
    let training_rows = known
        .frame_on(raster, Entity::sole(), Claim::Merged(config.source.merge))?
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
    // A second training, without what stuck out, begins anew: what was told stands until it has caught up.
    let mut farthest = 0.0_f64;
    let mut progress = |now: Progress| {
        let epochs = now.epoch.saturating_sub(1) as f64 + now.fraction;
        farthest = farthest.max(epochs / now.epochs.max(1) as f64);
        told(LEARNING * farthest);
    };
    let mut training = Training {
        cache,
        ..Training::new(&never, &mut progress)
    };
    let (learned, too_little) = match learn::learn(vec![training_rows], &config, &mut training) {
        Ok(learned) => (Some(learned), None),
        Err(LearnError::TooLittle { have, need }) => (None, Some(warming_up(have, need))),
        Err(error) => return Err(error.into()),
    };
    let (trainings, recalled) = (training.count, training.recalled);
    let mut pipeline = Pipeline::new(Arc::clone(&config), Ledger::new(None)?)?;
    if let Some(learned) = &learned {
        let bundle = learned.bundle.clone();
        pipeline.adopt(Arc::new(Scorer::new(bundle, Arc::clone(&config))?));
    }
    let mut verdicts = HashMap::new();
    let rows = split..frame.grid().len();
    let all = rows.len().max(1) as f64;
    replay(&mut pipeline, frame, rows, &mut |_, new| {
        let new = new.into_iter().map(with_warm_up);
        verdicts.extend(new.map(|verdict| (verdict.time, Arc::new(verdict))));
        told(LEARNING + (1.0 - LEARNING) * (verdicts.len() as f64 / all));
    })?;
    let rows = recording
        .times
        .iter()
        .enumerate()
        .filter(|(_, time)| **time >= train_until)
        .map(|(at, time)| {
            let on_grid = gridded.row_of(at).map(|row| frame.grid().time(row));
            Row {
                row: at,
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
        band: learned
            .as_ref()
            .map_or_else(|| vec![f64::NAN; frame.schema().len()], band),
        learned,
        too_little,
        trainings,
        recalled,
        features,
        step: raster.step,
        superseded: (gridded.superseded, gridded.notice()),
    })
}

/// Says what scores are without a network.
fn warming_up(have: usize, need: usize) -> String {
    format!(
        "too little to train a network ({have} of the {need} windows needed): rows are scored by their distance from the median of \
         the {} rows before them, as live before there is a model, and none is flagged; a longer training part would do",
        warm_up::MOST
    )
}

/// The verdict with what could be said without a model in the place of a score.
fn with_warm_up(mut verdict: Verdict) -> Verdict {
    if let Some(provisional) = verdict.provisional.take() {
        verdict.score = Some(provisional.score);
        verdict.features = provisional.features;
    }
    verdict
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

/// Feeds `rows` of the frame to a pipeline in order, with enough rows before them for the first window. `take` hears the
/// verdicts of at most 1,024 rows at once.
pub(super) fn replay(
    pipeline: &mut Pipeline,
    frame: &Frame,
    rows: Range<usize>,
    take: &mut dyn FnMut(&Pipeline, Vec<Verdict>),
) -> Result<(), EngineError> {
    let context = pipeline
        .scorer()
        .map_or(warm_up::MOST, |scorer| scorer.context());
    let from = rows.start.saturating_sub(context);
    if from < rows.start {
        let before = frame.slice(from, rows.start);
        if let Some(last) = before.grid().last() {
            pipeline.ingest(std::slice::from_ref(&before), last);
        }
    }
    // Also without rows before them: a pipeline takes what is there at its first look for the past.
    pipeline.judge_after(frame.grid().time(rows.start) - pipeline.step());
    for start in rows.clone().step_by(CHUNK) {
        let chunk = frame.slice(start, (start + CHUNK).min(rows.end));
        let Some(last) = chunk.grid().last() else {
            break;
        };
        pipeline.ingest(std::slice::from_ref(&chunk), last);
        let verdicts = pipeline.judge()?;
        take(pipeline, verdicts);
    }
    Ok(())
}

/// Settings under which a pipeline keeps what [`replay`] needs, and no more than `[ui] max_points` beside it.
pub(super) fn for_replay(config: &Config) -> Config {
    let mut config = config.clone();
    // A whole chunk with its context.
    config.ui.max_points = config
        .ui
        .max_points
        .max(CHUNK + config.autoencoder.window.max(warm_up::MOST) + config.preprocess.max_gap + 1);
    config
}

/// Puts labelled synthetic anomalies into the rows after the training part; returns the labels of all rows in the order of
/// time, `known` ones among them.
pub fn inject_into(
    recording: &mut Recording,
    train_until: Time,
    spec: InjectSpec,
    known: &[(Time, bool)],
) -> Vec<(Time, bool)> {
    let times = &recording.times;
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by_key(|row| times.get(*row));
    // An anomaly is a stretch of time, in whatever order the file has its rows.
    let mut values = recording.values.select(Axis(0), &order);
    let known: HashMap<Time, bool> = known.iter().copied().collect();
    let mut labels: Vec<(Time, bool)> = order
        .iter()
        .filter_map(|row| times.get(*row))
        .map(|time| (*time, known.get(time).copied().unwrap_or(false)))
        .collect();
    let first = labels.partition_point(|(time, _)| *time < train_until);
    let deviations = deviations(&values, 0..first);
    for injection in spec.plan(&values, first..labels.len(), &deviations) {
        if apply(&mut values, &injection, &deviations) {
            for (_, label) in labels
                .iter_mut()
                .skip(injection.rows.start)
                .take(injection.rows.len())
            {
                *label = true;
            }
        }
    }
    for (row, cells) in order.iter().zip(values.rows()) {
        recording.values.row_mut(*row).assign(&cells);
    }
    labels
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::source::inject::InjectionKind;

    #[test]
    fn what_is_put_in_is_a_stretch_of_time_whatever_the_order_of_the_file() {
        let spec = InjectSpec {
            count: 2,
            kind: Some(InjectionKind::Shift),
            seed: 5,
        };
        let rows = |turned: bool| {
            let mut rows: Vec<i64> = (0..200).collect();
            if turned {
                rows.reverse();
            }
            Recording {
                times: rows
                    .iter()
                    .map(|row| Time::from_secs(1_780_000_200 + row * 60))
                    .collect(),
                columns: vec!["a".into()],
                values: Array2::from_shape_fn((200, 1), |(at, _)| (rows[at] % 7) as f64),
            }
        };
        let until = Time::from_secs(1_780_000_200 + 100 * 60);
        let (mut sorted, mut turned) = (rows(false), rows(true));
        let labels = inject_into(&mut sorted, until, spec, &[]);
        assert_eq!(inject_into(&mut turned, until, spec, &[]), labels);
        assert!(labels.is_sorted());
        let events = labels.windows(2).filter(|pair| !pair[0].1 && pair[1].1);
        assert_eq!(events.count(), 2);
        turned.values.invert_axis(Axis(0));
        assert_eq!(turned.values, sorted.values);
    }
}
