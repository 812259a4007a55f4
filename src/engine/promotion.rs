//! Whether a new model (the challenger) takes the place of the one that scores (the champion).
//!
//! Both reconstruct the same windows: the newest of those that the challenger was not trained on and that neither stick out
//! nor are excluded, each as it would see them when it scores. A feature's error is measured in spreads of its values in these
//! windows, not below what its unit and level make of a movement, and bounded: so neither a scale that one of the models has
//! learned nor a feature that hardly moves decides. The mean of the logarithm of the ratio of the windows' errors says by what
//! factor one is better, without a few large windows deciding. What matters to people is compared too: how many of these
//! windows each would call anomalous by its own threshold.
//!
//! A champion that raises alarms on much of what is normal loses. Else the challenger wins unless it is clearly worse, since
//! it knows more of the present: the windows it is compared on are, if anything, the champion's home. Neighbouring windows
//! share rows, so the standard error counts a window's length of them as one.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use super::learn::{LearnError, Learned, Prepared};
use crate::config::{Config, Promote};
use crate::domain::{Comparison, Decision, Entity, Feature, Time};
use crate::model::{Bundle, ModelError, window_errors};
use crate::prep::scale::Scaler;

/// Windows that are compared, the newest.
const MOST: usize = 512;

/// With fewer there is no saying.
const FEWEST: usize = 40;

/// Clearly worse is an error this many times the champion's, …
const WORSE: f64 = 1.25;

/// … or so many times when the champion learned from half as much or less, …
const WORSE_THAN_YOUNGER: f64 = 2.0;

/// … by this many standard errors, …
const SURE: f64 = 2.0;

/// … or alarms on this part more of the windows.
const NOISIER: f64 = 0.02;

/// A champion that raises alarms on this part more of the windows than the challenger loses, whatever the errors are.
const TOO_NOISY: f64 = 0.1;

/// Errors over so many spreads say no more.
const BOUND: f64 = 10.0;

/// A spread is at least this part of what is typical and of the range that a model has seen …
const LEVEL: f64 = 0.01;

/// … and this part of a unit's whole range.
const UNIT: f64 = 0.01;

/// Whether the challenger is promoted, and why. `is_wiser`: it learned from twice as much as the champion or more.
///
/// # Errors
/// Why it is refused.
pub fn verdict(figures: &Comparison, is_wiser: bool) -> Result<String, String> {
    let more = figures.champion_alarms - figures.challenger_alarms;
    if more > TOO_NOISY {
        return Ok(format!(
            "the model that scores raises alarms on {:.1} % of what is normal",
            figures.champion_alarms * 100.0
        ));
    }
    if -more > NOISIER {
        return Err("it raises more alarms on clean windows than the model that scores".into());
    }
    let ratio = (figures.challenger_error / figures.champion_error).ln();
    let tolerated = if is_wiser { WORSE_THAN_YOUNGER } else { WORSE };
    let told = format!(
        "its error is {:.2} times that of the model that scores",
        ratio.exp()
    );
    if ratio > tolerated.ln() && ratio > SURE * figures.uncertainty {
        Err(format!("{told}; at most {tolerated} times is tolerated"))
    } else if ratio <= 0.0 {
        Ok(told)
    } else if ratio <= tolerated.ln() {
        Ok(format!("{told}; up to {tolerated} times is tolerated"))
    } else {
        Ok(format!("{told}, which may be chance"))
    }
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
    let is_wiser = learned.bundle.known() >= champion.known() * 2;
    Ok(match verdict(&figures, is_wiser) {
        Ok(reason) => promoted(&reason, comparison),
        Err(_) if forced => promoted("it was forced", comparison),
        Err(_) if config.retrain.promote == Promote::Always => {
            promoted("[retrain] promote is \"always\"", comparison)
        }
        Err(reason) => Decision {
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
        if columns.shared.is_empty() {
            continue;
        }
        let rebuilt = new.reconstruct(windows.view()).map_err(defect)?;
        let input = columns.bring(&windows);
        let before = old.reconstruct(input.view()).map_err(defect)?;
        let spreads = columns.spreads(&windows);
        let same = |output, side| columns.errors(&windows, output, side, &spreads);
        pairs.new.extend(same(&rebuilt, Side::Challenger));
        pairs.old.extend(same(&before, Side::Champion));
        let (own, limit) = (&learned.bundle.calibration, &champion.calibration);
        pairs.new_alarms += over(&windows, &rebuilt, &from.known(), own.threshold_mse);
        pairs.old_alarms += over(&input, &before, &columns.counts(), limit.threshold_mse);
    }
    Ok(pairs.compared(config.autoencoder.window))
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
    old_alarms: usize,
}

impl Pairs {
    fn compared(&self, window: usize) -> Option<Comparison> {
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
            champion_alarms: self.old_alarms as f64 / windows as f64,
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

/// How many windows have an error over `limit`, the mean over the features that count.
fn over(input: &Array3<f32>, output: &Array3<f32>, counts: &[bool], limit: f64) -> usize {
    let mask = Array2::from_shape_fn((input.dim().0, counts.len()), |(_, column)| {
        counts.get(column).copied().unwrap_or(false)
    });
    let errors = window_errors(input.view(), output.view(), mask.view());
    errors.mse.iter().filter(|error| **error > limit).count()
}

/// Whose output it is.
#[derive(Clone, Copy)]
enum Side {
    Champion,
    Challenger,
}

/// A feature that both models know.
struct Shared {
    /// Its column with the champion and with the challenger.
    at: (usize, usize),
    /// The least that counts as its spread, beside its level.
    least: f64,
}

/// How the challenger's columns become the champion's.
struct Columns<'a> {
    /// The challenger's scaler and the champion's.
    scalers: (&'a Scaler, &'a Scaler),
    /// For each of the champion's columns (the calendar's at the end): where it is with the challenger.
    from: Vec<Option<usize>>,
    shared: Vec<Shared>,
}

impl<'a> Columns<'a> {
    fn between(new: &Bundle, old: &Bundle, from: &'a Scaler, to: &'a Scaler) -> Self {
        let (known_new, known_old) = (from.known(), to.known());
        let mut columns: Vec<Option<usize>> = Vec::new();
        let mut shared = Vec::new();
        for (column, feature) in old.schema.iter().enumerate() {
            let same = |other: &Feature| other.name == feature.name;
            let at = new.schema.iter().position(same);
            let at = at.filter(|at| known_new.get(*at) == Some(&true));
            if let Some(at) = at.filter(|_| known_old.get(column) == Some(&true)) {
                let least = UNIT * feature.unit.full().unwrap_or(0.0);
                let at = (column, at);
                shared.push(Shared { at, least });
            }
            columns.push(at);
        }
        let calendar = super::learn::CALENDAR;
        columns.extend((0..calendar).map(|extra| Some(new.schema.len() + extra)));
        Self {
            scalers: (from, to),
            from: columns,
            shared,
        }
    }

    /// Which of the champion's features both know.
    fn counts(&self) -> Vec<bool> {
        let known = |column| self.shared.iter().any(|shared| shared.at.0 == column);
        let calendar = super::learn::CALENDAR;
        (0..self.from.len().saturating_sub(calendar))
            .map(known)
            .collect()
    }

    /// Windows in the champion's columns and units, as it sees them when it scores; a column that the challenger lacks is 0,
    /// as an unknown one is.
    fn bring(&self, windows: &Array3<f32>) -> Array3<f32> {
        let (count, rows, columns) = windows.dim();
        let (from, to) = self.scalers;
        let mut brought = Array3::zeros((count, rows, self.from.len()));
        for (column, mut slot) in brought.axis_iter_mut(Axis(2)).enumerate() {
            let Some(at) = self
                .from
                .get(column)
                .copied()
                .flatten()
                .filter(|at| *at < columns)
            else {
                continue;
            };
            let values = windows.index_axis(Axis(2), at);
            if column < to.features() {
                slot.assign(&values.mapv(|v| to.scaled(column, from.inverse(at, f64::from(v)))));
            } else {
                slot.assign(&values);
            }
        }
        brought
    }

    /// What counts as one spread of each shared feature, in its unit.
    fn spreads(&self, windows: &Array3<f32>) -> Vec<f64> {
        let spread = |shared: &Shared| {
            let raw = |v: &f32| self.scalers.0.inverse(shared.at.1, f64::from(*v));
            let values: Vec<f64> = windows
                .index_axis(Axis(2), shared.at.1)
                .iter()
                .map(raw)
                .collect();
            let count = values.len().max(1) as f64;
            let mean = values.iter().map(|v| v / count).sum::<f64>();
            let variance = values
                .iter()
                .map(|v| (v - mean).powi(2) / count)
                .sum::<f64>();
            // What stands still in these windows is measured by how far either model has seen it move.
            let (old, new) = shared.at;
            let seen = [self.scalers.0.usual(new), self.scalers.1.usual(old)];
            let range = seen
                .iter()
                .flatten()
                .map(|usual| usual.range)
                .fold(0.0, f64::max);
            let least = shared.least.max(LEVEL * mean.abs()).max(LEVEL * range);
            let spread = variance.sqrt().max(least);
            if spread > 0.0 { spread } else { 1.0 }
        };
        self.shared.iter().map(spread).collect()
    }

    /// The error of each window: the mean square of its shared features' errors in spreads.
    fn errors(
        &self,
        windows: &Array3<f32>,
        output: &Array3<f32>,
        side: Side,
        spreads: &[f64],
    ) -> Vec<f64> {
        let (count, rows, _) = windows.dim();
        let (from, to) = self.scalers;
        let mut sums = vec![0.0; count];
        for (shared, spread) in self.shared.iter().zip(spreads) {
            let (old, new) = shared.at;
            let (column, scaler) = match side {
                Side::Champion => (old, to),
                Side::Challenger => (new, from),
            };
            let input = windows.index_axis(Axis(2), new);
            let output = output.index_axis(Axis(2), column);
            for (sum, (input, output)) in sums
                .iter_mut()
                .zip(input.outer_iter().zip(output.outer_iter()))
            {
                let away = |(input, output): (&f32, &f32)| {
                    let off = from.inverse(new, f64::from(*input))
                        - scaler.inverse(column, f64::from(*output));
                    (off / spread).clamp(-BOUND, BOUND).powi(2)
                };
                *sum += input.iter().zip(output).map(away).sum::<f64>();
            }
        }
        let cells = (rows * self.shared.len()).max(1) as f64;
        for sum in &mut sums {
            *sum /= cells;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(errors: (f64, f64), alarms: (f64, f64)) -> Comparison {
        Comparison {
            windows: 100,
            challenger_error: errors.0,
            champion_error: errors.1,
            uncertainty: 0.05,
            challenger_alarms: alarms.0,
            champion_alarms: alarms.1,
        }
    }

    #[test]
    fn a_champion_that_alarms_on_what_is_normal_loses_whatever_the_errors_are() {
        let verdict = verdict(&figures((5.0, 1.0), (0.0, 0.5)), false).unwrap();
        assert!(verdict.contains("50.0 % of what is normal"), "{verdict}");
    }

    #[test]
    fn more_alarms_or_a_larger_error_are_refused_and_the_limit_is_told() {
        let noisier = verdict(&figures((0.5, 1.0), (0.05, 0.0)), true).unwrap_err();
        assert!(noisier.contains("more alarms"), "{noisier}");
        let worse = figures((1.57, 1.0), (0.0, 0.0));
        let refused = verdict(&worse, false).unwrap_err();
        assert!(
            refused.contains("1.57 times") && refused.contains("at most 1.25"),
            "{refused}"
        );
        let wiser = verdict(&worse, true).unwrap();
        assert!(wiser.contains("up to 2 times is tolerated"), "{wiser}");
        assert!(verdict(&figures((2.5, 1.0), (0.0, 0.0)), true).is_err());
        let unsure = Comparison {
            uncertainty: 0.5,
            ..worse
        };
        assert!(verdict(&unsure, false).unwrap().contains("may be chance"));
    }
}
