//! From raw frames to a bundle: the recipe that the engine, `train` and `backtest` share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::tz::TimeZone;
use ndarray::{Array2, ArrayView2};
use serde_json::json;

use super::cleaning::rows::{Rows, forget_newcomers};
use super::cleaning::{self, LeftOut, LeftOutReport};
use super::training::Training;
use super::views::{learn_views, residuals};
use crate::config::{Config, Threshold, Weights};
use crate::detect::calibration::{Budget, CalibrateError, calibrate};
use crate::domain::{Calibration, Entity, Frame, Grid, Schema, Time};
use crate::model::{Autoencoder, Bundle, Shape, TrainError, TrainOptions, Trained};
use crate::prep::gaps::{self, Look};
use crate::prep::scale::Scaler;
use crate::prep::window::{self, Segment, WindowError, WindowSet};
use crate::prep::{calendar, counter};

/// Columns that every network has after the metrics: day of week and hour of day.
pub const CALENDAR: usize = 2;

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Not enough data yet.
    #[error(
        "{have} of the {need} windows needed are there; wait for more data or ask for a longer [history] period"
    )]
    TooLittle {
        /// Usable windows.
        have: usize,
        /// Windows needed.
        need: usize,
    },
    /// No columns or no rows at all.
    #[error("there is nothing to learn from: the source delivered no {0}")]
    Nothing(&'static str),
    /// `[preprocess] timezone` is not known here.
    #[error("[preprocess] timezone: {0}")]
    Zone(String),
    /// Stretches of different columns.
    #[error(transparent)]
    Windows(#[from] WindowError),
    /// Training failed or was cancelled.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The training thread ended without a word.
    #[error("the training thread ended without a result; see the log, and try again")]
    Lost,
    /// The training thread panicked: a defect.
    #[error("the training ended with a panic: {0}; see the log")]
    Panic(String),
    /// The training was given up.
    #[error("the training made no progress for {} min and was given up", .0.as_secs() / 60)]
    Still(std::time::Duration),
    /// No threshold could be derived.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
}

/// What was learned, and the figures that pictures are drawn from.
#[derive(Debug)]
pub struct Learned {
    /// The model.
    pub bundle: Bundle,
    /// Training and validation loss per epoch (of the last network trained).
    pub losses: Vec<(f64, f64)>,
    /// Epoch whose weights were kept, from 0.
    pub best_epoch: usize,
    /// Windows that the networks were trained on, of those there are: the others are held back, share rows with those, or
    /// are over `[autoencoder] max_windows`.
    pub trained_windows: usize,
    /// Window errors that the threshold was calibrated on.
    pub held_back: Vec<f64>,
    /// Whose windows these are and when each ends; empty when that is not known.
    pub held_back_at: Vec<(Entity, Time)>,
    /// What it was not learned from, and why.
    pub left_out: LeftOutReport,
}

/// Raw frames made ready for the network.
#[derive(Debug)]
pub struct Prepared {
    /// Columns, the calendar's two not among them.
    pub schema: Schema,
    /// One scaler per entity.
    pub scalers: BTreeMap<Entity, Scaler>,
    /// One scaler over all entities, for those that come later.
    pub pooled: Scaler,
    /// Per entity its stretches, in time order.
    pub stretches: BTreeMap<Entity, Vec<Stretch>>,
    /// First and last time at which anything was observed.
    pub span: (Time, Time),
    /// Rows that lost a value or were left out because they stick out, by entity.
    pub trimmed: BTreeMap<Entity, usize>,
    /// What is not learned from, and why.
    pub left_out: LeftOutReport,
}

/// A stretch of one entity's prepared rows with its times.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// The rows' times.
    pub grid: Grid,
    /// Scaled metrics and calendar, which metrics were observed, and rows that no window may touch; shared with
    /// the windows over them.
    pub segment: Arc<Segment>,
}

/// Prepares frames (all of one schema) for training: rates of counters, what is left `out` and what sticks out taken away,
/// scalers fitted, gaps filled, calendar appended. Rows are not copied: a frame's go as its stretch comes.
///
/// # Errors
/// [`LearnError::Nothing`] when there are no rows or columns, [`LearnError::Zone`] for an unknown time zone.
pub fn prepare(frames: Vec<Frame>, out: &LeftOut, config: &Config) -> Result<Prepared, LearnError> {
    let schema = frames
        .first()
        .map(|f| Arc::clone(f.schema()))
        .ok_or(LearnError::Nothing("series"))?;
    if schema.is_empty() {
        return Err(LearnError::Nothing("series"));
    }
    let spans = frames.iter().filter_map(observed_span);
    let span = spans
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .ok_or(LearnError::Nothing("values"))?;
    let zone = time_zone(config)?;
    let mut left_out = LeftOutReport::default();
    let mut raw: BTreeMap<Entity, Vec<Rows>> = BTreeMap::new();
    for frame in frames {
        let (entity, grid) = (frame.entity().clone(), *frame.grid());
        let values = frame.into_values();
        let rows = Rows::new((&entity, grid), values, &schema, out, config, &mut left_out);
        raw.entry(entity).or_default().push(rows);
    }
    let mut trimmed = BTreeMap::new();
    for (entity, parts) in &mut raw {
        forget_newcomers(parts, &mut left_out);
        let screened = cleaning::screen(parts, entity, out, config);
        left_out.outlying_cells += screened.cells;
        trimmed.insert(entity.clone(), screened.rows);
    }
    let kind = config.preprocess.scaler;
    let fit = |parts: &mut dyn Iterator<Item = &Rows>| {
        let views: Vec<_> = parts.map(|part| part.values.view()).collect();
        Scaler::fit_parts(kind, &views)
    };
    let pooled = fit(&mut raw.values().flatten());
    let mut scalers = BTreeMap::new();
    let mut stretches = BTreeMap::new();
    for (entity, parts) in raw {
        let scaler = fit(&mut parts.iter());
        left_out
            .endless_columns
            .extend(endless(&schema, &scaler, &parts));
        let ready = parts
            .into_iter()
            .map(|part| {
                let (values, grid) = (part.values.view(), part.grid);
                let mut segment = segment(values, &grid, Look::Both, &scaler, &zone, config);
                for (left_out, broken) in part.left_out.iter().zip(&mut segment.broken) {
                    *broken |= left_out;
                }
                left_out.gap_rows += outside_windows(&segment, config);
                Stretch {
                    grid,
                    segment: Arc::new(segment),
                }
            })
            .collect();
        stretches.insert(entity.clone(), ready);
        scalers.insert(entity, scaler);
    }
    Ok(Prepared {
        schema,
        scalers,
        pooled,
        stretches,
        span,
        trimmed,
        left_out,
    })
}

/// The columns that have values, but none that a scaler could measure them by.
fn endless(schema: &Schema, scaler: &Scaler, parts: &[Rows]) -> Vec<String> {
    let has_values = |column: usize| {
        let own = parts.iter().filter(|part| column < part.values.ncols());
        let mut values = own.flat_map(|part| part.values.column(column).to_vec());
        values.any(f64::is_finite)
    };
    let features = schema.iter().zip(scaler.known()).enumerate();
    features
        .filter(|(column, (_, known))| !known && has_values(*column))
        .map(|(_, (feature, _))| feature.name.to_string())
        .collect()
}

/// Rows with an observed value that no window holds.
fn outside_windows(segment: &Segment, config: &Config) -> usize {
    let window = config.autoencoder.window.max(1);
    let fewest = config.detect.min_observed.0;
    let starts = window::usable(segment.observed.view(), &segment.broken, window, fewest);
    let mut starts = starts.into_iter().peekable();
    let mut until = 0;
    let rows = segment.rows_observed().enumerate();
    rows.filter(|(row, seen)| {
        while starts.next_if(|start| start <= row).is_some_and(|start| {
            until = start + window;
            true
        }) {}
        *seen && *row >= until
    })
    .count()
}

/// Times of the first and the last row with a value.
fn observed_span(frame: &Frame) -> Option<(Time, Time)> {
    let rows = frame.values();
    let observed = |row: &usize| rows.row(*row).iter().any(|v| v.is_finite());
    let first = (0..rows.nrows()).find(observed)?;
    let last = (0..rows.nrows()).rfind(observed)?;
    Some((frame.grid().time(first), frame.grid().time(last)))
}

/// Raw rows (rates in place of counters) as the network sees them: gaps filled, scaled, the calendar appended.
pub fn segment(
    values: ArrayView2<'_, f64>,
    grid: &Grid,
    look: Look,
    scaler: &Scaler,
    zone: &TimeZone,
    config: &Config,
) -> Segment {
    let prep = &config.preprocess;
    let fallback = scaler.fallback(prep.fill);
    let filled = gaps::fill(values, prep.fill, look, prep.max_gap, &fallback);
    let metrics = scaler.transform(filled.values.view());
    Segment {
        values: calendar::append(metrics.view(), grid, zone),
        observed: filled.observed,
        broken: filled.broken,
    }
}

/// The values with the columns of `counter = true` queries turned into rates per second.
pub fn with_rates(
    mut values: Array2<f64>,
    schema: &Schema,
    grid: &Grid,
    config: &Config,
) -> Array2<f64> {
    for (feature, mut column) in schema.iter().zip(values.columns_mut()) {
        if config
            .queries
            .get(&*feature.query)
            .is_some_and(|query| query.counter)
        {
            let rates = counter::rates(column.view(), grid.step().as_secs_f64());
            column.assign(&rates);
        }
    }
    values
}

/// The configured time zone.
///
/// # Errors
/// [`LearnError::Zone`] when this system does not know it.
pub fn time_zone(config: &Config) -> Result<TimeZone, LearnError> {
    TimeZone::get(&config.preprocess.timezone).map_err(|error| LearnError::Zone(error.to_string()))
}

/// The windows of some stretches.
///
/// # Errors
/// [`WindowError`] when they were prepared with different columns.
pub fn windows<'a>(
    stretches: impl IntoIterator<Item = &'a Stretch>,
    config: &Config,
) -> Result<WindowSet, WindowError> {
    let segments = stretches
        .into_iter()
        .map(|stretch| Arc::clone(&stretch.segment))
        .collect();
    WindowSet::new(
        segments,
        config.autoencoder.window,
        config.detect.min_observed.0,
    )
}

/// Whether each of the networks has windows enough to learn from.
pub fn are_enough(
    groups: &[(Entity, WindowSet)],
    networks: &BTreeMap<Entity, Autoencoder>,
    config: &Config,
) -> bool {
    let need = config.windows_needed();
    let mut trained = groups
        .iter()
        .filter(|(entity, _)| networks.contains_key(entity));
    trained.all(|(_, set)| set.len() >= need)
}

/// The windows that each network learns from: all entities' for a shared one, each entity's own else. Rows are shared with
/// what was prepared, so that they are in memory once.
///
/// # Errors
/// As [`windows`].
pub fn groups(
    prepared: &Prepared,
    config: &Config,
) -> Result<Vec<(Entity, WindowSet)>, WindowError> {
    match config.entities.weights {
        Weights::Shared => Ok(vec![(
            Entity::sole(),
            windows(prepared.stretches.values().flatten(), config)?,
        )]),
        Weights::Own => prepared
            .stretches
            .iter()
            .map(|(entity, own)| Ok((entity.clone(), windows(own, config)?)))
            .collect(),
    }
}

/// Which part of the configuration a model depends on: what `Bundle::fingerprint` holds and is compared with.
pub fn fingerprint(config: &Config) -> serde_json::Value {
    let os = config.source.os.unwrap_or_else(crate::config::Os::here);
    let queries: BTreeMap<&String, serde_json::Value> = config
        .queries
        .iter()
        .filter_map(|(name, query)| {
            Some((
                name,
                json!({ "expr": query.expr.on(os)?, "counter": query.counter }),
            ))
        })
        .collect();
    json!({
        "source": { "kind": config.source.kind, "step": config.source.step },
        "queries": queries,
        "entities": { "group_by": config.entities.group_by, "weights": config.entities.weights },
        "preprocess": config.preprocess,
        "autoencoder": config.autoencoder.enabled.then(|| Shape::new(&config.autoencoder, 0)),
    })
}

/// Learns a model from raw frames, but for what is excluded, under maintenance or sticks out.
///
/// # Errors
/// See [`LearnError`]; a cancelled training is [`TrainError::Cancelled`].
pub fn learn(
    frames: Vec<Frame>,
    config: &Config,
    training: &mut Training<'_>,
) -> Result<Learned, LearnError> {
    let out = LeftOut::of(config);
    let mut prepared = prepare(frames, &out, config)?;
    cleaning::refine(&mut prepared, &out, config, training)
}

/// Learns a model from windows that are already prepared, one network per group; the views beside it are for
/// [`with_views`], when it is settled which rows are learned from. A group with too few windows gets no network as long as
/// another one has enough: an entity that came lately must not keep the others waiting.
///
/// # Errors
/// As [`learn`].
pub fn learn_from(
    prepared: &Prepared,
    groups: Vec<(Entity, WindowSet)>,
    config: &Config,
    training: &mut Training<'_>,
) -> Result<Learned, LearnError> {
    let shape = Shape::new(&config.autoencoder, prepared.schema.len());
    let options = TrainOptions {
        mask: prepared.pooled.known(),
        ..TrainOptions::from(&config.autoencoder)
    };
    let mut networks = BTreeMap::new();
    let (mut held_back, mut held_back_at) = (Vec::new(), Vec::new());
    let (mut windows, mut epochs, mut val_loss) = (0, 0, 0.0_f64);
    let (mut losses, mut best_epoch, mut trained_windows) = (Vec::new(), 0, 0);
    let have = groups.iter().map(|(_, set)| set.len()).max();
    let have = have.ok_or(LearnError::Nothing("series"))?;
    let need = config.windows_needed();
    if have < need {
        return Err(LearnError::TooLittle { have, need });
    }
    if !config.autoencoder.enabled {
        return without_network(prepared, &groups, config);
    }
    let mut left_out = prepared.left_out.clone();
    for (entity, set) in groups {
        let have = set.len();
        if have < need {
            left_out.young_entities += 1;
            continue;
        }
        let trained: Trained = training.run(&shape, &options, &set)?;
        windows += have;
        trained_windows += trained.windows;
        epochs = epochs.max(trained.losses.len());
        val_loss = val_loss.max(
            trained
                .losses
                .get(trained.best_epoch)
                .map_or(f64::NAN, |l| l.1),
        );
        held_back_at.extend(ends(prepared, &entity, &set, &trained.held_back.windows));
        held_back.extend(trained.held_back.mse);
        (losses, best_epoch) = (trained.losses, trained.best_epoch);
        networks.insert(entity, trained.autoencoder);
    }
    let calibration = calibration(&held_back, prepared, config)?;
    let bundle = bundle(
        prepared,
        networks,
        calibration,
        Figures {
            windows,
            epochs,
            val_loss,
        },
        config,
    );
    Ok(Learned {
        bundle,
        losses,
        best_epoch,
        trained_windows,
        // Windows that are no stretch's own (`train --on-filtered`) have no times.
        held_back_at: if held_back_at.len() == held_back.len() {
            held_back_at
        } else {
            Vec::new()
        },
        held_back,
        left_out,
    })
}

/// A model without a network, where `[autoencoder] enabled = false`: the forecast detects alone. Its error of a row is how far
/// the row is from what was expected of it, and the threshold comes from its errors on the newest training rows.
fn without_network(
    prepared: &Prepared,
    groups: &[(Entity, WindowSet)],
    config: &Config,
) -> Result<Learned, LearnError> {
    let windows = groups.iter().map(|(_, set)| set.len()).sum();
    let residuals = residuals(prepared, config)?;
    let (held_back_at, held_back): (Vec<_>, Vec<_>) = residuals
        .into_iter()
        .map(|residual| ((residual.entity, residual.time), residual.mean_square))
        .unzip();
    let calibration = calibration(&held_back, prepared, config)?;
    let figures = Figures {
        windows,
        epochs: 0,
        val_loss: held_back.iter().sum::<f64>() / held_back.len().max(1) as f64,
    };
    Ok(Learned {
        bundle: bundle(prepared, BTreeMap::new(), calibration, figures, config),
        losses: Vec::new(),
        best_epoch: 0,
        trained_windows: windows,
        held_back,
        held_back_at,
        left_out: prepared.left_out.clone(),
    })
}

/// The model with the views beside its networks, learned from the same stretches. A threshold in the network's own unit
/// leaves no room for them, but where there is no network they are all there is.
///
/// # Errors
/// As [`learn_views`].
pub fn with_views(
    mut learned: Learned,
    prepared: &Prepared,
    config: &Config,
    cancel: &AtomicBool,
) -> Result<Learned, LearnError> {
    if config.detect.threshold == Threshold::Auto || !config.autoencoder.enabled {
        let views = learn_views(prepared, &learned.bundle.networks, config, cancel)?;
        learned.bundle.views = Some(views);
    }
    Ok(learned)
}

/// Whose windows of a group these are, and when they end.
fn ends(
    prepared: &Prepared,
    group: &Entity,
    set: &WindowSet,
    places: &[usize],
) -> Vec<(Entity, Time)> {
    let members = prepared.stretches.iter();
    let stretches: Vec<(&Entity, &Stretch)> = members
        .filter(|(entity, _)| group.is_sole() || *entity == group)
        .flat_map(|(entity, own)| own.iter().map(move |stretch| (entity, stretch)))
        .collect();
    places
        .iter()
        .filter_map(|place| {
            let (segment, row) = set.last(*place)?;
            let (entity, stretch) = stretches.get(segment)?;
            Some(((*entity).clone(), stretch.grid.time(row)))
        })
        .collect()
}

struct Figures {
    windows: usize,
    epochs: usize,
    val_loss: f64,
}

fn bundle(
    prepared: &Prepared,
    networks: BTreeMap<Entity, Autoencoder>,
    calibration: Calibration,
    figures: Figures,
    config: &Config,
) -> Bundle {
    Bundle {
        networks,
        scalers: prepared.scalers.clone(),
        pooled: prepared.pooled.clone(),
        schema: Arc::clone(&prepared.schema),
        step: config.source.step.0,
        preprocess: config.preprocess.clone(),
        calibration,
        views: None,
        trained_on: prepared.span,
        windows: figures.windows,
        epochs: figures.epochs,
        val_loss: figures.val_loss,
        fingerprint: fingerprint(config),
    }
}

/// The threshold from held-back errors under the configured rule and alarm budget.
///
/// # Errors
/// [`CalibrateError`] when there are none, or none that is finite.
pub fn calibration(
    held_back: &[f64],
    prepared: &Prepared,
    config: &Config,
) -> Result<Calibration, CalibrateError> {
    let budget = budget(prepared.scalers.len(), config);
    calibrate(held_back, config.detect.threshold, budget)
}

/// The configured alarm budget for so many entities.
pub fn budget(entities: usize, config: &Config) -> Budget {
    Budget {
        windows_per_day: 86_400.0 / config.source.step.0.as_secs_f64(),
        entities: entities.max(1),
        per_day: config.detect.false_alarms_per_day,
        scope: config.detect.per,
    }
}
