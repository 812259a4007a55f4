//! Judges the history from before anything was judged live, so that its incidents, scores and bands can be seen.
//!
//! A model knows the rows that it learned from, and finds less in them than in others. So the history is judged in two halves,
//! each by a detector that learned from the other half alone, without what the model in force finds there; where that would
//! take long, by the model in force. Which of the two it was is told. The detectors judge as rows are judged live: the same
//! gates, maintenance windows and incidents.

mod judging;
mod track;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::EngineError;
use super::backtest::{for_replay, replay};
use super::cleaning::{self, LeftOut};
use super::learn::{self, LearnError};
use super::ledger::Ledger;
use super::pipeline::Pipeline;
use super::scorer::Scorer;
use super::training::Training;
use crate::config::{AutoencoderConfig, Config};
use crate::domain::{Entity, Frame, Incident, IncidentState, Label, Schema, Time};
use crate::model::{Shape, TrainError};

pub use judging::{Ended, Judging};
pub use track::{Band, Track};

/// A history of more cells is judged by the model in force: 14 days of 20 features at a minute.
const CELLS: usize = 20 * 14 * 24 * 60;

/// Incidents kept of what is found, at most: those with the highest alarms.
const MOST: usize = 1000;

/// What is to be judged.
#[derive(Debug)]
pub struct Job {
    /// Version of the model in force.
    pub version: String,
    /// The model in force.
    pub scorer: Arc<Scorer>,
    /// Raw rows, one frame an entity, all of the model's columns.
    pub frames: Vec<Frame>,
    /// What is not learned from.
    pub out: LeftOut,
    /// How many times the calibrated threshold is in force.
    pub raise: f64,
    /// The first row that was judged live: incidents are looked for before it.
    pub until: Time,
    /// Incidents that were found live.
    pub known: Vec<Incident>,
    /// Settings.
    pub config: Arc<Config>,
}

/// Who judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Each half by a detector that learned from the other one.
    Halves,
    /// The model in force, and why.
    InForce(&'static str),
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Halves => f.write_str("each half by a detector that learned from the other half"),
            Self::InForce(why) => write!(f, "by the model in force, which learned from it ({why})"),
        }
    }
}

/// The history as it was judged.
#[derive(Clone, Debug)]
pub struct Past {
    /// The model that was in force.
    pub version: String,
    /// First and last row.
    pub span: (Time, Time),
    /// The first row that was judged live.
    pub until: Time,
    /// Who judged.
    pub by: By,
    /// By entity.
    pub tracks: BTreeMap<Entity, Track>,
    /// Found before anything was judged live, oldest first; at most 1,000, those with the highest alarms.
    pub incidents: Vec<Incident>,
}

/// Judges a history.
///
/// # Errors
/// [`EngineError`]: cancelled, or a network that can't score.
pub fn judge(job: &Job, cancel: &AtomicBool) -> Result<Past, EngineError> {
    let starts = job.frames.iter().map(|frame| frame.grid().start());
    let ends = job.frames.iter().filter_map(|frame| frame.grid().last());
    let span = starts.min().zip(ends.max());
    let span = span.ok_or(LearnError::Nothing("rows"))?;
    let whole = Detector {
        times: span.0..span.1 + job.config.source.step.0,
        scorer: Arc::clone(&job.scorer),
    };
    let past = judge_by(job, span, &[whole], cancel)?;
    let in_force = |why| Past {
        by: By::InForce(why),
        ..past.clone()
    };
    if !is_cheap(job) {
        return Ok(in_force("others would take too long to train"));
    }
    match halves(job, span, &past.incidents, cancel) {
        Ok(halves) => judge_by(job, span, &halves, cancel),
        Err(error @ EngineError::Learn(LearnError::Train(TrainError::Cancelled))) => Err(error),
        Err(EngineError::Learn(LearnError::TooLittle { .. })) => {
            Ok(in_force("half of it is too little to learn from"))
        }
        Err(error) => {
            tracing::debug!("halves of the history can't be learned from: {error}");
            Ok(in_force("a half of it can't be learned from"))
        }
    }
}

/// The history as these detectors judge it.
fn judge_by(
    job: &Job,
    span: (Time, Time),
    detectors: &[Detector],
    cancel: &AtomicBool,
) -> Result<Past, EngineError> {
    let mut past = Past {
        version: job.version.clone(),
        span,
        until: job.until,
        by: By::Halves,
        tracks: BTreeMap::new(),
        incidents: Vec::new(),
    };
    for frame in &job.frames {
        if cancel.load(Ordering::Relaxed) {
            return Err(LearnError::from(TrainError::Cancelled).into());
        }
        let (track, found) = judge_entity(job, frame, detectors)?;
        past.tracks.insert(frame.entity().clone(), track);
        past.incidents.extend(found);
    }
    let height = |incident: &Incident| incident.peak_alarm.unwrap_or(incident.peak_score);
    past.incidents
        .sort_by(|a, b| height(b).total_cmp(&height(a)));
    past.incidents.truncate(MOST);
    past.incidents.sort_by_key(|incident| incident.start);
    Ok(past)
}

/// One part of the history and who judges it.
struct Detector {
    times: Range<Time>,
    scorer: Arc<Scorer>,
}

/// Two detectors, each for the half that the other one learned from. Neither learns from what the model in force `found`:
/// what is anomalous in one half would be usual to the one that judges the other half.
fn halves(
    job: &Job,
    (first, last): (Time, Time),
    found: &[Incident],
    cancel: &AtomicBool,
) -> Result<Vec<Detector>, EngineError> {
    let found: Vec<Incident> = found
        .iter()
        .map(|incident| Incident {
            label: Some(Label::Real),
            ..incident.clone()
        })
        .collect();
    let out = job.out.clone();
    let out = out.and_incidents(&found, cleaning::around(&job.config));
    let end = last + job.config.source.step.0;
    let middle = first + end.since(first) / 2;
    let halves = [(first..middle, middle..end), (middle..end, first..middle)];
    halves
        .into_iter()
        .map(|(times, learned_from)| {
            let scorer = learn_from(job, &learned_from, &out, cancel)?;
            Ok(Detector {
                times,
                scorer: Arc::new(scorer),
            })
        })
        .collect()
}

/// Whether two more trainings cost no more than those on 14 days of 20 features at a minute with the usual network.
fn is_cheap(job: &Job) -> bool {
    let work = |config: &AutoencoderConfig, features: usize, windows: usize| {
        let weights = Shape::new(config, features).weights()?;
        weights
            .checked_mul(config.window)?
            .checked_mul(config.epochs)?
            .checked_mul(windows.min(config.max_windows))
    };
    let features = job.scorer.bundle.schema.len();
    let rows: usize = job.frames.iter().map(|frame| frame.grid().len()).sum();
    let networks = job.scorer.bundle.networks.len().max(1);
    let own = work(&job.config.autoencoder, features, rows.div_ceil(networks));
    let own = own.and_then(|own| own.checked_mul(networks));
    let usual = work(&AutoencoderConfig::default(), 20, usize::MAX);
    let is_quick = job.scorer.bundle.networks.is_empty()
        || own.zip(usual).is_some_and(|(own, usual)| own <= usual);
    is_quick && rows.saturating_mul(features) <= CELLS
}

/// A detector that learned from these times alone.
fn learn_from(
    job: &Job,
    times: &Range<Time>,
    out: &LeftOut,
    cancel: &AtomicBool,
) -> Result<Scorer, EngineError> {
    let config = &job.config;
    let part = |frame: &Frame| {
        let grid = frame.grid();
        let part = frame.slice(grid.rows_before(times.start), grid.rows_before(times.end));
        (!part.grid().is_empty()).then_some(part)
    };
    let frames: Vec<Frame> = job.frames.iter().filter_map(part).collect();
    let prepared = learn::prepare(frames, out, config)?;
    let groups = learn::groups(&prepared, config).map_err(LearnError::from)?;
    let mut progress = |_| ();
    let mut training = Training::new(cancel, &mut progress);
    let learned = learn::learn_from(&prepared, groups, config, &mut training)?;
    let learned = learn::with_views(learned, &prepared, config, cancel)?;
    Ok(Scorer::new(learned.bundle, Arc::clone(config))?)
}

/// Judges one entity's rows; returns them with the incidents that were found before anything was judged live.
fn judge_entity(
    job: &Job,
    frame: &Frame,
    detectors: &[Detector],
) -> Result<(Track, Vec<Incident>), EngineError> {
    let grid = *frame.grid();
    let schema = &job.scorer.bundle.schema;
    let mut track = Track::new(grid, schema.len(), job.frames.len());
    let mut config = for_replay(&job.config);
    config.history.period.0 = std::time::Duration::ZERO;
    let config = Arc::new(config);
    let live = grid.rows_before(job.until);
    let mut found = Vec::new();
    for detector in detectors {
        let rows = grid.rows_before(detector.times.start)..grid.rows_before(detector.times.end);
        let cut = live.clamp(rows.start, rows.end);
        let mut pipeline = Pipeline::new(Arc::clone(&config), Ledger::new(None)?)?;
        pipeline.adopt(Arc::clone(&detector.scorer));
        pipeline.set_raise(job.raise);
        let mut own = BTreeMap::new();
        replay(&mut pipeline, frame, rows.start..cut, &mut |judged, new| {
            for verdict in &new {
                track.take(verdict);
            }
            let incidents = judged.ledger().shown();
            own.extend(incidents.iter().map(|one| (one.start, one.clone())));
        })?;
        found.extend(own.into_values());
        replay(&mut pipeline, frame, cut..rows.end, &mut |_, new| {
            for mut verdict in new {
                // What was an anomaly there was said live.
                verdict.is_anomaly = false;
                track.take(&verdict);
            }
        })?;
    }
    mark(&mut track, &job.known, frame.entity(), schema);
    Ok((track, joined(found, &job.config)))
}

fn mark(track: &mut Track, known: &[Incident], entity: &Entity, schema: &Schema) {
    for incident in known.iter().filter(|incident| incident.entity == *entity) {
        track.mark(incident, schema);
    }
}

/// The incidents as past ones; those within a cooldown of one another are one, as where the halves meet.
fn joined(found: Vec<Incident>, config: &Config) -> Vec<Incident> {
    let cooldown = super::judging::span(config) / 2;
    let cooldown = cooldown.max(config.detect.cooldown.0);
    let mut joined: Vec<Incident> = Vec::new();
    for incident in found {
        let incident = Incident {
            id: 0,
            state: IncidentState::Past,
            ..incident
        };
        match joined.last_mut() {
            Some(last) if incident.start.since(last.end) <= cooldown => {
                let (start, end) = (last.start, last.end.max(incident.end));
                if incident.peak_score > last.peak_score {
                    *last = incident;
                }
                (last.start, last.end) = (start, end);
            }
            _ => joined.push(incident),
        }
    }
    joined
}
