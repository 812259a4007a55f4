//! From held-back window errors to the threshold that an alarm budget asks for.
//!
//! Rule `auto` is peaks over threshold (Pickands 1975; Davison & Smith 1990): the largest errors are fitted with a
//! generalised Pareto distribution, and the threshold is the level that is exceeded as often as the budget allows.
//! Neighbouring windows share nearly all of their rows, so one disturbance lifts many windows. The budget counts alarms,
//! not windows: the extremal index (Ferro & Segers 2003) says how many exceedances make one alarm.

use super::tail;
use crate::config::{BudgetScope, Threshold};
use crate::domain::{Calibration, Tail};

/// Held-back windows below which no tail is fitted.
const FEW: usize = 60;
/// Without a fitted tail the threshold is the largest error times this.
const ROOM: f64 = 1.5;
/// The threshold is at most the largest error times this, however long the fitted tail.
const MOST: f64 = 5.0;
/// It is at least this quantile of the held-back errors, however generous the budget.
const LEAST: f64 = 0.99;
/// Errors below this are rounding of single precision; no threshold goes lower.
const ROUNDING: f64 = 1e-10;
/// Exceedances that are fitted: a tenth of all, within these bounds.
const FITTED: (usize, usize) = (20, 250);

/// How many alarms are allowed, and how many windows there are to raise them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Windows scored a day for one entity (> 0).
    pub windows_per_day: f64,
    /// Entities watched; 0 counts as 1.
    pub entities: usize,
    /// Alarms allowed a day (> 0).
    pub per_day: f64,
    /// Whether `per_day` is for all entities together or for each.
    pub scope: BudgetScope,
}

impl Budget {
    /// Alarms allowed per scored window.
    fn per_window(&self) -> Result<f64, CalibrateError> {
        for (name, value) in [
            ("false_alarms_per_day", self.per_day),
            ("windows a day", self.windows_per_day),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(CalibrateError::Budget { name, value });
            }
        }
        let sharing = match self.scope {
            BudgetScope::Installation => self.entities.max(1) as f64,
            BudgetScope::Entity => 1.0,
        };
        Ok(self.per_day / sharing / self.windows_per_day)
    }
}

/// Why there is no threshold.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// Nothing to calibrate on.
    #[error(
        "none of the {0} held-back windows has an error that is a number; collect more history or lower [autoencoder] train_split"
    )]
    NoWindows(usize),
    /// A fixed threshold that is none.
    #[error("[detect] threshold = {0} is no mean squared error; write a number over 0 or \"auto\"")]
    Threshold(f64),
    /// A sigma rule that is none.
    #[error(
        "[detect] threshold = {{ sigma = {0} }} is no number of deviations; write one over 0, such as 2.5"
    )]
    Sigma(f64),
    /// A budget that is none.
    #[error(
        "an alarm budget needs {name} over 0, not {value}; set [detect] false_alarms_per_day to a number such as 0.5"
    )]
    Budget {
        /// What is wrong.
        name: &'static str,
        /// Its value.
        value: f64,
    },
}

/// The threshold that `rule` makes of held-back errors.
///
/// `errors` are mean squared errors of windows that were not trained on, in the order of time (entities one after the
/// other); what is not a number or negative is left out. Out of order is safe but strict: every exceedance then counts
/// as an alarm of its own.
///
/// `auto`: the return level of the fitted tail, not below the 99 % quantile, not over five times the largest error. Under
/// 60 windows, or when all errors are equal, no tail is fitted and it is 1.5 times the largest error. `sigma`: mean plus
/// so many deviations. `fixed`: as given; mean and deviation are 0 when there was no window.
///
/// # Errors
/// [`CalibrateError`] when there is nothing to calibrate on (not for `fixed`) or a setting is no sensible number.
pub fn calibrate(
    errors: &[f64],
    rule: Threshold,
    budget: Budget,
) -> Result<Calibration, CalibrateError> {
    let sound: Vec<f64> = errors
        .iter()
        .copied()
        .filter(|e| e.is_finite() && *e >= 0.0)
        .collect();
    let (mean, deviation) = moments(&sound);
    let none = CalibrateError::NoWindows(errors.len());
    let (rule, threshold, tail) = match rule {
        Threshold::Fixed(value) if value > 0.0 && value.is_finite() => ("fixed", value, None),
        Threshold::Fixed(value) => return Err(CalibrateError::Threshold(value)),
        Threshold::Sigma(count) if !(count > 0.0 && count.is_finite()) => {
            return Err(CalibrateError::Sigma(count));
        }
        Threshold::Sigma(_) | Threshold::Auto if sound.is_empty() => return Err(none),
        Threshold::Sigma(count) => ("sigma", (mean + count * deviation).max(ROUNDING), None),
        Threshold::Auto => {
            let (threshold, tail) = automatic(&sound, budget.per_window()?);
            ("auto", threshold, tail)
        }
    };
    Ok(Calibration {
        rule: rule.into(),
        threshold_mse: threshold,
        windows: sound.len(),
        mean,
        deviation,
        tail,
    })
}

/// The same held-back errors under another rule: what a model that is there can be told without training. `None` for
/// `auto` when the model was calibrated otherwise, or for a number that makes no threshold: that takes a new training.
#[must_use]
pub fn under(calibration: &Calibration, rule: Threshold) -> Option<Calibration> {
    let (rule, threshold_mse) = match rule {
        Threshold::Auto if calibration.rule == "auto" => return Some(calibration.clone()),
        Threshold::Auto => return None,
        Threshold::Fixed(value) => ("fixed", value),
        Threshold::Sigma(count) if calibration.windows > 0 && count > 0.0 => {
            let spread = calibration.mean + count * calibration.deviation;
            ("sigma", spread.max(ROUNDING))
        }
        Threshold::Sigma(_) => return None,
    };
    (threshold_mse > 0.0 && threshold_mse.is_finite()).then(|| Calibration {
        rule: rule.into(),
        threshold_mse,
        tail: None,
        ..calibration.clone()
    })
}

/// The score of a window: its error over the threshold, over 1 a candidate. NaN when the error is not a number.
#[must_use]
pub fn score(calibration: &Calibration, mse: f64) -> f64 {
    mse / calibration.threshold_mse
}

/// Threshold for an allowed number of alarms per window, and the tail that it was read from.
fn automatic(errors: &[f64], alarms: f64) -> (f64, Option<Tail>) {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    let largest = sorted.last().copied().unwrap_or(0.0);
    let count = (sorted.len() / 10).clamp(FITTED.0, FITTED.1);
    let fitted = if sorted.len() < FEW {
        None
    } else {
        tail::fit(&sorted, count)
    };
    let Some(tail) = fitted else {
        return ((largest * ROOM).max(ROUNDING), None);
    };
    // An alarm is a cluster of 1 / index exceedances: that many more are allowed. Clusters shorten as the level rises, so
    // the index is taken at the highest level that still has enough exceedances.
    let index = tail::extremal_index(errors, high(&sorted, count / 2, tail.above));
    let asked = tail::level(&tail, (alarms / index).min(tail.rate));
    let least = quantile(&sorted, LEAST);
    let threshold = asked.clamp(least, (largest * MOST).max(least));
    (threshold.max(ROUNDING), Some(tail))
}

/// The value `count` places from the top of `sorted`, or `least` if that is higher.
fn high(sorted: &[f64], count: usize, least: f64) -> f64 {
    let place = sorted.len().saturating_sub(count + 1);
    sorted.get(place).copied().unwrap_or(least).max(least)
}

/// The smallest of `sorted` that a share `level` of all is not over.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (sorted.len() as f64 * level).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Mean and standard deviation, 0 of nothing.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp1, Pareto, Uniform};

    use super::*;

    fn budget(per_day: f64) -> Budget {
        Budget {
            windows_per_day: 1440.0,
            entities: 1,
            per_day,
            scope: BudgetScope::Installation,
        }
    }

    fn draw(of: &impl Distribution<f64>, count: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| of.sample(&mut rng)).collect()
    }

    fn auto(errors: &[f64], per_day: f64) -> f64 {
        calibrate(errors, Threshold::Auto, budget(per_day))
            .unwrap()
            .threshold_mse
    }

    #[test]
    fn another_rule_takes_what_was_kept_of_the_errors() {
        let errors: Vec<f64> = (1..=100).map(f64::from).collect();
        let learned = calibrate(&errors, Threshold::Auto, budget(0.5)).unwrap();
        let fixed = under(&learned, Threshold::Fixed(0.5)).unwrap();
        assert_eq!((fixed.threshold_mse, fixed.rule.as_str()), (0.5, "fixed"));
        let sigma = calibrate(&errors, Threshold::Sigma(2.0), budget(0.5)).unwrap();
        assert_eq!(under(&learned, Threshold::Sigma(2.0)), Some(sigma.clone()));
        assert_eq!(under(&learned, Threshold::Auto), Some(learned));
        assert_eq!(under(&sigma, Threshold::Auto), None);
        assert_eq!(under(&fixed, Threshold::Fixed(-1.0)), None);
    }

    /// Exceedances a day on fresh data, over many calibrations on 2,000 windows.
    fn achieved(of: &impl Distribution<f64>, per_day: f64) -> f64 {
        let fresh = draw(of, 400_000, 1000);
        let runs = 20;
        let over: usize = (0..runs)
            .map(|seed| {
                let threshold = auto(&draw(of, 2000, seed), per_day);
                fresh.iter().filter(|e| **e > threshold).count()
            })
            .sum();
        over as f64 / runs as f64 / (fresh.len() as f64 / 1440.0)
    }

    #[test]
    fn the_budget_is_met_on_fresh_data_of_known_tails() {
        let heavy = Pareto::new(1.0, 5.0).unwrap();
        let uniform = Uniform::new(0.0, 1.0).unwrap();
        for per_day in [0.5, 3.0] {
            for (name, rate) in [
                ("exponential", achieved(&Exp1, per_day)),
                ("heavy", achieved(&heavy, per_day)),
                ("uniform", achieved(&uniform, per_day)),
            ] {
                // A tail that ends leaves no room: a threshold a thousandth higher is never exceeded.
                let least = if name == "uniform" {
                    0.0
                } else {
                    per_day / 2.5
                };
                assert!(
                    rate >= least && rate < per_day * 2.5,
                    "{name}: {rate} a day for {per_day}"
                );
            }
        }
    }

    #[test]
    fn overlapping_windows_count_as_one_alarm() {
        // Windows of 20 rows: means of 20 squared errors, as the autoencoder's are.
        let windows = |rows: &[f64]| -> Vec<f64> {
            rows.windows(20)
                .map(|w| w.iter().sum::<f64>() / 20.0)
                .collect()
        };
        let fresh = windows(&draw(&Exp1, 400_000, 77));
        let days = fresh.len() as f64 / 1440.0;
        let (mut alarms, runs, per_day) = (0_usize, 20, 2.0);
        for seed in 0..runs {
            let threshold = auto(&windows(&draw(&Exp1, 4000, seed)), per_day);
            let over: Vec<usize> = (0..fresh.len()).filter(|i| fresh[*i] > threshold).collect();
            alarms += over.windows(2).filter(|w| w[1] - w[0] > 5).count() + 1;
        }
        let rate = alarms as f64 / runs as f64 / days;
        assert!(rate > per_day / 2.5 && rate < per_day * 2.5, "{rate} a day");
    }

    #[test]
    fn a_smaller_budget_never_lowers_the_threshold() {
        let errors = draw(&Exp1, 500, 4);
        let budgets = [1000.0, 10.0, 1.0, 0.5, 0.1, 0.01, 1e-6];
        let thresholds: Vec<f64> = budgets.iter().map(|b| auto(&errors, *b)).collect();
        assert!(
            thresholds.windows(2).all(|w| w[1] >= w[0]),
            "{thresholds:?}"
        );
        let largest = errors.iter().copied().fold(0.0, f64::max);
        assert!(thresholds[6] <= largest * MOST);
        let mut sorted = errors.clone();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(thresholds[0], sorted[494]);
        let shared = Budget {
            entities: 100,
            ..budget(10.0)
        };
        let each = Budget {
            scope: BudgetScope::Entity,
            ..shared
        };
        let of = |b| {
            calibrate(&errors, Threshold::Auto, b)
                .unwrap()
                .threshold_mse
        };
        assert_eq!(of(shared), thresholds[4]);
        assert_eq!(of(each), thresholds[1]);
    }

    #[test]
    fn few_equal_or_broken_errors_still_make_a_threshold() {
        assert_eq!(auto(&[0.1, 0.4, 0.2], 0.5), 0.4 * ROOM);
        assert_eq!(auto(&[0.25; 500], 0.5), 0.25 * ROOM);
        assert_eq!(auto(&[0.0; 500], 0.5), ROUNDING);
        assert_eq!(auto(&[0.1, f64::NAN, f64::INFINITY, -1.0], 0.5), 0.1 * ROOM);
        let mut one_high = vec![0.1; 500];
        one_high[250] = 3.0;
        let threshold = auto(&one_high, 0.5);
        assert!((0.1..=3.0 * MOST).contains(&threshold), "{threshold}");
        let error = calibrate(&[f64::NAN; 3], Threshold::Auto, budget(0.5)).unwrap_err();
        assert_eq!(error, CalibrateError::NoWindows(3));
    }

    #[test]
    fn the_seeds_rules_are_what_they_say() {
        let errors = [1.0, 2.0, 3.0];
        let fixed = calibrate(&errors, Threshold::Fixed(0.0025), budget(0.5)).unwrap();
        assert_eq!(
            (fixed.rule.as_str(), fixed.threshold_mse),
            ("fixed", 0.0025)
        );
        assert_eq!((fixed.windows, fixed.mean), (3, 2.0));
        assert_eq!(score(&fixed, 0.005), 2.0);
        let sigma = calibrate(&errors, Threshold::Sigma(2.5), budget(0.5)).unwrap();
        assert!((sigma.threshold_mse - (2.0 + 2.5 * (2.0_f64 / 3.0).sqrt())).abs() < 1e-12);
        assert!(calibrate(&[], Threshold::Fixed(1.0), budget(0.5)).is_ok());
        for (rule, budget) in [
            (Threshold::Fixed(0.0), budget(0.5)),
            (Threshold::Fixed(f64::NAN), budget(0.5)),
            (Threshold::Sigma(-1.0), budget(0.5)),
            (Threshold::Auto, budget(0.0)),
            (Threshold::Auto, budget(f64::NAN)),
        ] {
            assert!(calibrate(&errors, rule, budget).is_err(), "{rule:?}");
        }
    }
}
