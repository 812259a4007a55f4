//! Whether the data have changed for good since the model was trained.
//!
//! Page's cumulative test (Page 1954; Hinkley 1971), as in Gama et al., "A survey on concept drift adaptation" (2014), on the
//! logarithm of the autoencoder's error. Two things keep one incident from looking like a drift:
//!
//! - Windows overlap, so their errors are taken in blocks of one window's length, by their median: a block counts once.
//! - A block's deviation is cut to three standard deviations. However high an error, it counts no more than one that is a
//!   little high; only what lasts adds up. The test fires when blocks that are all as high as can be have lasted for
//!   [`LASTING_BLOCKS`] blocks and [`LASTING`]; and it forgets as fast as half a standard deviation a block.
//!
//! What is usual comes from the held-back errors of the model's own training, or, where these are not known, from the first
//! [`FIRST`] blocks that it scored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Blocks that a change must last, …
pub const LASTING_BLOCKS: usize = 36;

/// … and how long at least, for a grid of few seconds.
pub const LASTING: Duration = Duration::from_hours(6);

/// Blocks that say what is usual when the training does not.
pub const FIRST: usize = 48;

/// A block counts at most this many standard deviations.
const MOST: f64 = 3.0;

/// So much of a deviation is allowed for ever.
const ALLOWED: f64 = 0.5;

/// A spread below this (a factor of 1.1 in the error) is too small to be believed: windows that were never trained on vary more.
const LEAST_SPREAD: f64 = 0.1;

/// Errors below this are rounding of single precision.
const ROUNDING: f64 = 1e-10;

/// What log errors are like when nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// Their median.
    pub middle: f64,
    /// Their standard deviation, by the interquartile range.
    pub spread: f64,
}

impl Usual {
    /// Of window errors; `None` with fewer than 20.
    #[must_use]
    pub fn of(errors: &[f64]) -> Option<Self> {
        let mut logs: Vec<f64> = errors
            .iter()
            .filter(|e| e.is_finite())
            .map(|e| log(*e))
            .collect();
        logs.sort_by(f64::total_cmp);
        let at = |part: usize| logs.get(logs.len() * part / 4).copied();
        let (low, middle, high) = (at(1)?, at(2)?, at(3)?);
        (logs.len() >= 20).then(|| Self {
            middle,
            // A normal distribution's quartiles are 1.349 standard deviations apart.
            spread: ((high - low) / 1.349).max(LEAST_SPREAD),
        })
    }
}

/// One entity's test. Holds at most a block of errors, which a restart loses, and the first medians.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    usual: Option<Usual>,
    first: Vec<f64>,
    #[serde(skip)]
    block: Vec<f64>,
    sum: f64,
}

impl Drift {
    /// A test that has seen nothing. `usual`: of the model's held-back errors.
    #[must_use]
    pub fn new(usual: Option<Usual>) -> Self {
        Self {
            usual,
            ..Self::default()
        }
    }

    /// Takes the error of the next scored window (scaled units squared); windows of `window` rows on a grid of `step`.
    /// What is not a number is left out.
    pub fn take(&mut self, mse: f64, window: usize, step: Duration) {
        if !mse.is_finite() {
            return;
        }
        self.block.push(log(mse));
        if self.block.len() < window.max(1) {
            return;
        }
        let block = median(std::mem::take(&mut self.block));
        let Some(usual) = self.usual else {
            self.first.push(block);
            if self.first.len() >= FIRST {
                let errors: Vec<f64> = self.first.drain(..).map(f64::exp).collect();
                self.usual = Usual::of(&errors);
            }
            return;
        };
        let deviation = ((block - usual.middle) / usual.spread).clamp(-MOST, MOST);
        let most = threshold(window, step);
        // Not far over the threshold: what has gone back to normal is soon forgotten.
        self.sum = (self.sum + deviation - ALLOWED).clamp(0.0, most * 1.1);
    }

    /// How far it is: 0 nothing has changed, 1 and over it has for good.
    #[must_use]
    pub fn level(&self, window: usize, step: Duration) -> f64 {
        self.sum / threshold(window, step)
    }
}

/// The sum that a change as clear as can be reaches in the time that it must last.
fn threshold(window: usize, step: Duration) -> f64 {
    let block = step.as_secs_f64() * window.max(1) as f64;
    let blocks = (LASTING.as_secs_f64() / block.max(1e-3)).max(LASTING_BLOCKS as f64);
    (MOST - ALLOWED) * blocks
}

fn log(mse: f64) -> f64 {
    mse.max(ROUNDING).ln()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, LogNormal};

    use super::*;

    const STEP: Duration = Duration::from_secs(60);
    const WINDOW: usize = 20;
    const DAY: usize = 1440;

    /// Log-normal errors, `times` as large in `rows`.
    fn run(drift: &mut Drift, rows: usize, times: f64, seed: u64) -> Option<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let errors = LogNormal::new(-6.0, 0.7).unwrap();
        let mut fired = None;
        for row in 0..rows {
            drift.take(errors.sample(&mut rng) * times, WINDOW, STEP);
            if drift.level(WINDOW, STEP) >= 1.0 {
                fired.get_or_insert(row);
            }
        }
        fired
    }

    fn trained() -> Drift {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let errors = LogNormal::new(-6.0, 0.7).unwrap();
        let held_back: Vec<f64> = (0..400).map(|_| errors.sample(&mut rng)).collect();
        Drift::new(Usual::of(&held_back))
    }

    #[test]
    fn a_lasting_change_is_a_drift_and_an_incident_is_not() {
        let mut drift = trained();
        assert_eq!(run(&mut drift, 30 * DAY, 1.0, 2), None);
        // Six hours, a thousand times over the usual; then every day two hours of it.
        assert_eq!(run(&mut drift, DAY / 4, 1000.0, 3), None);
        for day in 0..20 {
            assert_eq!(run(&mut drift, 22 * 60, 1.0, 10 + day), None);
            assert_eq!(run(&mut drift, 2 * 60, 1000.0, 50 + day), None);
        }
        assert_eq!(run(&mut drift, DAY, 1.0, 4), None);
        let fired = run(&mut drift, 2 * DAY, 30.0, 5).unwrap();
        assert!((DAY / 3..DAY).contains(&fired), "{fired}");
    }

    #[test]
    fn a_slow_change_is_one_too_and_a_better_fit_is_none() {
        let mut drift = trained();
        assert!(run(&mut drift, 10 * DAY, 2.5, 6).is_some());
        let mut drift = trained();
        assert_eq!(run(&mut drift, 10 * DAY, 0.2, 7), None);
    }

    #[test]
    fn without_held_back_errors_the_first_day_says_what_is_usual() {
        let mut drift = Drift::new(None);
        assert_eq!(run(&mut drift, 5 * DAY, 20.0, 8), None);
        assert!(run(&mut drift, 2 * DAY, 400.0, 9).is_some());
        drift.block.clear();
        let kept = serde_json::to_vec(&drift).unwrap();
        assert_eq!(serde_json::from_slice::<Drift>(&kept).unwrap(), drift);
    }

    #[test]
    fn a_grid_of_seconds_waits_for_hours_too() {
        let step = Duration::from_secs(5);
        let mut drift = Drift::new(Some(Usual {
            middle: 0.0,
            spread: 1.0,
        }));
        for _ in 0..5 * 720 {
            drift.take(1e6, WINDOW, step);
        }
        assert!(drift.level(WINDOW, step) < 1.0);
        for _ in 0..2 * 720 {
            drift.take(1e6, WINDOW, step);
        }
        assert!(drift.level(WINDOW, step) >= 1.0);
        drift.take(f64::NAN, WINDOW, step);
    }
}
