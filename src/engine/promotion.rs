//! Whether a new model (the challenger) takes the place of the one that scores (the champion).
//!
//! Both reconstruct the same windows: the newest of those that the challenger was not trained on and that neither stick out
//! nor are excluded. Each model has a scale of its own, so the challenger's output is first brought into the champion's
//! units; then the mean of the logarithm of the ratio of their errors says by what factor one is better, without a few
//! large windows deciding. What matters to people is compared too: how many of these windows each would call anomalous by
//! its own threshold.
//!
//! The challenger wins unless it is clearly worse, since it knows more of the present: the windows it is compared on
//! are, if anything, the champion's home. Neighbouring windows share rows, so the standard error counts a window's length of
//! them as one.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use super::learn::{LearnError, Learned, Prepared};
use crate::config::{Config, Promote};
use crate::domain::{Comparison, Decision, Entity, Time};
use crate::model::{Bundle, ModelError, window_errors};
use crate::prep::scale::Scaler;

/// Windows that are compared, the newest.
const MOST: usize = 512;

/// With fewer there is no saying.
const FEWEST: usize = 40;

/// Clearly worse is an error this many times the champion's, …
const WORSE: f64 = 1.25;

/// … by this many standard errors, …
const SURE: f64 = 2.0;

/// … or alarms on this part more of the windows.
const NOISIER: f64 = 0.02;

/// Why the challenger is clearly worse; `None` when it is not.
#[must_use]
pub fn against(figures: &Comparison) -> Option<String> {
    let ratio = (figures.challenger_error / figures.champion_error).ln();
    if ratio > WORSE.ln() && ratio > SURE * figures.uncertainty {
        return Some(format!(
            "its error is {:.2} times that of the model that scores",
            ratio.exp()
        ));
    }
    (figures.challenger_alarms - figures.champion_alarms > NOISIER)
        .then(|| "it raises more alarms on clean windows than the model that scores".into())
}

/// What becomes of a model that was just trained, with `champion` scoring so far. `forced`: somebody insists on it.
///
/// # Errors
/// [`LearnError`] when one of the networks can't take the windows (a defect, not bad data).
pub fn decide(
    prepared: &Prepared,
    learned: &Learned,
    champion: Option<&Bundle>,
    forced: bool,
    config: &Config,
) -> Result<Decision, LearnError> {
    let promoted = |reason: &str, comparison| Decision {
        promoted: true,
        reason: reason.into(),
        comparison,
    };
    let Some(champion) = champion else {
        return Ok(promoted("it is the first", None));
    };
    let comparison = compare(prepared, learned, champion, config)?;
    let Some(figures) = comparison else {
        return Ok(promoted("there is nothing to compare the two on", None));
    };
    let against = against(&figures);
    Ok(match against {
        None => promoted("it is not worse", comparison),
        Some(_) if forced => promoted("it was forced", comparison),
        Some(_) if config.retrain.promote == Promote::Always => {
            promoted("[retrain] promote is \"always\"", comparison)
        }
        Some(reason) => Decision {
            promoted: false,
            reason,
            comparison,
        },
    })
}

/// Both models on the newest held-back windows; `None` when they have too few of them, or no feature, in common.
fn compare(
    prepared: &Prepared,
    learned: &Learned,
    champion: &Bundle,
    config: &Config,
) -> Result<Option<Comparison>, LearnError> {
    let mut newest: Vec<&(Entity, Time)> = learned.held_back_at.iter().collect();
    newest.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    newest.truncate(MOST);
    newest.sort();
    let mut pairs = Pairs::default();
    for same in newest.chunk_by(|a, b| a.0 == b.0) {
        let Some((entity, _)) = same.first() else {
            continue;
        };
        let windows = gather(prepared, entity, same, config.autoencoder.window);
        let (Some(new), Some(old)) = (learned.bundle.network(entity), champion.network(entity))
        else {
            continue;
        };
        let shapes = (new.shape().window, old.shape().window);
        if windows.is_empty() || shapes != (config.autoencoder.window, config.autoencoder.window) {
            continue;
        }
        let (from, to) = (learned.bundle.scaler(entity), champion.scaler(entity));
        let columns = Columns::between(&learned.bundle, champion, from, to);
        if !columns.counts.contains(&true) {
            continue;
        }
        let rebuilt = new.reconstruct(windows.view()).map_err(defect)?;
        let own = mse(&windows, &rebuilt, &from.known());
        let (input, output) = (columns.bring(&windows), columns.bring(&rebuilt));
        let before = old.reconstruct(input.view()).map_err(defect)?;
        pairs.new.extend(mse(&input, &output, &columns.counts));
        pairs.old.extend(mse(&input, &before, &columns.counts));
        let limit = learned.bundle.calibration.threshold_mse;
        pairs.new_alarms += own.iter().filter(|error| **error > limit).count();
    }
    Ok(pairs.compared(
        champion.calibration.threshold_mse,
        config.autoencoder.window,
    ))
}

fn defect(error: ModelError) -> LearnError {
    LearnError::Train(error.into())
}

/// Errors of both models on the same windows.
#[derive(Default)]
struct Pairs {
    new: Vec<f64>,
    old: Vec<f64>,
    new_alarms: usize,
}

impl Pairs {
    fn compared(&self, limit: f64, window: usize) -> Option<Comparison> {
        /// Below this an error is rounding of single precision: nobody is better by it.
        const ROUNDING: f64 = 1e-10;
        let log = |error: &f64| error.max(ROUNDING).ln();
        let windows = self.new.len();
        if windows < FEWEST {
            return None;
        }
        let ratios: Vec<f64> = self
            .new
            .iter()
            .zip(&self.old)
            .map(|(a, b)| log(a) - log(b))
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let blocks: Vec<f64> = ratios.chunks(window.max(1)).map(mean).collect();
        let middle = mean(&blocks);
        let spread = blocks.iter().map(|b| (b - middle).powi(2)).sum::<f64>();
        let count = blocks.len() as f64;
        let old: Vec<f64> = self.old.iter().map(log).collect();
        let champion_error = mean(&old).exp();
        Some(Comparison {
            windows,
            champion_error,
            challenger_error: champion_error * mean(&ratios).exp(),
            uncertainty: (spread / (count - 1.0).max(1.0) / count).sqrt(),
            champion_alarms: self.old.iter().filter(|e| **e > limit).count() as f64
                / windows as f64,
            challenger_alarms: self.new_alarms as f64 / windows as f64,
        })
    }
}

/// The windows of one entity that end at `ends`, `[windows, window, columns]`, as they were prepared.
fn gather(
    prepared: &Prepared,
    entity: &Entity,
    ends: &[&(Entity, Time)],
    window: usize,
) -> Array3<f32> {
    let stretches = prepared
        .stretches
        .get(entity)
        .map_or(&[][..], Vec::as_slice);
    let mut views: Vec<ArrayView2<'_, f32>> = Vec::new();
    for (_, end) in ends {
        let found = stretches.iter().find_map(|stretch| {
            let from = (stretch.grid.row(*end)? + 1).checked_sub(window)?;
            Some(stretch.segment.values.slice(s![from..from + window, ..]))
        });
        views.extend(found);
    }
    ndarray::stack(Axis(0), &views).unwrap_or_else(|_| Array3::zeros((0, window, 0)))
}

fn mse(input: &Array3<f32>, output: &Array3<f32>, counts: &[bool]) -> Vec<f64> {
    let mask = Array2::from_shape_fn((input.dim().0, counts.len()), |(_, column)| {
        counts.get(column).copied().unwrap_or(false)
    });
    window_errors(input.view(), output.view(), mask.view()).mse
}

/// How the challenger's columns become the champion's.
struct Columns {
    /// For each of the champion's columns (the calendar's at the end): where it is with the challenger, and the factor and
    /// the summand that bring it over.
    from: Vec<Option<(usize, f64, f64)>>,
    /// Which of the champion's features both know.
    counts: Vec<bool>,
}

impl Columns {
    fn between(new: &Bundle, old: &Bundle, from: &Scaler, to: &Scaler) -> Self {
        let (known_new, known_old) = (from.known(), to.known());
        let mut columns: Vec<Option<(usize, f64, f64)>> = Vec::new();
        let mut counts = Vec::new();
        for (column, feature) in old.schema.iter().enumerate() {
            let at = new
                .schema
                .iter()
                .position(|other| other.name == feature.name);
            let over = at.map(|at| {
                let unit = to.inverse(column, 1.0) - to.inverse(column, 0.0);
                let factor = (from.inverse(at, 1.0) - from.inverse(at, 0.0)) / unit;
                (
                    at,
                    factor,
                    (from.inverse(at, 0.0) - to.inverse(column, 0.0)) / unit,
                )
            });
            let over = over
                .filter(|(at, factor, _)| factor.is_finite() && known_new.get(*at) == Some(&true));
            counts.push(over.is_some() && known_old.get(column) == Some(&true));
            columns.push(over);
        }
        let calendar = super::learn::CALENDAR;
        columns.extend((0..calendar).map(|extra| Some((new.schema.len() + extra, 1.0, 0.0))));
        Self {
            from: columns,
            counts,
        }
    }

    /// Windows in the champion's columns and units; a column that the challenger lacks is 0, as an unknown one is.
    fn bring(&self, windows: &Array3<f32>) -> Array3<f32> {
        let (count, rows, _) = windows.dim();
        let mut brought = Array3::zeros((count, rows, self.from.len()));
        for (mut slot, from) in brought.axis_iter_mut(Axis(2)).zip(&self.from) {
            let Some((at, factor, summand)) =
                from.filter(|(at, _, _)| *at < windows.len_of(Axis(2)))
            else {
                continue;
            };
            #[allow(clippy::cast_possible_truncation)] // The network's own precision.
            slot.assign(
                &windows
                    .index_axis(Axis(2), at)
                    .mapv(|v| (f64::from(v) * factor + summand) as f32),
            );
        }
        brought
    }
}
